/**
 * What the SDK's benchmark takes from the packages beside it: by path, as the tests reach internals, so that
 * bench/ has no dependency that an application would not install anyway.
 */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

export { openNodeClient, nodeDial, SqliteStore } from '../../../packages/client-sdk/dist/node.js';
export type { NodeClientOptions } from '../../../packages/client-sdk/dist/node.js';
export type { Group, Message, QasidClient } from '../../../packages/client-sdk/dist/index.js';

const fromSdk = createRequire(
  new URL('../../../packages/client-sdk/package.json', import.meta.url),
);

/** A package that the SDK's tests are built with. */
export async function toolOfSdk(name: string): Promise<unknown> {
  return import(pathToFileURL(fromSdk.resolve(name)).href);
}

/** Its path. */
export function pathFromSdk(name: string): string {
  return fromSdk.resolve(name);
}
