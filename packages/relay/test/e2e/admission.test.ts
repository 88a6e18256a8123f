// Who may register, over real sockets: invites, tickets, work, nobody; and the operator's listener.
import { generateKeyPairSync } from 'node:crypto';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import {
  accountText,
  type Bytes,
  type ChallengeEvent,
  parseInviteText,
  searchWork,
  workSeed,
} from '@qasid/protocol/envelope';
import {
  createLog,
  NO_QUOTAS,
  type RelayOptions,
  type RunningRelay,
  startRelay,
} from '@qasid/relay';
import { SignJWT } from 'jose';
import t, { type Test } from 'tap';
import { newPerson, type Person, TestClient } from '../support/client.js';

interface Running extends RunningRelay {
  readonly directory: string;
  readonly lines: string[];
}

async function relayFor(t: Test, options: RelayOptions = {}): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-admission-'));
  const lines: string[] = [];
  const relay = await startRelay(
    {
      port: 0,
      directory,
      transport: 'ws',
      quotas: NO_QUOTAS,
      adminSocket: join(directory, 'admin.sock'),
      requirePadding: false,
      ...options,
    },
    { log: createLog('warn', { write: (line) => lines.push(line) }) },
  );
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  return { ...relay, directory, lines };
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** One question to the operator's listener. */
function ask(
  relay: Running,
  method: string,
  path: string,
  body?: unknown,
  options: object = { socketPath: join(relay.directory, 'admin.sock') },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ method, path, ...options }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => {
        text += part;
      });
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }),
      );
    });
    request.on('error', reject);
    request.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

async function newInvite(
  relay: Running,
  more: object = {},
): Promise<{ id: string; invite: Bytes }> {
  const { body } = await ask(relay, 'POST', '/invites', more);
  return { id: String(body.id), invite: parseInviteText(String(body.invite))! };
}

async function tryRegister(
  relay: RunningRelay,
  options: Parameters<TestClient['registerAs']>[1],
  person = newPerson(),
): Promise<string> {
  const client = await TestClient.connect(relay.url);
  const { code } = await client.registerAs(person, options);
  await client.close();
  return code;
}

t.test('ATK-E13 by invite only: guessed, reused, revoked and over are one refusal', async (t) => {
  const relay = await relayFor(t, { registration: 'invite' });
  const { id, invite } = await newInvite(relay);
  t.equal(await tryRegister(relay, {}), 'INVITE_INVALID', 'without one');
  t.equal(await tryRegister(relay, { invite: provider.randomBytes(20) }), 'INVITE_INVALID');
  const wrong = newPerson();
  const stranger = { ...wrong, auth: provider.ed25519KeyPair() };
  t.equal(await tryRegister(relay, { invite }, stranger), 'REFUSED', 'a wrong proof uses none up');
  const ann = newPerson();
  t.equal(await tryRegister(relay, { invite, username: 'ann' }, ann), 'CONFIRMED');
  t.equal(await tryRegister(relay, { invite }), 'INVITE_INVALID', 'used');
  t.equal(await tryRegister(relay, { invite, username: 'ann' }, ann), 'CONFIRMED', 'answer lost');
  const second = await newInvite(relay, { uses: 3 });
  t.equal(await tryRegister(relay, { invite: second.invite, username: 'ann' }), 'USERNAME_TAKEN');
  const listed = await ask(relay, 'GET', '/invites');
  t.match(listed.body, { invites: [{ id: second.id, uses: 3 }] }, 'a taken name uses none up');
  t.equal((await ask(relay, 'DELETE', `/invites/${second.id}`)).status, 200);
  t.equal((await ask(relay, 'DELETE', `/invites/${second.id}`)).status, 404);
  t.equal(await tryRegister(relay, { invite: second.invite }), 'INVITE_INVALID', 'revoked');
  t.notSame(id, second.id);
  // Parallel use of the last one: exactly one has it.
  const last = await newInvite(relay);
  const codes = await Promise.all(
    [1, 2, 3, 4].map(() => tryRegister(relay, { invite: last.invite })),
  );
  t.strictSame(codes.sort(), ['CONFIRMED', 'INVITE_INVALID', 'INVITE_INVALID', 'INVITE_INVALID']);
  const files = readdirSync(relay.directory).filter((name) =>
    statSync(join(relay.directory, name)).isFile(),
  );
  const kept = Buffer.concat(files.map((name) => readFileSync(join(relay.directory, name))));
  const unused = await newInvite(relay);
  t.notOk(kept.includes(Buffer.from(unused.invite)), 'the invite itself is stored nowhere');
});

