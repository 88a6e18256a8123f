/**
 * 13 Relay §4, §5. Send, acknowledge, expire.
 */
import {
  type AccountId,
  type AckRequest,
  MAX_ENVELOPE_BYTES,
  samePublicBytes,
  type SendRequest,
} from '@qasid/protocol/envelope';
import { type Hint, LOCAL_NODE } from '../bus.js';
import { checkAddressing, type AddressingFault } from '../protocol/addressing.js';
import type { Authorised } from '../protocol/connection.js';
import { isPadded } from '../protocol/padding.js';
import { CONFIRMED, type Reply, refused } from '../protocol/replies.js';
import { idKey } from '../store/id-key.js';
import type { AppendPart, AppendWrite, Placement, Write, WriteResults } from '../store/port.js';
import { type Context, storeRefusal } from './context.js';
import type { Delivery } from './delivery.js';
import type { Presence } from './presence.js';
import type { WakeUps } from './wake-ups.js';
import { SWEEP_ROWS, Sweeper, type SweepSlice } from './sweeper.js';

/** Envelopes for the devices of one account, from whomever. */
export interface Posting extends Pick<AppendWrite, 'dest' | 'sender' | 'exclude' | 'parts'> {
  readonly ephemeral: boolean;
  readonly urgent: boolean;
  readonly ttlSeconds: number;
}

/** Something with a body, as far as its size goes. */
export interface Sized {
  readonly body: { readonly length: number };
}

/** The mailboxes of a relay. */
export class Mailboxes {
  readonly #context: Context;
  readonly #presence: Presence;
  readonly #wakeUps: WakeUps;
  #sweepSeq = 0;
  /** Deletes expired envelopes. */
  readonly sweeper: Sweeper;

