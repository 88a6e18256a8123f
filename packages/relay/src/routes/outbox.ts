/**
 * 13 Relay §4. What waits for one socket until the end of this turn of the event loop.
 *
 * All sockets write their frames into one array, one after the other: a transport is done with a frame when
 * its `send` returns. An array for each frame would cost more than what is written into it.
 */
import { type PreparedItem, putItem } from '@qasid/protocol/envelope';
import type { SendOutcome } from '../transport/port.js';

/** Items in order. */
export class Outbox {
  #items: PreparedItem[] = [];
  #bytes = 0;

  get isEmpty(): boolean {
    return this.#items.length === 0;
  }

  get bytes(): number {
    return this.#bytes;
  }

  push(item: PreparedItem): void {
    this.#items.push(item);
    this.#bytes += item.size;
  }

  clear(): void {
    this.#items = [];
    this.#bytes = 0;
  }

  /**
   * Send everything, in as few frames as the limit allows. The first that is dropped is the last that is tried.
   *
   * @param send - Gets each frame; its bytes are those of another one afterwards.
   */
  flush(send: (frame: Uint8Array) => SendOutcome): SendOutcome {
    const items = this.#items;
    this.clear();
    let outcome: SendOutcome = 'sent';
    let start = 0;
    while (start < items.length && outcome !== 'dropped') {
      let end = start;
      let bytes = 0;
      while (end < items.length) {
        const size = items[end]?.size ?? 0;
        if (end > start && bytes + size > OUT_FRAME_BYTES) break;
        bytes += size;
        end++;
      }
      outcome = send(join(items, start, end, bytes));
      start = end;
    }
    return outcome;
  }
}

function join(
  items: readonly PreparedItem[],
  start: number,
  end: number,
  bytes: number,
): Uint8Array {
  const out = bytes <= OUT_FRAME_BYTES ? shared : new Uint8Array(bytes);
  let at = 0;
  for (let index = start; index < end; index++) {
    const item = items[index];
    if (item !== undefined) at = putItem(out, at, item);
  }
  return out.subarray(0, bytes);
}

/** Largest frame the relay sends on purpose; one larger item still goes in a frame of its own. */
const OUT_FRAME_BYTES = 262_144;

const shared = new Uint8Array(OUT_FRAME_BYTES);
