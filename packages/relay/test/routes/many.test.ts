// One message for many recipients: each gets their own view, and whoever gets none is named.
import {
  type ManyFailure,
  MAX_MANY_RECIPIENTS,
  type ResponseItem,
  type SendManyRequest,
  toHex,
} from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import { NO_QUOTAS } from '@qasid/relay';
import t from 'tap';
import { benchRelay, type BenchRelay, type FakeSocket, settle } from '../support/bench-relay.js';
import { deviceEntry, newDevice, newPerson, type Person, signList } from '../support/client.js';
import { FaultyStore } from '../support/faulty.js';
import { anonymous, entryFor, manyOp, newGrant, sentForMany } from '../support/sealed.js';

interface Member {
  readonly person: Person;
  readonly socket: FakeSocket;
  readonly grant: ReturnType<typeof newGrant>;
}

async function members(bench: BenchRelay, count: number): Promise<Member[]> {
  const all: Member[] = [];
  for (let n = 0; n < count; n++) {
    const person = newPerson();
    const socket = await bench.register(person);
    const grant = newGrant();
    await socket.ask(grant.put);
    all.push({ person, socket, grant });
  }
  return all;
}

const entriesOf = (group: readonly Member[]) => group.map(({ person }) => entryFor(person));
const keysOf = (group: readonly Member[]) => group.map(({ grant }) => grant.credential);

function failuresOf({ body }: ResponseItem): readonly ManyFailure[] {
  return body.kind === 'manyFailures' ? body.failures : [];
}

t.test('ATK-D14 200 recipients: each gets its own view and nothing of anybody else', async (t) => {
  const bench = await benchRelay({ requirePadding: true });
  const group = await members(bench, 200);
  const nobody = await anonymous(bench);
  const entries = entriesOf(group);
  const op = manyOp(entries, keysOf(group));
  t.equal((await nobody.ask(op)).code, 'CONFIRMED');
  const ids = new Set<string>();
  for (const [index, { socket, person }] of group.entries()) {
    t.equal(socket.delivered.length, 1, 'one each');
    const { body, clientId } = socket.delivered[0]!;
    const view = toHex(body);
    const own = toHex(entries[index]!.keyMaterial);
    t.equal(view, `22${own}${'07'.repeat(463)}`, 'marker, own key material, shared bytes');
    ids.add(toHex(clientId));
    const strangers = group.filter((member) => member.person !== person);
    const leaks = strangers.filter(
      (member, at) =>
        view.includes(toHex(member.person.account)) ||
        view.includes(toHex(entries[at < index ? at : at + 1]!.keyMaterial)),
    );
    t.equal(leaks.length, 0);
  }
  t.equal(ids.size, 200, 'and client ids have nothing in common');
  t.equal((await bench.relay.totals()).envelopes, 200);
  const [again] = nobody.post(op);
  await settle();
  // After a large batch the commit queue waits a little for more.
  await bench.clock.pass(10);
  t.equal(nobody.code(again), 'CONFIRMED', 'a repeat');
  t.equal((await bench.relay.totals()).envelopes, 200, 'stores nothing');
});

t.test('ATK-D14 whoever stands there twice, or without a token, spoils the request', async (t) => {
  const bench = await benchRelay();
  const [one, two, three] = (await members(bench, 3)) as [Member, Member, Member];
  const nobody = await anonymous(bench);
  const e1 = entryFor(one.person);
  const e2 = entryFor(two.person);
  const twoDevices = { ...e1, devices: [one.person, one.person] };
  const [k1, k2, k3] = keysOf([one, two, three]) as [object, object, object];
  const target = (member: Member, key: object) => ({ dest: member.person.account, ...key });
  const shared = new Uint8Array(463);
  const cases: Record<string, SendManyRequest> = {
    'a device twice': manyOp([twoDevices, e2], [k1, k2]),
    'an account twice in the message': manyOp([e1, e1, e2], [k1], {
      targets: [target(one, k1), target(two, k2)],
    }),
    'an account twice in the tokens': manyOp([e1, e2], [k1, k2], {
      targets: [target(one, k1), target(two, k2), target(two, k2)],
    }),
    'a recipient without a token': manyOp([e1, e2], [k1], { targets: [target(one, k1)] }),
    'a token without a recipient': manyOp([e1], [k1], {
      targets: [target(one, k1), target(three, k3)],
    }),
    'tokens for somebody else': manyOp([e1, e2], [k1, k2], {
      targets: [target(one, k1), target(three, k3)],
    }),
    'no message at all': manyOp([e1], [k1], { message: new Uint8Array(0) }),
    'another version': manyOp([e1], [k1], { message: new Uint8Array(512).fill(0x11) }),
    'a message that is cut': manyOp([e1], [k1], {
      message: sentForMany([e1], shared).subarray(0, 60),
    }),
  };
  for (const [what, op] of Object.entries(cases)) {
    const answer = await nobody.ask(op);
    t.match(answer, { code: 'BAD_REQUEST', body: { kind: 'none' } }, what);
  }
  t.equal((await bench.relay.totals()).envelopes, 0, 'nothing was stored');
});

