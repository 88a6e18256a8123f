// A relay and a network that are merely bad: busy, cut off, behind the times.
import { StoreError } from '@qasid/protocol';
import { MemoryStore } from '@qasid/client-sdk';
import t from 'tap';

import { evilDial, type Lies } from '../support/evil.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

t.setTimeout(120_000);

/** The sends a client makes for one message: client id and body of the first part, as one text. */
function watchSends(lies: Lies): string[] {
  const sends: string[] = [];
  const before = lies.toRelay;
  lies.toRelay = (item) => {
    if (item.op.kind === 'send') {
      const [part] = item.op.parts;
      if (part !== undefined) sends.push(`${part.clientId} ${part.body}`);
    }
    return before?.(item) ?? [item];
  };
  return sends;
}

t.test('a relay that is busy: the same bytes under the same id until it takes them', async (t) => {
  const relay = await testRelay(t);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await (await alice.send('bob', '0')).confirmed;
  const codes = ['BUSY', 'RATE_LIMITED', 'UNAVAILABLE', 'DRAINING'] as const;
  let refused = 0;
  const sends = watchSends(lies);
  // The relay did take it and says otherwise: the worst kind of busy.
  lies.toClient = (item, asked) => {
    const code = codes[refused];
    if (item.kind !== 'response' || asked?.kind !== 'send' || code === undefined) return [item];
    refused++;
    return [{ ...item, code, retryAfterMs: 5, body: { kind: 'none' } }];
  };
  await (await alice.send('bob', '1')).confirmed;
  t.equal(sends.length, codes.length + 1);
  t.equal(new Set(sends).size, 1, 'never encrypted anew');
  await (await alice.send('bob', '2')).confirmed;
  await sees.reach(3);
  t.strictSame(sees.texts, ['0', '1', '2']);
});

t.test('a confirmation that gets lost with its connection', async (t) => {
  const relay = await testRelay(t);
  const lies: Lies = {};
  let cut: (() => void) | undefined;
  const dial = evilDial(lies);
  const alice = await person(t, relay, 'alice', {
    socket: (url, events) => {
      const socket = dial(url, events);
      cut = () => {
        socket.close();
        events.closed({ code: 1006 });
      };
      return socket;
    },
  });
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await (await alice.send('bob', '0')).confirmed;
  const sends = watchSends(lies);
  let lost = 0;
  lies.toClient = (item, asked) => {
    if (item.kind !== 'response' || asked?.kind !== 'send' || lost >= 3) return [item];
    lost++;
    queueMicrotask(() => cut?.());
    return [];
  };
  await (await alice.send('bob', '1')).confirmed;
  t.equal(sends.length, 4);
  t.equal(new Set(sends).size, 1);
  await (await alice.send('bob', '2')).confirmed;
  await sees.reach(3);
  t.strictSame(sees.texts, ['0', '1', '2']);
});

t.test('a device that was installed anew gets a new session, and the message once', async (t) => {
  const relay = await testRelay(t);
  const lies: Lies = {};
  const alice = await person(t, relay, 'alice', { socket: evilDial(lies) });
  const bob = await person(t, relay, 'bob');
  const sees = new Inbox(bob);
  await (await alice.send('bob', '0')).confirmed;
  await (await bob.send('alice', 'hello')).confirmed;
  await until(async () => (await alice.history()).length === 2);
  const sends = watchSends(lies);
  let stale = 0;
  const forward = lies.toRelay;
  lies.toRelay = (item) => {
    const passed = forward?.(item) ?? [item];
    return item.op.kind === 'send' && stale++ === 0 ? [{ ...item, op: { kind: 'ping' } }] : passed;
  };
  let told = false;
  lies.toClient = (item, asked) => {
    if (item.kind !== 'response' || asked?.kind !== 'send' || told) return [item];
    told = true;
    return [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }];
  };
  await (await alice.send('bob', '1')).confirmed;
  t.equal(sends.length, 2);
  const [first, second] = sends.map((send) => send.split(' '));
  t.equal(first?.[0], second?.[0], 'the same client id');
  t.not(first?.[1], second?.[1], 'another ciphertext');
  await (await alice.send('bob', '2')).confirmed;
  await sees.reach(3);
  t.strictSame(sees.texts, ['0', '1', '2']);
  await (await bob.send('alice', 'back')).confirmed;
  await until(async () => (await alice.history()).at(-1)?.text === 'back');
});

t.test('a store that cannot be read for a while: events go on afterwards', async (t) => {
  const relay = await testRelay(t);
  const alice = await person(t, relay, 'alice');
  const inner = new MemoryStore();
  let locked = false;
  const store = new Proxy(inner, {
    get(target, name) {
      if (name === 'loadMessages' && locked) {
        return async () => {
          throw new StoreError('STORE_LOCKED', 'another process keeps the store busy');
        };
      }
      const member = Reflect.get(target, name, target) as unknown;
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
  const bob = await person(t, relay, 'bob', { store });
  const sees = new Inbox(bob);
  const troubles: unknown[] = [];
  bob.on('trouble', (error) => troubles.push('code' in error && error.code));
  await (await alice.send('bob', '1')).confirmed;
  await sees.reach(1);
  locked = true;
  await (await alice.send('bob', '2')).confirmed;
  await until(() => troubles.includes('STORE_LOCKED'));
  locked = false;
  await (await alice.send('bob', '3')).confirmed;
  await sees.reach(3);
  t.strictSame(sees.texts, ['1', '2', '3']);
});
