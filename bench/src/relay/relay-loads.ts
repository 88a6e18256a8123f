/** The loads only a relay takes: L4 to L9. Each starts a relay of its own and leaves nothing running. */
import { forgetFaults, pass, sleep, until } from './faults.js';
import { Histogram } from './histogram.js';
import { Bench, LOADS, type Sample } from './loads.js';
import { type RelayServer, startVariant, type Variant } from './peers/qasid.js';
import { logIn, type People } from './people.js';
import { inParallel } from './system.js';

/** Where and how large. */
export interface Setting {
  readonly seed: string;
  readonly people: People;
  readonly seconds: number;
  readonly isQuick: boolean;
}

/** A row of results: names and numbers. */
export type Row = Readonly<Record<string, string | number>>;

/** One of these loads. */
export interface RelayLoad {
  readonly key: string;
  readonly title: string;
  run(setting: Setting, variants: Variants): Promise<Row[]>;
}

/** The relays these loads are run on. */
export interface Variants {
  readonly main: Variant;
  readonly worker: Variant;
  readonly ws: Variant;
}

const BODY = 1_024;

export const RELAY_LOADS: readonly RelayLoad[] = [
  { key: 'L4', title: 'fill mailboxes that are offline, then drain', run: fillAndDrain },
  { key: 'L5', title: 'steady, on top of a long queue', run: longQueue },
  {
    key: 'L6',
    title: 'idle authenticated sockets, and L7: all of them come back at once',
    run: idle,
  },
  { key: 'L8', title: 'one slow consumer among 1,000', run: slowConsumer },
  { key: 'L9', title: '8 × 64 to accounts of four devices', run: families },
];

/** Run `work` on a relay of its own. A failure is a row: the other relays and loads go on. */
async function withServer(
  variant: Variant,
  setting: Setting,
  work: (server: RelayServer) => Promise<readonly Row[]>,
): Promise<readonly Row[]> {
  let server: RelayServer | undefined;
  try {
    server = await startVariant(variant, setting.seed, setting.people);
    return await work(server);
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    return [{ relay: variant.title, failed }];
  } finally {
    await server?.stop();
    forgetFaults();
  }
}

/** Send `count` envelopes round `mailboxes`, 8 × 64 under way. */
async function fill(
  server: RelayServer,
  from: number,
  mailboxes: number,
  count: number,
): Promise<number> {
  let sent = 0;
  let confirmed = 0;
  const body = Buffer.alloc(BODY, 0x5a);
  const startMs = performance.now();
  const producers = await inParallel(8, (index) => {
    const send = (): void => {
      if (sent < count) producers[index]?.send(from + (sent++ % mailboxes), body, 0);
    };
    return server.producer(index, () => {
      confirmed++;
      send();
    });
  });
  for (const producer of producers) {
    for (let depth = 0; depth < 64 && sent < count; depth++) {
      producer.send(from + (sent++ % mailboxes), body, 0);
    }
  }
  await until(() => confirmed >= count, 600_000);
  const elapsedMs = performance.now() - startMs;
  for (const producer of producers) await producer.close();
  return (count / elapsedMs) * 1_000;
}

async function fillAndDrain(setting: Setting, variants: Variants): Promise<Row[]> {
  const rows: Row[] = [];
  const mailboxes = setting.people.readers.length;
  const each = setting.isQuick ? 20 : 200;
  for (const variant of [variants.main, variants.worker]) {
    const run = async (server: RelayServer): Promise<Row[]> => {
      const cpu = server.managed.cpuUs();
      const filled = await fill(server, 0, mailboxes, mailboxes * each);
      const between = server.managed.cpuUs();
      let delivered = 0;
      const startMs = performance.now();
      const consumers = await inParallel(mailboxes, (mailbox) =>
        server.consumer(mailbox, () => delivered++),
      );
      await until(() => delivered >= mailboxes * each, 600_000);
      const drained = (delivered / (performance.now() - startMs)) * 1_000;
      await pass(200);
      const row = {
        relay: variant.title,
        queued: mailboxes * each,
        'filled/s': Math.round(filled),
        'fill CPU µs': round((between - cpu) / delivered),
        'drained/s': Math.round(drained),
        'drain CPU µs': round((server.managed.cpuUs() - between) / delivered),
      };
      for (const consumer of consumers) await consumer.close();
      return [row];
    };
    rows.push(...(await withServer(variant, setting, run)));
  }
  return rows;
}

