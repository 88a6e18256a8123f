/** What a group costs: founding it, its first message, and the ones after it, by its size. */
import { join } from 'node:path';
import { median } from '../relay/histogram.js';
import { startRelayProcess } from '../relay/peers/qasid.js';
import { type Managed, scratch } from '../relay/processes.js';
import { GroupPeer, type PeerCost } from './group-peer.js';
import { drawLines } from './lines.js';
import { registerMembers } from './members.js';
import type { Address, Heard, Sent, Usage } from './party.js';
import { Person } from './person.js';
import { short, times, type Part } from './report.js';

/** One step of the founder's, and what others had of it. */
interface Step {
  readonly seconds: number;
  readonly senderUs: number;
  readonly relayUs: number;
  readonly sentBytes: number;
}

/** One size. */
interface GroupSample {
  readonly members: number;
  readonly found: Step;
  readonly first: Step;
  readonly next: Step;
  /** Of one member who is connected, per message. */
  readonly receiverUs: number;
  /** From `send` to shown at a member. */
  readonly deliverMs: number;
  readonly peerFirst: PeerCost;
  readonly peerNext: PeerCost;
}

/** Run them. */
export async function groupPart(
  how: { readonly isQuick: boolean },
  say: (line: string) => void,
): Promise<Part> {
  const sizes = how.isQuick ? [10, 100] : [10, 100, 1_000];
  const messages = how.isQuick ? 3 : 10;
  const directory = scratch('sdk-group');
  const relay = await startRelayProcess(join(directory, 'relay'), { storeThread: 'main' });
  const samples: GroupSample[] = [];
  try {
    const start = (username: string): Promise<Person> =>
      Person.start({
        kind: 'qasid',
        port: relay.port,
        directory: join(directory, username),
        username,
        sealed: true,
        receipts: true,
      });
    const alice = await start('alice');
    const bob = await start('bobby');
    await acquaint(alice, bob);
    for (const size of sizes) {
      const others = await registerMembers(relay.port, size - 2);
      say(`${size} members: registered`);
      const sample = await measure(size, { alice, bob, others, messages, relay: relay.managed });
      samples.push(sample);
      say(`${size} members: ${JSON.stringify(sample)}`);
    }
    await alice.close();
    await bob.close();
  } finally {
    await relay.managed.stop();
  }
  return part(samples, messages);
}

/** They have written to each other: their sessions and tokens are there. */
async function acquaint(alice: Person, bob: Person): Promise<void> {
  await bob.tell({ do: 'meet', other: await alice.tell<Address>({ do: 'address' }) });
  await alice.tell({ do: 'meet', other: await bob.tell<Address>({ do: 'address' }) });
  await bob.tell({ do: 'echo', on: true });
  await alice.tell({ do: 'talk', count: 50 });
  await bob.tell({ do: 'echo', on: false });
}

