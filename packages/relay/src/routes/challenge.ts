/**
 * 13 Relay §1. What a socket is greeted with.
 */
import {
  type ChallengeEvent,
  MAX_ENVELOPE_BYTES,
  MAX_FRAME_BYTES,
  MAX_MANY_RECIPIENTS,
  MAX_SEND_PARTS,
  RELAY_PROTOCOL_VERSION,
} from '@qasid/protocol/envelope';
import type { Context } from '../service/context.js';

/** A challenge with a fresh nonce. */
export function newChallenge({ clock, config, crypto, relayId, epoch }: Context): ChallengeEvent {
  return {
    kind: 'challenge',
    nonce: crypto.randomBytes(32),
    relayId,
    limits: {
      frameBytesMax: MAX_FRAME_BYTES,
      partsMax: MAX_SEND_PARTS,
      bodyBytesMax: MAX_ENVELOPE_BYTES,
      windowEnvelopes: config.windowEnvelopes,
      windowBytes: config.windowBytes,
      creditParts: config.creditParts,
      creditBytes: config.creditBytes,
      devicesMax: config.devicesMax,
      recipientsMax: config.multiRecipient ? MAX_MANY_RECIPIENTS : 0,
      padding: config.requirePadding ? 1 : 0,
    },
    serverTimeMs: clock.nowMs(),
    versionMin: RELAY_PROTOCOL_VERSION,
    versionMax: RELAY_PROTOCOL_VERSION,
    epoch,
  };
}
