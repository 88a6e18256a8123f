/**
 * 15 Content §5. The chain of a device in a conversation: what was dropped or reordered shows.
 *
 * Each message carries a counter and the hash of the one before it, inside the encryption. The receiver
 * keeps what is missing; a late message fills its place if it fits the hashes on both sides.
 *
 * Pure: states in, states out. ATK-I01, ATK-I02, ATK-C07.
 */
import {
  concatBytes,
  copyBytes,
  ProtoWriter,
  samePublicBytes,
  type Bytes,
  type CryptoProvider,
} from '@qasid/protocol';

import { encodeLinkField } from './codec.js';
import { Fields } from './fields.js';
import {
  CHAIN_COUNTER_MAX,
  CHAIN_ID_BYTES,
  HASH_BYTES,
  LABEL_CHAIN,
  LABEL_DIGEST,
  WITHDRAWN_MAX,
} from './limits.js';
import type { Link } from './types.js';

/** Ranges of missing messages kept for one device. The oldest are given up beyond it. */
export const GAPS_MAX = 64;

/** Hashes of newest messages kept, to tell a repeat from a second message under one counter. */
const RECENT_MAX = 32;

/** Chains of a device that ended, kept to know their late messages. */
const RETIRED_MAX = 4;

const ZEROS: Bytes = new Uint8Array(HASH_BYTES);

/** Our end of a chain: what the next link says. */
export interface OutgoingChain {
  readonly chain: Bytes;
  /** Of the last message, 0 before the first. */
  readonly counter: number;
  readonly last: Bytes;
  readonly withdrawn: readonly number[];
}

/** A message that is shown, by its counter and its content id as hex: what late ones are placed by. */
export interface Anchor {
  readonly counter: number;
  readonly id: string;
}

/** Messages that are missing between two that came. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** Hash of the message before it; absent when that never came either. */
  readonly before: Bytes | undefined;
  /** Hash that the message after it names as its predecessor; absent when that one was withdrawn. */
  readonly after: Bytes | undefined;
  /** The last shown message before it, and the first after it. */
  readonly predecessor: Anchor | undefined;
  readonly successor: Anchor | undefined;
  /** From before this device knew the chain: nobody calls it a loss, but what comes finds its place. */
  readonly silent: boolean;
}

/** What we know of one device's chain in one conversation. */
export interface IncomingChain {
  readonly chain: Bytes;
  /** Highest counter that came. */
  readonly counter: number;
  readonly last: Bytes;
  /** The newest message that is shown. */
  readonly shown: Anchor | undefined;
  /** Rising. */
  readonly gaps: readonly Gap[];
  readonly recent: readonly { readonly counter: number; readonly hash: Bytes }[];
  readonly retired: readonly Bytes[];
  /** Everything up to here that is not missing was deleted by a person: it came, or is not wanted any more. */
  readonly cleared: number;
}

/** A message as the chain sees it. */
export interface Linked {
  readonly link: Link;
  /** Hash of the content with its link. */
  readonly hash: Bytes;
  /** Content id as hex, when it is shown as a message of its own. */
  readonly shown: string | undefined;
}

/** Counters, both included. */
export interface Range {
  readonly from: number;
  readonly to: number;
}

/** A chain after a message, and what the message's link says. */
export interface Accepted {
  readonly state: IncomingChain;
  readonly verdict: ChainVerdict;
  /** Counters that were told to be missing, and that the sender gave up. */
  readonly givenUp: readonly number[];
}

/** What a link says about its message. */
export type ChainVerdict =
  /** The next one. */
  | { readonly kind: 'next' }
  /** Some before it are missing: those that the sender did not give up. */
  | { readonly kind: 'gap'; readonly ranges: readonly Range[] }
  /** It was missing, and stands between these two. */
  | {
      readonly kind: 'late';
      readonly counter: number;
      readonly predecessor: Anchor | undefined;
      readonly successor: Anchor | undefined;
      readonly silent: boolean;
    }
  /** It came before. */
  | { readonly kind: 'repeat' }
  /** Of a chain that ended, or from so long ago that its hash is gone: nothing is known about it. */
  | { readonly kind: 'old' }
  /** Two messages under one counter, or one that does not fit its neighbours: a cloned device, or a lie. */
  | { readonly kind: 'fork'; readonly counter: number };

/** Digest of a content without its link: what quotes are bound to. */
export function contentDigest(crypto: Pick<CryptoProvider, 'sha256'>, content: Uint8Array): Bytes {
  return crypto.sha256(LABEL_DIGEST, content);
}

