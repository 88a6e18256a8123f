// A relay that replays, forges, substitutes and rolls back. Each test names the row of the attack catalogue.
import { defaultCrypto } from '@qasid/protocol';
import {
  decodeDeviceList,
  parseAccountText,
  signDeviceList,
  type Item,
} from '@qasid/protocol/envelope';
import { MemoryStore, type IdentityChange } from '@qasid/client-sdk';
import t from 'tap';

import { encodeContent } from '../../dist/content/index.js';
import {
  answersFrom,
  delivery,
  evilDial,
  Impostor,
  redeliver,
  rewrite,
  type Lies,
} from '../support/evil.js';
import { Inbox, person, testClient, testRelay, until } from '../support/world.js';

t.setTimeout(120_000);

t.test('ATK-C01 every delivery 100 times, under old and new ids, across restarts', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const store = new MemoryStore();
  let shown = 0;
  const seen: Item[] = [];
  const lies: Lies = {
    toClient(item) {
      const event = delivery(item);
      if (event === undefined) return [item];
      const copies = Array.from({ length: 100 }, (_, index) =>
        redeliver(event, {
          attempt: index,
          // Every other copy comes under an id of its own: the relay chooses ids as it likes.
          ...(index % 2 === 1 && { clientId: crypto.getRandomValues(new Uint8Array(16)) }),
        }),
      );
      seen.push(...copies);
      return copies;
    },
  };
  const bob = await person(t, relay, 'bob', { store, socket: evilDial(lies) });
  const failures: string[] = [];
  const listen = (client: typeof bob): void => {
    client.on('message', () => shown++);
    client.on('undecryptable', ({ cause }) => failures.push(cause));
  };
  listen(bob);
  for (const text of ['1', '2', '3']) await (await alice.send('bob', text)).confirmed;
  await (await bob.send('alice', 'answer')).confirmed;
  for (const text of ['4', '5', '6']) await (await alice.send('bob', text)).confirmed;
  await until(() => shown >= 6);
  await bob.close();
  // After a restart everything ever delivered comes once more.
  lies.toClient = (item) =>
    item.kind === 'event' && item.event.kind === 'queueEmpty' ? [...seen, item] : [item];
  const again = await testClient(t, relay, { store, socket: evilDial(lies) });
  listen(again);
  await again.caughtUp({ timeoutMs: 30_000 });
  t.equal(seen.length, 600);
  t.strictSame(
    (await again.history()).filter((m) => m.direction === 'received').map(({ text }) => text),
    ['1', '2', '3', '4', '5', '6'],
  );
  t.equal(shown, 6, 'each was shown once');
  t.strictSame(failures, [], 'a repeat is no failure');
  await (await alice.send('bob', '7')).confirmed;
  await until(() => shown === 7);
});

t.test(
  'ATK-B07 ATK-I04 a corrupted message neither spends the keys of the right one nor blocks it',
  async (t) => {
    const relay = await testRelay(t);
    const alice = await person(t, relay, 'alice');
    for (const sameId of [true, false]) {
      let held: Item | undefined;
      let sends = 0;
      const lies: Lies = {
        toClient(item) {
          const event = delivery(item);
          if (event === undefined || held !== undefined) return [item];
          held = sameId ? item : redeliver(event, { clientId: new Uint8Array(16).fill(7) });
          const body = Uint8Array.from(event.body);
          body[400] = (body[400] ?? 0) ^ 1;
          return [redeliver(event, { body }), redeliver(event, { body }), held];
        },
        toRelay(item) {
          if (item.op.kind === 'send') sends++;
          return [item];
        },
      };
      const name = sameId ? 'bob' : 'bill';
      const bob = await person(t, relay, name, { socket: evilDial(lies) });
      const sees = new Inbox(bob);
      const failures: string[] = [];
      bob.on('undecryptable', ({ cause }) => failures.push(cause));
      await (await alice.send(name, 'salaam')).confirmed;
      await sees.reach(1);
      t.strictSame(sees.texts, ['salaam'], 'the right one opens');
      t.equal(sends, 0, 'by itself: nobody had to send it again');
      t.equal(failures.length, 1, 'the corrupt one is recorded once, not in a loop');
      await (await alice.send(name, 'again')).confirmed;
      await sees.reach(2);
    }
  },
);

t.test('a relay that delivers without end does not fill the memory', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const lies: Lies = {
    toClient(item) {
      const event = delivery(item);
      if (event === undefined) return [item];
      return Array.from({ length: 6_000 }, (_, index) => redeliver(event, { seq: index + 1 }));
    },
  };
  const bob = await person(t, relay, 'bob', { socket: evilDial(lies) });
  const troubles: unknown[] = [];
  bob.on('trouble', (error) => troubles.push('code' in error && error.code));
  await (await alice.send('bob', 'x')).confirmed;
  await until(() => troubles.includes('NET_NOT_A_RELAY'));
  t.equal(bob.status, 'offline', 'it stays away for a while');
});

