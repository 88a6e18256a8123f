/**
 * 13 Relay §4. One client socket: parse, let the service do it, reply.
 *
 * Answers and events of one turn of the event loop leave in one frame. A `dropped` send closes the socket:
 * the mailbox still holds what was not acknowledged.
 */
import {
  type CloseReason,
  decodeFrame,
  type DeliverFields,
  isFrameError,
  prepareDeliver,
  prepareItem,
  type PreparedItem,
  type RelayEvent,
  type RequestItem,
  type RequestOp,
} from '@qasid/protocol/envelope';
import type { Cancel } from '../clock.js';
import {
  admit,
  type Proving,
  type Authorised,
  CHALLENGE_MAX_MS,
  type ConnectionState,
  judgeCredit,
  RENDEZVOUS_MAX_MS,
  WORK_MAX_MS,
} from '../protocol/connection.js';
import {
  workDemanded,
  closeFrame,
  CONFIRMED,
  type Reply,
  refused,
  toResponse,
} from '../protocol/replies.js';
import type { Proof } from '../service/accounts.js';
import { Delivery, type DeliverySink } from '../service/delivery.js';
import type { Services } from '../service/services.js';
import type { Socket, SocketHandler } from '../transport/port.js';
import { newChallenge } from './challenge.js';
import { answerMember } from './member.js';
import { Outbox } from './outbox.js';

/** A client connection. */
export class ClientConnection implements SocketHandler, DeliverySink {
  readonly #services: Services;
  readonly #socket: Socket;
  readonly #addressKey: string;
  #state: ConnectionState;
  #delivery: Delivery | undefined;
  #deadline: Cancel | undefined;
  readonly #outbox = new Outbox();
  /** Ends what this socket waits for in a rendezvous; `undefined` while it never asked. */
  #meeting: Cancel[] | undefined;
  #inFlight = { parts: 0, bytes: 0 };
  #closeAfterFlush: CloseReason | undefined;
  /** When an anonymous socket last asked for something, monotonic. */
  #usedAtMs = 0;

  constructor(services: Services, socket: Socket, addressKey: string) {
    this.#services = services;
    this.#socket = socket;
    this.#addressKey = addressKey;
    this.#state = this.#challenge();
  }

