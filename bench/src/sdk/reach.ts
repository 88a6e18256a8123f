/**
 * What the SDK's benchmark takes from the packages beside it: by path, as the tests reach internals, so that
 * bench/ has no dependency that an application would not install anyway.
 */
export { openNodeClient, nodeDial, SqliteStore } from '../../../packages/client-sdk/dist/node.js';
export type { NodeClientOptions } from '../../../packages/client-sdk/dist/node.js';
export type { Group, Message, QasidClient } from '../../../packages/client-sdk/dist/index.js';
