-- v1 -> v2: invites and joins
-- Invites that are neither accepted nor withdrawn. Senders and alias come from
-- stripped state.
CREATE TABLE matrix_invite (
	room_id  TEXT PRIMARY KEY NOT NULL,
	senders  TEXT NOT NULL, -- JSON list: who the membership events say invited us
	alias    TEXT NOT NULL,
	received INTEGER NOT NULL,
	attempts INTEGER NOT NULL DEFAULT 0,
	due      INTEGER NOT NULL DEFAULT 0,
	class    TEXT NOT NULL DEFAULT '', -- of the last failure
	told     INTEGER NOT NULL DEFAULT 0 -- 1: the log has said that it is pending
) STRICT;

-- Joins of the last day, for their cap.
CREATE TABLE matrix_join (
	room_id TEXT NOT NULL,
	at      INTEGER NOT NULL
) STRICT;
CREATE INDEX matrix_join_at ON matrix_join (at);
