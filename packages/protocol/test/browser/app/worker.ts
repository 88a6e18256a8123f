/** The same in a Web Worker. */
import { sendFile } from './everything.js';
import { converse } from './pairwise.js';

const scope = globalThis as unknown as {
  onmessage: (() => void) | null;
  postMessage(message: unknown): void;
};
scope.onmessage = () => {
  Promise.all([converse(), sendFile()]).then(
    (results) => scope.postMessage(results),
    (error: unknown) => scope.postMessage([String(error)]),
  );
};
