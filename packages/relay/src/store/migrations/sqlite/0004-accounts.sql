-- 13 Relay §2: names that were given up, as hashes, so that nobody inherits one silently.
CREATE TABLE username_freed (
  hash BLOB PRIMARY KEY,            -- SHA-256 of the name
  until INTEGER NOT NULL            -- minute from which it may be taken again
) WITHOUT ROWID;
