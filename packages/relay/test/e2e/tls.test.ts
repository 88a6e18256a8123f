// 13 §8: TLS in both transports, certificates that are renewed, and what is believed of a proxy.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type SecureVersion } from 'node:tls';
import { createLog, type RelayError, type RelayOptions, startRelay } from '@qasid/relay';
import t, { type Test } from 'tap';
import WebSocket from 'ws';
import { watchCertificate } from '#src/transport/certificate.js';
import { chooseTransport } from '#src/transport/choose.js';
import { parseNetwork, plainAddress, trustProxies } from '#src/transport/peer-address.js';
import { HandClock } from '../support/bench-relay.js';
import { certificateFiles } from '../support/certificates.js';
import { newPerson, TestClient } from '../support/client.js';

t.setTimeout(120_000);

async function start(t: Test, options: RelayOptions) {
  const lines: string[] = [];
  const log = createLog('info', { write: (line) => lines.push(line) });
  const relay = await startRelay(
    { port: 0, store: 'memory', requirePadding: false, ...options },
    { log },
  );
  t.teardown(() => relay.close());
  return { relay, lines };
}

/** The serial number of the certificate a new connection gets. */
function serialAt(port: number, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: '127.0.0.1', ca }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber ?? '');
      socket.destroy();
    });
    socket.on('error', reject);
  });
}

function handshake(port: number, ca: string, maxVersion: SecureVersion): Promise<string> {
  return new Promise((resolve) => {
    // Old versions have to be allowed on our side before the other can refuse them.
    const options = { minVersion: 'TLSv1', maxVersion, ciphers: 'DEFAULT@SECLEVEL=0' } as const;
    const socket = connectTls({ port, host: '127.0.0.1', ca, ...options }, () => {
      resolve(socket.getProtocol() ?? '');
      socket.destroy();
    });
    socket.on('error', () => resolve('refused'));
  });
}

for (const transport of ['uws', 'ws'] as const) {
  t.test(`${transport}: letters over TLS, across a renewal`, async (t) => {
    const files = await certificateFiles(t);
    const { relay, lines } = await start(t, {
      tlsCert: files.tlsCert,
      tlsKey: files.tlsKey,
      transport,
    });
    t.match(relay.url, /^wss:\/\/127\.0\.0\.1:/);
    const [alice, bob] = [newPerson(), newPerson()];
    const a = await TestClient.connect(relay.url, { ca: files.ca });
    const b = await TestClient.connect(relay.url, { ca: files.ca });
    await a.registerAs(alice);
    await b.registerAs(bob);
    t.match(await a.send(bob, 'before'), { code: 'CONFIRMED' });
    const first = await serialAt(relay.port, files.ca);

    const renewed = await files.renew();
    await relay.reload();
    t.not(await serialAt(relay.port, renewed), first, 'new sockets get the new certificate');
    t.match(await a.send(bob, 'after'), { code: 'CONFIRMED' });
    await b.until(() => b.delivered.length === 2);
    t.strictSame(b.bodies(), ['before', 'after'], 'and those that were open go on');
    t.equal(lines.filter((line) => line.includes('"CERTIFICATE"')).length, 1);

    writeFileSync(files.tlsCert, 'half a certific');
    await relay.reload();
    t.match(lines.at(-1), /"code":"RELAY_TLS".*CERTIFICATE_REFUSED/);
    t.ok(await serialAt(relay.port, renewed), 'a renewal that failed changes nothing');
    t.match(await a.send(bob, 'still'), { code: 'CONFIRMED' });
    await Promise.all([a.close(), b.close()]);
  });

  t.test(`${transport}: nothing below TLS 1.2, and nothing in the clear`, async (t) => {
    const { tlsCert, tlsKey, ca } = await certificateFiles(t);
    const { relay } = await start(t, { tlsCert, tlsKey, transport });
    t.equal(await handshake(relay.port, ca, 'TLSv1'), 'refused');
    t.equal(await handshake(relay.port, ca, 'TLSv1.1'), 'refused');
    t.equal(await handshake(relay.port, ca, 'TLSv1.2'), 'TLSv1.2');
    t.equal(await handshake(relay.port, ca, 'TLSv1.3'), 'TLSv1.3');
    const answer = await new Promise<string>((resolve) => {
      const socket = connectTcp(relay.port, '127.0.0.1', () => {
        socket.write('GET /livez HTTP/1.1\r\nHost: x\r\n\r\n');
      });
      let text = '';
      socket.on('data', (chunk) => (text += chunk.toString('latin1')));
      socket.on('close', () => resolve(text));
      socket.on('error', () => resolve(text));
    });
    t.notMatch(answer, /200|ok/, 'plain HTTP gets no page');
  });

  t.test(`${transport}: X-Forwarded-For counts from a proxy only`, async (t) => {
    const quotas = { registrations: { burst: 1, perSecond: 0 } };
    const codesOf = async (options: RelayOptions, forwarded: readonly string[]) => {
      const { relay } = await start(t, {
        ...options,
        quotas,
        transport,
        registrationWork: 'off',
        iKnow: ['memory-store'],
      });
      const codes: string[] = [];
      for (const value of forwarded) {
        const headers = { 'X-Forwarded-For': value };
        const client = await TestClient.connect(relay.url, { headers });
        codes.push((await client.registerAs(newPerson())).code);
        client.kill();
      }
      return codes;
    };
    const ok = 'CONFIRMED';
    const no = 'RATE_LIMITED';
    const proxied = { trustProxy: true };
    const three = ['203.0.113.1', '198.51.100.1', '203.0.113.200'];
    t.strictSame(await codesOf(proxied, three), [ok, ok, no], 'a budget per /24 of the client');
    const forged = ['1.1.1.1, 203.0.113.1', '2.2.2.2, 203.0.113.1'];
    t.strictSame(await codesOf(proxied, forged), [ok, no], 'what the client wrote does not count');
    const elsewhere = { trustProxy: true, proxyAddresses: ['192.0.2.1'] };
    t.strictSame(await codesOf(elsewhere, three), [ok, no, no], 'not from anybody else');
  });
}

