// The pure rules: buckets, addressing, connection states, network prefixes, options.
import { toAccountId } from '@qasid/protocol/envelope';
import { checkConfig, DEFAULT_CONFIG, type RelayError } from '@qasid/relay';
import fc from 'fast-check';
import t from 'tap';
import { checkAddressing } from '#src/protocol/addressing.js';
import {
  admit,
  CHALLENGE_MAX_MS,
  type ConnectionState,
  judgeCredit,
} from '#src/protocol/connection.js';
import {
  fadeLevel,
  raiseLevel,
  WORK_BITS_HIGH,
  WORK_BITS_LOW,
  workBits,
} from '#src/protocol/work.js';
import { BucketTable, takeTokens, tokensAt } from '#src/protocol/quota.js';
import { networkPrefix } from '#src/service/context.js';

t.test('a bucket gives its burst, then its rate, and says when', async (t) => {
  const rule = { burst: 3, perSecond: 2 };
  const table = new BucketTable(rule);
  t.strictSame(
    [0, 0, 0, 0].map(() => table.take('a', 1, 1_000)),
    [0, 0, 0, 500],
  );
  t.equal(table.take('b', 1, 1_000), 0, 'another key has its own');
  t.equal(table.take('a', 1, 1_250), 250);
  t.equal(table.take('a', 1, 1_500), 0);
  t.equal(table.take('a', 4, 99_000), 500, 'more than the burst never passes');
  t.equal(table.take('a', 1, 0), 500, 'time going backwards adds nothing and breaks nothing');
  t.match(takeTokens({ burst: 1, perSecond: 0 }, { tokens: 0, atMs: 0 }, 1, 1e9), {
    allowed: false,
  });
});

t.test('no schedule gets more out of a bucket than burst and rate allow', async (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ waitMs: fc.nat(5_000), amount: fc.integer({ min: 1, max: 5 }) })),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 10 }),
      (steps, burst, perSecond) => {
        const rule = { burst, perSecond };
        let bucket: Parameters<typeof takeTokens>[1];
        let nowMs = 0;
        let passed = 0;
        for (const { waitMs, amount } of steps) {
          nowMs += waitMs;
          const verdict = takeTokens(rule, bucket, amount, nowMs);
          if (!verdict.allowed) continue;
          bucket = verdict.bucket;
          passed += amount;
        }
        return passed <= burst + (nowMs / 1000) * perSecond + 1e-6;
      },
    ),
  );
  t.pass();
});

t.test('a table forgets full buckets and stays below its size', async (t) => {
  const table = new BucketTable({ burst: 1, perSecond: 1 }, 100);
  for (let key = 0; key < 1_000; key++) table.take(String(key), 1, 0);
  t.ok(table.size <= 100, `${table.size}`);
  for (let key = 0; key < 60; key++) table.take('x', 1, 10_000 + key * 2_000);
  t.equal(table.size, 1);
  t.equal(tokensAt({ burst: 5, perSecond: 1 }, undefined, 0), 5);
  t.equal(table.wouldAllow('new', 1, 0), true);
});

t.test('addressing: every device once, the sender excepted', async (t) => {
  const known = [1, 2, 3].map((device) => ({ device, registrationId: device * 10 }));
  const named = (...ids: readonly number[]) =>
    ids.map((device) => ({ device, registrationId: device * 10 }));
  t.equal(checkAddressing(known, named(3, 1, 2), undefined), undefined);
  t.equal(checkAddressing(known, named(1, 3), 2), undefined);
  t.match(checkAddressing(known, named(1, 2, 3), 2), { kind: 'mismatch', extra: [2], missing: [] });
  t.match(checkAddressing(known, [], undefined), { missing: [1, 2, 3] });
  t.match(checkAddressing(known, named(1, 2, 3, 3), undefined), { extra: [3] });
  const stale = named(1, 2, 3).map((part) => ({ ...part, registrationId: 7 }));
  t.strictSame(checkAddressing(known, stale, 1), { kind: 'mismatch', missing: [], extra: [1] });
  t.strictSame(checkAddressing(known, stale.slice(1), 1), { kind: 'stale', devices: [2, 3] });
});

