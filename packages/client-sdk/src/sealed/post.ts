/**
 * 12 Envelope §8.4. Which way a message goes: over the anonymous socket, sealed, or with our name.
 *
 * The rows of the outbox hold what the sessions made. Sealing is one more wrapping, made when a row leaves: so
 * a row can go the other way when a token is refused, with the same messages under the same client ids.
 */
import {
  encodeSealedContent,
  LimitError,
  padSealedContent,
  sealForMany,
  sealV2,
  toHex,
  wipe,
  type Bytes,
  type CryptoProvider,
  type PublicKey,
  type SealedContentType,
} from '@qasid/protocol';
import {
  accountText,
  decodeEnvelope,
  ENVELOPE_BUCKETS,
  parseAccountText,
  type ManyFailure,
  type RequestOp,
  type ResponseItem,
} from '@qasid/protocol/envelope';

import type { Clock } from '../clock.js';
import { NetworkError } from '../errors.js';
import type { ClientStore, ListedDevice, OutboxPart } from '../stores/port.js';
import type { AnonymousLink } from './anonymous.js';
import { CertificateMaker, isSealed } from './certificate.js';
import type { TheirToken } from './records.js';
import { refusedToken, theirToken } from './tokens.js';

/**
 * Whether the relay may learn who sends. `prefer`: sealed when the contact's token is known and works, else
 * with our name, which the event `sender-visible` tells. `require`: never with our name to a contact whose
 * token was once known; what cannot go sealed waits. The first message to somebody names its sender in
 * either. `never`: always with our name.
 */
export type SealedPolicy = 'prefer' | 'require' | 'never';

/**
 * Why something went with our name though a token was known. `refused`: the relay did not take the token: it was
 * replaced, or the relay lies. `unreachable`: no anonymous socket. `too-large`: no room for the certificate.
 */
export type VisibleCause = 'refused' | 'unreachable' | 'too-large';

/** What the post needs. */
export interface PostOptions {
  readonly store: ClientStore;
  readonly crypto: CryptoProvider;
  readonly clock: Clock;
  readonly self: { readonly account: string; readonly device: number };
  readonly policy: SealedPolicy;
  /** By how much the relay's clock was ahead of ours when it last told it. */
  relayAheadMs(): number;
  /** @throws TrustError when a person must compare keys first. */
  checkMayWrite(account: string): Promise<void>;
  readonly anonymous: Pick<AnonymousLink, 'request' | 'requestPatiently'>;
  /** The authorised socket. */
  readonly named: {
    request(op: RequestOp): Promise<ResponseItem>;
    requestPatiently(op: RequestOp): Promise<ResponseItem>;
  };
  onSenderVisible(account: string, cause: VisibleCause): void;
}

/** Steps of sealed bodies: not the smallest, which a short message never has and a request for repair would. */
const SIZES = ENVELOPE_BUCKETS.filter((size) => size > 512);

/** Sealed bodies of sends whose fate is not known yet: a retry sends the same bytes. */
const KEPT_MAX = 256;

/** One member of a group that a message goes to. */
export interface ManyRecipient {
  readonly account: string;
  /** The key we trust for it. */
  readonly identityKey: PublicKey;
  readonly devices: readonly ListedDevice[];
}

/** What became of one recipient of a message for many. */
export type ManyOutcome =
  | { readonly kind: 'delivered' }
  /** Device list out of date: refresh, encrypt for who lacks it, send again. */
  | { readonly kind: 'devices'; readonly stale: readonly number[] }
  /** No token, or a refused one: the pairwise way is left. */
  | { readonly kind: 'no-token' }
  /** Nothing was stored for this one; the code is the relay's. */
  | { readonly kind: 'failed'; readonly failure: ManyFailure };

/** Sends, and asks about contacts, sealed where it can. */
export class SealedPost {
  readonly #options: PostOptions;
  readonly #certificates: CertificateMaker;
  readonly #kept = new Map<string, Bytes>();
  /** What was told already, until the next send that went well. */
  readonly #told = new Map<string, VisibleCause>();

  constructor(options: PostOptions) {
    this.#options = options;
    this.#certificates = new CertificateMaker(options.crypto);
  }

