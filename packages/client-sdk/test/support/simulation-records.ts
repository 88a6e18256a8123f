// What an evil relay does to the records of groups: it withholds, takes back, garbles, mixes up, and shows
// different ones to different people, which is how it would make a group fall apart.
import type { SeededRandom } from '@qasid/client-sdk/testing';
import type { Item, RequestItem, RequestOp, ResponseItem } from '@qasid/protocol/envelope';

type Value = { readonly version: number; readonly value: Uint8Array };

/** Values kept of each record, to be shown again. */
const KEPT_MAX = 16;

/** The records as the relay lies about them. `says` decides, and counts. */
export class EvilRecords {
  readonly #random: SeededRandom;
  readonly #says: (what: string) => boolean;
  readonly #old = new Map<string, Value[]>();
  /** By client: records that it alone is shown. */
  readonly #private = new Map<string, Map<string, Value>>();
  /** Requests that were kept from the relay, and what is answered. */
  readonly #answers = new WeakMap<RequestOp, Pick<ResponseItem, 'code' | 'body'>>();

  constructor(random: SeededRandom, says: (what: string) => boolean) {
    this.#random = random;
    this.#says = says;
  }

  /** The relay is honest now: everybody is shown the same. */
  end(): void {
    this.#private.clear();
  }

  /** On the way to the relay. */
  asks(name: string, item: RequestItem): readonly Item[] {
    const { op } = item;
    if (op.kind !== 'recordPut') return [item];
    const id = op.id.join();
    const mine = this.#private.get(name) ?? new Map<string, Value>();
    this.#private.set(name, mine);
    const shown = mine.get(id);
    // Who was shown another record goes on with that one.
    if (shown === undefined && !this.#says('fork')) return [item];
    const isNext = shown === undefined || shown.version === op.expectedVersion;
    const version = isNext ? op.expectedVersion + 1 : shown.version;
    if (isNext) mine.set(id, { version, value: Uint8Array.from(op.value) });
    this.#answers.set(op, {
      code: isNext ? 'CONFIRMED' : 'VERSION_CONFLICT',
      body: { kind: 'record', version, value: new Uint8Array(0) },
    });
    return [{ ...item, op: { kind: 'ping' } }];
  }

  /** An answer that was made up, also when the relay is honest by the time it comes. */
  madeUp(item: ResponseItem, asked: RequestOp): readonly Item[] | undefined {
    const answer = this.#answers.get(asked);
    return answer === undefined ? undefined : [{ ...item, ...answer }];
  }

  /** On the way back. */
  answers(name: string, item: ResponseItem, asked: RequestOp): readonly Item[] {
    if (asked.kind === 'recordPut') {
      if (!this.#says('put')) return [item];
      return this.#random.pick<readonly Item[]>([
        [],
        [{ ...item, code: 'VERSION_CONFLICT' }],
        [{ ...item, code: 'BUSY', body: { kind: 'none' }, retryAfterMs: 1_000 }],
        [{ ...item, code: 'REFUSED', body: { kind: 'none' } }],
      ]);
    }
    if (asked.kind !== 'recordGet') return [item];
    const id = asked.id.join();
    const shown = this.#private.get(name)?.get(id);
    if (shown !== undefined) return [{ ...item, code: 'CONFIRMED', body: record(shown) }];
    if (item.body.kind !== 'record' || item.code !== 'CONFIRMED') return [item];
    const { version } = item.body;
    const value = Uint8Array.from(item.body.value);
    const old = this.#old.get(id) ?? [];
    this.#old.set(id, old);
    if (old.at(-1)?.version !== version) old.push({ version, value });
    if (old.length > KEPT_MAX) old.shift();
    if (!this.#says('get')) return [item];
    const all = [...this.#old.values()].flat();
    const past = old[this.#random.below(old.length)] ?? { version, value };
    const other = all[this.#random.below(all.length)] ?? past;
    const garbled = Uint8Array.from(value);
    const at = this.#random.below(Math.max(1, value.length));
    garbled[at] = (garbled[at] ?? 0) ^ 1;
    return this.#random.pick<readonly Item[]>([
      [{ ...item, body: record(past) }],
      [{ ...item, body: record({ version, value: past.value }) }],
      [{ ...item, body: record({ version, value: other.value }) }],
      [{ ...item, body: record({ version, value: garbled }) }],
      [{ ...item, code: 'NOT_FOUND', body: { kind: 'none' } }],
      [{ ...item, code: 'UNAVAILABLE', body: { kind: 'none' } }],
    ]);
  }
}

function record(value: Value): ResponseItem['body'] {
  return { kind: 'record', ...value };
}
