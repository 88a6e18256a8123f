/**
 * 14 Calls §4. What a session description may say before it reaches the browser's WebRTC.
 *
 * A description is written by the other device. It is authenticated, not trusted: it names the certificate
 * that media keys hang on, and it is the one text that a large parser written in C++ will read.
 */
import { VerificationError, fromHex, utf8, type Bytes } from '@qasid/protocol';

import { SDP_BYTES_MAX } from './limits.js';

/** What a checked description commits its sender to. */
export interface CheckedDescription {
  /** SHA-256 of the DTLS certificate, 32 bytes. */
  readonly fingerprint: Bytes;
  readonly audioLines: number;
  readonly videoLines: number;
  readonly dataLines: number;
}

/** Most lines of each kind: one microphone, camera and screen, one data channel. */
const LINES_MAX = { audio: 1, video: 2, application: 1 } as const;

/** SHA-256 in the notation of RFC 8122. */
const FINGERPRINT = /^sha-256 ((?:[0-9A-Fa-f]{2}:){31}[0-9A-Fa-f]{2})$/;

/**
 * Check a description of the other side.
 *
 * @throws VerificationError `VERIFY_CALL` when it is too large, has not exactly one SHA-256 fingerprint, more
 * than one bundle, media that is not multiplexed, or lines that no call of ours has.
 */
export function checkDescription(sdp: string): CheckedDescription {
  if (utf8(sdp).length > SDP_BYTES_MAX) throw refused('too large');
  const lines = sdp.split(/\r?\n/);
  if (lines[0] !== 'v=0') throw refused('not a session description');
  const counts = { audio: 0, video: 0, application: 0 };
  const names = { all: new Set<string>(), open: new Set<string>() };
  const fingerprints = new Set<string>();
  const bundles: string[] = [];
  let section: Section | undefined;
  const finish = (): void => {
    if (section !== undefined) finishSection(section, names);
  };
  for (const line of lines) {
    if (line.startsWith('m=')) {
      finish();
      section = openSection(line, counts);
      continue;
    }
    const attribute = attributeOf(line);
    if (attribute === undefined) continue;
    const [name, value] = attribute;
    if (name === 'fingerprint') fingerprints.add(value.toLowerCase());
    else if (name === 'group' && section === undefined) bundles.push(value);
    else if (section !== undefined) section.attributes.set(name, value);
  }
  finish();
  if (section === undefined) throw refused('no media');
  const [bundle] = bundles;
  if (bundles.length !== 1 || !isWholeBundle(bundle ?? '', names)) throw refused('not one bundle');
  return {
    fingerprint: onlyFingerprint(fingerprints),
    audioLines: counts.audio,
    videoLines: counts.video,
    dataLines: counts.application,
  };
}

/** Names of media lines: all of them, and those that were not turned down. */
interface Names {
  readonly all: Set<string>;
  readonly open: Set<string>;
}

/** One `m=` line and the attributes below it. */
interface Section {
  readonly kind: keyof typeof LINES_MAX;
  /** Port 0: turned down, unless it is only ever bundled. */
  readonly hasPort: boolean;
  readonly attributes: Map<string, string>;
}

function openSection(line: string, counts: Record<keyof typeof LINES_MAX, number>): Section {
  const [kind, port] = line.slice(2).split(' ', 2);
  if (kind !== 'audio' && kind !== 'video' && kind !== 'application') {
    throw refused('media of an unknown kind');
  }
  counts[kind]++;
  if (counts[kind] > LINES_MAX[kind]) throw refused('more media than a call has');
  return { kind, hasPort: port !== '0', attributes: new Map() };
}

function finishSection({ kind, hasPort, attributes }: Section, { all, open }: Names): void {
  const mid = attributes.get('mid');
  if (mid === undefined || all.has(mid)) throw refused('media without a name of its own');
  all.add(mid);
  if (!hasPort && !attributes.has('bundle-only')) return;
  open.add(mid);
  if (kind !== 'application' && !attributes.has('rtcp-mux')) throw refused('not multiplexed');
  // SDES would put media keys into the description, beside DTLS.
  if (attributes.has('crypto')) throw refused('keys in the description');
}

function attributeOf(line: string): readonly [string, string] | undefined {
  if (!line.startsWith('a=')) return undefined;
  const colon = line.indexOf(':');
  return colon < 0 ? [line.slice(2), ''] : [line.slice(2, colon), line.slice(colon + 1)];
}

/** `a=group:BUNDLE 0 1 2` with every media line that was not turned down. */
function isWholeBundle(group: string, { all, open }: Names): boolean {
  const [kind, ...members] = group.split(' ');
  const bundled = new Set(members);
  return (
    kind === 'BUNDLE' &&
    bundled.size === members.length &&
    members.every((mid) => all.has(mid)) &&
    [...open].every((mid) => bundled.has(mid))
  );
}

function onlyFingerprint(fingerprints: ReadonlySet<string>): Bytes {
  const [text] = fingerprints;
  const hex = FINGERPRINT.exec(text ?? '')?.[1];
  const bytes = fingerprints.size === 1 && hex ? fromHex(hex.replaceAll(':', '')) : undefined;
  if (bytes === undefined) throw refused('not exactly one SHA-256 fingerprint');
  return bytes;
}

function refused(why: string): VerificationError {
  return new VerificationError('VERIFY_CALL', `session description refused: ${why}`);
}
