// What waits for a socket: in order, in frames below the limit, out of an array that is used again.
import { decodeFrame, type Item, prepareDeliver, prepareItem } from '@qasid/protocol/envelope';
import t from 'tap';
import { Outbox } from '#src/routes/outbox.js';

const deliver = (seq: number, bytes: number) =>
  prepareDeliver({
    seq,
    clientId: new Uint8Array(16).fill(seq),
    body: new Uint8Array(bytes).fill(seq),
    minute: 1,
    attempt: 0,
  });

const seqs = (items: readonly Item[]): (number | undefined)[] =>
  items.map((item) =>
    item.kind === 'event' && item.event.kind === 'deliver' ? item.event.seq : undefined,
  );

t.test('items leave in order, and no frame is larger than it has to be', async (t) => {
  const outbox = new Outbox();
  t.ok(outbox.isEmpty);
  const sizes = [1_000, 200_000, 100_000, 1_000, 300_000, 1];
  for (const [index, size] of sizes.entries()) outbox.push(deliver(index + 1, size));
  t.ok(outbox.bytes > 602_001);
  const frames: Uint8Array[] = [];
  const outcome = outbox.flush((frame) => {
    frames.push(frame.slice());
    return 'queued';
  });
  t.equal(outcome, 'queued');
  t.strictSame(
    frames.map((frame) => seqs(decodeFrame(frame))),
    [[1, 2], [3, 4], [5], [6]],
  );
  t.ok(outbox.isEmpty);
  t.equal(outbox.bytes, 0);
  t.equal(
    outbox.flush(() => 'dropped'),
    'sent',
  );
});

t.test('a frame that was dropped is the last', async (t) => {
  const outbox = new Outbox();
  for (let seq = 1; seq <= 3; seq++) outbox.push(deliver(seq, 250_000));
  let frames = 0;
  t.equal(
    outbox.flush(() => (++frames === 2 ? 'dropped' : 'sent')),
    'dropped',
  );
  t.equal(frames, 2);
  t.ok(outbox.isEmpty);
});

t.test('two sockets write into the same array, one after the other', async (t) => {
  const [one, other] = [new Outbox(), new Outbox()];
  one.push(deliver(1, 10));
  other.push(deliver(2, 10));
  other.push(
    prepareItem({
      kind: 'response',
      id: 7,
      code: 'BUSY',
      retryAfterMs: 300,
      body: { kind: 'none' },
    }),
  );
  const arrays: ArrayBufferLike[] = [];
  const items: Item[] = [];
  for (const outbox of [one, other]) {
    outbox.flush((frame) => {
      arrays.push(frame.buffer);
      items.push(...decodeFrame(frame.slice()));
      return 'sent';
    });
  }
  t.equal(arrays[0], arrays[1]);
  t.strictSame(seqs(items), [1, 2, undefined]);
  t.match(items[2], { kind: 'response', id: 7, code: 'BUSY', retryAfterMs: 300 });
});
