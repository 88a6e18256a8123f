/**
 * `qasid device list|rename|remove`: the devices of the account.
 */
import { requireConnected, withClient, type Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { inertJson, inertLine } from '../inert.js';

const DAY_MS = 86_400_000;

/** Without asking the relay. */
export async function deviceList(context: Context): Promise<ExitCode> {
  return withClient(context, async (client) => {
    for (const device of await client.devices.list()) {
      const { name, platform, addedAtMs, lastSeenDay, current } = device;
      const seen = lastSeenDay === undefined ? '-' : dayOf(lastSeenDay * DAY_MS);
      const joined = addedAtMs === 0 ? '-' : dayOf(addedAtMs);
      if (context.json) {
        const facts = { device: device.device, name, platform, joined, seen, current };
        await context.output.data(inertJson(facts));
        continue;
      }
      const words = [
        `${device.device}`,
        inertLine(name) || '-',
        `joined ${joined}`,
        `seen ${seen}`,
      ];
      await context.output.data(`${words.join('  ')}${current ? '  (this one)' : ''}`);
    }
    return EXIT.done;
  });
}

/** Stored here at once; the other devices hear of it when the relay can be reached. */
export async function deviceRename(
  context: Context,
  device: number,
  name: string,
): Promise<ExitCode> {
  return withClient(context, async (client) => {
    await client.devices.rename(device, name);
    await client.flush({ timeoutMs: context.timeoutMs });
    context.output.note(`device ${device} is called ${inertLine(name)}`);
    return EXIT.done;
  });
}

/** Needs the relay. */
export async function deviceRemove(context: Context, device: number): Promise<ExitCode> {
  return withClient(context, async (client) => {
    await requireConnected(context, client);
    await client.devices.remove(device);
    context.output.note(`device ${device} is removed`);
    context.output.hint('what lies on it stays there, the key of this account included');
    return EXIT.done;
  });
}

function dayOf(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}