t.test('ATK-I06 what each state of a connection admits', async (t) => {
  const account = toAccountId(new Uint8Array(16));
  const auth = {
    kind: 'auth',
    account,
    device: 1,
    signature: new Uint8Array(64),
    version: 1,
  } as const;
  const lookup = { kind: 'lookup', username: 'bob' } as const;
  const ping = { kind: 'ping' } as const;
  const greeting = { kind: 'greeting', nonce: new Uint8Array(32), issuedAtMs: 0 } as const;
  t.match(admit(greeting, auth, CHALLENGE_MAX_MS), { kind: 'prove' });
  t.match(admit(greeting, auth, CHALLENGE_MAX_MS + 1), { kind: 'close', reason: 'UNAUTHORISED' });
  t.match(admit(greeting, lookup, 0), { kind: 'refuse' });
  t.match(admit(greeting, ping, 0), { kind: 'run' });
  t.match(admit({ kind: 'checking' }, auth, 0), { kind: 'close' }, 'one proof for one nonce');
  t.match(admit({ kind: 'checking' }, lookup, 0), { kind: 'refuse' });
  const open = { kind: 'authorised', account, device: 1, mailbox: 5 } as const;
  t.match(admit(open, lookup, 0), { kind: 'run' });
  t.match(admit(open, auth, 0), { kind: 'repeat' });
  t.match(admit(open, { ...auth, device: 2 }, 0), { kind: 'close' });
  const closing = { kind: 'closing', reason: 'SLOW' } as const;
  t.match(admit(closing, ping, 0), { kind: 'close', reason: 'SLOW' });
});

t.test('credit: below it fits, over it waits, twice over closes', async (t) => {
  const limit = { parts: 10, bytes: 1_000 };
  const judge = (parts: number, more: number): string =>
    judgeCredit(limit, { parts, bytes: 0 }, { parts: more, bytes: 0 });
  t.equal(judge(0, 100), 'fits', 'one thing at a time always fits');
  t.equal(judge(9, 1), 'fits');
  t.equal(judge(10, 1), 'over');
  t.equal(judge(10, 10), 'over');
  t.equal(judge(10, 11), 'abuse');
  t.equal(judgeCredit(limit, { parts: 1, bytes: 900 }, { parts: 1, bytes: 101 }), 'over');
});

t.test('network prefixes: /24 and /56', async (t) => {
  t.equal(networkPrefix('192.0.2.7'), networkPrefix('192.0.2.200'));
  t.not(networkPrefix('192.0.2.7'), networkPrefix('192.0.3.7'));
  t.equal(networkPrefix('::ffff:192.0.2.7'), networkPrefix('192.0.2.8'));
  t.equal(networkPrefix('2001:db8:1:200::1'), networkPrefix('2001:db8:1:2ff:5:6:7:8'));
  t.equal(
    networkPrefix('2001:db8:1:200::1'),
    networkPrefix('2001:0db8:0001:0201:0000:0000:0000:0009'),
  );
  t.not(networkPrefix('2001:db8:1:200::1'), networkPrefix('2001:db8:1:300::1'));
  t.not(networkPrefix('::1'), networkPrefix('2001:db8::1'));
});

