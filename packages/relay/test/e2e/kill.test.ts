// kill -9 under load. Checked: what was confirmed is delivered, order per mailbox, no prekey twice, no
// number twice. QASID_KILL_ROUNDS sets the number of kills (250 in `npm run test:nightly`).
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { toHex } from '@qasid/protocol/envelope';
import { verifyRelay } from '@qasid/relay';
import t from 'tap';
import { Checker, inWords } from '../support/checker.js';
import { fakePrekeys, newPerson, type Person, TestClient } from '../support/client.js';
import { type RelayProcess, startProcess } from '../support/relay-process.js';

const ROUNDS = Number(process.env.QASID_KILL_ROUNDS ?? 10);
const SENDERS = 3;
const READERS = 2;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

interface Reader {
  readonly person: Person;
  readonly name: string;
}

for (const eagerPush of [false, true]) {
  const name = `ATK-I13 ${ROUNDS} kills under load${eagerPush ? ', eager push' : ''}`;
  t.test(name, { timeout: 120_000 + ROUNDS * 20_000 }, async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'qasid-kill-'));
    t.teardown(() => rmSync(directory, { recursive: true, force: true }));
    const senders = Array.from({ length: SENDERS }, newPerson);
    const readers: Reader[] = Array.from({ length: READERS }, (_, index) => ({
      person: newPerson(),
      name: `mailbox ${index}`,
    }));
    const target = newPerson();
    const book = new Checker();
    let order = 0;
    let relay: RelayProcess = await startProcess(directory, { eagerPush });
    const port = Number(new URL(relay.url).port);

    for (const person of [...senders, ...readers.map((reader) => reader.person)]) {
      await (await TestClient.register(relay.url, person)).close();
    }
    await (await TestClient.register(relay.url, target, { prekeys: fakePrekeys(100) })).close();

    /** Send one message until it is confirmed, however often the relay dies meanwhile. */
    const pending = new Map<
      Person,
      { id: Uint8Array<ArrayBuffer>; reader: Reader; text: string }
    >();

    const runSender = async (person: Person, isOver: () => boolean): Promise<void> => {
      const client = await TestClient.login(relay.url, person);
      let sent = 0;
      while (!isOver()) {
        const next = pending.get(person) ?? {
          id: provider.randomBytes(16),
          reader: readers[order % READERS]!,
          text: `${senders.indexOf(person)} ${order++}`,
        };
        pending.set(person, next);
        book.attempted(toHex(next.id));
        const { code } = await client.send(next.reader.person, next.text, next.id);
        if (code === 'CONFIRMED') {
          book.confirmed(toHex(next.id));
          pending.delete(person);
        }
        if (++sent % 10 === 0) {
          const answer = await client.ask({
            kind: 'takePrekeys',
            account: target.account,
            devices: [],
          });
          const bundle = answer.body.kind === 'bundles' ? answer.body.bundles[0] : undefined;
          if (bundle?.oneTime !== undefined) book.prekey('target', 'curve', bundle.oneTime.id);
          if (bundle?.kemLastResort === false) book.prekey('target', 'kem', bundle.kem.id);
        }
      }
      await client.close();
    };

    /** More for the takers, or most of a long run would hand out nothing. */
    let nextPrekey = 101;
    const refill = async (isOver: () => boolean): Promise<void> => {
      const client = await TestClient.login(relay.url, target);
      const { body } = await client.ask({ kind: 'prekeyCount' });
      if (body.kind !== 'prekeyCounts' || body.oneTime > 50 || isOver()) return client.kill();
      const { oneTime, kem } = fakePrekeys(50, nextPrekey);
      // Whether or not the answer comes: no id is used for two keys.
      nextPrekey += 50;
      await client.ask({ kind: 'putPrekeys', prekeys: { oneTime, kem } });
      client.kill();
    };

    const runReader = async (reader: Reader, isOver: () => boolean): Promise<void> => {
      const client = await TestClient.login(relay.url, reader.person);
      let at = 0;
      let last = 0;
      while (!isOver() || at < client.delivered.length) {
        if (client.closeCode !== undefined) throw new Error('closed');
        for (; at < client.delivered.length; at++) {
          const { seq, clientId } = client.delivered[at]!;
          if (seq <= last) t.fail(`number ${seq} after ${last} on one socket`);
          last = seq;
          book.delivered(reader.name, toHex(clientId), seq);
        }
        // Acknowledge now and then, never the latest: something always comes again.
        if (at > 3 && Math.random() < 0.3) client.ack(client.delivered[at - 3]!.seq);
        await pause(3);
      }
      await client.close();
    };

    for (let round = 0; round < ROUNDS; round++) {
      let isOver = false;
      const running = [
        ...senders.map((person) => runSender(person, () => isOver)),
        ...readers.map((reader) => runReader(reader, () => isOver)),
        refill(() => isOver),
      ].map((run) => run.catch(() => undefined));
      await pause(40 + Math.random() * 250);
      await relay.kill();
      isOver = true;
      await Promise.all(running);
      const storeThread = round % 2 === 0 ? 'worker' : 'main';
      relay = await startProcess(directory, { port, storeThread, eagerPush });
    }
    // A last quiet round: everything that waits is read and acknowledged.
    for (const reader of readers) {
      const client = await TestClient.login(relay.url, reader.person);
      // Acknowledged as it comes, or the window would close before the end.
      client.autoAck = true;
      const first = client.delivered.at(-1)?.seq;
      if (first !== undefined) client.ack(first);
      await client.until(() => client.events.some(({ kind }) => kind === 'queueEmpty'));
      for (const { clientId, seq } of client.delivered) {
        book.delivered(reader.name, toHex(clientId), seq);
      }
      const last = client.delivered.at(-1)?.seq;
      if (last !== undefined) client.ack(last);
      await client.ask({ kind: 'ping' });
      await client.close();
    }
    t.equal(await relay.stop(), 0, 'SIGTERM ends it cleanly');
    t.equal(verifyRelay(directory).envelopes, 0, 'nothing is left');
    const verdict = book.verdict();
    t.strictSame(verdict.problems, []);
    t.ok(verdict.confirmed > ROUNDS, `${verdict.confirmed} confirmed in ${ROUNDS} rounds`);
    t.ok(verdict.prekeys > ROUNDS / 10, `${verdict.prekeys} prekeys handed out`);
    t.comment(`numbers: ${ROUNDS} kills${eagerPush ? ', eager push' : ''}, ${inWords(verdict)}`);
  });
}