t.test('ATK-J06 logs and errors name nobody and nothing', async (t) => {
  const relay = await testRelay(t);
  const lines: string[] = [];
  const TEXT = 'zaffre-marker-5512';
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice-zaffre', {
    socket: evilDial(lies),
    log: (line) => lines.push(JSON.stringify(line)),
  });
  const bob = await person(t, relay, 'bob-zaffre', {
    log: (line) => lines.push(JSON.stringify(line)),
  });
  const told = (error: unknown): void => {
    for (let at = error; at instanceof Error; at = at.cause) lines.push(`${at.name} ${at.message}`);
  };
  for (const client of [alice, bob]) {
    client.on('trouble', told);
    client.on('failed', ({ error }) => told(error));
  }
  await (await alice.send('bob-zaffre', TEXT)).confirmed;
  await alice.send('nobody-zaffre', TEXT).catch(told);
  lies.toClient = answersFrom(new Impostor(), bob.me.account!);
  lies.toClient = (item, asked) =>
    item.kind === 'response' && asked?.kind === 'send'
      ? [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }]
      : answersFrom(new Impostor(), bob.me.account!)(item, asked);
  await (await alice.send('bob-zaffre', TEXT)).confirmed.catch(told);
  await alice.send('bob-zaffre', TEXT).catch(told);
  t.ok(lines.length > 5, `${lines.length} lines`);
  const names = ['zaffre', bob.me.account!, alice.me.account!];
  t.strictSame(
    lines.filter((line) => names.some((name) => line.includes(name))),
    [],
  );
});

t.test('ATK-G01 a device that the account did not sign gets nothing', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const bobSees = new Inbox(bob);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const sentTo = new Set<number>();
  lies.toRelay = (item) => {
    if (item.op.kind === 'send') for (const { device } of item.op.parts) sentTo.add(device);
    return [item];
  };
  const impostor = new Impostor();
  const bobId = parseAccountText(bob.me.account!);
  // Bundles of a ninth device, well signed by nobody we know.
  lies.toClient = (item) => {
    if (item.kind !== 'response' || item.body.kind !== 'bundles') return [item];
    const forged = impostor.forge(bobId, item.body);
    if (forged.kind !== 'bundles') return [item];
    const extra = forged.bundles.map((bundle) => ({ ...bundle, device: 9 }));
    return [{ ...item, body: { ...item.body, bundles: [...item.body.bundles, ...extra] } }];
  };
  await (await alice.send('bob', 'one')).confirmed;
  await bobSees.reach(1);
  // "You forgot device 9."
  lies.toClient = (item, asked) =>
    item.kind === 'response' && asked?.kind === 'send'
      ? [
          {
            ...item,
            code: 'DEVICES_MISMATCH',
            body: { kind: 'mismatch', missing: [9], extra: [] },
          },
        ]
      : [item];
  const sent = await alice.send('bob', 'two');
  await t.rejects(sent.confirmed, { code: 'NET_REFUSED' }, 'a few rounds, then it is said');
  // The next version of the list, with device 9 on it, signed by somebody, and prekeys to go with it.
  lies.toClient = (item, asked) => {
    if (item.kind !== 'response') return [item];
    const { body } = item;
    if (asked?.kind === 'send') {
      const mismatch = { kind: 'mismatch', missing: [9], extra: [] } as const;
      return [{ ...item, code: 'DEVICES_MISMATCH', body: mismatch }];
    }
    if (body.kind !== 'devices' && body.kind !== 'bundles') return [item];
    const real = decodeDeviceList(body.devices.list);
    const devices = signDeviceList(
      defaultCrypto,
      impostor.identity.secret,
      defaultCrypto.randomBytes(64),
      {
        ...real,
        version: real.version + 1,
        devices: [...real.devices, { ...real.devices[0]!, device: 9, registrationId: 77 }],
      },
    );
    if (body.kind === 'devices') return [{ ...item, body: { ...body, devices } }];
    const forged = impostor.forge(bobId, body);
    const extra =
      forged.kind === 'bundles' ? forged.bundles.map((bundle) => ({ ...bundle, device: 9 })) : [];
    return [{ ...item, body: { ...body, devices, bundles: [...body.bundles, ...extra] } }];
  };
  const third = await alice.send('bob', 'three');
  await t.rejects(third.confirmed, { code: 'VERIFY_DEVICE_LIST' });
  t.strictSame([...sentTo], [1]);
  delete lies.toClient;
  await (await alice.send('bob', 'four')).confirmed;
  await until(() => bobSees.texts.includes('four'));
});

