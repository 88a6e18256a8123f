/** What the loads of the relay alone share: a relay for each, and rows of results. */
import { forgetFaults, until } from './faults.js';
import type { Sample } from './loads.js';
import { type RelayServer, startVariant, type Variant } from './peers/qasid.js';
import type { People } from './people.js';
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

/** The relays these loads are run on. */
export interface Variants {
  readonly main: Variant;
  readonly worker: Variant;
  readonly ws: Variant;
}

/** Bytes of an envelope. */
export const BODY = 1_024;

/** Run `work` on a relay of its own. A failure is a row: the other relays and loads go on. */
export async function withServer(
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
export async function fill(
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

/** With mailboxes that do not get full. */
export function roomy(variant: Variant): Variant {
  const options = { ...variant.options, mailboxEnvelopesMax: 10_000_000, mailboxBytesMax: 2 ** 36 };
  return { ...variant, options };
}

/** Columns of a sample. */
export function numbers(sample: Sample): Row {
  return {
    'delivered/s': Math.round(sample.deliveredPerSecond),
    'deliver p50 ms': round(sample.deliverP50),
    'deliver p99 ms': round(sample.deliverP99),
    'CPU µs': round(sample.cpuUs),
  };
}

/** To three digits. */
export function round(value: number): number {
  return Number(value.toPrecision(3));
}