t.test('ATK-E13 ATK-I14 guessing invites is on the budget of registrations', async (t) => {
  const relay = await relayFor(t, {
    registration: 'invite',
    quotas: { ...NO_QUOTAS, registrationsTotal: { burst: 2, perSecond: 1e-6 } },
  });
  const guess = (): Promise<string> => tryRegister(relay, { invite: provider.randomBytes(20) });
  t.strictSame(
    [await guess(), await guess(), await guess()],
    ['INVITE_INVALID', 'INVITE_INVALID', 'RATE_LIMITED'],
  );
});

t.test('closed is closed', async (t) => {
  const relay = await relayFor(t, { registration: 'closed' });
  const { invite } = await newInvite(relay);
  t.equal(await tryRegister(relay, { invite }), 'REGISTRATION_CLOSED');
});

const backend = generateKeyPairSync('ed25519');
const rotated = generateKeyPairSync('ed25519');
const stranger = generateKeyPairSync('ed25519');
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });

interface Claims {
  readonly sub?: string | undefined;
  readonly jti?: string | undefined;
  readonly iss?: string;
  readonly aud?: string;
  readonly nbf?: number;
  readonly exp?: number;
  readonly qasid_replace?: boolean;
}

const now = (): number => Math.floor(Date.now() / 1000);

function claimsOf(more: Claims = {}): Claims {
  return {
    iss: 'https://app.example',
    aud: 'relay.example',
    sub: `user-${Math.random()}`,
    jti: `${Math.random()}`,
    nbf: now(),
    exp: now() + 120,
    ...more,
  };
}

