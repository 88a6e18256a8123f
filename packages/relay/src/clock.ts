/**
 * 13 Relay. The port to time. Tests drive it by hand; everything that waits goes through it.
 */

/** Cancels what `after` arranged; harmless when it already ran. */
export type Cancel = () => void;

/** Wall time for people, monotonic time for durations, and timers. */
export interface Clock {
  /** Milliseconds since 1970; may jump. */
  nowMs(): number;
  /** Milliseconds since some point; never jumps. */
  monotonicMs(): number;
  /** Run `task` once, `delayMs` from now. Does not keep the process alive. */
  after(delayMs: number, task: () => void): Cancel;
}

/** The clock of this machine. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, task) => {
    const timer = setTimeout(task, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
