package people_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

func dendrite(t *testing.T) *people.Town {
	t.Helper()
	hs, err := parts.StartDendrite(t.Context(), parts.HomeserverConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hs.Close() })
	return people.New(t, hs)
}

// meet brings somebody into an encrypted room of dana's.
func meet(dana *people.Element, who id.UserID, joins func(id.RoomID)) id.RoomID {
	room := dana.Creates("Back room", people.Encrypted())
	dana.Invites(room, who)
	joins(room)
	dana.Sees(room, who)
	return room
}

func hears(t *testing.T, who interface{ Hears(id.EventID) string }, said people.Said) {
	t.Helper()
	if got := who.Hears(said.Event); got != said.Text {
		t.Errorf("what was said as %q was heard as %q", said.Text, got)
	}
}

func TestElementAndOthersUnderstandEachOther(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	alice, dana := town.Moves("alice"), town.MovesWithElement("dana")
	room := meet(dana, alice.ID, alice.Joins)
	said := dana.Says(room, "hello alice")
	if !said.Encrypted {
		t.Error("dana spoke in the clear")
	}
	hears(t, alice, said)
	hears(t, dana, alice.Says(room, "hello dana"))

	// What Element calls the default is that an unsigned device is served, too.
	if trust := dana.TrustsDevice(alice.ID, alice.Devices(alice.ID)[0]); !trust.Known || trust.Signed || trust.Verified {
		t.Errorf("of alice's unsigned device dana thinks %+v", trust)
	}
	edit := dana.Edits(said, "hello all")
	if got := alice.Hears(edit); got != "* hello all" {
		t.Errorf("alice heard %q as the edit", got)
	}
	photo := dana.Sends(room, people.Picture("photo.png", 1), "a caption")
	if got := alice.Hears(photo.Event); got != "a caption" {
		t.Errorf("alice heard %q as the caption", got)
	}
	dana.Reacts(room, said.Event, "👍")
	dana.Redacts(room, edit)

	plain := dana.Creates("Lobby")
	if said := dana.Says(plain, "in the open"); said.Encrypted {
		t.Error("dana encrypted where the room does not")
	}
}

func TestOnlySignedDevicesGetKeys(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	alice, dana := town.Moves("alice"), town.MovesWithElement("dana", people.OnlySigned())
	room := meet(dana, alice.ID, alice.Joins)
	secret := dana.Says(room, "not for an unsigned device")
	if code := alice.IsRefused(secret.Event); code != event.RoomKeyWithheldUnverified {
		t.Errorf("alice was refused with %q, want m.unverified", code)
	}
	// And the other way round: what an unsigned device says is not shown.
	hidden := alice.Says(room, "from an unsigned device")
	if code := dana.CannotRead(hidden.Event); code != "UNSIGNED_SENDER_DEVICE" {
		t.Errorf("dana does not read an unsigned device for %q", code)
	}

	alice.Signs()
	dana.SeesSigned(alice.ID)
	hears(t, alice, dana.Says(room, "for a signed device"))
	hears(t, dana, alice.Says(room, "from a signed device"))
	if _, err := alice.Reads(room, secret.Event); err == nil {
		t.Error("alice reads what was said before she signed")
	}
}

func TestOnlyTrustedDevicesGetKeys(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	alice, dana, erin := town.Moves("alice"), town.MovesWithElement("dana", people.OnlyTrusted()), town.MovesWithElement("erin")
	alice.Signs()
	room := meet(dana, alice.ID, alice.Joins)
	dana.Invites(room, erin.ID)
	erin.Joins(room)
	dana.Sees(room, erin.ID)
	dana.SeesSigned(alice.ID)
	dana.SeesSigned(erin.ID)

	secret := dana.Says(room, "for those whom I have verified")
	if code := alice.IsRefused(secret.Event); code != event.RoomKeyWithheldUnverified {
		t.Errorf("alice was refused with %q, want m.unverified", code)
	}
	if code := erin.CannotRead(secret.Event); code != "MEGOLM_KEY_WITHHELD_FOR_UNVERIFIED_DEVICE" {
		t.Errorf("erin cannot read for %q", code)
	}
	asked := dana.Verifies(erin.ID, room)
	compare(t, asked, erin.IsAskedBy(dana.ID))
	dana.SeesVerified(erin.ID)
	open := dana.Says(room, "for erin")
	hears(t, erin, open)
	if code := alice.IsRefused(open.Event); code != event.RoomKeyWithheldUnverified {
		t.Errorf("alice was refused with %q, want m.unverified", code)
	}
}

