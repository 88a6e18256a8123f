// Chapter 14 §3: stories of several devices, played through the pure function.
import t from 'tap';

// Pure internals: reached by path, not by the public names.
import { CONNECT_MS, ENDED_MEMORY_MS, INVITE_SKEW_MS, RING_MS } from '../../dist/calls/limits.js';
import type { CallBody, CallMessage } from '../../dist/calls/messages.js';
import { noCalls, stepCalls } from '../../dist/calls/state.js';
import type { CallEffect, CallInput, CallsState } from '../../dist/calls/state-types.js';

const AUDIO = { audio: true, video: false };
const BOTH = { audio: true, video: true };
const FIRST = '0a'.repeat(16);
const SECOND = '0b'.repeat(16);

/** Devices that hear each other at once; what they were told is kept. */
class World {
  nowMs = 1_000_000;
  readonly #states = new Map<string, CallsState>();
  readonly told = new Map<string, string[]>();
  /** Messages not to be delivered, by kind of body. */
  readonly lost = new Set<string>();
  readonly #underWay: (() => void)[] = [];

  constructor(...devices: readonly string[]) {
    for (const name of devices) {
      const [account = '', device] = name.split('.');
      this.#states.set(name, noCalls({ account, device: Number(device) }));
      this.told.set(name, []);
    }
  }

  state(name: string): CallsState {
    const state = this.#states.get(name);
    if (state === undefined) throw new Error(`no device ${name}`);
    return state;
  }

  do(name: string, input: CallInput): void {
    this.atOnce([name, input]);
  }