  /**
   * One try of a send to all devices of `account`.
   *
   * @param parts - Envelopes as `sealFor` made them, or sealed ones as `sealContent` made them.
   * @throws TrustError `TRUST_NOT_VERIFIED`; NetworkError `NET_SEALED_REFUSED` when the policy forbids the way that is left; LimitError
   * `LIMIT_ENVELOPE_SIZE` likewise; as `RelayLink.request`.
   */
  async send(
    account: string,
    parts: readonly OutboxPart[],
    how: {
      readonly ephemeral?: boolean;
      /** Wake sleeping devices; default: unless ephemeral. */
      readonly urgent?: boolean;
      /** Seconds the relay may keep it; default: as long as it keeps anything. */
      readonly ttlSeconds?: number;
    } = {},
  ): Promise<ResponseItem> {
    const { ephemeral = false, urgent = !ephemeral, ttlSeconds = 0 } = how;
    await this.#options.checkMayWrite(account);
    const send = {
      kind: 'send',
      dest: parseAccountText(account),
      ephemeral,
      urgent,
      ttlSeconds,
    } as const;
    const sealed = await this.#route(account, async (token, named) => {
      const identityKey = await this.#options.store.loadIdentity(account);
      if (identityKey === undefined) return undefined;
      const bodies: OutboxPart[] = [];
      for (const part of parts) {
        bodies.push({ ...part, body: await this.#sealed(identityKey, part) });
      }
      const op = { ...send, parts: bodies, tokenId: token.id, token: token.token };
      const answer = await this.#options.anonymous.request(op);
      if (answer.code === 'CONFIRMED')
        for (const part of parts) this.#kept.delete(this.#keyOf(part));
      return named(answer);
    });
    return sealed ?? this.#options.named.request({ ...send, parts });
  }

