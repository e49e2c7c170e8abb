-- v0 -> v1: what commands ask of the connector

-- Times are milliseconds since 1970, UTC. Columns that end in _sealed hold what
-- store.Seal made of JSON; everything else stands in the clear.

CREATE TABLE request (
	id          INTEGER PRIMARY KEY AUTOINCREMENT, -- never used again: a watcher must not see another's
	kind        TEXT    NOT NULL,
	state       TEXT    NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'failed', 'withdrawn')),
	asks_sealed BLOB,    -- what is asked for; gone once the request has ended
	says_sealed BLOB,    -- what the one who asks answers on the way
	shows_sealed BLOB,   -- progress while it is open, then the outcome
	interactive INTEGER NOT NULL DEFAULT 0,
	made        INTEGER NOT NULL,
	touched     INTEGER NOT NULL,           -- by who asks
	ended       INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX request_open ON request (kind, id) WHERE state = 'open';
