// The keys of blob tickets: a new one a day, the one before it still checks, and both outlive a restart.
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { systemClock } from '#src/clock.js';
import { relayCrypto } from '#src/crypto.js';
import { TicketKeys } from '#src/service/ticket-keys.js';

const HOUR_MS = 3_600_000;

t.test('ATK-H04 a key of tickets is used for a day and checks for another', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-tickets-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  let nowMs = 1_000_000 * HOUR_MS;
  const clock = { ...systemClock, nowMs: () => nowMs };
  const open = () => new TicketKeys(relayCrypto, clock, directory);
  const keys = open();
  // Expires late, so that only keys decide.
  const ticket = () => ({
    action: 'write' as const,
    id: relayCrypto.randomBytes(32),
    size: 7,
    expires: nowMs / 1_000 + 10 * 24 * 3_600,
    budget: relayCrypto.randomBytes(8),
  });
  const first = keys.seal(ticket());
  nowMs += 23 * HOUR_MS;
  const sameDay = keys.seal(ticket());
  const keyId = (sealed: Uint8Array) => [...sealed.subarray(58, 62)];
  t.strictSame(keyId(sameDay), keyId(first));
  nowMs += 2 * HOUR_MS;
  const second = keys.seal(ticket());
  t.notSame(keyId(second), keyId(first), 'a new key after a day');
  t.ok(keys.open(first, 'write'), 'the one before it still checks');
  t.ok(open().open(first, 'write'), 'also after a restart');
  nowMs += 25 * HOUR_MS;
  t.equal(keys.open(first, 'write'), undefined, 'the one before that does not');
  t.equal(open().open(first, 'write'), undefined);
  t.ok(open().open(second, 'write'));
  const file = join(directory, 'blob-tickets');
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.equal(readFileSync(file).length, 80, 'two keys, no more');
  const latest = open().seal(ticket());
  nowMs -= 100 * HOUR_MS;
  const back = open().seal(ticket());
  t.notSame(keyId(back), keyId(latest), 'a clock that was set back keeps no key for ever');
  t.end();
});
