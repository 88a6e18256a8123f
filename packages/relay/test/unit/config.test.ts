// 13 §8: every option from file, environment and flags; every problem named, with its place and a next step.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  checkConfig,
  commentedConfig,
  DANGERS,
  DEFAULT_CONFIG,
  loadConfig,
  NO_QUOTAS,
  printConfig,
  profileOf,
  RelayConfigError,
  type RelayOptions,
  startRelay,
} from '@qasid/relay';
import t, { type Test } from 'tap';
import { OPTION_KEYS, OPTIONS, snakeCase } from '#src/config/options.js';

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    if (!(error instanceof RelayConfigError)) throw error;
    return error.problems.map(({ place, key, message, hint }) =>
      [place, key, message, hint].filter((part) => part !== undefined).join(' | '),
    );
  }
  return [];
}

function fileWith(t: Test, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-config-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'relay.toml');
  writeFileSync(file, text);
  return file;
}

t.test('file, then environment, then flags', async (t) => {
  const file = fileWith(
    t,
    `[network]\nport = 1001\nhost = "::1"\n[store]\ndirectory = "data"\n[mailboxes]\nretention_days = 9
[quotas]\nsends = { burst = 7, per_second = 0.5 }\nuploads = { burst = 8, per_second = 1 }\n`,
  );
  const environment = {
    QASID_RELAY_PORT: '1002',
    QASID_RELAY_RETENTION_DAYS: '10',
    QASID_RELAY_QUOTAS_UPLOADS: '9/2.5',
    PATH: '/bin',
  };
  const settings = ['retention_days=11', 'quotas.inbound_bytes=70000/70000'];
  const { config } = loadConfig({ file, environment, settings, flags: { devicesMax: 3 } });
  t.match(config, { host: '::1', port: 1002, retentionDays: 11, devicesMax: 3 });
  t.equal(config.directory, join(file, '..', 'data'), 'paths are relative to the file');
  t.match(config.quotas, {
    sends: { burst: 7, perSecond: 0.5 },
    uploads: { burst: 9, perSecond: 2.5 },
    inboundBytes: { burst: 70_000, perSecond: 70_000 },
    lookups: DEFAULT_CONFIG.quotas.lookups,
  });
  const byName = loadConfig({ environment: { QASID_RELAY_CONFIG: file } }).config;
  t.equal(byName.port, 1001, 'the environment may name the file');
  const { config: short } = loadConfig({
    environment: { QASID_RELAY_LISTEN: '[::1]:44', QASID_RELAY_DATA: '/d' },
  });
  t.match(short, { host: '::1', port: 44, directory: '/d' }, 'short names');
});

t.test('everything that is wrong is told at once, with line and next step', async (t) => {
  const file = fileWith(
    t,
    `[network]\nprot = 7443\n\n[mailboxes]\ndevices_max = 4\n[quotas]\nsend = { burst = 1, per_second = 1 }
uploads = 5\n[netwerk]\n`,
  );
  t.strictSame(
    problemsOf(() => loadConfig({ file })),
    [
      'relay.toml line 2 | prot | is not an option | did you mean port?',
      'relay.toml line 5 | devices_max | does not belong in [mailboxes] | move it to [accounts]',
      'relay.toml line 7 | send | is not a quota | did you mean sends?',
      'relay.toml line 8 | uploads | needs burst and per_second | write uploads = { burst = 60, per_second = 1.0 }',
      'relay.toml line 9 | netwerk | is not a section | did you mean network?',
    ],
  );
  const values = fileWith(
    t,
    '[network]\nport = 70000\ntransport = "quic"\n[store]\ndirectory = "d"\n[operation]\ni_know = ["all"]\n',
  );
  const problems = problemsOf(() => loadConfig({ file: values, settings: ['prekeys_low=many'] }));
  t.match(problems, [
    /^relay.toml line 2 \| port \| must be a whole number from 0 to 65535 \| correct port$/,
    /^relay.toml line 3 \| transport \| must be one of auto, uws, ws/,
    /^--set prekeys_low \| must be a whole number/,
    /^relay.toml line 7 \| i_know \| may only hold debug-logs, /,
  ]);
  t.equal(problems.length, 4);
  t.strictSame(
    problemsOf(() => loadConfig({ environment: { QASID_RELAY_RETENTION_DAY: '3' } })),
    ['QASID_RELAY_RETENTION_DAY | is not an option | did you mean QASID_RELAY_RETENTION_DAYS?'],
  );
  t.strictSame(
    problemsOf(() =>
      loadConfig({ environment: { QASID_RELAY_PORT: '' }, flags: { directory: 'd' } }),
    ),
    ['QASID_RELAY_PORT | must be a whole number from 0 to 65535 | correct QASID_RELAY_PORT'],
  );
  t.strictSame(
    problemsOf(() => loadConfig({})),
    ['directory | is needed for the SQLite store | name a directory on a local disk'],
  );
  for (const strange of ['toString', '__proto__', 'constructor', 'quotas', '']) {
    const settings = [`${strange}=1`];
    t.equal(problemsOf(() => loadConfig({ settings })).length, 1, `--set ${strange}`);
  }
  t.throws(() => checkConfig({ toString: 1 } as never), { code: 'RELAY_CONFIG' });
});

