// The contract of the testing kit under tap.
import { storeContract, type StoreMaker } from '@qasid/client-sdk/testing';
import type { Test } from 'tap';

/** Every test of the contract as a test of `t`. */
export async function runContract(t: Test, maker: StoreMaker): Promise<void> {
  for (const { name, run } of storeContract(maker)) {
    await t.test(name, async (t) => {
      await run();
      t.pass(name);
    });
  }
}
