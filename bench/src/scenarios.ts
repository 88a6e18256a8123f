/** The work that is measured: set-up, ping-pong, one-way stream, prekeys. */
import type { Formats } from './formats.js';
import type { Clock, Contender } from './measure.js';
import type { Keeping, Pair, Side } from './side.js';

/** Two SPQR epochs of alternating messages, so that every block meets the same mixture of states. */
const BLOCK_MESSAGES = 174;
const SET_UPS = 8;
const TEXT = new Uint8Array(100).fill(7);

/** A line of the report. */
export interface Scenario {
  readonly title: string;
  /** What one unit is. */
  readonly unit: string;
  readonly make: (side: Side) => Contender;
}

/** Making and signing the prekeys of a device. */
function prekeys(side: Side): Contender {
  return {
    name: side.name,
    async block(clock) {
      clock.start();
      for (let i = 0; i < SET_UPS; i++) await side.makePrekeys();
      clock.stop();
      return SET_UPS;
    },
  };
}

/** Bundle in, first message out, first message opened; the bundle is made beforehand and not counted. */
function setUp(side: Side, keeping: Keeping): Contender {
  return {
    name: side.name,
    async block(clock) {
      const ready: (() => Promise<void>)[] = [];
      for (let i = 0; i < SET_UPS; i++) ready.push(await side.prepareSetUp(keeping));
      clock.start();
      for (const run of ready) await run();
      clock.stop();
      return SET_UPS;
    },
  };
}

/** A block of `turns` on one pair of devices that lives as long as the scenario. */
function talking(
  side: Side,
  keeping: Keeping,
  turn: (pair: Pair, i: number) => Promise<void>,
): Contender {
  let made: Pair | undefined;
  return {
    name: side.name,
    async block(clock) {
      made ??= await side.pair(keeping);
      clock.start();
      for (let i = 0; i < BLOCK_MESSAGES; i++) await turn(made, i);
      clock.stop();
      return BLOCK_MESSAGES;
    },
  };
}

/** Messages to and fro, each opened before the answer: a Diffie-Hellman step for every message. */
function pingPong(side: Side, keeping: Keeping): Contender {
  return talking(side, keeping, async (pair, i) => {
    const from = i % 2 === 0 ? 0 : 1;
    await pair.receive(from === 0 ? 1 : 0, await pair.send(from, TEXT));
  });
}

/** Messages in one direction; one answer a block, as an acknowledgement would be. */
function stream(side: Side, keeping: Keeping): Contender {
  return talking(side, keeping, async (pair, i) => {
    const from = i === 0 ? 1 : 0;
    await pair.receive(from === 0 ? 1 : 0, await pair.send(from, TEXT));
  });
}

/** A block of `units` calls of what `work` makes of the formats. */
function formatted(
  side: Side,
  units: number,
  work: (formats: Formats) => Promise<(clock: Clock) => Promise<void>>,
): Contender {
  let made: ((clock: Clock) => Promise<void>) | undefined;
  return {
    name: side.name,
    async block(clock) {
      made ??= await work(await side.formats());
      for (let i = 0; i < units; i++) await made(clock);
      return units;
    },
  };
}

/** Only `run` is on the clock. */
async function timed(clock: Clock, run: () => unknown): Promise<void> {
  clock.start();
  await run();
  clock.stop();
}

const FORMATS: readonly Scenario[] = [
  {
    title: 'Group message: encrypt and sign, record stored',
    unit: 'message',
    make: (side) =>
      formatted(side, 100, async (f) => (clock) => timed(clock, () => f.groupEncrypt())),
  },
  {
    title: 'Group message: verify and decrypt, record stored',
    unit: 'message',
    make: (side) =>
      formatted(side, 100, async (f) => async (clock) => {
        const message = await f.groupEncrypt();
        await timed(clock, () => f.groupDecrypt(message));
      }),
  },
  {
    title: 'Sealed sender v1: seal, open, validate',
    unit: 'message',
    make: (side) =>
      formatted(
        side,
        50,
        async (f) => (clock) => timed(clock, async () => f.unseal(await f.seal())),
      ),
  },
  {
    title: 'Sealed sender v2: seal for 20 accounts',
    unit: 'message',
    make: (side) =>
      formatted(side, 10, async (f) => (clock) => timed(clock, () => f.sealForMany())),
  },
  {
    title: 'XEdDSA: sign 100 bytes',
    unit: 'signature',
    make: (side) => formatted(side, 100, async (f) => (clock) => timed(clock, () => f.sign())),
  },
  {
    title: 'XEdDSA: verify',
    unit: 'signature',
    make: (side) =>
      formatted(side, 100, async (f) => {
        const signature = f.sign();
        return (clock) => timed(clock, () => f.verify(signature));
      }),
  },
  {
    title: 'Safety number, 5 200 iterations',
    unit: 'number',
    make: (side) =>
      formatted(side, 5, async (f) => (clock) => timed(clock, () => f.safetyNumber())),
  },
];

/** All scenarios, the ones with an aim first. */
export const SCENARIOS: readonly Scenario[] = [
  {
    title: 'Ping-pong, a record stored after every step',
    unit: 'message',
    make: (side) => pingPong(side, 'stored'),
  },
  {
    title: 'One-way stream, a record stored after every step',
    unit: 'message',
    make: (side) => stream(side, 'stored'),
  },
  {
    title: 'Session set-up and first message, records stored',
    unit: 'set-up',
    make: (side) => setUp(side, 'stored'),
  },
  {
    title: 'Ping-pong, state held in memory, never serialised',
    unit: 'message',
    make: (side) => pingPong(side, 'held'),
  },
  {
    title: 'One-way stream, state held in memory',
    unit: 'message',
    make: (side) => stream(side, 'held'),
  },
  { title: 'Prekeys of a device: make, sign, encode', unit: 'device', make: prekeys },
  ...FORMATS,
];
