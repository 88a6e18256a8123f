// ATK-D08: with the log wide open, no identifier, address or byte of an envelope is in it.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { accountText, type RequestOp } from '@qasid/protocol/envelope';
import { createLog, NO_QUOTAS, startRelay } from '@qasid/relay';
import t from 'tap';
import { askBlob, blobUrl, download, patch, upload } from '../support/blobs.js';
import { fakePrekeys, newPerson, part, sendOp, TestClient } from '../support/client.js';
import { entryFor, manyOp, newGrant, sealedOp } from '../support/sealed.js';

/** How bytes might be written down. */
function* spellings(bytes: Uint8Array): Generator<string> {
  const buffer = Buffer.from(bytes);
  yield buffer.toString('hex');
  yield buffer.toString('base64').replace(/=+$/, '');
  yield buffer.toString('base64url');
  yield [...bytes].join(',');
}

t.test('ATK-D08 ATK-J06 the log at its widest names nobody and nothing', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-log-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  let written = '';
  const log = createLog('trace', { write: (line) => (written += line) });
  // A push gateway that answers, so that waking somebody leaves whatever it leaves.
  let isWoken = false;
  const gateway = createServer((_, response) => {
    isWoken = true;
    response.end();
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => gateway.once('listening', resolve));
  t.teardown(() => gateway.close());
  const secretFile = join(directory, 'push-secret');
  writeFileSync(secretFile, 'shared-with-the-gateway');
  const relay = await startRelay(
    {
      directory,
      port: 0,
      metricsPort: 0,
      quotas: NO_QUOTAS,
      requirePadding: false,
      pushWebhookUrl: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}/in-the-log`,
      pushWebhookSecretFile: secretFile,
    },
    { log },
  );
  const [alice, bob] = [newPerson(), newPerson()];
  const prekeys = fakePrekeys(3);
  const a = await TestClient.register(relay.url, alice, { username: 'alice-in-the-log' });
  const b = await TestClient.register(relay.url, bob, { username: 'bob-in-the-log', prekeys });
  const marker = provider.randomBytes(48);
  const clientId = provider.randomBytes(16);
  const stranger = provider.randomBytes(32);
  await a.ask({ kind: 'lookup', username: 'bob-in-the-log' });
  await a.ask({ kind: 'lookup', username: 'nobody-in-the-log' });
  await a.ask({ kind: 'takePrekeys', account: bob.account, devices: [] });
  await a.ask(sendOp(bob, part(bob, marker, clientId)));
  await a.ask(sendOp(newPerson(), part(bob, marker, clientId)));
  await b.until(() => b.delivered.length === 1);
  b.ack(b.delivered[0]!.seq);
  await b.ask({ kind: 'prekeyCount' });
  // And by nobody: with a token, through an inlet, to many, and with a wrong token.
  const [token, inlet] = [newGrant(), newGrant({ isInlet: true })];
  for (const { put } of [token, inlet]) t.equal((await b.ask(put)).code, 'CONFIRMED');
  await b.ask({ kind: 'listTokens' });
  const nobody = await TestClient.anonymous(relay.url);
  const sealed = provider.randomBytes(512);
  await nobody.ask(sealedOp(bob.account, token, part(bob, sealed)));
  await nobody.ask(sealedOp(inlet.put.id, inlet, part(bob, sealed)));
  await nobody.ask(sealedOp(alice.account, token, part(bob, sealed)));
  const many = manyOp([entryFor(bob), entryFor(alice)], [token.credential, inlet.credential]);
  t.equal((await nobody.ask(many)).code, 'SOME_FAILED');
  await nobody.ask({ kind: 'devices', account: bob.account, ...token.credential });
  await b.ask({ kind: 'removeToken', id: token.put.id });
  const blob = await upload(relay.url, a, marker);
  await download(`${blob.url}?marker`, { 'qasid-ticket': blob.ticket });
  await patch(blob, 3, marker);
  await download(blobUrl(relay.url, clientId));
  await askBlob(b, 'delete', blob.id, stranger);
  const recordId = provider.randomBytes(32);
  const capability = provider.randomBytes(32);
  const put = { kind: 'recordPut', id: recordId, capability, value: marker } as const;
  await a.ask({ ...put, expectedVersion: 0 });
  await b.ask({ kind: 'recordGet', id: recordId });
  await askBlob(a, 'delete', blob.id, blob.capability);
  const handle = provider.randomBytes(32);
  await b.ask({ kind: 'putPush', handle });
  await b.ask({ kind: 'putPush', endpoint: 'https://push.example/in-the-log' });
  await b.close();
  await a.ask({ ...sendOp(bob, part(bob, marker)), urgent: true } as RequestOp);
  await a.until(() => isWoken, 30_000);
  const wrong = await TestClient.connect(relay.url);
  await wrong.auth({ ...bob, auth: provider.ed25519KeyPair() });
  const hostile = await TestClient.connect(relay.url);
  hostile.raw(marker);
  await hostile.until(() => hostile.closeCode !== undefined);
  const metrics = await (await fetch(`${relay.metricsUrl}/metrics`)).text();
  await relay.close();

  t.ok(metrics.split('\n').length > 80, 'there were metrics to search');
  // Labels hold codes of fixed lists and names of what is measured; values are plain numbers.
  for (const line of metrics.split('\n').filter((text) => text !== '')) {
    t.match(
      line,
      /^#|^[a-z_0-9]+(\{[a-z_]+="[A-Za-z0-9_.+-]+"(,[a-z_]+="[A-Za-z0-9_.+-]+")*\})? (\d[\d.e+-]*|Nan)$/,
    );
    for (const [, label] of line.matchAll(/[{,](\w+)="/g))
      t.ok(LABELS.has(label!), `label ${label}`);
  }

  t.ok(written.split('\n').length > 30, 'there was something to search');
  const secrets: Record<string, Uint8Array> = {
    'alice account': alice.account,
    'bob account': bob.account,
    'auth key': bob.auth.public,
    'identity key': bob.identity.public,
    'one-time key': prekeys.oneTime[0]!.public,
    'client id': clientId,
    'envelope bytes': marker,
    'start of the envelope': marker.subarray(0, 12),
    nonce: a.challenge!.nonce,
    'token id': token.put.id,
    token: token.secret,
    'what is kept of the token': token.put.verifier,
    'address of the inlet': inlet.put.id,
    'token of the inlet': inlet.secret,
    'sealed bytes': sealed.subarray(0, 12),
    'client id of a message to many': many.clientId,
    'message to many': many.message.subarray(80, 100),
    'blob id': blob.id,
    'blob name': provider.sha256(blob.id),
    'blob capability': blob.capability,
    'blob ticket': Buffer.from(blob.ticket, 'base64url'),
    'record id': recordId,
    'record capability': capability,
    'push handle': handle,
  };
  for (const [name, bytes] of Object.entries(secrets)) {
    for (const spelling of spellings(bytes)) {
      t.notOk(written.includes(spelling), `log: ${name}`);
      t.notOk(metrics.includes(spelling), `metrics: ${name}`);
    }
  }
  for (const text of [
    accountText(alice.account),
    accountText(bob.account),
    'in-the-log',
    'shared-with-the-gateway',
    '127.0.0.1',
    '::1',
    directory,
  ]) {
    t.notOk(written.includes(text), `log: ${text}`);
    t.notOk(metrics.includes(text), `metrics: ${text}`);
  }
  const allowed = new Set([
    'level',
    'time',
    'event',
    'code',
    'errorClass',
    'adapter',
    'count',
    'bytes',
    'ms',
    'port',
    'closeCode',
    'schema',
  ]);
  for (const line of written.trim().split('\n')) {
    for (const key of Object.keys(JSON.parse(line))) t.ok(allowed.has(key), `field ${key}`);
  }
});

/** Those of ours, and those of a process: kind of handle, space of the heap, version of Node. */
const LABELS = new Set(
  'code where outcome kind le type space version major minor patch quantile'.split(' '),
);

t.test('ATK-D08 what does not fit the list of fields is left out', async (t) => {
  let written = '';
  const log = createLog('trace', { write: (line) => (written += line) });
  log.write('error', 'REQUEST_FAULT', {
    code: '2001:db8::1',
    errorClass: 'a sentence with the name bob in it',
    account: '0011',
    count: Number.NaN,
    ms: 5,
  } as never);
  const { time, ...line } = JSON.parse(written);
  t.type(time, 'number');
  t.strictSame(line, { level: 50, event: 'REQUEST_FAULT', ms: 5 });
});
