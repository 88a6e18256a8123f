// Tokens, inlets and multi-recipient messages as a client makes them; bodies are whatever a test says.
import {
  type Bytes,
  type Credential,
  type PutTokenRequest,
  type RequestOp,
  type SendManyRequest,
  type SendPart,
  tokenVerifier,
} from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { BenchRelay, FakeSocket } from './bench-relay.js';
import type { Person } from './client.js';

/** A token or inlet with its secret, and what registers it. */
export interface Grant {
  readonly put: PutTokenRequest;
  readonly secret: Bytes;
  /** What a holder puts beside the recipient's name. */
  readonly credential: Credential;
}

export function newGrant(terms: Partial<PutTokenRequest> = {}, secret = provider.randomBytes(32)) {
  const id = terms.id ?? provider.randomBytes(16);
  const put: PutTokenRequest = {
    kind: 'putToken',
    id,
    isInlet: false,
    mayFetchKeys: true,
    expiresMinute: 0,
    rate: 0,
    verifier: tokenVerifier(provider, id, secret),
    ...terms,
  };
  const credential: Credential = put.isInlet ? { token: secret } : { tokenId: id, token: secret };
  return { put, secret, credential } satisfies Grant;
}

/** A send with a token; `name` is the account, or the address of an inlet. */
export function sealedOp(
  name: Uint8Array,
  grant: Pick<Grant, 'credential'>,
  ...parts: readonly SendPart[]
): RequestOp & { readonly kind: 'send' } {
  return {
    kind: 'send',
    dest: name as Person['account'],
    ...grant.credential,
    parts,
    ephemeral: false,
    urgent: false,
    ttlSeconds: 0,
  };
}

/** A socket that said it has no account. */
export async function anonymous(bench: BenchRelay, address?: string): Promise<FakeSocket> {
  const socket = await bench.connect(address);
  const { code } = await socket.ask({ kind: 'anonymous', version: 1 });
  if (code !== 'CONFIRMED') throw new Error(code);
  return socket;
}

/** One recipient of a multi-recipient message: a name, devices, and what only they are to get. */
export interface ManyEntry {
  readonly name: Uint8Array;
  readonly devices: readonly { readonly device: number; readonly registrationId: number }[];
  readonly keyMaterial: Uint8Array;
}

/** A sent message of spec 10 §6.3 around bytes that are no ciphertext. */
export function sentForMany(entries: readonly ManyEntry[], shared: Uint8Array): Bytes {
  const out: number[] = [0x23];
  for (let count = entries.length; ; count >>>= 7) {
    out.push(count > 0x7f ? (count & 0x7f) | 0x80 : count);
    if (count <= 0x7f) break;
  }
  for (const { name, devices, keyMaterial } of entries) {
    out.push(0, ...name);
    for (const [index, { device, registrationId }] of devices.entries()) {
      const more = index < devices.length - 1 ? 0x80 : 0;
      out.push(device, (registrationId >> 8) | more, registrationId & 0xff);
    }
    out.push(...keyMaterial);
  }
  return Uint8Array.from([...out, ...shared]);
}

export function entryFor(person: Person, name: Uint8Array = person.account): ManyEntry {
  return { name, devices: [person], keyMaterial: provider.randomBytes(48) };
}

export function manyOp(
  entries: readonly ManyEntry[],
  credentials: readonly Credential[],
  more: Partial<SendManyRequest> = {},
): SendManyRequest {
  return {
    kind: 'sendMany',
    message: sentForMany(entries, new Uint8Array(463).fill(7)),
    targets: entries.map(({ name }, index) => ({
      dest: name as Person['account'],
      ...credentials[index],
    })),
    clientId: provider.randomBytes(16),
    ephemeral: false,
    urgent: false,
    ttlSeconds: 0,
    ...more,
  };
}
