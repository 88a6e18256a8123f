/**
 * 13 Relay §8. A configuration as a file: the effective one without secrets, and a commented one to start from.
 */
import { stringify } from 'smol-toml';
import { DEFAULT_CONFIG, type RelayConfig } from '../config.js';
import {
  OPTION_KEYS,
  OPTIONS,
  QUOTA_ABOUT,
  QUOTA_KEYS,
  SECTIONS,
  type Section,
  snakeCase,
} from './options.js';

/** `config` as TOML with every option. Secrets are `(redacted)`, options that are absent stay out. */
export function printConfig(config: RelayConfig): string {
  return sectionsOf(({ key, section }) => {
    if (section === 'quotas') return quotaLines(config);
    const value = config[key];
    if (value === undefined) return [];
    const { isSecret } = OPTIONS[key];
    return [line(key, isSecret === true ? '(redacted)' : withoutPassword(value))];
  });
}

/** A file with every option explained, defaults commented out, and `set` in force. */
export function commentedConfig(set: Partial<RelayConfig>): string {
  const head = [
    '# Configuration of a Qasid relay. A line that begins with # is the default, or an example.',
    '# Environment (QASID_RELAY_PORT=…) and flags (--set port=…) win over this file.',
    '# Check it with: qasid relay check-config FILE',
  ];
  const body = sectionsOf(({ key, section }) => {
    if (section === 'quotas') {
      return QUOTA_KEYS.flatMap((name) => [
        `# ${QUOTA_ABOUT[name]}`,
        `#${quotaLine(DEFAULT_CONFIG, name)}`,
      ]);
    }
    const { about, kind } = OPTIONS[key];
    const comment = `# ${about}${kind.type === 'choice' ? ` (${kind.values.join(', ')})` : ''}`;
    const chosen = set[key];
    if (chosen !== undefined) return [comment, line(key, chosen)];
    const value = DEFAULT_CONFIG[key];
    return [comment, value === undefined ? `#${snakeCase(key)} =` : `#${line(key, value)}`];
  });
  return `${head.join('\n')}\n\n${body}`;
}

function sectionsOf(
  linesOf: (option: { key: keyof RelayConfig; section: Section }) => readonly string[],
): string {
  const sections = Object.keys(SECTIONS) as Section[];
  return sections
    .map((section) => {
      const keys = OPTION_KEYS.filter((key) => OPTIONS[key].section === section);
      const lines = keys.flatMap((key) => linesOf({ key, section }));
      return `[${section}] # ${SECTIONS[section]}\n${lines.join('\n')}\n`;
    })
    .join('\n');
}

function quotaLines(config: RelayConfig): readonly string[] {
  return QUOTA_KEYS.map((name) => quotaLine(config, name));
}

function quotaLine({ quotas }: RelayConfig, name: keyof RelayConfig['quotas']): string {
  const { burst, perSecond } = quotas[name];
  return `${snakeCase(name)} = { burst = ${burst}, per_second = ${perSecond} }`;
}

function line(key: keyof RelayConfig, value: unknown): string {
  return stringify({ [snakeCase(key)]: value }).trim();
}

/** A URL may carry a password. */
function withoutPassword(value: unknown): unknown {
  return typeof value === 'string' ? value.replace(/:\/\/[^/@]*@/, '://(redacted)@') : value;
}
