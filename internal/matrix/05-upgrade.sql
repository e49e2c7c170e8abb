-- v4 -> v5: rooms that replace those of the account
-- What tombstones of joined rooms name, until the account is there.
CREATE TABLE matrix_upgrade (
	room_id  TEXT PRIMARY KEY NOT NULL, -- the room that replaces
	former   TEXT NOT NULL,             -- the room that is replaced
	sender   TEXT NOT NULL,             -- of the tombstone
	alias    TEXT NOT NULL,             -- of the former room
	received INTEGER NOT NULL,
	state    TEXT NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'trying', 'false', 'over')),
	attempts INTEGER NOT NULL DEFAULT 0,
	due      INTEGER NOT NULL DEFAULT 0,
	class    TEXT NOT NULL DEFAULT '', -- of the last failure
	told     INTEGER NOT NULL DEFAULT 0 -- 1: the log has said why it waits
) STRICT;
