-- 13 Relay §11. Records: small values that clients change by compare-and-swap.

-- With a rowid: values of up to 64 KiB belong into a heap, not into an index.
CREATE TABLE record (
  key BLOB PRIMARY KEY,             -- SHA-256 of the record's id
  version INTEGER NOT NULL,
  verifier BLOB NOT NULL,           -- SHA-256 of the capability to write
  day INTEGER NOT NULL,             -- of the last use
  value BLOB NOT NULL
);
CREATE INDEX record_day ON record (day);
