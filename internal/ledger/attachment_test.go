package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func (d *desk) wanted() []timeline.Attachment {
	d.t.Helper()
	got, err := d.Wanted(d.t.Context(), 10)
	d.ok(err)
	return got
}

func (d *desk) readyToAttach() []timeline.Attachment {
	d.t.Helper()
	got, err := d.ReadyToAttach(d.t.Context(), 10)
	d.ok(err)
	return got
}

func (d *desk) fetch(a timeline.Attachment) timeline.Attachment {
	d.t.Helper()
	a.Spool, a.SpoolKey, a.SHA256, a.Bytes, a.MediaType = "spool-"+a.File.URI.FileID, []byte(`{"k":1}`), "abc", 42, "image/png"
	d.ok(d.Fetched(d.t.Context(), a))
	return a
}

func TestAFileIsFetchedBesideAndAttachedAfterItsPost(t *testing.T) {
	d := open(t)
	e := image(1, alice, "media")
	d.news(e)
	want := timeline.Attachment{
		Room: room, Event: e.ID, Sent: e.Sent,
		File: timeline.File{Name: "cat.png", URI: id.ContentURI{Homeserver: "example.org", FileID: "media"}},
	}
	if diff := cmp.Diff([]timeline.Attachment{want}, d.wanted()); diff != "" {
		t.Fatalf("wanted (-want +got):\n%s", diff)
	}
	fetched := d.fetch(want)
	if got := d.readyToAttach(); len(got) != 0 {
		t.Fatal("a file is attached before its post has landed")
	}
	drafts := d.deliver()
	if diff := cmp.Diff([]timeline.Attachment{fetched}, drafts[0].Attachments); diff != "" {
		t.Errorf("attachments of the draft (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]timeline.Attachment{fetched}, d.readyToAttach()); diff != "" {
		t.Fatalf("ready (-want +got):\n%s", diff)
	}
	if caughtUp, err := d.CaughtUp(t.Context()); err != nil || caughtUp {
		t.Errorf("caught up %v (%v) with a file to attach", caughtUp, err)
	}
	names, err := d.Spooled(t.Context())
	d.ok(err)
	if diff := cmp.Diff(map[string]bool{"spool-media": true}, names); diff != "" {
		t.Errorf("spool files (-want +got):\n%s", diff)
	}
	spool, err := d.Attached(t.Context(), fetched)
	d.ok(err)
	if spool != "spool-media" {
		t.Errorf("the spool file to remove is %q", spool)
	}
	if names, err = d.Spooled(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("rows still name %v (%v)", names, err)
	}
	if caughtUp, err := d.CaughtUp(t.Context()); err != nil || !caughtUp {
		t.Errorf("caught up %v, %v", caughtUp, err)
	}
	if got := d.postState(e.ID); got != "landed 1/1" {
		t.Errorf("the post is %s: a file that came raised it", got)
	}
}

func TestAPostDoesNotWaitForItsFile(t *testing.T) {
	d := open(t)
	d.news(image(1, alice, "media"))
	if drafts := d.deliver(); len(drafts) != 1 || len(drafts[0].Attachments) != 0 || len(drafts[0].Post.Files) != 1 {
		t.Errorf("delivered %+v", drafts)
	}
}

func TestAFileThatIsNotImportedIsToldInItsPost(t *testing.T) {
	for name, tc := range map[string]struct {
		giveUp func(*desk, timeline.Attachment) error
		state  string
	}{
		"refused": {func(d *desk, a timeline.Attachment) error { return d.Refuse(t.Context(), a, "too_large") }, "refused too_large"},
		"lost":    {func(d *desk, a timeline.Attachment) error { return d.Lose(t.Context(), a, "not_found") }, "lost not_found"},
		"lost after it was fetched": {func(d *desk, a timeline.Attachment) error {
			return d.Lose(t.Context(), d.fetch(a), "hash_mismatch")
		}, "lost hash_mismatch"},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			d.news(image(1, alice, "media"))
			d.deliver()
			d.ok(tc.giveUp(d, d.wanted()[0]))
			if got := d.column("SELECT state || ' ' || reason FROM ledger_attachment"); got != tc.state {
				t.Errorf("attachment is %s, want %s", got, tc.state)
			}
			drafts := d.deliver()
			if len(drafts) != 1 || len(drafts[0].Attachments) != 1 || drafts[0].Attachments[0].Refused == "" || !strings.HasSuffix(tc.state, " "+drafts[0].Attachments[0].Refused) {
				t.Fatalf("delivered %+v", drafts)
			}
			if names, err := d.Spooled(t.Context()); err != nil || len(names) != 0 {
				t.Errorf("rows still name %v (%v)", names, err)
			}
			ref := ledger.Ref{Kind: ledger.KindAttachment, Room: room, Event: eventID(1)}
			d.ok(d.Requeue(t.Context(), ref))
			if got := d.wanted(); len(got) != 1 || got[0].Refused != "" {
				t.Errorf("after requeueing: %+v", got)
			}
			if err := d.Requeue(t.Context(), ref); !errors.Is(err, ledger.ErrTransition) {
				t.Errorf("requeued twice: %v", err)
			}
		})
	}
}

func TestAnAnnouncementThatIsUnusableIsRefusedAtOnce(t *testing.T) {
	d := open(t)
	d.news(image(1, alice, "../../etc/passwd"))
	if got := d.wanted(); len(got) != 0 {
		t.Errorf("wanted: %+v", got)
	}
	drafts := d.deliver()
	if len(drafts) != 1 || len(drafts[0].Attachments) != 1 || drafts[0].Attachments[0].Refused == "" {
		t.Errorf("delivered %+v", drafts)
	}
}

func TestAFileThatFailsWaitsByTheRetryCurve(t *testing.T) {
	d := open(t)
	d.news(image(1, alice, "media"))
	d.deliver()
	for n := 1; n <= 3; n++ {
		failures, err := d.DeferAttachment(t.Context(), d.wanted()[0], "temporary", "unavailable")
		d.ok(err)
		next, err := d.NextDue(t.Context())
		d.ok(err)
		if failures != n || next.Sub(d.now) != ledger.Delay(n) || len(d.wanted()) != 0 {
			t.Fatalf("failure %d counts as %d and waits %v", n, failures, next.Sub(d.now))
		}
		d.now = next
	}
	fetched := d.fetch(d.wanted()[0])
	d.ok(d.Spoilt(t.Context(), fetched, "hash_mismatch"))
	if got := d.readyToAttach(); len(got) != 0 {
		t.Error("a spoilt file is attached")
	}
	d.now = d.now.Add(time.Minute)
	if got := d.wanted(); len(got) != 1 || got[0].Spool != "" || got[0].SHA256 != "" {
		t.Errorf("wanted again: %+v", got)
	}
}

func TestAnOutcomeForAnotherFileIsVoid(t *testing.T) {
	d := open(t)
	d.news(image(1, alice, "media"))
	a := d.wanted()[0]
	other := a
	other.File.URI.FileID = "another"
	if err := d.Fetched(t.Context(), other); !errors.Is(err, ledger.ErrTransition) {
		t.Errorf("another file was fetched: %v", err)
	}
	d.fetch(a)
	if err := d.Fetched(t.Context(), a); !errors.Is(err, ledger.ErrTransition) {
		t.Errorf("fetched twice: %v", err)
	}
	a.Event = "$unknown"
	if _, err := d.Attached(t.Context(), a); !errors.Is(err, ledger.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}
