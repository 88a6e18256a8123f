// Rows with all fields filled, for store tests: those of the kit.
export * from '../../dist/testing/stores/rows.js';
