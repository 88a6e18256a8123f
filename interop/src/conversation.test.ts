/**
 * Qasid and libsignal-client in conversation, in both roles, over a bad network, with vaults handed from one
 * to the other. `QASID_INTEROP_MESSAGES` sets the length of the long runs (test:nightly: 100 000),
 * `QASID_INTEROP_SEED` their seed.
 */
import t, { type Test } from 'tap';
import { converse, emptyTally, type Party, type Tally, type Traffic } from './conversation.js';
import type { Engine } from './engine.js';
import { libsignalEngine } from './libsignal-engine.js';
import { qasidNoble, qasidNode } from './qasid-engine.js';
import { Random } from './random.js';
import type { Address } from './vault.js';

const SEED = Number(process.env.QASID_INTEROP_SEED ?? 20261123);
const MESSAGES = Number(process.env.QASID_INTEROP_MESSAGES ?? 2000);
const NOW_MS = 1_700_000_000_000;

const ALICE: Address = { name: '9d0652a3-dcc3-4d11-975f-74d61598733f', deviceId: 1 };
const BOB: Address = { name: '796abedb-ca4e-4f18-8803-1fde5b921f9f', deviceId: 2 };

const LOSSY: Traffic = {
  messages: MESSAGES,
  loss: 0.3,
  duplicates: 0.1,
  tamper: 0.05,
  burst: 4,
  handOverEvery: 0,
};

interface Setting {
  readonly seed: number;
  readonly addresses?: readonly [Address, Address];
  readonly oneTime?: boolean;
  readonly both?: boolean;
  /** Two devices of one account: the same identity key pair. */
  readonly sameIdentity?: boolean;
}

async function talk(
  engines: readonly [Engine, Engine],
  traffic: Traffic,
  setting: Setting,
): Promise<Tally> {
  const [alice, bob] = setting.addresses ?? [ALICE, BOB];
  const first = engines[0].createVault(alice, 11);
  const shared = setting.sameIdentity ? first.identityRecord : undefined;
  const second = engines[1].createVault(bob, 22, shared);
  const parties: [Party, Party] = [
    { label: 'alice', engine: engines[0], vault: first },
    { label: 'bob', engine: engines[1], vault: second },
  ];
  const plan = { oneTime: setting.oneTime ?? true, lastResort: false };
  const [a, b] = parties;
  const ofBob = b.engine.publish(b.vault, 1, plan, NOW_MS);
  const ofAlice = setting.both ? a.engine.publish(a.vault, 1, plan, NOW_MS) : undefined;
  const clock = { nowMs: NOW_MS };
  return converse(
    new Random(SEED + setting.seed),
    parties,
    traffic,
    [ofBob, ofAlice],
    clock,
    emptyTally(),
  );
}

function describe(tally: Tally): string {
  const { epochs, ...counts } = tally;
  const text = Object.entries(counts).map(([name, count]) => `${name} ${count}`);
  return `${text.join(', ')}, SPQR epochs ${epochs[0]} and ${epochs[1]}`;
}

function checkLong(t: Test, tally: Tally): void {
  t.comment(describe(tally));
  t.equal(tally.sent, MESSAGES, `${MESSAGES} messages sent`);
  t.equal(tally.opened, tally.sent - tally.lost, 'every message that arrived was opened, once');
  t.ok(tally.lost > 0.25 * tally.sent, '30 % were lost');
  t.ok(tally.outOfOrder > 0 && tally.duplicatesRefused > 0 && tally.damagedRefused > 0);
  // Sides take turns as key holder: six completed epochs are three in each direction.
  if (MESSAGES >= 2000) t.ok(Math.min(...tally.epochs) >= 7, 'three SPQR epochs in each direction');
}

const PAIRS: readonly (readonly [string, Engine, Engine])[] = [
  ['libsignal starts, Qasid answers', libsignalEngine, qasidNode],
  ['Qasid starts, libsignal answers', qasidNode, libsignalEngine],
];

