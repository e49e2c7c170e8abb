package e2e_test

import (
	"testing"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/e2e/people"
	"github.com/matrix-connector/matrix-connector/e2e/scene"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

// The platform's own worker is thin over its Python client; each version of it
// makes the same graph of our queue.
func TestTheVendorsImporterMakesTheSameGraph(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version  string
		g        openctitest.Generation
		protocol string
	}{
		{"6.4.3", openctitest.Gen6, "amqp"},
		{"7.260318.0", openctitest.Gen7, "amqp"},
		{"6.4.3", openctitest.Gen6, "api"},
		{"7.260318.0", openctitest.Gen7, "api"},
	} {
		t.Run("pycti "+c.version+" by "+c.protocol, func(t *testing.T) {
			t.Parallel()
			s := scene.New(t, scene.Config{Generation: c.g, VendorWorker: c.version})
			s.Env["CONNECTOR_QUEUE_PROTOCOL"] = c.protocol
			alice, bob := s.Town.Moves("alice", "Alice Liddell"), s.Town.Moves("bob")
			s.Starts()
			for _, room := range []id.RoomID{
				joined(s, alice, "Incident 7", people.Topic("What happened on Tuesday")),
				joined(s, alice, "War room", people.Encrypted()),
			} {
				alice.Invites(room, bob.ID)
				bob.Joins(room)
				chat(alice, bob, room)
			}
			s.Receives()
		})
	}
}