t.test('ATK-G04 an old device list is refused', async (t) => {
  const relay = await testRelay(t);
  const phone = await person(t, relay, 'bob');
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  let old: Item | undefined;
  lies.toClient = (item) => {
    if (item.kind === 'response' && item.body.kind === 'devices') old = item;
    return [item];
  };
  await (await alice.send('bob', 'one device')).confirmed;
  t.ok(old);
  const recorded = old;
  const tablet = await testClient(t, relay);
  await tablet.devices.accept(await phone.devices.authorise(await tablet.devices.request()));
  await until(() => tablet.status === 'open');
  await until(async () => {
    await (await alice.send('bob', 'two devices')).confirmed;
    return (await tablet.history()).length > 0;
  });
  // The relay brings back the list of before, to leave the tablet in the dark (or a thief's device in).
  lies.toClient = (item, asked) => {
    if (item.kind !== 'response') return [item];
    if (asked?.kind === 'devices' && recorded?.kind === 'response') {
      return [{ ...recorded, id: item.id }];
    }
    return asked?.kind === 'send'
      ? [
          {
            ...item,
            code: 'DEVICES_MISMATCH',
            body: { kind: 'mismatch', missing: [], extra: [2] },
          },
        ]
      : [item];
  };
  const sent = await alice.send('bob', 'rollback');
  await t.rejects(sent.confirmed, { code: 'VERIFY_DEVICE_LIST' });
});

t.test('ATK-C16 an envelope under another sender’s name opens nothing', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const carol = await person(t, relay, 'carol');
  const mallory = await person(t, relay, 'mallory');
  const lies: Lies = {};
  const bob = await person(t, relay, 'bob', { socket: evilDial(lies) });
  const sees = new Inbox(bob);
  const failures: string[] = [];
  const changes: IdentityChange[] = [];
  bob.on('undecryptable', ({ cause }) => failures.push(cause));
  bob.on('identity-changed', (change) => changes.push(change));
  await (await alice.send('bob', 'the real alice')).confirmed;
  await (await bob.send('alice', 'hello')).confirmed;
  await sees.reach(1);
  const as = (account: string): void => {
    lies.toClient = (item) => {
      const event = delivery(item);
      return event === undefined
        ? [item]
        : [rewrite(event, { senderAccount: parseAccountText(account) })];
    };
  };
  as(alice.me.account!);
  await (await mallory.send('bob', 'I am alice')).confirmed;
  await until(() => failures.length === 1);
  as(carol.me.account!);
  await (await mallory.send('bob', 'I am carol, whom you never met')).confirmed;
  await until(() => failures.length === 2);
  as(bob.me.account!);
  await (await mallory.send('bob', 'I am you')).confirmed;
  await until(() => failures.length === 3);
  t.strictSame(sees.texts, ['the real alice']);
  t.strictSame(changes, [], 'a forgery is no change of identity');
  delete lies.toClient;
  await (await carol.send('bob', 'the real carol')).confirmed;
  await (await alice.send('bob', 'still me')).confirmed;
  await sees.reach(3);
  t.strictSame(
    sees.messages.map(({ sender }) => sender.username),
    ['alice', 'carol', 'alice'],
  );
});

t.test('frames of nonsense end the connection, not the client', async (t) => {
  const relay = await testRelay(t);
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  let sendNonsense: (() => void) | undefined;
  const { nodeDial } = await import('@qasid/client-sdk/node');
  const alice = await person(t, relay, 'alice', {
    socket: (url, events) => {
      sendNonsense = () => events.received(new Uint8Array([0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f]));
      return nodeDial(url, events);
    },
  });
  await (await alice.send('bob', '1')).confirmed;
  sendNonsense?.();
  t.equal(alice.status, 'backing-off');
  await (await alice.send('bob', '2')).confirmed;
  await sees.reach(2);
});

t.test('ATK-G06 only our own devices say what we sent; odd content is kept as it is', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const store = new MemoryStore();
  const mallory = await person(t, relay, 'mallory', { store });
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await (await mallory.send('bob', 'hello')).confirmed;
  await sees.reach(1);
  /** Send whatever bytes to bob, encrypted like any message. */
  const inject = (content: Uint8Array<ArrayBuffer>): Promise<void> =>
    store.commit({
      extra: {
        outboxAdded: [
          {
            kind: 'message',
            messageId: '',
            account: bob.me.account,
            username: 'bob',
            content,
            parts: undefined,
            held: false,
            copied: true,
          },
        ],
      },
    });
  const id = new Uint8Array(16).fill(1);
  const inner = encodeContent({ id, sentAtMs: 1, body: { kind: 'text', text: 'I owe you money' } });
  await inject(
    encodeContent({
      id,
      sentAtMs: 1,
      body: { kind: 'sent', account: parseAccountText(alice.me.account!), content: inner },
    }),
  );
  await inject(new TextEncoder().encode('not content at all'));
  await inject(new Uint8Array(0));
  await sees.reach(4);
  for (const message of sees.messages.slice(1)) {
    t.equal(message.kind, 'unknown');
    t.equal(message.text, '');
    t.equal(message.direction, 'received');
    t.equal(message.peer, mallory.me.account);
  }
  t.equal(new TextDecoder().decode(sees.messages[2]?.raw), 'not content at all');
});
