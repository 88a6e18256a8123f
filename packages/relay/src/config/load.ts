/**
 * 13 Relay §8. The configuration of a relay that is started as a program: file, then environment, then
 * flags; the later wins. Checked as a whole.
 */
import type { Quotas, RelayConfig, RelayOptions } from '../config.js';
import { checkConfig } from './check.js';
import { readOptionsFile } from './file.js';
import {
  OPTION_KEYS,
  OPTIONS,
  type OptionKind,
  optionNamed,
  QUOTA_KEYS,
  quotaNamed,
  snakeCase,
} from './options.js';
import { type ConfigProblem, failOn, unknownName } from './problems.js';

/** Where to look. */
export interface ConfigSources {
  /** A TOML file. Without it, `QASID_RELAY_CONFIG` may name one. */
  readonly file?: string | undefined;
  /** `QASID_RELAY_…`; nothing by default. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** `name=value`, as `--set` takes them. */
  readonly settings?: readonly string[];
  /** Options of the caller, which win over everything. `undefined` leaves one alone. */
  readonly flags?: { readonly [Key in keyof RelayOptions]?: RelayOptions[Key] | undefined };
  /** What holds where nothing else is said. */
  readonly fallback?: RelayOptions;
}

/** Options from all sources, and a checked configuration. */
export interface LoadedConfig {
  readonly options: RelayOptions;
  readonly config: RelayConfig;
}

/** Read and check everything. @throws RelayError `RELAY_CONFIG`, listing every problem of a source. */
export function loadConfig(sources: ConfigSources): LoadedConfig {
  const { environment = {}, settings = [], flags = {}, fallback = {} } = sources;
  const path = sources.file ?? environment[`${PREFIX}CONFIG`];
  const merged = new Merged();
  merged.add(fallback as Record<string, unknown>, () => undefined);
  if (path !== undefined) {
    const { values, places } = readOptionsFile(path);
    merged.add(values, (key) => ({ key: nameInFile(key), place: places.get(key) }));
  }
  merged.addTexts(
    Object.entries(environment)
      .filter(([name]) => name.startsWith(PREFIX) && name !== `${PREFIX}CONFIG`)
      .map(([name, text]) => ({
        name: name
          .slice(PREFIX.length)
          .toLowerCase()
          .replace(/^quotas_/, 'quotas.'),
        text: text ?? '',
        spelt: name,
      })),
    (option) => PREFIX + option.toUpperCase().replace('.', '_'),
  );
  merged.addTexts(
    settings.map((setting) => {
      const at = setting.indexOf('=');
      const name = at < 0 ? setting : setting.slice(0, at);
      return { name, text: at < 0 ? '' : setting.slice(at + 1), spelt: `--set ${name}` };
    }),
    (option) => `--set ${option}`,
  );
  merged.add(flags as Record<string, unknown>, () => undefined);
  const options = merged.values as RelayOptions;
  return { options, config: checkConfig(options, (key) => merged.names.get(key)) };
}

/** The prefix of environment variables. */
export const PREFIX = 'QASID_RELAY_';

interface TextOption {
  readonly name: string;
  readonly text: string;
  /** The name as its source spells it. */
  readonly spelt: string;
}

/** Values of several sources, the later over the earlier. */
class Merged {
  readonly values: Record<string, unknown> = {};
  readonly names = new Map<string, { readonly key: string; readonly place?: string }>();

  add(
    given: Readonly<Record<string, unknown>>,
    nameOf: (
      key: string,
    ) => { readonly key: string; readonly place: string | undefined } | undefined,
  ): void {
    for (const [key, value] of Object.entries(given)) {
      if (value === undefined) continue;
      if (key === 'quotas') {
        this.values.quotas = {
          ...(this.values.quotas as object | undefined),
          ...(value as object),
        };
      } else this.values[key] = value;
      const keys =
        key === 'quotas' ? Object.keys(value as object).map((q) => `quotas.${q}`) : [key];
      for (const one of keys) this.#name(one, nameOf(one));
    }
  }

  addTexts(given: readonly TextOption[], spell: (option: string) => string): void {
    const problems: ConfigProblem[] = [];
    for (const { name, text, spelt } of given) {
      const alias = Object.hasOwn(ALIASES, name) ? ALIASES[name] : undefined;
      if (alias !== undefined) {
        this.add(alias(text), () => ({ key: spelt, place: undefined }));
        continue;
      }
      const quota = name.startsWith('quotas.') ? quotaNamed(name.slice(7)) : undefined;
      const key = optionNamed(name);
      if (quota !== undefined) {
        this.add({ quotas: { [quota]: ruleOf(text) } }, () => ({ key: spelt, place: undefined }));
      } else if (key !== undefined && key !== 'quotas') {
        const value = typedValue(OPTIONS[key].kind, text);
        this.add({ [key]: value }, () => ({ key: spelt, place: undefined }));
      } else problems.push(unknownName(spelt, KNOWN_NAMES.map(spell)));
    }
    failOn(problems);
  }

  #name(
    key: string,
    named: { readonly key: string; readonly place: string | undefined } | undefined,
  ): void {
    if (named === undefined) this.names.delete(key);
    else {
      const { place } = named;
      this.names.set(key, { key: named.key, ...(place !== undefined && { place }) });
    }
  }
}

/** A text as a value of its kind; one that is none is left as it is, for the check to name. */
function typedValue(kind: OptionKind, text: string): unknown {
  switch (kind.type) {
    case 'number':
      return text.trim() === '' ? text : Number(text);
    case 'flag':
      return text === 'true' ? true : text === 'false' ? false : text;
    case 'list':
      return text
        .split(',')
        .map((item) => item.trim())
        .filter((item) => item !== '');
    default:
      return text;
  }
}

/** `120/2`: burst, and per second. */
function ruleOf(text: string): Quotas[keyof Quotas] {
  const [burst = '', perSecond = ''] = text.split('/');
  return { burst: Number(burst || Number.NaN), perSecond: Number(perSecond || Number.NaN) };
}

/** `HOST:PORT`, an IPv6 host in brackets. */
function hostAndPort(text: string): { readonly host: string; readonly port: number } {
  const at = text.lastIndexOf(':');
  return {
    host: text.slice(0, Math.max(0, at)).replace(/^\[|\]$/g, ''),
    port: Number(text.slice(at + 1) || Number.NaN),
  };
}

/** Short names for what is set most often. */
const ALIASES: Readonly<Record<string, (text: string) => Readonly<Record<string, unknown>>>> = {
  listen: hostAndPort,
  data: (directory) => ({ directory }),
};

const KNOWN_NAMES: readonly string[] = [
  ...OPTION_KEYS.filter((key) => key !== 'quotas').map(snakeCase),
  ...QUOTA_KEYS.map((key) => `quotas.${snakeCase(key)}`),
  ...Object.keys(ALIASES),
];

function nameInFile(key: string): string {
  return key.split('.').map(snakeCase).join('.');
}
