package opencti

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// PingInfo is what a ping tells the platform's page about the connector.
type PingInfo struct {
	Buffering       bool    // held back by the broker or by a full queue
	QueueThreshold  float64 // megabytes
	QueueSize       float64 // megabytes waiting in the connector's queue, 0 where unknown
	LastRun         time.Time
	NextRun         time.Time
	RunAndTerminate bool
}

// PingEvery is the period that the platform's own clients keep. A connector is
// shown as inactive after five minutes.
const PingEvery = 40 * time.Second

// Ping stores the state, which must be JSON or nil, and reports whether a reset
// of it was asked for on the platform's page. Then the platform has purged the
// connector's queue: the caller drops its state, and the open receipt lapses. A
// platform that does not know the connector any more gets it registered again.
//
// A reset is reported once. The platform answers a ping with what was sent,
// except for the first one after a reset, which it answers with nothing and does
// not store (opencti.md §2.4).
func (p *Platform) Ping(ctx context.Context, state []byte, info PingInfo) (reset bool, err error) {
	if len(state) == 0 {
		state = []byte("null")
	}
	if !json.Valid(state) {
		// Refused but stored by 7.x, and every later ping fails then.
		return false, &Error{Class: Permanent, Op: opPing, Code: "state_not_json"}
	}
	answer, err := p.ping(ctx, state, info)
	if ClassOf(err) == Gone {
		p.mu.Lock()
		p.stale = true
		p.mu.Unlock()
		if _, err := p.ready(ctx); err != nil {
			return false, err
		}
		answer, err = p.ping(ctx, state, info)
	}
	if err != nil {
		return false, fmt.Errorf("ping: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	known := p.expectReset
	p.expectReset = false
	if answer != "" || known {
		return false, nil
	}
	p.watch.void = true
	return true, nil
}

// State gives the state that the platform keeps, nil where it keeps none or does not know
// the connector, and whether a reset was asked for that no ping has heard of yet. It needs
// the right to read.
func (p *Platform) State(ctx context.Context) (state []byte, reset bool, err error) {
	c, err := p.known(ctx)
	if err != nil || c == nil {
		return nil, false, err
	}
	return c.state(), c.Reset, nil
}

func (p *Platform) ping(ctx context.Context, state []byte, info PingInfo) (string, error) {
	var out struct {
		Connector *struct {
			State string `json:"connector_state"`
		} `json:"pingConnector"`
	}
	err := p.client.do(ctx, opPing, map[string]any{
		"id":    p.config.ConnectorID,
		"state": string(state),
		"info": map[string]any{
			"run_and_terminate":   info.RunAndTerminate,
			"buffering":           info.Buffering,
			"queue_threshold":     info.QueueThreshold,
			"queue_messages_size": info.QueueSize,
			"last_run_datetime":   instant(info.LastRun),
			"next_run_datetime":   instant(info.NextRun),
		},
	}, &out)
	if err != nil {
		return "", err
	}
	if out.Connector == nil {
		return "", &Error{Class: Temporary, Op: opPing, Code: "unexpected_shape"}
	}
	return out.Connector.State, nil
}

// instant writes a time as the platform does; null for the zero time.
func instant(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
