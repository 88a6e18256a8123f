-- 13 Relay §14. Blobs: the bytes are elsewhere, the truth about them is here.

CREATE TABLE blob (
  key BLOB PRIMARY KEY,             -- SHA-256 of the id, which is the right to read it
  size INTEGER NOT NULL,
  off INTEGER NOT NULL,             -- durable bytes; whole when it equals size
  exp INTEGER NOT NULL,             -- minute of expiry
  days INTEGER NOT NULL,            -- to keep it from completion on
  owner BLOB,                       -- account, only while it is not whole
  verifier BLOB NOT NULL,           -- SHA-256 of the capability to write, keep and delete
  state BLOB NOT NULL               -- of the adapter: parts of an upload to an object store
);
CREATE INDEX blob_exp ON blob (exp);
CREATE INDEX blob_owner ON blob (owner) WHERE owner IS NOT NULL;

-- What an account has in all, by day of expiry: a quota without a link to single blobs.
CREATE TABLE blob_use (
  account BLOB NOT NULL,
  day INTEGER NOT NULL,
  bytes INTEGER NOT NULL,
  PRIMARY KEY (account, day)
) WITHOUT ROWID;
