-- 13 Relay §3.9. Which envelope belongs to which mailbox is indexed on disk only once it has waited for a
-- minute. Those above `indexed_through` are found by reading the end of q when the relay starts.

DROP INDEX q_mb;

CREATE TABLE q_old (
  mb INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  PRIMARY KEY (mb, seq)
) WITHOUT ROWID;

INSERT INTO q_old SELECT mb, seq FROM q;
INSERT INTO meta SELECT 'indexed_through', coalesce(max(seq), 0) FROM q;
