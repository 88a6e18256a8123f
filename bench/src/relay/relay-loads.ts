/** The loads only a relay takes: L4 to L9. Each starts a relay of its own and leaves nothing running. */
import { pass, until } from './faults.js';
import { Bench, LOADS } from './loads.js';
import type { RelayServer } from './peers/qasid.js';
import { logIn } from './people.js';
import { idle } from './relay-idle.js';
import { slowConsumer } from './relay-slow.js';
import {
  BODY,
  fill,
  numbers,
  type Row,
  roomy,
  round,
  type Setting,
  type Variants,
  withServer,
} from './rig.js';
import { inParallel } from './system.js';

/** One of these loads. */
export interface RelayLoad {
  readonly key: string;
  readonly title: string;
  run(setting: Setting, variants: Variants): Promise<Row[]>;
}

export const RELAY_LOADS: readonly RelayLoad[] = [
  { key: 'L4', title: 'fill mailboxes that are offline, then drain', run: fillAndDrain },
  { key: 'L5', title: 'steady, on top of a long queue', run: longQueue },
  {
    key: 'L6',
    title: 'idle authenticated sockets, and L7: all of them come back at once',
    run: idle,
  },
  { key: 'L8', title: 'one slow consumer among 1,000, and what twenty take', run: slowConsumer },
  { key: 'L9', title: '8 × 64 to accounts of four devices', run: families },
];

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
