// The chain of a device: every loss and every change of order shows, and heals when the message comes.
import { defaultCrypto, samePublicBytes, type Bytes } from '@qasid/protocol';
import fc from 'fast-check';
import t from 'tap';

import {
  acceptLink,
  appendLink,
  chainHash,
  decodeContent,
  decodeIncoming,
  decodeOutgoing,
  encodeContent,
  encodeIncoming,
  encodeOutgoing,
  withdrawLink,
  withoutLink,
  type IncomingChain,
  type Linked,
  type OutgoingChain,
} from '../../dist/content/index.js';

/** A sender; `next` gives each message as its receiver sees it. */
class Sender {
  state: OutgoingChain | undefined;
  count = 0;

  next(): Linked & { readonly bytes: Bytes } {
    const text = `message ${++this.count}`;
    const id = defaultCrypto.randomBytes(16);
    const core = encodeContent({ id, sentAtMs: 1, body: { kind: 'text', text } });
    const { linked, state } = appendLink(defaultCrypto, this.state, core);
    this.state = decodeOutgoing(encodeOutgoing(state));
    const content = decodeContent(linked);
    if (!samePublicBytes(withoutLink(linked, content), core)) throw new Error('another content');
    return {
      bytes: linked,
      link: content.link!,
      hash: chainHash(defaultCrypto, linked),
      shown: String(this.count),
    };
  }

  take(count: number): (Linked & { readonly bytes: Bytes })[] {
    return Array.from({ length: count }, () => this.next());
  }
}

/** A receiver that keeps its state as bytes. */
class Receiver {
  state: IncomingChain | undefined;
  givenUp: readonly number[] = [];

  accept(message: Linked, fromStart = true) {
    const { state, verdict, givenUp } = acceptLink(this.state, message, fromStart);
    this.givenUp = givenUp;
    this.state = decodeIncoming(encodeIncoming(state));
    t.strictSame(this.state, state, 'stored and read again');
    return verdict;
  }

  get missing(): number[] {
    return (this.state?.gaps ?? []).flatMap(({ from, to }) =>
      Array.from({ length: to - from + 1 }, (_, at) => from + at),
    );
  }
}

function gap(from: number, to: number) {
  return { kind: 'gap', ranges: [{ from, to }] };
}

t.test('in order', async (t) => {
  const receiver = new Receiver();
  for (const message of new Sender().take(5)) t.equal(receiver.accept(message).kind, 'next');
  t.strictSame(receiver.missing, []);
});

t.test('ATK-I01 what was dropped is reported, in any place', async (t) => {
  const [one, two, three, four, five] = new Sender().take(5);
  const receiver = new Receiver();
  t.strictSame(receiver.accept(two!), gap(1, 1), 'the very first');
  t.strictSame(receiver.accept(five!), gap(3, 4));
  t.strictSame(receiver.missing, [1, 3, 4]);
  const late = (counter: number, before: number | undefined, after: number) => ({
    kind: 'late',
    counter,
    predecessor: before && { counter: before, id: `${before}` },
    successor: { counter: after, id: `${after}` },
    silent: false,
  });
  t.strictSame(receiver.accept(four!), late(4, 2, 5));
  t.strictSame(receiver.accept(one!), late(1, undefined, 2));
  t.strictSame(receiver.accept(three!), late(3, 2, 4), 'ATK-I02');
  t.strictSame(receiver.missing, []);
  t.equal(receiver.accept(three!).kind, 'repeat');
});

t.test('a device that joined later begins where it is', async (t) => {
  const [one, two, , four] = new Sender().take(4);
  const receiver = new Receiver();
  t.equal(receiver.accept(two!, false).kind, 'next');
  t.strictSame(receiver.accept(four!, false), gap(3, 3));
  t.match(receiver.accept(one!, false), { kind: 'late', counter: 1, silent: true });
});

t.test('what came so long ago that nothing is known of it is not taken for a repeat', async (t) => {
  const sent = new Sender().take(60);
  const receiver = new Receiver();
  for (const message of sent) receiver.accept(message);
  t.equal(receiver.accept(sent[59]!).kind, 'repeat');
  t.equal(receiver.accept(sent[0]!).kind, 'old');
});