t.test('a renewed certificate is noticed within a minute, once', async (t) => {
  const files = await certificateFiles(t);
  const clock = new HandClock();
  let changes = 0;
  const paths = { certFile: files.tlsCert, keyFile: files.tlsKey };
  const stop = watchCertificate(paths, clock, () => changes++);
  await clock.pass(180_000);
  t.equal(changes, 0);
  await files.renew();
  await clock.pass(60_000);
  t.equal(changes, 1);
  await clock.pass(180_000);
  t.equal(changes, 1);
  rmSync(files.tlsKey);
  await clock.pass(60_000);
  t.equal(changes, 2, 'also when a file is gone: the reload says so');
  stop();
  await files.renew();
  await clock.pass(180_000);
  t.equal(changes, 2);
});

t.test('certificates that cannot be used are refused at the start', async (t) => {
  const [good, other] = [await certificateFiles(t), await certificateFiles(t)];
  const refuse = async (options: RelayOptions, message: RegExp) => {
    for (const transport of ['uws', 'ws'] as const) {
      const error = await startRelay({
        port: 0,
        store: 'memory',
        logLevel: 'silent',
        transport,
        ...options,
      }).then(
        () => undefined,
        (reason: RelayError) => reason,
      );
      t.equal(error?.code, 'RELAY_TLS');
      t.match(error?.message, message);
      t.ok(error?.hint);
    }
  };
  await refuse({ tlsCert: `${good.tlsCert}.none`, tlsKey: good.tlsKey }, /ENOENT/);
  await refuse({ tlsCert: good.tlsKey, tlsKey: good.tlsKey }, /cannot be read/);
  await refuse({ tlsCert: good.tlsCert, tlsKey: other.tlsKey }, /do not belong together/);
  chmodSync(good.tlsKey, 0o644);
  await refuse({ tlsCert: good.tlsCert, tlsKey: good.tlsKey }, /others can read the private key/);
});

t.test('who comes over IPv4 to an IPv6 listener has an IPv4 address', async (t) => {
  t.equal(plainAddress('0000:0000:0000:0000:0000:ffff:cb00:7107'), '203.0.113.7');
  t.equal(plainAddress('::ffff:203.0.113.7'), '203.0.113.7');
  for (const same of ['203.0.113.7', '2001:db8::1', '::1', '']) t.equal(plainAddress(same), same);
  for (const wanted of ['uws', 'ws'] as const) {
    const { transport } = await chooseTransport(wanted);
    const seen: string[] = [];
    const listening = await transport.listen(
      {
        host: '::',
        port: 0,
        frameBytesMax: 1_000,
        bufferBytesMax: 10_000,
        tls: undefined,
        addressOf: (peer) => plainAddress(peer),
      },
      {
        get: () => ({ status: 404, body: '' }),
        exchange: nothing,
        open: (_, address) => {
          seen.push(address);
          return { message: nothing, text: nothing, drained: nothing, closed: nothing };
        },
      },
    );
    const socket = new WebSocket(`ws://127.0.0.1:${listening.port}/`, 'qasid.v1');
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
    t.strictSame(seen, ['127.0.0.1'], wanted);
    socket.terminate();
    await listening.close();
  }
});

const nothing = (): void => undefined;

t.test('addresses behind proxies', async (t) => {
  const of = trustProxies(['10.0.0.0/8', '::1', 'fd00::/8']);
  t.equal(of('10.1.2.3', '203.0.113.7'), '203.0.113.7');
  t.equal(of('::ffff:10.1.2.3', '203.0.113.7'), '203.0.113.7');
  t.equal(of('0000:0000:0000:0000:0000:ffff:0a01:0203', '203.0.113.7'), '203.0.113.7');
  t.equal(of('0000:0000:0000:0000:0000:0000:0000:0001', '2001:db8::1'), '2001:db8::1');
  t.equal(of('fd00::9', '8.8.8.8, 203.0.113.7, 10.9.9.9'), '203.0.113.7');
  t.equal(of('203.0.113.9', '1.1.1.1'), '203.0.113.9');
  t.equal(of('10.1.2.3', ''), '10.1.2.3');
  t.equal(of('10.1.2.3', 'unknown'), '10.1.2.3');
  t.equal(of('10.1.2.3', 'evil, 10.4.4.4'), '10.4.4.4');
  for (const wrong of ['', 'x', '10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '::1/129', '1.2.3/8']) {
    t.equal(parseNetwork(wrong), undefined, wrong);
  }
});
