// What could not be opened comes again by itself; and who makes that happen on purpose gains nothing.
import { MemoryStore, type Gap, type Recovered, type Undecryptable } from '@qasid/client-sdk';
import {
  deliveryOf,
  redelivered,
  TestWorld,
  type Lies,
  type TestClientOptions,
} from '@qasid/client-sdk/testing';
import {
  decodeDecryptionError,
  decodePlaintextContent,
  decodeSessionRecord,
  decryptionErrorOfBody,
  defaultCrypto as crypto,
  openUnvalidated,
  toAddress,
} from '@qasid/protocol';
import { decodeEnvelope, encodeEnvelope, type RequestOp } from '@qasid/protocol/envelope';
import t from 'tap';

import { decodeRepairRequest, type RepairRequest } from '../../dist/repair/wire.js';

t.setTimeout(120_000);

const HOUR_MS = 60 * 60_000;

/** Places of messages that could not be opened: the history does not show them. */
async function placeHolders(store: MemoryStore): Promise<number> {
  const rows = await store.loadMessages({});
  return rows.filter(({ kind }) => kind === 'undecryptable').length;
}

async function acquainted(options: { alice?: TestClientOptions; bob?: TestClientOptions } = {}) {
  const world = await TestWorld.create();
  const alice = await world.client('alice', options.alice);
  const bob = await world.client('bob', options.bob);
  const registered = Promise.all([
    alice.register({ username: 'alice' }),
    bob.register({ username: 'bob' }),
  ]);
  await world.clock.advance(5_000);
  await registered;
  const seen: string[] = [];
  bob.on('message', ({ text }) => seen.push(text));
  alice.on('message', ({ text }) => seen.push(text));
  for (const [from, to] of [
    [alice, 'bob'],
    [bob, 'alice'],
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    const before = seen.length;
    void from.send(to, 'hello');
    await world.clock.until(() => seen.length > before);
  }
  seen.length = 0;
  return { world, alice, bob, seen };
}

/** A liar that damages what `damage` picks; it must be named, for a sealed message hides what to damage. */
function damaging(damage: (body: Uint8Array) => Uint8Array<ArrayBuffer> | undefined): Lies {
  return {
    toClient: (item) => {
      const event = deliveryOf(item);
      const body = event && event.body[0] !== 0x22 ? damage(event.body) : undefined;
      return event === undefined || body === undefined ? [item] : [redelivered(event, { body })];
    },
  };
}

function flipped(body: Uint8Array, at: number): Uint8Array<ArrayBuffer> {
  const envelope = decodeEnvelope(body);
  const message = Uint8Array.from(envelope.message);
  const index = at < 0 ? message.length + at : at;
  message[index] = message[index]! ^ 1;
  return encodeEnvelope({ ...envelope, message }, [512, 1_024, 2_048, 4_096]);
}

t.test('a damaged message comes again, in its place, under its id', async (t) => {
  let left = 0;
  const store = new MemoryStore();
  const lies = damaging((body) => (left-- > 0 ? flipped(body, -1) : undefined));
  const { world, alice, bob, seen } = await acquainted({
    alice: { sealed: 'never' },
    bob: { lies, store },
  });
  const failures: Undecryptable[] = [];
  const recovered: Recovered[] = [];
  const gaps: Gap[] = [];
  bob.on('undecryptable', (failure) => failures.push(failure));
  bob.on('recovered', (one) => recovered.push(one));
  bob.on('gap', (gap) => gaps.push(gap));
  left = 2;
  const first = await alice.send('bob', 'one');
  await alice.send('bob', 'two');
  await world.clock.until(() => failures.length === 2);
  t.equal(await placeHolders(store), 2);
  t.match(failures[1], { cause: 'VERIFY_DECRYPTION', causeClass: 'forged', count: 2 });
  await alice.send('bob', 'three');
  t.ok(await world.clock.until(() => recovered.length === 2, 60_000), 'nobody did anything');
  t.strictSame([...seen].sort(), ['one', 'three', 'two']);
  t.match(recovered[0], { account: alice.me.account, device: 1, seq: failures[0]!.seq });
  const chat = await bob.conversation(alice.me.account!);
  const shown = (await chat.messages({ limit: 3 })).map(({ text }) => text);
  t.strictSame(shown, ['one', 'two', 'three'], 'where they belong');
  t.equal((await chat.messages({ limit: 3 }))[0]?.id, first.id);
  t.equal(await placeHolders(store), 0, 'the place holders are gone');
  t.notOk(gaps.some(({ cause }) => cause === 'forked'));
  void alice.send('bob', 'four');
  await world.clock.until(() => seen.length === 4);
  await Promise.all([alice.close(), bob.close()]);
});

t.test('a store that lost its sessions gets what was sent in them, sealed', async (t) => {
  const store = new MemoryStore();
  const { world, alice, bob, seen } = await acquainted({ bob: { store } });
  const account = alice.me.account!;
  await bob.close();
  const remote = toAddress(account, 1);
  const { version } = (await store.loadSession(remote))!;
  await store.commit({
    sessions: [{ address: remote, record: undefined, expectedVersion: version }],
  });
  const again = await world.client('bob', { store });
  const recovered: Recovered[] = [];
  again.on('message', ({ text }) => seen.push(text));
  again.on('recovered', (one) => recovered.push(one));
  void alice.send('bob', 'are you there?');
  t.ok(await world.clock.until(() => recovered.length === 1, 60_000));
  t.strictSame(seen, ['are you there?']);
  await Promise.all([alice.close(), again.close()]);
});

t.test(
  'ATK-C06 a relay that damages everything: one repair an hour, never without PQ',
  async (t) => {
    const aliceStore = new MemoryStore();
    const bobStore = new MemoryStore();
    let evil = false;
    const lies = damaging((body) => (evil ? flipped(body, -1) : undefined));
    const asked: RequestOp[] = [];
    const { world, alice, bob, seen } = await acquainted({
      alice: {
        sealed: 'never',
        store: aliceStore,
        lies: {
          toRelay: (item) => {
            if (item.op.kind === 'takePrekeys') asked.push(item.op);
            return [item];
          },
        },
      },
      bob: { lies, store: bobStore },
    });
    asked.length = 0;
    let stuck = 0;
    bob.on('repair-stuck', () => stuck++);
    alice.on('undecryptable', () => t.fail('requests can be opened'));
    evil = true;
    for (let minute = 0; minute < 180; minute++) {
      void alice.send('bob', `${minute}`);
      await world.clock.advance(60_000);
    }
    t.ok(asked.length >= 1 && asked.length <= 4, `${asked.length} new sessions in three hours`);
    t.ok(stuck > 0, 'a person is told');
    t.strictSame(seen, [], 'nothing was shown');
    evil = false;
    void alice.send('bob', 'the relay is honest again');
    t.ok(await world.clock.until(() => seen.includes('the relay is honest again'), 2 * HOUR_MS));
    const record = await bobStore.loadSession(toAddress(alice.me.account!, 1));
    t.ok(record);
    t.notOk(
      decodeSessionRecord(record!.record).current!.spqr.isOff,
      'the post-quantum half is there',
    );
    await Promise.all([alice.close(), bob.close()]);
  },
);

t.test('ATK-C14 a request says what failed, not why: the same bytes for every cause', async (t) => {
  const requests: RepairRequest[] = [];
  const lengths: number[] = [];
  for (const cause of ['mac', 'counter', 'session'] as const) {
    const [aliceStore, store] = [new MemoryStore(), new MemoryStore()];
    let evil = false;
    // The last byte is in the MAC; byte 37 holds the counter, after version and ratchet key.
    const lies = damaging((body) =>
      evil && cause !== 'session' ? flipped(body, cause === 'mac' ? -1 : 37) : undefined,
    );
    const caught: Uint8Array[] = [];
    lies.toRelay = (item) => {
      const { op } = item;
      if (op.kind === 'send') {
        for (const { body } of op.parts) if (evil && body[0] === 0x22) caught.push(body.slice());
      }
      return [item];
    };
    const { world, alice, bob } = await acquainted({
      alice: { sealed: 'never', store: aliceStore },
      bob: { lies, store, sealed: 'never' },
    });
    let reader = bob;
    if (cause === 'session') {
      await bob.close();
      const remote = toAddress(alice.me.account!, 1);
      const { version } = (await store.loadSession(remote))!;
      await store.commit({
        sessions: [{ address: remote, record: undefined, expectedVersion: version }],
      });
      reader = await world.client('bob', { store, lies, sealed: 'never' });
      await world.clock.advance(1_000);
    }
    evil = true;
    void alice.send('bob', 'x');
    t.ok(await world.clock.until(() => caught.length > 0, 60_000), cause);
    const { identity } = (await aliceStore.loadProfile())!;
    const { type, content } = openUnvalidated(crypto, identity, caught[0]!);
    t.equal(type, 8);
    const request = decodeRepairRequest(content);
    requests.push(request);
    const error = decodeDecryptionError(decryptionErrorOfBody(decodePlaintextContent(content)));
    t.strictSame(
      { ...error, ratchetKey: undefined },
      { timestampMs: 0, deviceId: 1, ratchetKey: undefined },
    );
    lengths.push(content.length);
    t.equal(caught[0]!.length, 1_024);
    await Promise.all([alice.close(), reader.close()]);
  }
  const bare = requests.map(({ nonce: _, failed, ratchetKey, ...rest }) => ({
    ...rest,
    failed: failed.length,
    ratchetKey: ratchetKey?.length,
  }));
  t.strictSame(bare[1], bare[0]);
  t.strictSame(bare[2], bare[0]);
  t.equal(new Set(lengths).size, 1);
});

t.test('what its author has deleted does not come again, and is asked for once', async (t) => {
  let left = 0;
  const store = new MemoryStore();
  const asked: RequestOp[] = [];
  const lies = damaging((body) => (left-- > 0 ? flipped(body, -1) : undefined));
  lies.toRelay = (item) => {
    if (item.op.kind === 'send' && counting) asked.push(item.op);
    return [item];
  };
  let counting = false;
  const { world, alice, bob, seen } = await acquainted({
    alice: { sealed: 'never' },
    bob: { lies, store },
  });
  const failures: Undecryptable[] = [];
  bob.on('undecryptable', (failure) => failures.push(failure));
  await world.clock.advance(5 * 60_000);
  left = 2;
  counting = true;
  const first = await alice.send('bob', 'one');
  await alice.send('bob', 'two');
  await world.clock.until(() => failures.length === 2);
  const chat = await alice.conversation('bob');
  await chat.remove({ id: first.id, sender: { account: alice.me.account! } });
  void alice.send('bob', 'three');
  t.ok(await world.clock.until(() => seen.length === 2, 60_000));
  t.strictSame([...seen].sort(), ['three', 'two'], 'what is still there came again');
  const before = asked.length;
  await chat.clear();
  await world.clock.advance(3 * HOUR_MS);
  t.strictSame([...seen].sort(), ['three', 'two']);
  t.ok(asked.length - before <= 1, `${asked.length - before} more sends: a receipt at most`);
  t.match(
    await (await bob.conversation(alice.me.account!)).gaps(),
    [{ cause: 'missing', from: 3, to: 3 }],
    'the loss is known',
  );
  t.equal(await placeHolders(store), 1, 'and its place is kept');
  const [last] = await (await bob.conversation(alice.me.account!)).messages({ limit: 1 });
  await (await bob.conversation(alice.me.account!)).remove(last!);
  t.equal((await store.loadRecords('gone')).length, 1, 'what bob removes is noted');
  void alice.send('bob', 'four');
  t.ok(await world.clock.until(() => seen.includes('four'), 60_000));
  await Promise.all([alice.close(), bob.close()]);
});
