package matrixtest_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/matrix/matrixtest"
)

// TestSignaturesOfADeviceReachOthers signs a device and reads it as somebody else.
func TestSignaturesOfADeviceReachOthers(t *testing.T) {
	s := start(t, matrixtest.Options{})
	alice, bob := peer(t, s, "alice"), peer(t, s, "bob")
	if err := alice.SignSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
	devices, err := bob.Machine.FetchKeys(t.Context(), []id.UserID{alice.User}, true)
	if err != nil {
		t.Fatal(err)
	}
	device := devices[alice.User][alice.Client.DeviceID]
	if device == nil {
		t.Fatal("the device is not shown")
	}
	if trust, err := bob.Machine.ResolveTrustContext(t.Context(), device); trust != id.TrustStateCrossSignedTOFU || err != nil {
		t.Errorf("trust %s, %v, want it cross-signed", trust, err)
	}
	resp, err := bob.Client.QueryKeys(t.Context(), &mautrix.ReqQueryKeys{DeviceKeys: mautrix.DeviceKeysRequest{alice.User: nil}})
	if err != nil {
		t.Fatal(err)
	}
	if _, shown := resp.UserSigningKeys[alice.User]; shown {
		t.Error("the user-signing key is shown to somebody else")
	}
	wellUsed(t, s)
}

func TestANewIdentityNeedsThePassword(t *testing.T) {
	s := start(t, matrixtest.Options{})
	alice := peer(t, s, "alice")
	if err := alice.SignSelf(t.Context()); err != nil {
		t.Fatal(err)
	}
	keys, err := alice.Machine.GenerateCrossSigningKeys()
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.Machine.PublishCrossSigningKeys(t.Context(), keys, nil); err == nil {
		t.Error("an identity was replaced without a password")
	}
	err = alice.Machine.PublishCrossSigningKeys(t.Context(), keys, func(*mautrix.RespUserInteractive) any {
		return mautrix.ReqUIAuthLogin{
			BaseAuthData: mautrix.BaseAuthData{Type: mautrix.AuthTypePassword, Session: "uia"},
			User:         string(alice.User), Password: "peer password of alice",
		}
	})
	if err != nil {
		t.Errorf("not replaced with the password: %v", err)
	}
}

func TestDeviceListsTellOfNewDevices(t *testing.T) {
	s := start(t, matrixtest.Options{})
	bot := s.Account("bot", "secret")
	c := login(t, s, bot)
	alice := peer(t, s, "alice")
	stranger := peer(t, s, "stranger")
	room := s.NewRoom(alice.User, matrixtest.RoomOptions{})
	room.Join(bot)
	since := syncOnce(t, c, "", 1).NextBatch
	for _, p := range []*matrixtest.Peer{alice, stranger} {
		s.SetDeviceKeys(p.User, p.Client.DeviceID, s.DeviceKeys(p.User, p.Client.DeviceID))
	}
	resp := syncOnce(t, c, since, 1)
	if got := resp.DeviceLists.Changed; !slices.Equal(got, []id.UserID{alice.User}) {
		t.Errorf("changed %v, want who shares a room", got)
	}
	var changes mautrix.RespKeyChanges
	// By hand: mautrix v0.31.0 asks with POST, the specification says GET.
	_, err := c.MakeRequest(t.Context(), "GET", c.BuildURLWithQuery(mautrix.ClientURLPath{"v3", "keys", "changes"},
		map[string]string{"from": since, "to": resp.NextBatch}), nil, &changes)
	if err != nil || !slices.Equal(changes.Changed, []id.UserID{alice.User}) {
		t.Errorf("changes %+v, %v", changes, err)
	}
	room.Leave(alice.User, alice.User)
	if got := syncOnce(t, c, resp.NextBatch, 1).DeviceLists.Left; !slices.Equal(got, []id.UserID{alice.User}) {
		t.Errorf("left %v", got)
	}
	wellUsed(t, s)
}

