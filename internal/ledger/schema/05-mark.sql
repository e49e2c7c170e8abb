-- v4 -> v5: which store this is, and what the platform keeps of it

ALTER TABLE ledger_state ADD COLUMN store TEXT NOT NULL DEFAULT ''; -- by chance, for ever
ALTER TABLE ledger_state ADD COLUMN told INTEGER NOT NULL DEFAULT 0; -- of batches: what the platform has been told
UPDATE ledger_state SET store = lower(hex(randomblob(8)));
