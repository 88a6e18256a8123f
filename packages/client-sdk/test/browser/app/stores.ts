/// <reference lib="dom" />
// The store of a browser under its contract, and what a page of ours can do to one.
import { IndexedDbStore } from '../../../dist/browser.js';
import type { ClientStore } from '../../../dist/stores/port.js';
import { storeContract } from '../../../dist/testing/stores.js';
import { bytes, messageRow, PROFILE } from '../../../dist/testing/stores/rows.js';

declare global {
  interface Window {
    contract(passphrase: string | undefined): Promise<readonly ContractResult[]>;
    make(profile: string, passphrase?: string): Promise<string>;
    /** Write until an error comes; its code and how many messages are there. */
    fill(profile: string, bytesEach: number, most: number): Promise<readonly [string, number]>;
    count(profile: string): Promise<number>;
    forget(profile: string): Promise<void>;
    /** What a script in the page gets out of the tables. */
    steal(profile: string): Promise<readonly string[]>;
  }
}

export interface ContractResult {
  readonly name: string;
  readonly error: string | undefined;
}

window.contract = async (passphrase) => {
  const profiles = new WeakMap<ClientStore, string>();
  const results: ContractResult[] = [];
  let stores = 0;
  const open = (profile: string) => IndexedDbStore.open({ profile, passphrase, scryptLog2N: 4 });
  const tests = storeContract({
    name: 'chromium',
    async open(t) {
      const profile = `contract-${passphrase ?? ''}-${stores++}`;
      const store = await open(profile);
      profiles.set(store, profile);
      t.teardown(() => store.close());
      return store;
    },
    reopen: (store) => open(profiles.get(store) ?? ''),
  });
  for (const { name, run } of tests) {
    const error = await run().then(
      () => undefined,
      (thrown: unknown) => String(thrown),
    );
    results.push({ name, error });
  }
  return results;
};

function codeOf(error: unknown): string {
  return (error as { readonly code?: string }).code ?? String(error);
}

window.make = async (profile, passphrase) => {
  try {
    const store = await IndexedDbStore.open({ profile, passphrase, scryptLog2N: 4 });
    const found = await store.loadProfile();
    if (found === undefined) await store.commit({ extra: { profile: PROFILE } });
    await store.close();
    return found === undefined ? 'new' : 'there';
  } catch (error) {
    return codeOf(error);
  }
};

window.fill = async (profile, bytesEach, most) => {
  const store = await IndexedDbStore.open({ profile });
  let written = 0;
  try {
    for (; written < most; written++) {
      const raw = crypto.getRandomValues(bytes(Math.min(bytesEach, 65_536), 0));
      await store.commit({
        extra: { messagesAdded: [{ ...messageRow(`id${written}`, true), raw }] },
      });
    }
    return ['', written];
  } catch (error) {
    return [codeOf(error), written];
  } finally {
    await store.close();
  }
};

window.count = async (profile) => {
  const store = await IndexedDbStore.open({ profile });
  const rows = await store.loadMessages({ limit: 1_000_000 });
  await store.close();
  return rows.length;
};

window.forget = (profile) => IndexedDbStore.forget(profile);

window.steal = async (profile) => {
  const database = await new Promise<IDBDatabase>((resolve, reject) => {
    const asked = indexedDB.open(`qasid/${profile}`);
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
  const read = (table: string, key: IDBValidKey): Promise<unknown> =>
    new Promise((resolve, reject) => {
      const asked = database.transaction(table).objectStore(table).get(key);
      asked.onsuccess = () => resolve(asked.result);
      asked.onerror = () => reject(asked.error);
    });
  const got: string[] = [];
  const vault = (await read('meta', 'vault')) as Record<string, unknown>;
  for (const [name, value] of Object.entries(vault)) {
    if (value instanceof CryptoKey) {
      for (const format of ['raw', 'jwk'] as const) {
        await crypto.subtle.exportKey(format, value).then(
          () => got.push(`exported ${name} as ${format}`),
          () => undefined,
        );
      }
    }
  }
  // The key may be used without being seen: this is what no store in a page can prevent.
  const row = (await read('profile', 1)) as { readonly value: Uint8Array<ArrayBuffer> };
  if (vault.valueKey instanceof CryptoKey) {
    const opened = await crypto.subtle
      .decrypt(
        {
          name: 'AES-GCM',
          iv: row.value.slice(0, 12),
          additionalData: new TextEncoder().encode('profile/1'),
        },
        vault.valueKey,
        row.value.slice(12),
      )
      .then(
        () => true,
        () => false,
      );
    if (opened) got.push('opened the profile');
  }
  database.close();
  return got;
};
