/**
 * docs/guides/running-a-relay.md, command by command. Folders are moved below a temporary one and ports are
 * free ones; what needs a machine of its own (apt-get, systemctl, certbot, …) is played by stand-ins, of which
 * `systemctl` really starts, reloads and stops what the unit file says.
 */
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { generate } from 'selfsigned';
import t, { type Test } from 'tap';

import { environment, freePort, qasid, shell, temporaryFolder } from '../support/processes.js';

t.setTimeout(600_000);

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const guide = readFileSync(`${root}docs/guides/running-a-relay.md`, 'utf8');

/** Programs that are not what their name says, first on the PATH. */
function standIns(home: string): string {
  const bin = join(home, 'bin');
  const unit = join(home, 'etc/systemd/system/qasid-relay.service');
  const pid = join(home, 'relay.pid');
  const scripts: Record<string, string> = {
    sudo: 'if [ "$1" = -u ]; then shift 2; fi\nexec "$@"',
    chown: 'exit 0',
    adduser: 'exit 0',
    'apt-get': 'exit 0',
    npm: `test -f ${root}package.json`,
    journalctl: `cat ${join(home, 'relay.log')}`,
    // Owners need root.
    install: `args=()
while [ $# -gt 0 ]; do case "$1" in -o|-g) shift 2;; *) args+=("$1"); shift;; esac; done
exec /usr/bin/install "\${args[@]}"`,
    certbot: `export RENEWED_LINEAGE=${join(home, 'lineage')} QASID_TLS_DIRECTORY=${join(home, 'etc/qasid/tls')}
for hook in ${join(home, 'etc/letsencrypt/renewal-hooks/deploy')}/*; do "$hook"; done`,
    systemctl: `case "$*" in
*stop*|*restart*) p=$(cat ${pid}); kill -TERM $p; for i in $(seq 600); do kill -0 $p 2>/dev/null || break; sleep 0.1; done;;
esac
case "$*" in
*reload\\ qasid-relay*) test -f ${pid} && kill -HUP $(cat ${pid});;
*daemon-reload*) test -f ${unit};;
*start*|*--now*)
  check=$(sed -n 's/^ExecStartPre=//p' ${unit}); start=$(sed -n 's/^ExecStart=//p' ${unit})
  $check >/dev/null || exit 1
  setsid $start >>${join(home, 'relay.log')} 2>&1 </dev/null & echo $! >${pid};;
esac`,
  };
  mkdirSync(bin);
  for (const [name, script] of Object.entries(scripts)) {
    writeFileSync(join(bin, name), `#!/bin/bash\n${script}\n`, { mode: 0o755 });
  }
  return bin;
}

/** What certbot would have got, for the name the test uses. */
async function certificate(home: string): Promise<void> {
  const made = await generate([{ name: 'commonName', value: 'localhost' }], {
    keyType: 'ec',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: 'localhost' }] }],
  });
  mkdirSync(join(home, 'lineage'));
  writeFileSync(join(home, 'lineage/fullchain.pem'), made.cert);
  writeFileSync(join(home, 'lineage/privkey.pem'), made.private, { mode: 0o600 });
}

