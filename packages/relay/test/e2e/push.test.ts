// 13 §8: a knock without a word, only for those who are away, and never where a stranger points us.
import { createHmac } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer, type IncomingMessage } from 'node:http';
import { Agent, createServer, get } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { type RelayOptions, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import { createWebPush, isAllowed, publicAgent, vapidPublicKey } from '#src/push/web-push.js';
import { createWebhookPush } from '#src/push/webhook.js';
import { certificateFiles } from '../support/certificates.js';
import { newPerson, part, sendOp, TestClient } from '../support/client.js';

t.setTimeout(120_000);

interface Knock {
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}

/** A server that writes down who knocked, and answers with the codes it is given, then with 201. */
function doorbell(answers: number[] = []) {
  const knocks: Knock[] = [];
  const listener = (request: IncomingMessage, response: { statusCode: number; end(): void }) => {
    let body = '';
    request.setEncoding('latin1');
    request.on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      knocks.push({ headers: request.headers, body });
      response.statusCode = answers.shift() ?? 201;
      response.end();
    });
  };
  return { knocks, listener };
}

async function gateway(t: Test, answers: number[] = []) {
  const { knocks, listener } = doorbell(answers);
  const server = createHttpServer(listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  t.teardown(() => server.close());
  const directory = mkdtempSync(join(tmpdir(), 'qasid-push-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const secret = join(directory, 'secret');
  writeFileSync(secret, 'a secret of the gateway\n', { mode: 0o600 });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/wake`;
  return { knocks, directory, options: { pushWebhookUrl: url, pushWebhookSecretFile: secret } };
}

async function start(t: Test, options: RelayOptions) {
  const relay = await startRelay({
    port: 0,
    store: 'memory',
    logLevel: 'silent',
    requirePadding: false,
    metricsPort: 0,
    ...options,
  });
  t.teardown(() => relay.close());
  const count = async (outcome: string): Promise<number> => {
    const text = await (await fetch(`${relay.metricsUrl}/metrics`)).text();
    return Number(new RegExp(`outcome="${outcome}"} (\\d+)`).exec(text)?.[1] ?? 0);
  };
  return { relay, count };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = Date.now() + 30_000;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error('timed out waiting');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const letter = (text: string) => new TextEncoder().encode(text);

t.test('the gateway is told when somebody is away and it is urgent, once', async (t) => {
  const { knocks, options } = await gateway(t);
  const { relay, count } = await start(t, options);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob);
  t.match(await b.ask({ kind: 'pushInfo' }), { body: { kind: 'pushInfo', hasGateway: true } });
  const handle = provider.randomBytes(32);
  t.match(await b.ask({ kind: 'putPush', handle }), { code: 'CONFIRMED' });
  const send = async (text: string, urgent: boolean): Promise<void> => {
    const op = sendOp(bob, part(bob, letter(text)));
    t.match(await a.ask({ ...op, urgent } as never), { code: 'CONFIRMED' });
  };
  await send('to one who is here', true);
  await b.until(() => b.delivered.length === 1);
  await b.close();
  await send('not urgent', false);
  await send('urgent', true);
  await until(() => knocks.length === 1);
  await send('urgent again', true);
  await send('and again', true);
  await until(async () => (await count('held')) === 2);
  t.equal(knocks.length, 1, 'at most one knock in ten seconds');
  t.equal(await count('sent'), 1);

  const [{ headers, body } = { headers: {}, body: '' }] = knocks;
  t.equal(body, Buffer.from(handle).toString('latin1'), 'the handle and nothing else');
  const signed = String(headers['qasid-signature']);
  const [, seconds = '', mac] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(signed) ?? [];
  const expected = createHmac('sha256', 'a secret of the gateway')
    .update(`${seconds}.`)
    .update(Buffer.from(handle))
    .digest('hex');
  t.equal(mac, expected, 'signed');

  const again = await TestClient.login(relay.url, bob);
  t.match(await again.ask({ kind: 'putPush' }), { code: 'CONFIRMED' }, 'taken back');
  await again.close();
});

t.test('a gateway that is unwell is asked again; one that says gone is believed', async (t) => {
  const secret = letter('a secret of the gateway');
  const target = { kind: 'handle', handle: new Uint8Array(16) } as const;
  const outcomes: Record<string, [number[], number]> = {
    sent: [[503, 429], 3],
    gone: [[410], 1],
    failed: [[400], 1],
  };
  for (const [outcome, [answers, count]] of Object.entries(outcomes)) {
    const { knocks, options } = await gateway(t, answers);
    const url = options.pushWebhookUrl;
    const push = createWebhookPush({ url, secret, nowMs: Date.now, retryMs: 1 });
    t.equal(await push.wake(target), outcome);
    t.equal(knocks.length, count);
  }
  const url = 'http://127.0.0.1:9/';
  const nobody = createWebhookPush({ url, secret, nowMs: Date.now, retryMs: 1 });
  t.equal(await nobody.wake(target), 'failed');
  t.notOk(nobody.accepts({ kind: 'handle', handle: new Uint8Array(15) }), 'can be guessed');
});

t.test('ATK-D09 every knock of Web Push is the same, and empty', async (t) => {
  const { tlsCert, tlsKey, ca } = await certificateFiles(t);
  const { knocks, listener } = doorbell();
  const server = createServer({ cert: readFileSync(tlsCert), key: readFileSync(tlsKey) }, listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  // A push service on this machine: its name leads to the server above.
  const agent = new Agent({ ca, host: '127.0.0.1', port, checkServerIdentity: () => undefined });
  const createConnection = agent.createConnection.bind(agent);
  agent.createConnection = ((options: object, done: never) =>
    createConnection({ ...options, host: '127.0.0.1', port } as never, done)) as never;
  const vapidSecret = provider.randomBytes(32);
  const hosts = ['push.example'];
  const push = createWebPush({ vapidSecret, contact: 'mailto:ops@relay.example', hosts, agent });
  for (const device of ['one', 'two', 'two']) {
    const endpoint = `https://push.example/${device}`;
    t.equal(await push.wake({ kind: 'endpoint', endpoint }), 'sent');
  }
  t.equal(knocks.length, 3);
  const plain = knocks.map(({ headers: { authorization, ...rest }, body }) => {
    t.match(authorization, /^vapid t=[\w-]+\.[\w-]+\.[\w-]+, k=[\w-]+$/);
    return { rest, body };
  });
  t.equal(plain[0]?.body, '', 'no payload');
  t.strictSame(plain[1], plain[0]);
  t.strictSame(plain[2], plain[0]);
  t.notOk(plain[0]?.rest.topic, 'nothing that could be counted');
  t.equal(vapidPublicKey(vapidSecret).length, 65);
});