  constructor(context: Context, presence: Presence, wakeUps: WakeUps) {
    this.#context = context;
    this.#presence = presence;
    this.#wakeUps = wakeUps;
    const { clock, log } = context;
    this.sweeper = new Sweeper({ clock, log, everyMs: SWEEP_EVERY_MS, slice: () => this.#sweep() });
  }

  /**
   * Store the parts of a send, all or none; the answer `CONFIRMED` means that they are durable.
   *
   * On the path of every message: `answer` is called once, perhaps at once, and there is no promise.
   */
  send(who: Authorised, op: SendRequest, answer: (reply: Reply) => void): void {
    // The commit queue has it when this returns: sends of one socket are committed in the order they came.
    const early =
      this.refuse(op.parts) ?? this.#limitSender(who) ?? this.limitInbound(op.dest, op.parts);
    if (early !== undefined) {
      answer(early);
      return;
    }
    const isOwn = samePublicBytes(op.dest, who.account);
    const { dest, parts, ephemeral, urgent, ttlSeconds } = op;
    const posting = { dest, sender: who.mailbox, parts, ephemeral, urgent, ttlSeconds };
    this.#post(isOwn ? { ...posting, exclude: who.device } : posting, answer);
  }

  /** What stands in the way of bodies of these sizes, whoever sends them to whomever. */
  refuse(parts: readonly Sized[]): Reply | undefined {
    const { isDraining, writer, config } = this.#context;
    for (const {
      body: { length },
    } of parts) {
      if (length > MAX_ENVELOPE_BYTES) return refused('TOO_LARGE');
      if (config.requirePadding && !isPadded(length)) return refused('NOT_PADDED');
    }
    if (isDraining) return refused('DRAINING', 2_000);
    return writer.isFull ? refused('BUSY', 500) : undefined;
  }

  /** Take the bytes of `parts` out of what an account may receive. */
  limitInbound(dest: AccountId, parts: readonly AppendPart[]): Reply | undefined {
    const { budgets, clock } = this.#context;
    let bytes = 0;
    for (const { body } of parts) bytes += body.length;
    const wait = budgets.inboundBytes.take(idKey(dest), bytes, clock.monotonicMs());
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }

  /** Store, or hand to those who are online; nothing is awaited before the commit queue has it. */
  post(posting: Posting): Promise<Reply> {
    return new Promise((resolve) => this.#post(posting, resolve));
  }

  #post(posting: Posting, answer: (reply: Reply) => void): void {
    if (posting.ephemeral) {
      void this.#postEphemeral(posting).then(answer);
      return;
    }
    this.#context.writer.enqueue(
      this.#toWrite(posting),
      (result) => answer(replyTo(result)),
      (error) => answer(storeRefusal(this.#context, error)),
    );
  }

  /** Many in one transaction, each judged for itself; the answers are in their order. */
  async postMany(postings: readonly Posting[]): Promise<readonly Reply[]> {
    if (postings.length === 0) return [];
    if (postings.some(({ ephemeral }) => ephemeral)) {
      return Promise.all(postings.map((posting) => this.#postEphemeral(posting)));
    }
    const appends = postings.map((posting) => this.#toWrite(posting));
    try {
      const { results } = await this.#context.writer.submit({ kind: 'appendMany', appends });
      return results.map(replyTo);
    } catch (error) {
      // All of them or none: nobody has it, or the repeat finds that they have.
      return postings.map(() => storeRefusal(this.#context, error));
    }
  }

  /** Delete what a device has taken over. The answer does not wait: a lost delete is only a repeat. */
  acknowledge(delivery: Delivery, op: AckRequest): Reply {
    const { through, also } = delivery.acknowledged(op.through, op.also);
    if (through > 0 || also.length > 0) {
      const write = { kind: 'ack', mailbox: delivery.mailbox, through, also } as const;
      // Refused by a store that failed: the envelopes come again.
      this.#context.writer.enqueue(write, nothing, nothing);
    }
    return CONFIRMED;
  }

  /** A change became durable: tell of what it put into mailboxes. In commit order. */
  durable(write: Write, result: WriteResults[Write['kind']]): void {
    if (write.kind === 'appendMany' && result.kind === 'many') {
      for (const [index, one] of result.results.entries()) {
        const append = write.appends[index];
        if (append !== undefined) this.durable(append, one);
      }
      return;
    }
    if (write.kind !== 'append' || result.kind !== 'stored') return;
    const { bus } = this.#context;
    for (const [index, { mailbox, seq, previousSeq }] of result.placements.entries()) {
      const part = write.parts[index];
      if (part === undefined) continue;
      if (seq === 0) {
        // It was stored by a commit whose outcome we never learned, perhaps: let the mailbox look.
        bus.publish(LOCAL_NODE, { mailbox, previousSeq, row: undefined });
        continue;
      }
      if (write.urgent === true) this.#wakeUps.urgent(mailbox);
      const row = { seq, clientId: part.clientId, body: part.body, minute: write.minute };
      bus.publish(LOCAL_NODE, { mailbox, previousSeq, row });
    }
  }

  /**
   * Changes have numbers and are not durable yet: push what goes to devices that are online here, while the
   * disk works. For relays with `eagerPush`.
   */
  placed(writes: readonly Write[], results: readonly WriteResults[Write['kind']][]): void {
    const pushed = new Set<Delivery>();
    for (const [at, write] of writes.entries()) {
      const result = results[at];
      if (write.kind === 'append' && result?.kind === 'stored') {
        this.#pushEarly(write, result.placements, pushed);
      } else if (write.kind === 'appendMany' && result?.kind === 'many') {
        for (const [index, append] of write.appends.entries()) {
          const one = result.results[index];
          if (one?.kind === 'stored') this.#pushEarly(append, one.placements, pushed);
        }
      }
    }
    for (const delivery of pushed) delivery.flush();
  }

  #pushEarly(
    { parts, minute }: AppendWrite,
    placements: readonly Placement[],
    pushed: Set<Delivery>,
  ): void {
    for (const [index, { mailbox, seq, previousSeq }] of placements.entries()) {
      const part = parts[index];
      const delivery = this.#presence.get(mailbox);
      if (part === undefined || delivery === undefined || seq === 0) continue;
      const row = { seq, clientId: part.clientId, body: part.body, minute };
      if (delivery.offerEarly(row, previousSeq)) pushed.add(delivery);
    }
  }

  /** A hint from the bus: push it to the socket that is attached here. */
  hinted({ mailbox, previousSeq, row }: Hint): void {
    const delivery = this.#presence.get(mailbox);
    if (row === undefined) delivery?.nudge();
    else delivery?.offer(row, previousSeq);
  }

  #limitSender(who: Authorised): Reply | undefined {
    const { budgets, clock } = this.#context;
    const wait = budgets.sends.take(who.mailbox, 1, clock.monotonicMs());
    return wait > 0 ? refused('RATE_LIMITED', wait) : undefined;
  }

  #toWrite({ dest, sender, exclude, parts, urgent, ttlSeconds }: Posting): AppendWrite {
    const { clock, config } = this.#context;
    const minute = Math.floor(clock.nowMs() / 60_000);
    const keptMinutes = config.retentionDays * 24 * 60;
    const wantedMinutes = ttlSeconds === 0 ? keptMinutes : Math.ceil(ttlSeconds / 60);
    return {
      kind: 'append',
      dest,
      sender,
      ...(exclude !== undefined && { exclude }),
      parts,
      urgent,
      minute,
      expiresMinute: minute + Math.min(wantedMinutes, keptMinutes),
    };
  }

  async #postEphemeral({ dest, exclude, parts }: Posting): Promise<Reply> {
    const { store, clock } = this.#context;
    try {
      const account = await store.account(dest);
      if (account === undefined) return refused('NOT_FOUND');
      const fault = checkAddressing(account.devices, parts, exclude);
      if (fault !== undefined) return addressingReply(fault);
      const minute = Math.floor(clock.nowMs() / 60_000);
      for (const { device, clientId, body } of parts) {
        const row = account.devices.find((candidate) => candidate.device === device);
        if (row) this.#presence.get(row.mailbox)?.offerEphemeral(clientId, body, minute);
      }
      return CONFIRMED;
    } catch (error) {
      return storeRefusal(this.#context, error);
    }
  }

  async #sweep(): Promise<SweepSlice> {
    const { clock, writer } = this.#context;
    const nowMinute = Math.floor(clock.nowMs() / 60_000);
    const write = {
      kind: 'sweep',
      nowMinute,
      afterSeq: this.#sweepSeq,
      limit: SWEEP_ROWS,
    } as const;
    const { deleted, nextSeq } = await writer.submit(write);
    this.#sweepSeq = nextSeq ?? 0;
    this.#context.metrics.swept += deleted;
    return { deleted, isFull: nextSeq !== undefined };
  }
}

function nothing(): void {
  // Nobody waits for it.
}

function replyTo(result: WriteResults['append']): Reply {
  switch (result.kind) {
    case 'stored':
      return CONFIRMED;
    case 'mismatch':
    case 'stale':
      return addressingReply(result);
    case 'full':
      return refused('MAILBOX_FULL');
    case 'conflict':
      return refused('BAD_REQUEST');
    case 'noAccount':
      return refused('NOT_FOUND');
  }
}

function addressingReply(fault: AddressingFault): Reply {
  if (fault.kind === 'stale') return refused('DEVICES_STALE', 0, fault);
  return refused('DEVICES_MISMATCH', 0, fault);
}

const SWEEP_EVERY_MS = 10 * 60 * 1000;