t.test('who gets nothing is named with the reason, and the others have it', async (t) => {
  const quotas = { ...NO_QUOTAS, sealedPerToken: { burst: 1, perSecond: 0.5 } };
  const bench = await benchRelay({ quotas, mailboxEnvelopesMax: 1 });
  const group = await members(bench, 7);
  const [good, linked, reinstalled, blocked, full, hasty, behind] = group as [
    ...[Member, Member, Member, Member, Member, Member, Member],
  ];
  const tablet = newDevice(linked.person, 2);
  const list = signList(linked.person, 2, [linked.person, tablet].map(deviceEntry));
  await linked.socket.ask({ kind: 'putDevices', devices: list });
  await blocked.socket.ask({ kind: 'removeToken', id: blocked.grant.put.id });
  const inlet = newGrant({ isInlet: true, mayFetchKeys: false });
  await behind.socket.ask(inlet.put);
  const nobody = await anonymous(bench);
  await nobody.ask(manyOp([entryFor(full.person)], [full.grant.credential]));
  await nobody.ask({
    ...manyOp([entryFor(hasty.person)], [hasty.grant.credential]),
    ephemeral: true,
  });
  await bench.clock.pass(1_000);
  const refill = newGrant({ id: full.grant.put.id });
  await full.socket.ask(refill.put);
  const entries = entriesOf(group);
  const wrongId = { ...reinstalled.person, registrationId: 1 };
  entries[2] = { ...entries[2]!, devices: [wrongId] };
  entries[6] = { ...entries[6]!, name: inlet.put.id };
  const keys = keysOf(group);
  keys[6] = inlet.credential;
  const op = manyOp(entries, keys);
  await bench.clock.pass(500);
  const answer = await nobody.ask(op);
  t.equal(answer.code, 'SOME_FAILED');
  const named = new Map(failuresOf(answer).map((failure) => [toHex(failure.dest), failure]));
  const of = ({ person }: Member) => named.get(toHex(person.account));
  t.equal(of(good), undefined);
  t.equal(good.socket.delivered.length, 1);
  t.match(of(linked), { code: 'DEVICES_MISMATCH', missing: [2], extra: [], stale: [] });
  t.match(of(reinstalled), { code: 'DEVICES_STALE', stale: [1] });
  t.match(of(blocked), { code: 'REFUSED' });
  t.equal(of(hasty)?.code, 'RATE_LIMITED');
  t.ok((of(hasty)?.retryAfterMs ?? 0) > 0);
  t.equal(named.get(toHex(inlet.put.id)), undefined, 'an inlet is a recipient like others');
  t.equal(behind.socket.delivered.length, 1);
  for (const member of [linked, reinstalled, blocked]) t.equal(member.socket.delivered.length, 0);
});

t.test('a full mailbox is named as well', async (t) => {
  const bench = await benchRelay({ mailboxEnvelopesMax: 1 });
  const group = await members(bench, 2);
  const nobody = await anonymous(bench);
  t.equal(
    (await nobody.ask(manyOp(entriesOf(group.slice(1)), keysOf(group.slice(1))))).code,
    'CONFIRMED',
  );
  const answer = await nobody.ask(manyOp(entriesOf(group), keysOf(group)));
  t.match(answer, { code: 'SOME_FAILED' });
  t.match(failuresOf(answer), [{ dest: group[1]!.person.account, code: 'MAILBOX_FULL' }]);
  t.equal(group[0]!.socket.delivered.length, 1);
});

