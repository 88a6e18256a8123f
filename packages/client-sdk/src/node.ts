export { SqliteStore } from './stores/sqlite.js';
