// Expiry and the wall clock: nothing expires on the word of a clock that jumped, until it has proved itself.
import { silentLog } from '@qasid/relay';
import { Sweeper } from '#src/service/sweeper.js';
import t from 'tap';
import { HandClock } from '../support/bench-relay.js';

const HOUR = 60 * 60 * 1000;

for (const days of [1, -1]) {
  t.test(
    `ATK-I16 a clock that jumped ${days} day is believed after 24 hours without a jump`,
    async (t) => {
      const clock = new HandClock();
      let sweeps = 0;
      const slice = async () => {
        sweeps++;
        return { deleted: 0, isFull: false };
      };
      const sweeper = new Sweeper({ clock, log: silentLog, everyMs: 10 * 60 * 1000, slice });
      sweeper.start();
      const during = async (ms: number): Promise<number> => {
        const before = sweeps;
        await clock.pass(ms);
        return sweeps - before;
      };
      t.ok((await during(HOUR)) >= 5, 'it sweeps');
      clock.jump(days * 24 * HOUR);
      t.equal(await during(20 * HOUR), 0);
      clock.jump(2 * HOUR);
      t.equal(await during(23 * HOUR), 0, 'it jumped again: from the beginning');
      t.ok((await during(2 * HOUR)) >= 3, 'and then it is believed');
      clock.jump(-days * 24 * HOUR);
      t.equal(await during(2 * HOUR), 0, 'once');
      clock.jump(days * 24 * HOUR + 60_000);
      t.ok((await during(HOUR)) >= 5, 'a clock that came back is believed at once');
      sweeper.stop();
    },
  );
}
