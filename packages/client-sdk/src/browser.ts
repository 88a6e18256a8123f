/**
 * `@qasid/client-sdk/browser`: clients on an IndexedDB store.
 */
export { IndexedDbStore, type IndexedDbStoreOptions } from './stores/indexed-db.js';
