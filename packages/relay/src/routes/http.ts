/**
 * 13 Relay §8. The two plain pages: alive, and ready. Everything else is not there (ATK-D08).
 */
import type { HttpAnswer } from '../transport/port.js';

/** What the pages are about. */
export interface HealthPages {
  /** Whether the event loop turns. */
  readonly isAlive: boolean;
  /** Whether new sends are taken: store answering, room on the disk, not draining. */
  readonly isReady: boolean;
}

/** The answer to a GET. */
export function httpAnswer(health: HealthPages, path: string): HttpAnswer {
  switch (path) {
    case '/livez':
      return health.isAlive ? OK : { status: 503, body: 'not alive\n' };
    case '/readyz':
      return health.isReady ? OK : { status: 503, body: 'not ready\n' };
    default:
      return { status: 404, body: 'not found\n' };
  }
}

const OK: HttpAnswer = { status: 200, body: 'ok\n' };
