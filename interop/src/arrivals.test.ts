/**
 * DIFF of state: the same messages arrive in the same order at two copies of one vault, one run by each
 * implementation. Receiving on a known chain draws no randomness, so the records must be the same bytes
 * after every step: skipped keys and their order, evictions, SPQR's own window, refusals. ATK-C03 ATK-C11
 */
import t, { type Test } from 'tap';
import { type Engine, Refused } from './engine.js';
import { libsignalEngine } from './libsignal-engine.js';
import { qasidNode } from './qasid-engine.js';
import { Random } from './random.js';
import { type Address, hex, type Sealed, type Vault } from './vault.js';

const SEED = Number(process.env.QASID_INTEROP_SEED ?? 20261123);
const NOW_MS = 1_700_000_000_000;
const ALICE: Address = { name: '9d0652a3-dcc3-4d11-975f-74d61598733f', deviceId: 1 };
const BOB: Address = { name: '796abedb-ca4e-4f18-8803-1fde5b921f9f', deviceId: 2 };

/** Bob knows Alice's chain; she has sent `count` more on it. */
async function oneChain(count: number): Promise<{ bob: Vault; sent: Sealed[] }> {
  const alice = libsignalEngine.createVault(ALICE, 1);
  const bob = libsignalEngine.createVault(BOB, 2);
  const bundle = libsignalEngine.publish(bob, 1, { oneTime: true, lastResort: false }, NOW_MS);
  const text = new Uint8Array(3);
  const say = async (from: Vault, to: Vault, first?: typeof bundle): Promise<void> => {
    const sealed = await libsignalEngine.encrypt(from, to.address, text, NOW_MS, first);
    await libsignalEngine.decrypt(to, from.address, sealed, NOW_MS);
  };
  await say(alice, bob, bundle);
  await say(bob, alice);
  await say(alice, bob);
  const sent: Sealed[] = [];
  for (let i = 0; i < count; i++) {
    sent.push(await qasidNode.encrypt(alice, BOB, new Uint8Array([i & 0xff, i >> 8]), NOW_MS));
  }
  return { bob, sent };
}

async function receive(engine: Engine, vault: Vault, sealed: Sealed): Promise<string> {
  try {
    return hex(await engine.decrypt(vault, ALICE, sealed, NOW_MS));
  } catch (error) {
    if (error instanceof Refused) return error.kind;
    throw error;
  }
}

/** Let `order` arrive at both. Fails at the first difference. */
async function compare(
  t: Test,
  bob: Vault,
  sent: readonly Sealed[],
  order: readonly number[],
): Promise<Map<string, number>> {
  const theirs = bob.clone();
  const ours = bob.clone();
  const counts = new Map<string, number>();
  for (const [step, number] of order.entries()) {
    const sealed = sent[number] as Sealed;
    const expected = await receive(libsignalEngine, theirs, sealed);
    const answer = await receive(qasidNode, ours, sealed);
    const [record] = theirs.sessionRecords();
    const [own] = ours.sessionRecords();
    const same = Buffer.compare(record as Uint8Array, own as Uint8Array) === 0;
    if (answer !== expected || !same) {
      t.fail(`step ${step}, message ${number}: ${expected} | ${answer}, same record: ${same}`);
      return counts;
    }
    const kind = /^[0-9a-f]*$/.test(answer) ? 'opened' : answer;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  t.comment([...counts].map(([kind, count]) => `${kind} ${count}`).join(', '));
  return counts;
}

t.test('random arrivals, losses and repeats on one chain', async (t) => {
  const random = new Random(SEED);
  const { bob, sent } = await oneChain(400);
  const order: number[] = [];
  for (let next = 0; next < sent.length; next += 1 + random.below(4)) order.push(next);
  // Late, early and again.
  for (let i = 0; i < 250; i++) order.splice(random.below(order.length), 0, random.below(400));
  const counts = await compare(t, bob, sent, order);
  t.ok((counts.get('opened') ?? 0) > 100 && (counts.get('duplicate') ?? 0) > 20);
});

t.test('2 000 skipped keys, and the ones before them are gone', async (t) => {
  const random = new Random(SEED + 1);
  const { bob, sent } = await oneChain(2150);
  const last = sent.length - 1;
  const order = [last];
  for (let around = 140; around < 156; around++) order.push(around);
  for (let i = 0; i < 60; i++) order.push(random.below(last));
  order.push(0, 1, last - 1, last);
  const counts = await compare(t, bob, sent, order);
  t.ok((counts.get('opened') ?? 0) > 40 && (counts.get('duplicate') ?? 0) > 5);
});

t.test('several jumps, so that windows overlap and are cleaned up', async (t) => {
  const random = new Random(SEED + 2);
  const { bob, sent } = await oneChain(3400);
  const order: number[] = [];
  for (const jump of [700, 1100, 1900, 2300, 3399]) {
    order.push(jump);
    for (let i = 0; i < 25; i++) order.push(random.below(jump));
  }
  const counts = await compare(t, bob, sent, order);
  t.ok((counts.get('opened') ?? 0) > 50);
});
