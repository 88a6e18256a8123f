/**
 * 13 Relay. The public names: start a relay inside a program. `main.ts` is the same as a command.
 */
export { askOperator, type OperatorReply } from './admin/client.js';
export {
  type BackupOptions,
  backupRelay,
  type DatabaseCounts,
  type RestoreReport,
  restoreRelay,
  type VerifyReport,
  verifyRelay,
} from './backup.js';
export type { Bus, Hint, NodeId } from './bus.js';
export { type Cancel, type Clock, systemClock } from './clock.js';
export { checkConfig, type NameOf, type Profile, profileOf } from './config/check.js';
export { type ConfigSources, type LoadedConfig, loadConfig } from './config/load.js';
export { DANGERS, type Danger } from './config/dangers.js';
export { commentedConfig, printConfig } from './config/print.js';
export { type ConfigProblem, RelayConfigError, sentence } from './config/problems.js';
export {
  DEFAULT_CONFIG,
  NO_QUOTAS,
  type Quotas,
  type RelayConfig,
  type RelayOptions,
} from './config.js';
export { RelayError, type RelayErrorCode } from './errors.js';
export { type StoredEnvelope, storedEnvelopes } from './inspect.js';
export {
  createLog,
  type Log,
  type LogEvent,
  type LogFields,
  type LogLevel,
  silentLog,
} from './observe/log.js';
export type { BucketRule } from './protocol/quota.js';
export type { Metrics } from './observe/metrics.js';
export { type RelayParts, type RunningRelay, startRelay } from './relay.js';
export type { MailboxNo, QueuedEnvelope, RelayStore, StoreTotals } from './store/port.js';
