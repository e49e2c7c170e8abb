-- v2 -> v3: how others see the device, and other ways a key comes

-- The account's cross-signing identity and what was found about it at the last look.
CREATE TABLE matrix_identity (
	user_id    TEXT PRIMARY KEY NOT NULL,
	master_key TEXT NOT NULL DEFAULT '', -- public, as first seen: another one is a replaced identity
	pending    BLOB,                     -- sealed: an identity that is being made, until it is all there
	signed     INTEGER NOT NULL DEFAULT 0,
	problem    TEXT NOT NULL DEFAULT '', -- a phrase of the closed set; empty: none
	detail     TEXT NOT NULL DEFAULT '',
	checked_at INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The key backup that keys are saved in and looked up in.
CREATE TABLE matrix_backup (
	user_id     TEXT PRIMARY KEY NOT NULL,
	version     TEXT NOT NULL DEFAULT '', -- on the homeserver; empty: none is used
	private_key BLOB,                     -- sealed
	problem     TEXT NOT NULL DEFAULT '',
	checked_at  INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Where the key of a session that events wait for was looked for.
CREATE TABLE matrix_key_search (
	room_id      TEXT NOT NULL,
	session_id   TEXT NOT NULL,
	version      TEXT NOT NULL DEFAULT '',  -- of the backup that was asked
	attempts     INTEGER NOT NULL DEFAULT 0, -- of that version
	due          INTEGER NOT NULL DEFAULT 0, -- when the backup is asked again
	request_id   TEXT NOT NULL DEFAULT '',   -- of the request to the account's other devices
	requested_at INTEGER NOT NULL DEFAULT 0, -- 0: never
	PRIMARY KEY (room_id, session_id)
) STRICT, WITHOUT ROWID;

-- Who refused a room key, why, and how often: notices of m.room_key.withheld.
CREATE TABLE matrix_refusal (
	sender  TEXT NOT NULL,
	code    TEXT NOT NULL,
	room_id TEXT NOT NULL, -- the last one; empty for m.no_olm
	count   INTEGER NOT NULL,
	first   INTEGER NOT NULL,
	last    INTEGER NOT NULL,
	told    INTEGER NOT NULL DEFAULT 0, -- when the log last said so
	PRIMARY KEY (sender, code)
) STRICT, WITHOUT ROWID;

-- Who invited the bot, and when: only their room history bundles are taken.
CREATE TABLE matrix_inviter (
	room_id TEXT NOT NULL,
	sender  TEXT NOT NULL,
	at      INTEGER NOT NULL,
	PRIMARY KEY (room_id, sender)
) STRICT, WITHOUT ROWID;

-- Room history bundles (m.room_key_bundle) that are still to be fetched.
CREATE TABLE matrix_bundle (
	id         INTEGER PRIMARY KEY,
	room_id    TEXT NOT NULL,
	sender     TEXT NOT NULL,
	sender_key TEXT NOT NULL,
	file       BLOB NOT NULL, -- sealed: address and key of the file
	received   INTEGER NOT NULL,
	attempts   INTEGER NOT NULL DEFAULT 0,
	due        INTEGER NOT NULL DEFAULT 0
) STRICT;