t.test('options are checked, filled in, frozen', async (t) => {
  const config = checkConfig({
    store: 'memory',
    port: 0,
    quotas: { sends: { burst: 1, perSecond: 1 } },
  });
  t.equal(config.retentionDays, 30);
  t.equal(config.quotas.sends.burst, 1);
  t.strictSame(config.quotas.lookups, DEFAULT_CONFIG.quotas.lookups);
  t.ok(Object.isFrozen(config) && Object.isFrozen(config.quotas));
  const wrong: readonly (readonly [string, object])[] = [
    ['directory', {}],
    ['port', { store: 'memory', port: 65_536 }],
    ['port', { store: 'memory', port: 1.5 }],
    ['port', { store: 'memory', port: Number.NaN }],
    ['store', { store: 'redis' }],
    ['storeThread', { store: 'memory', storeThread: 'both' }],
    ['synchronous', { store: 'memory', synchronous: 'OFF' }],
    ['transport', { store: 'memory', transport: 'tcp' }],
    ['logLevel', { store: 'memory', logLevel: 'loud' }],
    ['retentionDays', { store: 'memory', retentionDays: 46 }],
    ['devicesMax', { store: 'memory', devicesMax: 0 }],
    ['requirePadding', { store: 'memory', requirePadding: 'yes' }],
    ['colour', { store: 'memory', colour: 'red' }],
    ['quotas.sends', { store: 'memory', quotas: { sends: { burst: 0, perSecond: 1 } } }],
  ];
  for (const [name, options] of wrong) {
    const error = t.throws(() => checkConfig(options), { code: 'RELAY_CONFIG' }) as RelayError;
    t.ok(error.message.startsWith(name), error.message);
    t.ok(error.hint.length > 0);
  }
});

t.test('what may be asked before a proof, and what never after it', async (t) => {
  const account = toAccountId(new Uint8Array(16));
  const slot = new Uint8Array(16);
  const greeting: ConnectionState = { kind: 'greeting', nonce: new Uint8Array(32), issuedAtMs: 0 };
  const authorised: ConnectionState = { kind: 'authorised', account, device: 1, mailbox: 7 };
  const take = { kind: 'rendezvousTake', slot } as const;
  const put = { kind: 'rendezvousPut', slot, message: slot } as const;
  const signature = new Uint8Array(64);
  const end = { kind: 'deleteAccount', account, device: 1, signature } as const;
  for (const op of [take, put]) {
    t.equal(admit(greeting, op, 1).kind, 'meet');
    t.equal(admit({ kind: 'checking' }, op, 1).kind, 'refuse');
    t.equal(admit(authorised, op, 1).kind, 'refuse', 'who meets whom is nobody’s business');
  }
  t.equal(admit(greeting, end, 1).kind, 'prove');
  t.equal(admit(greeting, end, CHALLENGE_MAX_MS + 1).kind, 'close');
  t.equal(admit(authorised, end, 1).kind, 'close', 'an open socket is no fresh proof');
  t.equal(admit(greeting, { kind: 'setUsername' }, 1).kind, 'refuse');
  t.equal(admit(authorised, { kind: 'setUsername' }, 1).kind, 'run');
});

t.test('ATK-I14 work grows with registrations, within its bounds, and fades', async (t) => {
  let level = { count: 0, atMs: 0 };
  t.equal(workBits(level, 0), WORK_BITS_LOW);
  let before = WORK_BITS_LOW;
  for (let index = 0; index < 100_000; index++) {
    level = raiseLevel(level, index);
    const bits = workBits(level, index);
    if (bits < before || bits > WORK_BITS_HIGH) t.fail(`${bits} after ${before}`);
    before = bits;
  }
  t.equal(before, WORK_BITS_HIGH, 'a flood pays the most');
  const hour = 60 * 60 * 1000;
  t.equal(workBits(level, 3 * hour), WORK_BITS_LOW, 'and is forgotten');
  const class_ = Array.from({ length: 31 }).reduce<typeof level>((now) => raiseLevel(now, 0), {
    count: 0,
    atMs: 0,
  });
  t.equal(workBits(class_, 0), WORK_BITS_LOW, 'a school class pays nothing extra');
  t.strictSame(fadeLevel({ count: 8, atMs: 5 }, 0), { count: 8, atMs: 0 }, 'time going backwards');
});
