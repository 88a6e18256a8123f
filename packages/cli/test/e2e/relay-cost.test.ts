// What 1 000 users cost: arithmetic that is shown, over counters of a relay that runs.
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import t from 'tap';

import { costLines, parseMetrics } from '#src/commands/relay-cost.js';
import { environment, freePort, MAIN, qasid, temporaryFolder } from '../support/processes.js';

const METRICS = `# HELP qasid_accounts accounts
qasid_accounts 50
qasid_sent_bytes_total 2000000
qasid_received_bytes_total 1000000
qasid_sockets{kind="attached"} 20
qasid_store_bytes 50000000
process_cpu_seconds_total 36
process_resident_memory_bytes 100000000
process_start_time_seconds 1000.5
`;

t.test('the arithmetic', async (t) => {
  const prices = { trafficPrice: 0.5, cpuPrice: 0.01, diskPrice: 0.1, machinePrice: 4 };
  const lines = costLines(parseMetrics(METRICS), { metrics: '', ...prices }, 1000.5 + 3600);
  const value = (what: string): number => lines.find((line) => line.what === what)?.value ?? -1;
  const near = (what: string, expected: number): void => {
    t.ok(Math.abs(value(what) - expected) < 1e-9 * expected, `${what} ${value(what)}`);
  };
  near('sent', 28.8); // 2 MB an hour, 720 hours, 50 users
  near('received', 14.4);
  near('CPU', 144);
  near('sockets', 400);
  near('memory', 2);
  near('disk', 1);
  near('sum', 28.8 * 0.5 + 144 * 0.01 + 1 * 0.1 + 4 * 20);
  t.equal(lines[0]?.how, '2000000 / 3600 s × 2592000 s / 50 users × 1000 / 1e9');
  const fewer = costLines(parseMetrics(METRICS), { metrics: '', users: 10 }, 4600.5);
  t.equal(fewer.find(({ what }) => what === 'sockets')?.value, 2_000);
  t.notOk(
    fewer.some(({ what }) => what === 'sum'),
    'no price is invented',
  );
  t.throws(() => costLines(new Map(), { metrics: '' }, 1), /have no qasid_accounts/);
  const empty = parseMetrics(METRICS.replace('accounts 50', 'accounts 0'));
  t.throws(() => costLines(empty, { metrics: '' }, 4600.5), /nobody to share/);
});

t.test('of a relay that runs', async (t) => {
  const home = temporaryFolder(t.teardown);
  const port = await freePort();
  const relay = spawn(
    process.execPath,
    [MAIN, 'relay', 'start', '--listen', '127.0.0.1:0', '--set', `metrics_port=${port}`],
    { env: environment(home), stdio: ['ignore', 'pipe', 'inherit'] },
  );
  t.teardown(() => relay.kill('SIGKILL'));
  await new Promise((resolve) => relay.stdout.once('data', resolve));
  const metrics = `http://127.0.0.1:${port}/metrics`;
  const answer = await qasid(home, ['relay', 'cost', '--metrics', metrics, '--users', '10']);
  t.equal(answer.code, 0, answer.stderr);
  t.match(
    answer.stdout,
    /^sent +\d+ \/ \d+ s × 2592000 s \/ 10 users × 1000 \/ 1e9 = \S+ GB a month$/m,
  );
  t.match(answer.stdout, /^disk +\d+ \/ 10 users × 1000 = \S+ GB/m);
  const json = await qasid(home, [
    '--json',
    'relay',
    'cost',
    '--metrics',
    metrics,
    '--users',
    '10',
  ]);
  t.equal(JSON.parse(json.stdout.split('\n')[0]!).what, 'sent');
});

t.test('what cannot be read is said', async (t) => {
  const home = temporaryFolder(t.teardown);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/metrics`;
  const nobody = await qasid(home, ['relay', 'cost', '--metrics', url]);
  t.equal(nobody.code, 4);
  t.match(nobody.stderr, /hint: set metrics_port/);
  const server = createServer((_, response) => response.end('something else\n')).listen(0);
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const other = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const wrong = await qasid(home, ['relay', 'cost', '--metrics', other]);
  t.equal(wrong.code, 1);
  t.match(wrong.stderr, /these metrics have no qasid_accounts/);
  t.equal((await qasid(home, ['relay', 'cost', '--users', 'many'])).code, 2);
});
