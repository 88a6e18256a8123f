/** Valid inputs for the mutator, out of the recorded vectors. */
import { fromHex } from '#src/bytes.js';
import { base64 } from '../support/hex.js';
import { RECORDED, readVectors } from '../vectors/node.js';

const files = readVectors(RECORDED);

interface Step {
  readonly type?: number;
  readonly bytes?: string;
  readonly error?: unknown;
  readonly recordAfter?: string | null;
}

interface Party {
  readonly identityKeyPairRecord: string;
  readonly preKeyRecords: readonly { record: string }[];
  readonly signedPreKeyRecords: readonly { record: string }[];
  readonly kyberPreKeyRecords: readonly { record: string }[];
}

interface Conversation {
  readonly steps: readonly Step[];
  readonly parties: Readonly<Record<string, Party>>;
}

/** The parsed file. */
export function recorded(path: string): unknown {
  const file = files.find((one) => one.path === path);
  if (!file) throw new Error(`no recorded file ${path}`);
  return file.json;
}

const conversations = files
  .filter((file) => file.path.startsWith('sessions/conversation-'))
  .map((file) => file.json as Conversation);
const steps = conversations.flatMap((conversation) => conversation.steps);
const parties = conversations.flatMap((conversation) => Object.values(conversation.parties));

/** At most `count` of `all`, spread evenly. */
function some(all: readonly Uint8Array[], count: number): Uint8Array[] {
  const every = Math.max(1, Math.floor(all.length / count));
  return all.filter((_, i) => i % every === 0).slice(0, count);
}

/** Messages of type 2 or 3 as their senders made them. */
export function messages(type: 2 | 3): Uint8Array[] {
  const good = steps.filter((step) => step.type === type && step.bytes && !step.error);
  return some(
    good.map((step) => base64(step.bytes ?? '')),
    60,
  );
}

/** Session records: fresh, skipped keys, archives, every stage of SPQR. */
export function sessionRecords(): Uint8Array[] {
  const records = steps.flatMap((step) => (step.recordAfter ? [base64(step.recordAfter)] : []));
  return some(records, 60);
}

/** Records of a party's own keys. */
export function keyRecords(
  kind: 'preKeyRecords' | 'signedPreKeyRecords' | 'kyberPreKeyRecords',
): Uint8Array[] {
  return parties.flatMap((party) => party[kind].map(({ record }) => base64(record)));
}

/** Identity key pair records. */
export function identityRecords(): Uint8Array[] {
  return parties.map((party) => base64(party.identityKeyPairRecord));
}

/** Every hex string stored under `name` anywhere in a recorded file. */
export function hexFields(path: string, name: string): Uint8Array[] {
  const found = new Set<string>();
  const walk = (value: unknown): void => {
    if (value === null || typeof value !== 'object') return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === name && typeof inner === 'string' && inner !== '') found.add(inner);
      else walk(inner);
    }
  };
  walk(recorded(path));
  return [...found].flatMap((text) => fromHex(text) ?? []);
}

/** The inputs that `accept` takes: recorded files hold broken ones too. */
export function accepted(
  inputs: readonly Uint8Array[],
  accept: (input: Uint8Array) => unknown,
): Uint8Array[] {
  return inputs.filter((input) => {
    try {
      accept(input.slice());
      return true;
    } catch {
      return false;
    }
  });
}
