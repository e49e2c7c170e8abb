-- v3 -> v4: what a Channel says beside its name

-- Digests of the description as sent and as landed.
ALTER TABLE ledger_room ADD COLUMN said_text_sealed BLOB;
ALTER TABLE ledger_room ADD COLUMN landed_text_sealed BLOB;

ALTER TABLE ledger_room ADD COLUMN avatar TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger_room ADD COLUMN removed TEXT NOT NULL DEFAULT ''; -- by whom the bot was
-- Spaces that the room names, and rooms that a space names: ids, one a line.
ALTER TABLE ledger_room ADD COLUMN parents TEXT NOT NULL DEFAULT '';
ALTER TABLE ledger_room ADD COLUMN children TEXT NOT NULL DEFAULT '';