function ticket(
  more: Claims = {},
  key: unknown = backend.privateKey,
  header: object = {},
): Promise<string> {
  const claims = JSON.parse(JSON.stringify(claimsOf(more)));
  return new SignJWT(claims).setProtectedHeader({ alg: 'EdDSA', ...header }).sign(key as never);
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

async function ticketRelay(t: Test): Promise<Running> {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-keys-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const ticketKeyFile = join(directory, 'keys.pem');
  const pem = [rotated, backend].map(({ publicKey }) =>
    publicKey.export({ type: 'spki', format: 'pem' }),
  );
  writeFileSync(ticketKeyFile, pem.join(''));
  return relayFor(t, {
    registration: 'ticket',
    ticketIssuer: 'https://app.example',
    ticketAudience: 'relay.example',
    ticketKeyFile,
  });
}

t.test('ATK-I06 a ticket of the backend admits its user, once', async (t) => {
  const relay = await ticketRelay(t);
  const first = await ticket({ sub: 'ann' });
  const ann = newPerson();
  t.equal(await tryRegister(relay, { ticket: first }, ann), 'CONFIRMED');
  t.equal(await tryRegister(relay, { ticket: first }, ann), 'CONFIRMED', 'the answer was lost');
  t.equal(await tryRegister(relay, { ticket: first }), 'TICKET_INVALID', 'shown again by another');
  t.equal(await tryRegister(relay, { ticket: await ticket({ sub: 'ann' }) }), 'USER_REGISTERED');
  const again = await ticket({ sub: 'ann', qasid_replace: true });
  const a = await TestClient.login(relay.url, ann);
  t.equal(await tryRegister(relay, { ticket: again }), 'CONFIRMED', 'the backend says so');
  await a.until(() => a.closeCode === 4410, 30_000);
  t.match(await relay.totals(), { accounts: 1 });
  const other = await ticket({}, rotated.privateKey);
  t.equal(await tryRegister(relay, { ticket: other }), 'CONFIRMED', 'signed by the other key');
  // A name that is taken uses no ticket up.
  const unused = await ticket();
  t.equal(await tryRegister(relay, { ticket: await ticket(), username: 'zoe' }), 'CONFIRMED');
  t.equal(await tryRegister(relay, { ticket: unused, username: 'zoe' }), 'USERNAME_TAKEN');
  t.equal(await tryRegister(relay, { ticket: unused, username: 'zoe2' }), 'CONFIRMED');
  const files = readdirSync(relay.directory).filter((name) =>
    statSync(join(relay.directory, name)).isFile(),
  );
  const kept = Buffer.concat(files.map((name) => readFileSync(join(relay.directory, name))));
  t.notOk(kept.includes('user-'), 'the relay does not keep who the user is');
});

t.test('ATK-I06 a ticket does not choose how it is checked, nor for whom', async (t) => {
  const relay = await ticketRelay(t);
  const pem = backend.publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const raw = backend.publicKey.export({ format: 'jwk' }).x ?? '';
  const good = await ticket();
  const [header = '', payload = '', signature = ''] = good.split('.');
  const hmac = (secret: Uint8Array): Promise<string> =>
    new SignJWT(claimsOf() as never).setProtectedHeader({ alg: 'HS256' }).sign(secret);
  const wrong: Record<string, string> = {
    'no signature, alg none': `${encode({ alg: 'none' })}.${payload}.`,
    'alg None': `${encode({ alg: 'None' })}.${payload}.${signature}`,
    'HS256 under the public key as PEM': await hmac(new TextEncoder().encode(pem)),
    'HS256 under the public key': await hmac(Buffer.from(raw, 'base64url')),
    RS256: await new SignJWT(claimsOf() as never)
      .setProtectedHeader({ alg: 'RS256' })
      .sign(rsa.privateKey),
    'another key': await ticket({}, stranger.privateKey),
    'another key, brought along': await ticket({}, stranger.privateKey, {
      jwk: stranger.publicKey.export({ format: 'jwk' }),
    }),
    'a critical header nobody knows': `${encode({ alg: 'EdDSA', crit: ['x'], x: 1 })}.${payload}.${signature}`,
    'changed claims': `${header}.${encode(claimsOf({ sub: 'other' }))}.${signature}`,
    'another issuer': await ticket({ iss: 'https://evil.example' }),
    'another audience': await ticket({ aud: 'other.example' }),
    'no sub': await ticket({ sub: undefined }),
    'an empty sub': await ticket({ sub: '' }),
    'no jti': await ticket({ jti: undefined }),
    'a long sub': await ticket({ sub: 'x'.repeat(257) }),
    over: await ticket({ nbf: now() - 200, exp: now() - 60 }),
    'not yet': await ticket({ nbf: now() + 90, exp: now() + 200 }),
    'for too long': await ticket({ exp: now() + 3_600 }),
    'from long ago until now': await ticket({ nbf: now() - 3_600 }),
    'no ticket': 'hello',
    empty: '',
  };
  for (const [name, bad] of Object.entries(wrong)) {
    t.equal(await tryRegister(relay, { ticket: bad }), 'TICKET_INVALID', name);
  }
  t.equal(await tryRegister(relay, {}), 'TICKET_INVALID', 'nothing at all');
  t.match(await relay.totals(), { accounts: 0 });
  t.equal(await tryRegister(relay, { ticket: good }), 'CONFIRMED');
});

t.test('keys that could be misused are refused at the start', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-keys-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const file = join(directory, 'keys');
  const start = (text: string) => {
    writeFileSync(file, text);
    return startRelay({
      port: 0,
      directory,
      logLevel: 'silent',
      registration: 'ticket',
      ticketIssuer: 'i',
      ticketAudience: 'a',
      ticketKeyFile: file,
    });
  };
  const jwk = backend.publicKey.export({ format: 'jwk' });
  const bad: Record<string, string> = {
    'a private JWK': JSON.stringify(backend.privateKey.export({ format: 'jwk' })),
    'a private PEM': backend.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    RSA: rsa.publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    'a secret': JSON.stringify({ kty: 'oct', k: 'c2VjcmV0' }),
    'an empty set': JSON.stringify({ keys: [] }),
    nothing: '',
  };
  for (const [name, text] of Object.entries(bad)) {
    await t.rejects(start(text), { code: 'RELAY_CONFIG' }, name);
  }
  const relay = await start(JSON.stringify({ keys: [{ ...jwk, kid: '1' }] }));
  await relay.close();
  const lone = { port: 0, directory, logLevel: 'silent', registration: 'ticket' } as const;
  await t.rejects(startRelay(lone), { code: 'RELAY_CONFIG' }, 'without issuer, audience, keys');
});

