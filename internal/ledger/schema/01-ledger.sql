-- v0 -> v1: events, posts and what became of them

-- Times are milliseconds since 1970, UTC; 0 is none. Columns that end in _sealed hold
-- what store.Seal made; everything else stands in the clear.

CREATE TABLE ledger_state (
	one     INTEGER PRIMARY KEY CHECK (one = 1),
	token   TEXT    NOT NULL DEFAULT '', -- of /sync
	batches INTEGER NOT NULL DEFAULT 0,  -- recorded so far
	start   INTEGER NOT NULL DEFAULT 0,  -- import start date that history was opened with
	sink    TEXT    NOT NULL DEFAULT ''  -- where landed rows have landed
) STRICT;
INSERT INTO ledger_state (one) VALUES (1);

CREATE TABLE ledger_room (
	id           INTEGER PRIMARY KEY,
	room         TEXT NOT NULL UNIQUE,
	folded       TEXT NOT NULL, -- the room id as object ids fold it: finds case twins
	key          TEXT NOT NULL, -- what the Channel's id is made of
	name         TEXT NOT NULL,
	topic_sealed BLOB,
	alias        TEXT NOT NULL DEFAULT '',
	server       TEXT NOT NULL DEFAULT '',
	creator      TEXT NOT NULL DEFAULT '',
	type         TEXT NOT NULL DEFAULT '',
	version      TEXT NOT NULL DEFAULT '',
	encrypted    INTEGER NOT NULL DEFAULT 0, -- sticky
	membership   TEXT NOT NULL DEFAULT '',
	predecessor  TEXT NOT NULL DEFAULT '',
	successor    TEXT NOT NULL DEFAULT '',
	created      INTEGER NOT NULL DEFAULT 0, -- of m.room.create
	skip         TEXT NOT NULL DEFAULT '', -- why the room is not imported
	newest       TEXT NOT NULL DEFAULT '', -- newest event by /sync
	said_name    TEXT NOT NULL DEFAULT '', -- as sent
	landed_name  TEXT NOT NULL DEFAULT '', -- as landed

	state    TEXT    NOT NULL DEFAULT 'idle' CHECK (state IN ('idle', 'due', 'sent', 'landed', 'dead')),
	revision INTEGER NOT NULL DEFAULT 1,
	landed   INTEGER NOT NULL DEFAULT 0 CHECK (landed <= revision),
	sent     INTEGER NOT NULL DEFAULT 0, -- revision under the receipt
	receipt  TEXT    NOT NULL DEFAULT '',
	due_at   INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0, -- failures in a row
	lapses   INTEGER NOT NULL DEFAULT 0, -- lapses in a row
	class    TEXT    NOT NULL DEFAULT '',
	reason   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX ledger_room_folded ON ledger_room (folded);
CREATE INDEX ledger_room_due ON ledger_room (due_at) WHERE state = 'due';
CREATE INDEX ledger_room_sent ON ledger_room (receipt) WHERE state = 'sent';

CREATE TABLE ledger_author (
	id          INTEGER PRIMARY KEY,
	user        TEXT NOT NULL UNIQUE,
	folded      TEXT NOT NULL,
	key         TEXT NOT NULL, -- what the Individual's id is made of
	name_sealed BLOB,          -- display name when first seen
	since       INTEGER NOT NULL DEFAULT 0, -- when the first message was sent

	state    TEXT    NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'landed', 'dead')),
	revision INTEGER NOT NULL DEFAULT 1,
	landed   INTEGER NOT NULL DEFAULT 0 CHECK (landed <= revision),
	sent     INTEGER NOT NULL DEFAULT 0,
	receipt  TEXT    NOT NULL DEFAULT '',
	due_at   INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	lapses   INTEGER NOT NULL DEFAULT 0,
	class    TEXT    NOT NULL DEFAULT '',
	reason   TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX ledger_author_folded ON ledger_author (folded);
