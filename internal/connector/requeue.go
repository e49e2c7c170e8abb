package connector

import (
	"context"
	"errors"

	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/control"
	"github.com/matrix-connector/matrix-connector/internal/ledger"
	"github.com/matrix-connector/matrix-connector/internal/request"
)

// Requeued is how many rows are tried once more; see [ledger.Requeued].
type Requeued = ledger.Requeued

// requeueAsked is what a request to try once more asks for; empty texts choose all.
type requeueAsked struct {
	Room    id.RoomID  `json:"room_id,omitempty"`
	Event   id.EventID `json:"event_id,omitempty"`
	Reasons []string   `json:"reasons,omitempty"`
}

func (a requeueAsked) choice() Choice {
	return Choice{Room: a.Room, Event: a.Event, Reasons: a.Reasons}
}

// Requeue tries once more what is chosen of what is missing: through the connector that runs
// on the store or, where none does, by itself, for its next start.
func Requeue(ctx context.Context, c Config, choice Choice) (n Requeued, err error) {
	desk, err := OpenDesk(ctx, c.Settings, c.Now)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, desk.Close()) }()
	if err := desk.Wake(ctx); errors.Is(err, control.ErrNobody) {
		return requeueAside(ctx, c, choice)
	} else if err != nil {
		return n, err
	}
	err = desk.ask(ctx, request.KindRequeue, requeueAsked{choice.Room, choice.Event, choice.Reasons}, &n)
	return n, err
}

// carryRequeue makes due what a request asks for. Loops hear of it by the ledger.
func (c *Connector) carryRequeue(ctx context.Context, r request.Request) (more bool, err error) {
	var asked requeueAsked
	if err := request.Into(r.Asks, &asked); err != nil {
		return false, err
	}
	n, err := c.ledger.RequeueChosen(ctx, asked.choice())
	if err != nil {
		return false, err
	}
	if n.Events > 0 {
		if err := c.account.SearchAgain(ctx); err != nil {
			return false, err
		}
	}
	return false, c.requests.Finish(ctx, r.ID, n)
}

// requeueAside does it without a running connector.
func requeueAside(ctx context.Context, config Config, choice Choice) (n Requeued, err error) {
	c, err := New(config)
	if err != nil {
		return n, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.openAside(ctx); err != nil {
		return n, err
	}
	return c.ledger.RequeueChosen(ctx, choice)
}
