// Exactly once, whatever dies when: two people write to each other while their programs are killed at
// chosen commits and start again. A failing seed prints itself and replays.
import { MemoryStore, QasidClient } from '@qasid/client-sdk';
import type { RunningRelay } from '@qasid/relay';
import t from 'tap';

import { Mortal } from '../support/crash.js';
import { dice } from '../support/dice.js';
import { testRelay, until } from '../support/world.js';

t.setTimeout(240_000);

const SEEDS = Number(process.env.QASID_CRASH_SEEDS ?? 10);
const FIRST = Number(process.env.QASID_CRASH_FIRST ?? 1);

/** One person whose program dies again and again, and is started again each time. */
class Life {
  readonly store = new MemoryStore();
  /** Texts whose `send` resolved: these must arrive. */
  readonly stored: string[] = [];
  /** Texts whose `send` died: these may arrive, once. */
  readonly doubtful: string[] = [];
  readonly failures: string[] = [];
  deaths = 0;
  #client: QasidClient | undefined;
  #mortal: Mortal | undefined;

  readonly name: string;
  readonly relay: RunningRelay;
  readonly random: () => number;

  constructor(name: string, relay: RunningRelay, random: () => number) {
    this.name = name;
    this.relay = relay;
    this.random = random;
  }

  async start(mortal: boolean): Promise<QasidClient> {
    const plan = mortal
      ? {
          commit: 1 + Math.floor(this.random() * 14),
          when: this.random() < 0.5 ? ('before' as const) : ('after' as const),
        }
      : undefined;
    this.#mortal = new Mortal(this.store, plan);
    this.#client = await QasidClient.open({
      relay: this.relay.url,
      store: this.#mortal.store,
      socket: this.#mortal.dial,
    });
    this.#client.on('undecryptable', ({ cause }) => this.failures.push(cause));
    return this.#client;
  }

  get death(): Promise<void> {
    return this.#mortal?.death ?? Promise.resolve();
  }

  async stop(): Promise<void> {
    this.#mortal?.die();
    await this.#client?.close().catch(() => undefined);
  }

  /** Live through one program start: send until done or dead. */
  async live(to: string, texts: string[], mortal: boolean): Promise<void> {
    const client = await this.start(mortal).catch(() => undefined);
    const me = this.#mortal;
    while (client !== undefined && me?.isDead === false && texts.length > 0) {
      const text = texts.shift() ?? '';
      try {
        await Promise.race([
          client.send(to, text).then(() => this.stored.push(text)),
          me.death.then(() => Promise.reject(new Error('dead'))),
        ]);
      } catch {
        this.doubtful.push(text);
      }
      if (this.random() < 0.5) await new Promise((resolve) => setTimeout(resolve, 3));
    }
    if (mortal && me !== undefined) {
      await Promise.race([me.death, new Promise((resolve) => setTimeout(resolve, 60))]);
    }
    if (me?.isDead === true) this.deaths++;
    await this.stop();
  }
}

for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
  t.test(`ATK-C15 seed ${seed}: deaths at random commits`, async (t) => {
    const relay = await testRelay(t);
    const random = dice(seed);
    const alice = new Life('alice', relay, random);
    const bob = new Life('bob', relay, random);
    for (const life of [alice, bob]) {
      // Registration is interrupted as well.
      for (let tries = 0; ; tries++) {
        const client = await life.start(tries < 3).catch(() => undefined);
        const done = await Promise.race([
          client?.register({ username: life.name }).catch(() => undefined),
          life.death,
        ]);
        await life.stop();
        if (done !== undefined || tries > 5) break;
      }
    }
    const plans = [alice, bob].map((life, index) => {
      const texts = Array.from({ length: 25 }, (_, number) => `${life.name}-${number}`);
      const to = index === 0 ? 'bob' : 'alice';
      return (async () => {
        for (let starts = 0; texts.length > 0 || starts < 6; starts++) {
          await life.live(to, texts, starts < 20);
        }
      })();
    });
    await Promise.all(plans);
    // Now both live on undisturbed.
    const clients = [await alice.start(false), await bob.start(false)];
    for (const client of clients) await client.flush({ timeoutMs: 20_000 });
    await until(async () => (await relay.totals()).envelopes === 0);
    for (const [sender, receiver, client] of [
      [alice, bob, clients[1]!],
      [bob, alice, clients[0]!],
    ] as const) {
      const history = await client.history({ limit: 10_000 });
      const got = history.filter((m) => m.direction === 'received').map(({ text }) => text);
      t.equal(new Set(got).size, got.length, 'nothing twice');
      t.strictSame(
        sender.stored.filter((text) => !got.includes(text)),
        [],
        'nothing lost',
      );
      const sent = [...sender.stored, ...sender.doubtful];
      t.ok(
        got.every((text) => sent.includes(text)),
        'nothing made up',
      );
      const order = got.map((text) => Number(text.split('-')[1]));
      t.strictSame(
        order,
        [...order].sort((a, b) => a - b),
        'in order',
      );
      t.strictSame(receiver.failures, [], 'nothing undecryptable');
    }
    t.comment(`${alice.deaths + bob.deaths} deaths`);
    t.ok(alice.deaths + bob.deaths > 4, 'they did die');
    await alice.stop();
    await bob.stop();
  });
}