/** Do what a relay asks for. */
function work(challenge: ChallengeEvent, person: Person, bits: number): Bytes {
  const { relayId, nonce } = challenge;
  const seed = workSeed(provider, { relayId, nonce, account: person.account });
  for (let from = 0; ; ) {
    const found = searchWork(provider, seed, bits, from, 100_000);
    if (found.work !== undefined) return found.work;
    from = found.next;
  }
}

t.test('ATK-I14 an open registration costs work, for this challenge and account', async (t) => {
  const relay = await relayFor(t, { registrationWork: 'on' });
  const bob = newPerson();
  const client = await TestClient.connect(relay.url);
  const challenges = (): number => client.events.filter(({ kind }) => kind === 'challenge').length;
  const early = work(client.challenge!, bob, 16);
  const demand = await client.registerAs(bob, { work: early });
  t.match(demand, { code: 'WORK_REQUIRED', body: { kind: 'work', bits: 16 } }, 'none in advance');
  await client.until(() => challenges() === 2, 30_000);
  t.equal(
    (await client.registerAs(bob, { work: early })).code,
    'WORK_REQUIRED',
    'for another nonce',
  );
  await client.until(() => challenges() === 3, 30_000);
  const foreign = work(client.challenge!, newPerson(), 16);
  t.equal(
    (await client.registerAs(bob, { work: foreign })).code,
    'WORK_REQUIRED',
    'for another account',
  );
  await client.until(() => challenges() === 4, 30_000);
  const done = work(client.challenge!, bob, 16);
  t.equal((await client.registerAs(bob, { work: done })).code, 'CONFIRMED');
});

