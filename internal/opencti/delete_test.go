package opencti_test

import (
	"log/slog"
	"testing"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
)

func TestAFileIsRemovedByItsNameAndTwiceIsOnce(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			s.attach(m.ID, "Secret.txt", "a", sentAt)
			s.attach(m.ID, "stays.txt", "b", sentAt)
			for range 2 {
				if err := s.platform.Detach(t.Context(), m.ID, "Secret.txt"); err != nil {
					t.Fatal(err)
				}
			}
			files := s.octi.Files(string(m.ID))
			if len(files) != 1 || files[0].Name != "stays.txt" {
				t.Errorf("files %+v", files)
			}
			if err := s.platform.Detach(t.Context(), stix.MediaContentID("$nobody"), "x"); err != nil {
				t.Errorf("of an absent object: %v", err)
			}
		})
	}
}

func TestADeletedMessageLeavesNothingInStorageOrTrash(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			s.attach(m.ID, "secret.txt", "a", sentAt)
			for range 2 {
				if err := s.platform.Delete(t.Context(), m.ID); err != nil {
					t.Fatal(err)
				}
			}
			if o, ok := s.octi.Object(string(m.ID)); ok {
				t.Errorf("it is there: %+v", o)
			}
			if n := s.octi.Trash(); n != 0 {
				t.Errorf("%d entries in the trash", n)
			}
			if n := s.octi.Calls("deleteImport"); n != 1 {
				t.Errorf("%d files removed", n)
			}
			if n := s.octi.Calls("deleteOperationConfirm"); n != 1 {
				t.Errorf("%d entries of the trash emptied", n)
			}
		})
	}
}

func TestWhoMayNotDeleteIsToldSo(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s, m := spoken(t, g)
			weak := connect(t, opencti.Config{URL: s.octi.URL(), Token: "blind-token", ConnectorID: connectorID, Name: "Matrix", Markings: amber(), Log: slog.New(slog.NewTextHandler(s.log, nil))})
			if _, err := weak.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := weak.Delete(t.Context(), m.ID); opencti.ClassOf(err) != opencti.Unauthorized {
				t.Errorf("%v", err)
			}
			if _, ok := s.octi.Object(string(m.ID)); !ok {
				t.Error("it is gone all the same")
			}
		})
	}
}
