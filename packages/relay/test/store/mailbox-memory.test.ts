// What a store remembers of mailboxes: exact after a rollback, bounded under any load.
import fc from 'fast-check';
import t from 'tap';
import { idKey } from '#src/store/id-key.js';
import { MailboxMemory } from '#src/store/mailbox-memory.js';

const id = (n: number): Uint8Array => {
  const bytes = new Uint8Array(16);
  new DataView(bytes.buffer).setUint32(4, n);
  return bytes;
};

const key = (n: number): string => idKey(id(n));

t.test('a key for each id, and one only', async (t) => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
      fc.nat(15),
      fc.integer({ min: 1, max: 255 }),
      (bytes, at, change) => {
        const other = Uint8Array.from(bytes);
        other[at] = other[at]! ^ change;
        return idKey(bytes) === idKey(Uint8Array.from(bytes)) && idKey(bytes) !== idKey(other);
      },
    ),
  );
  t.pass();
});

t.test('a rollback leaves sizes and ids as they were', async (t) => {
  const memory = new MailboxMemory(() => [], 1_000);
  memory.added(1, key(1), { seq: 1, sender: 7 }, 100, 0);
  memory.added(2, key(2), { seq: 2, sender: 7 }, 50, 0);
  memory.keep();
  const quota = { envelopesMax: 2, bytesMax: 1_000 };
  memory.added(1, key(1), { seq: 3, sender: 8 }, 100, 0);
  memory.added(1, key(3), { seq: 4, sender: 8 }, 100, 0);
  memory.removed(1, 1, 100, 1);
  memory.dropped(2);
  t.strictSame(memory.totals, { envelopes: 2, bytes: 200 });
  t.equal(memory.hasRoom(1, 1, quota), false);
  memory.rollBack();
  t.strictSame(memory.totals, { envelopes: 2, bytes: 150 });
  t.equal(memory.hasRoom(1, 1, quota), true);
  t.strictSame(memory.seen(1, key(1)), [{ seq: 1, sender: 7 }]);
  t.strictSame(memory.seen(1, key(3)), []);
  t.strictSame(memory.seen(2, key(2)), [{ seq: 2, sender: 7 }]);
});

t.test(
  'ATK-I10 ids that are acknowledged are forgotten in time, or when there are too many',
  async (t) => {
    const count = (memory: MailboxMemory, ids: number): number =>
      Array.from({ length: ids }, (_, n) => memory.seen(1, key(n)).length).filter(Boolean).length;
    const fill = (memory: MailboxMemory, nowMs: (n: number) => number): void => {
      for (let n = 0; n < 1_000; n++) {
        memory.added(1, key(n), { seq: n + 1, sender: 7 }, 1, nowMs(n));
        // One envelope in front is never acknowledged: the mailbox is never empty.
        if (n > 0) memory.removed(1, 1, 1, n > 500 ? n : 0);
        memory.keep();
        memory.forget(nowMs(n));
      }
    };
    const timed = new MailboxMemory(() => [], 100);
    fill(timed, (n) => n);
    t.ok(count(timed, 1_000) < 800, 'by age');
    const crowded = new MailboxMemory(() => [], 1e9, 50);
    fill(crowded, () => 0);
    t.ok(count(crowded, 1_000) <= 600, 'by number');
    t.equal(crowded.seen(1, key(999)).length, 1, 'the latest are known');
  },
);
