/**
 * 15 Content. What is inside a decrypted message. Spec: spec/15-content.md.
 */
export * from './types.js';
export * from './limits.js';
export { BODY_FIELDS, isAppType, type KnownKind } from './bodies.js';
export { decodeContent, encodeContent, withoutLink } from './codec.js';
export {
  CONTENT_BYTES_MAX,
  MESSAGE_OVERHEAD_BYTES,
  padContent,
  unpadContent,
} from './padding.js';
export * from './chain.js';
