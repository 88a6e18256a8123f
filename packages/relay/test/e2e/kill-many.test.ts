// kill -9 while messages to many are stored: each of them is in every mailbox or in none, and the repeat
// brings it to everybody, once.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { provider } from '@qasid/protocol/crypto/node';
import { type SendManyRequest, toHex } from '@qasid/protocol/envelope';
import t from 'tap';
import { newPerson, TestClient } from '../support/client.js';
import { type RelayProcess, startProcess } from '../support/relay-process.js';
import { entryFor, manyOp, newGrant } from '../support/sealed.js';

const KILLS = 4;
const MEMBERS = 12;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

t.test(`ATK-I09 ${KILLS} kills under messages to many`, { timeout: 180_000 }, async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'qasid-many-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  let relay: RelayProcess = await startProcess(directory);
  const port = Number(new URL(relay.url).port);
  const group = Array.from({ length: MEMBERS }, () => ({ person: newPerson(), grant: newGrant() }));
  for (const { person, grant } of group) {
    const client = await TestClient.register(relay.url, person);
    t.equal((await client.ask(grant.put)).code, 'CONFIRMED');
    await client.close();
  }
  const requests: SendManyRequest[] = [];
  const confirmed = new Set<SendManyRequest>();
  /** The marker of a request: its shared bytes, which every view ends with. */
  const markerOf = ({ message }: SendManyRequest): string => toHex(message.subarray(-32));
  const newRequest = (): SendManyRequest => {
    const entries = group.map(({ person }) => entryFor(person));
    const op = manyOp(
      entries,
      group.map(({ grant }) => grant.credential),
    );
    op.message.set(provider.randomBytes(463), op.message.length - 463);
    requests.push(op);
    return op;
  };
  /** What waits in each mailbox, by marker; nothing is acknowledged. */
  const waiting = async (): Promise<Map<string, number>[]> => {
    const all: Map<string, number>[] = [];
    for (const { person } of group) {
      const client = await TestClient.login(relay.url, person);
      await client.until(() => client.events.some(({ kind }) => kind === 'queueEmpty'), 60_000);
      const counts = new Map<string, number>();
      for (const { body } of client.delivered) {
        const marker = toHex(body.subarray(-32));
        counts.set(marker, (counts.get(marker) ?? 0) + 1);
      }
      all.push(counts);
      await client.close();
    }
    return all;
  };

  for (let kill = 0; kill < KILLS; kill++) {
    let isOver = false;
    const senders = [0, 1].map(async () => {
      const nobody = await TestClient.anonymous(relay.url);
      // Nothing is acknowledged here, so all of it must fit into one window of 256.
      while (!isOver && requests.length < (240 / KILLS) * (kill + 1)) {
        await pause(3);
        const op = newRequest();
        const answer = await nobody.ask(op).catch(() => undefined);
        if (answer === undefined) return;
        if (answer.code === 'CONFIRMED') confirmed.add(op);
      }
    });
    await pause(100 + 60 * kill);
    await relay.kill();
    isOver = true;
    await Promise.all(senders);
    relay = await startProcess(directory, { port });
    const boxes = await waiting();
    for (const op of requests) {
      const counts = new Set(boxes.map((box) => box.get(markerOf(op)) ?? 0));
      if (counts.size !== 1) t.fail('a message is in some mailboxes and not in others');
      if (confirmed.has(op) && !counts.has(1)) t.fail('a confirmed message is not there once');
    }
    const nobody = await TestClient.anonymous(relay.url);
    for (const op of requests) {
      if (confirmed.has(op)) continue;
      t.equal((await nobody.ask(op)).code, 'CONFIRMED', 'the repeat of what was not confirmed');
      confirmed.add(op);
    }
    await nobody.close();
  }
  const boxes = await waiting();
  for (const box of boxes) {
    t.strictSame(
      [...box.values()].filter((count) => count !== 1),
      [],
      'each once',
    );
    t.equal(box.size, requests.length, `all ${requests.length} of them`);
  }
  t.equal(await relay.stop(), 0);
});
