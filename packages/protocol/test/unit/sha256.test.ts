// Our SHA-256, HMAC and HKDF against OpenSSL's, at every length where padding or key handling changes.
import { createHash, createHmac, hkdfSync } from 'node:crypto';
import t from 'tap';
import { toHex } from '#src/bytes.js';
import { hkdfSha256, hmacSha256, sha256 } from '#src/crypto/sha256.js';
import { Random } from '../support/random.js';

const random = new Random(256);

/** `bytes` cut into random pieces, empty ones included. */
function pieces(bytes: Uint8Array): Uint8Array[] {
  const out: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const next = Math.min(bytes.length, at + random.below(70));
    out.push(bytes.subarray(at, next));
    at = next;
  }
  return out;
}

t.test('SHA-256 of every length to 300, whole and in pieces', async (t) => {
  for (let length = 0; length <= 300; length++) {
    const bytes = random.bytes(length);
    const expected = createHash('sha256').update(bytes).digest('hex');
    if (toHex(sha256(bytes)) !== expected) t.fail(`${length} bytes`);
    if (toHex(sha256(...pieces(bytes))) !== expected) t.fail(`${length} bytes in pieces`);
  }
  const long = random.bytes(100_003);
  t.equal(toHex(sha256(long)), createHash('sha256').update(long).digest('hex'));
  t.equal(toHex(sha256()), createHash('sha256').digest('hex'));
});

t.test('HMAC with keys and messages of every length around a block', async (t) => {
  for (let keyLength = 0; keyLength <= 140; keyLength++) {
    for (const length of [0, 1, 31, 32, 54, 55, 56, 63, 64, 65, 119, 120, 128, 200]) {
      const key = random.bytes(keyLength);
      const bytes = random.bytes(length);
      const expected = createHmac('sha256', key).update(bytes).digest('hex');
      if (toHex(hmacSha256(key, ...pieces(bytes))) !== expected) t.fail(`${keyLength}, ${length}`);
    }
  }
  t.pass();
});

t.test('HKDF of every shape', async (t) => {
  const shapes = [0, 1, 13, 31, 32, 33, 55, 64, 65, 100];
  for (const saltLength of shapes) {
    for (const ikmLength of shapes) {
      for (const length of [0, 1, 31, 32, 33, 64, 80, 96, 130]) {
        const [salt, ikm] = [random.bytes(saltLength), random.bytes(ikmLength)];
        const info = random.bytes(random.below(80));
        const expected = new Uint8Array(hkdfSync('sha256', ikm, salt, info, length));
        const got = hkdfSha256(salt, ikm, info, length);
        if (toHex(got) !== toHex(expected)) t.fail(`${saltLength}, ${ikmLength}, ${length}`);
      }
    }
  }
  const ikm = random.bytes(32);
  const all = new Uint8Array(hkdfSync('sha256', ikm, new Uint8Array(0), ikm, 8160));
  t.same(hkdfSha256(undefined, ikm, ikm, 8160), all);
});

t.test('inputs are left alone, results share nothing', async (t) => {
  const key = random.bytes(32);
  const before = toHex(key);
  const one = hkdfSha256(key, key, key, 64);
  const text = toHex(one);
  const other = hkdfSha256(one, one, one, 64);
  hmacSha256(other, other);
  t.equal(toHex(key), before);
  t.equal(toHex(one), text);
  t.not(one.buffer, other.buffer);
});
