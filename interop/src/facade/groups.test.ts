/** A group of members on both libraries, over a network that loses, repeats and reorders. */
import * as original from '@signalapp/libsignal-client';
import * as facade from '@qasid/protocol/libsignal';
import t from 'tap';
import { Random } from '../random.js';
import { device, emptyDisk, type Device, type Library } from './program.js';

const ours = facade as unknown as Library;
const MESSAGES = Number(process.env.QASID_GROUP_MESSAGES ?? 600);
const CHANNEL = 'd1d1d1d1-7000-11eb-b32a-33b8a8a487a6';

t.test(
  'four members, two on each library: 30 % lost, reordered, some twice, chains replaced',
  async (t) => {
    const seed = Number(process.env.QASID_SEED ?? 20261123);
    const random = new Random(seed);
    t.comment(`seed ${seed}`);
    const members: Device[] = [original, ours, original, ours].map((lib, i) =>
      device(
        lib as Library,
        `9d0652a3-dcc3-4d11-975f-74d61598733${i}`,
        1,
        emptyDisk(lib as Library, i + 1),
      ),
    );
    const handOut = async (sender: Device): Promise<void> => {
      const message = await sender.distribution(CHANNEL);
      for (const member of members) if (member !== sender) await member.join(sender.name, message);
    };
    for (const sender of members) await handOut(sender);

    interface InFlight {
      readonly from: Device;
      readonly to: Device;
      readonly bytes: Uint8Array;
      readonly text: string;
    }
    const network: InFlight[] = [];
    const opened = new Map<string, number>();
    let sent = 0;
    let delivered = 0;
    let repeats = 0;
    const deliver = async (): Promise<void> => {
      const at = random.below(network.length);
      const [message] = network.splice(at, 1);
      if (!message) return;
      const key = `${message.to.name} ${message.text}`;
      try {
        const text = await message.to.groupReceive(message.from.name, message.bytes);
        if (text !== message.text) t.fail(`${key} became ${text}`);
        opened.set(key, (opened.get(key) ?? 0) + 1);
        delivered++;
      } catch (error) {
        const { code } = error as { code: number };
        // Only a repeat may be refused, and only as a duplicate.
        if (!opened.has(key) || code !== 1) t.fail(`${key}: ${error}`);
        repeats++;
      }
    };
    for (let i = 0; i < MESSAGES; i++) {
      const from = members[random.below(members.length)]!;
      if (i % 150 === 149) {
        // A member left: a new chain. Old messages under way must still open.
        from.disk.senderKeys.delete(`${from.self} ${CHANNEL}`);
        await handOut(from);
      }
      const text = `message ${i}`;
      const bytes = await from.groupSend(CHANNEL, text);
      sent++;
      for (const to of members) {
        if (to === from || random.chance(0.3)) continue;
        network.push({ from, to, bytes, text });
        if (random.chance(0.1)) network.push({ from, to, bytes, text });
      }
      while (network.length > 60) await deliver();
    }
    while (network.length > 0) await deliver();
    t.ok(
      [...opened.values()].every((times) => times === 1),
      'each opened once',
    );
    t.ok(repeats > 0, `${repeats} repeats refused`);
    t.pass(`${sent} sent, ${delivered} opened by members of both libraries`);
    for (const member of members) {
      for (const [name, record] of member.disk.senderKeys) {
        const bytes = Uint8Array.from(record);
        t.same(facade.SenderKeyRecord.deserialize(bytes).serialize(), bytes, name);
      }
    }
  },
);
