/** L6 and L7: sockets that only are there, and all of them coming back at once. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { pass, sleep } from './faults.js';
import { Histogram } from './histogram.js';
import type { RelayServer, Variant } from './peers/qasid.js';
import { type Device, logIn } from './people.js';
import { findProgram, scratch } from './processes.js';
import type { QasidSocket } from './qasid-socket.js';
import { BODY, type Row, round, type Setting, type Variants, withServer } from './rig.js';
import { inParallel } from './system.js';

/** Sockets of a relay with TLS: a handshake costs the driver as much as it costs the relay. */
const TLS_SOCKETS = 4_000;

/** Plain and with TLS, on both transports. */
export async function idle(setting: Setting, variants: Variants): Promise<Row[]> {
  const rows: Row[] = [];
  const plain = setting.people.idle;
  const secure = plain.slice(0, TLS_SOCKETS);
  for (const variant of [variants.main, variants.ws]) {
    const run = (server: RelayServer) => sockets(server, setting, { variant, devices: plain });
    rows.push(...(await withServer(variant, setting, run)));
  }
  const certificate = certificateFiles();
  if (certificate === undefined)
    return [...rows, { relay: 'with TLS', failed: 'openssl is not installed' }];
  for (const base of [variants.main, variants.ws]) {
    const options = { ...base.options, ...certificate };
    const variant = { ...base, title: `${base.title}, TLS`, options };
    const run = (server: RelayServer) =>
      sockets(server, setting, { variant, devices: secure, isTls: true });
    rows.push(...(await withServer(variant, setting, run)));
  }
  return rows;
}

interface Sockets {
  readonly variant: Variant;
  readonly devices: readonly Device[];
  readonly isTls?: boolean;
}

async function sockets(
  server: RelayServer,
  setting: Setting,
  { variant, devices, isTls = false }: Sockets,
): Promise<Row[]> {
  const count = devices.length;
  const open = (index: number): Promise<QasidSocket> =>
    logIn(server.port, devices[index]!, undefined, isTls);
  const start = await measure(server);
  // Every device was here before, as with a relay that has run for a while: its account is in the cache, its
  // pages are in the cache of the database. Both are bounded, and no part of what a socket takes.
  await inParallel(count, async (index) => (await open(index)).close());
  const warm = await measure(server);
  // The first half takes what the process has freed and kept; what the second half takes is new.
  const half = count >> 1;
  const first = await inParallel(half, open);
  const before = await measure(server);
  const second = await inParallel(count - half, (index) => open(half + index));
  await pass(1_000);
  const full = await measure(server);
  const attached = [...first, ...second];
  const steady = isTls ? undefined : await trickle(server, setting);
  const startMs = performance.now();
  const cpu = server.managed.cpuUs();
  for (const socket of attached) socket.link.drop();
  let failures = 0;
  const comeBack = async (index: number): Promise<QasidSocket> => {
    for (;;) {
      try {
        return await open(index);
      } catch {
        failures++;
      }
    }
  };
  const back = await inParallel(count, comeBack, 1_000);
  const storm = performance.now() - startMs;
  const stormCpu = server.managed.cpuUs() - cpu;
  for (const socket of back) socket.link.drop();
  return [
    {
      relay: variant.title,
      sockets: count,
      'bytes/socket': Math.round((full.resident - before.resident) / second.length),
      'of it JavaScript': Math.round((full.heap - before.heap) / second.length),
      'bytes/device seen first': Math.round((warm.resident - start.resident) / count),
      '1k/s confirm p50 ms': steady ? round(steady.quantile(0.5)) : '',
      '1k/s confirm p99 ms': steady ? round(steady.quantile(0.99)) : '',
      'storm: all back after s': round(storm / 1_000),
      'storm: CPU µs/socket': Math.round(stormCpu / count),
      'storm: refused': failures,
    },
  ];
}

async function measure(
  server: RelayServer,
): Promise<{ readonly resident: number; readonly heap: number }> {
  await sleep(1_000);
  // Twice: what the first collection finalises the second one frees.
  await server.report();
  const { heapUsed, external } = await server.report();
  return { resident: server.managed.memoryBytes(), heap: heapUsed + external };
}

/** A certificate that nobody checks; `undefined` without openssl. */
function certificateFiles(): { readonly tlsCert: string; readonly tlsKey: string } | undefined {
  const openssl = findProgram('openssl');
  if (openssl === undefined) return undefined;
  const directory = scratch('tls');
  const [tlsCert, tlsKey] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const files = ['-keyout', tlsKey, '-out', tlsCert];
  const name = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync(openssl, ['req', '-x509', ...key, ...files, '-days', '2', ...name], {
    stdio: 'ignore',
  });
  return { tlsCert, tlsKey };
}

/** A thousand messages a second for a while. */
async function trickle(server: RelayServer, setting: Setting): Promise<Histogram> {
  const times = new Histogram();
  const reader = await logIn(server.port, setting.people.readers[0]!);
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
  await reader.close();
  return times;
}