async function longQueue(setting: Setting, variants: Variants): Promise<Row[]> {
  const half = setting.people.readers.length >> 1;
  const total = setting.isQuick ? 20_000 : 500_000;
  const run = async (server: RelayServer): Promise<Row[]> => {
    const bench = new Bench(server, setting.people.readers.length);
    const load = { ...LOADS[2]!, mailboxes: half, from: half };
    const before = await bench.run(load, BODY, 1_000, setting.seconds * 1_000);
    await bench.detach();
    const filled = await fill(server, 0, half, total);
    const after = await bench.run(load, BODY, 1_000, setting.seconds * 1_000);
    await bench.close();
    return [
      { queue: 'empty', ...numbers(before) },
      { queue: `${total} envelopes`, ...numbers(after), 'filled/s': Math.round(filled) },
    ];
  };
  return [...(await withServer(roomy(variants.main), setting, run))];
}

/** With mailboxes that do not get full. */
function roomy(variant: Variant): Variant {
  const options = { ...variant.options, mailboxEnvelopesMax: 10_000_000, mailboxBytesMax: 2 ** 36 };
  return { ...variant, options };
}

async function idle(setting: Setting, variants: Variants): Promise<Row[]> {
  const rows: Row[] = [];
  const devices = setting.people.idle;
  for (const variant of [variants.main, variants.ws]) {
    const run = async (server: RelayServer): Promise<Row[]> => {
      const reader = await logIn(server.port, setting.people.readers[0]!);
      await server.report();
      const { memoryBytes } = server.managed;
      const first = await server.report();
      const before = memoryBytes();
      const sockets = await inParallel(devices.length, (index) =>
        logIn(server.port, devices[index]!),
      );
      await pass(1_000);
      await server.report();
      const second = await server.report();
      const perSocket = (memoryBytes() - before) / devices.length;
      const heap =
        (second.heapUsed + second.external - first.heapUsed - first.external) / devices.length;
      const steady = await trickle(server, setting);
      const startMs = performance.now();
      const cpu = server.managed.cpuUs();
      for (const socket of sockets) socket.link.drop();
      let failures = 0;
      const back = await inParallel(
        devices.length,
        async (index) => {
          for (;;) {
            try {
              return await logIn(server.port, devices[index]!);
            } catch {
              failures++;
            }
          }
        },
        1_000,
      );
      const storm = performance.now() - startMs;
      const row = {
        relay: variant.title,
        sockets: devices.length,
        'bytes/socket': Math.round(perSocket),
        'of it JavaScript': Math.round(heap),
        '1k/s confirm p50 ms': round(steady.quantile(0.5)),
        '1k/s confirm p99 ms': round(steady.quantile(0.99)),
        'storm: all back after s': round(storm / 1_000),
        'storm: CPU µs/socket': Math.round((server.managed.cpuUs() - cpu) / devices.length),
        'storm: refused': failures,
      };
      for (const socket of back) socket.link.drop();
      await reader.close();
      return [row];
    };
    rows.push(...(await withServer(variant, setting, run)));
  }
  return rows;
}

/** A thousand messages a second for a while. */
async function trickle(server: RelayServer, setting: Setting): Promise<Histogram> {
  const times = new Histogram();
  const producer = await server.producer(0, (sentMs) => times.add(performance.now() - sentMs));
  const body = Buffer.alloc(BODY, 0x5a);
  const endMs = performance.now() + setting.seconds * 1_000;
  let due = performance.now();
  while (performance.now() < endMs) {
    for (; due < performance.now(); due += 1) producer.send(0, body, performance.now());
    await sleep(1);
  }
  await sleep(300);
  await producer.close();
  return times;
}