t.test('ATK-C07 a cloned device forks the chain', async (t) => {
  const device = new Sender();
  const receiver = new Receiver();
  for (const message of device.take(3)) receiver.accept(message);
  const clone = new Sender();
  clone.state = device.state;
  clone.count = 100;
  t.equal(receiver.accept(device.next()).kind, 'next');
  t.equal(receiver.accept(clone.next()).kind, 'fork', 'the same counter');
  t.equal(receiver.accept(clone.next()).kind, 'fork', 'another past');
  t.equal(receiver.accept(device.next()).kind, 'next', 'the honest one goes on');
  const [, gone, after] = [device.next(), device.next(), device.next()];
  receiver.accept(after);
  t.equal(receiver.accept({ ...gone, hash: chainHash(defaultCrypto, gone.hash) }).kind, 'fork');
  t.equal(receiver.accept(gone).kind, 'late', 'the genuine one still fits');
});

t.test('a new chain begins at 1, and stragglers of the old one are known', async (t) => {
  const old = new Sender();
  const receiver = new Receiver();
  const [one, two, three] = old.take(3);
  receiver.accept(one!);
  receiver.accept(three!);
  const fresh = new Sender();
  t.equal(receiver.accept(fresh.next()).kind, 'next');
  t.equal(receiver.accept(two!).kind, 'old');
  t.equal(receiver.accept(fresh.next()).kind, 'next');
  const another = new Sender();
  another.next();
  t.strictSame(receiver.accept(another.next(), false), gap(1, 1));
});

t.test('what the sender gave up is no loss', async (t) => {
  const sender = new Sender();
  const receiver = new Receiver();
  const [one, two, three, four, five] = sender.take(5);
  receiver.accept(one!);
  for (const message of [two!, four!]) sender.state = withdrawLink(sender.state!, message.link);
  sender.state = withdrawLink(sender.state!, two!.link);
  t.strictSame(receiver.accept(five!), gap(2, 4));
  const six = sender.next();
  t.strictSame(six.link.withdrawn, [2, 4]);
  t.strictSame(sender.next().link.withdrawn, [], 'said once');
  t.equal(receiver.accept(six).kind, 'next');
  t.strictSame(receiver.givenUp, [2, 4], 'told to be missing before');
  t.strictSame(receiver.missing, [3]);
  t.equal(receiver.accept(three!).kind, 'late');
  t.strictSame(receiver.missing, []);
  const eight = sender.next();
  sender.state = withdrawLink(sender.state!, eight.link);
  t.strictSame(receiver.accept(sender.next()), gap(7, 7));
  t.strictSame(receiver.missing, [7], 'eight was given up, seven never came');
});

t.test(
  'ATK-I01 ATK-I02 any drops, repeats and order: exactly what is missing is known',
  async (t) => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }).chain((count) =>
          fc.tuple(
            fc.constant(count),
            fc.shuffledSubarray(
              Array.from({ length: count }, (_, at) => at),
              { minLength: 1 },
            ),
            fc.array(fc.nat(count - 1), { maxLength: 10 }),
          ),
        ),
        ([count, arriving, again]) => {
          const sent = new Sender().take(count);
          let state: IncomingChain | undefined;
          const came = new Set<number>();
          for (const at of [...arriving, ...again.filter((one) => arriving.includes(one))]) {
            const { verdict, state: next } = acceptLink(state, sent[at]!, true);
            if (verdict.kind === 'fork' || verdict.kind === 'old') return false;
            if ((verdict.kind === 'repeat') !== came.has(at)) return false;
            state = next;
            came.add(at);
          }
          const missing = (state?.gaps ?? []).reduce((sum, { from, to }) => sum + to - from + 1, 0);
          return missing === Math.max(...came) + 1 - came.size;
        },
      ),
      { numRuns: 300 },
    );
    t.pass('300 schedules');
  },
);