  /** One frame came in; the buffer is ours. */
  message(frame: Uint8Array): void {
    if (this.#state.kind === 'closing') return;
    this.#services.context.metrics.receivedBytes += frame.length;
    try {
      const nowMs = this.#services.context.clock.monotonicMs();
      for (const item of decodeFrame(frame)) {
        if (item.kind !== 'request') {
          this.close('BAD_FRAME');
          return;
        }
        this.#request(item, nowMs);
        if (this.#isClosing()) return;
      }
    } catch (error) {
      if (isFrameError(error)) {
        this.close('BAD_FRAME');
        return;
      }
      this.#fault(error);
    }
  }

  text(): void {
    this.close('BAD_FRAME');
  }

  drained(): void {
    this.#delivery?.resume();
  }

  closed(code: number): void {
    this.#services.context.log.write('debug', 'SOCKET_CLOSED', { closeCode: code });
    this.#deadline?.();
    this.#leaveMeeting();
    this.#letGo();
    this.#state = { kind: 'closing', reason: 'NORMAL' };
    this.#outbox.clear();
    this.#services.connections.delete(this);
  }

  get isAnonymous(): boolean {
    return this.#state.kind === 'anonymous';
  }

  get isAttached(): boolean {
    return this.#delivery !== undefined;
  }

  get bufferedBytes(): number {
    return this.#outbox.bytes + this.#socket.bufferedBytes;
  }

  /** The relay goes down: tell, and close when told to. */
  drain(afterMs: number): void {
    this.event({ kind: 'draining', afterMs });
  }

  /** Close after what is under way. */
  end(reason: CloseReason): void {
    this.close(reason);
  }

  #request(item: RequestItem, nowMs: number): void {
    const { id, op } = item;
    this.#services.context.log.write('trace', 'REQUEST', { code: op.kind });
    const admission = admit(this.#state, op, nowMs);
    switch (admission.kind) {
      case 'close':
        this.close(admission.reason);
        return;
      case 'refuse':
        this.#reply(id, refused('REFUSED'));
        return;
      case 'repeat':
        this.#reply(id, CONFIRMED);
        return;
      case 'meet':
        this.#meet(id, op);
        return;
      case 'prove':
        this.#prove(id, op, admission).catch((error: unknown) => this.#fault(error));
        return;
      case 'hide':
        this.#hide(id, op);
        return;
      case 'run':
        this.#run(id, op);
    }
  }

  #run(id: number, op: RequestOp): void {
    if (op.kind === 'ping') {
      this.#reply(id, CONFIRMED);
      return;
    }
    const state = this.#state;
    if (state.kind === 'anonymous') this.#usedAtMs = this.#services.context.clock.monotonicMs();
    if (op.kind === 'recordGet' || op.kind === 'recordPut' || op.kind === 'recordDelete') {
      const asker =
        state.kind === 'authorised'
          ? { budget: String(state.mailbox), hasAccount: true }
          : { budget: this.#addressKey, hasAccount: false };
      this.#answerLater(id, this.#services.records.answer(asker, op));
      return;
    }
    if (state.kind === 'anonymous') {
      this.#runAnonymous(id, op);
      return;
    }
    if (state.kind !== 'authorised') {
      this.#reply(id, refused('UNSUPPORTED'));
      return;
    }
    if (op.kind === 'send') {
      this.#send(id, op.parts.length, bytesOf(op.parts), (answer) =>
        this.#services.mailboxes.send(state, op, answer),
      );
      return;
    }
    if (op.kind === 'ack') {
      if (this.#delivery) {
        this.#reply(id, this.#services.mailboxes.acknowledge(this.#delivery, op));
      }
      return;
    }
    this.#answerLater(id, answerMember(this.#services, state, op));
  }

  /** With a token, and without a name. */
  #runAnonymous(id: number, op: RequestOp): void {
    const { anonymous } = this.#services;
    const key = this.#addressKey;
    switch (op.kind) {
      case 'send':
        this.#send(id, op.parts.length, bytesOf(op.parts), (answer) =>
          this.#whenDone(anonymous.send(key, op), answer),
        );
        return;
      case 'sendMany':
        this.#send(id, op.targets.length, op.message.length, (answer) =>
          this.#whenDone(anonymous.sendMany(key, op), answer),
        );
        return;
      case 'takePrekeys':
        this.#answerLater(id, anonymous.takePrekeys(key, op));
        return;
      case 'devices':
        this.#answerLater(id, anonymous.devices(key, op));
        return;
      default:
        this.#reply(id, refused('UNSUPPORTED'));
    }
  }

  /** From here on this socket has no account, and cannot get one. */
  #hide(id: number, op: RequestOp): void {
    if (op.kind !== 'anonymous') return;
    const reply = this.#services.anonymous.enter(op.version, this.#addressKey);
    this.#reply(id, reply);
    if (reply.code !== 'CONFIRMED') {
      this.close('UNAUTHORISED');
      return;
    }
    this.#leaveMeeting();
    this.#state = { kind: 'anonymous' };
    this.#usedAtMs = this.#services.context.clock.monotonicMs();
    this.#watchIdle();
  }

  /** A ping is no use: whoever wants to keep a socket has to have a token. */
  #watchIdle(): void {
    const { clock, config } = this.#services.context;
    const idleMs = clock.monotonicMs() - this.#usedAtMs;
    this.#deadline?.();
    if (idleMs >= config.anonymousIdleMs && this.#inFlight.parts === 0) {
      this.close('IDLE');
      return;
    }
    const waitMs = Math.max(IDLE_CHECK_MIN_MS, config.anonymousIdleMs - idleMs);
    this.#deadline = clock.after(waitMs, () => this.#watchIdle());
  }

  #send(
    id: number,
    count: number,
    bytes: number,
    send: (answer: (reply: Reply) => void) => void,
  ): void {
    const { config } = this.#services.context;
    const parts = Math.max(1, count);
    const limit = { parts: config.creditParts, bytes: config.creditBytes };
    const verdict = judgeCredit(limit, this.#inFlight, { parts, bytes });
    if (verdict === 'abuse') {
      this.close('CREDIT');
      return;
    }
    if (verdict === 'over') {
      this.#services.context.metrics.busy('credit');
      this.#reply(id, refused('BUSY', 100));
      return;
    }
    this.#inFlight.parts += parts;
    this.#inFlight.bytes += bytes;
    send((reply) => {
      this.#inFlight.parts -= parts;
      this.#inFlight.bytes -= bytes;
      this.#services.context.metrics.send(reply.code);
      this.#answer(id, reply);
    });
  }

  #answerLater(id: number, reply: Promise<Reply>): void {
    this.#whenDone(reply, (answer) => this.#answer(id, answer));
  }

  #answer(id: number, reply: Reply): void {
    if (reply.code === 'BUSY') this.#services.context.metrics.busy('queue');
    this.#reply(id, reply);
  }

  #whenDone(reply: Promise<Reply>, answer: (reply: Reply) => void): void {
    reply.then(answer, (error: unknown) => {
      const errorClass = error instanceof Error ? error.name : 'unknown';
      this.#services.context.log.write('error', 'REQUEST_FAULT', { errorClass });
      answer(refused('UNAVAILABLE', 5_000));
    });
  }

  /** Two devices that share nothing with the relay but a random number. */
  #meet(id: number, op: RequestOp): void {
    const { rendezvous, context } = this.#services;
    // Somebody has to walk over with a phone: once for this socket, the time of a rendezvous.
    if (this.#meeting === undefined) {
      this.#meeting = [];
      this.#deadline?.();
      this.#deadline = context.clock.after(RENDEZVOUS_MAX_MS, () => this.close('UNAUTHORISED'));
    }
    if (op.kind === 'rendezvousPut') {
      this.#reply(id, rendezvous.put(op.slot, op.message, this.#addressKey));
    } else if (op.kind === 'rendezvousTake') {
      const answer = (reply: Reply): void => this.#reply(id, reply);
      this.#meeting.push(rendezvous.take(op.slot, this.#addressKey, answer));
    }
  }

  #leaveMeeting(): void {
    for (const leave of this.#meeting ?? []) leave();
    this.#meeting = [];
  }

  /** Spend the nonce on one proof. */
  async #prove(id: number, op: RequestOp, admission: Proving): Promise<void> {
    const { nonce, workBits: bits } = admission;
    this.#state = { kind: 'checking' };
    this.#leaveMeeting();
    // The client has kept its time; how long we take is no fault of its proof.
    this.#deadline?.();
    this.#deadline = undefined;
    const { accounts } = this.#services;
    let proof: Proof;
    if (op.kind === 'auth') proof = await accounts.authenticate(nonce, op, this.#addressKey);
    else if (op.kind === 'register') {
      proof = await accounts.register({ nonce, bits }, op, this.#addressKey);
    } else if (op.kind === 'link') proof = await accounts.link(nonce, op, this.#addressKey);
    else if (op.kind === 'deleteAccount') {
      proof = await accounts.delete(nonce, op, this.#addressKey);
    } else return;
    // Closed while we were checking.
    if (this.#isClosing()) return;
    if (proof.kind === 'good') {
      this.#state = { kind: 'authorised', ...proof.who };
      this.#services.context.log.write('debug', 'AUTHORISED');
      this.#reply(id, CONFIRMED);
      await this.#attach(proof.who);
      return;
    }
    this.#reply(id, proof.reply);
    if (proof.close !== undefined) this.close(proof.close);
    else this.#state = this.#challenge(workDemanded(proof.reply));
  }

  async #attach(who: Authorised): Promise<void> {
    const { context, presence } = this.#services;
    const delivery = new Delivery(context, who.mailbox, this);
    this.#delivery = delivery;
    presence.attach(delivery);
    try {
      const account = await context.store.account(who.account);
      // Removed while its proof was being checked: nobody was there yet to be told.
      const row = account?.devices.find(({ mailbox }) => mailbox === who.mailbox);
      if (row === undefined || account?.isSuspended) {
        this.close(row === undefined ? 'REMOVED' : 'SUSPENDED');
        return;
      }
      this.#services.accounts.noteSeen(who, row.seenDay);
      const { oneTime, kem } = await context.store.prekeyCounts(who.mailbox);
      delivery.tellStock(oneTime, kem);
    } catch {
      // Only a hint is lost.
    }
  }

  #challenge(workBits = 0): ConnectionState {
    const { context } = this.#services;
    const { clock } = context;
    const event = newChallenge(context);
    this.#deadline?.();
    const deadlineMs = workBits > 0 ? WORK_MAX_MS : CHALLENGE_MAX_MS;
    this.#deadline = clock.after(deadlineMs, () => this.close('UNAUTHORISED'));
    this.event(event);
    const { nonce } = event;
    return { kind: 'greeting', nonce, issuedAtMs: clock.monotonicMs(), workBits };
  }

  /** A defect of ours: this socket ends, the others go on. */
  #fault(error: unknown): void {
    const errorClass = error instanceof Error ? error.name : 'unknown';
    this.#services.context.log.write('error', 'REQUEST_FAULT', { errorClass });
    this.close('INTERNAL');
  }

  /** Requests with number 0 want no answer. */
  #reply(id: number, reply: Reply): void {
    if (id !== 0) this.#enqueue(prepareItem(toResponse(id, reply)));
  }

  /** Tell the client. */
  event(event: RelayEvent): void {
    this.#enqueue(prepareItem({ kind: 'event', event }));
  }

  /** Hand out an envelope; its arrays stay as they are until the end of this turn. */
  deliver(fields: DeliverFields): void {
    this.#enqueue(prepareDeliver(fields));
  }

  #enqueue(item: PreparedItem): void {
    if (this.#state?.kind === 'closing') return;
    // Runs once after everything of this turn, so that one frame carries all of it.
    if (this.#outbox.isEmpty) process.nextTick(flushLater, this);
    this.#outbox.push(item);
  }

  /** Hand what waits to the transport. */
  flush(): void {
    const outcome = this.#outbox.flush((frame) => {
      this.#services.context.metrics.sentBytes += frame.length;
      return this.#socket.send(frame);
    });
    if (outcome === 'dropped') this.#closeAfterFlush ??= 'SLOW';
    const reason = this.#closeAfterFlush;
    if (reason !== undefined) {
      const { code, text } = closeFrame(reason);
      this.#socket.close(code, text);
    }
  }

  /** Close, after what is in the outbox. */
  close(reason: CloseReason): void {
    if (this.#closeAfterFlush !== undefined) return;
    this.#closeAfterFlush = reason;
    this.#deadline?.();
    this.#leaveMeeting();
    this.#letGo();
    if (this.#outbox.isEmpty) process.nextTick(flushLater, this);
    this.#state = { kind: 'closing', reason };
  }

  /** Nothing of the relay's is held by this socket any more. */
  #letGo(): void {
    if (this.#delivery) this.#services.presence.detach(this.#delivery);
    this.#delivery = undefined;
    if (this.#state.kind === 'anonymous') this.#services.anonymous.leave(this.#addressKey);
  }

  #isClosing(): boolean {
    return this.#state.kind === 'closing';
  }
}

function flushLater(connection: ClientConnection): void {
  connection.flush();
}

function bytesOf(parts: readonly { readonly body: Uint8Array }[]): number {
  let bytes = 0;
  for (const { body } of parts) bytes += body.length;
  return bytes;
}

/** Between two looks at whether an anonymous socket is idle, at least. */
const IDLE_CHECK_MIN_MS = 100;
