package people

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

// Element is somebody who uses Element: the client is matrix-js-sdk on the Rust
// crypto (e2e/element), with the settings that Element gives it. It has an account,
// one device, and keeps syncing until the story ends.
type Element struct {
	account
	// Device is the client's device, which is in memory only.
	Device id.DeviceID

	process *parts.Element

	news          news
	requests      int                   // asked so far; what follows is guarded by news
	answers       map[int]answer        // that nobody has taken yet
	heard         map[id.EventID]letter // read events
	dark          map[id.EventID]Dark   // undecryptable ones
	verifications map[string]*exchange  // by transaction
	begun         []string              // transactions in the order in which they came up
}

// patience is how long a client may take for what others bring about.
const patience = 90 * time.Second

// Isolation is whose devices a client shares its room keys with.
type Isolation string

const (
	// AllDevices is how Element is set by default.
	AllDevices Isolation = "all devices"
	// OnlySignedDevices excludes devices that their owner has not cross-signed
	// (MSC4153); Element calls it "exclude insecure devices".
	OnlySignedDevices Isolation = "only signed"
	// OnlyTrustedDevices excludes devices of people whom the user has not verified;
	// Element calls it "never send encrypted messages to unverified sessions".
	OnlyTrustedDevices Isolation = "only trusted"
)

// ElementOption shapes a client at its start.
type ElementOption func(*elementOptions)

type elementOptions struct {
	isolation Isolation
	unsigned  bool
	sealed    bool
}

// OnlySigned makes a client share room keys with cross-signed devices alone.
func OnlySigned() ElementOption {
	return func(o *elementOptions) { o.isolation = OnlySignedDevices }
}

// OnlyTrusted makes a client share room keys with verified people alone.
func OnlyTrusted() ElementOption {
	return func(o *elementOptions) { o.isolation = OnlyTrustedDevices }
}

// Unsigned leaves the device without a signature, and the account without an
// identity if it has none.
func Unsigned() ElementOption {
	return func(o *elementOptions) { o.unsigned = true }
}

// SealedVerifications makes a client encrypt what it sends of a verification in an
// encrypted room. The SDK does not, clients that are built on the Rust SDK itself, such
// as Element X, do; both are met.
func SealedVerifications() ElementOption {
	return func(o *elementOptions) { o.sealed = true }
}

// MovesWithElement creates an account and logs it in with Element, which makes a
// cross-signing identity for it.
func (t *Town) MovesWithElement(name string, options ...ElementOption) *Element {
	t.stage.Helper()
	t.Registers(name)
	return t.OpensElement(name, options...)
}

// OpensElement logs an existing account in with Element, as one more device. The
// identity of an account that has one already is not touched: see
// [Element.Recovers].
func (t *Town) OpensElement(name string, options ...ElementOption) *Element {
	t.stage.Helper()
	o := elementOptions{isolation: AllDevices}
	for _, option := range options {
		option(&o)
	}
	e := &Element{
		account: account{ID: id.NewUserID(name, parts.ServerName), town: t},
		answers: map[int]answer{}, heard: map[id.EventID]letter{}, dark: map[id.EventID]Dark{},
		verifications: map[string]*exchange{},
	}
	var err error
	if e.process, err = parts.StartElement(t.stage.TempDir(), &lines{each: e.receive}); err != nil {
		t.stage.Fatalf("%s opens Element: %v", name, err)
	}
	go func() {
		<-e.process.Done()
		e.news.tell(func() {}) // nothing more will come
	}()
	t.stage.Cleanup(func() {
		if err := e.process.Close(); err != nil {
			t.stage.Fatalf("%s closes Element: %v", name, err)
		}
	})
	var session struct {
		Device id.DeviceID `json:"device"`
		Token  string      `json:"token"`
	}
	e.asks("login", map[string]any{
		"homeserver": t.Homeserver.URL, "user": name, "password": Password, "name": "Element of " + name,
	}, &session)
	e.Device = session.Device
	if e.client, err = mautrix.NewClient(t.Homeserver.URL, e.ID, session.Token); err != nil {
		e.fail("make a client: %v", err)
	}
	e.client.DeviceID = e.Device
	e.Isolates(o.isolation)
	if o.sealed {
		e.asks("seal-verifications", nil, nil)
	}
	if !o.unsigned {
		e.asks("have-identity", nil, nil)
	}
	return e
}

// answer is what a request got.
type answer struct {
	ID     int             `json:"id"`
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
}

// asks makes a request and waits for its answer; into may be nil. The story ends
// with the client's log where it fails.
func (e *Element) asks(what string, with map[string]any, into any) {
	e.town.stage.Helper()
	if err := e.tries(what, with, into); err != nil {
		e.stops("%s: %v", what, err)
	}
}

// tries is asks for what may fail.
func (e *Element) tries(what string, with map[string]any, into any) error {
	var n int
	e.news.tell(func() { e.requests++; n = e.requests })
	line, err := json.Marshal(map[string]any{"id": n, "do": what, "with": with})
	if err != nil {
		return err
	}
	if err := e.process.Ask(append(line, '\n')); err != nil {
		return err
	}
	var got answer
	err = e.await(func() (ok bool) {
		got, ok = e.answers[n]
		delete(e.answers, n)
		return ok
	})
	if err != nil {
		return err
	}
	if got.Error != "" {
		return errors.New(got.Error)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(got.Result, into)
}

var errGone = errors.New("the client has ended")

// await waits until a condition on what the client told holds.
func (e *Element) await(holds func() bool) error {
	ctx, cancel := context.WithTimeout(e.ctx(), patience)
	defer cancel()
	gone := false
	err := e.news.await(ctx, func() bool {
		if holds() {
			return true
		}
		select {
		case <-e.process.Done():
			gone = true
		default:
		}
		return gone
	})
	if err == nil && gone {
		return errGone
	}
	return err
}

// stops ends the story with the end of the client's log.
func (e *Element) stops(format string, args ...any) {
	e.town.stage.Helper()
	e.fail("%s\nthe log of its Element ends:\n%s", fmt.Sprintf(format, args...), e.process.Stderr.Tail(40))
}

// receive takes one line of the client's.
func (e *Element) receive(line []byte) {
	var told struct {
		Event string `json:"event"`
	}
	if json.Unmarshal(line, &told) != nil {
		return // no JSON: the tail of the log shows it
	}
	switch told.Event {
	case "":
		var a answer
		if json.Unmarshal(line, &a) == nil {
			e.news.tell(func() { e.answers[a.ID] = a })
		}
	case "heard":
		var l letter
		if json.Unmarshal(line, &l) == nil {
			e.news.tell(func() { e.heard[l.Event] = l; delete(e.dark, l.Event) })
		}
	case "dark":
		var d Dark
		if json.Unmarshal(line, &d) == nil {
			e.news.tell(func() { e.dark[d.Event] = d })
		}
	case "verification":
		var x exchange
		if json.Unmarshal(line, &x) == nil {
			e.news.tell(func() { e.exchanged(x) })
		}
	}
}

// lines hands on what is written to it, one line at a time without its end.
type lines struct {
	rest []byte
	each func([]byte)
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		l.each(line)
		l.rest = rest
	}
}
