// Two devices that link in a world, and people who compare what stands on their screens.
import type { QasidClient, Linking, LinkingOptions, LinkOptions } from '@qasid/client-sdk';
import { MemoryStore } from '@qasid/client-sdk';
import { Mortal, seededCrypto, type TestWorld } from '@qasid/client-sdk/testing';
import type { ClientStore, Dial } from '@qasid/client-sdk';

/** Address of a world's relay. */
export const WORLD_RELAY = 'ws://relay.test';

/** What the new device runs on. */
export interface NewDevice {
  readonly store?: ClientStore;
  readonly dial?: Dial;
  readonly name?: string;
  readonly link?: string;
  readonly confirm?: LinkOptions['confirm'];
  readonly show?: LinkOptions['show'];
  readonly diesAt?: number;
}

/** Start a new device; resolves when it is part of the account. */
export function newDevice(
  world: TestWorld,
  options: NewDevice,
): { readonly client: Promise<QasidClient>; readonly mortal: Mortal; readonly store: ClientStore } {
  const { store = new MemoryStore(), name = 'tablet', link, show } = options;
  const mortal = new Mortal(store, options.dial ?? world.network.dialOf(name), options.diesAt);
  // `QasidClient` is loaded by the testing kit already; this is the same class.
  const client = import('@qasid/client-sdk').then(({ QasidClient: Client }) =>
    Client.link({
      store: mortal.store,
      socket: mortal.dial,
      clock: world.clock,
      crypto: seededCrypto(world.random.fork()),
      relay: WORLD_RELAY,
      name,
      platformName: 'test',
      confirm: options.confirm ?? (() => true),
      ...(link !== undefined && { link }),
      ...(show && { show }),
    }),
  );
  client.catch(() => undefined);
  return { client, mortal, store };
}

/** Link a new device to `existing`; both people agree when the digits are the same. */
export async function linked(
  world: TestWorld,
  existing: QasidClient,
  options: NewDevice & { readonly choices?: LinkingOptions } = {},
): Promise<{
  readonly client: QasidClient;
  readonly linking: Linking;
  readonly store: ClientStore;
}> {
  const linking = await existing.devices.startLinking(options.choices);
  const started = newDevice(world, { ...options, link: linking.qr?.text ?? '' });
  void linking.request.then(() => linking.confirm());
  await settled(world, Promise.all([started.client, linking.done]));
  return { client: await started.client, linking, store: started.store };
}

/** Let time pass until a promise settles. */
export async function settled(world: TestWorld, promise: Promise<unknown>): Promise<void> {
  let over = false;
  const note = (): void => {
    over = true;
  };
  promise.then(note, note);
  if (!(await world.clock.until(() => over))) throw new Error('waited in vain');
}
