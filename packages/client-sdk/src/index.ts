/**
 * `@qasid/client-sdk`: end-to-end encrypted messages that are neither lost nor shown twice.
 *
 * Runs in browsers and in Node. What differs between them is loaded by `QasidClient.open` and lies behind `#platform`.
 */
export { QasidClient } from './client.js';
export type { DocumentInput, TextInput } from './compose.js';
export type { Conversation } from './conversation.js';
export type {
  ClientEvents,
  ClientOptions,
  ConversationInfo,
  DevicesChangedEvent,
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
export type {
  AccountDevice,
  DeviceGrant,
  DeviceRequest,
  Devices,
  LinkingOptions,
} from './devices.js';
export type { MessageDocument, DocumentOptions, DocumentProgress } from './documents/document.js';
export type { Documents, PendingUpload, UploadOptions } from './documents/documents.js';
export { FILE_NAME_BYTES_MAX, safeFileName, safeMediaType } from './documents/file-name.js';
export { DOCUMENT_BYTES_MAX } from './documents/limits.js';
export { describeFile } from './documents/source.js';
export type { DocumentSource, FileAccess, FileInput } from './documents/source.js';
export type { Upload } from './documents/upload.js';
export {
  AccountError,
  DocumentError,
  GroupError,
  LinkError,
  NetworkError,
  type AccountErrorCode,
  type DocumentErrorCode,
  type GroupErrorCode,
  type LinkErrorCode,
  type NetworkErrorCode,
} from './errors.js';
export type {
  GroupChanged,
  GroupEntryInfo,
  GroupForked,
  GroupRequest,
} from './groups/events.js';
export type {
  GroupChange,
  GroupLink,
  GroupPermission,
  GroupPolicy,
  GroupRole,
} from './groups/entry.js';
export type { Group, GroupInfo, GroupMember } from './groups/group.js';
export type { JoinRequest, NewGroup } from './groups/open-group.js';
export type {
  LinkChoices,
  LinkedDevice,
  Linking,
  LinkQr,
  LinkRequest,
} from './linking/admitting.js';
export type { DevicesChange } from './linking/device-changes.js';
export { relayOfLink, type JoinOptions, type LinkOptions } from './linking/join-account.js';
export { isLinkText } from './linking/link-text.js';
export type { TransferProgress } from './linking/transfers.js';
export type { RegisterOptions } from './registrar.js';
export type { Recovered, RepairStuck } from './repair/repairs.js';
export type { SealedPolicy, VisibleCause } from './sealed/post.js';
export type { IceServer, Signal, SignalAudience, SignalOptions, Signals } from './signals.js';
export type { TrustDecision, TrustEvent, TrustPolicy } from './trust.js';
export { MemoryStore } from './stores/memory.js';
export type * from './stores/port.js';
export { PLACE_STEP } from './stores/port.js';
export type { Dial, Socket, SocketClosed, SocketEvents } from './transport/port.js';
export { platformDial, webSocketDial, type WebSocketClass } from './transport/websocket.js';
