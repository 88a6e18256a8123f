/**
 * 14 Calls §3. The state of the one call a device can be in, as a pure function.
 *
 * `(state, input) → { state, effects }`: no clock, no generator, no media. Two rules are checked by a
 * property test over arbitrary sequences of remote messages, and everything here serves them:
 * - media is opened only towards an account that the person at this device called, or whose call they
 *   accepted, and never more kinds of it than they agreed to;
 * - every ringing ends.
 */
import { CONNECT_MS, ENDED_MAX, ENDED_MEMORY_MS, INVITE_SKEW_MS, RING_MS } from './limits.js';
import type { CallBody, CallMedia, CallMessage, HangupReason } from './messages.js';
import type {
  ActiveCall,
  Audience,
  CallDevice,
  CallEffect,
  CallInput,
  Calling,
  CallsState,
  CallStep,
  Connected,
  Connecting,
  EndReason,
  Ringing,
  Running,
} from './state-types.js';

/** No call yet. */
export function noCalls(self: CallDevice): CallsState {
  return { self, active: { kind: 'idle' }, ended: [] };
}

/**
 * One step. Input that does not fit the state changes nothing.
 *
 * @param nowMs - Milliseconds since 1970.
 */
export function stepCalls(before: CallsState, input: CallInput, nowMs: number): CallStep {
  const step = new Step(forgetEnded(before, nowMs), nowMs);
  step.take(input);
  return { state: step.state, effects: step.effects };
}

/** One step under way: local to `stepCalls`, never shared. */
class Step {
  state: CallsState;
  readonly effects: CallEffect[] = [];
  readonly #nowMs: number;

  constructor(state: CallsState, nowMs: number) {
    this.state = state;
    this.#nowMs = nowMs;
  }

  take(input: CallInput): void {
    switch (input.kind) {
      case 'start':
        this.#start(input.callId, input.account, input.media);
        return;
      case 'accept':
        this.#accept(input.media);
        return;
      case 'decline':
        this.#decline();
        return;
      case 'hangup':
        this.#hangup();
        return;
      case 'message':
        this.#message(input.from, input.message);
        return;
      case 'signal':
        this.#signal(input.callId, input.body);
        return;
      case 'media-open':
        this.#mediaOpen(input.callId);
        return;
      case 'media-failed':
        this.#mediaFailed(input.callId);
        return;
      case 'tick':
        this.#tick();
    }
  }

