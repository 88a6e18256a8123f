/**
 * DIFF of circumstances rather than bytes: genuine messages in the wrong place, at the wrong time, to the
 * wrong device, with keys that are gone. Both implementations answer alike.
 */
import t from 'tap';
import { type Engine, Refused } from './engine.js';
import { libsignalEngine } from './libsignal-engine.js';
import { qasidNode } from './qasid-engine.js';
import { type Address, hex, type Sealed, type Vault, type WireBundle } from './vault.js';

const NOW_MS = 1_700_000_000_000;
const DAY_MS = 86_400_000;
const ALICE: Address = { name: '9d0652a3-dcc3-4d11-975f-74d61598733f', deviceId: 1 };
const BOB: Address = { name: '796abedb-ca4e-4f18-8803-1fde5b921f9f', deviceId: 2 };
const CAROL: Address = { name: '5d0d6f28-6d7b-4a3c-9a6e-3a3f4ad2b5aa', deviceId: 1 };
const TEXT = new TextEncoder().encode('salaam');

interface Stage {
  readonly alice: Vault;
  readonly bob: Vault;
  readonly bundle: WireBundle;
  /** Alice's first message, of type 3. */
  readonly first: Sealed;
}

async function stage(plan = { oneTime: true, lastResort: false }): Promise<Stage> {
  const lib = libsignalEngine;
  const alice = lib.createVault(ALICE, 1);
  const bob = lib.createVault(BOB, 2);
  const bundle = lib.publish(bob, 1, plan, NOW_MS);
  return { alice, bob, bundle, first: await lib.encrypt(alice, BOB, TEXT, NOW_MS, bundle) };
}

async function answer(run: () => Promise<Uint8Array>): Promise<string> {
  try {
    return hex(await run());
  } catch (error) {
    if (error instanceof Refused) return error.kind;
    throw error;
  }
}

type Story = (engine: Engine, s: Stage) => Promise<readonly string[]>;

