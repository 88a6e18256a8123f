/** Two people end to end, beside the same two without an SDK, through one relay, in alternating rounds. */
import { join } from 'node:path';
import { startRelayProcess, populate } from '../relay/peers/qasid.js';
import { Histogram } from '../relay/histogram.js';
import { type Managed, scratch } from '../relay/processes.js';
import type { Address, Heard, Kind, PartyOptions, Sent, Usage } from './party.js';
import { Person } from './person.js';

/** Somebody to compare. */
export interface Variant {
  readonly key: string;
  readonly title: string;
  readonly kind: Kind;
  readonly passphrase?: string;
  readonly sealed: boolean;
  readonly receipts: boolean;
}

/** The SDK as it is by default, what its parts cost, and the same without it. */
export const VARIANTS: readonly Variant[] = [
  {
    key: 'sdk',
    title: 'SDK, sealed sender, encrypted store',
    kind: 'qasid',
    passphrase: 'correct horse battery staple',
    sealed: true,
    receipts: true,
  },
  { key: 'open', title: 'SDK, sealed sender', kind: 'qasid', sealed: true, receipts: true },
  { key: 'named', title: 'SDK, sender visible', kind: 'qasid', sealed: false, receipts: true },
  {
    key: 'libsignal',
    title: 'libsignal-client + SQLite + relay',
    kind: 'libsignal',
    sealed: false,
    receipts: false,
  },
  {
    key: 'plain',
    title: 'plain text + SQLite + relay',
    kind: 'plain',
    sealed: false,
    receipts: false,
  },
];

/** What is done with them. */
export const LOADS = [
  { key: 'talk', title: 'conversation: each message waits for the one before it' },
  { key: 'stream', title: 'stream: as fast as one side can, the other is connected' },
  { key: 'catch-up', title: 'catch-up: the relay holds them, the other side connects' },
] as const;

/** Which load. */
export type LoadKey = (typeof LOADS)[number]['key'];

/** One round of one variant. */
export interface ChatSample {
  readonly perSecond: number;
  /** From `send` to stored and shown at the other side; of `catch-up` there is none. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Durable at the sender, per second. */
  readonly storedPerSecond: number;
  /** Processor time per message, microseconds. */
  readonly senderUs: number;
  readonly receiverUs: number;
  readonly relayUs: number;
}

interface Pair {
  readonly variant: Variant;
  readonly alice: Person;
  readonly bob: Person;
}

/** How much of each load. */
export interface ChatSize {
  readonly rounds: number;
  readonly talk: number;
  readonly stream: number;
  readonly catchUp: number;
}

/** All samples, by load and variant. */
export type ChatResults = ReadonlyMap<string, ReadonlyMap<string, readonly ChatSample[]>>;

/** Run everything. */
export async function compareChats(
  size: ChatSize,
  wanted: readonly Variant[],
  say: (line: string) => void,
): Promise<ChatResults> {
  const bare = wanted.filter(({ kind }) => kind !== 'qasid').length;
  const { directory, people } = await populate({
    producers: 2 * bare,
    readers: 0,
    families: 0,
    idle: 0,
  });
  const relay = await startRelayProcess(directory, { storeThread: 'main', devicesMax: 127 });
  const spare = [...people.producers];
  const pairs: Pair[] = [];
  const results = new Map<string, Map<string, ChatSample[]>>();
  try {
    for (const variant of wanted) {
      const start = async (name: string): Promise<Person> => {
        const { kind, passphrase, sealed, receipts } = variant;
        const options: PartyOptions = {
          ...{ kind, sealed, receipts, port: relay.port },
          directory: join(scratch(`sdk-${variant.key}`), name),
          username: `${variant.key}-${name}`,
          ...(passphrase !== undefined && { passphrase }),
          ...(kind !== 'qasid' && { device: spare.pop()! }),
        };
        return Person.start(options);
      };
      const pair = { variant, alice: await start('alice'), bob: await start('bob') };
      await introduce(pair);
      pairs.push(pair);
      say(`up: ${variant.title}`);
    }
    for (const { key } of LOADS) {
      const bySystem = new Map<string, ChatSample[]>();
      results.set(key, bySystem);
      for (let round = -1; round < size.rounds; round++) {
        for (let turn = 0; turn < pairs.length; turn++) {
          // Nobody is always first.
          const pair = pairs[(turn + round + pairs.length) % pairs.length]!;
          const sample = await run(key, pair, size, relay.managed, round < 0 ? 0.3 : 1);
          // The round before the first warms up.
          if (round < 0) continue;
          say(`${key} ${round + 1}/${size.rounds} ${pair.variant.key}: ${brief(sample)}`);
          const { key: name } = pair.variant;
          bySystem.set(name, [...(bySystem.get(name) ?? []), sample]);
        }
      }
    }
    for (const { alice, bob } of pairs) {
      await alice.close();
      await bob.close();
    }
  } finally {
    await relay.managed.stop();
  }
  return results;
}

