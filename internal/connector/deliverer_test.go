package connector_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/stix"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

func TestRoomAndAuthorLandBeforeThePostsThatNeedThem(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.says("two")
	if errs := s.delivers(); errs != nil {
		t.Fatal(errs)
	}
	want := []string{"channel identity", "media-content media-content relationship relationship"}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestNothingLandedIsSentAgain(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	s.restart()
	s.delivers()
	s.says("two")
	s.delivers()
	want := []string{"channel identity", "media-content relationship", "media-content relationship"}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Error(diff)
	}
}

func TestAChannelThatExistsIsAdoptedAndNeverWritten(t *testing.T) {
	s := newScene(t)
	s.sink.found[channelOf(den)] = stix.Found{ID: channelOf(den), Type: "channel", Name: "Renamed by an analyst", Aliases: []string{string(den)}}
	s.says("one")
	s.delivers()
	if diff := cmp.Diff([]string{"identity", "media-content relationship"}, s.sink.sent); diff != "" {
		t.Error(diff)
	}
	if _, written := s.sink.objects[channelOf(den)]; written {
		t.Error("the analyst's channel was written")
	}
}

func TestARoomWhoseChannelIsFusedGetsOneOfItsOwn(t *testing.T) {
	s := newScene(t)
	s.sink.found[channelOf(den)] = stix.Found{
		ID: channelOf(den), Type: "channel", Name: "general", Aliases: []string{string(den), "!other:example.org"},
	}
	s.says("one")
	s.delivers()
	own := channelOf(timelineRoom(ledger.TwinKey(string(den))))
	if _, ok := s.sink.objects[own]; !ok {
		t.Errorf("no channel %s; sent were %q", own, s.sink.sent)
	}
	for _, o := range s.sink.objects {
		if r, ok := o.(*stix.Relationship); ok && r.Source != own {
			t.Errorf("the message hangs on %s", r.Source)
		}
	}
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestAnAuthorWhoseTwinTheIndividualIsGetsOneOfHerOwn(t *testing.T) {
	s := newScene(t)
	individual := s.mapper.Author(timeline.Author{User: alice, Key: string(alice)}).ID
	s.sink.found[individual] = stix.Found{ID: individual, Type: "identity", Name: "@Alice:example.org"}
	s.says("one")
	s.delivers()
	own := s.mapper.Author(timeline.Author{User: alice, Key: ledger.TwinKey(string(alice))}).ID
	if _, ok := s.sink.objects[own]; !ok || own == individual {
		t.Errorf("no individual %s; sent were %q", own, s.sink.sent)
	}
}

func TestALapsedReceiptSendsItsPostsAgainUnderANewOne(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.sink.settleErr = []error{stix.ErrPending, stix.ErrPending, stix.ErrLapsed}
	s.delivers()
	want := []string{"channel identity", "channel identity", "media-content relationship"}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Error(diff)
	}
}

func TestAPostThatLapsesForEverIsDeadAndVisible(t *testing.T) {
	s := newScene(t)
	event := s.says("one")
	s.turnsUntil(func() bool { return s.posts()["due"] == 1 && len(s.sink.sent) == 1 && s.sink.open == "" })
	for range ledger.MaxLapses {
		s.sink.settleErr = append(s.sink.settleErr, stix.ErrLapsed)
	}
	for range ledger.MaxLapses {
		s.delivers()
		s.waits(time.Hour)
	}
	if got := s.why(event); got != "dead: unconfirmed" {
		t.Errorf("the post is %q", got)
	}
}

func TestAPostRefusedForAMissingEndMakesRoomAndAuthorDueAgain(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	clear(s.sink.objects) // somebody deleted everything on the platform
	s.says("two")
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		if r, ok := o.(*stix.Relationship); ok && s.sink.objects[r.Source] == nil {
			return stix.Verdict{State: stix.MissingEnd, Reason: "MISSING_REFERENCE_ERROR"}, true
		}
		return stix.Verdict{}, false
	}
	// They are known while the references are checked, and not found later.
	person := s.mapper.Author(timeline.Author{User: alice, Key: string(alice)}).ID
	s.sink.found[channelOf(den)], s.sink.found[person] = stix.Found{}, stix.Found{}
	s.turnsUntil(func() bool { return len(s.sink.sent) == 3 })
	clear(s.sink.found)
	s.delivers()
	s.waits(time.Hour)
	s.delivers()
	want := []string{
		"channel identity", "media-content relationship",
		"media-content relationship", "channel identity", "media-content relationship",
	}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestARefusedPostIsDeadWithThePlatformsReason(t *testing.T) {
	s := newScene(t)
	event := s.says("one")
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		return stix.Verdict{State: stix.Refused, Reason: "BAD_USER_INPUT"}, o.ObjectType() == stix.TypeMediaContent
	}
	s.delivers()
	if got := s.why(event); got != "dead: refused: BAD_USER_INPUT" {
		t.Errorf("the post is %q", got)
	}
}

