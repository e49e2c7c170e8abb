-- v5 -> v6: posts that somebody has deleted on the sink are left alone, and listed

CREATE INDEX ledger_post_left ON ledger_post (id) WHERE state = 'landed' AND reason <> '';
-- The former version took them for dead.
UPDATE ledger_post SET state = 'landed', landed = revision, class = '' WHERE state = 'dead' AND reason = 'deleted_on_platform' AND landed > 0;