// compare goes through a verification by emoji.
func compare(t *testing.T, asking, asked *people.Verification) {
	t.Helper()
	asked.Accepts()
	asking.Starts()
	mine, theirs := asking.Emoji(), asked.Emoji()
	if len(mine) != 7 || !slices.Equal(mine, theirs) {
		t.Errorf("one side sees %q, the other one %q", mine, theirs)
	}
	asking.Confirms()
	asked.Confirms()
	asking.Succeeds()
	asked.Succeeds()
}

func TestElementsVerifyEachOther(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	dana, erin := town.MovesWithElement("dana", people.SealedVerifications()), town.MovesWithElement("erin")
	room := meet(dana, erin.ID, erin.Joins)
	if dana.Trusts(erin.ID).Verified || erin.Trusts(dana.ID).Verified {
		t.Fatal("they know each other before they have met")
	}
	dana.SeesSigned(erin.ID)
	erin.SeesSigned(dana.ID)

	// One who says no is not verified.
	asking := dana.VerifiesDevice(erin.ID, erin.Device)
	asked := erin.IsAskedBy(dana.ID)
	asked.Accepts()
	asking.Starts()
	asking.Emoji()
	asked.Emoji()
	asking.Mismatches()
	for _, side := range []*people.Verification{asking, asked} {
		if code, by := side.Fails(); code != string(event.VerificationCancelCodeSASMismatch) || by != dana.ID {
			t.Errorf("the mismatch ended with %q by %q", code, by)
		}
	}
	asking = erin.Verifies(dana.ID, room)
	dana.IsAskedBy(erin.ID).Cancels()
	if code, by := asking.Fails(); code != string(event.VerificationCancelCodeUser) || by != dana.ID {
		t.Errorf("the refusal ended with %q by %q", code, by)
	}
	if dana.Trusts(erin.ID).Verified || erin.Trusts(dana.ID).Verified {
		t.Fatal("they are verified without having compared")
	}

	// In a room, and by messages to a device; one asks, and then the other one. Dana
	// encrypts her half of what goes through the room, erin does not.
	asking = erin.Verifies(dana.ID, room)
	compare(t, asking, dana.IsAskedBy(erin.ID))
	dana.SeesVerified(erin.ID)
	erin.SeesVerified(dana.ID)
	asking = dana.VerifiesDevice(erin.ID, erin.Device)
	compare(t, asking, erin.IsAskedBy(dana.ID))
	asking = dana.Verifies(erin.ID, room)
	compare(t, asking, erin.IsAskedBy(dana.ID))

	open := map[id.UserID]int{}
	for _, evt := range events(t, town, dana, room) {
		if strings.HasPrefix(evt.Type.Type, "m.key.verification.") || evt.Content.Raw["msgtype"] == "m.key.verification.request" {
			open[evt.Sender]++
		}
	}
	if open[dana.ID] != 0 || open[erin.ID] == 0 {
		t.Errorf("of the verifications %d events of dana's and %d of erin's went in the clear, want none and all", open[dana.ID], open[erin.ID])
	}

	// A new identity is not the one that was verified.
	dana.ResetsIdentity()
	erin.SeesChanged(dana.ID)
	erin.Approves(dana.ID)
	if trust := erin.Trusts(dana.ID); trust != (people.Trust{Known: true}) {
		t.Errorf("of dana's new identity erin thinks %+v", trust)
	}
}

