/**
 * 15 Content §8. The stored state of one conversation: what a person decided, and how far they read.
 */
import { ProtoWriter, type Bytes } from '@qasid/protocol';

import type { Position } from '../stores/port.js';
import { decodeSettings, encodeSettings } from './bodies.js';
import { Fields } from './fields.js';
import { NAME_BYTES_MAX, TIME_MAX_MS, TIMER_SECONDS_MAX } from './limits.js';
import { isLater, type Stamp } from './message-state.js';
import type { ConversationSettings, Timer } from './types.js';

/** Largest draft. */
const DRAFT_BYTES_MAX = 262_144;

/** One conversation, without its messages. */
export interface ConversationState {
  readonly settings: ConversationSettings;
  /** When they were decided, for devices of one account to agree. */
  readonly settingsAt: Stamp;
  /** This device's clock, milliseconds since 1970. */
  readonly lastActivityMs: number;
  /** Received messages that nobody read. */
  readonly unread: number;
  /** Everything up to here was read. */
  readonly readThrough: Position;
  readonly draft: string;
  readonly timer: Timer;
  /** Content id that set the timer, as hex: decides between two with one version. */
  readonly timerId: string;
  /** How the other side wants to be called. */
  readonly profileName: string | undefined;
  readonly profileAt: Stamp | undefined;
}

/** A conversation in which nothing happened yet. */
export function newConversation(status: ConversationSettings['status']): ConversationState {
  return {
    settings: { status, mutedUntilMs: 0, archived: false, retentionSeconds: 0 },
    settingsAt: { atMs: 0, id: '' },
    lastActivityMs: 0,
    unread: 0,
    readThrough: { place: 0, seq: 0 },
    draft: '',
    timer: { seconds: 0, version: 0 },
    timerId: '',
    profileName: undefined,
    profileAt: undefined,
  };
}

/** Take a timer over if it is newer: by version, then by the id of the content that carries it. */
export function takeTimer(state: ConversationState, timer: Timer, id: string): ConversationState {
  const { version } = state.timer;
  const newer = timer.version > version || (timer.version === version && id > state.timerId);
  if (timer.version === 0 || !newer) return state;
  // Every message repeats the timer: the same one under another id is no change.
  if (timer.version === version && timer.seconds === state.timer.seconds) return state;
  return { ...state, timer, timerId: id };
}

/** Take settings over if they were decided later. */
export function takeSettings(
  state: ConversationState,
  settings: ConversationSettings,
  at: Stamp,
): ConversationState {
  return isLater(at, state.settingsAt) ? { ...state, settings, settingsAt: at } : state;
}

/** Bytes of the record. */
export function encodeConversation(state: ConversationState): Bytes {
  const writer = new ProtoWriter(256)
    .bytes(1, encodeSettings(state.settings))
    .uint64(2, state.settingsAt.atMs)
    .text(3, state.settingsAt.id)
    .uint64(4, state.lastActivityMs)
    .uint64(5, state.unread)
    .uint64(6, state.readThrough.place)
    .uint64(7, state.readThrough.seq)
    .text(8, state.draft)
    .uint32(9, state.timer.seconds)
    .uint32(10, state.timer.version)
    .text(11, state.timerId);
  if (state.profileName !== undefined) writer.text(12, state.profileName);
  if (state.profileAt !== undefined) {
    writer.uint64(13, state.profileAt.atMs).text(14, state.profileAt.id);
  }
  return writer.finish();
}

/** @throws DecodeError */
export function decodeConversation(encoded: Uint8Array): ConversationState {
  const fields = new Fields(encoded, {
    1: 'bytes',
    2: 'number',
    3: 'bytes',
    4: 'number',
    5: 'number',
    6: 'number',
    7: 'number',
    8: 'bytes',
    9: 'number',
    10: 'number',
    11: 'bytes',
    12: 'bytes',
    13: 'number',
    14: 'bytes',
  });
  const safe = Number.MAX_SAFE_INTEGER;
  const profileAtMs = fields.optionalNumber(13, TIME_MAX_MS);
  return {
    settings: decodeSettings(fields.view(1) ?? new Uint8Array(0)),
    settingsAt: { atMs: fields.number(2, TIME_MAX_MS), id: fields.text(3, 64) },
    lastActivityMs: fields.number(4, safe),
    unread: fields.number(5, safe),
    readThrough: { place: fields.number(6, safe), seq: fields.number(7, safe) },
    draft: fields.text(8, DRAFT_BYTES_MAX),
    timer: {
      seconds: fields.number(9, TIMER_SECONDS_MAX),
      version: fields.number(10, 0xffff_ffff),
    },
    timerId: fields.text(11, 64),
    profileName: fields.optionalText(12, NAME_BYTES_MAX),
    profileAt:
      profileAtMs === undefined ? undefined : { atMs: profileAtMs, id: fields.text(14, 64) },
  };
}
