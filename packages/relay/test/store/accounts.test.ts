// Accounts, invites and tickets: one contract, every store.
import t from 'tap';
import { accountContract } from '../support/account-contract.js';
import { adapters, behindFaults } from '../support/adapters.js';
import { admissionContract } from '../support/admission-contract.js';

for (const [name, adapter] of Object.entries(adapters)) {
  t.test(name, async (t) => {
    accountContract(t, adapter);
    admissionContract(t, adapter);
  });
  t.test(`${name}, refused at random and tried again`, async (t) => {
    accountContract(t, behindFaults(adapter));
    admissionContract(t, behindFaults(adapter));
  });
}