/** Hash of a content with its link: what the next link names. */
export function chainHash(crypto: Pick<CryptoProvider, 'sha256'>, linked: Uint8Array): Bytes {
  return crypto.sha256(LABEL_CHAIN, linked);
}

/**
 * Put the next link under a content.
 *
 * @param state - `undefined` before the first message.
 * @returns the content with its link, and the state to commit together with what is made of it.
 */
export function appendLink(
  crypto: Pick<CryptoProvider, 'sha256' | 'randomBytes'>,
  state: OutgoingChain | undefined,
  content: Uint8Array,
): { readonly linked: Bytes; readonly state: OutgoingChain } {
  const fresh = state === undefined || state.counter >= CHAIN_COUNTER_MAX;
  const chain = fresh ? crypto.randomBytes(CHAIN_ID_BYTES) : state.chain;
  const counter = fresh ? 1 : state.counter + 1;
  const previous = fresh ? ZEROS : state.last;
  const withdrawn = fresh ? [] : state.withdrawn.slice(0, WITHDRAWN_MAX);
  const linked = concatBytes(content, encodeLinkField({ chain, counter, previous, withdrawn }));
  const last = chainHash(crypto, linked);
  const left = fresh ? [] : state.withdrawn.slice(WITHDRAWN_MAX);
  return { linked, state: { chain, counter, last, withdrawn: left } };
}

/** A message under `link` will never be sent: say so in the next link. */
export function withdrawLink(state: OutgoingChain, link: Link): OutgoingChain {
  if (!samePublicBytes(state.chain, link.chain)) return state;
  // What it was to say of others was not said either.
  const withdrawn = new Set([...state.withdrawn, ...link.withdrawn, link.counter]);
  return { ...state, withdrawn: [...withdrawn] };
}

/**
 * Take a message into the chain of its device.
 *
 * @param fromStart - Whether this device must have everything from counter 1. A device that joined its
 * account later meets chains in the middle, and takes the first link it sees for the beginning.
 */
export function acceptLink(
  state: IncomingChain | undefined,
  message: Linked,
  fromStart: boolean,
): Accepted {
  const { link } = message;
  const same = state !== undefined && samePublicBytes(state.chain, link.chain);
  if (state !== undefined && !same && state.retired.some((id) => samePublicBytes(id, link.chain))) {
    return { state, verdict: { kind: 'old' }, givenUp: [] };
  }
  if (state === undefined || !same) {
    return { ...beginChain(state, message, fromStart), givenUp: [] };
  }
  const accepted = step(state, message);
  if (accepted.verdict.kind === 'fork' || link.withdrawn.length === 0) {
    return { ...accepted, givenUp: [] };
  }
  const gaps = link.withdrawn.reduce<readonly Gap[]>(withdraw, accepted.state.gaps);
  const givenUp = link.withdrawn.filter((counter) =>
    state.gaps.some((gap) => !gap.silent && gap.from <= counter && counter <= gap.to),
  );
  return { state: { ...accepted.state, gaps }, verdict: accepted.verdict, givenUp };
}

/**
 * A person deleted the conversation: what is sent again does not come back, of what this device never had only losses
 * are still awaited.
 */
export function clearChain(state: IncomingChain): IncomingChain {
  const gaps = state.gaps.filter(({ silent }) => !silent);
  return { ...state, gaps, cleared: state.counter };
}

function rangesOf(gaps: readonly Gap[]): readonly Range[] {
  return gaps.map(({ from, to }) => ({ from, to }));
}

function beginChain(
  before: IncomingChain | undefined,
  { link, hash, shown }: Linked,
  fromStart: boolean,
): { readonly state: IncomingChain; readonly verdict: ChainVerdict } {
  const silent = !fromStart && before === undefined;
  const anchor = shown === undefined ? undefined : { counter: link.counter, id: shown };
  const gap: Gap = {
    from: 1,
    to: link.counter - 1,
    before: ZEROS,
    after: link.previous,
    predecessor: undefined,
    successor: anchor,
    silent,
  };
  const retired = before === undefined ? [] : [before.chain, ...before.retired];
  const state: IncomingChain = {
    chain: copyBytes(link.chain),
    counter: link.counter,
    last: hash,
    shown: anchor,
    gaps: link.counter > 1 ? link.withdrawn.reduce<readonly Gap[]>(withdraw, [gap]) : [],
    recent: [{ counter: link.counter, hash }],
    retired: retired.slice(0, RETIRED_MAX),
    cleared: 0,
  };
  const verdict: ChainVerdict =
    !silent && state.gaps.length > 0
      ? { kind: 'gap', ranges: rangesOf(state.gaps) }
      : { kind: 'next' };
  return { state, verdict };
}

