// Both adapters under the contract that `Operations` relies on: the protocol's own suite.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import type { ProtocolStore, StoreChanges } from '@qasid/protocol';
import { MemoryStore, type ClientStore } from '@qasid/client-sdk';
import { SqliteStore } from '@qasid/client-sdk/node';
import t from 'tap';

import { storeContract } from '../../../protocol/dist-test/support/store-contract.js';
import { messageRow, PROFILE } from '../support/rows.js';
import { tempDirectory } from '../support/temp.js';

/** A client store as the protocol sees it: `extra` is a text, kept as a received message. */
function asProtocolStore(store: ClientStore): ProtocolStore<string> {
  return {
    loadIdentityKeyPair: () => store.loadIdentityKeyPair(),
    loadLocalRegistrationId: () => store.loadLocalRegistrationId(),
    loadSession: (address) => store.loadSession(address),
    loadIdentity: (name) => store.loadIdentity(name),
    loadPreKey: (id) => store.loadPreKey(id),
    loadSignedPreKey: (id) => store.loadSignedPreKey(id),
    loadKemPreKey: (id) => store.loadKemPreKey(id),
    commit: ({ extra, ...changes }: StoreChanges<string>) =>
      store.commit(
        extra === undefined
          ? changes
          : {
              ...changes,
              extra: {
                messagesAdded: [
                  { ...messageRow(randomBytes(8).toString('hex'), true), text: extra },
                ],
              },
            },
      ),
  };
}

async function texts(store: ClientStore): Promise<string[]> {
  return (await store.loadMessages({})).map((row) => row.text);
}

for (const name of ['memory', 'sqlite', 'sqlite with passphrase']) {
  t.test(name, async (t) => {
    storeContract(t, async () => {
      const directory = join(tempDirectory(t), 'profile');
      const passphrase = name === 'sqlite with passphrase' ? 'correct horse' : undefined;
      const open = (): Promise<ClientStore> =>
        name === 'memory'
          ? Promise.resolve(new MemoryStore())
          : SqliteStore.open({ directory, passphrase, scryptLog2N: 4 });
      let store = await open();
      await store.commit({ extra: { profile: PROFILE } });
      return {
        store: asProtocolStore(store),
        identity: PROFILE.identity,
        registrationId: PROFILE.registrationId,
        extras: () => texts(store),
        close: () => store.close(),
        ...(name === 'memory'
          ? {}
          : {
              async reopen() {
                await store.close();
                store = await open();
                return asProtocolStore(store);
              },
            }),
      };
    });
  });
}
