-- v7 -> v8: when a file landed, so that it can land again on a platform that was restored

ALTER TABLE ledger_attachment ADD COLUMN attached_at INTEGER NOT NULL DEFAULT 0;