func TestKeysAreHandedOutOnceAndThenTheFallback(t *testing.T) {
	s := start(t, matrixtest.Options{})
	c := login(t, s, s.Account("bot", "secret"))
	upload := func(body map[string]any) error {
		_, err := c.MakeRequest(t.Context(), "POST", c.BuildClientURL("v3", "keys", "upload"), body, nil)
		return err
	}
	key := func(k string) map[string]any { return map[string]any{"key": k} }
	if err := upload(map[string]any{
		"one_time_keys": map[string]any{"signed_curve25519:A": key("one")},
		"fallback_keys": map[string]any{"signed_curve25519:F": key("fallback")},
	}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for range 3 {
		var resp struct {
			Keys map[id.UserID]map[id.DeviceID]map[string]json.RawMessage `json:"one_time_keys"`
		}
		body := map[string]any{"one_time_keys": map[id.UserID]map[id.DeviceID]string{c.UserID: {c.DeviceID: "signed_curve25519"}}}
		if _, err := c.MakeRequest(t.Context(), "POST", c.BuildClientURL("v3", "keys", "claim"), body, &resp); err != nil {
			t.Fatal(err)
		}
		for name := range resp.Keys[c.UserID][c.DeviceID] {
			got = append(got, name)
		}
	}
	if want := []string{"signed_curve25519:A", "signed_curve25519:F", "signed_curve25519:F"}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	if resp := syncOnce(t, c, "", 1); len(resp.FallbackKeys) != 0 || resp.DeviceOTKCount.SignedCurve25519 != 0 {
		t.Errorf("after the claims: fallback unused %v, %d keys", resp.FallbackKeys, resp.DeviceOTKCount.SignedCurve25519)
	}
	wellUsed(t, s)
	for range 2 {
		_ = upload(map[string]any{"one_time_keys": map[string]any{"signed_curve25519:B": key("b")}})
	}
	wellUsed(t, s) // the same again is no change
	if err := upload(map[string]any{"one_time_keys": map[string]any{"signed_curve25519:B": key("other")}}); err == nil {
		t.Error("a key was replaced")
	}
	if v := s.Violations(); len(v) != 1 || !strings.Contains(v[0], "uploaded twice") {
		t.Errorf("violations %q", v)
	}
}

func TestALockedAccountIsToldSo(t *testing.T) {
	s := start(t, matrixtest.Options{})
	c := login(t, s, s.Account("bot", "secret"))
	s.Lock(c.UserID, true)
	_, err := c.Whoami(t.Context())
	if e, ok := errors.AsType[mautrix.HTTPError](err); !ok || e.RespError.ErrCode != "M_USER_LOCKED" || !e.IsStatus(401) {
		t.Errorf("%v", err)
	}
	s.Lock(c.UserID, false)
	if _, err := c.Whoami(t.Context()); err != nil {
		t.Errorf("unlocked: %v", err)
	}
}

func TestRepeatedRedactedAndPurgedEventsAreShownAsServersDo(t *testing.T) {
	s := start(t, matrixtest.Options{})
	alice := s.Account("alice", "x")
	c := login(t, s, s.Account("bot", "secret"))
	room := s.NewRoom(alice, matrixtest.RoomOptions{})
	room.Join(c.UserID)
	one, two, three := room.Say(alice, "one"), room.Say(alice, "two"), room.Say(alice, "three")
	if err := room.Repeat(one); err != nil {
		t.Fatal(err)
	}
	red := room.Redact(alice, two)
	page, err := c.Messages(t.Context(), room.ID, "", "", mautrix.DirectionBackward, nil, 5)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := ids(page.Chunk), []id.EventID{red, one, three, two, one}; !slices.Equal(got, want) {
		t.Errorf("page %v, want %v", got, want)
	}
	gone, err := c.GetEvent(t.Context(), room.ID, two)
	if err != nil || len(gone.Content.Raw) != 0 || gone.Type != event.EventMessage {
		t.Errorf("redacted event %+v, %v", gone, err)
	}
	room.Purge(three)
	if _, err := c.GetEvent(t.Context(), room.ID, one); !errors.Is(err, mautrix.MNotFound) {
		t.Errorf("purged event: %v", err)
	}
	if _, err := c.GetEvent(t.Context(), room.ID, three); err != nil {
		t.Errorf("event after the purge: %v", err)
	}
	wellUsed(t, s)
}

func TestDendriteRepeatsTheStartOfARoom(t *testing.T) {
	s := start(t, matrixtest.Options{Dendrite: true})
	c := login(t, s, s.Account("bot", "secret"))
	room := s.NewRoom(c.UserID, matrixtest.RoomOptions{})
	first, err := c.Messages(t.Context(), room.ID, "", "", mautrix.DirectionBackward, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Messages(t.Context(), room.ID, first.End, "", mautrix.DirectionBackward, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	if second.End != first.End || len(second.Chunk) != 1 || second.Chunk[0].Type != event.StateCreate {
		t.Errorf("second page ends at %q after %q with %d events", second.End, first.End, len(second.Chunk))
	}
}
