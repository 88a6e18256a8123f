// A thread that runs plans: the test runner follows every promise of its own thread, which costs more than
// the simulation itself.
import { parentPort } from 'node:worker_threads';

import { simulate } from './simulation.js';
import type { Outcome, Plan } from './simulation-types.js';

/** What the thread says. */
export type Answer = { readonly outcome: Outcome } | { readonly broken: string };

parentPort?.on('message', (plan: Plan) => {
  simulate(plan).then(
    (outcome) => parentPort?.postMessage({ outcome } satisfies Answer),
    (error: unknown) => {
      const broken = error instanceof Error ? (error.stack ?? error.message) : String(error);
      parentPort?.postMessage({ broken } satisfies Answer);
    },
  );
});
