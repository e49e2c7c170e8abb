package opencti_test

import (
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
	"github.com/matrix-connector/matrix-connector/internal/opencti/openctitest"
)

func (s *scene) ping(state string) bool {
	s.t.Helper()
	reset, err := s.platform.Ping(s.t.Context(), []byte(state), opencti.PingInfo{Buffering: true, QueueThreshold: 500, LastRun: sentAt})
	if err != nil {
		s.t.Fatal(err)
	}
	return reset
}

func TestAPingStoresTheStateAndTellsThePage(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			for _, state := range []string{"", `{"since":"s1"}`, `{}`, `{"since":"s2"}`} {
				if s.ping(state) {
					t.Errorf("a reset after the state %q", state)
				}
			}
			c := s.octi.Connectors()[0]
			if c.State != `{"since":"s2"}` || !c.Buffering {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestAResetIsReportedOnce(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			s.ping(`{"since":"s1"}`)
			for range 2 { // and a second one is another
				if err := s.octi.ResetState(connectorID); err != nil {
					t.Fatal(err)
				}
				if !s.ping(`{"since":"s1"}`) {
					t.Error("the reset was not seen")
				}
				for range 3 {
					if s.ping(`{"since":"s2"}`) {
						t.Error("the reset was seen again")
					}
				}
			}
			if got := s.octi.Connectors()[0].State; got != `{"since":"s2"}` {
				t.Errorf("state %q", got)
			}
		})
	}
}

func TestAResetWhileTheConnectorWasDownIsReportedByStartAlone(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			s.ping(`{"since":"s1"}`)
			if err := s.octi.ResetState(connectorID); err != nil {
				t.Fatal(err)
			}
			reg, err := s.platform.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !reg.Reset || reg.State != nil {
				t.Errorf("%+v", reg)
			}
			if s.ping(`{"since":"s1"}`) {
				t.Error("the ping reports the same reset")
			}
			if s.ping(`{"since":"s2"}`) {
				t.Error("the second ping reports it")
			}
			if err := s.octi.ResetState(connectorID); err != nil {
				t.Fatal(err)
			}
			if !s.ping(`{"since":"s2"}`) {
				t.Error("the next reset was not seen")
			}
		})
	}
}

func TestAPingOfAnUnknownConnectorRegistersItAgain(t *testing.T) {
	for name, g := range generations {
		t.Run(name, func(t *testing.T) {
			s := started(t, g)
			s.ping(`{"since":"s1"}`)
			if err := s.octi.DeleteConnector(connectorID); err != nil {
				t.Fatal(err)
			}
			_, err := s.platform.Ping(t.Context(), []byte(`{"since":"s1"}`), opencti.PingInfo{})
			if opencti.ClassOf(err) != opencti.Temporary || err == nil {
				t.Fatalf("while the platform is still deleting: %v", err)
			}
			s.clock.advance(6 * time.Second)
			if s.ping(`{"since":"s1"}`) {
				t.Error("a deletion is no reset")
			}
			if got := s.octi.Connectors(); len(got) != 1 || got[0].State != `{"since":"s1"}` {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestAStateThatIsNoJSONIsNeverSent(t *testing.T) {
	s := started(t, openctitest.Gen7)
	before := s.octi.Calls("pingConnector")
	if _, err := s.platform.Ping(t.Context(), []byte("s1"), opencti.PingInfo{}); opencti.ClassOf(err) != opencti.Permanent {
		t.Errorf("%v", err)
	}
	if s.octi.Calls("pingConnector") != before {
		t.Error("it was sent")
	}
}
