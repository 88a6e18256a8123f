// Registration at relays that do not take everybody, or not for nothing.
import { createPrivateKey, generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NO_QUOTAS, type RelayOptions, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import { testClient } from '../support/world.js';

async function relayFor(t: Test, options: RelayOptions) {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-register-'));
  const adminSocket = join(directory, 'admin.sock');
  const relay = await startRelay({
    port: 0,
    store: 'memory',
    directory,
    adminSocket,
    quotas: NO_QUOTAS,
    logLevel: 'silent',
    ...options,
  });
  t.teardown(async () => {
    await relay.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const invite = (): Promise<string> =>
    new Promise((resolve, reject) => {
      const asked = request(
        { socketPath: adminSocket, method: 'POST', path: '/invites' },
        (answer) => {
          answer.setEncoding('utf8');
          answer.on('data', (text: string) => resolve(JSON.parse(text).invite));
        },
      );
      asked.on('error', reject);
      asked.end();
    });
  return { ...relay, invite };
}

t.test('by invite: refused without, with a wrong one, and in with a right one', async (t) => {
  const relay = await relayFor(t, { registration: 'invite' });
  const client = await testClient(t, relay);
  await t.rejects(client.register({ username: 'ann' }), { code: 'ACCOUNT_INVITE_INVALID' });
  const mistyped = { username: 'ann', invite: 'qasid-invite:abc' };
  await t.rejects(client.register(mistyped), { code: 'ACCOUNT_INVITE_INVALID' });
  const guessed = { username: 'ann', invite: `qasid-invite:${'a'.repeat(32)}` };
  await t.rejects(client.register(guessed), { code: 'ACCOUNT_INVITE_INVALID' });
  const invite = await relay.invite();
  t.match(await client.register({ username: 'ann', invite }), {
    username: 'ann',
    registered: true,
  });
  const late = await testClient(t, relay);
  await t.rejects(late.register({ username: 'zoe', invite }), { code: 'ACCOUNT_INVITE_INVALID' });
  t.equal(late.me.registered, false);
});

t.test('nobody new is a typed error', async (t) => {
  const relay = await relayFor(t, { registration: 'closed' });
  const client = await testClient(t, relay);
  await t.rejects(client.register({ username: 'ann' }), { code: 'ACCOUNT_REGISTRATION_CLOSED' });
});

t.test('without a name people are found by their id', async (t) => {
  const relay = await relayFor(t, {});
  const [ann, bob] = [await testClient(t, relay), await testClient(t, relay)];
  const me = await ann.register({});
  t.match(me, { username: undefined, registered: true });
  t.strictSame(await ann.register({}), me, 'again');
  await bob.register({ username: 'bob' });
  const arrived = new Promise<string>((resolve) => ann.on('message', ({ text }) => resolve(text)));
  await (await bob.send(me.account!, 'salaam')).confirmed;
  t.equal(await arrived, 'salaam');
});

t.test('an open relay asks for work, and gets it', async (t) => {
  const relay = await relayFor(t, { registrationWork: 'on' });
  const client = await testClient(t, relay);
  t.match(await client.register({ username: 'ann' }), { username: 'ann', registered: true });
  const other = await testClient(t, relay);
  await t.rejects(other.register({ username: 'ann' }), { code: 'ACCOUNT_NAME_TAKEN' });
  t.match(await other.register({ username: 'zoe' }), { username: 'zoe', registered: true });
});

/** The code of the guide that follows `marker`. */
function fromGuide(marker: string): string {
  const guide = new URL('../../../../docs/guides/bring-your-own-users.md', import.meta.url);
  const code = readFileSync(guide, 'utf8').split(marker)[1]?.split('```')[1];
  if (code === undefined) throw new Error(`no code after ${marker}`);
  return code.replace(/^\w*\n/, '');
}

t.test('the guide: a backend signs tickets, as it stands there', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-backend-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const file = join(directory, 'backend.pub.pem');
  writeFileSync(file, publicKey.export({ type: 'spki', format: 'pem' }));
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' });
  const code = fromGuide('<!-- backend -->');
  t.ok(code.trim().split('\n').length <= 20, 'it is short');
  // Beside this package, so that it finds its library as a backend would find its own.
  const place = new URL('../../../relay/dist-test/', import.meta.url);
  const module = new URL(`backend-${process.pid}.mjs`, place);
  process.env.TICKET_KEY = String(pem);
  writeFileSync(module, code);
  t.teardown(() => rmSync(module));
  t.ok(createPrivateKey(pem));
  const { ticketFor } = (await import(module.href)) as {
    ticketFor: (userId: string, replace?: boolean) => Promise<string>;
  };
  const relay = await relayFor(t, {
    registration: 'ticket',
    ticketIssuer: 'https://app.example',
    ticketAudience: 'relay.example',
    ticketKeyFile: file,
  });
  const phone = await testClient(t, relay);
  await t.rejects(phone.register({}), { code: 'ACCOUNT_TICKET_INVALID' });
  await t.rejects(phone.register({ ticket: 'x' }), { code: 'ACCOUNT_TICKET_INVALID' });
  const ticket = await ticketFor('user 7');
  t.match(await phone.register({ ticket }), { registered: true });
  const second = await testClient(t, relay);
  await t.rejects(second.register({ ticket }), { code: 'ACCOUNT_TICKET_INVALID' }, 'used');
  const another = await ticketFor('user 7');
  await t.rejects(second.register({ ticket: another }), { code: 'ACCOUNT_USER_REGISTERED' });
  t.match(await second.register({ ticket: await ticketFor('user 7', true) }), { registered: true });
  t.match(await relay.totals(), { accounts: 1 });
});