async function slowConsumer(setting: Setting, variants: Variants): Promise<Row[]> {
  const run = async (server: RelayServer): Promise<Row[]> => {
    const bench = new Bench(server, setting.people.readers.length);
    const load = { ...LOADS[2]!, depth: 8, producers: 7, from: 1, mailboxes: 999 };
    const rows: Row[] = [];
    const body = Buffer.alloc(BODY, 0x5a);
    for (let round = 0; round < (setting.isQuick ? 2 : 6); round++) {
      const isSlow = round % 2 === 1;
      const victim = await logIn(server.port, setting.people.readers[0]!);
      if (isSlow) {
        victim.isSilent = true;
        victim.link.socket.pause();
      }
      let isOver = false;
      let flooded = 0;
      const flood = await server.producer(7, () => {
        flooded++;
        if (!isOver) flood.send(0, body, 0);
      });
      await server.report();
      const before = await server.report();
      for (let depth = 0; depth < 16; depth++) flood.send(0, body, 0);
      const sample = await bench.run(load, BODY, 500, setting.seconds * 1_000);
      isOver = true;
      await pass(200);
      await server.report();
      const after = await server.report();
      rows.push({
        mailbox: isSlow ? 'one reads nothing' : 'all read',
        ...numbers(sample),
        'sent to it': flooded,
        'memory growth KiB': Math.round(
          (after.heapUsed + after.external - before.heapUsed - before.external) / 1_024,
        ),
      });
      await flood.close();
      victim.link.drop();
      await pass(100);
    }
    await bench.close();
    return rows;
  };
  return [...(await withServer(roomy(variants.main), setting, run))];
}

async function families(setting: Setting, variants: Variants): Promise<Row[]> {
  const rows: Row[] = [];
  for (const variant of [variants.main, variants.worker]) {
    const run = async (server: RelayServer): Promise<Row[]> => {
      const { families: groups, producers: people } = setting.people;
      let delivered = 0;
      const readers = await inParallel(groups.length * 4, (index) => {
        return logIn(server.port, groups[index >> 2]![index & 3]!, (socket) => {
          socket.onDeliver = () => delivered++;
        });
      });
      const targets = groups.map((devices) => ({ account: devices[0]!.account, devices }));
      const body = Buffer.alloc(BODY, 0x5a);
      let confirmed = 0;
      let sent = 0;
      let isOver = false;
      const senders = await inParallel(people.length, (index) =>
        logIn(server.port, people[index]!),
      );
      // Credit counts envelopes: 16 sends of four.
      for (const socket of senders) {
        let id = 1;
        const send = (): void => {
          socket.send(id++, targets[sent++ % targets.length]!, body);
        };
        socket.onAnswer = (_, code) => {
          if (code !== 1) throw new Error(`the relay answered a send with code ${code}`);
          confirmed++;
          if (!isOver) send();
        };
        for (let depth = 0; depth < 16; depth++) send();
      }
      await pass(1_000);
      const cpu = server.managed.cpuUs();
      const start = { delivered, atMs: performance.now() };
      await pass(setting.seconds * 1_000);
      const count = delivered - start.delivered;
      const row = {
        relay: variant.title,
        'envelopes/s': Math.round((count / (performance.now() - start.atMs)) * 1_000),
        'CPU µs/envelope': round((server.managed.cpuUs() - cpu) / count),
      };
      isOver = true;
      await until(() => confirmed === sent && delivered === 4 * sent, 60_000);
      for (const socket of [...senders, ...readers]) await socket.close();
      return [row];
    };
    rows.push(...(await withServer(variant, setting, run)));
  }
  return rows;
}

function numbers(sample: Sample): Row {
  return {
    'delivered/s': Math.round(sample.deliveredPerSecond),
    'deliver p50 ms': round(sample.deliverP50),
    'deliver p99 ms': round(sample.deliverP99),
    'CPU µs': round(sample.cpuUs),
  };
}

function round(value: number): number {
  return Number(value.toPrecision(3));
}
