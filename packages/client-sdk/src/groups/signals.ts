/**
 * 19 Groups §10. What devices tell each other about a group, through sessions: the data of a `group` content.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';
import { MAX_ENVELOPE_BYTES } from '@qasid/protocol/envelope';

import { Fields, refuse } from '../content/fields.js';
import type { SignedGroupEntry } from './entry.js';
import { EPOCH_SECRET_BYTES, GROUP_HISTORY_MAX, GROUP_ID_BYTES } from './limits.js';
import { decodeSigned, encodeSigned } from './secrets.js';
import { decodeGroupState, encodeGroupState, type GroupState } from './state.js';

/** Entries, oldest first, and the secret of the epoch that the last one is in. */
export interface EntriesSignal {
  readonly kind: 'entries';
  readonly entries: readonly SignedGroupEntry[];
  /** 32 bytes; `undefined` when no epoch began. */
  readonly secret: Bytes | undefined;
}

/** All that a newcomer needs. */
export interface WelcomeSignal {
  readonly kind: 'welcome';
  readonly entry: SignedGroupEntry;
  readonly state: GroupState;
  readonly secret: Bytes;
}

/** The sender key of the device that sends this. */
export interface DistributionSignal {
  readonly kind: 'distribution';
  readonly epoch: number;
  /** Hash of the sender's head, 32 bytes. */
  readonly head: Bytes;
  /** As chapter 09 has it. */
  readonly message: Bytes;
}

/** Something is missing here. */
export interface WantSignal {
  readonly kind: 'want';
  /** Id of a distribution, 16 bytes; `undefined`: entries after `have`. */
  readonly distribution: Bytes | undefined;
  /** Hash of the asker's head, 32 bytes; `undefined` when it knows nothing of the group. */
  readonly have: Bytes | undefined;
}

/** Somebody followed a link. */
export interface JoinSignal {
  readonly kind: 'join';
  readonly token: Bytes;
}

/** What a signal says. */
export type SignalBody =
  | EntriesSignal
  | WelcomeSignal
  | DistributionSignal
  | WantSignal
  | JoinSignal;

/** One signal. */
export interface GroupSignal {
  /** 32 bytes; zeros in a `want` of a distribution whose group the asker cannot know. */
  readonly groupId: Bytes;
  readonly body: SignalBody;
}

/** Bytes of a link's token. 128 bits: nobody guesses it. ATK-E13. */
export const GROUP_TOKEN_BYTES = 16;

const FIELD = { entries: 2, welcome: 3, distribution: 4, want: 5, join: 6 } as const;

/** The same signal always gives the same bytes. */
export function encodeSignal({ groupId, body }: GroupSignal): Bytes {
  const inner = new ProtoWriter(256);
  switch (body.kind) {
    case 'entries':
      for (const signed of body.entries) inner.bytes(1, encodeSigned(signed));
      if (body.secret !== undefined) inner.bytes(2, body.secret);
      break;
    case 'welcome':
      inner.bytes(1, encodeSigned(body.entry)).bytes(2, encodeGroupState(body.state));
      inner.bytes(3, body.secret);
      break;
    case 'distribution':
      inner.uint64(1, body.epoch).bytes(2, body.head).bytes(3, body.message);
      break;
    case 'want':
      if (body.distribution !== undefined) inner.bytes(1, body.distribution);
      if (body.have !== undefined) inner.bytes(2, body.have);
      break;
    case 'join':
      inner.bytes(1, body.token);
  }
  return new ProtoWriter(512).bytes(1, groupId).bytes(FIELD[body.kind], inner.finish()).finish();
}

/** @throws DecodeError `DECODE_CONTENT`, `DECODE_GROUP` */
export function decodeSignal(encoded: Uint8Array): GroupSignal {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'bytes',
    3: 'bytes',
    4: 'bytes',
    5: 'bytes',
    6: 'bytes',
  });
  const kinds = (Object.keys(FIELD) as (keyof typeof FIELD)[]).filter((kind) =>
    fields.has(FIELD[kind]),
  );
  const [kind] = kinds;
  const inner = kind && fields.view(FIELD[kind]);
  if (kind === undefined || inner === undefined || kinds.length > 1) {
    refuse('a group signal says nothing, or two things');
  }
  return { groupId: fields.bytes(1, GROUP_ID_BYTES), body: decodeBody(kind, inner) };
}

function decodeBody(kind: keyof typeof FIELD, encoded: Uint8Array): SignalBody {
  const bytes = { 1: 'bytes', 2: 'bytes', 3: 'bytes' } as const;
  switch (kind) {
    case 'entries': {
      const fields = new Fields(encoded, bytes, { 1: GROUP_HISTORY_MAX });
      const entries = fields.views(1).map(decodeSigned);
      return { kind, entries, secret: fields.optionalBytes(2, EPOCH_SECRET_BYTES) };
    }
    case 'welcome': {
      const fields = new Fields(encoded, bytes);
      return {
        kind,
        entry: decodeSigned(fields.bytes(1, 1, MAX_ENVELOPE_BYTES)),
        state: decodeGroupState(fields.bytes(2, 1, MAX_ENVELOPE_BYTES)),
        secret: fields.bytes(3, EPOCH_SECRET_BYTES),
      };
    }
    case 'distribution': {
      const fields = new Fields(encoded, { ...bytes, 1: 'number' });
      return {
        kind,
        epoch: fields.number(1, 0xffff_ffff),
        head: fields.bytes(2, 32),
        message: fields.bytes(3, 1, 1_024),
      };
    }
    case 'want': {
      const fields = new Fields(encoded, bytes);
      return {
        kind,
        distribution: fields.optionalBytes(1, 16),
        have: fields.optionalBytes(2, 32),
      };
    }
    case 'join':
      return { kind, token: new Fields(encoded, bytes).bytes(1, GROUP_TOKEN_BYTES) };
  }
}