for (const [i, [name, first, second]] of PAIRS.entries()) {
  t.test(`lossy conversation: ${name}`, async (t) => {
    checkLong(t, await talk([first, second], LOSSY, { seed: i }));
  });

  t.test(`simultaneous start: ${name}`, async (t) => {
    const tally = await talk([first, second], { ...LOSSY, messages: 400 }, { seed: i, both: true });
    t.comment(describe(tally));
    t.equal(tally.opened, tally.sent - tally.lost);
  });

  t.test(`sessions started anew in mid-conversation: ${name}`, async (t) => {
    const traffic = { ...LOSSY, messages: 600, restartEvery: 17 };
    const tally = await talk([first, second], traffic, { seed: 10 + i });
    t.comment(describe(tally));
    t.ok(tally.restarts > 10, `${tally.restarts} new sessions`);
    t.equal(tally.opened, tally.sent - tally.lost);
  });

  t.test(`no one-time prekey: ${name}`, async (t) => {
    const short = { ...LOSSY, messages: 100 };
    const tally = await talk([first, second], short, { seed: 20 + i, oneTime: false });
    t.equal(tally.opened, tally.sent - tally.lost);
  });

  t.test(`a session with oneself: ${name}`, async (t) => {
    const short = { ...LOSSY, messages: 200 };
    const addresses = [ALICE, { ...ALICE, deviceId: 2 }] as const;
    const tally = await talk([first, second], short, { seed: i, addresses, sameIdentity: true });
    t.equal(tally.opened, tally.sent - tally.lost);
  });

  const NAMES: readonly (readonly [string, Address, Address])[] = [
    ['plain names', { name: '+14155550101', deviceId: 1 }, { name: 'bob@example', deviceId: 3 }],
    ['one plain name', ALICE, { name: 'bob', deviceId: 127 }],
    [
      'PNI and upper case',
      { ...ALICE, name: ALICE.name.toUpperCase() },
      { ...BOB, name: `PNI:${BOB.name}` },
    ],
    ['two devices of one name, two identities', ALICE, { ...ALICE, deviceId: 2 }],
  ];
  for (const [what, alice, bob] of NAMES) {
    t.test(`${what}: ${name}`, async (t) => {
      const short = { ...LOSSY, messages: 100 };
      const setting = { seed: 30 + i, addresses: [alice, bob] as const };
      const tally = await talk([first, second], short, setting);
      t.equal(tally.opened, tally.sent - tally.lost);
    });
  }
}

t.test('vaults handed over in mid-conversation, both ways, records byte for byte', async (t) => {
  const engines = [qasidNode, libsignalEngine];
  const traffic = { ...LOSSY, handOverEvery: 9, engines };
  const tally = await talk([libsignalEngine, qasidNode], traffic, { seed: 40 });
  checkLong(t, tally);
  t.ok(tally.handOvers >= 40, `${tally.handOvers} hand-overs`);
  t.ok(tally.recordsReencoded > 0, `${tally.recordsReencoded} records re-encoded byte for byte`);
});

t.test('hand-over with sessions started anew and archives in the record', async (t) => {
  const engines = [libsignalEngine, qasidNode];
  const traffic = { ...LOSSY, messages: 600, handOverEvery: 5, restartEvery: 23, engines };
  const tally = await talk([qasidNode, qasidNode], traffic, { seed: 50 });
  t.comment(describe(tally));
  t.equal(tally.opened, tally.sent - tally.lost);
  t.ok(tally.handOvers > 20 && tally.restarts > 5);
});

t.test('the portable provider takes part', async (t) => {
  const engines = [qasidNoble, libsignalEngine, qasidNode];
  const traffic = { ...LOSSY, messages: 300, handOverEvery: 10, engines };
  const tally = await talk([qasidNoble, libsignalEngine], traffic, { seed: 60, both: true });
  t.comment(describe(tally));
  t.equal(tally.opened, tally.sent - tally.lost);
});
