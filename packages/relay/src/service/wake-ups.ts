/**
 * 13 Relay §8. When a device is woken: something urgent came, and no socket of it is there.
 */
import type { PutPushRequest } from '@qasid/protocol/envelope';
import { copyBytes } from '@qasid/protocol/envelope';
import type { Authorised } from '../protocol/connection.js';
import { BucketTable } from '../protocol/quota.js';
import { CONFIRMED, confirmed, type Reply, refused } from '../protocol/replies.js';
import type { PushWays } from '../push/open.js';
import type { PushTarget } from '../push/port.js';
import type { MailboxNo } from '../store/port.js';
import { type Context, limitUpload, storeRefusal } from './context.js';
import type { Presence } from './presence.js';

/** The wake-ups of a relay. */
export class WakeUps {
  readonly #context: Context;
  readonly #presence: Presence;
  readonly #push: PushWays;
  /** At most one per device in this time: a burst of letters is one knock. */
  readonly #knocks = new BucketTable({ burst: 1, perSecond: 1 / WAKE_EVERY_SECONDS });
  #underWay = 0;

  constructor(context: Context, presence: Presence, push: PushWays) {
    this.#context = context;
    this.#presence = presence;
    this.#push = push;
  }

  /** What a client may register with. */
  async info(): Promise<Reply> {
    const { vapidKey, hasGateway } = this.#push;
    return confirmed({ kind: 'pushInfo', ...(vapidKey && { vapidKey }), hasGateway });
  }

  /** Where this device wants to be woken, or nowhere. */
  async put(who: Authorised, { endpoint, handle }: PutPushRequest): Promise<Reply> {
    const limited = limitUpload(this.#context, who.mailbox);
    if (limited !== undefined) return limited;
    const target = targetOf(endpoint, handle);
    const { ways } = this.#push;
    if (target !== undefined) {
      if (ways.length === 0) return refused('UNSUPPORTED');
      if (!ways.some((way) => way.accepts(target))) return refused('REFUSED');
    }
    try {
      const { mailbox } = who;
      const write = { kind: 'putPush', mailbox, target: target && encodeTarget(target) } as const;
      const result = await this.#context.writer.submit(write);
      return result.kind === 'pushPut' ? CONFIRMED : refused('REFUSED');
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  /** Something urgent waits. Does nothing while a socket is attached, and not twice in ten seconds. */
  urgent(mailbox: MailboxNo): void {
    if (this.#push.ways.length === 0 || this.#presence.get(mailbox) !== undefined) return;
    const { clock, metrics, isDraining } = this.#context;
    if (isDraining) return;
    const isHeld = this.#underWay >= UNDER_WAY_MAX;
    if (isHeld || this.#knocks.take(String(mailbox), 1, clock.monotonicMs()) > 0) {
      metrics.push('held');
      return;
    }
    void this.#wake(mailbox);
  }

  async #wake(mailbox: MailboxNo): Promise<void> {
    const { store, writer, metrics } = this.#context;
    this.#underWay++;
    try {
      const stored = await store.pushTarget(mailbox);
      // It may have come by itself while we looked.
      if (stored === undefined || this.#presence.get(mailbox) !== undefined) return;
      const target = decodeTarget(stored);
      const way = this.#push.ways.find((one) => one.accepts(target));
      const outcome = (await way?.wake(target)) ?? 'failed';
      metrics.push(outcome);
      if (outcome === 'gone') {
        await writer.submit({ kind: 'putPush', mailbox, target: undefined, ifTarget: stored });
      }
    } catch {
      // A wake-up is a courtesy: the envelope is stored, and delivered when the device comes.
      metrics.push('failed');
    } finally {
      this.#underWay--;
    }
  }
}

function targetOf(
  endpoint: string | undefined,
  handle: Uint8Array | undefined,
): PushTarget | undefined {
  if (endpoint !== undefined) return { kind: 'endpoint', endpoint };
  return handle && { kind: 'handle', handle };
}

/** As it is stored: a byte for the kind, then the rest. */
function encodeTarget(target: PushTarget): Uint8Array {
  const rest =
    target.kind === 'endpoint' ? new TextEncoder().encode(target.endpoint) : target.handle;
  const bytes = new Uint8Array(rest.length + 1);
  bytes[0] = target.kind === 'endpoint' ? ENDPOINT : HANDLE;
  bytes.set(rest, 1);
  return bytes;
}

function decodeTarget(bytes: Uint8Array): PushTarget {
  const rest = copyBytes(bytes.subarray(1));
  if (bytes[0] === ENDPOINT) return { kind: 'endpoint', endpoint: new TextDecoder().decode(rest) };
  return { kind: 'handle', handle: rest };
}

const ENDPOINT = 1;
const HANDLE = 2;

const WAKE_EVERY_SECONDS = 10;

/** Requests to push services at once. Lower: knocks are left out under load. Higher: sockets and memory. */
const UNDER_WAY_MAX = 200;
