// The memory store fulfils the contract of every store.
import t from 'tap';
import { defaultCrypto, MemoryStore } from '@qasid/protocol';
import { storeContract } from '../support/store-contract.js';

storeContract(t, async () => {
  const extras: string[] = [];
  const identity = defaultCrypto.x25519KeyPair();
  const store = new MemoryStore<string>({
    identity,
    registrationId: 4711,
    onExtra: (extra) => extras.push(extra),
  });
  return { store, identity, registrationId: 4711, extras: () => extras };
});