async function measure(
  members: number,
  with_: {
    readonly alice: Person;
    readonly bob: Person;
    readonly others: readonly string[];
    readonly messages: number;
    readonly relay: Managed;
  },
): Promise<GroupSample> {
  const { alice, bob, others, messages, relay } = with_;
  const step = async <Result>(
    units: number,
    work: () => Promise<Result>,
  ): Promise<readonly [Step, Result]> => {
    await alice.tell({ do: 'usage' });
    const relayBefore = relay.cpuUs();
    const started = performance.now();
    const result = await work();
    const seconds = (performance.now() - started) / 1000 / units;
    const { cpuUs, sentBytes } = await alice.tell<Usage>({ do: 'usage' });
    const relayUs = (relay.cpuUs() - relayBefore) / units;
    return [{ seconds, senderUs: cpuUs / units, relayUs, sentBytes: sentBytes / units }, result];
  };
  const [found, id] = await step(1, () =>
    alice.tell<string>({ do: 'group', members: ['bobby', ...others] }),
  );
  const send = async (count: number): Promise<readonly [Step, Heard, Usage]> => {
    await bob.tell({ do: 'usage' });
    await bob.tell({ do: 'listen', count });
    const [sent] = await step(count, () => alice.tell<Sent>({ do: 'group-send', id, count }));
    const heard = await bob.tell<Heard>({ do: 'heard' });
    return [sent, heard, await bob.tell<Usage>({ do: 'usage' })];
  };
  const [first] = await send(1);
  const singles: number[] = [];
  // One at a time, for the time it takes; then the cost of several.
  for (let index = 0; index < 3; index++) {
    const [, heard] = await send(1);
    singles.push(heard.latenciesMs[0] ?? 0);
  }
  const [next, , usage] = await send(messages);
  const peer = await GroupPeer.create(members - 1);
  const text = new Uint8Array(100);
  const peerFirst = await peer.first(text);
  const nexts: PeerCost[] = [];
  for (let index = 0; index < messages; index++) nexts.push(await peer.next(text));
  return {
    members,
    found,
    first,
    next,
    receiverUs: usage.cpuUs / messages,
    deliverMs: median(singles),
    peerFirst,
    peerNext: { ...nexts[0]!, cpuUs: median(nexts.map(({ cpuUs }) => cpuUs)) },
  };
}

function part(samples: readonly GroupSample[], messages: number): Part {
  const row = (
    { members }: GroupSample,
    { seconds, senderUs, relayUs, sentBytes }: Step,
    peer: PeerCost | undefined,
  ): readonly string[] => [
    `${members}`,
    short(seconds),
    short(senderUs / 1000),
    short(relayUs / 1000),
    short(sentBytes / 1024),
    peer === undefined ? '–' : short(peer.cpuUs / 1000),
    peer === undefined ? '–' : times(senderUs / peer.cpuUs),
    peer === undefined ? '–' : short(peer.bytes / 1024),
  ];
  const head = [
    'members',
    'seconds',
    'CPU ms sender',
    'relay',
    'KiB up',
    'libsignal-client: CPU ms',
    'SDK to it',
    'KiB',
  ];
  const cpuOf = (of: (sample: GroupSample) => number) =>
    samples.map((sample) => ({ x: sample.members, y: of(sample) / 1000 }));
  return {
    key: 'group',
    title: 'A group',
    tables: [
      {
        title: 'Founding: keys of everybody, a session and a welcome for each',
        head,
        rows: samples.map((sample) => row(sample, sample.found, undefined)),
      },
      {
        title: 'First message: the sender key to everybody, and the message',
        head,
        rows: samples.map((sample) => row(sample, sample.first, sample.peerFirst)),
      },
      {
        title: `Messages after it (mean of ${messages})`,
        head,
        rows: samples.map((sample) => row(sample, sample.next, sample.peerNext)),
      },
      {
        title: 'A member who is connected',
        head: ['members', 'from send to shown, ms', 'CPU µs per message'],
        rows: samples.map(({ members, deliverMs, receiverUs }) => [
          `${members}`,
          short(deliverMs),
          short(receiverUs),
        ]),
      },
    ],
    charts: {
      'sdk-group': drawLines({
        heading: 'A message to a group: processor time of its sender',
        x: 'members',
        y: 'ms',
        lines: [
          { name: 'SDK, first message', points: cpuOf(({ first }) => first.senderUs) },
          { name: 'SDK, messages after it', points: cpuOf(({ next }) => next.senderUs) },
          {
            name: 'libsignal-client, first, no disk or relay',
            points: cpuOf(({ peerFirst }) => peerFirst.cpuUs),
          },
          {
            name: 'libsignal-client, after it, the same',
            points: cpuOf(({ peerNext }) => peerNext.cpuUs),
          },
        ],
      }),
    },
    notes: [
      'The founder and one member are SDK processes; the others are registered accounts with valid keys that are never online, so the relay keeps what it gets for them.',
      'libsignal-client: cryptography alone, in one process, records in memory: no disk, no network, no relay. Its first message makes the sessions as well, which the SDK does at founding.',
    ],
    raw: samples,
  };
}