function step(
  state: IncomingChain,
  message: Linked,
): { readonly state: IncomingChain; readonly verdict: ChainVerdict } {
  const { link, hash } = message;
  const anchor =
    message.shown === undefined ? undefined : { counter: link.counter, id: message.shown };
  const recent = [...state.recent, { counter: link.counter, hash }].slice(-RECENT_MAX);
  if (link.counter === state.counter + 1) {
    if (!samePublicBytes(link.previous, state.last)) return fork(state, link.counter);
    const gaps = named(state.gaps, anchor);
    const shown = anchor ?? state.shown;
    const next = { ...state, counter: link.counter, last: hash, shown, gaps, recent };
    return { state: next, verdict: { kind: 'next' } };
  }
  if (link.counter > state.counter) {
    const from = state.counter + 1;
    const to = link.counter - 1;
    const gap: Gap = {
      from,
      to,
      before: state.last,
      after: link.previous,
      predecessor: state.shown,
      successor: anchor,
      silent: false,
    };
    const gaps = [...named(state.gaps, anchor), gap].slice(-GAPS_MAX);
    // The sender may have given all of them up.
    const open = link.withdrawn.reduce<readonly Gap[]>(withdraw, [gap]);
    const verdict: ChainVerdict =
      open.length > 0 ? { kind: 'gap', ranges: rangesOf(open) } : { kind: 'next' };
    const shown = anchor ?? state.shown;
    const next = { ...state, counter: link.counter, last: hash, shown, gaps, recent };
    return { state: next, verdict };
  }
  const at = state.gaps.findIndex((gap) => gap.from <= link.counter && link.counter <= gap.to);
  const gap = state.gaps[at];
  if (gap === undefined) {
    const known = state.recent.find(({ counter }) => counter === link.counter);
    // Never taken for a repeat without knowing: it may have been given up, and come all the same.
    if (known === undefined) {
      const kind = link.counter <= state.cleared ? 'repeat' : 'old';
      return { state, verdict: { kind } };
    }
    if (!samePublicBytes(known.hash, hash)) return fork(state, link.counter);
    return { state, verdict: { kind: 'repeat' } };
  }
  const first = link.counter === gap.from;
  const final = link.counter === gap.to;
  const fits =
    (!first || gap.before === undefined || samePublicBytes(link.previous, gap.before)) &&
    (!final || gap.after === undefined || samePublicBytes(hash, gap.after));
  if (!fits) return fork(state, link.counter);
  const parts: Gap[] = [];
  if (!first) {
    const after = link.previous;
    parts.push({ ...gap, to: link.counter - 1, after, successor: anchor ?? gap.successor });
  }
  if (!final) {
    const predecessor = anchor ?? gap.predecessor;
    parts.push({ ...gap, from: link.counter + 1, before: hash, predecessor });
  }
  const rest = [...state.gaps.slice(0, at), ...parts, ...state.gaps.slice(at + 1)];
  const gaps = named(rest, anchor).slice(-GAPS_MAX);
  const isNewest = anchor !== undefined && anchor.counter > (state.shown?.counter ?? 0);
  const { predecessor, successor, silent } = gap;
  return {
    state: { ...state, shown: isNewest ? anchor : state.shown, gaps, recent },
    verdict: { kind: 'late', counter: link.counter, predecessor, successor, silent },
  };
}

function fork(
  state: IncomingChain,
  counter: number,
): { readonly state: IncomingChain; readonly verdict: ChainVerdict } {
  return { state, verdict: { kind: 'fork', counter } };
}

/** A message was shown: what is still missing stands as close to it as to none before. */
function named(gaps: readonly Gap[], shown: Anchor | undefined): readonly Gap[] {
  if (shown === undefined) return gaps;
  return gaps.map((gap) => {
    const { predecessor, successor } = gap;
    const isNext = gap.to < shown.counter && (successor?.counter ?? Infinity) > shown.counter;
    const isLast = gap.from > shown.counter && (predecessor?.counter ?? 0) < shown.counter;
    if (!isNext && !isLast) return gap;
    return isNext ? { ...gap, successor: shown } : { ...gap, predecessor: shown };
  });
}

/** A counter that will not come leaves its gap. Its hash is not known, so its neighbours are not checked. */
function withdraw(gaps: readonly Gap[], counter: number): readonly Gap[] {
  return gaps.flatMap((gap) => {
    if (counter < gap.from || counter > gap.to) return [gap];
    const parts: Gap[] = [];
    // The named predecessor is the withdrawn message itself, which nobody has: the new edge stays open.
    if (counter > gap.from) parts.push({ ...gap, to: counter - 1, after: undefined });
    if (counter < gap.to) parts.push({ ...gap, from: counter + 1, before: undefined });
    return parts;
  });
}

