package ledger_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func policy(p ledger.Redactions) func(*ledger.Config) {
	return func(c *ledger.Config) { c.Redactions = func(timeline.Room) ledger.Redactions { return p } }
}

// withReason gives a redaction its reason.
func withReason(e timeline.Event, reason string) timeline.Event {
	e.Content, _ = json.Marshal(map[string]any{"redacts": contentOf(e)["redacts"], "reason": reason})
	return e
}

func contentOf(e timeline.Event) map[string]json.RawMessage {
	var content map[string]json.RawMessage
	_ = json.Unmarshal(e.Content, &content)
	return content
}

func TestARedactedMessageIsMaskedAndErased(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "a secret"), edit(2, alice, "another secret", eventID(1)), like(3, eventID(1), "+1"), edit(4, bob, "forged secret", eventID(1)))
	d.deliver()
	d.news(withReason(redaction(5, alice, eventID(1)), "posted by mistake"))
	got := d.deliver()
	want := &timeline.Redaction{By: alice, At: message(5, alice, "").Sent, Reason: "posted by mistake"}
	if len(got) != 1 || !got[0].Post.Masked || got[0].Post.Text != "" || got[0].Post.Earlier != nil || got[0].Post.SenderName == "" || got[0].Delete {
		t.Fatalf("said: %+v", got)
	}
	if diff := cmp.Diff(want, got[0].Post.Redaction); diff != "" {
		t.Errorf("redaction (-want +got):\n%s", diff)
	}
	if left := d.column("SELECT group_concat(e.event, ' ') FROM ledger_event e JOIN ledger_content c ON c.event = e.id"); left != string(eventID(3)+" "+eventID(5)) {
		t.Errorf("content is left of %s", left)
	}
	if got := d.column("SELECT count(*) FROM ledger_event WHERE erased = 1 AND sender <> '' AND type <> '' AND sent > 0"); got != "3" {
		t.Errorf("%s rows are erased", got)
	}
	// What comes of it later says nothing.
	d.news(edit(6, alice, "a late secret", eventID(1)), message(1, alice, "a secret"))
	if got := d.deliver(); len(got) != 0 {
		t.Errorf("said again: %+v", got)
	}
	if got := d.column("SELECT count(*) FROM ledger_event WHERE erased = 1"); got != "4" {
		t.Errorf("%s rows are erased after a late edit", got)
	}
}

func TestNobodyWithoutTheRightRedacts(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "said"))
	d.news(redaction(2, "@mallory:evil.example", eventID(1)))
	elsewhere := redaction(3, alice, eventID(1))
	elsewhere.Room = "!other:example.org"
	d.news(elsewhere)
	if got := texts(d.deliver()); !slices.Equal(got, []string{"said"}) {
		t.Errorf("said: %q", got)
	}
	allowed := redaction(4, "@moderator:elsewhere.example", eventID(1))
	allowed.Redacts = timeline.RightYes
	d.news(allowed)
	if got := d.deliver(); len(got) != 1 || !got[0].Post.Masked {
		t.Errorf("said: %+v", got)
	}
}

func TestARedactedEditIsUndoneWithItsFile(t *testing.T) {
	d := open(t)
	changed := event(2, alice, map[string]any{
		"msgtype": "m.image", "body": "x", "m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": eventID(1)},
		"m.new_content": map[string]any{"msgtype": "m.image", "body": "secret.png", "url": "mxc://example.org/second"},
	})
	d.news(image(1, alice, "first"), changed)
	d.deliver()
	d.news(redaction(3, alice, eventID(2)))
	got := d.deliver()
	if len(got) != 1 || len(got[0].Post.Files) != 1 || got[0].Post.Files[0].URI.FileID != "first" || got[0].Post.Masked {
		t.Fatalf("said: %+v", got)
	}
	withdrawn, err := d.Withdrawn(t.Context(), 10)
	d.ok(err)
	if len(withdrawn) != 1 || withdrawn[0].File.Name != "secret.png" || withdrawn[0].File.Key != nil || !withdrawn[0].File.URI.IsEmpty() {
		t.Fatalf("withdrawn: %+v", withdrawn)
	}
	d.ok(d.DeferRemoval(t.Context(), withdrawn[0]))
	if again, err := d.Withdrawn(t.Context(), 10); err != nil || len(again) != 0 {
		t.Errorf("withdrawn at once again: %+v, %v", again, err)
	}
	d.ok(d.Removed(t.Context(), withdrawn[0]))
	if got := d.column("SELECT count(*) FROM ledger_attachment WHERE withdrawn = 1"); got != "0" {
		t.Errorf("%s files are still withdrawn", got)
	}
	if err := d.Requeue(t.Context(), ledger.Ref{Kind: ledger.KindAttachment, Room: room, Event: eventID(1), Index: withdrawn[0].File.Index}); err == nil {
		t.Error("a redacted file is wanted again")
	}
}

