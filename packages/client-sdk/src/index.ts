/**
 * `@qasid/client-sdk`: end-to-end encrypted messages that are neither lost nor shown twice.
 *
 * Runs in browsers and in Node. What differs between them is loaded by `QasidClient.open` and lies behind `#platform`.
 */
export { QasidClient } from './client.js';
export type { Conversation, TextInput } from './conversation.js';
export type {
  ClientEvents,
  ClientOptions,
  ConversationInfo,
  FirstUse,
  Gap,
  IdentityChange,
  LogLine,
  Me,
  Message,
  MessageBody,
  MessageKey,
  PendingMessage,
  PollResult,
  QuotedMessage,
  ReactionGroup,
  Receipt,
  ReceiptEvent,
  SafetyNumber,
  Sender,
  SenderVisible,
  SentMessage,
  Stalled,
  TypingEvent,
  Undecryptable,
} from './api.js';
export type { Clock, Timer } from './clock.js';
export type {
  AppBody,
  Attachment,
  ContactBody,
  ContactLine,
  LocationBody,
  Mention,
  MessageRef,
  PollBody,
  Quote,
  StyledRange,
  TextBody,
} from './content/types.js';
export type { ConnectionStatus } from './connection.js';
export type { DeviceGrant, DeviceRequest, Devices } from './devices.js';
export {
  AccountError,
  NetworkError,
  type AccountErrorCode,
  type NetworkErrorCode,
} from './errors.js';
export type { RegisterOptions } from './registrar.js';
export type { SealedPolicy, VisibleCause } from './sealed/post.js';
export type { IceServer, Signal, SignalAudience, SignalOptions, Signals } from './signals.js';
export { MemoryStore } from './stores/memory.js';
export type * from './stores/port.js';
export { PLACE_STEP } from './stores/port.js';
export type { Dial, Socket, SocketClosed, SocketEvents } from './transport/port.js';
export { platformDial, webSocketDial, type WebSocketClass } from './transport/websocket.js';
