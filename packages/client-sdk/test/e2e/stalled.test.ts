// A relay that keeps the post-quantum ratchet from advancing is told to the application.
import {
  POST_QUANTUM_STALLED_MESSAGES,
  toAddress,
  type PostQuantumProgress,
} from '@qasid/protocol';
import { decodeEnvelope } from '@qasid/protocol/envelope';
import type { LogLine, Stalled } from '@qasid/client-sdk';
import t from 'tap';

import { StallWatch } from '../../dist/stalls.js';
import { delivery, evilDial, type Lies } from '../support/evil.js';
import { Inbox, person, testRelay, until } from '../support/world.js';

t.setTimeout(240_000);

t.test('ATK-C10 a ratchet whose chunks are dropped is told once per 1 000 messages', async (t) => {
  const relay = await testRelay(t);
  // The liar below reads the types of his messages, which it could not if they were sealed.
  const bob = await person(t, relay, 'bob', { sealed: 'never' });
  const lies: Lies = {};
  const log: LogLine[] = [];
  const alice = await person(t, relay, 'alice', {
    socket: evilDial(lies),
    log: (line) => log.push(line),
  });
  const [toAlice, toBob] = [new Inbox(alice), new Inbox(bob)];
  const stalls: Stalled[] = [];
  alice.on('stalled', (stalled) => stalls.push(stalled));
  const exchange = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      const [a, b] = [toAlice.messages.length, toBob.messages.length];
      await alice.send('bob', 'ping');
      await toBob.reach(b + 1);
      await bob.send('alice', 'pong');
      await toAlice.reach(a + 1);
    }
  };
  await exchange(60);
  t.strictSame(stalls, [], 'an honest relay, and more than an epoch of messages');

  let dropped = 0;
  lies.toClient = (item) => {
    const event = delivery(item);
    if (event === undefined) return [item];
    // Plain messages carry chunks in a field that the relay can see; this one lets none through.
    if (decodeEnvelope(event.body).type === 2) dropped++;
    return [];
  };
  const before = toBob.messages.length;
  for (let sent = 0; sent <= POST_QUANTUM_STALLED_MESSAGES; sent++) {
    await alice.send('bob', 'is anybody there?');
    // Bob answers now and then; the answers never come.
    if (sent % 100 === 0) await (await bob.send('alice', 'yes')).confirmed;
  }
  await toBob.reach(before + POST_QUANTUM_STALLED_MESSAGES + 1, 60_000);
  t.ok(dropped > 5, `${dropped} answers dropped`);
  t.equal(stalls.length, 1, 'told once');
  const [stalled] = stalls;
  t.match(stalled, { account: bob.me.account, device: 1, epoch: Number });
  t.ok(stalled!.epoch > 1, `epoch ${stalled!.epoch}: it had advanced before`);
  t.ok(stalled!.messages >= POST_QUANTUM_STALLED_MESSAGES);
  t.ok(stalled!.messages < POST_QUANTUM_STALLED_MESSAGES + 100);
  t.equal(stalled!.sent + stalled!.received, stalled!.messages);
  t.strictSame(
    log.filter(({ event }) => event === 'stalled'),
    [{ event: 'stalled', code: 'stalled' }],
    'the log names nobody',
  );
  t.equal(toBob.messages.length, before + POST_QUANTUM_STALLED_MESSAGES + 1, 'nothing else broke');

  // The relay behaves again: what it dropped is lost for good, and the ratchet goes on all the same.
  delete lies.toClient;
  await until(() => alice.status === 'open');
  await exchange(100);
  t.equal(stalls.length, 1, 'told no more');
});

t.test('ATK-C10 a stall is told once per limit, and anew after the ratchet advanced', async (t) => {
  const told: string[] = [];
  let stored: PostQuantumProgress | undefined;
  const operations = {
    async sessionInfo() {
      if (stored === undefined) throw new Error('the session cannot be read');
      return { remoteRegistrationId: 1, remoteIdentity: new Uint8Array(33), postQuantum: stored };
    },
  } as unknown as ConstructorParameters<typeof StallWatch>[0];
  const watch = new StallWatch(
    operations,
    ({ account, device, epoch, messages }) => {
      told.push(`${account}.${device} ${epoch}:${messages}`);
    },
    10,
  );
  const one = toAddress('one', 1);
  const at = (epoch: number, sent: number, received: number): PostQuantumProgress => {
    return { epoch, messagesSinceEpoch: sent + received, sent, received };
  };
  for (let sent = 0; sent <= 9; sent++) watch.look(one, at(4, sent, 0));
  t.strictSame(told, []);
  for (let received = 0; received <= 9; received++) watch.look(one, at(4, 9, received));
  t.strictSame(told, ['one.1 4:10'], 'both directions count');
  watch.look(toAddress('one', 2), at(4, 3, 9));
  t.strictSame(
    told.splice(0),
    ['one.1 4:10', 'one.2 4:12'],
    'each device has a ratchet of its own',
  );
  watch.look(one, at(4, 11, 24));
  watch.look(one, at(4, 11, 24));
  t.strictSame(told.splice(0), ['one.1 4:35'], 'a jump over two limits is one event');
  watch.look(one, at(5, 1, 0));
  watch.look(one, at(5, 9, 1));
  t.strictSame(told.splice(0), ['one.1 5:10'], 'the next epoch may stall too');
  watch.look(one, at(6, 12, 0));
  t.strictSame(told.splice(0), ['one.1 6:12'], 'also when nobody looked in between');
  watch.look(one, undefined);
  t.strictSame(told, [], 'no post-quantum half, nothing to say');
  await watch.opened(one);
  t.strictSame(told, [], 'a session that cannot be read is not this one’s to report');
  stored = at(6, 13, 0);
  await watch.opened(one);
  t.strictSame(told, ['one.1 6:13']);
});
