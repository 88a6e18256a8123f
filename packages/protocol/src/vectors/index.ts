/**
 * Test vectors as a product: run one, and describe the operations to programs that write or check files.
 *
 * For auditors and for `qasid vectors verify`; applications do not need it, and no other module imports it.
 * Format: test-vectors/README.md.
 */
import type { CryptoProvider } from '../crypto/provider.js';
import type { StreamProvider } from '../crypto/streams.js';
import { QasidError } from '../errors.js';
import { formats } from './formats.js';
import { GROUP_OPERATIONS } from './groups.js';
import {
  Input,
  type FieldType,
  type Fields,
  type Json,
  type VectorOperation,
} from './operation.js';
import { PRIMITIVES } from './primitives.js';
import { RELAY } from './relay.js';
import { SESSIONS } from './sessions.js';

export type { FieldType, Fields, Input, Json, Outcome, VectorOperation } from './operation.js';

/** Version of the format and of the set. A change that breaks readers raises it. */
export const VECTORS_VERSION = 1;

/** One vector file. Positive: `expect.output`. Negative: `expect.error`. */
export interface Vector {
  readonly version: number;
  readonly chapter: string;
  readonly family: string;
  readonly operation: string;
  readonly case: string;
  readonly comment: string;
  /** Section, and the generator that made it. */
  readonly source: string;
  readonly input: Fields;
  /** Values on the way, for whoever looks for the step that differs; not compared when absent. */
  readonly intermediate?: Fields;
  readonly expect: { readonly output: Fields } | { readonly error: string };
}

/** All operations. */
export function vectorOperations(streams: StreamProvider): readonly VectorOperation[] {
  return [...PRIMITIVES, ...SESSIONS, ...GROUP_OPERATIONS, ...formats(streams), ...RELAY];
}

/** What running an input gave: values, or the code it was refused with. */
export type VectorResult =
  | { readonly output: Fields; readonly intermediate?: Fields }
  | { readonly error: string };

/** Run one operation. Errors that are not ours are thrown on. */
export async function runVector(
  crypto: CryptoProvider,
  operation: VectorOperation,
  input: Fields,
): Promise<VectorResult> {
  try {
    return await operation.run(new Input(input), crypto);
  } catch (error) {
    if (error instanceof QasidError) return { error: error.code };
    throw error;
  }
}

/**
 * Run a vector and compare.
 *
 * @returns `undefined` when it passes, otherwise what differs, in one line.
 */
export async function checkVector(
  crypto: CryptoProvider,
  operations: readonly VectorOperation[],
  vector: Vector,
): Promise<string | undefined> {
  if (vector.version !== VECTORS_VERSION) return `version ${vector.version} is not known`;
  const operation = operations.find(({ name }) => name === vector.operation);
  if (operation === undefined) return 'the operation is not known';
  const shape = misshapen(operation.input, vector.input);
  if (shape !== undefined && !('error' in vector.expect)) return `input ${shape}`;
  const result = await runVector(crypto, operation, vector.input);
  if ('error' in vector.expect) {
    const got = 'error' in result ? result.error : 'no error';
    return got === vector.expect.error ? undefined : `got ${got}, expected ${vector.expect.error}`;
  }
  if ('error' in result) return `got ${result.error}, expected an output`;
  return (
    different('output', result.output, vector.expect.output) ??
    (vector.intermediate && different('intermediate', result.intermediate, vector.intermediate))
  );
}

function different(what: string, got: Fields | undefined, want: Fields): string | undefined {
  for (const name of new Set([...Object.keys(got ?? {}), ...Object.keys(want)])) {
    if (canonical(got?.[name]) !== canonical(want[name])) return `${what} ${name} differs`;
  }
  return undefined;
}

