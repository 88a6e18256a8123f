/// <reference lib="dom" />
// Calls without media: who rings, who stops, who learns what. Under a virtual clock; the media path has its
// own tests in test/browser/.
import type { QasidClient } from '@qasid/client-sdk';
import { Calls, type Call, type CallsOptions } from '@qasid/client-sdk/calls';
import { TestWorld } from '@qasid/client-sdk/testing';
import t from 'tap';

t.setTimeout(400_000);

const VIDEO = { audio: true, video: true };

/** A person with a client and calls, and what they were told. */
class Person {
  readonly told: string[] = [];
  readonly client: QasidClient;
  readonly calls: Calls;
  call: Call | undefined;
  /** ICE policies of the media paths that were opened. */
  readonly policies: unknown[] = [];

  constructor(world: TestWorld, client: QasidClient, options: CallsOptions = {}) {
    this.client = client;
    const policies = this.policies;
    this.calls = new Calls(client, {
      clock: world.clock,
      getMedia: async () => ({ getTracks: () => [] }) as unknown as MediaStream,
      wrtc: {
        RTCPeerConnection: class {
          constructor(config: { readonly iceTransportPolicy: string }) {
            policies.push(config.iceTransportPolicy);
          }

          // A media path that never opens: the call fails after half a minute.
          createDataChannel(): object {
            return {};
          }

          createOffer(): Promise<never> {
            return new Promise(() => undefined);
          }

          getSenders(): readonly never[] {
            return [];
          }

          close(): void {}
        },
        RTCSessionDescription: class {},
        RTCIceCandidate: class {},
      },
      ...options,
    });
    this.calls.on('incoming', (call) => this.listen(call));
    this.calls.on('missed', () => this.told.push('missed'));
  }

  listen(call: Call | undefined): void {
    this.call = call;
    this.told.push(call === undefined ? 'nothing' : call.direction);
    call?.on('ringing', () => this.told.push('rings there'));
    call?.on('ended', (reason) => this.told.push(reason));
  }

  async close(world: TestWorld): Promise<void> {
    this.calls.close();
    await world.finish(this.client.close());
  }

  async dial(who: string): Promise<void> {
    this.listen(await this.calls.call(who, VIDEO));
  }
}

/** People who have written to each other. */
async function people(world: TestWorld, ...names: readonly string[]): Promise<Person[]> {
  const all: Person[] = [];
  for (const name of names) {
    const client = await world.client(name);
    await world.finish(client.register({ username: name }));
    all.push(new Person(world, client));
  }
  return all;
}

async function befriend(world: TestWorld, one: Person, other: Person): Promise<void> {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const sent = await world.finish(from.client.send(to.client.me.username ?? '', 'salaam'));
    await world.finish(sent.confirmed);
  }
  await world.clock.advance(5_000);
}

t.test('ringing, declined, busy, nobody there', async (t) => {
  const world = await TestWorld.create({ seed: 21 });
  const [ann, ben, cat] = (await people(world, 'ann', 'ben', 'cat')) as [Person, Person, Person];
  await befriend(world, ann, ben);
  await befriend(world, cat, ben);
  await world.finish(ann.dial('ben'));
  t.ok(await world.clock.until(() => ann.told.includes('rings there')));
  await world.finish(cat.dial('ben'));
  t.ok(await world.clock.until(() => cat.told.includes('busy')));
  t.ok(ben.told.includes('missed'), 'and is told of the one who could not come through');
  ben.call?.decline();
  t.ok(await world.clock.until(() => ann.told.includes('declined')));
  t.equal(ben.told.at(-1), 'declined');
  world.network.partition('ben');
  await world.finish(ann.dial('ben'));
  await world.clock.advance(61_000);
  t.equal(ann.told.at(-1), 'no-answer');
  await world.clock.advance(60_000);
  world.network.heal('ben');
  const before = ben.told.length;
  await world.clock.advance(120_000);
  t.notOk(ben.told.slice(before).includes('incoming'), 'what is over does not ring');
  for (const person of [ann, ben, cat]) await person.close(world);
});

t.test('ATK-M05 a stranger’s call shows no address; ATK-M01 nothing opens by itself', async (t) => {
  const world = await TestWorld.create({ seed: 22 });
  const [ann, ben] = (await people(world, 'ann', 'ben')) as [Person, Person];
  await world.finish(ann.dial('ben'));
  t.ok(await world.clock.until(() => ben.told.includes('incoming')));
  await world.clock.advance(20_000);
  t.strictSame(ben.policies, [], 'ringing opens nothing');
  ben.call?.accept();
  t.ok(await world.clock.until(() => ben.policies.length === 1));
  t.strictSame(ben.policies, ['relay'], 'a stranger is answered through TURN only');
  await world.clock.advance(60_000);
  t.equal(ann.told.at(-1), 'failed');
  await befriend(world, ann, ben);
  await world.finish(ann.dial('ben'));
  t.ok(await world.clock.until(() => ben.told.filter((what) => what === 'incoming').length === 2));
  ben.call?.accept();
  t.ok(await world.clock.until(() => ben.policies.length === 2));
  t.equal(ben.policies[1], 'all', 'a contact directly');
  await (await ben.client.conversation('ann')).block();
  await world.clock.advance(60_000);
  const before = ben.told.length;
  await world.finish(ann.dial('ben'));
  await world.clock.advance(70_000);
  t.equal(ben.told.length, before, 'a blocked account does not ring');
  for (const person of [ann, ben]) await person.close(world);
});

t.test('both call at once: one call, on both sides', async (t) => {
  const world = await TestWorld.create({ seed: 23 });
  const [ann, ben] = (await people(world, 'ann', 'ben')) as [Person, Person];
  await befriend(world, ann, ben);
  await Promise.all([
    world.finish(ann.dial('ben')),
    ben.calls.call('ann', VIDEO).then((call) => ben.listen(call)),
  ]);
  t.ok(await world.clock.until(() => ann.policies.length + ben.policies.length >= 2, 300_000));
  t.notOk(ann.told.includes('incoming') || ben.told.includes('incoming'), 'nobody is asked');
  for (const person of [ann, ben]) await person.close(world);
});

t.test('a signal is for the devices it is for', async (t) => {
  const world = await TestWorld.create({ seed: 24 });
  const [ann, ben] = (await people(world, 'ann', 'ben')) as [Person, Person];
  await befriend(world, ann, ben);
  const second = await world.client('ben-2');
  const request = await second.devices.request();
  const grant = await world.finish(ben.client.devices.authorise(request));
  await world.finish(second.devices.accept(grant));
  await world.clock.advance(30_000);
  const heard: string[] = [];
  const listen = (client: QasidClient, name: string): void => {
    client.signals.on(({ data }) => heard.push(`${name} ${new TextDecoder().decode(data)}`));
  };
  listen(ben.client, 'first');
  listen(second, 'second');
  const data = new TextEncoder().encode('only you');
  const to = ben.client.me.account ?? '';
  await world.finish(ann.client.signals.send(to, { kind: 'only', device: 2 }, data));
  await world.clock.advance(10_000);
  t.ok(heard.includes('second only you'));
  t.notOk(heard.includes('first only you'));
  t.equal(
    heard.filter((line) => line.startsWith('first')).length,
    1,
    'the other gets as much of nothing',
  );
  await world.finish(second.close());
  for (const person of [ann, ben]) await person.close(world);
});
