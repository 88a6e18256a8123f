// 20 Linking: a relay that alters, repeats, swaps and holds back what two devices say to each other.
import t from 'tap';
import type { Item } from '@qasid/protocol/envelope';
import { TestWorld, lyingDial, type Lies } from '@qasid/client-sdk/testing';

import { newDevice, settled } from '../support/linking.js';

type Tamper = (message: Uint8Array, count: number) => Uint8Array | undefined;

/** Changes each message of a rendezvous on its way to a client; `undefined` holds it back. */
function tampering(tamper: Tamper): Lies {
  let count = 0;
  return {
    toClient: (item: Item) => {
      if (item.kind !== 'response' || item.body.kind !== 'rendezvous') return [item];
      const message = tamper(item.body.message, count++);
      if (message === undefined) return [];
      return [{ ...item, body: { kind: 'rendezvous', message } }];
    },
  };
}

async function attempt(seed: number, tamper: Tamper, on: 'account' | 'new-device') {
  const world = await TestWorld.create({ seed });
  const lies = tampering(tamper);
  const alice = await world.client('alice', on === 'account' ? { lies } : {});
  await settled(world, alice.register({ username: 'alice' }));
  const linking = await alice.devices.startLinking();
  const honest = world.network.dialOf('tablet');
  const { client } = newDevice(world, {
    link: linking.qr?.text ?? '',
    dial: on === 'new-device' ? lyingDial(honest, lies) : honest,
  });
  void linking.request.then(() => linking.confirm()).catch(() => undefined);
  const ends = Promise.allSettled([linking.done, client]);
  await settled(world, ends);
  const codes = (await ends).map((end) =>
    end.status === 'rejected' ? (end.reason as { code: string }).code : 'fine',
  );
  const devices = (await alice.devices.list()).length;
  await client.then((one) => one.close()).catch(() => undefined);
  await alice.close();
  return { codes, devices };
}

t.test('ATK-G05 a relay that alters, repeats or withholds a message of a linking', async (t) => {
  const flip: Tamper = (message) => message.map((byte, at) => (at === 30 ? byte ^ 4 : byte));
  let kept: Uint8Array | undefined;
  const tricks: readonly (readonly [string, Tamper])[] = [
    ['altered', flip],
    ['cut short', (message) => message.subarray(0, message.length - 1)],
    ['empty', () => new Uint8Array(0)],
    ['withheld', () => undefined],
    ['first altered only', (message, count) => (count === 0 ? flip(message, 0) : message)],
    ['second altered only', (message, count) => (count === 1 ? flip(message, 0) : message)],
    [
      'the first one again',
      (message, count) => {
        if (count === 0) kept = message.slice();
        return count === 0 ? message : kept;
      },
    ],
  ];
  for (const [at, [what, tamper]] of tricks.entries()) {
    for (const on of ['account', 'new-device'] as const) {
      const { codes, devices } = await attempt(100 + at, tamper, on);
      t.ok(
        codes.every((code) => code === 'LINK_ALTERED' || code === 'LINK_EXPIRED'),
        `${what}, towards the ${on}: ${codes}`,
      );
      t.equal(devices, 1);
    }
  }
  const { codes, devices } = await attempt(99, (message) => message, 'account');
  t.strictSame([codes, devices], [['fine', 'fine'], 2]);
});