  #start(callId: string, account: string, media: CallMedia): void {
    if (this.state.active.kind !== 'idle' || this.#isEnded(callId) || isNothing(media)) return;
    this.#become({
      kind: 'calling',
      callId,
      nextSeq: 1,
      heard: new Map(),
      deadlineMs: this.#nowMs + RING_MS,
      account,
      media,
      isRinging: false,
    });
    const body: CallBody = { kind: 'invite', media, sentAtMs: this.#nowMs };
    this.#send(account, { kind: 'all' }, body, true);
  }

  #accept(media: CallMedia): void {
    const call = this.state.active;
    if (call.kind !== 'ringing' || isNothing(media)) return;
    if (this.#nowMs >= call.deadlineMs) {
      this.#end(call.from.account, 'missed');
      return;
    }
    this.#answer(call, media);
  }

  /** Accept `call` with what the person here agreed to. */
  #answer(call: Ringing, media: CallMedia): void {
    const { from } = call;
    this.#become({
      ...running(call),
      kind: 'connecting',
      deadlineMs: this.#nowMs + CONNECT_MS,
      peer: from,
      role: 'callee',
      media,
    });
    this.#send(from.account, { kind: 'only', device: from.device }, { kind: 'accept', media });
    this.#tellOwn('accepted-elsewhere');
    this.effects.push({ kind: 'connect', callId: call.callId, peer: from, role: 'callee', media });
  }

  #decline(): void {
    const call = this.state.active;
    if (call.kind !== 'ringing') return;
    const { account, device } = call.from;
    this.#send(account, { kind: 'only', device }, { kind: 'decline' });
    this.#tellOwn('declined-elsewhere');
    this.#end(account, 'declined');
  }

  #hangup(): void {
    const call = this.state.active;
    if (call.kind === 'ringing') this.#decline();
    else if (call.kind === 'calling') this.#giveUp(call, 'normal', 'hangup');
    else if (call.kind !== 'idle') this.#part(call, 'normal', 'hangup');
  }

  #signal(callId: string, body: CallBody): void {
    const call = this.state.active;
    if (!isJoined(call) || call.callId !== callId) return;
    this.#send(call.peer.account, { kind: 'only', device: call.peer.device }, body);
  }

  #mediaOpen(callId: string): void {
    const call = this.state.active;
    if (call.kind !== 'connecting' || call.callId !== callId) return;
    this.#become({ ...call, kind: 'connected', deadlineMs: Number.POSITIVE_INFINITY });
    this.effects.push({ kind: 'connected', callId });
  }

  #mediaFailed(callId: string): void {
    const call = this.state.active;
    if (isJoined(call) && call.callId === callId) this.#part(call, 'failed', 'failed');
  }

  #tick(): void {
    const call = this.state.active;
    if (call.kind === 'idle' || this.#nowMs < call.deadlineMs) return;
    if (call.kind === 'calling') this.#giveUp(call, 'no-answer', 'no-answer');
    else if (call.kind === 'ringing') this.#end(call.from.account, 'missed');
    else this.#part(call, 'failed', 'failed');
  }

  #message(from: CallDevice, message: CallMessage): void {
    const { self, active } = this.state;
    if (from.account === self.account) {
      if (from.device !== self.device) this.#ownDevice(message);
      return;
    }
    const { callId, seq, body } = message;
    if (this.#isEnded(callId)) return;
    if (active.kind === 'idle' || active.callId !== callId) {
      if (body.kind === 'invite') this.#invite(from, message, body.media, body.sentAtMs);
      return;
    }
    const device = `${from.account}.${from.device}`;
    // A replayed or overtaken message of this call; each device counts for itself.
    if (seq <= (active.heard.get(device) ?? 0)) return;
    if (!isParty(active, from)) return;
    this.#become({ ...active, heard: new Map(active.heard).set(device, seq) });
    this.#partyMessage(from, body);
  }

  /** One of the callee's devices while we ring, or the device at the other end. */
  #partyMessage(from: CallDevice, body: CallBody): void {
    const call = this.state.active;
    switch (call.kind) {
      case 'calling':
        this.#whileCalling(call, from, body);
        return;
      case 'ringing':
        if (body.kind === 'hangup') this.#end(from.account, endOfRinging(body.reason));
        return;
      case 'connecting':
      case 'connected':
        this.#whileJoined(call, from, body);
    }
  }

  #whileCalling(call: Calling, from: CallDevice, body: CallBody): void {
    const { device } = from;
    const others = { kind: 'except', device } as const;
    switch (body.kind) {
      case 'ringing':
        if (call.isRinging) return;
        this.#become({ ...call, isRinging: true });
        this.effects.push({ kind: 'rings-there', callId: call.callId });
        return;
      case 'accept':
        this.#send(from.account, others, { kind: 'hangup', reason: 'accepted-elsewhere' });
        this.#join(from, call.media);
        return;
      case 'decline':
        this.#send(from.account, others, { kind: 'hangup', reason: 'declined-elsewhere' });
        this.#end(from.account, 'declined');
        return;
      case 'busy':
        this.#send(from.account, others, { kind: 'hangup', reason: 'busy-elsewhere' });
        this.#end(from.account, 'busy');
    }
  }

  /** The callee accepted: connect to that device. */
  #join(peer: CallDevice, media: CallMedia): void {
    const call = this.state.active;
    if (call.kind !== 'calling') return;
    this.#become({
      ...running(call),
      kind: 'connecting',
      deadlineMs: this.#nowMs + CONNECT_MS,
      peer,
      role: 'caller',
      media,
    });
    this.effects.push({ kind: 'connect', callId: call.callId, peer, role: 'caller', media });
  }

  #whileJoined(call: Connecting | Connected, from: CallDevice, body: CallBody): void {
    if (from.device !== call.peer.device) {
      // Another device of theirs took the call too, and was late.
      if (call.role === 'caller' && body.kind === 'accept') {
        const reason = 'accepted-elsewhere';
        this.#send(from.account, { kind: 'only', device: from.device }, { kind: 'hangup', reason });
      }
      return;
    }
    switch (body.kind) {
      case 'hangup':
        this.#end(from.account, endOfJoined(body.reason));
        return;
      // Only the caller makes offers; an offer from the callee would let both sides disagree on roles.
      case 'offer':
        if (call.role === 'callee') this.#toPeer(call.callId, body);
        return;
      case 'answer':
      case 'restart-request':
        if (call.role === 'caller') this.#toPeer(call.callId, body);
        return;
      case 'ice':
      case 'state':
        this.#toPeer(call.callId, body);
    }
  }

  #invite(from: CallDevice, message: CallMessage, media: CallMedia, sentAtMs: number): void {
    const { callId, seq } = message;
    const ageMs = this.#nowMs - sentAtMs;
    if (Math.abs(ageMs) > RING_MS + INVITE_SKEW_MS) {
      this.#remember(callId);
      this.effects.push({ kind: 'missed', callId, from });
      return;
    }
    const active = this.state.active;
    if (active.kind === 'calling' && active.account === from.account) {
      this.#glare(active, from, message, media);
      return;
    }
    if (active.kind !== 'idle') {
      this.#remember(callId);
      this.#sendAs({ callId, seq: 1, body: { kind: 'busy' } }, from);
      this.effects.push({ kind: 'missed', callId, from });
      return;
    }
    this.#become({
      kind: 'ringing',
      callId,
      nextSeq: 1,
      heard: new Map([[`${from.account}.${from.device}`, seq]]),
      deadlineMs: this.#nowMs + RING_MS,
      from,
      media,
    });
    this.#send(from.account, { kind: 'only', device: from.device }, { kind: 'ringing' });
    this.effects.push({ kind: 'ring', callId, from, media });
  }

  /** Both called at once. The lower id wins on both sides; whose call it was does not matter to them. */
  #glare(ours: Calling, from: CallDevice, message: CallMessage, media: CallMedia): void {
    const { callId, seq } = message;
    if (ours.callId < callId) {
      this.#remember(callId);
      return;
    }
    this.#send(from.account, { kind: 'all' }, { kind: 'hangup', reason: 'replaced' });
    this.#remember(ours.callId);
    const theirs: Ringing = {
      kind: 'ringing',
      callId,
      nextSeq: 1,
      heard: new Map([[`${from.account}.${from.device}`, seq]]),
      deadlineMs: this.#nowMs + RING_MS,
      from,
      media,
    };
    this.#become(theirs);
    // The person here agreed to send this to this account, and no more, whatever the invite says.
    this.#answer(theirs, ours.media);
  }

  /** What another device of this account did with a call that rings here too. */
  #ownDevice(message: CallMessage): void {
    const call = this.state.active;
    const { callId, body } = message;
    if (call.kind !== 'ringing' || call.callId !== callId || body.kind !== 'hangup') return;
    this.#end(call.from.account, endOfRinging(body.reason));
  }

  /** End a call nobody accepted yet. */
  #giveUp(call: Calling, said: HangupReason, told: EndReason): void {
    this.#send(call.account, { kind: 'all' }, { kind: 'hangup', reason: said });
    this.#end(call.account, told);
  }

  /** End a call with the device at the other end. */
  #part(call: Connecting | Connected, said: HangupReason, told: EndReason): void {
    const { account, device } = call.peer;
    this.#send(account, { kind: 'only', device }, { kind: 'hangup', reason: said });
    this.#end(account, told);
  }

  #end(account: string, reason: EndReason): void {
    const call = this.state.active;
    if (call.kind === 'idle') return;
    this.#remember(call.callId);
    this.#become({ kind: 'idle' });
    this.effects.push({ kind: 'ended', callId: call.callId, account, reason });
  }

  #tellOwn(reason: HangupReason): void {
    const { self } = this.state;
    const except = { kind: 'except', device: self.device } as const;
    this.#send(self.account, except, { kind: 'hangup', reason });
  }

  /** Say something about the running call. */
  #send(account: string, audience: Audience, body: CallBody, isUrgent = false): void {
    const call = this.state.active;
    if (call.kind === 'idle') return;
    const message = { callId: call.callId, seq: call.nextSeq, body };
    this.#become({ ...call, nextSeq: call.nextSeq + 1 });
    this.effects.push({ kind: 'send', account, audience, message, isUrgent });
  }

  /** Say something about a call that never became ours. */
  #sendAs(message: CallMessage, to: CallDevice): void {
    const { account, device } = to;
    const audience = { kind: 'only', device } as const;
    this.effects.push({ kind: 'send', account, audience, message, isUrgent: false });
  }

  #toPeer(callId: string, body: CallBody): void {
    this.effects.push({ kind: 'peer', callId, body });
  }

  #become(active: ActiveCall): void {
    this.state = { ...this.state, active };
  }

  #isEnded(callId: string): boolean {
    return this.state.ended.some((call) => call.callId === callId);
  }

  #remember(callId: string): void {
    const ended = [...this.state.ended, { callId, atMs: this.#nowMs }];
    this.state = { ...this.state, ended: ended.slice(-ENDED_MAX) };
  }
}

