// A group over a real relay: members come and go while devices are away and come back. QASID_GROUP_MEMBERS sets its
// size: the nightly run has 50.
import { MemoryStore, type QasidClient } from '@qasid/client-sdk';
import t from 'tap';

import { dice } from '../support/dice.js';
import { person, testClient, testRelay, until } from '../support/world.js';

t.setTimeout(0);

const MEMBERS = Number(process.env.QASID_GROUP_MEMBERS ?? 8);
const ROUNDS = Number(process.env.QASID_GROUP_ROUNDS ?? 6);
const WAIT_MS = 60_000 + MEMBERS * 2_000;

interface Device {
  readonly name: string;
  readonly store: MemoryStore;
  readonly texts: string[];
  readonly lost: string[];
  client: QasidClient;
}

t.test(
  `ATK-E04 ${MEMBERS} members with churn: all hear all they should, and nobody else`,
  async (t) => {
    const relay = await testRelay(t);
    const random = dice(4);
    const devices: Device[] = [];
    const watch = (device: Device): void => {
      device.client.on('message', ({ text }) => device.texts.push(text));
      device.client.on('undecryptable', ({ cause }) => device.lost.push(cause));
    };
    for (let index = 0; index < MEMBERS; index++) {
      const name = `member.${index}`;
      const store = new MemoryStore();
      const client = await person(t, relay, name, { store });
      const device = { name, store, texts: [], lost: [], client };
      watch(device);
      devices.push(device);
    }
    const [founder] = devices;
    const members = devices.slice(1, -2).map(({ name }) => name);
    const group = await founder!.client.createGroup({ title: 'Assembly', members });
    const { id } = group;
    const inside = new Set([founder!.name, ...members]);
    const present = async ({ client }: Device): Promise<boolean> =>
      client.group(id).then(
        async (one) => (await one.details()).role !== undefined,
        () => false,
      );
    const settled = async (device: Device): Promise<boolean> =>
      (await present(device)) === inside.has(device.name);
    const allSettled = async (): Promise<boolean> =>
      (await Promise.all(devices.map(settled))).every((is) => is);
    await until(allSettled, WAIT_MS);
    for (let round = 0; round < ROUNDS; round++) {
      // Some are away.
      const away = devices.slice(1).filter(() => random() < 0.3);
      for (const device of away) await device.client.close();
      const here = devices.filter((device) => !away.includes(device));
      // One goes, one comes.
      const names = devices.slice(1).map(({ name }) => name);
      const goes = names.filter((name) => inside.has(name))[
        Math.floor(random() * (inside.size - 1))
      ]!;
      const comes = names.find((name) => !inside.has(name))!;
      await group.remove(goes);
      inside.delete(goes);
      await group.add(comes);
      inside.add(comes);
      const sender =
        here.find(({ name }) => inside.has(name) && name !== founder!.name) ?? founder!;
      // What it writes goes to those who are in the group as it knows it.
      const { version } = await group.details();
      const knows = async (): Promise<boolean> =>
        (await settled(sender)) &&
        (await (await sender.client.group(id)).details()).version === version;
      await until(knows, WAIT_MS);
      const text = `round ${round} by ${sender.name}`;
      await (await sender.client.group(id)).send(text);
      await group.send(`round ${round} by the founder`);
      for (const device of away) {
        device.client = await testClient(t, relay, { store: device.store });
        watch(device);
      }
      await until(allSettled, WAIT_MS);
      const hears = (device: Device): boolean =>
        device.texts.includes(`round ${round} by the founder`) || device === founder;
      const inIt = devices.filter(({ name }) => inside.has(name));
      await until(() => inIt.every(hears), WAIT_MS);
      await until(() => inIt.every((one) => one === sender || one.texts.includes(text)), WAIT_MS);
      const out = devices.find(({ name }) => name === goes)!;
      t.notOk(out.texts.includes(`round ${round} by the founder`), `${goes} is out`);
    }
    const epochs = await Promise.all(
      devices
        .filter(({ name }) => inside.has(name))
        .map(async ({ client }) => (await (await client.group(id)).details()).epoch),
    );
    t.strictSame(new Set(epochs), new Set([ROUNDS + 1]), 'one epoch for each who went');
    for (const { name, lost, texts } of devices) {
      t.strictSame(lost, [], name);
      t.equal(new Set(texts).size, texts.length, `${name} saw nothing twice`);
    }
  },
);
