// A relay that keeps two people apart: one client sees and writes records of its own, and letters neither leave it
// nor reach it. No client can prevent that; what matters is what happens when the two halves meet again.
import type { Item, RecordRequest, RequestItem, RequestOp } from '@qasid/protocol/envelope';
import { toHex } from '@qasid/protocol';
import type { Lies } from '@qasid/client-sdk/testing';

interface Shown {
  readonly version: number;
  readonly value: Uint8Array<ArrayBuffer>;
}

/** What one client is shown. Everything is true until `isSplit`, and again after. */
export class SplitView {
  isSplit = false;
  /** Swaps that this relay took in and showed to nobody. */
  swallowed = 0;
  readonly #shown = new Map<string, Shown>();

  readonly lies: Lies = {
    toRelay: (item) => this.#toRelay(item),
    toClient: (item, asked) => this.#toClient(item, asked),
  };

  #toRelay(item: RequestItem): readonly Item[] {
    if (!this.isSplit) return [item];
    const { op } = item;
    if (op.kind === 'send') return [];
    // The real record stays as it is; what it answers is replaced on its way back.
    if (op.kind === 'recordPut') return [{ ...item, op: { kind: 'recordGet', id: op.id } }];
    return [item];
  }

  #toClient(item: Item, asked: RequestOp | undefined): readonly Item[] {
    if (item.kind === 'event' && item.event.kind === 'deliver') return this.isSplit ? [] : [item];
    if (item.kind !== 'response' || (asked?.kind !== 'recordGet' && asked?.kind !== 'recordPut')) {
      return [item];
    }
    if (!this.isSplit) {
      if (item.code === 'CONFIRMED') this.#remember(asked, item);
      return [item];
    }
    const id = toHex(asked.id);
    const found = this.#shown.get(id);
    const version = found?.version ?? 0;
    if (asked.kind === 'recordGet') {
      if (found === undefined) return [{ ...item, code: 'NOT_FOUND', body: { kind: 'none' } }];
      return [{ ...item, code: 'CONFIRMED', body: { kind: 'record', ...found } }];
    }
    if (asked.expectedVersion !== version) {
      const body = { kind: 'record', version, value: new Uint8Array(0) } as const;
      return [{ ...item, code: 'VERSION_CONFLICT', body }];
    }
    this.swallowed++;
    this.#shown.set(id, { version: version + 1, value: Uint8Array.from(asked.value) });
    return [{ ...item, code: 'CONFIRMED', body: { kind: 'none' } }];
  }

  /** The record as it stood when this client last saw it. */
  #remember(asked: RecordRequest, item: Extract<Item, { kind: 'response' }>): void {
    const id = toHex(asked.id);
    if (asked.kind === 'recordPut') {
      const value = Uint8Array.from(asked.value);
      this.#shown.set(id, { version: asked.expectedVersion + 1, value });
    } else if (item.body.kind === 'record') {
      const { version, value } = item.body;
      this.#shown.set(id, { version, value: Uint8Array.from(value) });
    }
  }
}
