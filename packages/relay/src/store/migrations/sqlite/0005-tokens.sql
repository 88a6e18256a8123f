-- 13 Relay §10. Delivery tokens and inlets. The account is that of the device: when the device goes, they go.

CREATE TABLE token (
  id BLOB PRIMARY KEY,              -- 16 bytes: id of a token, or address of an inlet
  mb INTEGER NOT NULL REFERENCES device (rid) ON DELETE CASCADE,
  verifier BLOB NOT NULL,           -- hash of the token, never the token
  inlet INTEGER NOT NULL,           -- 1: the id is an address
  keys INTEGER NOT NULL,            -- 1: the holder may fetch device list and prekeys
  exp INTEGER NOT NULL,             -- minute of expiry, 0: none
  rate INTEGER NOT NULL             -- sends at once, 0: the relay's limit
) WITHOUT ROWID;
CREATE INDEX token_mb ON token (mb);
