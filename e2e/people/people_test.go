package people_test

import (
	"context"
	"testing"

	"maunium.net/go/mautrix/event"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
	"github.com/matrix-connector/matrix-connector/e2e/people"
)

func towns(t *testing.T, story func(*testing.T, *people.Town)) {
	t.Helper()
	for name, start := range map[string]func(context.Context, parts.HomeserverConfig) (*parts.Homeserver, error){
		"on dendrite": parts.StartDendrite,
		"on synapse":  parts.StartSynapse,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hs, err := start(t.Context(), parts.HomeserverConfig{Dir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = hs.Close() })
			story(t, people.New(t, hs))
		})
	}
}

func TestPeopleUnderstandEachOther(t *testing.T) {
	t.Parallel()
	towns(t, func(t *testing.T, town *people.Town) {
		alice, bob := town.Moves("alice", "Alice"), town.Moves("bob")
		plain := alice.Creates("Lobby", people.Topic("hello"))
		secret := alice.Creates("Back room", people.Encrypted())
		alice.Invites(plain, bob.ID)
		alice.Invites(secret, bob.ID)
		bob.Joins(plain)
		bob.Joins(secret)

		first := alice.Says(plain, "in the open")
		hidden := alice.Says(secret, "between us")
		if got := bob.Hears(first.Event); got != "in the open" {
			t.Errorf("bob heard %q in the open", got)
		}
		if got := bob.Hears(hidden.Event); got != "between us" {
			t.Errorf("bob heard %q in the back room", got)
		}
		if first.Encrypted || !hidden.Encrypted {
			t.Errorf("encrypted: %v in the open, %v in the back room", first.Encrypted, hidden.Encrypted)
		}
		answer := bob.Says(secret, "and me", people.ReplyTo(hidden.Event))
		if got := alice.Hears(answer.Event); got != "and me" {
			t.Errorf("alice heard %q", got)
		}

		// Somebody who comes later reads what is said later.
		carol := town.Moves("carol")
		alice.Invites(secret, carol.ID)
		carol.Joins(secret)
		later := alice.Says(secret, "welcome, carol")
		if got := carol.Hears(later.Event); got != "welcome, carol" {
			t.Errorf("carol heard %q", got)
		}
		if m := alice.Membership(secret, carol.ID); m != event.MembershipJoin {
			t.Errorf("carol's membership is %q", m)
		}
		if n := len(town.Said()); n != 4 {
			t.Errorf("the town remembers %d messages, want 4", n)
		}
	})
}

func TestAWithheldKeyIsReadOnceShared(t *testing.T) {
	t.Parallel()
	towns(t, func(t *testing.T, town *people.Town) {
		alice, bob := town.Moves("alice"), town.Moves("bob")
		room := alice.Creates("Back room", people.Encrypted())
		alice.Invites(room, bob.ID)
		bob.Joins(room)
		late := alice.SaysWithoutKey(room, bob.ID, "you get this later")
		next := alice.Says(room, "this one at once")
		if got := bob.Hears(next.Event); got != "this one at once" {
			t.Errorf("bob heard %q", got)
		}
		late.Shares(bob.ID)
		if got := bob.Hears(late.Event); got != "you get this later" {
			t.Errorf("bob heard %q", got)
		}
	})
}

func TestFilesComeWithTheirHash(t *testing.T) {
	t.Parallel()
	towns(t, func(t *testing.T, town *people.Town) {
		alice := town.Moves("alice")
		for _, room := range []struct {
			name    string
			options []people.RoomOption
		}{{"open", nil}, {"sealed", []people.RoomOption{people.Encrypted()}}} {
			id := alice.Creates(room.name, room.options...)
			said := alice.Sends(id, people.File{Name: "note.txt", MediaType: "text/plain", Bytes: []byte("abc")}, "")
			// FIPS 180-2, appendix B.1.
			if want := "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"; said.File.SHA256 != want {
				t.Errorf("%s: sha256 %s, want %s", room.name, said.File.SHA256, want)
			}
			big := alice.Sends(id, people.File{Name: "big.log", MediaType: "text/plain", Size: 5 << 20}, "large")
			if big.File.Size != 5<<20 || big.File.Bytes != nil || big.Text != "large" {
				t.Errorf("%s: a large file came back as %d bytes, %d in memory, caption %q", room.name, big.File.Size, len(big.File.Bytes), big.Text)
			}
			if got := alice.Hears(said.Event); got != "note.txt" {
				t.Errorf("%s: the body without a caption is %q", room.name, got)
			}
		}
	})
}
