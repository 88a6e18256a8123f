// One contract, every store.
import t from 'tap';
import { adapters, behindFaults } from '../support/adapters.js';
import { storeContract } from '../support/store-contract.js';
import { prekeyContract } from '../support/store-contract-prekeys.js';
import { pushContract } from '../support/store-contract-push.js';
import { blobRowContract } from '../support/store-contract-blobs.js';
import { recordContract } from '../support/store-contract-records.js';
import { tokenContract } from '../support/store-contract-tokens.js';
import { storeUnderFaults } from '../support/store-faults.js';

t.setTimeout(240_000);

for (const [name, adapter] of Object.entries(adapters)) {
  t.test(name, async (t) => {
    storeContract(t, adapter);
    prekeyContract(t, adapter);
    recordContract(t, adapter);
    tokenContract(t, adapter);
    pushContract(t, adapter);
    blobRowContract(t, adapter);
  });
  t.test(`${name}, refused at random and tried again`, async (t) => {
    storeContract(t, behindFaults(adapter));
    prekeyContract(t, behindFaults(adapter));
    recordContract(t, behindFaults(adapter));
    tokenContract(t, behindFaults(adapter));
    pushContract(t, behindFaults(adapter));
    blobRowContract(t, behindFaults(adapter));
  });
  t.test(`ATK-I13 ${name}: answers get lost, nothing else does`, async (t) => {
    await storeUnderFaults(t, adapter, { failBefore: 0.1, failAfter: 0.15, delay: 0.2 }, 4_711);
  });
}
