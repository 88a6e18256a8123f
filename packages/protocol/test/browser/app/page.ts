/** Runs on the page and in a worker of it, and posts what both said. */
import { sendFile } from './everything.js';
import { converse } from './pairwise.js';

declare const Worker: new (
  url: URL,
  options: { type: 'module' },
) => { onmessage: (event: { data: unknown }) => void; postMessage(message: unknown): void };

export async function main(): Promise<void> {
  const page = await Promise.all([converse(), sendFile()]);
  const worker = new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });
  const fromWorker = await new Promise((done) => {
    worker.onmessage = ({ data }) => done(data);
    worker.postMessage('go');
  });
  await fetch('/result', { method: 'POST', body: JSON.stringify({ page, worker: fromWorker }) });
}
