-- 13 Relay §8. Where a device is woken; gone with the device.

CREATE TABLE push (
  mb INTEGER PRIMARY KEY REFERENCES device (rid) ON DELETE CASCADE,
  target BLOB NOT NULL              -- a byte for the kind, then endpoint or handle
);
