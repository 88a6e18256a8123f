/**
 * 13 Relay §10. Delivery tokens and inlets of the store that forgets: the same rules as sqlite-tokens.ts.
 */
import { type AccountId, samePublicBytes, toHex } from '@qasid/protocol/envelope';
import {
  type MailboxNo,
  NO_TOKEN,
  type PutTokenWrite,
  type RemoveTokenWrite,
  type TokenLookup,
  type TokenRow,
  type WriteResults,
} from './port.js';

/** Tokens by id. */
export class MemoryTokens {
  readonly #rows = new Map<string, TokenRow & { readonly mailbox: MailboxNo }>();
  readonly #isThere: (mailbox: MailboxNo) => boolean;

  /** @param isThere - Whether a device still exists: its tokens go with it. */
  constructor(isThere: (mailbox: MailboxNo) => boolean) {
    this.#isThere = isThere;
  }

  get(id: Uint8Array): TokenLookup {
    const row = this.#find(id);
    return row === undefined ? NO_TOKEN : { isThere: true, row };
  }

  #find(id: Uint8Array): TokenRow | undefined {
    const row = this.#rows.get(toHex(id));
    if (row === undefined || !this.#isThere(row.mailbox)) return undefined;
    const { mailbox: _, ...rest } = row;
    return rest;
  }

  of(account: AccountId): readonly TokenRow[] {
    return [...this.#rows.keys()]
      .sort()
      .flatMap((key) => {
        const row = this.#rows.get(key);
        return row === undefined ? [] : [this.#find(row.id)];
      })
      .filter((row) => row !== undefined && samePublicBytes(row.account, account)) as TokenRow[];
  }

  put(write: PutTokenWrite): WriteResults['putToken'] {
    const { account, mailbox, terms, verifier, countMax } = write;
    const known = this.#find(terms.id);
    if (known === undefined) {
      if (this.of(account).length >= countMax) return { kind: 'tooMany' };
    } else if (!samePublicBytes(known.account, account)) return { kind: 'notOwn' };
    this.#rows.set(toHex(terms.id), { ...terms, account, verifier, mailbox });
    return { kind: 'put' };
  }

  remove(write: RemoveTokenWrite): WriteResults['removeToken'] {
    const known = this.#find(write.id);
    const isOwn = known !== undefined && samePublicBytes(known.account, write.account);
    if (isOwn) this.#rows.delete(toHex(write.id));
    return { kind: 'removed', wasThere: isOwn };
  }

  /** Delete what has expired, `limit` rows at most. */
  sweep(nowMinute: number, limit: number): void {
    let left = limit;
    for (const [key, { expiresMinute }] of this.#rows) {
      if (left === 0) break;
      if (expiresMinute === 0 || expiresMinute > nowMinute) continue;
      this.#rows.delete(key);
      left--;
    }
  }
}