CREATE INDEX ledger_author_due ON ledger_author (due_at) WHERE state = 'due';
CREATE INDEX ledger_author_sent ON ledger_author (receipt) WHERE state = 'sent';

CREATE TABLE ledger_event (
	id         INTEGER PRIMARY KEY, -- order of arrival
	room       INTEGER NOT NULL REFERENCES ledger_room,
	event      TEXT NOT NULL,
	target     TEXT NOT NULL DEFAULT '', -- the message it belongs to, its own id for a message
	sender     TEXT NOT NULL DEFAULT '',
	type       TEXT NOT NULL DEFAULT '',
	state      TEXT NOT NULL CHECK (state IN ('undecrypted', 'read', 'skipped', 'unreadable')),
	reason     TEXT NOT NULL DEFAULT '',
	cause      TEXT NOT NULL DEFAULT '',
	sent       INTEGER NOT NULL DEFAULT 0, -- origin_server_ts, a claim
	received   INTEGER NOT NULL DEFAULT 0,
	live       INTEGER NOT NULL DEFAULT 0,
	trust      INTEGER NOT NULL DEFAULT 0,
	session    TEXT NOT NULL DEFAULT '', -- Megolm session of an undecrypted event
	sender_key TEXT NOT NULL DEFAULT '',
	waiting    INTEGER NOT NULL DEFAULT 0, -- undecrypted, and a key came since the last attempt
	body_sealed BLOB, -- raw, content, names (see body); NULL where content is kept out
	UNIQUE (room, event)
) STRICT;
CREATE INDEX ledger_event_target ON ledger_event (room, target) WHERE target <> '' AND target <> event;
CREATE INDEX ledger_event_session ON ledger_event (session) WHERE state = 'undecrypted';
CREATE INDEX ledger_event_waiting ON ledger_event (id) WHERE waiting = 1;
CREATE INDEX ledger_event_state ON ledger_event (state, reason);

CREATE TABLE ledger_post (
	id       INTEGER PRIMARY KEY,
	room     INTEGER NOT NULL REFERENCES ledger_room,
	event    TEXT    NOT NULL,
	author   INTEGER NOT NULL REFERENCES ledger_author,
	live     INTEGER NOT NULL DEFAULT 0,
	place    INTEGER NOT NULL DEFAULT 0, -- in its lane: received for live ones, sent for history
	received INTEGER NOT NULL DEFAULT 0,
	reply    TEXT    NOT NULL DEFAULT '',
	thread   TEXT    NOT NULL DEFAULT '',
	said_reply  INTEGER NOT NULL DEFAULT 0, -- the relation went with the last send
	said_thread INTEGER NOT NULL DEFAULT 0,
	hold_until  INTEGER NOT NULL DEFAULT 0, -- for the target of reply or thread
	spot        INTEGER NOT NULL DEFAULT 0, -- in the batch of its receipt

	state    TEXT    NOT NULL DEFAULT 'due' CHECK (state IN ('due', 'sent', 'landed', 'dead')),
	revision INTEGER NOT NULL DEFAULT 1,
	landed   INTEGER NOT NULL DEFAULT 0 CHECK (landed <= revision),
	sent     INTEGER NOT NULL DEFAULT 0,
	receipt  TEXT    NOT NULL DEFAULT '',
	due_at   INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	lapses   INTEGER NOT NULL DEFAULT 0,
	class    TEXT    NOT NULL DEFAULT '',
	reason   TEXT    NOT NULL DEFAULT '',
	UNIQUE (room, event)
) STRICT;
-- What Due walks: everything that it decides on stands in the index.
CREATE INDEX ledger_post_due ON ledger_post (live DESC, place, id, room, author, due_at) WHERE state = 'due';
CREATE INDEX ledger_post_later ON ledger_post (due_at) WHERE state = 'due' AND due_at > 0;
CREATE INDEX ledger_post_hold ON ledger_post (hold_until) WHERE state = 'due' AND hold_until > 0;
CREATE INDEX ledger_post_sent ON ledger_post (receipt) WHERE state = 'sent';
CREATE INDEX ledger_post_dead ON ledger_post (id) WHERE state = 'dead';
CREATE INDEX ledger_post_reply ON ledger_post (room, reply) WHERE reply <> '';
CREATE INDEX ledger_post_thread ON ledger_post (room, thread) WHERE thread <> '';

