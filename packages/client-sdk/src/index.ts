export * from './errors.js';
export * from './stores/port.js';
export { MemoryStore } from './stores/memory.js';