func TestAFileOfARedactedMessageLeavesTheSpool(t *testing.T) {
	d := open(t)
	d.news(image(1, alice, "media"))
	d.deliver()
	wanted, err := d.Wanted(t.Context(), 1)
	d.ok(err)
	name := strings.Repeat("ab", 16)
	file := filepath.Join(d.store.Path(), "spool", name)
	if err := os.WriteFile(file, []byte("ciphertext"), 0o600); err != nil {
		t.Fatal(err)
	}
	wanted[0].Spool = name
	d.ok(d.Fetched(t.Context(), wanted[0]))
	d.news(redaction(2, alice, eventID(1)))
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the spool file: %v", err)
	}
	if ready, err := d.ReadyToAttach(t.Context(), 1); err != nil || len(ready) != 0 {
		t.Errorf("ready: %+v, %v", ready, err)
	}
	if _, err := d.Attached(t.Context(), wanted[0]); err == nil {
		t.Error("an upload that ends too late counts")
	}
}

// TestNothingOfARedactedMessageIsLeftOnDisk looks for the sealed rows in the database
// and its log, byte by byte.
func TestNothingOfARedactedMessageIsLeftOnDisk(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, strings.Repeat("a secret ", 50)), edit(2, alice, strings.Repeat("more of it ", 50), eventID(1)), message(3, alice, "stays"))
	sealed := map[string][]byte{}
	for _, event := range []id.EventID{eventID(1), eventID(2), eventID(3)} {
		var row []byte
		err := d.store.DB().QueryRow(t.Context(), "SELECT c.sealed FROM ledger_content c JOIN ledger_event e ON e.id = c.event WHERE e.event = ?", event).Scan(&row)
		d.ok(err)
		sealed[string(event)] = row
	}
	onDisk := func() map[string]bool {
		// What the log holds goes into the database, and the log is emptied.
		if _, err := d.store.DB().Exec(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
		found := map[string]bool{}
		files, err := os.ReadDir(d.store.Path())
		d.ok(err)
		for _, file := range files {
			data, err := os.ReadFile(filepath.Join(d.store.Path(), file.Name()))
			if err != nil {
				continue // a folder, or a socket
			}
			for event, row := range sealed {
				found[event] = found[event] || bytes.Contains(data, row[len(row)/2:len(row)/2+24])
			}
		}
		return found
	}
	if got := onDisk(); !got[string(eventID(1))] || !got[string(eventID(2))] {
		t.Fatalf("on disk before: %v; the test would see nothing", got)
	}
	d.news(redaction(4, alice, eventID(1)))
	want := map[string]bool{string(eventID(1)): false, string(eventID(2)): false, string(eventID(3)): true}
	if diff := cmp.Diff(want, onDisk()); diff != "" {
		t.Errorf("on disk (-want +got):\n%s", diff)
	}
}

func TestAnUndoneRedactionErasesNothing(t *testing.T) {
	d := open(t)
	d.news(message(1, alice, "said"))
	d.deliver()
	err := inDo(d, func(ctx context.Context) error {
		d.ok(d.Record(ctx, timeline.Batch{Events: []timeline.Event{redaction(2, alice, eventID(1))}}))
		return os.ErrDeadlineExceeded
	})
	if err == nil {
		t.Fatal("committed")
	}
	if got := d.column("SELECT count(*) FROM ledger_content"); got != "1" {
		t.Errorf("%s contents are left", got)
	}
	if got := d.postState(eventID(1)); got != "landed 1/1" {
		t.Errorf("post = %s", got)
	}
}

func TestAPolicyThatKeepsErasesNothing(t *testing.T) {
	d := open(t, policy(ledger.RedactionsKeep))
	d.news(message(1, alice, "said"), redaction(2, alice, eventID(1)))
	got := d.deliver()
	if len(got) != 1 || got[0].Post.Text != "said" || got[0].Post.Masked || got[0].Post.Redaction == nil {
		t.Errorf("said: %+v", got)
	}
	if got := d.column("SELECT count(*) FROM ledger_event WHERE erased = 1"); got != "0" {
		t.Errorf("%s rows are erased", got)
	}
}

