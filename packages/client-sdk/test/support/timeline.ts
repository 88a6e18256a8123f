// Devices that take contents into their history, without sessions or a relay.
import { defaultCrypto, type Bytes } from '@qasid/protocol';
import { MemoryStore, type ClientStore, type MessageRow } from '@qasid/client-sdk';

import {
  appendLink,
  decodeContent,
  encodeContent,
  type Content,
  type ContentBody,
  type OutgoingChain,
} from '../../dist/content/index.js';
import { decodeState } from '../../dist/content/message-state.js';
import { apply } from '../../dist/timeline/apply.js';
import { Batch } from '../../dist/timeline/batch.js';
import { idBytes } from '../../dist/timeline/ids.js';
import type { Entry, Happening } from '../../dist/timeline/types.js';

export const ALICE = 'aaaaaaaa-0405-0607-0809-0a0b0c0d0e0f';
export const BOB = 'bbbbbbbb-0405-0607-0809-0a0b0c0d0e0f';
export const EVE = 'eeeeeeee-0405-0607-0809-0a0b0c0d0e0f';

/** One content of one device, as every other device gets it. */
export interface Sent {
  readonly author: string;
  readonly device: number;
  readonly bytes: Bytes;
  readonly content: Content;
  /** Content id as hex. */
  readonly id: string;
}

/** Writes contents as one device of an account, each linked to the one before. */
export class Writer {
  #chain: OutgoingChain | undefined;
  readonly author: string;
  readonly device: number;

  constructor(author: string, device = 1) {
    this.author = author;
    this.device = device;
  }

  write(body: ContentBody, more: Partial<Content> = {}): Sent {
    const id = defaultCrypto.randomBytes(16);
    const core = encodeContent({ id, sentAtMs: 1_700_000_000_000, body, ...more });
    const made = appendLink(defaultCrypto, this.#chain, core);
    this.#chain = made.state;
    const content = decodeContent(made.linked);
    const { author, device } = this;
    return {
      author,
      device,
      bytes: made.linked,
      content,
      id: Buffer.from(content.id).toString('hex'),
    };
  }

  text(text: string, more: Partial<Content> = {}): Sent {
    return this.write({ kind: 'text', text }, more);
  }
}

/** A ref to what was sent. */
export function ref({ author, content }: Sent): { author: Bytes; id: Bytes } {
  return { author: idBytes(author), id: content.id };
}

/** A device that reads. */
export class Reader {
  readonly store: ClientStore = new MemoryStore();
  readonly happenings: Happening[] = [];
  nowMs = 1_700_000_000_000;
  readonly account: string;
  readonly device: number;

  constructor(account: string, device = 1) {
    this.account = account;
    this.device = device;
  }

  /** Take a content of the conversation between this account and `peer`. */
  async take(sent: Sent, peer: string): Promise<void> {
    const batch = new Batch(this.store);
    const { author, device, content, bytes } = sent;
    const entry: Entry = { peer, author, device, content, bytes, arrived: true };
    const self = { account: this.account, device: this.device };
    const around = { crypto: defaultCrypto, self, nowMs: this.nowMs };
    this.happenings.push(...(await apply(batch, entry, around)));
    await this.store.commit({ extra: batch.toExtra() });
  }

  async rows(peer: string): Promise<readonly MessageRow[]> {
    return this.store.loadConversation({ peer, after: { place: 0, seq: 0 }, limit: 1_000 });
  }

  /** What is shown, without what differs between devices on purpose. */
  async shown(peer: string): Promise<Map<string, unknown>> {
    const rows = await this.rows(peer);
    return new Map(
      rows
        .map(
          ({ author, id, kind, text, raw, state }) =>
            [`${author}/${id}`, { kind, text, raw, state: decodeState(state) }] as const,
        )
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
}
