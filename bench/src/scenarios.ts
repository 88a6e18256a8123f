/** The work that is measured: set-up, ping-pong, one-way stream. */
import type { Contender } from './measure.js';
import type { Keeping, Pair, Side } from './side.js';

/** Two SPQR epochs of alternating messages, so that every block meets the same mixture of states. */
export const BLOCK_MESSAGES = 174;
const SET_UPS = 8;
const TEXT = new Uint8Array(100).fill(7);

/** Making and signing the prekeys of a device. */
export function prekeys(side: Side): Contender {
  return {
    name: side.name,
    async block() {
      for (let i = 0; i < SET_UPS; i++) await side.makePrekeys();
      return { units: SET_UPS };
    },
  };
}

/** Bundle in, first message out, first message opened; the bundle is made beforehand and not counted. */
export function setUp(side: Side, keeping: Keeping): Contender {
  return {
    name: side.name,
    async block() {
      const ready: (() => Promise<void>)[] = [];
      for (let i = 0; i < SET_UPS; i++) ready.push(await side.prepareSetUp(keeping));
      const started = performance.now();
      for (const run of ready) await run();
      return { units: SET_UPS, ms: performance.now() - started };
    },
  };
}

async function pairOf(side: Side, keeping: Keeping, made: { pair?: Pair }): Promise<Pair> {
  made.pair ??= await side.pair(keeping);
  return made.pair;
}

/** Messages to and fro, each opened before the answer: a Diffie-Hellman step for every message. */
export function pingPong(side: Side, keeping: Keeping): Contender {
  const made: { pair?: Pair } = {};
  return {
    name: side.name,
    async block() {
      const pair = await pairOf(side, keeping, made);
      for (let i = 0; i < BLOCK_MESSAGES; i += 2) {
        await pair.receive(1, await pair.send(0, TEXT));
        await pair.receive(0, await pair.send(1, TEXT));
      }
      return { units: BLOCK_MESSAGES };
    },
  };
}

/** Messages in one direction only; one answer a block keeps the peers in one SPQR epoch or the next. */
export function stream(side: Side, keeping: Keeping): Contender {
  const made: { pair?: Pair } = {};
  return {
    name: side.name,
    async block() {
      const pair = await pairOf(side, keeping, made);
      for (let i = 1; i < BLOCK_MESSAGES; i++) await pair.receive(1, await pair.send(0, TEXT));
      await pair.receive(0, await pair.send(1, TEXT));
      return { units: BLOCK_MESSAGES };
    },
  };
}
