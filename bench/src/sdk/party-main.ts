/** The process of one person: options as JSON in the first argument, orders over IPC. */
import { BareParty } from './bare-party.js';
import type { Heard, Order, Party, PartyOptions, Sent, Usage } from './party.js';
import { QasidParty, traffic } from './qasid-party.js';

/** Length of a text: what people write. */
const TEXT_BYTES = 100;

/** Messages on their way to the own disk at a time. */
const AT_ONCE = 64;

/** Ends what would otherwise hang for ever. */
const PATIENCE_MS = 300_000;

let party: Party;
let echo = false;
let heard: { latenciesMs: number[]; firstNs: bigint; lastNs: bigint } = nothing();
let wanted = 0;
let isEnough: () => void = () => undefined;
let enough: Promise<void> = Promise.resolve();
let onAnswer: (() => void) | undefined;
let cpu = process.cpuUsage();

function nothing(): typeof heard {
  return { latenciesMs: [], firstNs: 0n, lastNs: 0n };
}

/** A text that says when it was written. */
function text(): string {
  return `${process.hrtime.bigint()} `.padEnd(TEXT_BYTES, 'salaam ');
}

function hear(received: string): void {
  const now = process.hrtime.bigint();
  const writtenNs = BigInt(received.slice(0, received.indexOf(' ')));
  if (heard.firstNs === 0n) heard.firstNs = now;
  heard.lastNs = now;
  heard.latenciesMs.push(Number(now - writtenNs) / 1e6);
  if (heard.latenciesMs.length === wanted) isEnough();
  onAnswer?.();
  if (echo) void party.send(text());
}

async function talk(count: number): Promise<readonly number[]> {
  const rounds: number[] = [];
  for (let round = 0; round < count; round++) {
    const answered = new Promise<void>((resolve) => {
      onAnswer = resolve;
    });
    const started = process.hrtime.bigint();
    await party.send(text());
    await inTime(answered, 'no answer');
    rounds.push(Number(process.hrtime.bigint() - started) / 1e6);
  }
  onAnswer = undefined;
  return rounds;
}

async function stream(count: number, send: () => ReturnType<Party['send']>): Promise<Sent> {
  const startNs = process.hrtime.bigint();
  const confirmed: Promise<void>[] = [];
  let left = count;
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const sent = await send();
      confirmed.push(sent.confirmed);
    }
  };
  await Promise.all(Array.from({ length: Math.min(AT_ONCE, count) }, worker));
  const storedNs = process.hrtime.bigint();
  await inTime(Promise.all(confirmed), 'not confirmed');
  return { startNs, storedNs, confirmedNs: process.hrtime.bigint() };
}

function usage(): Usage {
  const { user, system } = process.cpuUsage(cpu);
  cpu = process.cpuUsage();
  const { sentBytes } = traffic;
  traffic.sentBytes = 0;
  return { cpuUs: user + system, rssBytes: process.memoryUsage().rss, sentBytes };
}

async function inTime<Value>(promise: Promise<Value>, what: string): Promise<Value> {
  const timer = setTimeout(() => {
    console.error(`bench: error: ${what} after ${PATIENCE_MS / 1000} s`);
    process.exit(1);
  }, PATIENCE_MS);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function client(): QasidParty['client'] {
  if (!(party instanceof QasidParty)) throw new Error('only the SDK has groups');
  return party.client;
}

async function obey(order: Order): Promise<unknown> {
  switch (order.do) {
    case 'address':
      return party.address();
    case 'meet':
      return party.meet(order.other);
    case 'echo':
      echo = order.on;
      return undefined;
    case 'talk':
      return talk(order.count);
    case 'stream':
      return stream(order.count, () => party.send(text()));
    case 'listen':
      heard = nothing();
      wanted = order.count;
      enough = new Promise((resolve) => {
        isEnough = resolve;
      });
      return undefined;
    case 'heard':
      await inTime(enough, `${heard.latenciesMs.length} of ${wanted} came`);
      return heard satisfies Heard;
    case 'offline':
      return party.offline();
    case 'online':
      return party.online();
    case 'usage':
      return usage();
    case 'group': {
      const group = await client().createGroup({ title: 'bench', members: order.members });
      await client().flush({ timeoutMs: PATIENCE_MS });
      return group.id;
    }
    case 'group-send': {
      const group = await client().group(order.id);
      const sent = await stream(order.count, () => group.send(text()));
      await client().flush({ timeoutMs: PATIENCE_MS });
      return sent;
    }
    case 'close':
      await party.close();
      return undefined;
  }
}

const options = await new Promise<PartyOptions>((resolve) => {
  process.once('message', (message) => resolve(message as PartyOptions));
});
party = options.kind === 'qasid' ? await QasidParty.start(options) : await BareParty.start(options);
party.onText = hear;
process.on('message', ({ id, order }: { id: number; order: Order }) => {
  obey(order).then(
    (answer) => {
      process.send?.({ id, answer });
      if (order.do === 'close') process.exit(0);
    },
    (error: unknown) => {
      console.error(`bench: error: ${order.do}:`, error);
      process.exit(1);
    },
  );
});
process.on('disconnect', () => process.exit(1));
process.send?.({ id: 0, answer: undefined });
