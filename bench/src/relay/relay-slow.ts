/** L8: readers that read nothing. What the others feel, and what it takes of memory. */
import { pass, sleep, until } from './faults.js';
import { Bench, LOADS } from './loads.js';
import type { RelayServer } from './peers/qasid.js';
import { logIn } from './people.js';
import {
  BODY,
  fill,
  numbers,
  type Row,
  roomy,
  type Setting,
  type Variants,
  withServer,
} from './rig.js';
import { inParallel } from './system.js';

/** One slow reader among others, then many, whose memory is more than what else a process takes and gives. */
export async function slowConsumer(setting: Setting, variants: Variants): Promise<Row[]> {
  const variant = roomy(variants.main);
  return [
    ...(await withServer(variant, setting, (server) => among(server, setting))),
    ...(await withServer(variant, setting, (server) => memory(server, setting))),
  ];
}

async function among(server: RelayServer, setting: Setting): Promise<Row[]> {
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
    for (let depth = 0; depth < 16; depth++) flood.send(0, body, 0);
    const sample = await bench.run(load, BODY, 500, setting.seconds * 1_000);
    isOver = true;
    await pass(200);
    rows.push({
      mailbox: isSlow ? 'one reads nothing' : 'all read',
      ...numbers(sample),
      'sent to it': flooded,
    });
    await flood.close();
    victim.link.drop();
    await pass(100);
  }
  await bench.close();
  return rows;
}

/** Readers that are slow at the same time. */
const SLOW = 20;

/** Envelopes, of a little more than a kilobyte, that fill the relay's cache of the database. */
const CACHE_FULL = 70_000;

/**
 * Resident memory before and after the same traffic, once read and once not. The cache of the database is
 * full before, since it is bounded and takes part in both; what remembering client ids takes is in both as well.
 */
async function memory(server: RelayServer, { isQuick, people }: Setting): Promise<Row[]> {
  const each = isQuick ? 600 : 2_000;
  let next = 0;
  const traffic = async (isSlow: boolean): Promise<number> => {
    const from = next;
    next += SLOW;
    let delivered = 0;
    const readers = await inParallel(SLOW, async (index) => {
      const reader = await logIn(server.port, people.readers[from + index]!, (fresh) => {
        fresh.onDeliver = () => delivered++;
      });
      if (isSlow) {
        reader.isSilent = true;
        reader.link.socket.pause();
      }
      return reader;
    });
    const before = await resident(server);
    await fill(server, from, SLOW, SLOW * each);
    if (!isSlow) await until(() => delivered >= SLOW * each, 60_000);
    const growth = (await resident(server)) - before;
    for (const reader of readers) reader.link.drop();
    return growth;
  };
  await traffic(false);
  await fill(server, SLOW * 5, 100, CACHE_FULL);
  const read = await traffic(false);
  const unread = await traffic(true);
  const perReader = (bytes: number): number => Math.round(bytes / SLOW / 1_024);
  return [
    { mailbox: `${SLOW} that read`, 'sent to it': each, 'memory KiB a reader': perReader(read) },
    {
      mailbox: `${SLOW} that do not`,
      'sent to it': each,
      'memory KiB a reader': perReader(unread),
    },
  ];
}

async function resident(server: RelayServer): Promise<number> {
  await sleep(500);
  // Twice: what the first collection finalises the second one frees.
  await server.report();
  await server.report();
  return server.managed.memoryBytes();
}
