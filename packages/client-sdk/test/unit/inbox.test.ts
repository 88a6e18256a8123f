// The order of things when an envelope arrives, with everything around the inbox replaced.
import { StateError, StoreError, defaultCrypto, type Operations } from '@qasid/protocol';
import { encodeEnvelope, parseAccountText, type RequestOp } from '@qasid/protocol/envelope';
import { MemoryStore, type ClientExtra } from '@qasid/client-sdk';
import t from 'tap';

import { systemClock } from '../../dist/clock.js';
import { encodeContent, padContent } from '../../dist/content/index.js';
import type { Directory } from '../../dist/directory.js';
import { Inbox } from '../../dist/inbox.js';
import type { Repairs } from '../../dist/repair/repairs.js';
import { ACCOUNT, bytes, CONTACT, OTHER, publicKey } from '../support/rows.js';

const body = encodeEnvelope({
  type: 2,
  senderAccount: parseAccountText(OTHER),
  senderDevice: 1,
  message: bytes(100, 1),
});

/** An inbox whose sessions open anything, and a log of what it did. */
function workshop(decrypt?: () => void) {
  let messages = 0;
  const log: string[] = [];
  const store = new MemoryStore();
  const acks: number[] = [];
  const troubles: unknown[] = [];
  const operations = {
    async decrypt(_: unknown, __: unknown, message: unknown, ___: unknown, extra: never) {
      decrypt?.();
      const content = encodeContent({
        // Each opening gives another message, as each message of a sender has an id of its own.
        id: bytes(16, ++messages),
        sentAtMs: 1,
        body: { kind: 'text', text: 'hello' },
      });
      const opened = {
        plaintext: padContent(content),
        remoteIdentity: publicKey(1),
        newSession: false,
        firstUse: false,
      };
      await store.commit({
        extra: await (extra as unknown as (o: typeof opened) => Promise<ClientExtra>)(opened),
      });
      log.push('stored');
      return message;
    },
  } as unknown as Operations<ClientExtra>;
  const inbox = new Inbox({
    store,
    clock: systemClock,
    crypto: defaultCrypto,
    operations,
    directory: {} as Directory,
    repairs: { failed: async () => ({}), opened: async () => undefined } as unknown as Repairs,
    self: { account: ACCOUNT, device: 1 },
    onOpened: () => undefined,
    tell(op: RequestOp) {
      if (op.kind === 'ack') {
        log.push('acknowledged');
        acks.push(op.through);
      }
      return true;
    },
    onHeld: () => undefined,
    groups: { keepSignal: async () => undefined, open: async () => undefined },
    onTrouble: (error) => troubles.push(error),
  });
  const deliver = (seq: number, fill: number): void =>
    inbox.deliver({
      kind: 'deliver',
      seq,
      clientId: bytes(16, fill),
      body,
      minute: 0,
      attempt: 0,
    });
  return { store, inbox, deliver, log, acks, troubles };
}

t.test('stored first, acknowledged afterwards', async (t) => {
  const { store, inbox, deliver, log, acks } = workshop();
  await store.commit({ extra: { contacts: [CONTACT] } });
  deliver(7, 1);
  await inbox.settled();
  t.strictSame(log, ['stored', 'acknowledged']);
  t.strictSame(acks, [7]);
});

t.test('ATK-C01 a client id is shown once, whatever the session says', async (t) => {
  const { store, inbox, deliver, log, acks } = workshop();
  await store.commit({ extra: { contacts: [CONTACT] } });
  deliver(1, 1);
  await inbox.settled();
  deliver(2, 1);
  await inbox.settled();
  t.equal((await store.loadMessages({})).length, 1);
  t.equal(log.filter((entry) => entry === 'stored').length, 1);
  t.strictSame(acks, [1, 2], 'the repeat is acknowledged');
});

t.test('acknowledged in batches, the last one at once', async (t) => {
  const { store, inbox, deliver, acks } = workshop();
  await store.commit({ extra: { contacts: [CONTACT] } });
  for (let seq = 1; seq <= 150; seq++) deliver(seq, seq);
  await inbox.settled();
  t.equal(acks.at(-1), 150);
  t.ok(acks.includes(64) && acks.includes(128), `${acks}`);
  t.ok(acks.length <= 6, 'not one by one');
});

t.test(
  'a store that fails: no acknowledgement, and the rest of the queue is dropped',
  async (t) => {
    let broken = true;
    const { store, inbox, deliver, acks, troubles } = workshop(() => {
      if (broken) throw new StoreError('STORE_FULL', 'no space left');
    });
    await store.commit({ extra: { contacts: [CONTACT] } });
    deliver(1, 1);
    deliver(2, 2);
    await inbox.settled();
    t.strictSame(acks, []);
    t.equal(troubles.length, 1);
    broken = false;
    // The relay delivers again on the next connection.
    deliver(1, 1);
    deliver(2, 2);
    await inbox.settled();
    t.equal((await store.loadMessages({})).length, 2);
    t.equal(acks.at(-1), 2);
  },
);

t.test('what cannot be opened is recorded once and does not come back', async (t) => {
  let opened = 0;
  const { store, inbox, deliver, acks } = workshop(() => {
    opened++;
    throw new StateError('STATE_NO_SESSION', 'no session');
  });
  await store.commit({ extra: { contacts: [CONTACT] } });
  for (const seq of [1, 2, 3]) {
    deliver(seq, 9);
    await inbox.settled();
  }
  t.equal(opened, 1, 'no loop');
  const rows = await store.loadMessages({});
  t.strictSame(
    rows.map(({ kind, cause }) => [kind, cause]),
    [['undecryptable', 'STATE_NO_SESSION']],
  );
  t.strictSame(acks, [1, 2, 3]);
});