func TestWhatStandsThereWithAnotherTextIsAmended(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		s.sink.objects[o.ObjectID()] = o
		return stix.Verdict{State: stix.Differs, Reason: "content"}, o.ObjectType() == stix.TypeMediaContent
	}
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
	if len(s.sink.amended) == 0 {
		t.Error("nothing was amended")
	}
}

func TestABatchThatDidNotArriveIsSentAgainLater(t *testing.T) {
	s := newScene(t)
	s.says("one")
	missing := true
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		return stix.Verdict{State: stix.Missing}, missing && o.ObjectType() == stix.TypeMediaContent
	}
	s.delivers()
	if diff := cmp.Diff(map[string]int{"due": 1}, s.posts()); diff != "" {
		t.Fatal(diff)
	}
	missing = false
	s.delivers()
	if len(s.sink.sent) != 2 {
		t.Errorf("sent before its time: %q", s.sink.sent)
	}
	s.waits(ledger.Delay(1))
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestACrashBetweenReceiptAndPublicationIsAnsweredByTheReceipt(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.sink.publishErr = context.Canceled // the process ends here
	if _, err := s.out.Turn(s.ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("publish gave %v", err)
	}
	s.restart()
	s.sink.settleErr = []error{stix.ErrLapsed} // the sink knows nothing of it
	s.delivers()
	want := []string{"channel identity", "media-content relationship"}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Error(diff)
	}
}

func TestACrashAfterPublicationSettlesTheStoredReceipt(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.turnsUntil(func() bool { return s.sink.open != "" })
	s.restart()
	s.delivers()
	want := []string{"channel identity", "media-content relationship"}
	if diff := cmp.Diff(want, s.sink.sent); diff != "" {
		t.Errorf("something was sent twice or not at all: %s", diff)
	}
}

// A platform may work for minutes on what a former process has sent: whoever takes it up
// anew at each question asks without a pause.
func TestWhatAFormerProcessSentIsTakenUpOnceAndAskedForInRhythm(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.turnsUntil(func() bool { return s.sink.open != "" })
	s.restart()
	const questions = 4
	for range questions {
		s.sink.settleErr = append(s.sink.settleErr, stix.ErrPending)
	}
	for n := range questions {
		if _, err := s.out.Turn(s.ctx); err != nil {
			t.Fatal(err)
		}
		if got := s.out.Asked(); got != n+1 {
			t.Fatalf("after question %d the batch was asked for %d times", n+1, got)
		}
	}
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestABrokerThatFailsInTheMiddleKeepsEverythingDue(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.sink.publishErr = &opencti.Error{Class: opencti.Temporary, Op: "publish"}
	if errs := s.delivers(); len(errs) != 1 {
		t.Fatalf("errors %v", errs)
	}
	s.waits(time.Hour)
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
		t.Error(diff)
	}
}

func TestARoomThatChangesItsNameIsRenamedByMutationFromWhatWeWrote(t *testing.T) {
	s := newScene(t)
	s.says("one")
	s.delivers()
	s.record(timeline.Batch{Rooms: []timeline.Room{{
		ID: den, Name: "The lair", Membership: timeline.MembershipJoin, Server: "example.org",
	}}})
	s.delivers()
	want := []string{"The den (!den:example.org) -> The lair (!den:example.org)"}
	if diff := cmp.Diff(want, s.sink.renamed); diff != "" {
		t.Error(diff)
	}
	if len(s.sink.sent) != 2 {
		t.Errorf("the channel was sent again: %q", s.sink.sent)
	}
}

func TestABatchNeverHoldsMoreThanAHundredObjects(t *testing.T) {
	s := newScene(t)
	for range 130 {
		s.says("again")
	}
	s.delivers() // the sink checks the number
	if diff := cmp.Diff(map[string]int{"landed": 130}, s.posts()); diff != "" {
		t.Error(diff)
	}
	if len(s.sink.sent) < 4 {
		t.Errorf("%d batches", len(s.sink.sent))
	}
}

