/**
 * 13 Relay §10. What a socket without an account may ask for, with a delivery token or the token of an inlet.
 *
 * Whether an account exists, a token is wrong, removed or expired is told by nothing: one read, one hash, one
 * comparison, one answer (ATK-D11, ATK-D12). Nothing here knows who asks, and nothing keeps it.
 */
import {
  type AccountId,
  type Credential,
  type DevicesRequest,
  type SendManyRequest,
  type SendRequest,
  type TakePrekeysRequest,
  toHex,
  tokenVerifier,
} from '@qasid/protocol/envelope';
import { speaksVersion } from '../protocol/authorise.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { AppendPart, TokenRow } from '../store/port.js';
import { type Context, storeRefusal } from './context.js';
import type { Mailboxes, Posting } from './mailboxes.js';
import { type Failure, readMany, replyToMany, viewsOf } from './many.js';
import type { Prekeys } from './prekeys.js';

/** The anonymous half of a relay. */
export class Anonymous {
  readonly #context: Context;
  readonly #mailboxes: Mailboxes;
  readonly #prekeys: Prekeys;
  /** Open anonymous sockets by address key. */
  readonly #sockets = new Map<string, number>();
  /** Makes scopes that nobody outside can compute. Lives as long as the memory of repeats. */
  readonly #scopeKey: Uint8Array;

  constructor(context: Context, mailboxes: Mailboxes, prekeys: Prekeys) {
    this.#context = context;
    this.#mailboxes = mailboxes;
    this.#prekeys = prekeys;
    this.#scopeKey = context.crypto.randomBytes(32);
  }

  /** Whether one more anonymous socket may open. `leave` when it is gone, if so. */
  enter(version: number, addressKey: string): Reply {
    const { budgets, config, isDraining } = this.#context;
    if (!speaksVersion(version)) return refused('UNSUPPORTED');
    if (isDraining) return refused('DRAINING', 2_000);
    const limited = this.#limitAddress(addressKey, 1);
    if (limited !== undefined) return limited;
    const open = this.#sockets.get(addressKey) ?? 0;
    const isLimited = budgets.sealedPerAddress !== undefined;
    if (isLimited && open >= config.anonymousSocketsMax) return refused('RATE_LIMITED', 10_000);
    this.#sockets.set(addressKey, open + 1);
    return CONFIRMED;
  }

