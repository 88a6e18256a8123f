/**
 * 13 Relay §12. Credentials for a TURN server that shares a secret with the relay (coturn's
 * `use-auth-secret`). They name nobody: the id in them is random, made for one answer.
 */
import { createHmac } from 'node:crypto';
import type { Authorised } from '../protocol/connection.js';
import { confirmed, type Reply, refused } from '../protocol/replies.js';
import type { Context } from './context.js';

/** Gives out credentials; `UNSUPPORTED` where no TURN server is configured. */
export class Turn {
  readonly #context: Context;
  /** Shared with the TURN server; lives as long as the relay. */
  readonly #secret: Uint8Array | undefined;

  constructor(context: Context, secret: Uint8Array | undefined) {
    this.#context = context;
    this.#secret = secret;
  }

  /** New credentials. */
  async credentials(who: Authorised): Promise<Reply> {
    const { config, budgets, clock, crypto } = this.#context;
    if (this.#secret === undefined) return refused('UNSUPPORTED');
    const wait = budgets.turn.take(String(who.mailbox), 1, clock.monotonicMs());
    if (wait > 0) return refused('RATE_LIMITED', wait);
    const { turnUrls: urls, turnTtlSeconds: ttlSeconds } = config;
    const expires = Math.floor(clock.nowMs() / 1000) + ttlSeconds;
    const id = Buffer.from(crypto.randomBytes(12)).toString('base64url');
    const username = `${expires}:${id}`;
    // SHA-1 is what the scheme fixes; as a MAC it is not broken.
    const credential = createHmac('sha1', this.#secret).update(username).digest('base64');
    return confirmed({ kind: 'turn', urls, username, credential, ttlSeconds });
  }
}