CREATE TABLE ledger_attachment (
	id    INTEGER PRIMARY KEY,
	post  INTEGER NOT NULL REFERENCES ledger_post,
	idx   INTEGER NOT NULL,
	live  INTEGER NOT NULL DEFAULT 0,
	place INTEGER NOT NULL DEFAULT 0,
	sent  INTEGER NOT NULL DEFAULT 0,
	state TEXT NOT NULL CHECK (state IN ('wanted', 'fetched', 'attached', 'refused', 'lost')),
	file_sealed    BLOB NOT NULL, -- the announcement, with its key
	fetched_sealed BLOB,          -- spool key, hash, media type
	spool TEXT NOT NULL DEFAULT '',
	bytes INTEGER NOT NULL DEFAULT 0,

	due_at   INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	class    TEXT    NOT NULL DEFAULT '',
	reason   TEXT    NOT NULL DEFAULT '',
	UNIQUE (post, idx)
) STRICT;
CREATE INDEX ledger_attachment_wanted ON ledger_attachment (live DESC, place, id, due_at) WHERE state = 'wanted';
CREATE INDEX ledger_attachment_fetched ON ledger_attachment (live DESC, place, id, due_at) WHERE state = 'fetched';
CREATE INDEX ledger_attachment_later ON ledger_attachment (due_at) WHERE state IN ('wanted', 'fetched') AND due_at > 0;
CREATE INDEX ledger_attachment_gone ON ledger_attachment (id) WHERE state IN ('refused', 'lost');

CREATE TABLE ledger_gap (
	id         INTEGER PRIMARY KEY,
	room       INTEGER NOT NULL REFERENCES ledger_room,
	kind       TEXT NOT NULL,
	from_token TEXT NOT NULL,
	until      TEXT NOT NULL DEFAULT '',
	bound      INTEGER NOT NULL DEFAULT 0,
	opened     INTEGER NOT NULL DEFAULT 0,
	pages      INTEGER NOT NULL DEFAULT 0,
	state      TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done', 'lost')),
	due_at     INTEGER NOT NULL DEFAULT 0,
	attempts   INTEGER NOT NULL DEFAULT 0,
	class      TEXT    NOT NULL DEFAULT '',
	reason     TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX ledger_gap_open ON ledger_gap (due_at) WHERE state = 'open';
CREATE INDEX ledger_gap_room ON ledger_gap (room);

CREATE TABLE ledger_target (
	room     INTEGER NOT NULL REFERENCES ledger_room,
	event    TEXT NOT NULL,
	state    TEXT NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'met', 'missing')),
	due_at   INTEGER NOT NULL DEFAULT 0,
	attempts INTEGER NOT NULL DEFAULT 0,
	class    TEXT    NOT NULL DEFAULT '',
	reason   TEXT    NOT NULL DEFAULT '',
	PRIMARY KEY (room, event)
) STRICT, WITHOUT ROWID;
CREATE INDEX ledger_target_wanted ON ledger_target (due_at) WHERE state = 'wanted';

CREATE TABLE ledger_key (
	room        TEXT NOT NULL,
	session     TEXT NOT NULL,
	first_index INTEGER NOT NULL DEFAULT 0,
	withheld    TEXT NOT NULL DEFAULT '',
	PRIMARY KEY (room, session)
) STRICT, WITHOUT ROWID;

CREATE TABLE ledger_receipt (
	receipt TEXT PRIMARY KEY,
	state   TEXT    NOT NULL DEFAULT 'opened' CHECK (state IN ('opened', 'published')),
	created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
