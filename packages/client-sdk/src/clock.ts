/**
 * Time and dice as arguments: production gets the platform's, tests get their own.
 */

/** Handle of a running timer. */
export interface Timer {
  /** Keep it from running; after it ran, does nothing. */
  cancel(): void;
}

/** Wall clock for what people see, timers for what the machine does. Nothing compares one with the other. */
export interface Clock {
  /** Milliseconds since 1970. May be wrong by a day and may jump. */
  now(): number;
  /** Run `action` once after `delayMs`. */
  after(delayMs: number, action: () => void): Timer;
}

/** The platform's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, action) {
    const handle = setTimeout(action, delayMs);
    return { cancel: () => clearTimeout(handle) };
  },
};

/** Resolve after `delayMs`. */
export function sleep(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.after(delayMs, resolve);
  });
}