/** Whether `from` may say anything about `call`. */
function isParty(call: Exclude<ActiveCall, { kind: 'idle' }>, from: CallDevice): boolean {
  switch (call.kind) {
    case 'calling':
      return from.account === call.account;
    case 'ringing':
      return from.account === call.from.account && from.device === call.from.device;
    case 'connecting':
    case 'connected':
      return from.account === call.peer.account;
  }
}

function isJoined(call: ActiveCall): call is Connecting | Connected {
  return call.kind === 'connecting' || call.kind === 'connected';
}

function running({ callId, nextSeq, heard, deadlineMs }: Running): Running {
  return { callId, nextSeq, heard, deadlineMs };
}

function isNothing(media: CallMedia): boolean {
  return !media.audio && !media.video;
}

function endOfRinging(reason: HangupReason): EndReason {
  switch (reason) {
    case 'accepted-elsewhere':
      return 'answered-elsewhere';
    case 'declined-elsewhere':
    case 'busy-elsewhere':
      return reason;
    default:
      return 'missed';
  }
}

function endOfJoined(reason: HangupReason): EndReason {
  if (reason === 'accepted-elsewhere') return 'answered-elsewhere';
  return reason === 'failed' ? 'failed' : 'hangup';
}

function forgetEnded(state: CallsState, nowMs: number): CallsState {
  const ended = state.ended.filter(({ atMs }) => nowMs - atMs < ENDED_MEMORY_MS);
  return ended.length === state.ended.length ? state : { ...state, ended };
}