t.test('a push service points to no other place', async (t) => {
  const hosts = ['push.example', '*.notify.example'];
  const good = ['https://push.example/x?y=z', 'https://a.b.notify.example/'];
  for (const endpoint of good) t.ok(isAllowed(endpoint, hosts), endpoint);
  for (const endpoint of [
    'http://push.example/',
    'https://push.example:8443/',
    'https://user:word@push.example/',
    'https://push.example.evil.example/',
    'https://notify.example/',
    'https://evilnotify.example/',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://169.254.169.254/latest/meta-data',
    'https://localhost/',
    'file:///etc/passwd',
    'push.example',
    '',
  ]) {
    t.notOk(isAllowed(endpoint, hosts), endpoint);
  }
});

t.test('nor into a private network, whatever its name says', async (t) => {
  // An operator's mistake, or a name whose owner changed its address: the second line of defence.
  const { tlsCert, tlsKey } = await certificateFiles(t);
  const { listener } = doorbell();
  const server = createServer({ cert: readFileSync(tlsCert), key: readFileSync(tlsKey) }, listener);
  let connections = 0;
  server.on('connection', () => connections++);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const ask = (host: string, agent?: Agent) =>
    new Promise<string>((resolve) => {
      const options = { host, port, rejectUnauthorized: false, ...(agent && { agent }) };
      const request = get(options, (response) => {
        response.resume();
        resolve('answered');
      });
      request.on('error', (error) => resolve(error.message));
    });
  t.equal(await ask('localhost'), 'answered', 'there is something to be reached');
  t.equal(connections, 1);
  for (const host of [
    'localhost',
    '127.0.0.1',
    '169.254.169.254',
    '10.0.0.1',
    '::1',
    '192.168.0.1',
  ]) {
    t.match(await ask(host, publicAgent()), /not allowed/i, host);
  }
  t.equal(connections, 1, 'nobody was even called');
  const vapidSecret = provider.randomBytes(32);
  const hosts = ['localhost'];
  const push = createWebPush({ vapidSecret, contact: 'mailto:ops@relay.example', hosts });
  t.equal(await push.wake({ kind: 'endpoint', endpoint: 'https://localhost/x' }), 'failed');
});

t.test('registering: what is refused, and what is kept', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-push-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const options: RelayOptions = {
    store: 'sqlite',
    directory,
    pushContact: 'mailto:ops@relay.example',
    pushHosts: ['push.example'],
  };
  const first = await startRelay({ port: 0, logLevel: 'silent', ...options });
  const bob = newPerson();
  const b = await TestClient.register(first.url, bob);
  const info = await b.ask({ kind: 'pushInfo' });
  const key = info.body.kind === 'pushInfo' ? info.body.vapidKey : undefined;
  t.equal(key?.length, 65);
  const put = async (op: { endpoint?: string; handle?: Uint8Array<ArrayBuffer> }) =>
    (await b.ask({ kind: 'putPush', ...op })).code;
  t.equal(await put({ endpoint: 'https://push.example/device' }), 'CONFIRMED');
  t.equal(await put({ endpoint: 'https://elsewhere.example/device' }), 'REFUSED');
  t.equal(await put({ handle: provider.randomBytes(32) }), 'REFUSED', 'there is no gateway');
  await b.close();
  await first.close();
  t.equal(statSync(join(directory, 'vapid.key')).mode & 0o777, 0o600);
  const second = await startRelay({ port: 0, logLevel: 'silent', ...options });
  const again = await TestClient.login(second.url, bob);
  t.match(await again.ask({ kind: 'pushInfo' }), { body: { vapidKey: key } }, 'the same key');
  await again.close();
  await second.close();

  const { relay } = await start(t, {});
  const c = await TestClient.register(relay.url, newPerson());
  t.match(await c.ask({ kind: 'putPush', handle: provider.randomBytes(32) }), {
    code: 'UNSUPPORTED',
  });
  t.match(await c.ask({ kind: 'putPush' }), { code: 'CONFIRMED' }, 'nowhere is always possible');
});

t.test('options that go together', async (t) => {
  const refuse = (options: RelayOptions, message: RegExp) =>
    t.rejects(startRelay({ store: 'memory', ...options }), { code: 'RELAY_CONFIG', message });
  await refuse({ pushContact: 'ops' }, /pushContact must be a mailto/);
  await refuse({ pushWebhookUrl: 'https://x.example/' }, /pushWebhookSecretFile is missing/);
  const pushWebhookSecretFile = '/dev/null';
  await refuse({ pushWebhookUrl: 'http://x.example/', pushWebhookSecretFile }, /must be an https/);
  await refuse({ pushWebhookUrl: 'https://x.example/', pushWebhookSecretFile }, /has 0 bytes/);
});
