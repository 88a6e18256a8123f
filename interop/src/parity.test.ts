/**
 * DIFF: the same mutated input to both implementations. Both must accept, with the same plaintext, or both
 * refuse; the kinds of refusal are compared too. The tables printed are the differences that are left.
 * `QASID_PARITY_INPUTS` sets how many mutated messages each scene meets.
 */
import { Random as MutationRandom } from '../../packages/protocol/dist-test/support/random.js';
import { mutate } from '../../packages/protocol/dist-test/mutation/mutate.js';
import t, { type Test } from 'tap';
import { converse, type Party } from './conversation.js';
import { type Engine, Refused } from './engine.js';
import { libsignalEngine } from './libsignal-engine.js';
import { qasidNode } from './qasid-engine.js';
import { Random } from './random.js';
import { type Address, hex, type Sealed, type Vault, type WireBundle } from './vault.js';

const INPUTS = Number(process.env.QASID_PARITY_INPUTS ?? 1200);
const SEED = Number(process.env.QASID_INTEROP_SEED ?? 20261123);
const NOW_MS = 1_700_000_000_000;
const ALICE: Address = { name: '9d0652a3-dcc3-4d11-975f-74d61598733f', deviceId: 1 };
const BOB: Address = { name: '796abedb-ca4e-4f18-8803-1fde5b921f9f', deviceId: 2 };

/**
 * Differences in the answer to a damaged *stored* record that are meant. Nothing from the network is here:
 * for messages and bundles the answers are the same.
 */
const MEANT_FOR_RECORDS: ReadonlyMap<string, string> = new Map([
  [
    'accepted | generic',
    'damaged state that the message does not need: Qasid refuses to go on with it',
  ],
  ['accepted | invalid-session', 'as above'],
  ['crash | generic', 'the library panics'],
  ['crash | invalid-session', 'the library panics'],
  ['generic | no-session', 'a record without any session'],
  [
    'generic | accepted',
    'a sub-message stored twice: the library merges both, Qasid takes the last',
  ],
]);

type Answer = { readonly text: string } | { readonly refused: string; readonly said: string };

async function ask(run: () => Promise<Uint8Array>): Promise<Answer> {
  try {
    return { text: hex(await run()) };
  } catch (error) {
    if (error instanceof Refused) return { refused: error.kind, said: error.text };
    return { refused: 'crash', said: error instanceof Error ? (error.stack ?? '') : String(error) };
  }
}

/** Counts agreements and keeps the disagreements. */
class Table {
  readonly #rows = new Map<string, number>();
  readonly #meant: ReadonlyMap<string, string>;
  readonly wrong: string[] = [];
  meant = 0;

  constructor(meant: ReadonlyMap<string, string> = new Map()) {
    this.#meant = meant;
  }

  add(theirs: Answer, ours: Answer, replay: string): void {
    const name = (answer: Answer): string => ('text' in answer ? 'accepted' : answer.refused);
    const row = `${name(theirs)} | ${name(ours)}`;
    this.#rows.set(row, (this.#rows.get(row) ?? 0) + 1);
    const accepted = 'text' in theirs && 'text' in ours;
    if (accepted ? theirs.text === ours.text : name(theirs) === name(ours) && !('text' in theirs)) {
      return;
    }
    if (this.#meant.has(row)) {
      this.meant++;
      return;
    }
    if (this.wrong.length < 8) {
      const said = (answer: Answer): string =>
        'text' in answer ? `opened ${answer.text.slice(0, 40)}` : answer.said.slice(0, 300);
      this.wrong.push(`${replay}: libsignal ${said(theirs)}; Qasid ${said(ours)}`);
    }
  }

