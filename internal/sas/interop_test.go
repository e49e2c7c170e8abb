package sas_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto"
	"maunium.net/go/mautrix/crypto/verificationhelper"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

// library is the other side as the Matrix library plays it, by to-device messages: its
// helper, driven by what /sync would bring, and what it sends by HTTP.
type library struct {
	t       *testing.T
	party   sas.Party
	machine *crypto.OlmMachine
	helper  *verificationhelper.VerificationHelper
	out     []sas.Event // that it sent to us

	requested, ready, done id.VerificationTransactionID
	emoji, names           []string
	decimals               []int
	cancelled              event.VerificationCancelCode
}

// silentCrypto is what the helper wants to be there, and never uses by to-device messages.
type silentCrypto struct{ mautrix.CryptoHelper }

func newLibrary(t *testing.T, user id.UserID, device id.DeviceID, us sas.Party) *library {
	t.Helper()
	l := &library{t: t}
	// For each request the helper has a goroutine sleep until it expires.
	t.Cleanup(func() { <-time.After(time.Hour) })
	client, err := mautrix.NewClient("http://homeserver.invalid", user, "token")
	if err != nil {
		t.Fatal(err)
	}
	client.DeviceID, client.Crypto = device, silentCrypto{}
	client.Client = &http.Client{Transport: l}
	silent := zerolog.Nop()
	client.Log = silent
	store := crypto.NewMemoryStore(nil)
	l.machine = crypto.NewOlmMachine(client, &silent, store, mautrix.NewMemoryStateStore().(crypto.StateStore))
	ctx := t.Context()
	if err := l.machine.Load(ctx); err != nil {
		t.Fatal(err)
	}
	l.party = sas.Party{User: user, Device: device, Keys: sas.Keys{Device: l.machine.OwnIdentity().SigningKey}}
	if user == us.User {
		l.party.Keys.Master = us.Keys.Master
	} else {
		keys, err := l.machine.GenerateCrossSigningKeys()
		if err == nil {
			err = l.machine.ImportCrossSigningKeys(keys.Seeds())
		}
		if err != nil {
			t.Fatal(err)
		}
		l.party.Keys.Master = keys.PublicKeys().MasterKey
	}
	if err := store.PutDevice(ctx, us.User, &id.Device{UserID: us.User, DeviceID: us.Device, SigningKey: us.Keys.Device, IdentityKey: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, usage := range []id.CrossSigningUsage{id.XSUsageMaster, id.XSUsageSelfSigning, id.XSUsageUserSigning} {
		if err := store.PutCrossSigningKey(ctx, us.User, usage, us.Keys.Master); err != nil {
			t.Fatal(err)
		}
	}
	l.helper = verificationhelper.NewVerificationHelper(client, l.machine, nil, l, false, false, true)
	if err := l.helper.Init(ctx); err != nil {
		t.Fatal(err)
	}
	return l
}

// RoundTrip is its homeserver.
func (l *library) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/_matrix/client/v3/"), "/")
	switch {
	case path[0] == "sendToDevice":
		var sent struct {
			Messages map[id.UserID]map[id.DeviceID]json.RawMessage
		}
		if err := json.Unmarshal(body, &sent); err != nil {
			return nil, err
		}
		for _, devices := range sent.Messages {
			for _, content := range devices {
				l.out = append(l.out, sas.Event{Type: path[1], Sender: l.party.User, Content: content})
			}
		}
	case r.URL.Path == "/_matrix/client/v3/keys/signatures/upload":
	default:
		l.t.Errorf("the library asks for %s", r.URL)
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}")), Request: r, Header: http.Header{}}, nil
}

// receive is its /sync.
func (l *library) receive(from id.UserID, out []sas.Message) {
	l.t.Helper()
	for _, m := range out {
		if !slices.Contains(m.Devices, l.party.Device) {
			continue
		}
		raw, err := json.Marshal(map[string]any{"to_device": map[string]any{"events": []any{
			map[string]any{"type": m.Type, "sender": from, "content": m.Content},
		}}})
		var sync mautrix.RespSync
		if err == nil {
			err = json.Unmarshal(raw, &sync)
		}
		if err == nil {
			err = l.machine.Client.Syncer.ProcessResponse(l.t.Context(), &sync, "since")
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *library) VerificationRequested(_ context.Context, t id.VerificationTransactionID, _ id.UserID, _ id.DeviceID) {
	l.requested = t
}

func (l *library) VerificationReady(_ context.Context, t id.VerificationTransactionID, _ id.DeviceID, _, _ bool, _ *verificationhelper.QRCode) {
	l.ready = t
}

func (l *library) VerificationCancelled(_ context.Context, _ id.VerificationTransactionID, code event.VerificationCancelCode, _ string) {
	l.cancelled = code
}

func (l *library) VerificationDone(_ context.Context, t id.VerificationTransactionID, _ event.VerificationMethod) {
	l.done = t
}

func (l *library) ShowSAS(_ context.Context, _ id.VerificationTransactionID, emoji []rune, names []string, decimals []int) {
	l.names, l.decimals, l.emoji = names, decimals, nil
	for _, r := range emoji {
		l.emoji = append(l.emoji, string(r))
	}
}

// meeting is our side, its transcript, and the library.
type meeting struct {
	t    *testing.T
	us   *actor
	them *library
}

func meet(t *testing.T, user id.UserID, device id.DeviceID, oldMAC bool) *meeting {
	t.Helper()
	them := newLibrary(t, user, device, bob)
	us := &actor{script: script{Own: bob, Them: them.party, OldMAC: oldMAC, Began: time.Now()}}
	return &meeting{t: t, us: us, them: them}
}

// run hands over until nobody has anything to say.
func (m *meeting) run() {
	m.t.Helper()
	for {
		m.them.receive(bob.User, m.us.take())
		if len(m.them.out) == 0 {
			return
		}
		for _, e := range m.them.out {
			m.us.receive(m.t, e)
		}
		m.them.out = nil
	}
}

func (m *meeting) ask(byUs bool) {
	m.t.Helper()
	if byUs {
		m.us.do(m.t, "request")
		m.run()
		if err := m.them.helper.AcceptVerification(m.t.Context(), m.them.requested); err != nil {
			m.t.Fatal(err)
		}
	} else {
		if _, err := m.them.helper.StartVerification(m.t.Context(), bob.User); err != nil {
			m.t.Fatal(err)
		}
		m.run()
		m.us.do(m.t, "accept")
	}
	m.run()
}

func (m *meeting) start(byUs, byThem bool) {
	m.t.Helper()
	if byUs {
		m.us.do(m.t, "start")
	}
	if byThem {
		if err := m.them.helper.StartSAS(m.t.Context(), m.them.ready); err != nil {
			m.t.Fatal(err)
		}
	}
	m.run()
}

// confirm wants the two to show the same, and lets both say so.
func (m *meeting) confirm(usFirst bool) {
	m.t.Helper()
	ours, ok := m.us.v.Emoji()
	digits, ok2 := m.us.v.Decimals()
	if !ok || !ok2 {
		m.t.Fatalf("we are %v; they cancelled with %q", m.us.v, m.them.cancelled)
	}
	var emoji, names []string
	for _, e := range ours {
		emoji, names = append(emoji, strings.TrimSuffix(e.Symbol, "\ufe0f")), append(names, e.Name)
	}
	if !slices.Equal(emoji, m.them.emoji) || !slices.Equal(names, m.them.names) || !slices.Equal(digits[:], m.them.decimals) {
		m.t.Fatalf("we show %v %v %v, they %v %v %v", emoji, names, digits, m.them.emoji, m.them.names, m.them.decimals)
	}
	for _, us := range []bool{usFirst, !usFirst} {
		if us {
			m.us.do(m.t, "confirm")
		} else if err := m.them.helper.ConfirmSAS(m.t.Context(), m.them.ready); err != nil {
			m.t.Fatal(err)
		}
		m.run()
	}
	if got, ok := m.us.v.Outcome(); !ok || got != m.them.party {
		m.t.Errorf("we verified %+v (%v), not %+v", got, m.us.v, m.them.party)
	}
	if m.them.done == "" || m.them.cancelled != "" {
		m.t.Errorf("they are not done, and cancelled with %q", m.them.cancelled)
	}
	device, err := m.them.machine.CryptoStore.GetDevice(m.t.Context(), bob.User, bob.Device)
	if err != nil || device.Trust != id.TrustStateVerified {
		m.t.Errorf("they do not trust us: %+v, %v", device, err)
	}
	signed, err := m.them.machine.CryptoStore.IsKeySignedBy(m.t.Context(), bob.User, bob.Keys.Master, m.them.party.User, m.signer())
	if err != nil || !signed {
		m.t.Errorf("they did not sign our identity: %v", err)
	}
}

// signer is the key with which the library signs an identity that it has verified.
func (m *meeting) signer() id.Ed25519 {
	if m.them.party.User == bob.User {
		return m.them.party.Keys.Device
	}
	return m.them.machine.CrossSigningKeys.UserSigningKey.PublicKey()
}

func TestTheLibraryVerifiesUsAndWeIt(t *testing.T) {
	for n := range 1 << 5 {
		bit := func(i int) bool { return n>>i&1 == 1 }
		askedByUs, startedByUs, usFirst, oldMAC, ownAccount := bit(0), bit(1), bit(2), bit(3), bit(4)
		if usFirst && !ownAccount {
			continue // then the library takes its own identity for ours, and gives up
		}
		name := fmt.Sprintf("asked by us %v, started %v, confirmed first %v, old code %v, one account %v", askedByUs, startedByUs, usFirst, oldMAC, ownAccount)
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				user := alice.User
				if ownAccount {
					user = bob.User
				}
				m := meet(t, user, "LIBRARY", oldMAC)
				m.ask(askedByUs)
				m.start(startedByUs, !startedByUs)
				m.confirm(usFirst)
				want := "hkdf-hmac-sha256.v2"
				if oldMAC {
					want = "hkdf-hmac-sha256"
				}
				if m.us.v.MAC() != want {
					t.Errorf("vouched by %s, not %s", m.us.v.MAC(), want)
				}
				if *record && !ownAccount && oldMAC == (askedByUs != startedByUs) {
					m.us.write(t, fmt.Sprintf("asked-by-us-%v-started-by-us-%v-%s", askedByUs, startedByUs, want))
				}
			})
		})
	}
}

func TestTheLibraryAgreesOnWhoseStartCounts(t *testing.T) {
	for _, user := range []id.UserID{"@alice:example.org", "@zoe:example.org", bob.User} {
		for _, device := range []id.DeviceID{"A", "Z"} {
			t.Run(fmt.Sprint(user, device), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					m := meet(t, user, device, false)
					m.ask(true)
					m.start(true, true)
					m.confirm(false)
				})
			})
		}
	}
}

func TestTheLibraryHearsWhyWeCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := meet(t, alice.User, "LIBRARY", false)
		m.ask(false)
		m.start(true, false)
		m.them.receive(bob.User, m.us.v.Mismatch())
		if m.them.cancelled != event.VerificationCancelCodeSASMismatch {
			t.Errorf("they heard %q", m.them.cancelled)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		m := meet(t, alice.User, "LIBRARY", false)
		m.ask(false)
		if err := m.them.helper.CancelVerification(t.Context(), m.them.ready, event.VerificationCancelCodeUser, "no"); err != nil {
			t.Fatal(err)
		}
		m.run()
		if c, _ := m.us.v.Cancellation(); c != (sas.Cancellation{Code: sas.CodeUser}) {
			t.Errorf("we heard %+v", c)
		}
	})
}