  /** At the same moment: nobody has heard of the others yet. */
  atOnce(...steps: readonly (readonly [string, CallInput])[]): void {
    for (const [name, input] of steps) this.#step(name, input);
    // In the order they were sent, as a mailbox keeps them.
    for (let next = this.#underWay.shift(); next; next = this.#underWay.shift()) next();
  }

  tick(ms: number): void {
    this.nowMs += ms;
    for (const name of this.#states.keys()) this.do(name, { kind: 'tick' });
  }

  hears(name: string, from: string, callId: string, seq: number, body: CallBody): void {
    this.do(name, this.#message(from, { callId, seq, body }));
  }

  #message(from: string, message: CallMessage): CallInput {
    const [account = '', device] = from.split('.');
    return { kind: 'message', from: { account, device: Number(device) }, message };
  }

  #step(name: string, input: CallInput): void {
    const step = stepCalls(this.state(name), input, this.nowMs);
    this.#states.set(name, step.state);
    for (const effect of step.effects) this.#effect(name, effect);
  }

  #effect(name: string, effect: CallEffect): void {
    if (effect.kind !== 'send') {
      const detail = effect.kind === 'ended' ? ` ${effect.reason}` : '';
      const peer = effect.kind === 'connect' ? ` ${effect.role} ${effect.peer.device}` : '';
      const body = effect.kind === 'peer' ? ` ${effect.body.kind}` : '';
      this.told.get(name)?.push(`${effect.kind}${detail}${peer}${body}`);
      return;
    }
    if (this.lost.has(effect.message.body.kind)) return;
    for (const target of [...this.#states.keys()]) {
      const [account, device] = target.split('.');
      const { audience } = effect;
      if (account !== effect.account || target === name) continue;
      if (audience.kind === 'only' && Number(device) !== audience.device) continue;
      if (audience.kind === 'except' && Number(device) === audience.device) continue;
      this.#underWay.push(() => this.#step(target, this.#message(name, effect.message)));
    }
  }
}

const call = (account: string, callId = FIRST, media = BOTH): CallInput => ({
  kind: 'start',
  callId,
  account,
  media,
});

t.test('all devices ring, one answers, the others stop', async (t) => {
  const world = new World('ann.1', 'ben.1', 'ben.2', 'ben.3');
  world.do('ann.1', call('ben'));
  t.same(world.told.get('ann.1'), ['rings-there']);
  world.do('ben.2', { kind: 'accept', media: AUDIO });
  t.same(world.told.get('ann.1'), ['rings-there', 'connect caller 2']);
  t.same(world.told.get('ben.2'), ['ring', 'connect callee 1']);
  for (const other of ['ben.1', 'ben.3']) {
    t.same(world.told.get(other), ['ring', 'ended answered-elsewhere'], other);
  }
  world.do('ann.1', { kind: 'media-open', callId: FIRST });
  world.do('ben.2', { kind: 'media-open', callId: FIRST });
  world.do('ben.2', { kind: 'hangup' });
  t.equal(world.told.get('ann.1')?.at(-1), 'ended hangup');
  t.equal(world.state('ben.2').active.kind, 'idle');
});

t.test('ringing stops when only one of the two ways to tell works', async (t) => {
  const world = new World('ann.1', 'ben.1', 'ben.2');
  world.do('ann.1', call('ben'));
  // The caller never says it: the own device does.
  world.hears('ben.1', 'ben.2', FIRST, 2, { kind: 'hangup', reason: 'accepted-elsewhere' });
  t.equal(world.told.get('ben.1')?.at(-1), 'ended answered-elsewhere');
  // The own device never says it: the caller does.
  world.hears('ben.2', 'ann.1', FIRST, 5, { kind: 'hangup', reason: 'accepted-elsewhere' });
  t.equal(world.told.get('ben.2')?.at(-1), 'ended answered-elsewhere');
});

t.test('two devices accept at once: one is connected', async (t) => {
  const world = new World('ann.1', 'ben.1', 'ben.2');
  world.do('ann.1', call('ben'));
  world.atOnce(
    ['ben.1', { kind: 'accept', media: BOTH }],
    ['ben.2', { kind: 'accept', media: BOTH }],
  );
  t.equal(world.state('ann.1').active.kind, 'connecting');
  t.equal(world.state('ben.1').active.kind, 'connecting');
  t.equal(world.told.get('ben.2')?.at(-1), 'ended answered-elsewhere');
});

t.test('decline and busy end the call everywhere', async (t) => {
  const world = new World('ann.1', 'ben.1', 'ben.2', 'cat.1');
  world.do('ann.1', call('ben'));
  world.do('ben.1', { kind: 'decline' });
  t.equal(world.told.get('ann.1')?.at(-1), 'ended declined');
  t.equal(world.told.get('ben.2')?.at(-1), 'ended declined-elsewhere');

  world.do('ann.1', call('ben', SECOND));
  world.do('ben.1', { kind: 'accept', media: BOTH });
  world.do('cat.1', call('ben', 'cc'.repeat(16)));
  t.equal(world.told.get('cat.1')?.at(-1), 'ended busy');
  t.equal(world.told.get('ben.1')?.at(-1), 'missed');
  t.equal(world.state('ben.1').active.kind, 'connecting', 'the first call goes on');
  t.equal(world.told.get('ben.2')?.at(-1), 'ended busy-elsewhere');
});

t.test('nobody answers', async (t) => {
  const world = new World('ann.1', 'ben.1');
  world.lost.add('hangup');
  world.do('ann.1', call('ben'));
  world.tick(RING_MS - 1);
  t.equal(world.state('ben.1').active.kind, 'ringing');
  world.tick(1);
  t.equal(world.told.get('ann.1')?.at(-1), 'ended no-answer');
  t.equal(world.told.get('ben.1')?.at(-1), 'ended missed');
  world.do('ben.1', { kind: 'accept', media: BOTH });
  t.equal(world.state('ben.1').active.kind, 'idle', 'too late');
});

t.test('accepting at the last moment is judged by the clock, not by the timer', async (t) => {
  const world = new World('ann.1', 'ben.1');
  world.do('ann.1', call('ben'));
  world.nowMs += RING_MS;
  world.do('ben.1', { kind: 'accept', media: BOTH });
  t.equal(world.told.get('ben.1')?.at(-1), 'ended missed');
});

t.test('a media path that does not open ends the call on both sides', async (t) => {
  const world = new World('ann.1', 'ben.1');
  world.do('ann.1', call('ben'));
  world.do('ben.1', { kind: 'accept', media: BOTH });
  world.tick(CONNECT_MS);
  t.equal(world.told.get('ann.1')?.at(-1), 'ended failed');
  t.equal(world.told.get('ben.1')?.at(-1), 'ended failed');
});

t.test(
  'ATK-M01 both call each other: the lower id goes on, once, on the devices that called, with what each agreed to',
  async (t) => {
    const world = new World('ann.1', 'ann.2', 'ben.1', 'ben.2');
    world.atOnce(['ann.1', call('ben', FIRST, AUDIO)], ['ben.1', call('ann', SECOND, BOTH)]);
    const ann = world.state('ann.1').active;
    const ben = world.state('ben.1').active;
    t.match(ann, { kind: 'connecting', callId: FIRST, role: 'caller', media: AUDIO });
    t.match(ben, { kind: 'connecting', callId: FIRST, role: 'callee', media: BOTH });
    for (const other of ['ann.2', 'ben.2']) t.equal(world.state(other).active.kind, 'idle', other);
    t.notOk(world.told.get('ben.1')?.includes('ring'), 'nobody is asked twice');
    const careful = new World('ann.1', 'ben.1');
    careful.atOnce(['ann.1', call('ben', FIRST, BOTH)], ['ben.1', call('ann', SECOND, AUDIO)]);
    t.match(careful.state('ben.1').active, { kind: 'connecting', callId: FIRST, media: AUDIO });
  },
);

t.test('roles: only the caller offers, only the callee answers or asks', async (t) => {
  const world = new World('ann.1', 'ben.1');
  world.do('ann.1', call('ben'));
  world.do('ben.1', { kind: 'accept', media: BOTH });
  world.do('ben.1', { kind: 'signal', callId: FIRST, body: { kind: 'restart-request' } });
  t.equal(world.told.get('ann.1')?.at(-1), 'peer restart-request');
  world.do('ann.1', { kind: 'signal', callId: FIRST, body: { kind: 'offer', sdp: 'o' } });
  t.equal(world.told.get('ben.1')?.at(-1), 'peer offer');
  const before = JSON.stringify([...world.told]);
  world.hears('ann.1', 'ben.1', FIRST, 10, { kind: 'offer', sdp: '' });
  world.hears('ben.1', 'ann.1', FIRST, 10, { kind: 'answer', sdp: '' });
  world.hears('ben.1', 'ann.1', FIRST, 11, { kind: 'restart-request' });
  t.equal(JSON.stringify([...world.told]), before, 'the other way round nothing happens');
});

t.test('replayed, old and foreign messages about a call do nothing', async (t) => {
  const world = new World('ann.1', 'ben.1', 'eve.1');
  world.do('ann.1', call('ben'));
  world.do('ben.1', { kind: 'accept', media: BOTH });
  const told = () => JSON.stringify([...world.told]);
  let before = told();
  world.hears('ben.1', 'eve.1', FIRST, 90, { kind: 'hangup', reason: 'normal' });
  world.hears('ben.1', 'ann.2', FIRST, 90, { kind: 'hangup', reason: 'normal' });
  world.hears('ben.1', 'ben.2', FIRST, 90, { kind: 'hangup', reason: 'accepted-elsewhere' });
  world.hears('ben.1', 'ann.1', FIRST, 1, { kind: 'hangup', reason: 'normal' });
  t.equal(told(), before);
  world.do('ann.1', { kind: 'hangup' });
  t.equal(world.told.get('ben.1')?.at(-1), 'ended hangup');
  before = told();
  world.hears('ben.1', 'ann.1', FIRST, 50, { kind: 'invite', media: BOTH, sentAtMs: world.nowMs });
  t.equal(told(), before, 'an ended call does not ring again');
  world.nowMs += ENDED_MEMORY_MS;
  world.hears('ben.1', 'ann.1', FIRST, 51, { kind: 'invite', media: BOTH, sentAtMs: world.nowMs });
  t.equal(world.told.get('ben.1')?.at(-1), 'ring', 'the memory is bounded in time');
});

t.test('an invite from long ago or far ahead is a missed call', async (t) => {
  const world = new World('ben.1');
  const limit = RING_MS + INVITE_SKEW_MS;
  for (const [index, age] of [limit + 1, -limit - 1].entries()) {
    const callId = `${index}d`.repeat(16);
    const sentAtMs = world.nowMs - age;
    world.hears('ben.1', 'ann.1', callId, 1, { kind: 'invite', media: BOTH, sentAtMs });
    t.equal(world.told.get('ben.1')?.at(-1), 'missed');
    t.equal(world.state('ben.1').active.kind, 'idle');
  }
  const sentAtMs = world.nowMs - limit;
  world.hears('ben.1', 'ann.1', FIRST, 1, { kind: 'invite', media: BOTH, sentAtMs });
  t.equal(world.told.get('ben.1')?.at(-1), 'ring');
});
