/**
 * `@qasid/client-sdk/testing`: a relay, a network and clients in one process, with time, failures and lies
 * under a test's control. For tests of programs that use the SDK, and for ours. Never for production: its
 * random numbers repeat. Runs in Node, beside `@qasid/relay`.
 */
export { relayClock, VirtualClock, type RelayClock } from './testing/clock.js';
export { deliveryOf, lyingDial, redelivered, type Lies } from './testing/lies.js';
export { Mortal } from './testing/mortal.js';
export {
  TestNetwork,
  type Answering,
  type NetworkConditions,
  type RelayHandler,
  type RelaySocket,
} from './testing/network.js';
export { SeededRandom, seededCrypto } from './testing/random.js';
export { TestWorld, type TestClientOptions, type TestWorldOptions } from './testing/world.js';
export {
  storeContract,
  type ContractTest,
  type StoreMaker,
  type Teardown,
} from './testing/stores.js';
