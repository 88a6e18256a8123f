/**
 * 13 Relay §8. Settings that are refused where others reach the relay, unless `iKnow` names them. ATK-L07
 */

/** What is dangerous, and why. */
export const DANGERS = {
  'debug-logs': 'log_level trace or debug writes a line for every request',
  'memory-store': 'store memory loses every message when the relay stops',
  'no-quotas': 'a quota is a thousand times the default or more, which is none',
  'open-metrics': 'the metrics listener is not encrypted and is on an address others reach',
  'plain-ws': 'connections are not encrypted: no certificate, and no proxy that has one',
  'synchronous-normal': 'synchronous NORMAL loses confirmed messages at power loss',
} as const;

/** A key of {@link DANGERS}. */
export type Danger = keyof typeof DANGERS;
