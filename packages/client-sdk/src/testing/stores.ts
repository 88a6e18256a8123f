/**
 * `@qasid/client-sdk/testing/stores`: the contract of all stores, for who writes an adapter. Runs in browsers too.
 * Guide: docs/guides/storage-adapter.md.
 */
export type { ContractTest, Teardown } from './stores/check.js';
export { storeContract, type StoreMaker } from './stores/contract.js';
