/**
 * `@qasid/client-sdk/calls`: audio, video and data between two people. For browsers; in Node with a WebRTC
 * implementation of one's own.
 */
export {
  Call,
  Calls,
  type CallEvents,
  type CallsEvents,
  type CallsOptions,
  type CallStatus,
  type RelayOnly,
} from './calls/calls.js';
export type { CallMedia } from './calls/messages.js';
export type { EndReason } from './calls/state-types.js';