  /** An anonymous socket is gone. */
  leave(addressKey: string): void {
    const open = (this.#sockets.get(addressKey) ?? 1) - 1;
    if (open > 0) this.#sockets.set(addressKey, open);
    else this.#sockets.delete(addressKey);
  }

  /** As `Mailboxes.send`, for whoever has a token. */
  async send(addressKey: string, op: SendRequest): Promise<Reply> {
    const early = this.#mailboxes.refuse(op.parts) ?? this.#limitAddress(addressKey, 1);
    if (early !== undefined) return early;
    try {
      const row = await this.#open(op.dest, op);
      if (row === undefined) return refused('REFUSED');
      const limited = this.#limitToken(row) ?? this.#mailboxes.limitInbound(row.account, op.parts);
      if (limited !== undefined) return limited;
      return concealed(await this.#mailboxes.post(this.#posting(row, op.parts, op)));
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** One message for many: each recipient gets their own view, or is named with the reason (ATK-D14, I09). */
  async sendMany(addressKey: string, op: SendManyRequest): Promise<Reply> {
    const { budgets, config } = this.#context;
    if (!config.multiRecipient) return refused('UNSUPPORTED');
    const read = readMany(op);
    if (read.kind === 'refused') return refused(read.code);
    const cost = Math.min(op.targets.length, budgets.sealedPerAddress?.rule.burst ?? 1);
    const early =
      this.#mailboxes.refuse([{ body: { length: read.viewBytes } }]) ??
      this.#limitAddress(addressKey, cost);
    if (early !== undefined) return early;
    try {
      const failures: Failure[] = [];
      const postings: { readonly dest: AccountId; readonly posting: Posting }[] = [];
      const rows = await Promise.all(
        read.recipients.map(({ target }) => this.#open(target.dest, target)),
      );
      for (const [index, recipient] of read.recipients.entries()) {
        const { dest } = recipient.target;
        const row = rows[index];
        if (row === undefined) {
          failures.push({ dest, reply: refused('REFUSED') });
          continue;
        }
        const parts = viewsOf(this.#context.crypto, op, read.sent, recipient);
        const limited = this.#limitToken(row) ?? this.#mailboxes.limitInbound(row.account, parts);
        if (limited === undefined) postings.push({ dest, posting: this.#posting(row, parts, op) });
        else failures.push({ dest, reply: limited });
      }
      const replies = await this.#mailboxes.postMany(postings.map(({ posting }) => posting));
      for (const [index, { dest }] of postings.entries()) {
        const reply = concealed(replies[index] ?? refused('UNAVAILABLE', 1_000));
        if (reply.code !== 'CONFIRMED') failures.push({ dest, reply });
      }
      return replyToMany(failures);
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** As `Prekeys.take`, for whoever has a token that allows it. */
  async takePrekeys(addressKey: string, op: TakePrekeysRequest): Promise<Reply> {
    const early = this.#limitAddress(addressKey, 1);
    if (early !== undefined) return early;
    try {
      const row = await this.#open(op.account, op, true);
      if (row === undefined) return refused('REFUSED');
      // Who asks is known by address only; where everybody has the same one, by token.
      const { budgets } = this.#context;
      const asks = budgets.sealedPerAddress === undefined ? toHex(row.id) : addressKey;
      return concealed(await this.#prekeys.takeFor(`anonymous ${asks}`, row.account, op.devices));
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Identity key and signed device list, for whoever has a token that allows it. Never the user name. */
  async devices(addressKey: string, op: DevicesRequest): Promise<Reply> {
    const early = this.#limitAddress(addressKey, 1);
    if (early !== undefined) return early;
    try {
      const row = await this.#open(op.account, op, true);
      if (row === undefined) return refused('REFUSED');
      const account = await this.#context.store.account(row.account);
      if (account === undefined) return refused('REFUSED');
      const { identityKey, signed } = account;
      return confirmed({ kind: 'devices', identityKey, devices: signed });
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /**
   * The row that `credential` opens for `dest`, or nothing. The same work whatever is wrong: every check is
   * made, against the store's row of nobody when there is none, and nothing is decided before the last.
   */
  async #open(
    dest: AccountId,
    credential: Credential,
    needsKeys = false,
  ): Promise<TokenRow | undefined> {
    const { store, crypto, clock } = this.#context;
    const { tokenId, token } = credential;
    const id = tokenId ?? dest;
    const { isThere, row } = await store.token(id);
    const verifier = tokenVerifier(crypto, id, token ?? NO_TOKEN);
    const minute = Math.floor(clock.nowMs() / 60_000);
    const checks = [
      isThere && token !== undefined,
      crypto.equal(verifier, row.verifier),
      row.expiresMinute === 0 || row.expiresMinute > minute,
      // An inlet is named by its address alone; a token together with its account.
      row.isInlet === (tokenId === undefined),
      crypto.equal(row.account, dest) !== row.isInlet,
      row.mayFetchKeys || !needsKeys,
    ];
    return checks.every(Boolean) ? row : undefined;
  }

  #posting(
    row: TokenRow,
    parts: readonly AppendPart[],
    { ephemeral, urgent, ttlSeconds }: Pick<Posting, 'ephemeral' | 'urgent' | 'ttlSeconds'>,
  ): Posting {
    const sender = this.#scope(row.id, parts);
    return { dest: row.account, sender, parts, ephemeral, urgent, ttlSeconds };
  }

  /**
   * Whom a repeat must come from: whoever has the same token and sends the same content. A stranger who
   * learned a client id, even one with the same token, can suppress nothing but an exact copy (ATK-I12).
   */
  #scope(tokenId: Uint8Array, parts: readonly AppendPart[]): number {
    const { crypto } = this.#context;
    const inner = parts.map(({ device, clientId, body }) =>
      crypto.sha256(new Uint8Array([device]), clientId, body),
    );
    const hash = crypto.sha256(this.#scopeKey, tokenId, ...inner);
    let scope = 0;
    for (let at = 0; at < 6; at++) scope = scope * 256 + (hash[at] ?? 0);
    return -1 - scope;
  }

  #limitToken(row: TokenRow): Reply | undefined {
    const { budgets, clock } = this.#context;
    const { burst } = budgets.sealedPerToken.rule;
    // A token with a rate of its own pays more for each send, out of the same bucket.
    const price = row.rate === 0 ? 1 : Math.max(1, burst / row.rate);
    const wait = budgets.sealedPerToken.take(toHex(row.id), price, clock.monotonicMs());
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }

  #limitAddress(addressKey: string, amount: number): Reply | undefined {
    const { budgets, clock } = this.#context;
    const wait = budgets.sealedPerAddress?.take(addressKey, amount, clock.monotonicMs()) ?? 0;
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }
}

/** An account that went between the check and the write is refused like one that never was. */
function concealed(reply: Reply): Reply {
  return reply.code === 'NOT_FOUND' ? refused('REFUSED') : reply;
}

const NO_TOKEN = new Uint8Array(32);
