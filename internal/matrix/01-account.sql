-- v0 -> v1: the account, its rooms, and what went wrong with keys
CREATE TABLE matrix_account (
	user_id      TEXT PRIMARY KEY NOT NULL,
	homeserver   TEXT NOT NULL,
	device_id    TEXT NOT NULL,
	access_token BLOB NOT NULL, -- sealed
	pickle_key   BLOB NOT NULL, -- sealed
	own_token    INTEGER NOT NULL, -- 1: the token was given by the operator
	created_at   INTEGER NOT NULL
) STRICT;

-- What the bot knows of a room. state rows hold the content of the few state
-- events that matter; names and topics are no secrets here (design: ids, room
-- names and times are not sealed).
CREATE TABLE matrix_room (
	room_id    TEXT PRIMARY KEY NOT NULL,
	membership TEXT NOT NULL,
	encrypted    INTEGER NOT NULL DEFAULT 0, -- sticky
	encrypted_at INTEGER NOT NULL DEFAULT 0, -- origin_server_ts of what made it so
	heroes     TEXT NOT NULL DEFAULT '[]',
	joined     INTEGER NOT NULL DEFAULT 0,
	invited    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE matrix_state (
	room_id   TEXT NOT NULL,
	type      TEXT NOT NULL,
	state_key TEXT NOT NULL,
	sender    TEXT NOT NULL,
	sent      INTEGER NOT NULL, -- origin_server_ts
	content   TEXT NOT NULL,
	PRIMARY KEY (room_id, type, state_key)
) STRICT, WITHOUT ROWID;

-- Users whose device list has to be asked for again.
CREATE TABLE matrix_stale_user (
	user_id  TEXT PRIMARY KEY NOT NULL,
	since    INTEGER NOT NULL,
	attempts INTEGER NOT NULL,
	due      INTEGER NOT NULL
) STRICT;

-- To-device messages that could not be decrypted: the room key in them never
-- comes again. No content is kept.
CREATE TABLE matrix_failed_olm (
	id         INTEGER PRIMARY KEY,
	sender     TEXT NOT NULL,
	sender_key TEXT NOT NULL,
	reason     TEXT NOT NULL,
	at         INTEGER NOT NULL
) STRICT;
CREATE INDEX matrix_failed_olm_sender ON matrix_failed_olm (sender, sender_key);

-- Devices that want a new Olm session from us, and when each last got one.
CREATE TABLE matrix_unwedge (
	sender     TEXT NOT NULL,
	sender_key TEXT NOT NULL,
	wanted     INTEGER NOT NULL, -- 1: a dummy is owed
	sent_at    INTEGER NOT NULL, -- 0: never
	PRIMARY KEY (sender, sender_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX matrix_state_key ON matrix_state (type, state_key);