const stories: readonly (readonly [string, Story, readonly string[]])[] = [
  [
    'the same prekey message twice ATK-C01',
    async (engine, { bob, first }) => {
      const open = () => answer(() => engine.decrypt(bob, ALICE, first, NOW_MS));
      return [await open(), await open()];
    },
    [hex(TEXT), 'duplicate'],
  ],
  [
    'a prekey message under another sender ATK-B09',
    async (engine, { bob, first }) => [
      await answer(() => engine.decrypt(bob, CAROL, first, NOW_MS)),
      await answer(() => engine.decrypt(bob, { ...ALICE, deviceId: 2 }, first, NOW_MS)),
    ],
    ['generic', 'generic'],
  ],
  [
    'a prekey message at another device with the same keys ATK-B09',
    async (engine, { bob, first }) => {
      const other = engine.createVault({ ...BOB, deviceId: 3 }, 2, bob.identityRecord);
      for (const name of ['preKeys', 'signedPreKeys', 'kemPreKeys'] as const) {
        for (const [id, record] of bob[name]) other[name].set(id, record);
      }
      return [await answer(() => engine.decrypt(other, ALICE, first, NOW_MS))];
    },
    ['generic'],
  ],
  [
    'a known account with a new identity key',
    async (engine, { bob, first }) => {
      const stranger = engine.createVault(ALICE, 1);
      bob.identities.set(ALICE.name, stranger.identityRecord.slice(2, 35));
      return [await answer(() => engine.decrypt(bob, ALICE, first, NOW_MS))];
    },
    ['untrusted-identity'],
  ],
  [
    'a bundle with a new identity key',
    async (engine, { alice, bundle }) => {
      alice.identities.set(BOB.name, alice.identityRecord.slice(2, 35));
      return [
        await answer(async () => {
          await engine.encrypt(alice, BOB, TEXT, NOW_MS, bundle);
          return TEXT;
        }),
      ];
    },
    ['untrusted-identity'],
  ],
  [
    'prekeys that are gone',
    async (engine, { bob, first }) => {
      const out: string[] = [];
      for (const name of ['preKeys', 'signedPreKeys', 'kemPreKeys'] as const) {
        const without = bob.clone();
        without[name].clear();
        out.push(await answer(() => engine.decrypt(without, ALICE, first, NOW_MS)));
      }
      return out;
    },
    ['store', 'store', 'store'],
  ],
  [
    'the one-time KEM prekey is gone after its first use, the last-resort one is not',
    async (engine) => {
      const out: string[] = [];
      for (const lastResort of [false, true]) {
        const { bob, bundle } = await stage({ oneTime: false, lastResort });
        for (const name of [ALICE, CAROL]) {
          const sender = libsignalEngine.createVault(name, 1);
          const sealed = await libsignalEngine.encrypt(sender, BOB, TEXT, NOW_MS, bundle);
          out.push(await answer(() => engine.decrypt(bob, name, sealed, NOW_MS)));
        }
      }
      return out;
    },
    [hex(TEXT), 'store', hex(TEXT), hex(TEXT)],
  ],
  [
    'replay of a last-resort prekey message after its session is gone ATK-B06',
    async (engine) => {
      const { bob, first } = await stage({ oneTime: false, lastResort: true });
      const out = [await answer(() => engine.decrypt(bob, ALICE, first, NOW_MS))];
      const restarted = bob.clone();
      restarted.deleteSession(ALICE);
      out.push(await answer(() => engine.decrypt(restarted, ALICE, first, NOW_MS)));
      return out;
    },
    [hex(TEXT), 'store'],
  ],
  [
    'a plain message without a session, and sending without one',
    async (engine, { alice, bob, first }) => {
      await libsignalEngine.decrypt(bob, ALICE, first, NOW_MS);
      const reply = await libsignalEngine.encrypt(bob, ALICE, TEXT, NOW_MS);
      const fresh = engine.createVault(ALICE, 1, alice.identityRecord);
      return [
        await answer(() => engine.decrypt(fresh, BOB, reply, NOW_MS)),
        await answer(async () => (await engine.encrypt(fresh, BOB, TEXT, NOW_MS)).bytes),
      ];
    },
    ['no-session', 'no-session'],
  ],
  [
    'a session nobody answered for 30 days and a millisecond ATK-C13',
    async (engine, { alice }) => {
      const send = (at: number) =>
        answer(async () => new Uint8Array([(await engine.encrypt(alice, BOB, TEXT, at)).type]));
      return [
        await send(NOW_MS + 30 * DAY_MS),
        await send(NOW_MS + 30 * DAY_MS + 1),
        await send(NOW_MS),
      ];
    },
    ['03', 'no-session', '03'],
  ],
  [
    'a prekey message taken for a plain one, and the reverse ATK-C16',
    async (engine, { bob, first }) => {
      const swapped: Sealed = { type: 2, bytes: first.bytes };
      const out = [await answer(() => engine.decrypt(bob, ALICE, swapped, NOW_MS))];
      await libsignalEngine.decrypt(bob, ALICE, first, NOW_MS);
      const reply = await libsignalEngine.encrypt(bob, ALICE, TEXT, NOW_MS);
      const alsoSwapped: Sealed = { type: 3, bytes: reply.bytes };
      out.push(await answer(() => engine.decrypt(bob, ALICE, alsoSwapped, NOW_MS)));
      return out;
    },
    ['generic', 'generic'],
  ],
  [
    'a message that comes back to its sender',
    async (engine, { alice, first }) => [
      await answer(() => engine.decrypt(alice, BOB, first, NOW_MS)),
      await answer(() => engine.decrypt(alice, ALICE, first, NOW_MS)),
    ],
    // Addressed to Bob by Alice: under Bob's name the identity is wrong, under her own the prekeys are.
    ['untrusted-identity', 'store'],
  ],
  [
    'a jump over 24 999 messages, and over one more ATK-C02',
    async (engine, { alice, bob, first }) => {
      const lib = libsignalEngine;
      await lib.decrypt(bob, ALICE, first, NOW_MS);
      await lib.decrypt(alice, BOB, await lib.encrypt(bob, ALICE, TEXT, NOW_MS), NOW_MS);
      await lib.decrypt(bob, ALICE, await lib.encrypt(alice, BOB, TEXT, NOW_MS), NOW_MS);
      let last: Sealed | undefined;
      const out: string[] = [];
      for (let i = 1; i <= 25_001; i++) {
        last = await qasidNode.encrypt(alice, BOB, TEXT, NOW_MS);
        const jump = i - 1;
        if (jump < 24_999) continue;
        const sealed = last;
        out.push(await answer(() => engine.decrypt(bob.clone(), ALICE, sealed, NOW_MS)));
      }
      return out;
    },
    // The Double Ratchet counts from the next message, SPQR from the last: its 25 000 come first.
    [hex(TEXT), 'generic'],
  ],
];

for (const [name, story, expected] of stories) {
  t.test(name, async (t) => {
    for (const engine of [libsignalEngine, qasidNode]) {
      t.same(await story(engine, await stage()), expected, engine.kind);
    }
  });
}
