// Only the eight sizes of chapter 12 §5 pass, whoever is written to.
import { ENVELOPE_BUCKETS, MAX_ENVELOPE_BYTES } from '@qasid/protocol/envelope';
import t from 'tap';
import { benchRelay } from '../support/bench-relay.js';
import { newPerson, part, sendOp } from '../support/client.js';

t.test('ATK-D06 a body of any other size is refused and leaves no trace', async (t) => {
  const { register, relay } = await benchRelay({ requirePadding: true });
  const [alice, bob, nobody] = [newPerson(), newPerson(), newPerson()];
  const a = await register(alice);
  const b = await register(bob);
  const letter = (length: number) => sendOp(bob, part(bob, new Uint8Array(length)));
  for (const size of ENVELOPE_BUCKETS) {
    for (const wrong of [size - 1, size + 1]) {
      const { code } = await a.ask(letter(wrong));
      t.equal(code, wrong > MAX_ENVELOPE_BYTES ? 'TOO_LARGE' : 'NOT_PADDED', `${wrong} bytes`);
    }
    t.equal((await a.ask(letter(size))).code, 'CONFIRMED', `${size} bytes`);
  }
  t.equal((await a.ask(letter(0))).code, 'NOT_PADDED');
  t.equal(b.delivered.length, ENVELOPE_BUCKETS.length);
  t.equal((await relay.totals()).envelopes, ENVELOPE_BUCKETS.length);

  const mixed = sendOp(bob, part(bob, new Uint8Array(512)), part(bob, new Uint8Array(513)));
  t.equal((await a.ask(mixed)).code, 'NOT_PADDED', 'one wrong part is enough');
  const stranger = sendOp(nobody, part(nobody, new Uint8Array(100)));
  t.equal((await a.ask(stranger)).code, 'NOT_PADDED', 'and nothing is told about the recipient');
  const typing = { ...letter(100), ephemeral: true } as ReturnType<typeof letter>;
  t.equal((await a.ask(typing)).code, 'NOT_PADDED', 'also what is not stored');
});

t.test('a deployment may switch it off', async (t) => {
  const { register } = await benchRelay({ requirePadding: false });
  const [alice, bob] = [newPerson(), newPerson()];
  const a = await register(alice);
  await register(bob);
  t.equal((await a.ask(sendOp(bob, part(bob, new Uint8Array(3))))).code, 'CONFIRMED');
});