t.test(
  'ATK-I09 a commit that fails, or whose answer is lost, and the repeat after it',
  async (t) => {
    for (const when of ['before', 'after'] as const) {
      let store: FaultyStore | undefined;
      const bench = await benchRelay(
        {},
        { wrapStore: (inner) => (store = new FaultyStore(inner)) },
      );
      const group = await members(bench, 20);
      const nobody = await anonymous(bench);
      const op = manyOp(entriesOf(group), keysOf(group));
      let done = 0;
      store![when] = () => {
        done++;
        throw new Error('power cut');
      };
      const answer = await nobody.ask(op);
      t.ok(done > 0);
      t.equal(answer.code, 'SOME_FAILED');
      t.equal(failuresOf(answer).length, 20, 'everybody is named');
      t.ok(failuresOf(answer).every(({ code }) => code === 'UNAVAILABLE'));
      const { envelopes } = await bench.relay.totals();
      t.equal(envelopes, when === 'before' ? 0 : 20, `${when}: none or all of them, never some`);
      store!.heal();
      t.equal((await nobody.ask(op)).code, 'CONFIRMED');
      t.equal((await bench.relay.totals()).envelopes, 20, 'each once');
      for (const { socket } of group) t.equal(socket.delivered.length, 1);
    }
  },
);

t.test(
  'ATK-I10 what one request may become is bounded before anything is made of it',
  async (t) => {
    const bench = await benchRelay({ requirePadding: true });
    const [one] = (await members(bench, 1)) as [Member];
    const nobody = await anonymous(bench);
    const ghosts = (count: number, devices: number) =>
      Array.from({ length: count }, () => ({
        name: provider.randomBytes(16),
        devices: Array.from({ length: devices }, (_, at) => ({
          device: at + 1,
          registrationId: 1,
        })),
        keyMaterial: new Uint8Array(48),
      }));
    const ask = async (entries: ReturnType<typeof ghosts>, view: number) => {
      const socket = await anonymous(bench);
      const keys = entries.map(() => one.grant.credential);
      const message = sentForMany(entries, new Uint8Array(view - 49));
      return (await socket.ask(manyOp(entries, keys, { message }))).code;
    };
    t.equal(await ask(ghosts(512, 2), 512), 'SOME_FAILED', '1 024 devices');
    t.equal(await ask(ghosts(342, 3), 512), 'TOO_LARGE', '1 026 devices');
    t.equal(await ask(ghosts(256, 1), 65_536), 'SOME_FAILED', '16 MiB');
    t.equal(await ask(ghosts(257, 1), 65_536), 'TOO_LARGE', 'more');
    t.equal(await ask(ghosts(1, 1), 65_537), 'TOO_LARGE', 'a view above the largest size');
    t.equal(await ask(ghosts(1, 1), 511), 'NOT_PADDED', 'a view of another size');
    t.equal(MAX_MANY_RECIPIENTS, 512);
    t.equal((await nobody.ask({ kind: 'ping' })).code, 'CONFIRMED');
  },
);

t.test('a deployment may switch it off, and says so', async (t) => {
  const bench = await benchRelay({ multiRecipient: false });
  const group = await members(bench, 1);
  const nobody = await anonymous(bench);
  t.match(nobody.events[0], { limits: { recipientsMax: 0, padding: 0 } });
  t.equal((await nobody.ask(manyOp(entriesOf(group), keysOf(group)))).code, 'UNSUPPORTED');
  const on = await (await benchRelay({ requirePadding: true })).connect();
  t.match(on.events[0], { limits: { recipientsMax: 512, padding: 1 } });
});

t.test(
  'ATK-I14 a message to many costs its network as much as the same messages one by one',
  async (t) => {
    const quotas = { ...NO_QUOTAS, sealedPerAddress: { burst: 10, perSecond: 1 } };
    const bench = await benchRelay({ host: '0.0.0.0', quotas });
    const group = await members(bench, 4);
    const nobody = await anonymous(bench);
    const ask = async () => (await nobody.ask(manyOp(entriesOf(group), keysOf(group)))).code;
    t.strictSame(
      [await ask(), await ask(), await ask()],
      ['CONFIRMED', 'CONFIRMED', 'RATE_LIMITED'],
    );
  },
);