t.test('ATK-I15 the operator’s listener is off, private, and answers little', async (t) => {
  const off = await relayFor(t, { adminSocket: undefined });
  t.strictSame(off.adminAddresses, []);
  t.notOk(existsSync(join(off.directory, 'admin.sock')));
  t.equal(
    (await fetch(`${off.url.replace('ws:', 'http:')}/status`)).status,
    404,
    'nor for clients',
  );

  const relay = await relayFor(t, { adminPort: 0 });
  const socket = join(relay.directory, 'admin.sock');
  t.equal(statSync(socket).mode & 0o777, 0o600);
  t.equal(statSync(join(relay.directory, 'admin.key')).mode & 0o777, 0o600);
  const { port } = new URL(relay.adminAddresses[1]!);
  const key = readFileSync(join(relay.directory, 'admin.key'), 'utf8').trim();
  const over = (headers: object) =>
    ask(relay, 'GET', '/status', undefined, { host: '127.0.0.1', port, headers });
  t.equal((await over({})).status, 401);
  t.equal((await over({ authorization: `Bearer ${'0'.repeat(64)}` })).status, 401);
  t.equal(
    (await over({ authorization: `Bearer ${key}`, origin: 'http://evil.example' })).status,
    401,
  );
  t.equal((await over({ authorization: `Bearer ${key}` })).status, 200);

  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice, { username: 'alice' });
  await TestClient.register(relay.url, bob, { username: 'bob' });
  await a.send(bob, 'a letter nobody else reads');
  const questions: [string, string, unknown?][] = [
    ['GET', '/status'],
    ['GET', '/invites'],
    ['POST', '/invites', { uses: 2, hours: 1 }],
    ['POST', '/accounts/bob/quota', { mailbox_bytes: 1_000_000 }],
    ['POST', '/accounts/bob/suspend'],
    ['POST', `/accounts/${accountText(bob.account)}/resume`],
    ['DELETE', '/accounts/bob'],
    ['GET', '/accounts'],
    ['GET', '/accounts/alice'],
    ['POST', '/accounts/nobody/suspend'],
    ['POST', '/invites', { uses: 0 }],
    ['POST', '/accounts/alice/quota', { mailbox_bytes: 'x' }],
    ['DELETE', '/invites/zz'],
  ];
  const answers: Answer[] = [];
  for (const [method, path, body] of questions) answers.push(await ask(relay, method, path, body));
  t.strictSame(
    answers.map(({ status }) => status),
    [200, 200, 200, 200, 200, 200, 200, 404, 404, 404, 400, 400, 400],
  );
  t.match(answers[0]!.body, { accounts: 2, devices: 2, envelopes: 1, registration: 'open' });
  const said = JSON.stringify(answers);
  const forbidden: Record<string, string> = {
    'an account': accountText(bob.account),
    'an account in hex': Buffer.from(bob.account).toString('hex'),
    'an identity key': Buffer.from(bob.identity.public).toString('hex'),
    'a key in base64': Buffer.from(bob.auth.public).toString('base64'),
    'a user name': '"alice"',
    content: 'a letter',
  };
  for (const [name, text] of Object.entries(forbidden)) t.notOk(said.includes(text), name);
  // The audit: what was asked and how it went, never about whom.
  const audit = relay.lines
    .map((line) => JSON.parse(line))
    .filter(({ event }) => event === 'ADMIN');
  t.match(audit, [
    { code: 'INVITE_CREATE', status: 200 },
    { code: 'ACCOUNT_QUOTA', status: 200 },
    { code: 'ACCOUNT_SUSPEND', status: 200 },
    { code: 'ACCOUNT_RESUME', status: 200 },
    { code: 'ACCOUNT_DELETE', status: 200 },
    { code: 'ACCOUNT_SUSPEND', status: 404 },
    { code: 'INVITE_CREATE', status: 400 },
    { code: 'ACCOUNT_QUOTA', status: 400 },
    { code: 'INVITE_REVOKE', status: 400 },
  ]);
  t.notOk(/alice|bob|[0-9a-f]{16}/.test(relay.lines.join('')), 'no identifiers in the log');
  const broken = await new Promise<number>((resolve) => {
    const request = httpRequest(
      { socketPath: socket, method: 'POST', path: '/invites' },
      (response) => resolve(response.statusCode ?? 0),
    );
    request.end('{');
  });
  t.equal(broken, 400);
});

t.test('a suspended account is shut out, and let in again', async (t) => {
  const relay = await relayFor(t);
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await TestClient.register(relay.url, alice);
  const b = await TestClient.register(relay.url, bob, { username: 'bob' });
  await ask(relay, 'POST', '/accounts/bob/suspend');
  await b.until(() => b.closeCode === 4403, 30_000);
  const shut = await TestClient.connect(relay.url);
  t.equal((await shut.auth(bob)).code, 'SUSPENDED');
  await shut.until(() => shut.closeCode === 4403, 30_000);
  const stranger = await TestClient.connect(relay.url);
  const forged = { ...bob, auth: provider.ed25519KeyPair() };
  t.equal((await stranger.auth(forged)).code, 'REFUSED', 'a stranger does not learn of it');
  t.equal((await a.send(bob, 'for later')).code, 'CONFIRMED');
  await ask(relay, 'POST', '/accounts/bob/resume');
  const again = await TestClient.login(relay.url, bob);
  await again.until(() => again.delivered.length === 1, 30_000);
});

t.test('an operator drains the relay', async (t) => {
  const relay = await relayFor(t);
  const client = await TestClient.register(relay.url, newPerson());
  t.match(await ask(relay, 'POST', '/drain'), { status: 200, body: { draining: true } });
  await relay.ended;
  await client.until(() => client.closeCode === 1012, 30_000);
  t.notOk(existsSync(join(relay.directory, 'admin.sock')), 'the socket is gone');
});

t.test('a socket that was left behind is no obstacle, another file is', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-admin-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const adminSocket = join(directory, 'admin.sock');
  writeFileSync(adminSocket, 'precious');
  const options = { port: 0, directory, adminSocket, logLevel: 'silent' } as const;
  await t.rejects(startRelay(options), { code: 'RELAY_ADDRESS' });
  t.equal(readFileSync(adminSocket, 'utf8'), 'precious');
});
