// 13 §8: a disk that hangs turns sends away before they pile up; what was accepted is confirmed late, not lost.
import t from 'tap';
import type { RelayStore, Write } from '#src/store/port.js';
import { benchRelay, settle } from '../support/bench-relay.js';
import { newPerson, part, sendOp } from '../support/client.js';

t.test('ATK-I10 a commit that hangs makes new sends wait elsewhere', async (t) => {
  let isHanging = false;
  let release: () => void = () => undefined;
  const wrapStore = (store: RelayStore): RelayStore => ({
    ...store,
    commit: async (writes: readonly Write[]) => {
      if (isHanging) await new Promise<void>((resolve) => (release = resolve));
      return store.commit(writes);
    },
  });
  const { clock, register } = await benchRelay({}, { wrapStore });
  const bob = newPerson();
  const a = await register(newPerson());
  const b = await register(bob);
  isHanging = true;
  const op = () => sendOp(bob, part(bob, new Uint8Array(8)));
  const [first] = a.post(op());
  await settle();
  const [second] = a.post(op());
  await settle();
  t.equal(a.code(first), undefined, 'under way');
  t.equal(a.code(second), undefined, 'waits behind it');
  await clock.pass(2_000);
  t.match(await a.ask(op()), { code: 'BUSY' });
  t.match(await b.ask({ kind: 'ping' }), { code: 'CONFIRMED' }, 'sockets are served');
  isHanging = false;
  release();
  await settle();
  await clock.pass(10);
  t.equal(a.code(first), 'CONFIRMED');
  t.equal(a.code(second), 'CONFIRMED');
  t.match(await a.ask(op()), { code: 'CONFIRMED' }, 'and it goes on');
  t.equal(b.delivered.length, 3);
});
