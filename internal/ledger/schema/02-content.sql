-- v1 -> v2: content is dropped some time after its post has landed

-- What was received and read. It stands apart so that pages become free when it goes;
-- with the event itself only the names stay that were frozen with it. Events of the
-- former version have it in their own row.
CREATE TABLE ledger_content (
	event  INTEGER PRIMARY KEY, -- id of ledger_event
	sealed BLOB NOT NULL
) STRICT;

-- 1: the content of the event is gone.
ALTER TABLE ledger_event ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
-- 1: events of the post are dropped; it is not said again before they are read again.
ALTER TABLE ledger_post ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_post ADD COLUMN landed_at INTEGER NOT NULL DEFAULT 0;
UPDATE ledger_post SET landed_at = received WHERE state = 'landed';

-- What Due walks, as before, without posts that it cannot say.
DROP INDEX ledger_post_due;
CREATE INDEX ledger_post_due ON ledger_post (dropped, live DESC, place, id, room, author, due_at) WHERE state = 'due';
CREATE INDEX ledger_post_refill ON ledger_post (room, due_at) WHERE state = 'due' AND dropped = 1;
CREATE INDEX ledger_post_landed ON ledger_post (landed_at, id) WHERE state = 'landed' AND dropped = 0;
-- Events that belong to no message.
CREATE INDEX ledger_event_loose ON ledger_event (received) WHERE state = 'read' AND target = '' AND dropped = 0;
-- Nearly all events are read, and nobody looks for them by their state.
DROP INDEX ledger_event_state;
CREATE INDEX ledger_event_state ON ledger_event (state, reason) WHERE state <> 'read';

-- Whether a batch was published the sink alone can tell.
ALTER TABLE ledger_receipt DROP COLUMN state;
