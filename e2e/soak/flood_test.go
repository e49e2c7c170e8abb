package soak_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
)

// TestAFloodOfStrangersMessagesDrownsNobody: mallory may write to the bot's device, as
// everybody may, and sits in a room with it.
func TestAFloodOfStrangersMessagesDrownsNobody(t *testing.T) {
	t.Parallel()
	olm, megolm := 300, 300
	if *long {
		olm, megolm = 2000, 2000
	}
	s := scene.New(t, scene.Config{Synapse: true})
	alice, mallory := s.Town.Moves("alice"), s.Town.Moves("mallory")
	run := s.Starts()
	room := joined(s, alice, "War room", people.Encrypted())
	alice.Invites(room, mallory.ID)
	mallory.Joins(room)
	alice.Says(room, "Said before the flood")
	s.Receives()
	before, err := run.Memory()
	must(t, err)

	started := time.Now()
	for n := range 10 {
		mallory.SendsGarbage(s.Bot, olm/10)
		for i := range megolm / 10 {
			// A session that nobody has: no key will ever come.
			noise := strings.Repeat(fmt.Sprintf("noise %d of %d ", i, n), 20)
			mallory.SendsRaw(room, "m.room.encrypted", map[string]any{
				"algorithm": "m.megolm.v1.aes-sha2", "ciphertext": base64.RawStdEncoding.EncodeToString([]byte(noise)),
				"session_id": base64.RawStdEncoding.EncodeToString([]byte(noise[:32])), "sender_key": "a", "device_id": "b",
			})
		}
		alice.Says(room, fmt.Sprintf("Said in the middle of the flood, part %d", n))
	}
	said := time.Now()
	s.Receives()
	after, err := run.Memory()
	must(t, err)
	t.Logf("a flood of %d Olm and %d Megolm messages within %.1f s; what was said in it was all there %.1f s later; memory %d MiB before, %d MiB at most",
		olm, megolm, said.Sub(started).Seconds(), time.Since(said).Seconds(), before.Resident>>20, after.Peak>>20)
	if most := before.Peak + 64<<20; after.Peak > most {
		t.Errorf("the flood took %d MiB, want %d at most", after.Peak>>20, most>>20)
	}
	s.Kills()
	s.Starts()
	alice.Says(room, "Said after the flood and a kill")
	s.Receives()
}
