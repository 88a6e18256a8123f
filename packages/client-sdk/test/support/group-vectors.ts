/**
 * Vectors of chapter 19: entries, states, records and signals as bytes. `node dist-test/support/group-vectors.js
 * --write` writes them; a test compares.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defaultCrypto, toHex, toPrivateKey } from '@qasid/protocol';
import { accountText, toAccountId } from '@qasid/protocol/envelope';

// Pure internals: reached by path, not by the public names.
import {
  encodeGroupEntry,
  epochCommitment,
  groupEntryHash,
  signGroupEntry,
  type GroupChange,
  type GroupEntry,
} from '../../dist/groups/entry.js';
import { formatLink, tokenHash } from '../../dist/groups/link.js';
import { recordKeysOf, sealRecord } from '../../dist/groups/secrets.js';
import { encodeSignal, type SignalBody } from '../../dist/groups/signals.js';
import {
  encodeGroupState,
  groupStateHash,
  nextGroupState,
  type GroupState,
} from '../../dist/groups/state.js';

type Bytes = Uint8Array<ArrayBuffer>;

const bytes = (length: number, value: number): Bytes => new Uint8Array(length).fill(value);
const account = (value: number): string => accountText(toAccountId(bytes(16, value)));
const crypto = { ...defaultCrypto, randomBytes: (length: number) => bytes(length, 0x5a) };
const identity = toPrivateKey(bytes(32, 0x48));
const groupId = bytes(32, 0x61);
const secret = bytes(32, 0x71);
const next = bytes(32, 0x72);

const STEPS: readonly (readonly GroupChange[])[] = [
  [
    { kind: 'title', title: 'Ministry' },
    { kind: 'add', account: account(2), role: 'member', byLink: false },
    { kind: 'add', account: account(3), role: 'admin', byLink: false },
    { kind: 'epoch', commitment: epochCommitment(crypto, secret) },
  ],
  [
    { kind: 'description', description: 'salaam' },
    { kind: 'timer', seconds: 3_600 },
    { kind: 'policy', policy: { add: 'admins', edit: 'members', send: 'members' } },
    { kind: 'role', account: account(2), role: 'admin' },
    {
      kind: 'link',
      link: {
        tokenHash: tokenHash(crypto, bytes(16, 9)),
        maker: account(1),
        needsApproval: true,
        usesMax: 5,
      },
    },
    { kind: 'picture', picture: bytes(7, 7) },
  ],
  [
    { kind: 'add', account: account(4), role: 'member', byLink: true },
    { kind: 'remove', account: account(2) },
    { kind: 'epoch', commitment: epochCommitment(crypto, next) },
  ],
  [{ kind: 'link', link: undefined }, { kind: 'leave' }],
];

/** Files below `test-vectors/groups/`, by name. */
export function groupVectors(): ReadonlyMap<string, string> {
  const entries: unknown[] = [];
  const signedEntries: { readonly entry: Bytes; readonly signature: Bytes }[] = [];
  let state: GroupState | undefined;
  let parent = bytes(32, 0);
  for (const [index, changes] of STEPS.entries()) {
    const draft: GroupEntry = {
      ...{ groupId, version: index + 1, parent, author: account(1), atMs: 1_000 + index, changes },
      stateHash: bytes(32, 0),
    };
    state = nextGroupState(state, draft);
    const entry = { ...draft, stateHash: groupStateHash(crypto, state) };
    const signed = signGroupEntry(crypto, identity, bytes(64, 0x33), entry);
    signedEntries.push(signed);
    parent = groupEntryHash(crypto, encodeGroupEntry(entry));
    entries.push({
      version: entry.version,
      entry: toHex(signed.entry),
      signature: toHex(signed.signature),
      hash: toHex(parent),
      state: toHex(encodeGroupState(state)),
      stateHash: toHex(entry.stateHash),
    });
  }
  if (state === undefined) throw new Error('no state');
  const keys = recordKeysOf(crypto, secret);
  const [first] = signedEntries;
  const signals: Readonly<Record<string, SignalBody>> = {
    entries: { kind: 'entries', entries: signedEntries, secret },
    plain: { kind: 'entries', entries: [], secret: undefined },
    welcome: { kind: 'welcome', entry: first!, state, secret },
    distribution: { kind: 'distribution', epoch: 3, head: parent, message: bytes(90, 4) },
    'want-key': { kind: 'want', distribution: bytes(16, 5), have: undefined },
    'want-entries': { kind: 'want', distribution: undefined, have: parent },
    'want-all': { kind: 'want', distribution: undefined, have: undefined },
    join: { kind: 'join', token: bytes(16, 9) },
  };
  const put = (value: object): string => `${JSON.stringify(value, undefined, 2)}\n`;
  const chapter = 'spec/19-groups.md';
  return new Map([
    [
      'entries.json',
      put({
        ...{ chapter, about: 'One group from its founding on, by one author.' },
        identityKey: toHex(crypto.x25519PublicKey(identity)),
        signatureRandom: toHex(bytes(64, 0x33)),
        cases: entries,
      }),
    ],
    [
      'record.json',
      put({
        ...{ chapter, about: 'The record of the first epoch. Its IV is 16 bytes of 0x5a.' },
        secret: toHex(secret),
        commitment: toHex(epochCommitment(crypto, secret)),
        id: toHex(keys.id),
        key: toHex(keys.key),
        capability: toHex(keys.capability),
        value: toHex(sealRecord(crypto, keys, { entries: signedEntries, state })),
      }),
    ],
    [
      'signals.json',
      put({
        ...{ chapter, about: 'What devices tell each other.' },
        cases: Object.entries(signals).map(([name, body]) => ({
          name,
          signal: toHex(encodeSignal({ groupId, body })),
        })),
        link: formatLink({ groupId, maker: account(1), token: bytes(16, 9) }),
      }),
    ],
  ]);
}

/** Where they lie. */
export const GROUP_VECTORS: string = fileURLToPath(
  new URL('../../../../test-vectors/groups/', import.meta.url),
);

if (process.argv.includes('--write')) {
  mkdirSync(GROUP_VECTORS, { recursive: true });
  for (const [name, text] of groupVectors()) writeFileSync(GROUP_VECTORS + name, text);
}