  /** Device list and prekeys of a contact, by its token; everything else, and what is left, with our name. */
  async ask(op: RequestOp): Promise<ResponseItem> {
    const { anonymous, named, self } = this.#options;
    if (op.kind !== 'devices' && op.kind !== 'takePrekeys') return named.requestPatiently(op);
    const account = accountText(op.account);
    if (account === self.account) return named.requestPatiently(op);
    const sealed = await this.#route(account, async (token, judge) =>
      judge(await anonymous.requestPatiently({ ...op, tokenId: token.id, token: token.token })),
    );
    return sealed ?? named.requestPatiently(op);
  }

  /**
   * What a message looks like that the identity keys alone authenticate: the sealed content of any type.
   * For what goes to everybody at once, and for what no session can carry.
   */
  async sealedContent(type: SealedContentType, message: Bytes, groupId?: Bytes): Promise<Bytes> {
    const { store, clock, self, relayAheadMs } = this.#options;
    const identity = await store.loadIdentityKeyPair();
    // With a clock that stands in the past, what is made now would be over before it arrives.
    const nowMs = clock.now() + Math.max(0, relayAheadMs());
    const senderCertificate = this.#certificates.current({ ...self, identity }, nowMs);
    return padSealedContent(
      encodeSealedContent({ type, senderCertificate, content: message, contentHint: 0, groupId }),
      SIZES,
    );
  }

  /** A whole body for one account: sealed content as `sealedContent` makes it, for one identity key. */
  async sealOne(identityKey: PublicKey, type: SealedContentType, message: Bytes): Promise<Bytes> {
    const { store, crypto } = this.#options;
    const content = await this.sealedContent(type, message);
    const m = crypto.randomBytes(32);
    try {
      return sealV2(crypto, await store.loadIdentityKeyPair(), identityKey, content, m);
    } finally {
      wipe(m);
    }
  }

  /**
   * One ciphertext for many: the bytes of `SendMany.message`. Keep them with the outbox row and send them
   * again as they are: the relay knows a repeat by them and the client id.
   *
   * @param message - Of the type; 7: a sender-key message.
   * @throws LimitError `LIMIT_ENVELOPE_SIZE`.
   */
  async sealMany(
    type: SealedContentType,
    message: Bytes,
    recipients: readonly ManyRecipient[],
    groupId?: Bytes,
  ): Promise<Bytes> {
    const { store, crypto } = this.#options;
    const content = await this.sealedContent(type, message, groupId);
    const m = crypto.randomBytes(32);
    try {
      const listed = recipients.map(({ account, identityKey, devices }) => ({
        serviceId: serviceIdOf(account),
        identityKey,
        devices: devices.map(({ device, registrationId }) => ({
          deviceId: device,
          registrationId,
        })),
      }));
      return sealForMany(crypto, await store.loadIdentityKeyPair(), listed, [], content, m);
    } finally {
      wipe(m);
    }
  }

  /**
   * Which of these accounts can be reached by `sendMany`: their token is known and was not refused. None under
   * the policy `never`.
   */
  async reachable(accounts: readonly string[]): Promise<ReadonlySet<string>> {
    const found = new Set<string>();
    if (this.#options.policy === 'never') return found;
    for (const account of accounts) {
      const token = await theirToken(this.#options.store, account);
      if (token !== undefined && !token.refused) found.add(account);
    }
    return found;
  }

  /**
   * Send what `sealMany` made, once, over the anonymous socket.
   *
   * @param accounts - Exactly those that `message` names; at most `MAX_MANY_RECIPIENTS`.
   * @param clientId - 16 random bytes, made once per message. A device's copy has the id `viewClientId`.
   * @returns what became of each. A recipient whose token the relay refuses is `no-token` from then on.
   * @throws NetworkError `NET_UNREACHABLE`, `NET_BUSY`, `NET_REFUSED`, and as `RelayLink.request`; nobody
   * may have it then, or everybody: send the same again.
   */
  async sendMany(
    message: Bytes,
    accounts: readonly string[],
    clientId: Bytes,
  ): Promise<ReadonlyMap<string, ManyOutcome>> {
    const { store, anonymous } = this.#options;
    const tokens = new Map<string, TheirToken>();
    for (const account of accounts) {
      const token = await theirToken(store, account);
      if (token !== undefined) tokens.set(account, token);
    }
    const answer = await anonymous.requestPatiently({
      kind: 'sendMany',
      message,
      targets: accounts.map((account) => {
        const token = tokens.get(account);
        const dest = parseAccountText(account);
        // Whoever has no token any more is refused by itself; the others must not wait for that.
        return {
          dest,
          tokenId: token?.id ?? new Uint8Array(16),
          token: token?.token ?? new Uint8Array(32),
        };
      }),
      clientId,
      ephemeral: false,
      urgent: true,
      ttlSeconds: 0,
    });
    const { code, body } = answer;
    if (code !== 'CONFIRMED' && body.kind !== 'manyFailures') {
      throw new NetworkError('NET_REFUSED', `relay answers ${code} to a message for many`);
    }
    const outcomes = new Map<string, ManyOutcome>(
      accounts.map((account) => [account, { kind: 'delivered' }]),
    );
    for (const failure of body.kind === 'manyFailures' ? body.failures : []) {
      const account = accountText(failure.dest);
      const token = tokens.get(account);
      if (failure.code === 'REFUSED') {
        if (token !== undefined) await refusedToken(store, account, token);
        outcomes.set(account, { kind: 'no-token' });
      } else if (failure.code === 'DEVICES_MISMATCH' || failure.code === 'DEVICES_STALE') {
        outcomes.set(account, { kind: 'devices', stale: failure.stale });
      } else outcomes.set(account, { kind: 'failed', failure });
    }
    return outcomes;
  }

  /**
   * Try the sealed way. `undefined`: it is to go with our name.
   *
   * @param attempt - Gets the token, and what judges the relay's answer about it.
   */
  async #route(
    account: string,
    attempt: (
      token: TheirToken,
      judge: (answer: ResponseItem) => Promise<ResponseItem | undefined>,
    ) => Promise<ResponseItem | undefined>,
  ): Promise<ResponseItem | undefined> {
    const { store, policy, self } = this.#options;
    if (policy === 'never' || account === self.account) return undefined;
    const token = await theirToken(store, account);
    if (token === undefined) return undefined;
    if (token.refused) return this.#fallBack(account, 'refused');
    const judge = async (answer: ResponseItem): Promise<ResponseItem | undefined> => {
      if (answer.code !== 'REFUSED') {
        this.#told.delete(account);
        return answer;
      }
      await refusedToken(store, account, token);
      return this.#fallBack(account, 'refused');
    };
    try {
      return await attempt(token, judge);
    } catch (error) {
      if (error instanceof LimitError) return this.#fallBack(account, 'too-large', error);
      const noSocket = error instanceof NetworkError && error.code === 'NET_UNREACHABLE';
      if (noSocket) return this.#fallBack(account, 'unreachable', error);
      throw error;
    }
  }

  /** With our name, and said so; or not at all. */
  #fallBack(account: string, cause: VisibleCause, error?: Error): undefined {
    const { policy, onSenderVisible } = this.#options;
    if (policy === 'require') {
      if (error instanceof LimitError) throw error;
      throw new NetworkError('NET_SEALED_REFUSED', `cannot be sent sealed: ${cause}`, {
        cause: error,
      });
    }
    if (this.#told.get(account) !== cause) {
      this.#told.set(account, cause);
      onSenderVisible(account, cause);
    }
    return undefined;
  }

  async #sealed(identityKey: PublicKey, part: OutboxPart): Promise<Bytes> {
    // A request for repair is made sealed, whichever way it goes.
    if (isSealed(part.body)) return part.body;
    const key = this.#keyOf(part);
    const kept = this.#kept.get(key);
    if (kept !== undefined) return kept;
    const { type, message } = decodeEnvelope(part.body);
    const body = await this.sealOne(identityKey, type, message);
    if (this.#kept.size >= KEPT_MAX) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    this.#kept.set(key, body);
    return body;
  }

  /** Names the ciphertext of a part: one that is encrypted anew keeps its client id. */
  #keyOf({ clientId, body }: OutboxPart): string {
    return toHex(this.#options.crypto.sha256(clientId, body));
  }
}

/** `0x00` and the account: the fixed-width form of chapter 10 §6.3. */
function serviceIdOf(account: string): Bytes {
  const id = new Uint8Array(17);
  id.set(parseAccountText(account), 1);
  return id;
}
