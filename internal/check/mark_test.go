package check_test

import (
	"fmt"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/check"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
	"github.com/matrix-connector/matrix-connector/internal/store"
)

// mark reads the store's own.
func (s *scene) mark() ledger.Mark {
	s.t.Helper()
	st, err := store.OpenReadOnly(s.t.Context(), store.Config{Path: s.env["MATRIX_STORE_PATH"], Key: []byte(s.env["MATRIX_STORE_KEY"])})
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = st.Close() }() // it was only read
	m, err := ledger.New(ledger.Config{Store: st}).Mark(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestAnOldCopyOfTheStoreIsTold(t *testing.T) {
	s := newScene(t, openctitest.Config{})
	s.starts()
	s.registers("Matrix", "EXTERNAL_IMPORT", s.platform.Token("connector"))
	here := s.mark()
	for _, state := range []string{
		`{"version":1,"batches":999}`, "null", `{"last_run":"2024-01-01"}`,
		fmt.Sprintf(`{"version":2,"store":%q,"commits":%d}`, here.Store, here.Commits),
		`{"version":2,"store":"another","commits":999}`,
	} {
		if err := s.platform.SetState(connID, state); err != nil {
			t.Fatal(err)
		}
		s.checks().noneFails()
	}
	if err := s.platform.SetState(connID, fmt.Sprintf(`{"version":2,"store":%q,"commits":%d}`, here.Store, here.Commits+1)); err != nil {
		t.Fatal(err)
	}
	s.checks().is(check.Registered, check.Failed, "is an old copy", "put the newest store back", "keys export", "MATRIX_STORE_PATH")
}