// pictureThatIsLost records a message with a picture, lets it land, and loses the picture:
// the landed post says something else from now on.
func (s *scene) pictureThatIsLost() stix.ID {
	s.t.Helper()
	event := s.hears(den, alice, map[string]any{"msgtype": "m.image", "body": "cat.png", "url": "mxc://example.org/cat"})
	s.delivers()
	wanted, err := s.ledger.Wanted(s.ctx, 1)
	if err != nil || len(wanted) != 1 {
		s.t.Fatalf("wanted %v, %v", wanted, err)
	}
	if err := s.ledger.Lose(s.ctx, wanted[0], "not_found"); err != nil {
		s.t.Fatal(err)
	}
	draft, err := s.ledger.Draft(s.ctx, den, event)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.mapper.Post(draft)[0].ObjectID()
}

func TestAPostThatThePlatformWillNotAmendHoldsUpNoOther(t *testing.T) {
	for name, err := range map[string]error{
		"an error of its own":    &opencti.Error{Class: opencti.Temporary, Op: "FieldPatch", Status: 200, Code: "INTERNAL_SERVER_ERROR"},
		"a right that it lacks":  &opencti.Error{Class: opencti.Unauthorized, Op: "FieldPatch", Status: 200, Code: "FORBIDDEN_ACCESS"},
		"an answer of no effect": &opencti.Error{Class: opencti.Permanent, Op: "ReadBack", Status: 200, Code: "FUNCTIONAL_ERROR"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			post := s.pictureThatIsLost()
			s.sink.amendErr = map[stix.ID]error{post: err}
			s.says("two")
			if errs := s.delivers(); errs != nil {
				t.Fatal(errs)
			}
			if diff := cmp.Diff(map[string]int{"due": 1, "landed": 1}, s.posts()); diff != "" {
				t.Error(diff)
			}
			s.sink.amendErr = nil
			s.waits(ledger.Delay(1))
			s.delivers()
			if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAPlatformThatIsAwayCostsNoAmendmentItsTurn(t *testing.T) {
	for name, err := range map[string]error{
		"no answer":               &opencti.Error{Class: opencti.Temporary, Op: "FieldPatch"},
		"a proxy's answer":        &opencti.Error{Class: opencti.Temporary, Op: "FieldPatch", Status: 502},
		"no GraphQL":              &opencti.Error{Class: opencti.Temporary, Op: "FieldPatch", Status: 200, Code: "not_graphql"},
		"a token that is expired": &opencti.Error{Class: opencti.Unauthorized, Op: "FieldPatch", Status: 200, Code: "AUTH_REQUIRED"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			post := s.pictureThatIsLost()
			s.sink.amendErr = map[stix.ID]error{post: err}
			if _, got := s.out.Turn(s.ctx); !errors.Is(got, err) {
				t.Fatalf("the turn gave %v", got)
			}
			s.sink.amendErr = nil
			s.delivers() // without any waiting
			if diff := cmp.Diff(map[string]int{"landed": 1}, s.posts()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestABatchClosesWithoutThePostThatThePlatformWillNotAmend(t *testing.T) {
	s := newScene(t)
	one, two := s.says("one"), s.says("two")
	s.turnsUntil(func() bool { return len(s.sink.sent) == 1 && s.sink.open == "" })
	draft, err := s.ledger.Draft(s.ctx, den, one)
	if err != nil {
		t.Fatal(err)
	}
	post := s.mapper.Post(draft)[0].ObjectID()
	s.sink.amendErr = map[stix.ID]error{post: &opencti.Error{Class: opencti.Temporary, Op: "FieldPatch", Status: 200, Code: "INTERNAL_SERVER_ERROR"}}
	s.sink.verdict = func(o stix.Object) (stix.Verdict, bool) {
		s.sink.objects[o.ObjectID()] = o
		return stix.Verdict{State: stix.Differs, Reason: "content"}, o.ObjectID() == post
	}
	if errs := s.delivers(); errs != nil {
		t.Fatal(errs)
	}
	if diff := cmp.Diff(map[string]int{"due": 1, "landed": 1}, s.posts()); diff != "" {
		t.Errorf("with %s in the way of %s: %s", one, two, diff)
	}
	s.sink.amendErr = nil
	s.waits(ledger.Delay(1))
	s.delivers()
	if diff := cmp.Diff(map[string]int{"landed": 2}, s.posts()); diff != "" {
		t.Error(diff)
	}
}