t.test('the guide works as written', async (t) => {
  const home = temporaryFolder(t.teardown);
  for (const folder of ['etc/systemd/system', 'var/lib', 'var/backups']) {
    mkdirSync(join(home, folder), { recursive: true });
  }
  const [port, metrics] = [String(await freePort()), String(await freePort())];
  const bin = standIns(home);
  await certificate(home);
  const adapt = (text: string): string =>
    text
      .replace(/\/(etc|var)\/(qasid|letsencrypt|systemd|lib|backups)/g, `${home}/$1/$2`)
      .replaceAll('/opt/qasid/', root)
      .replaceAll('/opt/qasid', root)
      .replaceAll('/usr/bin/node', process.execPath)
      .replaceAll("'[::]:443'", `127.0.0.1:${port}`)
      .replaceAll('wss://relay.example', `wss://localhost:${port}`)
      .replaceAll('https://relay.example', `https://localhost:${port}`)
      .replaceAll('metrics_port=9464', `metrics_port=${metrics}`)
      .replaceAll('127.0.0.1:9464', `127.0.0.1:${metrics}`);
  t.teardown(() => {
    spawn('bash', ['-c', `kill -KILL $(cat ${join(home, 'relay.pid')})`]);
  });

  const ca = join(home, 'lineage/fullchain.pem');
  const env = { CURL_CA_BUNDLE: ca, NODE_EXTRA_CA_CERTS: ca };
  let commands = 0;
  let printed = '';
  for (const [, language, body = ''] of guide.matchAll(/^```(sh|text) relay\n([\s\S]*?)^```/gm)) {
    if (language === 'text') {
      t.ok(printed.includes(body), `${JSON.stringify(body)} in ${JSON.stringify(printed)}`);
      continue;
    }
    printed = '';
    for (const line of body.trimEnd().split('\n')) {
      commands += 1;
      if (line.startsWith('alias ')) continue; // `qasid` is on the PATH of the test
      const done = await shell(home, `PATH=${bin}:$PATH; ${adapt(line)}`, {
        env,
        limitMs: 120_000,
      });
      printed += done.stdout;
      t.equal(done.code, 0, `${line}: ${done.stderr}`);
      if (line.includes('deploy/qasid-relay.service')) moveUnit(home, adapt);
      if (line.includes('umask 077')) {
        const made = readdirSync(home).filter((name) => name.endsWith('.invite'));
        t.ok(made.length > 0);
        for (const name of made) t.equal(statSync(join(home, name)).mode & 0o777, 0o600, name);
      }
    }
  }
  // The relay of this guide is for those who were invited.
  const stranger = `qasid --profile eve register eve --relay wss://localhost:${port} --no-passphrase`;
  const refused = await shell(home, stranger, { env, limitMs: 120_000 });
  t.equal(refused.code, 1, refused.stderr);
  t.match(refused.stderr, /by invite, and not this one/);
  t.ok(commands >= 40, `${commands} commands were run`);
  t.match(printed, /^sum .* a month for 1000 users$/m);
  t.notMatch(readFileSync(join(home, 'relay.log'), 'utf8'), /error/);
});

/** The unit that was copied, with its paths where the test has them. */
function moveUnit(home: string, adapt: (text: string) => string): void {
  const unit = join(home, 'etc/systemd/system/qasid-relay.service');
  writeFileSync(unit, adapt(readFileSync(unit, 'utf8')));
}

/** Examples that are configurations: each must be one the relay takes. */
t.test('every example configuration is taken', async (t: Test) => {
  const home = temporaryFolder(t.teardown);
  const examples = readdirSync(`${root}deploy`).filter((name) => name.endsWith('.toml'));
  t.equal(examples.length, 3);
  for (const name of examples) {
    const checked = await qasid(home, ['relay', 'check-config', `${root}deploy/${name}`]);
    t.equal(checked.code, 0, `${name}: ${checked.stderr}`);
    t.match(checked.stderr, /profile production/, name);
    t.match(checked.stdout, /^registration = "invite"$/m, name);
    t.match(
      checked.stdout,
      /^admin_socket = "\/(var\/lib\/qasid-relay|data)\/admin\.sock"$/m,
      name,
    );
  }
});

t.test('the unit file is one, as far as this machine can tell', async (t) => {
  const home = temporaryFolder(t.teardown);
  const unit = readFileSync(`${root}deploy/qasid-relay.service`, 'utf8');
  for (const line of unit.split('\n')) t.match(line, /^$|^#|^\[\w+\]$|^[A-Z][A-Za-z]+=.+$/);
  for (const wanted of ['NoNewPrivileges=yes', 'ProtectSystem=strict', 'LimitCORE=0']) {
    t.ok(unit.includes(`\n${wanted}\n`), wanted);
  }
  writeFileSync(
    join(home, 'qasid-relay.service'),
    unit.replaceAll('/usr/bin/node', process.execPath),
  );
  chmodSync(join(home, 'qasid-relay.service'), 0o644);
  const script = `command -v systemd-analyze >/dev/null || exit 0
systemd-analyze verify ${home}/qasid-relay.service`;
  const { code, stderr } = await shell(home, script, { env: environment(home) });
  t.equal(code, 0, stderr);
  t.notMatch(stderr, /Unknown/);
});
