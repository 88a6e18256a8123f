-- 13 Relay §3. Every column and why it is kept stands in spec/13-relay.md §7.

CREATE TABLE account (
  id BLOB PRIMARY KEY,              -- 16 bytes, chosen by the client
  identity BLOB NOT NULL,           -- 33 bytes, public
  list BLOB NOT NULL,               -- signed device list, as sent
  list_sig BLOB NOT NULL,
  version INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE username (
  name TEXT PRIMARY KEY,
  account BLOB NOT NULL UNIQUE
) WITHOUT ROWID;

-- AUTOINCREMENT: a mailbox number is never reused, or a late acknowledgement would hit a stranger.
CREATE TABLE device (
  rid INTEGER PRIMARY KEY AUTOINCREMENT,
  account BLOB NOT NULL,
  dev INTEGER NOT NULL,
  reg INTEGER NOT NULL,
  auth_key BLOB NOT NULL,
  UNIQUE (account, dev)
);

-- Ordered by rowid with one small index: appends go to the end of the file (spec/13).
CREATE TABLE q (
  seq INTEGER PRIMARY KEY,
  mb INTEGER NOT NULL,
  cid BLOB NOT NULL,
  minute INTEGER NOT NULL,          -- of arrival
  exp INTEGER NOT NULL,             -- minute of expiry
  body BLOB NOT NULL
);
CREATE INDEX q_mb ON q (mb);

CREATE TABLE signed_prekey (
  mb INTEGER NOT NULL,
  kind INTEGER NOT NULL,            -- 0 curve, 1 KEM of last resort
  kid INTEGER NOT NULL,
  pub BLOB NOT NULL,
  sig BLOB NOT NULL,
  PRIMARY KEY (mb, kind)
) WITHOUT ROWID;

-- One-time prekeys: one page of records per device and kind, and a cursor into it.
CREATE TABLE prekey_page (
  id INTEGER PRIMARY KEY,
  body BLOB NOT NULL
);
CREATE TABLE prekey_cur (
  mb INTEGER NOT NULL,
  kind INTEGER NOT NULL,            -- 0 curve, 1 KEM
  page INTEGER NOT NULL,
  next INTEGER NOT NULL,            -- index of the record that goes out next
  n INTEGER NOT NULL,
  reclen INTEGER NOT NULL,
  seen BLOB NOT NULL,               -- ids of the latest uploads: a repeated upload adds nothing
  PRIMARY KEY (mb, kind)
) WITHOUT ROWID;

CREATE TABLE meta (
  k TEXT PRIMARY KEY,
  v INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('seq_reserved', 0);
