package matrix

import (
	"context"
	"errors"
	"time"

	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// The calls of the crypto store that the guard only watches.

func (g *guard) PutAccount(ctx context.Context, a *crypto.OlmAccount) error {
	return noted(ctx, "put account", g.SQLCryptoStore.PutAccount(ctx, a))
}

func (g *guard) GetAccount(ctx context.Context) (*crypto.OlmAccount, error) {
	a, err := g.SQLCryptoStore.GetAccount(ctx)
	return note(ctx, "get account", a, err)
}

func (g *guard) AddSession(ctx context.Context, key id.SenderKey, s *crypto.OlmSession) error {
	return noted(ctx, "add olm session", g.SQLCryptoStore.AddSession(ctx, key, s))
}

func (g *guard) GetSessions(ctx context.Context, key id.SenderKey) (crypto.OlmSessionList, error) {
	s, err := g.SQLCryptoStore.GetSessions(ctx, key)
	return note(ctx, "get olm sessions", s, err)
}

func (g *guard) GetLatestSession(ctx context.Context, key id.SenderKey) (*crypto.OlmSession, error) {
	s, err := g.SQLCryptoStore.GetLatestSession(ctx, key)
	return note(ctx, "get latest olm session", s, err)
}

// errStray is the answer to the library's own unwedging, which starts here: with a
// context that is not a transaction's.
var errStray = errors.New("crypto store called outside a transaction")

func (g *guard) GetNewestSessionCreationTS(ctx context.Context, key id.SenderKey) (time.Time, error) {
	if callsOf(ctx) == nil {
		return time.Time{}, errStray
	}
	at, err := g.SQLCryptoStore.GetNewestSessionCreationTS(ctx, key)
	return note(ctx, "get newest olm session", at, err)
}

func (g *guard) UpdateSession(ctx context.Context, key id.SenderKey, s *crypto.OlmSession) error {
	return noted(ctx, "update olm session", g.SQLCryptoStore.UpdateSession(ctx, key, s))
}

func (g *guard) DeleteSession(ctx context.Context, key id.SenderKey, s *crypto.OlmSession) error {
	return noted(ctx, "delete olm session", g.SQLCryptoStore.DeleteSession(ctx, key, s))
}

func (g *guard) DeleteOldOlmHashes(ctx context.Context, before time.Time) error {
	return noted(ctx, "delete olm hashes", g.SQLCryptoStore.DeleteOldOlmHashes(ctx, before))
}

func (g *guard) RedactGroupSession(ctx context.Context, room id.RoomID, session id.SessionID, reason string) error {
	g.sessions.clear()
	return noted(ctx, "redact group session", g.SQLCryptoStore.RedactGroupSession(ctx, room, session, reason))
}

func (g *guard) RedactGroupSessions(ctx context.Context, room id.RoomID, key id.SenderKey, reason string) ([]id.SessionID, error) {
	g.sessions.clear()
	s, err := g.SQLCryptoStore.RedactGroupSessions(ctx, room, key, reason)
	return note(ctx, "redact group sessions", s, err)
}

func (g *guard) RedactExpiredGroupSessions(ctx context.Context) ([]id.SessionID, error) {
	g.sessions.clear()
	s, err := g.SQLCryptoStore.RedactExpiredGroupSessions(ctx)
	return note(ctx, "redact expired group sessions", s, err)
}

func (g *guard) RedactOutdatedGroupSessions(ctx context.Context) ([]id.SessionID, error) {
	g.sessions.clear()
	s, err := g.SQLCryptoStore.RedactOutdatedGroupSessions(ctx)
	return note(ctx, "redact outdated group sessions", s, err)
}

func (g *guard) GetWithheldGroupSession(ctx context.Context, room id.RoomID, session id.SessionID) (*event.RoomKeyWithheldEventContent, error) {
	c, err := g.SQLCryptoStore.GetWithheldGroupSession(ctx, room, session)
	return note(ctx, "get withheld group session", c, err)
}

func (g *guard) AddOutboundGroupSession(ctx context.Context, s *crypto.OutboundGroupSession) error {
	return noted(ctx, "add outbound group session", g.SQLCryptoStore.AddOutboundGroupSession(ctx, s))
}

func (g *guard) UpdateOutboundGroupSession(ctx context.Context, s *crypto.OutboundGroupSession) error {
	return noted(ctx, "update outbound group session", g.SQLCryptoStore.UpdateOutboundGroupSession(ctx, s))
}

func (g *guard) GetOutboundGroupSession(ctx context.Context, room id.RoomID) (*crypto.OutboundGroupSession, error) {
	s, err := g.SQLCryptoStore.GetOutboundGroupSession(ctx, room)
	return note(ctx, "get outbound group session", s, err)
}

func (g *guard) RemoveOutboundGroupSession(ctx context.Context, room id.RoomID) error {
	return noted(ctx, "remove outbound group session", g.SQLCryptoStore.RemoveOutboundGroupSession(ctx, room))
}

func (g *guard) MarkOutboundGroupSessionShared(ctx context.Context, user id.UserID, key id.IdentityKey, session id.SessionID) error {
	return noted(ctx, "mark outbound group session shared", g.SQLCryptoStore.MarkOutboundGroupSessionShared(ctx, user, key, session))
}

func (g *guard) IsOutboundGroupSessionShared(ctx context.Context, user id.UserID, key id.IdentityKey, session id.SessionID) (bool, error) {
	ok, err := g.SQLCryptoStore.IsOutboundGroupSessionShared(ctx, user, key, session)
	return note(ctx, "is outbound group session shared", ok, err)
}

func (g *guard) GetDevices(ctx context.Context, user id.UserID) (map[id.DeviceID]*id.Device, error) {
	d, err := g.SQLCryptoStore.GetDevices(ctx, user)
	return note(ctx, "get devices", d, err)
}

func (g *guard) GetDevice(ctx context.Context, user id.UserID, device id.DeviceID) (*id.Device, error) {
	d, err := g.SQLCryptoStore.GetDevice(ctx, user, device)
	return note(ctx, "get device", d, err)
}

func (g *guard) PutDevice(ctx context.Context, user id.UserID, d *id.Device) error {
	g.identities.clear()
	return noted(ctx, "put device", g.SQLCryptoStore.PutDevice(ctx, user, d))
}

func (g *guard) PutDevices(ctx context.Context, user id.UserID, d map[id.DeviceID]*id.Device) error {
	g.identities.clear()
	return noted(ctx, "put devices", g.SQLCryptoStore.PutDevices(ctx, user, d))
}

func (g *guard) FilterTrackedUsers(ctx context.Context, users []id.UserID) ([]id.UserID, error) {
	u, err := g.SQLCryptoStore.FilterTrackedUsers(ctx, users)
	return note(ctx, "filter tracked users", u, err)
}

func (g *guard) MarkTrackedUsersOutdated(ctx context.Context, users []id.UserID) error {
	return noted(ctx, "mark tracked users outdated", g.SQLCryptoStore.MarkTrackedUsersOutdated(ctx, users))
}

func (g *guard) GetOutdatedTrackedUsers(ctx context.Context) ([]id.UserID, error) {
	u, err := g.SQLCryptoStore.GetOutdatedTrackedUsers(ctx)
	return note(ctx, "get outdated tracked users", u, err)
}

func (g *guard) PutCrossSigningKey(ctx context.Context, user id.UserID, usage id.CrossSigningUsage, key id.Ed25519) error {
	g.identities.clear()
	return noted(ctx, "put cross-signing key", g.SQLCryptoStore.PutCrossSigningKey(ctx, user, usage, key))
}

func (g *guard) ResetMasterKeyTOFU(ctx context.Context, user id.UserID, key id.Ed25519) error {
	g.identities.clear()
	return noted(ctx, "reset master key", g.SQLCryptoStore.ResetMasterKeyTOFU(ctx, user, key))
}

func (g *guard) PutSignature(ctx context.Context, signed id.UserID, key id.Ed25519, signer id.UserID, signerKey id.Ed25519, signature string) error {
	g.identities.clear()
	return noted(ctx, "put signature", g.SQLCryptoStore.PutSignature(ctx, signed, key, signer, signerKey, signature))
}

func (g *guard) DropSignaturesByKey(ctx context.Context, user id.UserID, key id.Ed25519) (int64, error) {
	g.identities.clear()
	n, err := g.SQLCryptoStore.DropSignaturesByKey(ctx, user, key)
	return note(ctx, "drop signatures", n, err)
}

func (g *guard) GetSignaturesForKeyBy(ctx context.Context, user id.UserID, key id.Ed25519, signer id.UserID) (map[id.Ed25519]string, error) {
	s, err := g.SQLCryptoStore.GetSignaturesForKeyBy(ctx, user, key, signer)
	return note(ctx, "get signatures", s, err)
}

func (g *guard) PutSecret(ctx context.Context, name id.Secret, value string) error {
	return noted(ctx, "put secret", g.SQLCryptoStore.PutSecret(ctx, name, value))
}

func (g *guard) GetSecret(ctx context.Context, name id.Secret) (string, error) {
	v, err := g.SQLCryptoStore.GetSecret(ctx, name)
	return note(ctx, "get secret", v, err)
}

func (g *guard) DeleteSecret(ctx context.Context, name id.Secret) error {
	return noted(ctx, "delete secret", g.SQLCryptoStore.DeleteSecret(ctx, name))
}