func TestARedactedMessageIsDeletedAndStaysSo(t *testing.T) {
	d := open(t, policy(ledger.RedactionsDelete))
	d.news(message(1, alice, "landed"), message(2, alice, "stays"))
	d.deliver()
	d.news(message(4, alice, "on its way"))
	b := d.due(10)
	d.ok(d.Send(t.Context(), "receipt", b))
	d.news(redaction(11, alice, eventID(1)), redaction(14, alice, eventID(4)), message(5, alice, "not sent"), redaction(15, alice, eventID(5)))
	deletes := map[id.EventID]bool{}
	for _, draft := range d.due(10).Drafts {
		deletes[draft.Post.ID] = draft.Delete
	}
	// What may be in the queue lands as a notice first, and is deleted then.
	if diff := cmp.Diff(map[id.EventID]bool{eventID(1): true, eventID(4): false, eventID(5): true}, deletes); diff != "" {
		t.Fatalf("to be deleted (-want +got):\n%s", diff)
	}
	for range 5 {
		for _, draft := range d.due(10).Drafts {
			if draft.Delete {
				d.ok(d.Deleted(t.Context(), ledger.PostRef(draft)))
			} else {
				d.ok(d.Land(t.Context(), ledger.PostRef(draft), draft.Revision))
			}
		}
	}
	if got := d.column("SELECT group_concat(event, ' ') FROM ledger_post WHERE deleted = 1 AND state = 'landed' AND landed = revision"); got != string(eventID(1)+" "+eventID(4)+" "+eventID(5)) {
		t.Errorf("deleted are %s", got)
	}
	found := 0
	for m, err := range d.Missing(t.Context(), ledger.Choice{}) {
		d.ok(err)
		if m.What == "post" && m.State == "deleted" && m.Reason == "redacted" {
			found++
		}
	}
	if found != 3 {
		t.Errorf("%d deleted posts are listed", found)
	}
	d.ok(d.Reset(t.Context()))
	for _, draft := range d.deliver() {
		if deletes[draft.Post.ID] && !draft.Delete {
			t.Errorf("%s comes back to life", draft.Post.ID)
		}
	}
}