  print(t: Test, title: string): void {
    t.comment(`${title}: libsignal | Qasid`);
    for (const [row, count] of [...this.#rows].sort((a, b) => b[1] - a[1])) {
      const why = this.#meant.get(row);
      t.comment(`  ${String(count).padStart(6)}  ${row}${why ? `  (${why})` : ''}`);
    }
  }
}

/** Alice and Bob in mid-conversation, and what is on its way from Alice to Bob. */
interface Scene {
  readonly bob: Vault;
  readonly underWay: readonly Sealed[];
}

async function scene(messages: number, oneTime: boolean, restartEvery: number): Promise<Scene> {
  const engine = libsignalEngine;
  const alice: Party = { label: 'alice', engine, vault: engine.createVault(ALICE, 1) };
  const bob: Party = { label: 'bob', engine, vault: engine.createVault(BOB, 2) };
  const bundle = engine.publish(bob.vault, 1, { oneTime, lastResort: false }, NOW_MS);
  let start: WireBundle | undefined = bundle;
  if (messages > 0) {
    const traffic = {
      messages,
      loss: 0.2,
      duplicates: 0,
      burst: 4,
      handOverEvery: 0,
      restartEvery,
    };
    const clock = { nowMs: NOW_MS };
    await converse(new Random(SEED), [alice, bob], traffic, [bundle, undefined], clock);
    start = undefined;
  }
  const underWay: Sealed[] = [];
  for (let i = 0; i < 6; i++) {
    const text = new Uint8Array(i * 5).fill(i);
    underWay.push(
      await engine.encrypt(alice.vault, BOB, text, NOW_MS, i === 0 ? start : undefined),
    );
  }
  return { bob: bob.vault, underWay };
}

async function open(engine: Engine, bob: Vault, sealed: Sealed): Promise<Answer> {
  const vault = bob.clone();
  const before = vault.snapshot();
  const answer = await ask(() => engine.decrypt(vault, ALICE, sealed, NOW_MS));
  if (engine === qasidNode && 'refused' in answer && vault.snapshot() !== before) {
    return {
      refused: 'changed state',
      said: 'ATK-C04: a refused message changed the stored state',
    };
  }
  return answer;
}

const SCENES: readonly (readonly [string, number, boolean, number])[] = [
  ['first flight with a one-time prekey', 0, true, 0],
  ['first flight without one', 0, false, 0],
  ['an established session', 41, true, 0],
  ['a record with archived sessions', 120, true, 11],
];

for (const [name, messages, oneTime, restartEvery] of SCENES) {
  t.test(`ATK-A13 ATK-C04 mutated messages: ${name}`, async (t) => {
    const { bob, underWay } = await scene(messages, oneTime, restartEvery);
    const table = new Table();
    for (let i = 0; i < INPUTS; i++) {
      const seed = (SEED + i) >>> 0;
      const random = new MutationRandom(seed);
      const original = underWay[random.below(underWay.length)];
      if (!original) continue;
      const corpus = [original.bytes, ...underWay.map((sealed) => sealed.bytes)];
      const sealed: Sealed = {
        type: random.chance(0.02) ? ((5 - original.type) as 2 | 3) : original.type,
        bytes: mutate(random, corpus, 1),
      };
      const theirs = await open(libsignalEngine, bob, sealed);
      table.add(theirs, await open(qasidNode, bob, sealed), `seed ${seed}, type ${sealed.type}`);
    }
    table.print(t, name);
    t.same(table.wrong, [], `${INPUTS} inputs, one answer`);
  });
}

t.test('ATK-C12 mutated session records in use', async (t) => {
  const { bob, underWay } = await scene(120, true, 11);
  const record = bob.session(ALICE)?.record;
  if (!record) throw new Error('no record');
  const table = new Table(MEANT_FOR_RECORDS);
  for (let i = 0; i < INPUTS; i++) {
    const seed = (SEED + i) >>> 0;
    const random = new MutationRandom(seed);
    const mutated = mutate(random, [record], 0);
    const sealed = underWay[random.below(underWay.length)];
    if (!sealed) continue;
    const vault = bob.clone();
    vault.putSession(ALICE, mutated);
    const theirs = await open(libsignalEngine, vault, sealed);
    table.add(theirs, await open(qasidNode, vault, sealed), `seed ${seed}`);
  }
  table.print(t, 'damaged records');
  t.same(table.wrong, [], `${INPUTS} records, one answer`);
  t.ok(table.meant <= INPUTS / 100, 'and hardly any that differs as meant');
});

t.test('ATK-B01 mutated bundles', async (t) => {
  const publisher = libsignalEngine.createVault(BOB, 2);
  const plan = { oneTime: true, lastResort: false };
  const good = libsignalEngine.publish(publisher, 1, plan, NOW_MS);
  const other = libsignalEngine.publish(libsignalEngine.createVault(BOB, 2), 1, plan, NOW_MS);
  const lowOrder = new Uint8Array(33);
  lowOrder[0] = 5;
  const flip = (bytes: Uint8Array, at: number): Uint8Array => {
    const out = bytes.slice();
    out[at] = (out[at] ?? 0) ^ 1;
    return out;
  };
  const { signedPreKey, kemPreKey } = good;
  const bundles: readonly (readonly [string, WireBundle])[] = [
    ['good', good],
    ['without one-time prekey', { ...good, preKey: undefined } as unknown as WireBundle],
    [
      'signature',
      { ...good, signedPreKey: { ...signedPreKey, signature: flip(signedPreKey.signature, 9) } },
    ],
    [
      'signature too short',
      { ...good, signedPreKey: { ...signedPreKey, signature: signedPreKey.signature.slice(1) } },
    ],
    [
      'empty signature',
      { ...good, signedPreKey: { ...signedPreKey, signature: new Uint8Array(0) } },
    ],
    [
      'signed prekey',
      { ...good, signedPreKey: { ...signedPreKey, public: flip(signedPreKey.public, 7) } },
    ],
    [
      'KEM signature',
      { ...good, kemPreKey: { ...kemPreKey, signature: flip(kemPreKey.signature, 60) } },
    ],
    ['KEM prekey', { ...good, kemPreKey: { ...kemPreKey, public: flip(kemPreKey.public, 700) } }],
    ['identity', { ...good, identityKey: other.identityKey }],
    ['signed prekey of another', { ...good, signedPreKey: other.signedPreKey }],
    ['KEM prekey of another', { ...good, kemPreKey: other.kemPreKey }],
    [
      'signatures swapped',
      {
        ...good,
        signedPreKey: { ...signedPreKey, signature: kemPreKey.signature },
        kemPreKey: { ...kemPreKey, signature: signedPreKey.signature },
      },
    ],
    ['one-time prekey of low order', { ...good, preKey: { id: 1, public: lowOrder } }],
    ['identity of low order', { ...good, identityKey: lowOrder }],
    [
      'other ids',
      {
        ...good,
        registrationId: 0,
        preKey: { id: 0xffff_ffff, public: good.preKey?.public ?? lowOrder },
      },
    ],
  ];
  const table = new Table();
  for (const [what, bundle] of bundles) {
    const answers: Answer[] = [];
    for (const engine of [libsignalEngine, qasidNode]) {
      const vault = engine.createVault(ALICE, 1);
      const before = vault.snapshot();
      const answer = await ask(async () => {
        const sealed = await engine.encrypt(vault, BOB, new Uint8Array(4), NOW_MS, bundle);
        return new Uint8Array([sealed.type]);
      });
      if ('refused' in answer)
        t.equal(vault.snapshot(), before, `${what}: ${engine.kind} stored nothing`);
      answers.push(answer);
    }
    table.add(answers[0] as Answer, answers[1] as Answer, what);
  }
  table.print(t, 'bundles');
  t.same(table.wrong, [], `${bundles.length} bundles, one answer`);
});
