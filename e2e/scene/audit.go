package scene

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/audit"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

// Unaudited says that the promises of package audit cannot be checked at the end of
// this story, and why.
func (s *Scene) Unaudited(reason string) {
	if reason == "" {
		s.t.Fatal("a story that is not audited has to say why")
	}
	s.unaudited = reason
}

// Audits checks the promises of package audit in the middle of a story, while the
// connector does not run. The scene does so at the end by itself.
func (s *Scene) Audits() {
	s.t.Helper()
	s.audit()
}

// audit compares what the homeserver shows the bot with the ledger and the platform,
// once the connector has ended.
func (s *Scene) audit() {
	s.t.Helper()
	if s.unaudited != "" {
		s.t.Logf("not audited: %s", s.unaudited)
		return
	}
	// The test's own context has ended when its curtain falls.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), Patience)
	defer cancel()
	book, err := audit.Read(ctx, s.store(), s.t.TempDir())
	if errors.Is(err, audit.ErrNoBook) {
		return // it ended before it read anything; what was said is compared all the same
	}
	if err != nil {
		s.t.Errorf("audit: %v", err)
		return
	}
	evidence := audit.Evidence{Book: book}
	if evidence.Shown, err = s.shown(ctx, book.Token); err != nil {
		s.t.Errorf("audit: %v", err)
		return
	}
	if !s.offline {
		evidence.Landed = map[id.EventID]int{}
		for e, objects := range s.messages() {
			evidence.Landed[e] = len(objects)
		}
	}
	if s.run != nil || len(evidence.Shown) == 0 && len(book.Rows) > 0 {
		s.t.Errorf("audit: nothing to compare %d rows with", len(book.Rows))
	}
	for _, p := range evidence.Problems() {
		s.t.Errorf("audit: %s", p)
	}
	s.t.Logf("audited: %d events shown, %d in the ledger, %d posts, %d messages on the platform",
		len(evidence.Shown), len(book.Rows), len(book.Posts), len(evidence.Landed))
}

// shown asks the homeserver in the bot's name, on a device of its own.
func (s *Scene) shown(ctx context.Context, token string) ([]audit.Event, error) {
	client, err := mautrix.NewClient(s.Town.Homeserver.URL, "", "")
	if err != nil {
		return nil, err
	}
	_, err = client.Login(ctx, &mautrix.ReqLogin{
		Type: mautrix.AuthTypePassword, Password: people.Password, StoreCredentials: true,
		Identifier: mautrix.UserIdentifier{Type: mautrix.IdentifierTypeUser, User: s.Env["MATRIX_USER_ID"]},
	})
	if err != nil {
		return nil, err
	}
	return audit.Shown(ctx, client, token)
}

// store is the folder of the connector's store.
func (s *Scene) store() string {
	if path := s.Env["MATRIX_STORE_PATH"]; filepath.IsAbs(path) {
		return path
	} else if path != "" {
		return filepath.Join(s.Dir, strings.TrimPrefix(path, "./"))
	}
	return filepath.Join(s.Dir, "store")
}
