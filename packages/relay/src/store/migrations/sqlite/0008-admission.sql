-- 13 Relay §2: who may register, and what an operator decides about an account.
CREATE TABLE invite (
  hash BLOB PRIMARY KEY,            -- SHA-256 of the 20 bytes; the invite itself is nowhere
  uses INTEGER NOT NULL,            -- left
  until INTEGER NOT NULL,           -- minute of expiry
  quota INTEGER                     -- bytes of a mailbox of the accounts it makes; null: the relay's
) WITHOUT ROWID;

CREATE TABLE ticket_used (
  hash BLOB PRIMARY KEY,            -- keyed hash of issuer and jti
  until INTEGER NOT NULL            -- minute in which the ticket is over by itself
) WITHOUT ROWID;

CREATE TABLE ticket_user (
  hash BLOB PRIMARY KEY,            -- keyed hash of issuer and sub: whose account this is, to nobody else
  account BLOB NOT NULL UNIQUE
) WITHOUT ROWID;

ALTER TABLE account ADD COLUMN suspended INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN quota INTEGER;
ALTER TABLE device ADD COLUMN seen_day INTEGER NOT NULL DEFAULT 0;