// events is the newest page of a room as the homeserver has it.
func events(t *testing.T, town *people.Town, who *people.Element, room id.RoomID) []*event.Event {
	t.Helper()
	client, err := mautrix.NewClient(town.Homeserver.URL, who.ID, who.Token())
	if err != nil {
		t.Fatal(err)
	}
	page, err := client.Messages(t.Context(), room, "", "", mautrix.DirectionBackward, nil, 100)
	if err != nil {
		t.Fatal(err)
	}
	return page.Chunk
}

func TestHistoryComesWithElementsInvite(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	dana, erin := town.MovesWithElement("dana"), town.MovesWithElement("erin")
	open, closed := dana.Creates("Open", people.Encrypted()), dana.Creates("Closed", people.Encrypted())
	first, second := dana.Says(open, "before you came"), dana.Says(closed, "before you came")
	dana.Invites(open, erin.ID)
	dana.InvitesWithoutHistory(closed, erin.ID)
	erin.Joins(open)
	erin.Joins(closed)
	erin.ScrollsUp(open, 20)
	erin.ScrollsUp(closed, 20)
	hears(t, erin, first)
	if code := erin.CannotRead(second.Event); code == "" {
		t.Error("erin cannot read, and there is no reason")
	}
}

func TestElementReadsKeyFilesOfOthers(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	alice, dana := town.Moves("alice"), town.MovesWithElement("dana")
	hers, his := dana.Creates("Dana's", people.Encrypted()), alice.Creates("Alice's", people.Encrypted())
	old, older := dana.Says(hers, "from dana's past"), alice.Says(his, "from alice's past")
	dana.InvitesWithoutHistory(hers, alice.ID)
	alice.Invites(his, dana.ID)
	alice.Joins(hers)
	dana.Joins(his)

	if _, err := alice.Reads(hers, old.Event); err == nil {
		t.Error("alice reads the past without its key")
	}
	if n := alice.ImportsKeys(dana.ExportsKeys("sesame"), "sesame"); n == 0 {
		t.Error("alice imported no key")
	}
	if got, err := alice.Reads(hers, old.Event); err != nil || got != old.Text {
		t.Errorf("alice reads %q, %v", got, err)
	}
	dana.ScrollsUp(his, 20)
	dana.CannotRead(older.Event)
	if n := dana.ImportsKeys(alice.ExportsKeys("open sesame"), "open sesame"); n == 0 {
		t.Error("dana imported no key")
	}
	hears(t, dana, older)
}

func TestRecoveryKeySignsAndRestores(t *testing.T) {
	t.Parallel()
	town := dendrite(t)
	dana := town.MovesWithElement("dana")
	key := dana.SetsUpRecovery()
	room := dana.Creates("Back room", people.Encrypted())
	said := dana.Says(room, "kept in the backup")
	dana.BacksUp()

	again := town.OpensElement("dana")
	if trust := dana.TrustsDevice(again.ID, again.Device); trust.Signed {
		t.Error("a new device is signed without the recovery key")
	}
	if n := again.Recovers(key); n != 1 {
		t.Errorf("the new device has %d keys, want the one of the backup", n)
	}
	dana.SeesSigned(again.ID, again.Device)
	again.ScrollsUp(room, 20)
	hears(t, again, said)
}

// stage is a story's stage that lets a test see the story fail.
type stage struct {
	*testing.T
	failure string
}

func (s *stage) Fatalf(format string, args ...any) {
	s.failure = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestAFailureTellsWhatTheClientLogged(t *testing.T) {
	t.Parallel()
	s := &stage{T: t}
	hs, err := parts.StartDendrite(t.Context(), parts.HomeserverConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = hs.Close() })
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		town := people.New(s, hs)
		town.MovesWithElement("dana").Recovers("no recovery key")
	}()
	<-ended
	for _, want := range []string{"@dana:" + parts.ServerName + ": recover: Error: Incorrect parity", "trust.mjs:", "the log of its Element ends:\n"} {
		if !strings.Contains(s.failure, want) {
			t.Errorf("the failure lacks %q:\n%s", want, s.failure)
		}
	}
}
