/**
 * `qasid relay cost`: what 1 000 users cost, from the counters of a running relay and prices somebody names.
 *
 * Everything is a mean since the relay started. What is counted are frames: TLS, TCP and HTTP around them are
 * not, nor are uploads of documents. No price is built in.
 */
import type { Context } from '../context.js';
import { CliError, EXIT, type ExitCode } from '../exit-codes.js';

/** Prices, in whatever currency; what has none is left out of the sum. */
export interface CostOptions {
  readonly metrics: string;
  /** Instead of the accounts the relay has: those who use it. */
  readonly users?: number;
  readonly trafficPrice?: number;
  readonly cpuPrice?: number;
  readonly diskPrice?: number;
  readonly machinePrice?: number;
}

/** One line of the answer. */
export interface CostLine {
  readonly what: string;
  /** The arithmetic, with the numbers in it. */
  readonly how: string;
  readonly value: number;
  readonly unit: string;
}

/** Run the command. */
export async function relayCost(context: Context, options: CostOptions): Promise<ExitCode> {
  const text = await fetchMetrics(options.metrics, context.timeoutMs);
  const lines = costLines(parseMetrics(text), options, Date.now() / 1000);
  for (const { what, how, value, unit } of lines) {
    if (context.json) await context.output.json({ what, how, value, unit });
    else await context.output.data(`${what.padEnd(14)} ${how} = ${short(value)} ${unit}`);
  }
  context.output.note('means since the relay started; frames only, without TLS, TCP and documents');
  return EXIT.done;
}

/** The arithmetic. @throws CliError when there is nothing to divide by. */
export function costLines(
  metrics: ReadonlyMap<string, number>,
  options: CostOptions,
  nowSeconds: number,
): readonly CostLine[] {
  const value = (name: string): number => {
    const found = metrics.get(name);
    if (found !== undefined) return found;
    throw new CliError(EXIT.failed, `these metrics have no ${name}`, [
      'name the metrics listener of a relay: --metrics http://127.0.0.1:9464/metrics',
    ]);
  };
  const users = options.users ?? value('qasid_accounts');
  // A relay that was started a moment ago has been up for a second: little is known, and nothing is wrong.
  const seconds = Math.max(1, Math.floor(nowSeconds - value('process_start_time_seconds')));
  if (users <= 0) {
    throw new CliError(EXIT.failed, 'there is nobody to share the cost', [
      'wait until the relay has users, or name how many: --users 1000',
    ]);
  }
  const rate = (count: number): string =>
    `${short(count)} / ${seconds} s × ${MONTH_SECONDS} s / ${users} users × 1000`;
  const monthly = (count: number): number => ((count / seconds) * MONTH_SECONDS * 1000) / users;
  const share = (count: number): number => (count * 1000) / users;
  const [sent, received] = [value('qasid_sent_bytes_total'), value('qasid_received_bytes_total')];
  const cpu = value('process_cpu_seconds_total');
  const sockets = value('qasid_sockets{kind="attached"}');
  const memory = value('process_resident_memory_bytes');
  const sentGb = monthly(sent) / GB;
  const cpuHours = monthly(cpu) / 3600;
  const lines: CostLine[] = [
    { what: 'sent', how: `${rate(sent)} / 1e9`, value: sentGb, unit: 'GB a month' },
    {
      what: 'received',
      how: `${rate(received)} / 1e9`,
      value: monthly(received) / GB,
      unit: 'GB a month',
    },
    { what: 'CPU', how: `${rate(cpu)} / 3600 s`, value: cpuHours, unit: 'hours a month' },
    per1000('sockets', sockets, users, share(sockets), 'open now'),
    per1000('memory', memory, users, share(memory) / GB, 'GB of the process, / 1e9'),
  ];
  const disk = metrics.get('qasid_store_bytes');
  const diskGb = disk === undefined ? undefined : share(disk) / GB;
  if (disk !== undefined && diskGb !== undefined) {
    lines.push(per1000('disk', disk, users, diskGb, 'GB of data files, / 1e9'));
  }
  const prices: CostLine[] = [];
  const charge = (what: string, amount: number | undefined, price: number | undefined): void => {
    if (amount === undefined || price === undefined) return;
    const how = `${short(amount)} × ${price}`;
    prices.push({ what, how, value: amount * price, unit: 'a month' });
  };
  charge('traffic price', sentGb, options.trafficPrice);
  charge('CPU price', cpuHours, options.cpuPrice);
  charge('disk price', diskGb, options.diskPrice);
  charge('machine price', 1000 / users, options.machinePrice);
  if (prices.length === 0) return lines;
  const how = prices.map(({ value: part }) => short(part)).join(' + ');
  const sum = prices.reduce((total, { value: part }) => total + part, 0);
  return [...lines, ...prices, { what: 'sum', how, value: sum, unit: 'a month for 1000 users' }];
}

/** Values by name and labels, as they stand there. */
export function parseMetrics(text: string): ReadonlyMap<string, number> {
  const values = new Map<string, number>();
  for (const [, name = '', value] of text.matchAll(/^([a-z_]+(?:\{[^}]*\})?) (\S+)$/gm)) {
    values.set(name, Number(value));
  }
  return values;
}

function per1000(
  what: string,
  count: number,
  users: number,
  value: number,
  unit: string,
): CostLine {
  return { what, how: `${short(count)} / ${users} users × 1000`, value, unit };
}

async function fetchMetrics(url: string, timeoutMs: number): Promise<string> {
  const hints = [
    'set metrics_port in the configuration of the relay, and name it: --metrics http://127.0.0.1:PORT/metrics',
  ];
  let response: Response;
  try {
    response = await fetch(url, { signal: AbortSignal.timeout(timeoutMs), redirect: 'error' });
  } catch (cause) {
    throw new CliError(EXIT.network, 'the metrics cannot be read', hints, { cause });
  }
  if (response.ok) return response.text();
  throw new CliError(EXIT.failed, `the metrics cannot be read: ${response.status}`, hints);
}

/** Four digits that count. */
function short(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
}

/** 30 days. */
const MONTH_SECONDS = 2_592_000;
const GB = 1e9;
