/**
 * 13 Relay §8. Options from a TOML file.
 */
import { readFileSync } from 'node:fs';
import { basename, dirname, resolve } from 'node:path';
import { parse, TomlError } from 'smol-toml';
import { RelayError } from '../errors.js';
import {
  OPTION_KEYS,
  OPTIONS,
  optionNamed,
  QUOTA_KEYS,
  quotaNamed,
  SECTIONS,
  type Section,
  snakeCase,
} from './options.js';
import { type ConfigProblem, failOn, unknownName } from './problems.js';

/** What a file sets. */
export interface FileOptions {
  /** Values as they stand in the file, by key of `RelayConfig`; unchecked. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Where each stands, `relay.toml line 12`; quotas as `quotas.sends`. */
  readonly places: ReadonlyMap<string, string>;
}

/** Read a file. @throws RelayError `RELAY_CONFIG` when it cannot be read or holds anything that is not an option. */
export function readOptionsFile(path: string): FileOptions {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
    const hint = 'check its name and mode; qasid relay init writes one';
    throw new RelayError('RELAY_CONFIG', `${basename(path)} cannot be read (${code})`, hint, {
      cause,
    });
  }
  return parseOptions(text, basename(path), dirname(resolve(path)));
}

/** Parse the text of a file called `name`; its paths are relative to `directory`. @throws RelayError `RELAY_CONFIG` */
export function parseOptions(text: string, name: string, directory: string): FileOptions {
  const place = (section: string, key: string): string => {
    const line = lineOf(text, section, key);
    return line === undefined ? name : `${name} line ${line}`;
  };
  const problems: ConfigProblem[] = [];
  const values: Record<string, unknown> = {};
  const places = new Map<string, string>();
  for (const [section, table] of Object.entries(parseToml(text, name))) {
    if (!isSection(section) || !isTable(table)) {
      problems.push(strangeSection(section, place('', section)));
      continue;
    }
    for (const [option, value] of Object.entries(table)) {
      const at = place(section, option);
      if (section === 'quotas') readQuota(option, value, at, values, places, problems);
      else readOption(section, option, at, { value, directory }, values, places, problems);
    }
  }
  failOn(problems);
  return { values, places };
}

function readOption(
  section: Section,
  option: string,
  at: string,
  given: { readonly value: unknown; readonly directory: string },
  values: Record<string, unknown>,
  places: Map<string, string>,
  problems: ConfigProblem[],
): void {
  const key = optionNamed(option);
  if (key === undefined || key === 'quotas') {
    problems.push(unknownName(option, OPTION_KEYS.map(snakeCase), at));
    return;
  }
  const { section: home, kind } = OPTIONS[key];
  if (home !== section) {
    const message = `does not belong in [${section}]`;
    problems.push({ key: option, message, hint: `move it to [${home}]`, place: at });
    return;
  }
  const { value, directory } = given;
  values[key] =
    kind.type === 'path' && typeof value === 'string' ? resolve(directory, value) : value;
  places.set(key, at);
}

function readQuota(
  option: string,
  value: unknown,
  at: string,
  values: Record<string, unknown>,
  places: Map<string, string>,
  problems: ConfigProblem[],
): void {
  const name = quotaNamed(option);
  if (name === undefined) {
    problems.push(unknownName(option, QUOTA_KEYS.map(snakeCase), at, 'is not a quota'));
    return;
  }
  const isRule =
    isTable(value) &&
    Object.keys(value).every((field) => field === 'burst' || field === 'per_second') &&
    typeof value.burst === 'number' &&
    typeof value.per_second === 'number';
  if (!isRule) {
    const hint = `write ${option} = { burst = 60, per_second = 1.0 }`;
    problems.push({ key: option, message: 'needs burst and per_second', hint, place: at });
    return;
  }
  const rule = { burst: value.burst, perSecond: value.per_second };
  values.quotas = { ...(values.quotas as object | undefined), [name]: rule };
  places.set(`quotas.${name}`, at);
}

function parseToml(text: string, name: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    const [what = 'not TOML'] = cause.message.replace(/^Invalid TOML document: /, '').split('\n');
    throw new RelayError(
      'RELAY_CONFIG',
      `${name} line ${cause.line}: ${what}`,
      'correct that line; texts stand in quotation marks',
      { cause },
    );
  }
}

function strangeSection(name: string, place: string): ConfigProblem {
  const key = optionNamed(name);
  if (key !== undefined && key !== 'quotas') {
    const hint = `move it to [${OPTIONS[key].section}]`;
    return { key: name, message: 'stands outside of a section', hint, place };
  }
  return unknownName(name, Object.keys(SECTIONS), place, 'is not a section');
}

function isSection(name: string): name is Section {
  return Object.hasOwn(SECTIONS, name);
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The line of `key` in `section`, from 1. The parser gives values only; good enough to point at. */
function lineOf(text: string, section: string, key: string): number | undefined {
  let current = '';
  for (const [index, line] of text.split('\n').entries()) {
    const [, header] = /^\s*\[\s*([\w.-]+)\s*\]/.exec(line) ?? [];
    if (header !== undefined) {
      current = header;
      if (section === '' ? header === key : header === `${section}.${key}`) return index + 1;
    }
    const [, found] = /^\s*"?([\w-]+)"?\s*[=.]/.exec(line) ?? [];
    if (current === section && found === key) return index + 1;
  }
  return undefined;
}
