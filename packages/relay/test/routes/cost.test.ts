// ATK-L06: traffic that makes the operator pay is bounded per account, and counted.
import { DEFAULT_CONFIG } from '@qasid/relay';
import t from 'tap';
import { newPerson, part, sendOp } from '../support/client.js';
import { benchRelay } from '../support/bench-relay.js';

t.test('ATK-L06 one account makes the relay store no more than its budget', async (t) => {
  const { clock, register, relay } = await benchRelay({
    quotas: DEFAULT_CONFIG.quotas,
    mailboxBytesMax: 2 ** 40,
  });
  const bob = newPerson();
  const sender = await register(newPerson());
  await register(bob);
  const flood = async (tries: number): Promise<number> => {
    let accepted = 0;
    for (let i = 0; i < tries; i++) {
      const { code } = await sender.ask(sendOp(bob, part(bob, new Uint8Array(1_024))));
      if (code === 'CONFIRMED') accepted++;
      else t.equal(code, 'RATE_LIMITED');
    }
    return accepted;
  };
  const { burst, perSecond } = DEFAULT_CONFIG.quotas.sends;
  t.equal(await flood(300), burst, 'the burst');
  await clock.pass(30_000);
  t.equal(await flood(100), 30 * perSecond, 'and what time gives');
  const { bytes } = await relay.totals();
  t.equal(bytes, (burst + 30 * perSecond) * 1_024);
});
