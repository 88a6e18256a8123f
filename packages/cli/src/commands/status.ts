/**
 * `qasid status`: who this profile is, and what waits; without asking the relay.
 */
import { withClient, type Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import { requireSettings } from '../profile.js';

/** Run the command. */
export async function status(context: Context): Promise<ExitCode> {
  const { relay, passphrase } = requireSettings(context.profile);
  return withClient(context, async (client) => {
    const { account, username, device, registered } = client.me;
    const pending = (await client.pending()).length;
    const facts = {
      profile: context.profile.name,
      username: username ?? null,
      account,
      device,
      registered,
      relay,
      passphrase,
      outbox: pending,
    };
    if (context.json) await context.output.json(facts);
    else {
      for (const [name, value] of Object.entries(facts)) {
        await context.output.data(`${name.padEnd(10)}  ${value ?? '-'}`);
      }
    }
    return EXIT.done;
  });
}
