// The contract of stores is worth something only when it refuses adapters that are wrong.
import { MemoryStore, type ClientExtra, type ClientStore } from '@qasid/client-sdk';
import { storeContract } from '@qasid/client-sdk/testing';
import type { StoreChanges } from '@qasid/protocol';
import t from 'tap';

type Changes = StoreChanges<ClientExtra>;

/** Names of the tests that a kind of store fails. */
async function failures(
  make: () => ClientStore,
  reopen = async (store: ClientStore) => store,
): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of storeContract({ name: 'x', open: async () => make(), reopen })) {
    await run().catch(() => failed.push(name.replace('x: ', '')));
  }
  return failed;
}

class NotAtomic extends MemoryStore {
  override async commit(changes: Changes): Promise<void> {
    await super.commit({ ...changes, sessions: [] });
    await super.commit({ sessions: changes.sessions ?? [] });
  }
}

class LastWriterWins extends MemoryStore {
  override async commit(changes: Changes): Promise<void> {
    const sessions = [];
    for (const change of changes.sessions ?? []) {
      const now = await this.loadSession(change.address);
      sessions.push({ ...change, expectedVersion: now?.version ?? 0 });
    }
    await super.commit({ ...changes, sessions });
  }
}

class ForgetsClientIds extends MemoryStore {
  override async commit(changes: Changes): Promise<void> {
    const { seen: _, ...extra } = changes.extra ?? {};
    await super.commit({ ...changes, extra });
  }
}

class TwoOwners extends MemoryStore {
  override async ownConnection() {
    return { release: async () => undefined };
  }
}

t.test('a store that keeps the contract passes all of it', async (t) => {
  t.strictSame(await failures(() => new MemoryStore()), []);
  t.ok(
    storeContract({ name: 'x', open: async () => new MemoryStore(), reopen: async (s) => s })
      .length > 10,
  );
});

t.test('ATK-J07 stores that break it are found', async (t) => {
  const wrong = { NotAtomic, LastWriterWins, ForgetsClientIds, TwoOwners };
  for (const [name, Store] of Object.entries(wrong)) {
    const failed = await failures(() => new Store());
    t.ok(failed.length > 0, `${name}: ${failed.join('; ')}`);
    t.comment(`${name} fails ${failed.join('; ')}`);
  }
});
