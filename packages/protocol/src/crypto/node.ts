/**
 * 01 Primitives. The provider for Node: node:crypto where it is faster, noble for the rest.
 */
import { nobleProvider } from './noble.js';
import type { CryptoProvider } from './provider.js';

/** The provider for Node. */
export const nodeProvider: CryptoProvider = { ...nobleProvider, name: 'node' };

/** What `#provider` resolves to in Node. */
export const provider: CryptoProvider = nodeProvider;
