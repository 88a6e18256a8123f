/**
 * 15 Content §5. The chain of the device that sent a content, kept with the history.
 */
import { toHex } from '@qasid/protocol';

import type { Gap } from '../api.js';
import { acceptLink, chainHash, decodeIncoming, type Anchor } from '../content/index.js';
import { PLACE_STEP, type ClientStore, type MessageRow } from '../stores/port.js';
import { SPACE, type Batch } from './batch.js';
import type { Entry, Surroundings } from './types.js';

/** What the link of a content says. */
export interface Placed {
  /** It came before: there is nothing to do. */
  readonly repeat: boolean;
  /** It is not the newest of its chain, or has none: it may have been here before. */
  readonly late: boolean;
  /** Where it stands, when not at the end. */
  readonly place: number | undefined;
  readonly gaps: readonly Gap[];
}

const NOWHERE: Placed = { repeat: false, late: false, place: undefined, gaps: [] };

/** Take the link of a content into the chain of its device. */
export async function applyLink(
  batch: Batch,
  entry: Entry,
  around: Surroundings,
  shown: boolean,
): Promise<Placed> {
  const { peer, author, device, content, bytes } = entry;
  const { self, crypto } = around;
  const { link } = content;
  if (link === undefined || (author === self.account && device === self.device)) {
    return { ...NOWHERE, late: link === undefined };
  }
  const name = `${peer}/${author}/${device}`;
  const linked = {
    link,
    hash: chainHash(crypto, bytes),
    shown: shown ? toHex(content.id) : undefined,
  };
  // The device that made the account was there from the beginning.
  const before = await batch.incoming(name);
  const { state, verdict, givenUp } = acceptLink(before, linked, self.device === 1);
  await batch.setIncoming(name, state);
  const found = (from: number, to: number, cause: Gap['cause']): Gap => ({
    peer,
    account: author,
    device,
    from,
    to,
    cause,
  });
  const closed = givenUp.map((counter) => found(counter, counter, 'given-up'));
  switch (verdict.kind) {
    case 'next':
      return { ...NOWHERE, gaps: closed };
    case 'old': {
      // A change that is made again changes nothing; a message must not be shown again.
      const known = await batch.message(peer, author, toHex(content.id));
      return { ...NOWHERE, late: true, repeat: shown && known !== undefined };
    }
    case 'repeat':
      return { ...NOWHERE, repeat: true };
    case 'gap':
      return {
        ...NOWHERE,
        gaps: [...closed, ...verdict.ranges.map(({ from, to }) => found(from, to, 'missing'))],
      };
    case 'fork':
      return { ...NOWHERE, gaps: [found(verdict.counter, verdict.counter, 'forked')] };
    case 'late': {
      const { counter, predecessor, successor, silent } = verdict;
      const load = (anchor: Anchor | undefined): Promise<MessageRow | undefined> =>
        anchor === undefined ? Promise.resolve(undefined) : batch.message(peer, author, anchor.id);
      const place = between(counter, {
        predecessor,
        successor,
        before: (await load(predecessor))?.place,
        after: (await load(successor))?.place,
      });
      const healed = silent ? [] : [found(counter, counter, 'healed')];
      return { repeat: false, late: true, place, gaps: [...closed, ...healed] };
    }
  }
}

/**
 * A place between two messages of one device, in proportion to the counter: so all that were missing between
 * them find their order, in whatever order they come.
 */
function between(
  counter: number,
  neighbours: {
    readonly predecessor: Anchor | undefined;
    readonly successor: Anchor | undefined;
    readonly before: number | undefined;
    readonly after: number | undefined;
  },
): number | undefined {
  const { predecessor, successor, before, after } = neighbours;
  if (successor === undefined || after === undefined) return undefined;
  const known = predecessor !== undefined && before !== undefined;
  // Before the first of them: the step that the later one stands in.
  const low = known ? before : Math.floor((after - 1) / PLACE_STEP) * PLACE_STEP;
  const first = known ? predecessor.counter : 0;
  const share = (counter - first) / (successor.counter - first);
  return Math.floor(low + (after - low) * share);
}

/** What is missing in a conversation: of the devices of `peer`, and of our own other ones. */
export async function openGaps(
  store: Pick<ClientStore, 'loadRecords'>,
  peer: string,
): Promise<readonly Gap[]> {
  const gaps: Gap[] = [];
  for (const { key, value } of await store.loadRecords(SPACE.incoming)) {
    const [conversation, account = '', device = ''] = key.split('/');
    if (conversation !== peer) continue;
    for (const { from, to, silent } of decodeIncoming(value).gaps) {
      if (silent) continue;
      gaps.push({ peer, account, device: Number(device), from, to, cause: 'missing' });
    }
  }
  return gaps;
}
