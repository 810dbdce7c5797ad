-- Schema 3. What failed and is tried again, and what waits for another flow's record, is counted for reports.
UPDATE queue SET failures = NULL WHERE json_extract(failures, '$.cause') = '';
CREATE INDEX queue_failing ON queue (scope, id) WHERE failures IS NOT NULL;
CREATE INDEX queue_awaiting ON queue (scope, enqueued_at) WHERE awaits_scope IS NOT NULL;