function canonical(value: Json | undefined): string {
  if (value === null || typeof value !== 'object') return JSON.stringify(value) ?? 'absent';
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  const entries = Object.entries(value as Fields).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${entries.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}

/** Name of the first field that has the wrong type. */
function misshapen(types: Readonly<Record<string, FieldType>>, fields: Fields): string | undefined {
  for (const name of Object.keys(fields))
    if (types[name] === undefined) return `${name} is unknown`;
  for (const [name, type] of Object.entries(types)) {
    if (!fits(type, fields[name])) return `${name} is not ${type}`;
  }
  return undefined;
}

function fits(type: FieldType, value: Json | undefined): boolean {
  if (type.endsWith('?')) {
    return value === undefined || value === null || fits(type.slice(0, -1), value);
  }
  const [base, length] = type.split(':');
  switch (base) {
    case 'hex':
      return (
        typeof value === 'string' &&
        /^([0-9a-f]{2})*$/.test(value) &&
        (length === undefined || value.length === 2 * Number(length))
      );
    case 'u32':
      return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 0xffff_ffff;
    case 'integer':
      return Number.isSafeInteger(value);
    case 'text':
      return typeof value === 'string';
    case 'boolean':
      return typeof value === 'boolean';
    default:
      return value !== undefined;
  }
}

/** JSON Schema (draft 2020-12) of the files of one family. */
export function vectorSchema(family: string, operations: readonly VectorOperation[]): Json {
  const own = operations.filter((operation) => operation.family === family);
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Qasid test vectors: ${family}`,
    type: 'object',
    required: [
      'version',
      'chapter',
      'family',
      'operation',
      'case',
      'comment',
      'source',
      'input',
      'expect',
    ],
    additionalProperties: false,
    properties: {
      version: { const: VECTORS_VERSION },
      chapter: { enum: [...new Set(own.map(({ chapter }) => chapter))] },
      family: { const: family },
      operation: { enum: own.map(({ name }) => name) },
      case: { type: 'string', pattern: '^[a-z0-9-]+$' },
      comment: { type: 'string' },
      source: { type: 'string' },
      input: { type: 'object' },
      intermediate: { type: 'object' },
      expect: {
        oneOf: [
          {
            type: 'object',
            required: ['output'],
            additionalProperties: false,
            properties: { output: { type: 'object' } },
          },
          {
            type: 'object',
            required: ['error'],
            additionalProperties: false,
            properties: { error: { type: 'string', pattern: '^[A-Z]+_[A-Z0-9_]+$' } },
          },
        ],
      },
    },
    allOf: own.map((operation) => ({
      $comment: `${operation.about} ${operation.source}`,
      if: { properties: { operation: { const: operation.name } } },
      // biome-ignore lint/suspicious/noThenProperty: a keyword of JSON Schema
      then: {
        properties: {
          input: fieldsSchema(operation.input),
          expect: {
            properties: { output: fieldsSchema(operation.output) },
          },
        },
      },
    })),
  };
}

function fieldsSchema(types: Readonly<Record<string, FieldType>>): Json {
  return {
    required: Object.keys(types).filter((name) => !types[name]?.endsWith('?')),
    additionalProperties: false,
    properties: Object.fromEntries(
      Object.entries(types).map(([name, type]) => [name, fieldSchema(type)]),
    ),
  };
}

function fieldSchema(type: FieldType): Json {
  if (type.endsWith('?')) return { anyOf: [{ type: 'null' }, fieldSchema(type.slice(0, -1))] };
  const [base, length] = type.split(':');
  switch (base) {
    case 'hex':
      return {
        type: 'string',
        pattern: length === undefined ? '^([0-9a-f]{2})*$' : `^[0-9a-f]{${2 * Number(length)}}$`,
      };
    case 'u32':
      return { type: 'integer', minimum: 0, maximum: 0xffff_ffff };
    case 'integer':
      return { type: 'integer' };
    case 'text':
      return { type: 'string' };
    case 'boolean':
      return { type: 'boolean' };
    default:
      return {};
  }
}