/** Bytes of a stored chain. */
export function encodeOutgoing(state: OutgoingChain): Bytes {
  const writer = new ProtoWriter(96)
    .bytes(1, state.chain)
    .uint32(2, state.counter)
    .bytes(3, state.last);
  for (const counter of state.withdrawn) writer.uint32(4, counter);
  return writer.finish();
}

/** @throws DecodeError */
export function decodeOutgoing(encoded: Uint8Array): OutgoingChain {
  const types = { 1: 'bytes', 2: 'number', 3: 'bytes', 4: 'number' } as const;
  const fields = new Fields(encoded, types, { 4: Number.POSITIVE_INFINITY });
  return {
    chain: fields.bytes(1, CHAIN_ID_BYTES),
    counter: fields.number(2, CHAIN_COUNTER_MAX),
    last: fields.bytes(3, HASH_BYTES),
    withdrawn: fields.numbers(4, CHAIN_COUNTER_MAX),
  };
}

/** Bytes of a stored chain of somebody's device. */
export function encodeIncoming(state: IncomingChain): Bytes {
  const writer = new ProtoWriter(1_024)
    .bytes(1, state.chain)
    .uint32(2, state.counter)
    .bytes(3, state.last);
  for (const gap of state.gaps) {
    const part = new ProtoWriter(160).uint32(1, gap.from).uint32(2, gap.to);
    if (gap.before !== undefined) part.bytes(3, gap.before);
    if (gap.after !== undefined) part.bytes(4, gap.after);
    if (gap.predecessor !== undefined) part.bytes(5, encodeAnchor(gap.predecessor));
    if (gap.successor !== undefined) part.bytes(6, encodeAnchor(gap.successor));
    writer.bytes(4, part.bool(7, gap.silent).finish());
  }
  for (const { counter, hash } of state.recent) {
    writer.bytes(5, new ProtoWriter(48).uint32(1, counter).bytes(2, hash).finish());
  }
  for (const chain of state.retired) writer.bytes(6, chain);
  if (state.shown !== undefined) writer.bytes(7, encodeAnchor(state.shown));
  if (state.cleared > 0) writer.uint32(8, state.cleared);
  return writer.finish();
}

function encodeAnchor({ counter, id }: Anchor): Bytes {
  return new ProtoWriter(48).uint32(1, counter).text(2, id).finish();
}

function decodeAnchor(encoded: Uint8Array | undefined): Anchor | undefined {
  if (encoded === undefined) return undefined;
  const fields = new Fields(encoded, { 1: 'number', 2: 'bytes' });
  return { counter: fields.number(1, CHAIN_COUNTER_MAX), id: fields.text(2, 64) };
}

/** @throws DecodeError */
export function decodeIncoming(encoded: Uint8Array): IncomingChain {
  const types = {
    1: 'bytes',
    2: 'number',
    3: 'bytes',
    4: 'bytes',
    5: 'bytes',
    6: 'bytes',
    7: 'bytes',
    8: 'number',
  } as const;
  const lists = { 4: GAPS_MAX, 5: RECENT_MAX, 6: RETIRED_MAX };
  const fields = new Fields(encoded, types, lists);
  return {
    chain: fields.bytes(1, CHAIN_ID_BYTES),
    counter: fields.number(2, CHAIN_COUNTER_MAX),
    last: fields.bytes(3, HASH_BYTES),
    shown: decodeAnchor(fields.view(7)),
    gaps: fields.views(4).map((view) => {
      const gap = new Fields(view, {
        1: 'number',
        2: 'number',
        3: 'bytes',
        4: 'bytes',
        5: 'bytes',
        6: 'bytes',
        7: 'number',
      });
      return {
        from: gap.number(1, CHAIN_COUNTER_MAX),
        to: gap.number(2, CHAIN_COUNTER_MAX),
        before: gap.optionalBytes(3, HASH_BYTES),
        after: gap.optionalBytes(4, HASH_BYTES),
        predecessor: decodeAnchor(gap.view(5)),
        successor: decodeAnchor(gap.view(6)),
        silent: gap.flag(7),
      };
    }),
    recent: fields.views(5).map((view) => {
      const entry = new Fields(view, { 1: 'number', 2: 'bytes' });
      return { counter: entry.number(1, CHAIN_COUNTER_MAX), hash: entry.bytes(2, HASH_BYTES) };
    }),
    retired: fields.views(6).map(copyBytes),
    cleared: fields.number(8, CHAIN_COUNTER_MAX),
  };
}
