package scene

import (
	"maps"
	"strings"

	"github.com/matrix-connector/matrix-connector/e2e/people"
)

// curtain asserts what holds at the end of every story.
func (s *Scene) curtain() {
	defer func() {
		for _, run := range s.runs {
			run.Kill()
		}
	}()
	if s.t.Failed() {
		s.tellLog()
		return
	}
	s.Stops()
	for _, p := range s.compare(s.said()) {
		s.t.Errorf("at the end: %s", p)
	}
	for _, v := range s.Platform.Violations() {
		s.t.Errorf("the connector misused the platform: %s", v)
	}
	s.canaries()
	if s.t.Failed() {
		s.tellLog()
	}
}

// tellLog shows what the parts said, for a failure that may not come again.
func (s *Scene) tellLog() {
	for i, run := range s.runs {
		s.t.Logf("the log of run %d ends\n%s", i+1, run.Stderr.Tail(60))
	}
	s.t.Logf("the homeserver's log ends\n%s\n%s", s.Town.Homeserver.Stdout.Tail(20), s.Town.Homeserver.Stderr.Tail(20))
}

// Secret says that a text must be in no log and no command line of the connector's.
func (s *Scene) Secret(text, what string) { s.secrets[text] = what }

// canaries looks for what must never be in a log.
func (s *Scene) canaries() {
	words := map[string]string{
		people.Password:              "a password",
		s.Env["OPENCTI_TOKEN"]:       "the platform's token",
		"the test broker":            "the broker's password",
		s.Env["MATRIX_ACCESS_TOKEN"]: "an access token",
	}
	maps.Copy(words, s.secrets)
	for _, one := range s.Town.Said() {
		for _, w := range pieces(one.Text) {
			words[w] = "chat text"
		}
		if one.File != nil {
			for _, w := range pieces(one.File.Name) {
				words[w] = "a file name"
			}
		}
	}
	delete(words, "")
	for i, run := range s.runs {
		for _, line := range append(run.Stderr.Lines(), run.Stdout.Lines()...) {
			for w, what := range words {
				if strings.Contains(line, w) {
					s.t.Errorf("run %d logs %s: %s", i+1, what, line)
				}
			}
		}
	}
}

// pieces are the parts of a text that would give it away in a log: the whole, its
// beginning and its end. Words that a log may use by itself are too short to tell.
func pieces(text string) []string {
	const telling = 20
	if len(text) < telling {
		return nil
	}
	return []string{text, text[:telling], text[len(text)-telling:]}
}
