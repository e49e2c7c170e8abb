package status_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestTextsOfStrangersBecomePlain(t *testing.T) {
	for name, c := range map[string]struct {
		in   string
		most int
		want string
	}{
		"a plain name":        {"Incident 7", 80, "Incident 7"},
		"another script":      {"事件 七 – Ünfäll", 80, "事件 七 – Ünfäll"},
		"markup stays":        {"<b>&", 80, "<b>&"},
		"lines become blanks": {" a\r\n\tb\u2028c ", 80, "a b c"},
		"directions":          {"a\u202eb\u2066c\u200fd\u061ce", 80, "abcde"},
		"controls":            {"a\x00\x1b[31mb\u0085c", 80, "a[31mb c"},
		"invisible":           {"\u200b\u2060\ufeff\u3164\u115f\u2800x\U000e0041", 80, "x"},
		"broken UTF-8":        {"a\xff\xfeb", 80, "ab"},
		"a tower of marks":    {"z" + strings.Repeat("\u0301", 40) + "y", 80, "z\u0301\u0301\u0301y"},
		"too long":            {strings.Repeat("ü", 81), 80, strings.Repeat("ü", 80) + "…"},
		"just right":          {strings.Repeat("ü", 80), 80, strings.Repeat("ü", 80)},
		"nothing":             {"\u202e", 80, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := status.Plain(c.in, c.most); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func FuzzPlain(f *testing.F) {
	f.Add("a\u202eb\n\xff", 3)
	f.Fuzz(func(t *testing.T, in string, most int) {
		most = 1 + (most&0x7fffffff)%200
		got := status.Plain(in, most)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > most+1 || strings.ContainsAny(got, "\n\r\t\x00\u202e\u2028") {
			t.Errorf("%q becomes %q", in, got)
		}
		if again := status.Plain(got, most+1); again != got {
			t.Errorf("%q becomes %q the second time", got, again)
		}
	})
}

func TestOneSentenceSaysHowItIs(t *testing.T) {
	ready := status.Readiness{Ready: true}
	platform := status.Connector{Sink: status.Sink{Kind: "platform"}, Started: noon.Add(-time.Hour)}
	for name, c := range map[string]struct {
		change   func(*status.Snapshot)
		level    status.Level
		sentence string
	}{
		"all is well":     {func(*status.Snapshot) {}, status.Good, "Running. Everything that was said is in OpenCTI."},
		"an export":       {func(s *status.Snapshot) { s.Connector.Sink.Kind = "directory" }, status.Good, "Running. Everything that was said is in the folder."},
		"messages come":   {func(s *status.Snapshot) { s.Counts.Posts = map[string]int{"due": 1200, "sent": 34} }, status.Good, "Running. 1\u202f234 messages are on the way."},
		"history is read": {func(s *status.Snapshot) { s.Counts.Gaps = 2 }, status.Good, "Running. History is being read."},
		"refused": {
			func(s *status.Snapshot) {
				s.Counts.Posts = map[string]int{"dead": 2}
				s.Counts.Undecrypted = map[string]int{"no_session": 1, "replay": 5}
				s.Invites = make([]status.Invite, 2)
				s.Lag.Delivery = new(3600.0)
			},
			status.Warn, "Running. Worth a look: 2 objects were refused or given up, 1 message has no key, 2 invites wait, delivery is 1 h behind.",
		},
		"a device that nobody has signed": {
			func(s *status.Snapshot) {
				s.Device = status.Device{Looked: noon, Withheld: make([]status.Withheld, 2), MoreWithheld: 1}
			},
			status.Warn, "Running. Worth a look: the bot's device is not signed, 3 people withhold room keys.",
		},
		"a device that nobody has looked at": {func(s *status.Snapshot) { s.Device = status.Device{} }, status.Good, "Running. Everything that was said is in OpenCTI."},
		"a full spool":                       {func(s *status.Snapshot) { s.Disk.Waits = "spool_full" }, status.Warn, "Running. Worth a look: attachments wait until others were delivered."},
		"a disk nearly full":                 {func(s *status.Snapshot) { s.Disk.Waits = "disk_low" }, status.Warn, "Running. Worth a look: the disk is nearly full."},
		"stopped": {
			func(s *status.Snapshot) {
				s.Stopped, s.Readiness = true, status.Readiness{}
				s.Counts.Posts = map[string]int{"due": 1, "dead": 1}
			},
			status.Bad, "No connector is running. 1 message waits to be delivered. Worth a look: 1 object was refused or given up.",
		},
		"starting": {
			func(s *status.Snapshot) {
				s.Connector.Started = noon.Add(-time.Second)
				s.Readiness = status.Readiness{Reasons: []status.Reason{{What: "the bot is being logged in"}}}
			},
			status.Warn, "Starting: the bot is being logged in.",
		},
		"away": {
			func(s *status.Snapshot) {
				s.Readiness = status.Readiness{Reasons: []status.Reason{{What: "the homeserver is unreachable", Since: noon.Add(-26 * time.Minute)}, {What: "x"}}}
			},
			status.Bad, "Not ready: the homeserver is unreachable for 26 min; x. Nothing is lost: it goes on where it was.",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := status.Snapshot{At: noon, Connector: platform, Readiness: ready}
			c.change(&s)
			if got := status.Judge(s); got.Level != c.level || got.Sentence != c.sentence {
				t.Errorf("got %+v, want %s %q", got, c.level, c.sentence)
			}
		})
	}
}

// Every reason that a row can have is said in words, with a cure of its own.
func TestEveryReasonHasACure(t *testing.T) {
	type row struct{ what, state, reason string }
	var rows []row
	for _, r := range []timeline.UndecryptedReason{
		timeline.ReasonNoSession, timeline.ReasonWithheld, timeline.ReasonUnknownIndex, timeline.ReasonBadMAC, timeline.ReasonReplay,
		timeline.ReasonWrongRoom, timeline.ReasonAlgorithm, timeline.ReasonMalformed,
	} {
		rows = append(rows, row{"event", "undecrypted", string(r)})
	}
	for _, r := range []matrix.MediaReason{
		matrix.MediaNotFound, matrix.MediaForbidden, matrix.MediaRefused, matrix.MediaRemoteLimit, matrix.MediaHashMismatch, matrix.MediaBadKey, matrix.MediaBadURI,
	} {
		rows = append(rows, row{"attachment", "lost", string(r)})
	}
	for _, r := range []string{timeline.ProblemNoURI, timeline.ProblemURI, timeline.ProblemKey, timeline.ProblemKeyLen} {
		rows = append(rows, row{"attachment", "refused", r})
	}
	for _, r := range reasonsInCode(t) {
		rows = append(rows, row(r))
	}
	known := map[row]bool{}
	for _, r := range rows {
		known[r] = true
	}
	for _, must := range []row{
		{"post", "dead", "mapping_failed"},
		{"post", "dead", "refused: "},
		{"post", "dead", "unconfirmed"},
		{"attachment", "refused", "too_large"},
		{"attachment", "lost", "nothing_to_say"},
		{"gap", "lost", "page_budget"},
		{"target", "missing", "not_found"},
	} {
		if !known[must] {
			t.Errorf("%v is not found in the code: does this test still look at the right places?", must)
		}
	}
	for _, r := range rows {
		says, cure := status.Explain(r.what, r.state, r.reason)
		if says == "" || cure == "" || strings.Contains(cure, "please report it") != (r.reason == "mapping_failed") {
			t.Errorf("%v: %q, cure %q", r, says, cure)
		}
	}
	// What nobody has heard of is said as it is, made harmless.
	if says, cure := status.Explain("post", "odd", "\u202eodd"); says != "odd" || cure == "" {
		t.Errorf("%q, %q", says, cure)
	}
	if says, _ := status.Explain("post", "dead", "refused: UNSUPPORTED_ERROR"); says != "refused by the platform (UNSUPPORTED_ERROR)" {
		t.Errorf("a detail: %q", says)
	}
}

// reasonsInCode finds the reasons that are written out where rows get them.
func reasonsInCode(t *testing.T) (rows []struct{ what, state, reason string }) {
	t.Helper()
	add := func(what, state, reason string) {
		rows = append(rows, struct{ what, state, reason string }{what, state, reason})
	}
	for _, place := range []struct {
		files, pattern, state string
		what                  []string
	}{
		{"../connector/*.go", `\.Kill\([^"\n]*"([a-z_]+(?:: )?)"`, "dead", []string{"post", "room", "author"}},
		{"../connector/*.go", `\.Refuse\([^"\n]*"([a-z_]+)"`, "refused", []string{"attachment"}},
		{"../connector/*.go", `\breason(?:NoPost|Gone) += "([a-z_]+)"|const reason(?:NoPost|Gone) = "([a-z_]+)"`, "lost", []string{"attachment", "post"}},
		{"../ledger/state.go", `\bdead[A-Z]\w+ += "([a-z_]+)"`, "dead", []string{"post"}},
		{"../matrix/gap.go", `\bgap[A-Z]\w+ += "([a-z_]+)"`, "lost", []string{"gap"}},
		{"../matrix/gap.go", `\bgap(?:Forbidden|NotFound|Refused) += "([a-z_]+)"`, "missing", []string{"target"}},
	} {
		files, err := filepath.Glob(place.files)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range regexp.MustCompile(place.pattern).FindAllStringSubmatch(string(text), -1) {
				for _, what := range place.what {
					add(what, place.state, strings.Join(found[1:], ""))
				}
			}
		}
	}
	return rows
}
