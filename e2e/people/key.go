package people

import (
	"encoding/base64"
	"errors"
	"slices"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// encrypt encrypts an event for everybody who joined or was invited, but for
// those in except. A change of the members makes a new room key, at once: the
// client's own sync would notice it only some time later.
func (p *Person) encrypt(room id.RoomID, kind event.Type, content any, except ...id.UserID) (*event.EncryptedEventContent, error) {
	resp, err := p.client.Members(p.ctx(), room)
	if err != nil {
		return nil, err
	}
	var members []id.UserID
	for _, e := range resp.Chunk {
		who := id.UserID(e.GetStateKey())
		m := e.Content.AsMember().Membership
		if (m == event.MembershipJoin || m == event.MembershipInvite) && !slices.Contains(except, who) {
			members = append(members, who)
		}
	}
	slices.Sort(members)
	if !slices.Equal(p.members[room], members) {
		if err := p.newRoomKey(room, members); err != nil {
			return nil, err
		}
	}
	sealed, err := p.olm.EncryptMegolmEvent(p.ctx(), room, kind, content)
	if errors.Is(err, crypto.ErrNoGroupSession) || errors.Is(err, crypto.ErrSessionExpired) || errors.Is(err, crypto.ErrSessionNotShared) {
		if err := p.newRoomKey(room, members); err != nil {
			return nil, err
		}
		return p.olm.EncryptMegolmEvent(p.ctx(), room, kind, content)
	}
	return sealed, err
}

// newRoomKey makes a room key and shares it with every device of the members.
func (p *Person) newRoomKey(room id.RoomID, members []id.UserID) error {
	if err := p.olm.CryptoStore.RemoveOutboundGroupSession(p.ctx(), room); err != nil {
		return err
	}
	if _, err := p.olm.FetchKeys(p.ctx(), members, true); err != nil {
		return err
	}
	if err := p.olm.ShareGroupSession(p.ctx(), room, members); err != nil {
		return err
	}
	p.members[room] = members
	return nil
}

// SharesWithSignedDevices makes the person give room keys to devices only that their
// owner's identity has signed, as clients do that keep to MSC4153.
func (p *Person) SharesWithSignedDevices() { p.olm.SendKeysMinTrust = id.TrustStateCrossSignedTOFU }

// RenewsRoomKey makes what the person says next in a room have a key of its own.
func (p *Person) RenewsRoomKey(room id.RoomID) { p.members[room] = nil }

// Withheld is a message whose room key one reader still lacks.
type Withheld struct {
	Said
	key    event.Content
	person *Person
}

// SaysWithoutKey says something in an encrypted room whose key somebody does not
// get. What the person says later has a key of its own again.
func (p *Person) SaysWithoutKey(room id.RoomID, somebody id.UserID, text string) Withheld {
	p.town.stage.Helper()
	content := &event.MessageEventContent{MsgType: event.MsgText, Body: text}
	// The first call makes the key; it is read before it moves on with its first use.
	p.members[room] = nil
	if _, err := p.encrypt(room, event.EventMessage, content, somebody); err != nil {
		p.fail("encrypt: %v", err)
	}
	session, err := p.olm.CryptoStore.GetOutboundGroupSession(p.ctx(), room)
	if err != nil || session == nil {
		p.fail("find the room key: %v", err)
	}
	key := session.ShareContent()
	sealed, err := p.encrypt(room, event.EventMessage, content, somebody)
	if err != nil {
		p.fail("encrypt: %v", err)
	}
	said := p.send(room, event.EventEncrypted, sealed, Said{
		Type: event.EventMessage.Type, MsgType: string(event.MsgText), Text: text, Encrypted: true,
	})
	p.members[room] = nil
	return Withheld{Said: said, key: key, person: p}
}

// Shares gives the withheld room key to every device of somebody.
func (w Withheld) Shares(somebody id.UserID) {
	p := w.person
	p.town.stage.Helper()
	devices, err := p.olm.FetchKeys(p.ctx(), []id.UserID{somebody}, true)
	if err != nil || len(devices[somebody]) == 0 {
		p.fail("find the devices of %s: %v", somebody, err)
	}
	for _, d := range devices[somebody] {
		if err := p.olm.SendEncryptedToDevice(p.ctx(), d, event.ToDeviceRoomKey, w.key); err != nil {
			p.fail("share a room key with %s: %v", d.DeviceID, err)
		}
	}
}

// SendsGarbage sends Olm messages that nobody can decrypt to every device of
// somebody, as any stranger can.
func (p *Person) SendsGarbage(somebody id.UserID, messages int) {
	p.town.stage.Helper()
	devices, err := p.olm.FetchKeys(p.ctx(), []id.UserID{somebody}, true)
	if err != nil || len(devices[somebody]) == 0 {
		p.fail("find the devices of %s: %v", somebody, err)
	}
	for range messages {
		to := map[id.DeviceID]*event.Content{}
		for _, d := range devices[somebody] {
			to[d.DeviceID] = &event.Content{Parsed: &event.EncryptedEventContent{
				Algorithm: id.AlgorithmOlmV1,
				SenderKey: p.olm.OwnIdentity().IdentityKey,
				OlmCiphertext: event.OlmCiphertexts{d.IdentityKey: {
					Type: id.OlmMsgTypeMsg, Body: base64.RawStdEncoding.EncodeToString([]byte("nothing but noise")),
				}},
			}}
		}
		_, err := p.client.SendToDevice(p.ctx(), event.ToDeviceEncrypted, &mautrix.ReqSendToDevice{
			Messages: map[id.UserID]map[id.DeviceID]*event.Content{somebody: to},
		})
		if err != nil {
			p.fail("send garbage: %v", err)
		}
	}
}
