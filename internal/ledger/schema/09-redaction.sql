-- v8 -> v9: what was taken back

-- 1: the event was redacted, and its content is gone for good.
ALTER TABLE ledger_event ADD COLUMN erased INTEGER NOT NULL DEFAULT 0;
-- 1: the message was taken back, and a notice is said in its place; 2: and its object is
-- to be deleted.
ALTER TABLE ledger_post ADD COLUMN redacted INTEGER NOT NULL DEFAULT 0;
-- 1: the object was deleted; what has landed is that nothing is there.
ALTER TABLE ledger_post ADD COLUMN deleted INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ledger_post_deleted ON ledger_post (id) WHERE deleted = 1;
-- 1: a file that its message has lost, and that may be on the platform still.
ALTER TABLE ledger_attachment ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
CREATE INDEX ledger_attachment_withdrawn ON ledger_attachment (due_at) WHERE withdrawn = 1;
