/**
 * `qasid relay check-config`: whether a relay would start with this, and with what exactly.
 */
import type { Context } from '../context.js';
import { EXIT, type ExitCode } from '../exit-codes.js';
import type { RelaySourceOptions } from '../relay-args.js';
import { relayConfig } from '../relay-config.js';

/** Run the command. @throws RelayError `RELAY_CONFIG` with everything that is wrong. */
export async function relayCheckConfig(
  context: Context,
  options: RelaySourceOptions,
): Promise<ExitCode> {
  const { config } = await relayConfig(options);
  const { printConfig, profileOf } = await import('@qasid/relay');
  const { name, dangers } = profileOf(config);
  const text = printConfig(config);
  if (context.json) await context.output.json({ profile: name, dangers, configuration: text });
  else await context.output.data(text.trimEnd());
  context.output.note(`profile ${name}${dangers.length > 0 ? `: ${dangers.join(', ')}` : ''}`);
  return EXIT.done;
}
