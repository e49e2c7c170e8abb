-- v6 -> v7: rooms that the bot is in by mistake
ALTER TABLE ledger_room ADD COLUMN astray INTEGER NOT NULL DEFAULT 0;
