/**
 * 13 Relay §2. Tickets of the host application: who may register is decided by its backend, which signs a
 * JSON Web Token for one of its users. The relay checks it and keeps keyed hashes of `sub` and `jti`.
 *
 * Checking signatures and claims is jose's; which algorithm, issuer, audience and key is ours to say, never
 * the token's.
 */
import { createHmac, createPublicKey, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { copyBytes, type Bytes } from '@qasid/protocol/envelope';
import { decodeProtectedHeader, errors, jwtVerify } from 'jose';
import type { RelayConfig } from '../config.js';
import { RelayError } from '../errors.js';
import type { VerifiedTicket } from '../store/port-admission.js';

/** A public key of the host application's backend. */
export interface TicketKey {
  readonly key: KeyObject;
  /** Of a JWK; a PEM has none. */
  readonly kid: string | undefined;
}

/** Checks tickets for one relay. */
export class Tickets {
  readonly #keys: readonly TicketKey[];
  readonly #issuer: string;
  readonly #audience: string;
  readonly #maxSeconds: number;
  readonly #secret: Uint8Array;

  /** @param secret - Key of the hashes of users and tickets, 32 bytes. */
  constructor(config: RelayConfig, keys: readonly TicketKey[], secret: Uint8Array) {
    const { ticketIssuer, ticketAudience, ticketMaxSeconds } = config;
    this.#keys = keys;
    this.#issuer = ticketIssuer ?? '';
    this.#audience = ticketAudience ?? '';
    this.#maxSeconds = ticketMaxSeconds;
    this.#secret = secret;
  }

  /** The ticket, or `undefined` for one that is not ours, not signed, not for now, or not complete. */
  async verify(token: string, nowMs: number): Promise<VerifiedTicket | undefined> {
    for (const { key, kid } of this.#keys) {
      const claims = await this.#claims(token, key, kid, nowMs);
      if (claims !== undefined) return claims;
    }
    return undefined;
  }

  async #claims(
    token: string,
    key: KeyObject,
    kid: string | undefined,
    nowMs: number,
  ): Promise<VerifiedTicket | undefined> {
    try {
      const header = decodeProtectedHeader(token);
      if (kid !== undefined && header.kid !== undefined && header.kid !== kid) return undefined;
      const { payload } = await jwtVerify(token, key, {
        // Pinned: a token does not choose how it is checked (no `none`, no key taken for a secret).
        algorithms: ['EdDSA', 'Ed25519'],
        issuer: this.#issuer,
        audience: this.#audience,
        requiredClaims: ['sub', 'jti', 'exp', 'nbf'],
        clockTolerance: TOLERANCE_SECONDS,
        currentDate: new Date(nowMs),
      });
      const { sub, jti, exp = 0, nbf = 0 } = payload;
      if (!isName(sub) || !isName(jti)) return undefined;
      // Each `jti` is remembered until its ticket is over: a long life would fill the relay.
      if (exp - nbf > this.#maxSeconds) return undefined;
      if (exp * 1000 - nowMs > (this.#maxSeconds + TOLERANCE_SECONDS) * 1000) return undefined;
      return {
        user: this.#hash('sub', sub),
        id: this.#hash('jti', jti),
        untilMinute: Math.ceil((exp + TOLERANCE_SECONDS) / 60) + 1,
        replaces: payload.qasid_replace === true,
      };
    } catch (error) {
      if (error instanceof errors.JOSEError || error instanceof TypeError) return undefined;
      throw error;
    }
  }

  /** The issuer is part of it: another application may have a user of the same name. */
  #hash(claim: string, value: string): Bytes {
    const text = JSON.stringify([claim, this.#issuer, value]);
    return copyBytes(createHmac('sha256', this.#secret).update(text).digest());
  }
}

/** The public Ed25519 keys of a file: one JWK, a JWK set, or PEM blocks. @throws RelayError `RELAY_CONFIG` */
export function readTicketKeys(file: string): readonly TicketKey[] {
  try {
    const text = readFileSync(file, 'utf8');
    const keys = text.trimStart().startsWith('{') ? jwkKeys(text) : pemKeys(text);
    if (keys.length === 0) throw new TypeError('no key');
    for (const { key } of keys) {
      if (key.asymmetricKeyType !== 'ed25519') throw new TypeError('not Ed25519');
    }
    return keys;
  } catch (cause) {
    throw new RelayError(
      'RELAY_CONFIG',
      'ticket_key_file holds no public Ed25519 key that can be used',
      'give it a JWK, a JWK set, or PEM public keys: see docs/guides/bring-your-own-users.md',
      { cause },
    );
  }
}

function jwkKeys(text: string): readonly TicketKey[] {
  const parsed: unknown = JSON.parse(text);
  const set = parsed as { readonly keys?: readonly object[] };
  return (set.keys ?? [parsed as object]).map((jwk) => {
    const { kid, d } = jwk as { readonly kid?: unknown; readonly d?: unknown };
    // A relay that holds the private key could make tickets: it has no business here.
    if (d !== undefined) throw new TypeError('private key');
    return {
      key: createPublicKey({ key: jwk as never, format: 'jwk' }),
      kid: typeof kid === 'string' ? kid : undefined,
    };
  });
}

function pemKeys(text: string): readonly TicketKey[] {
  const blocks = text.match(/-----BEGIN [A-Z ]+-----[^-]+-----END [A-Z ]+-----/g) ?? [];
  return blocks.map((pem) => {
    if (pem.includes('PRIVATE')) throw new TypeError('private key');
    return { key: createPublicKey(pem), kid: undefined };
  });
}

function isName(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= NAME_CHARS_MAX;
}

/** How far the clocks of backend and relay may differ. Lower: honest tickets fail. Higher: they live longer. */
const TOLERANCE_SECONDS = 30;

const NAME_CHARS_MAX = 256;
