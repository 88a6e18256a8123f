// How much is put off, and for how long.
import { LimitError } from '@qasid/protocol';
import { MemoryStore, type ClientExtra } from '@qasid/client-sdk';
import { VirtualClock } from '@qasid/client-sdk/testing';
import t from 'tap';

import {
  isPutOff,
  PUT_OFF_MAX,
  PUT_OFF_MAX_MS,
  PUT_OFF_PER_ACCOUNT_MAX,
  PutOff,
} from '../../dist/put-off.js';
import { bytes } from '../support/rows.js';

function workshop() {
  const store = new MemoryStore();
  const clock = new VirtualClock();
  const opened: string[] = [];
  let opens = false;
  const putOff = new PutOff({
    store,
    clock,
    async open({ account }, done: ClientExtra) {
      if (!opens) return;
      await store.commit({ extra: done });
      opened.push(account);
    },
    onTrouble: (error) => {
      throw error;
    },
  });
  let count = 0;
  const keep = async (account: string): Promise<boolean> => {
    const id = new Uint8Array(16);
    new DataView(id.buffer).setUint32(0, ++count);
    const envelope = { account, clientId: id, body: bytes(100, 1), atMs: clock.now() };
    const extra = await putOff.keep(id, envelope);
    if (extra !== undefined) await store.commit({ extra });
    return extra !== undefined;
  };
  const open = (): void => {
    opens = true;
  };
  return { store, clock, putOff, keep, opened, open };
}

t.test('as many of one account as fit, and room for others', async (t) => {
  const { keep, clock, store, opened, open } = workshop();
  for (let at = 0; at < PUT_OFF_PER_ACCOUNT_MAX; at++) t.ok(await keep('a'));
  t.notOk(await keep('a'));
  for (let account = 0; account < PUT_OFF_MAX; account++) await keep(`${account}`);
  t.equal((await store.loadRecords('put-off')).length, PUT_OFF_MAX);
  t.notOk(await keep('another'));
  await clock.advance(60_000);
  t.strictSame(opened, [], 'tried, and kept');
  open();
  await clock.advance(60_000);
  t.equal(opened.length, PUT_OFF_MAX, 'each once');
  t.strictSame(opened.slice(0, 2), ['a', 'a'], 'the first first');
  t.ok(await keep('a'), 'and there is room again');
});

t.test('not for ever, whatever the clock does', async (t) => {
  const { clock, putOff } = workshop();
  const since = clock.now();
  t.notOk(putOff.isOver(since));
  await clock.advance(PUT_OFF_MAX_MS - 1);
  t.notOk(putOff.isOver(since));
  await clock.advance(1);
  t.ok(putOff.isOver(since));
  t.notOk(putOff.isOver(clock.now() + PUT_OFF_MAX_MS - 1));
  t.ok(putOff.isOver(clock.now() + PUT_OFF_MAX_MS), 'kept before the clock was set back');
});

t.test('only for what nobody tried to open', async (t) => {
  t.ok(isPutOff(new LimitError('LIMIT_HANDSHAKES', '')));
  t.ok(isPutOff(new LimitError('LIMIT_FORWARD_JUMPS', '')));
  t.notOk(isPutOff(new LimitError('LIMIT_BUSY', '')));
  t.notOk(isPutOff(new Error('another')));
});
