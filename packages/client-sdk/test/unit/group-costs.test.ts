// What a message to 1 000 members costs its sender, counted: operations, not seconds.
import { defaultCrypto, type CryptoProvider } from '@qasid/protocol';
import { accountText, generateAccountId } from '@qasid/protocol/envelope';
import type { ResponseItem } from '@qasid/protocol/envelope';
import { MemoryStore, type OutboxPart } from '@qasid/client-sdk';
import t from 'tap';

import { systemClock } from '../../dist/clock.js';
import { encodeContent } from '../../dist/content/index.js';
import type { Directory } from '../../dist/directory.js';
import { foundGroup } from '../../dist/groups/changing.js';
import { FanOut } from '../../dist/groups/fan-out.js';
import { encodePacket } from '../../dist/groups/packet.js';
import { contextOf } from '../../dist/groups/shared.js';
import { GroupStore, signalRow, type GroupDeps } from '../../dist/groups/store.js';
import { headOf } from '../../dist/groups/chain.js';

const MEMBERS = 999;

const confirmed: ResponseItem = {
  ...{ kind: 'response', id: 1, code: 'CONFIRMED', retryAfterMs: 0, body: { kind: 'none' } },
};

/** The platform's primitives, counted. */
function counted(counts: Map<string, number>): CryptoProvider {
  return new Proxy(defaultCrypto, {
    get(inner, name: keyof CryptoProvider) {
      const member = inner[name];
      if (typeof member !== 'function') return member;
      return (...all: unknown[]) => {
        counts.set(name, (counts.get(name) ?? 0) + 1);
        return (member as (...args: unknown[]) => unknown).apply(inner, all);
      };
    },
  });
}

t.test('ATK-E12 a message to 1 000 members: one signature, one encryption, one body', async (t) => {
  const counts = new Map<string, number>();
  const crypto = counted(counts);
  const store = new MemoryStore();
  const identity = defaultCrypto.x25519KeyPair();
  const self = { account: accountText(generateAccountId(defaultCrypto)), device: 1 };
  const accounts = Array.from({ length: MEMBERS }, () =>
    accountText(generateAccountId(defaultCrypto)),
  );
  const listed = (device: number) => ({ device, registrationId: 7, authKey: new Uint8Array(32) });
  const contacts = [self.account, ...accounts].map((account) => ({
    ...{ account, username: undefined, signedDeviceList: undefined, deviceListVersion: 1 },
    // Two devices each, and this one.
    devices: account === self.account ? [listed(1)] : [listed(1), listed(2)],
    offeredIdentity: undefined,
  }));
  await store.commit({ extra: { contacts } });
  store.loadIdentityKeyPair = async () => identity;
  const bodies = new Set<Uint8Array>();
  const ids = new Set<string>();
  let sends = 0;
  const deps: GroupDeps = {
    ...{ store, crypto, self, clock: systemClock, dice: Math.random },
    directory: {} as Directory,
    groups: new GroupStore(store, crypto),
    ask: async () => confirmed,
    async post(_account: string, parts: readonly OutboxPart[]) {
      sends++;
      for (const { body, clientId } of parts) {
        bodies.add(body);
        ids.add(`${clientId}`);
      }
      return confirmed;
    },
    isCaughtUp: () => true,
    pump: () => undefined,
    release: async () => undefined,
    tell: () => undefined,
    happened: () => undefined,
    trouble: (error) => t.fail(`${error}`),
  };
  const adds = accounts.map(
    (account) => ({ kind: 'add', account, role: 'member', byLink: false }) as const,
  );
  const id = await foundGroup(deps, adds);
  const welcomes = await store.loadOutbox({ limit: 10_000 });
  t.equal(welcomes.length, MEMBERS);
  t.equal(new Set(welcomes.map(({ content }) => content)).size, 1, 'one welcome for all');
  await store.commit({ extra: { outboxRemoved: welcomes.map((row) => row.id) } });
  const fanOut = new FanOut(deps);
  const head = headOf((await deps.groups.load(id))!.data.chain);
  const send = async (text: string): Promise<number> => {
    for (const seen of [counts, bodies, ids]) seen.clear();
    sends = 0;
    const content = encodeContent({
      ...{ id: defaultCrypto.randomBytes(16), sentAtMs: 1, body: { kind: 'text', text } as const },
      ...contextOf(head),
    });
    const row = { ...signalRow('', encodePacket(content)), kind: 'group' as const };
    const outboxAdded = [{ ...row, account: undefined, username: id, parts: [] }];
    await store.commit({ extra: { outboxAdded } });
    const [last] = (await store.loadOutbox({ limit: 10_000 })).slice(-1);
    const started = performance.now();
    await fanOut.deliver(last!);
    const tookMs = performance.now() - started;
    await store.commit({ extra: { outboxRemoved: [last!.id] } });
    return tookMs;
  };
  const firstMs = await send('the first hands the key out');
  const keys = await store.loadOutbox({ limit: 10_000 });
  t.equal(keys.length, MEMBERS, 'one row an account');
  await store.commit({ extra: { outboxRemoved: keys.map((row) => row.id) } });
  const nextMs = await send('the next one does not');
  t.equal((await store.loadOutbox({ limit: 10_000 })).length, 0);
  t.equal(counts.get('xeddsaSign'), 1);
  t.equal(counts.get('aesCbcEncrypt'), 1);
  t.equal(bodies.size, 1, 'one body in memory, for everybody');
  t.equal(sends, MEMBERS);
  t.equal(ids.size, 2 * MEMBERS, 'a client id for each device');
  t.comment(`first ${firstMs.toFixed(1)} ms, next ${nextMs.toFixed(1)} ms`);
  t.comment(JSON.stringify([...counts]));
});