/** Each knows the other, each has accepted the other, and sessions run both ways. */
async function introduce({ alice, bob }: Pair): Promise<void> {
  // Only the one who writes first takes a bundle.
  const { bundle: _, ...first } = await alice.tell<Address>({ do: 'address' });
  await bob.tell({ do: 'meet', other: first });
  await alice.tell({ do: 'meet', other: await bob.tell<Address>({ do: 'address' }) });
  await bob.tell({ do: 'echo', on: true });
  await alice.tell({ do: 'talk', count: 20 });
  await bob.tell({ do: 'echo', on: false });
}

async function run(
  load: LoadKey,
  pair: Pair,
  size: ChatSize,
  relay: Managed,
  share: number,
): Promise<ChatSample> {
  const { alice, bob } = pair;
  const usage = async (): Promise<readonly [number, number, number]> => [
    (await alice.tell<Usage>({ do: 'usage' })).cpuUs,
    (await bob.tell<Usage>({ do: 'usage' })).cpuUs,
    relay.cpuUs(),
  ];
  const [, , relayBefore] = await usage();
  if (load === 'talk') {
    const count = Math.ceil(size.talk * share);
    await bob.tell({ do: 'echo', on: true });
    const started = process.hrtime.bigint();
    const rounds = await alice.tell<readonly number[]>({ do: 'talk', count });
    const seconds = Number(process.hrtime.bigint() - started) / 1e9;
    await bob.tell({ do: 'echo', on: false });
    const [senderUs, receiverUs, relayUs] = await usage();
    const times = histogram(rounds.map((ms) => ms / 2));
    return {
      perSecond: (2 * count) / seconds,
      p50Ms: times.quantile(0.5),
      p99Ms: times.quantile(0.99),
      storedPerSecond: 0,
      // Each sends and receives as much as the other.
      senderUs: senderUs / (2 * count),
      receiverUs: receiverUs / (2 * count),
      relayUs: (relayUs - relayBefore) / (2 * count),
    };
  }
  const count = Math.ceil((load === 'stream' ? size.stream : size.catchUp) * share);
  await bob.tell({ do: 'listen', count });
  if (load === 'catch-up') await bob.tell({ do: 'offline' });
  const sent = await alice.tell<Sent>({ do: 'stream', count });
  let from = sent.startNs;
  if (load === 'catch-up') {
    await bob.tell({ do: 'usage' });
    from = process.hrtime.bigint();
    await bob.tell({ do: 'online' });
  }
  const heard = await bob.tell<Heard>({ do: 'heard' });
  const [senderUs, receiverUs, relayUs] = await usage();
  const times = histogram(heard.latenciesMs);
  return {
    perSecond: count / (Number(heard.lastNs - from) / 1e9),
    p50Ms: load === 'stream' ? times.quantile(0.5) : 0,
    p99Ms: load === 'stream' ? times.quantile(0.99) : 0,
    storedPerSecond: count / (Number(sent.storedNs - sent.startNs) / 1e9),
    senderUs: senderUs / count,
    receiverUs: receiverUs / count,
    relayUs: (relayUs - relayBefore) / count,
  };
}

function histogram(values: readonly number[]): Histogram {
  const times = new Histogram();
  for (const value of values) times.add(value);
  return times;
}

function brief(sample: ChatSample): string {
  const { perSecond, p50Ms, p99Ms, storedPerSecond, senderUs, receiverUs, relayUs } = sample;
  return [
    `${perSecond.toFixed(0)}/s`,
    p50Ms > 0 ? `${p50Ms.toFixed(2)} / ${p99Ms.toFixed(1)} ms` : '',
    storedPerSecond > 0 ? `stored ${storedPerSecond.toFixed(0)}/s` : '',
    `CPU ${senderUs.toFixed(0)} + ${receiverUs.toFixed(0)} + relay ${relayUs.toFixed(0)} µs`,
  ]
    .filter((part) => part !== '')
    .join(', ');
}
