// Changes exactly once, whatever dies when: edits, reactions, votes, receipts and reading while the reader's
// program is killed at chosen commits and starts again. Seeds replay.
import { MemoryStore, QasidClient } from '@qasid/client-sdk';
import t from 'tap';

import { Mortal } from '../support/crash.js';
import { dice } from '../support/dice.js';
import { person, testClient, testRelay, until } from '../support/world.js';

t.setTimeout(240_000);

const SEEDS = Number(process.env.QASID_CRASH_SEEDS ?? 2);
const FIRST = Number(process.env.QASID_CRASH_FIRST ?? 1);
const ROUNDS = 12;

for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
  t.test(`ATK-C15 seed ${seed}: changes over deaths`, async (t) => {
    const relay = await testRelay(t);
    const random = dice(seed);
    const alice = await person(t, relay, 'alice');
    const store = new MemoryStore();
    const first = await person(t, relay, 'bob', { store });
    await first.safetyNumber('alice');
    await first.close();
    const toBob = await alice.conversation('bob');
    const failures: string[] = [];
    let deaths = 0;
    let stop = false;
    // Bob's program dies again and again while he reads and reacts.
    const living = (async () => {
      while (!stop) {
        const plan = {
          commit: 1 + Math.floor(random() * 12),
          when: random() < 0.5 ? ('before' as const) : ('after' as const),
        };
        const mortal = new Mortal(store, plan);
        const client = await QasidClient.open({
          relay: relay.url,
          store: mortal.store,
          socket: mortal.dial,
        }).catch(() => undefined);
        client?.on('undecryptable', ({ cause }) => failures.push(cause));
        client?.on('gap', ({ cause }) => failures.push(cause));
        const acting = (async () => {
          const chat = await client?.conversation('alice');
          while (chat !== undefined && !mortal.isDead) {
            for (const message of await chat.messages({ limit: 5 })) {
              if (message.direction === 'received' && message.reactions.length === 0) {
                await chat.react(message, '👍');
              }
            }
            await chat.markRead();
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        })().catch(() => undefined);
        await Promise.race([mortal.death, new Promise((resolve) => setTimeout(resolve, 150))]);
        if (mortal.isDead) deaths++;
        mortal.die();
        await acting;
        await client?.close().catch(() => undefined);
      }
    })();
    const sent = [];
    for (let round = 0; round < ROUNDS; round++) {
      const message = await toBob.send(`first ${round}`);
      const [own] = await toBob.messages({ limit: 1 });
      await toBob.edit(own!, `second ${round}`);
      await toBob.edit(own!, `third ${round}`);
      if (round % 4 === 3) await toBob.delete(own!);
      sent.push(message.id);
      await new Promise((resolve) => setTimeout(resolve, random() * 60));
    }
    await alice.flush({ timeoutMs: 30_000 });
    stop = true;
    await living;
    const bob = await testClient(t, relay, { store });
    bob.on('gap', ({ cause }) => failures.push(cause));
    await bob.flush({ timeoutMs: 30_000 });
    await until(async () => (await relay.totals()).envelopes === 0, 30_000);
    const chat = await bob.conversation('alice');
    const shown = await chat.messages({ limit: 1_000 });
    t.strictSame(
      shown.map(({ id }) => id),
      sent,
      'each message once, in order',
    );
    for (const [round, message] of shown.entries()) {
      const erased = round % 4 === 3;
      t.strictSame([message.text, message.deleted], [erased ? '' : `third ${round}`, erased]);
      const hers = (await toBob.messages({ limit: 1_000 })).find(({ id }) => id === message.id);
      t.strictSame(hers?.reactions, message.reactions, 'both show the same');
    }
    await chat.markRead();
    t.equal((await chat.info()).unread, 0);
    t.strictSame(failures, []);
    t.comment(`${deaths} deaths`);
    t.ok(deaths > 3, 'it did die');
  });
}