t.test('a file that is none', async (t) => {
  t.throws(() => loadConfig({ file: '/nonexistent/relay.toml' }), {
    code: 'RELAY_CONFIG',
    message: /relay.toml cannot be read \(ENOENT\)/,
  });
  const file = fileWith(t, '[network]\nhost = 127.0.0.1\n');
  t.throws(() => loadConfig({ file }), { code: 'RELAY_CONFIG', message: /relay.toml line 2: / });
});

t.test('the commented file and the printed one can be read again', async (t) => {
  const written = fileWith(t, commentedConfig({ directory: '/var/lib/qasid', port: 443 }));
  const { config } = loadConfig({ file: written });
  t.strictSame(config, checkConfig({ directory: '/var/lib/qasid', port: 443 }));
  const uncommented = commentedConfig({ directory: '/d' }).replace(/^#(\w+ = .+)$/gm, '$1');
  t.strictSame(
    loadConfig({ file: fileWith(t, uncommented) }).config,
    checkConfig({ directory: '/d' }),
  );
  const again = loadConfig({ file: fileWith(t, printConfig(config)) }).config;
  t.match(again, { directory: '/var/lib/qasid', port: 443, retentionDays: 30 });
  for (const key of OPTION_KEYS) {
    if (key !== 'quotas') t.ok(commentedConfig({}).includes(snakeCase(key)), `${key} is explained`);
    t.notMatch(OPTIONS[key].about, /\.$/);
  }
  t.notMatch(printConfig({ ...config, host: 'x://name:password@y' }), /password/);
});

t.test('ATK-L07 dangerous settings are refused where others reach the relay', async (t) => {
  const directory = join(fileWith(t, ''), '..');
  const open = { host: '0.0.0.0', port: 0, directory } as const;
  const cases: Readonly<Record<keyof typeof DANGERS, RelayOptions>> = {
    'debug-logs': { logLevel: 'trace' },
    'memory-store': { store: 'memory' },
    'no-quotas': { quotas: { sends: { burst: 120, perSecond: 2_000 } } },
    'open-metrics': { metricsHost: '0.0.0.0', metricsPort: 0 },
    'plain-ws': {},
    'synchronous-normal': { synchronous: 'NORMAL' },
  };
  for (const danger of Object.keys(DANGERS) as (keyof typeof DANGERS)[]) {
    const options = { ...open, ...cases[danger] };
    const others = (Object.keys(DANGERS) as (keyof typeof DANGERS)[]).filter((d) => d !== danger);
    const [problem, ...more] = problemsOf(() => checkConfig({ ...options, iKnow: others }));
    t.match(problem, `add "${danger}" to i_know`);
    t.strictSame(more, []);
    await t.rejects(startRelay({ ...options, iKnow: others }), { code: 'RELAY_CONFIG' });
    const meant = checkConfig({ ...options, iKnow: [...others, danger] });
    t.match(profileOf(meant), { name: 'acknowledged' });
    t.ok(profileOf(meant).dangers.includes(danger));
  }
  t.match(profileOf(checkConfig({ ...cases['debug-logs'], store: 'memory' })), {
    name: 'development',
    dangers: ['debug-logs', 'memory-store'],
  });
  t.match(profileOf(checkConfig({ host: '::1', store: 'memory', quotas: NO_QUOTAS })), {
    name: 'development',
    dangers: ['memory-store', 'no-quotas'],
  });
});

t.test('ATK-L07 the operator who asks is told the profile', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-config-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const adminSocket = join(directory, 'admin.sock');
  const options = { port: 0, logLevel: 'silent', adminSocket, synchronous: 'NORMAL' } as const;
  const relay = await startRelay({ directory: join(directory, 'data'), ...options });
  t.teardown(() => relay.close());
  const text = await new Promise<string>((resolve, reject) => {
    const request = get({ socketPath: adminSocket, path: '/status' }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (body += chunk));
      response.on('end', () => resolve(body));
    });
    request.on('error', reject);
  });
  t.match(JSON.parse(text), { profile: 'development', dangers: ['synchronous-normal'] });
});

t.test('ATK-L07 the profile is told by the relay that runs', async (t) => {
  const relay = await startRelay({ port: 0, store: 'memory', logLevel: 'silent' });
  t.teardown(() => relay.close());
  t.strictSame(relay.profile, { name: 'development', dangers: ['memory-store'] });
});
