-- v2 -> v3: history that a command asks for

-- The request (package request) that asked for the walk, 0 for none.
ALTER TABLE ledger_gap ADD COLUMN request INTEGER NOT NULL DEFAULT 0;
-- Events that its pages brought, those of them that were not known, and how far back
-- they go: for who watches.
ALTER TABLE ledger_gap ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_gap ADD COLUMN fresh INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ledger_gap ADD COLUMN reached INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ledger_gap_request ON ledger_gap (request) WHERE request > 0;
