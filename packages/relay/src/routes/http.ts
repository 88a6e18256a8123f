/**
 * 13 Relay §8. The two plain pages: alive, and ready. Everything else is not there (ATK-D08).
 */
import type { HttpAnswer } from '../transport/port.js';

/** What the pages are about. */
export interface Health {
  /** Whether new sends are taken: store answering, not draining. */
  isReady(): boolean;
}

/** The answer to a GET. */
export function httpAnswer(health: Health, path: string): HttpAnswer {
  switch (path) {
    case '/livez':
      return { status: 200, body: 'ok\n' };
    case '/readyz':
      return health.isReady()
        ? { status: 200, body: 'ok\n' }
        : { status: 503, body: 'not ready\n' };
    default:
      return { status: 404, body: 'not found\n' };
  }
}
