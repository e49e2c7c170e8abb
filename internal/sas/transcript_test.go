package sas_test

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/sas"
)

var record = flag.Bool("record", false, "write new transcripts of dialogues with the library into testdata")

// The transcripts were taken from dialogues in which the library agreed to each word and
// to each emoji. Our side says the same again, by the same randomness.
func TestTranscriptsWithTheLibraryAreRepeated(t *testing.T) {
	files, err := filepath.Glob("testdata/transcripts/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var want script
			if err := json.Unmarshal(raw, &want); err != nil {
				t.Fatal(err)
			}
			a := &actor{script: want}
			a.Lines, a.Emoji, a.Decimals = nil, [7]sas.Emoji{}, [3]int{}
			for _, l := range want.Lines {
				if l.Event != nil {
					a.receive(t, *l.Event)
				} else {
					a.do(t, l.Do)
				}
			}
			got, err := json.MarshalIndent(a.script, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(raw), string(got)+"\n"); diff != "" {
				t.Errorf("said something else: %s", diff)
			}
			if them, ok := a.v.Outcome(); !ok || them != want.Them {
				t.Errorf("verified %+v", them)
			}
		})
	}
}

func (a *actor) write(t *testing.T, name string) {
	t.Helper()
	raw, err := json.MarshalIndent(a.script, "", "\t")
	if err == nil {
		err = os.WriteFile(filepath.Join("testdata", "transcripts", name+".json"), append(raw, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// script is a transcript of our side: what was done and received, and what was said to it.
type script struct {
	Own, Them sas.Party
	OldMAC    bool
	Began     time.Time
	Lines     []line
	Emoji     [7]sas.Emoji
	Decimals  [3]int
}

// line is one call of ours with what it returned.
type line struct {
	Do    string     `json:",omitempty"`
	Event *sas.Event `json:",omitempty"`
	Send  []sas.Message
}

// actor plays our side and writes its script.
type actor struct {
	script
	v    *sas.Verification
	sent []sas.Message
}

func (a *actor) config() sas.Config { return sas.Config{Own: a.Own, Rand: seed(200)} }

func (a *actor) do(t *testing.T, what string) {
	t.Helper()
	var out []sas.Message
	var err error
	switch what {
	case "request":
		a.v, out, err = sas.Request(a.config(), a.Them.User, []id.DeviceID{a.Them.Device}, a.Began)
	case "accept":
		out, err = a.v.Accept()
	case "start":
		out, err = a.v.Start()
	case "confirm":
		out, err = a.v.Confirm()
	}
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	a.say(line{Do: what}, out)
}

func (a *actor) receive(t *testing.T, e sas.Event) {
	t.Helper()
	var out []sas.Message
	var err error
	if a.v == nil {
		a.v, out, err = sas.Requested(a.config(), e, a.Began)
	} else {
		out, err = a.v.Receive(e)
	}
	if err != nil {
		t.Fatalf("%s: %v", e.Type, err)
	}
	a.say(line{Event: &e}, out)
	if a.v.NeedsKeys() {
		if out, err = a.v.Supply(a.Them.Keys); err != nil || len(out) > 0 {
			t.Fatalf("supply keys: %v, %v", out, err)
		}
	}
}

func (a *actor) say(l line, out []sas.Message) {
	if a.OldMAC {
		a.v.OnlyOldMAC()
	}
	l.Send = out
	a.Lines = append(a.Lines, l)
	a.sent = append(a.sent, out...)
	if emoji, ok := a.v.Emoji(); ok {
		a.Emoji = emoji
		a.Decimals, _ = a.v.Decimals()
	}
}

func (a *actor) take() []sas.Message {
	out := a.sent
	a.sent = nil
	return out
}