// TestInWhateverOrderTheSameIsSaid records the events of some messages in any order, in
// any batches, with deliveries and restarts in between, and compares what is said in the
// end with what is said of them in their own order.
func TestInWhateverOrderTheSameIsSaid(t *testing.T) {
	late := encrypted(30, alice, "session")
	lateEdit := encrypted(31, alice, "session")
	relate := func(u *timeline.Undecrypted, content string) {
		u.Event.Content = json.RawMessage(content)
		u.Event.Raw = u.Event.Content
	}
	relate(&lateEdit, `{"algorithm":"m.megolm.v1.aes-sha2","m.relates_to":{"rel_type":"m.replace","event_id":"`+string(eventID(30))+`"}}`)
	opened := decrypted(late, "its key came late")
	openedEdit := edit(31, alice, "its key came late, too", eventID(30))
	openedEdit.Trust = opened.Trust
	changed := event(21, alice, map[string]any{
		"msgtype": "m.image", "body": "x", "m.relates_to": map[string]any{"rel_type": "m.replace", "event_id": eventID(20)},
		"m.new_content": map[string]any{"msgtype": "m.image", "body": "b.png", "url": "mxc://example.org/b"},
	})
	type step struct {
		undecrypted *timeline.Undecrypted // comes first
		event       timeline.Event
	}
	all := []step{
		{event: message(1, alice, "one")},
		{event: edit(2, alice, "one, edited", eventID(1))},
		{event: edit(3, bob, "forged", eventID(1))},
		{event: redaction(4, alice, eventID(1))},
		{event: message(5, alice, "two")},
		{event: edit(6, alice, "two, edited", eventID(5))},
		{event: edit(7, alice, "two, edited again", eventID(5))},
		{event: redaction(8, alice, eventID(7))},
		{event: like(9, eventID(5), "+1")},
		{event: like(10, eventID(5), "-1")},
		{event: redaction(11, "@fan10:example.org", eventID(10))},
		{event: like(12, eventID(99), "to nothing")},
		{event: redaction(13, alice, eventID(98))},
		{event: reply(14, alice, "three", eventID(5))},
		{event: redaction(15, alice, eventID(14))},
		{event: redaction(16, "@mallory:evil.example", eventID(5))},
		{event: image(20, alice, "a")},
		{event: changed},
		{event: redaction(22, alice, eventID(21))},
		{undecrypted: &late, event: opened},
		{undecrypted: &lateEdit, event: openedEdit},
	}
	redactLate := step{event: redaction(32, alice, eventID(30))}
	for name, p := range map[string]ledger.Redactions{"mask": ledger.RedactionsMask, "keep": ledger.RedactionsKeep, "delete": ledger.RedactionsDelete} {
		for _, taken := range []bool{false, true} {
			steps := all
			if taken {
				steps = append(slices.Clone(all), redactLate)
			}
			t.Run(fmt.Sprint(name, ", late one redacted: ", taken), func(t *testing.T) {
				first := open(t, policy(p))
				for _, s := range steps {
					if s.undecrypted != nil {
						first.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{*s.undecrypted}})
					}
					first.opens(s.event)
				}
				want := first.saidInTheEnd()
				if !strings.Contains(want, "two, edited") || strings.Contains(want, "forged") || strings.Contains(want, "one, edited") != (p == ledger.RedactionsKeep) {
					t.Fatalf("in order is said:\n%s", want)
				}
				for seed := range uint64(6) {
					random := rand.New(rand.NewPCG(seed, 7))
					d := open(t, policy(p))
					var later []timeline.Event
					for _, i := range random.Perm(len(steps)) {
						s := steps[i]
						if s.undecrypted != nil {
							d.record(timeline.Batch{Undecrypted: []timeline.Undecrypted{*s.undecrypted}})
							if random.IntN(2) == 0 {
								later = append(later, s.event) // its key comes after everything else
								continue
							}
						}
						d.opens(s.event)
						switch random.IntN(9) {
						case 0, 1:
							d.deliver()
						case 2:
							if b := d.due(3); !b.Empty() {
								receipt := fmt.Sprint("lapses ", s.event.ID)
								d.ok(d.Send(t.Context(), receipt, b))
								d.restart(policy(p)) // crashed, and the platform knows nothing of it
								d.ok(d.Lapse(t.Context(), receipt))
							}
						case 3:
							d.news(s.event) // shown once more
						}
					}
					for _, e := range later {
						d.opens(e)
					}
					if diff := cmp.Diff(want, d.saidInTheEnd()); diff != "" {
						t.Fatalf("seed %d: said in the end (-in order +got):\n%s", seed, diff)
					}
				}
			})
		}
	}
}

// opens records an event that may have been undecrypted before.
func (d *desk) opens(e timeline.Event) {
	d.t.Helper()
	d.record(timeline.Batch{Events: []timeline.Event{e}, Retried: []timeline.Retried{{Room: room, ID: e.ID, Readable: true}}})
}

// saidInTheEnd delivers everything and tells what the platform would hold then.
func (d *desk) saidInTheEnd() string {
	d.t.Helper()
	for range 5 {
		d.deliver()
		d.now = d.now.Add(time.Hour)
	}
	var b strings.Builder
	rows, err := d.store.DB().Query(d.t.Context(), `SELECT p.event, p.state, p.deleted, p.landed = p.revision,
		(SELECT coalesce(group_concat(idx || CASE WHEN reason = 'redacted' THEN ' gone' ELSE '' END), '') FROM (SELECT * FROM ledger_attachment ORDER BY idx) t WHERE t.post = p.id)
		FROM ledger_post p ORDER BY p.event`)
	d.ok(err)
	type row struct {
		event, state, files string
		deleted, landed     bool
	}
	var all []row
	for rows.Next() {
		var r row
		d.ok(rows.Scan(&r.event, &r.state, &r.deleted, &r.landed, &r.files))
		// A file that was never announced, or is gone, is not there.
		r.files = strings.Join(slices.DeleteFunc(strings.Split(r.files, ","), func(f string) bool { return strings.HasSuffix(f, " gone") }), ",")
		all = append(all, r)
	}
	d.ok(rows.Err())
	d.ok(rows.Close())
	for _, r := range all {
		draft, err := d.Draft(d.t.Context(), room, id.EventID(r.event))
		d.ok(err)
		post, err := json.MarshalIndent(draft.Post, "", " ")
		d.ok(err)
		fmt.Fprintf(&b, "%+v\n%s\n", r, post)
	}
	return b.String()
}
