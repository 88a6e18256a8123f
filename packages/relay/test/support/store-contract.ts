// What every store must do. One suite, run on each adapter, plain and behind a faulty wrapper.
import { decodeDeviceList, generateAccountId } from '@qasid/protocol/envelope';
import { provider } from '@qasid/protocol/crypto/node';
import type { Test } from 'tap';
import type {
  AppendWrite,
  MailboxNo,
  RegisterWrite,
  RelayStore,
  ResultOf,
  Write,
} from '#src/store/port.js';
import { fakePrekeys, newDevice, newPerson, type Person, signList, deviceEntry } from './client.js';

/** What an adapter brings. */
export interface Adapter {
  /** An empty store. `nowMs` is its monotonic clock. */
  open(options: {
    envelopesMax?: number;
    bytesMax?: number;
    idleDays?: number;
    nowMs?: () => number;
  }): Promise<RelayStore>;
  /** Close the store and open what it left; `undefined` when it keeps nothing. */
  reopen?: (store: RelayStore) => Promise<RelayStore>;
}

export function registerWrite(person: Person, more: Partial<RegisterWrite> = {}): RegisterWrite {
  return {
    kind: 'register',
    account: person.account,
    identityKey: person.identity.public,
    signed: person.devices,
    version: 1,
    entry: deviceEntry(person),
    prekeys: fakePrekeys(3),
    minute: 100,
    freeMinute: 200,
    ...more,
  };
}

export async function one<W extends Write>(store: RelayStore, write: W): Promise<ResultOf<W>> {
  const [result] = await store.commit([write]);
  return result as ResultOf<W>;
}

async function enrol(
  store: RelayStore,
  person: Person,
  more?: Partial<RegisterWrite>,
): Promise<number> {
  const result = await one(store, registerWrite(person, more));
  if (result.kind !== 'registered') throw new Error(result.kind);
  return result.mailbox;
}

const body = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function append(
  to: Person,
  sender: MailboxNo,
  texts: readonly string[],
  id?: Uint8Array,
): AppendWrite {
  return {
    kind: 'append',
    dest: to.account,
    sender,
    parts: texts.map((content) => ({
      device: to.device,
      registrationId: to.registrationId,
      clientId: id ?? provider.randomBytes(16),
      body: body(content),
    })),
    minute: 100,
    expiresMinute: 200,
  };
}

export async function texts(store: RelayStore, mailbox: MailboxNo, after = 0): Promise<string[]> {
  const page = await store.read(mailbox, after, 1000, 1e9);
  return page.rows.map((row) => text(row.body));
}

function putDevices(
  person: Person,
  version: number,
  devices: readonly Person[],
): Write & { kind: 'putDevices' } {
  const entries = devices.map(deviceEntry);
  const signed = signList(person, version, entries);
  return {
    kind: 'putDevices',
    account: person.account,
    signed,
    version,
    previous: decodeDeviceList(signed.list).previous,
    entries,
  };
}

/** A way to add tests to `t` that each get an empty store. */
export function onStores(t: Test, adapter: Adapter) {
  return (
    name: string,
    run: (t: Test, store: RelayStore) => Promise<void>,
    options: Parameters<Adapter['open']>[0] = {},
  ): void => {
    t.test(name, async (t) => {
      const store = await adapter.open(options);
      t.teardown(() => store.close());
      await run(t, store);
    });
  };
}

/** Run all of it. */
export function storeContract(t: Test, adapter: Adapter): void {
  const withStore = onStores(t, adapter);

  withStore('an account is what was registered', async (t, store) => {
    const alice = newPerson();
    t.equal(await store.account(alice.account), undefined);
    const mailbox = await enrol(store, alice, { username: 'alice' });
    const row = await store.account(alice.account);
    t.ok(mailbox > 0);
    t.strictSame(row?.identityKey, alice.identity.public);
    t.equal(row?.username, 'alice');
    t.strictSame(row?.signed, alice.devices);
    t.equal(row?.version, 1);
    t.strictSame(row?.devices, [{ ...deviceEntry(alice), mailbox, seenDay: 0 }]);
    t.strictSame(await store.lookup('alice'), alice.account);
    t.equal(await store.lookup('nobody'), undefined);
    t.match(await store.totals(), { accounts: 1, devices: 1, envelopes: 0, bytes: 0 });
  });

  withStore('a probe is a commit, and changes nothing anybody sees', async (t, store) => {
    const before = await store.totals();
    for (const value of [1, 2, 2])
      t.strictSame(await one(store, { kind: 'probe', value }), { kind: 'probed' });
    t.strictSame(await store.totals(), before);
  });

  withStore('registering again confirms the same, and refuses anything else', async (t, store) => {
    const alice = newPerson();
    const write = registerWrite(alice, { username: 'alice' });
    const first = await one(store, write);
    t.strictSame(await one(store, write), first);
    const counts = await store.prekeyCounts((first as { mailbox: number }).mailbox);
    t.equal(counts.oneTime, 3, 'the prekeys were not added twice');
    const thief = { ...newPerson(), account: alice.account };
    t.strictSame(await one(store, registerWrite(thief)), { kind: 'accountTaken' });
    const other = newPerson();
    t.strictSame(await one(store, registerWrite(other, { username: 'alice' })), {
      kind: 'usernameTaken',
    });
    t.equal(await store.account(other.account), undefined, 'nothing of it was kept');
  });

  withStore('envelopes come out as they went in, in order', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    const results = await store.commit([
      append(bob, 7, ['one']),
      append(bob, 8, ['two']),
      append(bob, 7, ['three']),
    ]);
    const seqs = results.map((r) => (r.kind === 'stored' ? r.placements[0]!.seq : -1));
    t.ok(seqs[0]! > 0 && seqs[0]! < seqs[1]! && seqs[1]! < seqs[2]!);
    const page = await store.read(mailbox, 0, 10, 1e6);
    t.strictSame(
      page.rows.map((row) => [row.seq, text(row.body), row.minute, row.clientId.length]),
      [
        [seqs[0], 'one', 100, 16],
        [seqs[1], 'two', 100, 16],
        [seqs[2], 'three', 100, 16],
      ],
    );
    t.equal(page.isLast, true);
    t.ok(page.nextSeq > seqs[2]!);
    t.strictSame(await texts(store, mailbox, seqs[1]!), ['three']);
    t.match(await store.totals(), { envelopes: 3, bytes: 11 });
  });

  withStore('pages are bounded by rows and bytes, with at least one row', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    await store.commit(['aaaa', 'bbbb', 'cccc'].map((content) => append(bob, 7, [content])));
    const two = await store.read(mailbox, 0, 2, 1e6);
    t.equal(two.rows.length, 2);
    t.equal(two.isLast, false);
    const tight = await store.read(mailbox, 0, 10, 8);
    t.equal(tight.rows.length, 2);
    t.equal(tight.isLast, false);
    const tiny = await store.read(mailbox, 0, 10, 1);
    t.equal(tiny.rows.length, 1, 'one row however large');
    const all = await store.read(mailbox, 0, 3, 12);
    t.equal(all.rows.length, 3);
    t.equal(all.isLast, true);
  });

  withStore('ATK-I08 a send names exactly the devices there are', async (t, store) => {
    const bob = newPerson();
    const tablet = newDevice(bob, 2);
    await enrol(store, bob);
    await store.commit([putDevices(bob, 2, [bob, tablet])]);
    const to = (...people: readonly Person[]): AppendWrite => ({
      ...append(bob, 7, []),
      parts: people.map((person) => append(person, 7, ['x']).parts[0]!),
    });
    t.strictSame(await one(store, to(bob)), { kind: 'mismatch', missing: [2], extra: [] });
    t.strictSame(await one(store, to(bob, tablet, newDevice(bob, 3))), {
      kind: 'mismatch',
      missing: [],
      extra: [3],
    });
    t.strictSame(await one(store, to(bob, tablet, tablet)), {
      kind: 'mismatch',
      missing: [],
      extra: [2],
    });
    t.strictSame(await one(store, to(bob, { ...tablet, registrationId: 5 })), {
      kind: 'stale',
      devices: [2],
    });
    t.match(await store.totals(), { envelopes: 0 }, 'all or nothing');
    t.match(await one(store, to(bob, tablet)), { kind: 'stored' });
    // One's own account: the sending device leaves itself out.
    t.match(await one(store, { ...to(tablet), exclude: 1 }), { kind: 'stored' });
    t.strictSame(await one(store, { ...to(bob, tablet), exclude: 1 }), {
      kind: 'mismatch',
      missing: [],
      extra: [1],
    });
    t.strictSame(await one(store, append(newPerson(), 7, ['x'])), { kind: 'noAccount' });
  });

  let now = 1_000;
  withStore(
    'a repeated client id is stored once, also after it was acknowledged',
    async (t, store) => {
      const bob = newPerson();
      const mailbox = await enrol(store, bob);
      const id = provider.randomBytes(16);
      const write = append(bob, 7, ['once'], id);
      const first = await one(store, write);
      t.match(first, { kind: 'stored' });
      t.strictSame(await one(store, write), {
        kind: 'stored',
        placements: [{ mailbox, seq: 0, previousSeq: 0 }],
      });
      t.strictSame(await texts(store, mailbox), ['once']);
      // Twice in one commit as well.
      const twin = append(bob, 7, ['twin']);
      const results = await store.commit([twin, twin]);
      t.match(results[1], { placements: [{ seq: 0 }] });
      await store.commit([{ kind: 'ack', mailbox, through: 1e9, also: [] }]);
      t.match(await one(store, write), { placements: [{ seq: 0 }] }, 'still remembered');
      now += 11 * 60 * 1000;
      await store.commit([append(bob, 7, ['later'])]);
      t.match(await one(store, write), { kind: 'stored' });
      t.strictSame(await texts(store, mailbox), ['later', 'once'], 'forgotten after 10 minutes');
    },
    { nowMs: () => now },
  );

  withStore('ATK-I12 a stranger cannot suppress a message by its client id', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    const id = provider.randomBytes(16);
    t.match(await one(store, append(bob, 66, ['mallory was first'], id)), { kind: 'stored' });
    t.match(await one(store, append(bob, 7, ['the real one'], id)), { kind: 'stored' });
    t.strictSame(await texts(store, mailbox), ['mallory was first', 'the real one']);
    t.strictSame(await one(store, append(bob, 7, ['another body'], id)), { kind: 'conflict' });
    t.match(await one(store, append(bob, 9, ['the real one'], id)), { placements: [{ seq: 3 }] });
  });

  withStore(
    'acknowledged envelopes are gone, others and other mailboxes are not',
    async (t, store) => {
      const bob = newPerson();
      const carol = newPerson();
      const toBob = await enrol(store, bob);
      const toCarol = await enrol(store, carol);
      await store.commit(['b1', 'b2', 'b3', 'b4'].map((content) => append(bob, 7, [content])));
      await store.commit([append(carol, 7, ['c1'])]);
      const { rows } = await store.read(toBob, 0, 10, 1e6);
      const carols = (await store.read(toCarol, 0, 10, 1e6)).rows[0]!.seq;
      const result = await one(store, {
        kind: 'ack',
        mailbox: toBob,
        through: rows[0]!.seq,
        also: [rows[2]!.seq, carols, 123_456],
      });
      t.strictSame(result, { kind: 'acked', count: 2 });
      t.strictSame(await texts(store, toBob), ['b2', 'b4']);
      t.strictSame(await texts(store, toCarol), ['c1'], 'a number of another mailbox does nothing');
      t.match(await store.totals(), { envelopes: 3, bytes: 6 });
    },
  );

  withStore(
    'ATK-I05 a full mailbox refuses, says so, and takes again when there is room',
    async (t, store) => {
      const bob = newPerson();
      const carol = newPerson();
      const mailbox = await enrol(store, bob);
      await enrol(store, carol);
      t.match(await one(store, append(bob, 7, ['1'])), { kind: 'stored' });
      t.match(await one(store, append(bob, 7, ['2'])), { kind: 'stored' });
      t.match(await one(store, append(bob, 7, ['3'])), { kind: 'stored' });
      t.strictSame(await one(store, append(bob, 7, ['4'])), { kind: 'full' });
      t.strictSame(await texts(store, mailbox), ['1', '2', '3'], 'nothing was pushed out');
      t.match(await one(store, append(carol, 7, ['c'])), { kind: 'stored' });
      const { rows } = await store.read(mailbox, 0, 1, 1e6);
      await store.commit([{ kind: 'ack', mailbox, through: rows[0]!.seq, also: [] }]);
      t.match(await one(store, append(bob, 7, ['5'])), { kind: 'stored' });
      t.strictSame(
        await one(store, append(carol, 7, ['x'.repeat(101)])),
        { kind: 'full' },
        'bytes',
      );
    },
    { envelopesMax: 3, bytesMax: 100 },
  );

  withStore(
    'ATK-I05 a flood by one sender leaves a quarter of the mailbox to the others, and is told',
    async (t, store) => {
      const bob = newPerson();
      const mailbox = await enrol(store, bob);
      const kinds = async (sender: number, count: number): Promise<string[]> => {
        const results = await store.commit(
          Array.from({ length: count }, (_, n) => append(bob, sender, [`${sender} ${n}`])),
        );
        return results.map(({ kind }) => kind);
      };
      const flood = await kinds(7, 60);
      const stored = flood.filter((kind) => kind === 'stored').length;
      t.equal(stored, 31, 'three quarters and one');
      t.ok(flood.slice(stored).every((kind) => kind === 'full'));
      t.strictSame(await kinds(8, 5), Array(5).fill('stored'), 'an honest one');
      t.strictSame(await kinds(9, 4), Array(4).fill('stored'), 'and another, up to the last place');
      t.strictSame(await kinds(9, 1), ['full']);
      const kept = await texts(store, mailbox);
      t.equal(kept.length, 40);
      t.equal(kept[0], '7 0', 'nothing that waited was pushed out');
      await store.commit([{ kind: 'ack', mailbox, through: Number.MAX_SAFE_INTEGER, also: [] }]);
      t.strictSame(
        await kinds(7, 20),
        Array(20).fill('stored'),
        'an empty mailbox is everybody\u2019s',
      );
    },
    { envelopesMax: 40 },
  );
  withStore('ATK-G04 device lists change by one version, and not back', async (t, store) => {
    const bob = newPerson();
    const tablet = newDevice(bob, 2);
    const phone = await enrol(store, bob);
    const two = putDevices(bob, 2, [bob, tablet]);
    const changed = await one(store, two);
    t.match(changed, { kind: 'changed', removed: [] });
    const second = changed.kind === 'changed' ? changed.members[1]! : 0;
    t.match(await one(store, two), { kind: 'changed' }, 'the same list again is no change');
    t.strictSame(await one(store, putDevices(bob, 2, [bob])), { kind: 'versionConflict' });
    t.strictSame(await one(store, putDevices(bob, 1, [bob])), { kind: 'versionConflict' });
    t.strictSame(await one(store, putDevices(bob, 9, [bob])), { kind: 'versionConflict' });
    await store.commit([{ kind: 'putPrekeys', mailbox: second, prekeys: fakePrekeys(2) }]);
    await store.commit([
      {
        ...append(bob, 7, []),
        parts: [append(bob, 7, ['a']).parts[0]!, append(tablet, 7, ['b']).parts[0]!],
      },
    ]);
    t.strictSame(await texts(store, second), ['b']);
    t.strictSame(await one(store, putDevices(bob, 3, [bob])), {
      kind: 'changed',
      removed: [second],
      members: [phone],
    });
    t.strictSame(await texts(store, second), [], 'the mailbox went with its device');
    t.strictSame(await texts(store, phone), ['a']);
    t.match(await store.prekeyCounts(second), { oneTime: 0, kem: 0, signedId: 0 });
    t.match(await store.totals(), { devices: 1, envelopes: 1, bytes: 1 });
    // A device that comes back, or is re-installed, starts with a mailbox of its own.
    const again = await one(store, putDevices(bob, 4, [bob, tablet]));
    t.ok(again.kind === 'changed' && again.members[1] !== second, 'the number is new');
    const fresh = { ...tablet, registrationId: 77, auth: provider.ed25519KeyPair() };
    const replaced = await one(store, putDevices(bob, 5, [bob, fresh]));
    t.ok(replaced.kind === 'changed' && replaced.removed.length === 1);
  });

  withStore('expired envelopes are swept in slices', async (t, store) => {
    const bob = newPerson();
    const mailbox = await enrol(store, bob);
    const until = (expiresMinute: number, content: string): AppendWrite => ({
      ...append(bob, 7, [content]),
      expiresMinute,
    });
    await store.commit([until(200, 'a'), until(300, 'b'), until(200, 'c'), until(300, 'd')]);
    const sweep = { kind: 'sweep', nowMinute: 250, afterSeq: 0, limit: 2 } as const;
    const first = await one(store, sweep);
    t.match(first, { kind: 'swept', deleted: 1 });
    t.strictSame(await texts(store, mailbox), ['b', 'c', 'd']);
    const second = await one(store, { ...sweep, afterSeq: first.nextSeq ?? 0 });
    t.match(second, { deleted: 1 });
    t.strictSame(await texts(store, mailbox), ['b', 'd']);
    const end = await one(store, { ...sweep, afterSeq: second.nextSeq ?? 0, limit: 100 });
    t.strictSame(end, { kind: 'swept', deleted: 0, nextSeq: undefined });
    t.match(await store.totals(), { envelopes: 2 });
  });

  withStore(
    'what arrived is known by mailbox and number, and so is what was before',
    async (t, store) => {
      const [bob, carol] = [newPerson(), newPerson()];
      const toBob = await enrol(store, bob);
      const toCarol = await enrol(store, carol);
      const empty = await store.arrivals(0, 1e9);
      t.strictSame(empty.latest, []);
      const results = await store.commit([
        append(bob, 7, ['b1']),
        append(carol, 7, ['c1']),
        append(bob, 7, ['b2']),
        append(bob, 7, ['b3']),
      ]);
      const placed = results.map((r) => (r.kind === 'stored' ? r.placements[0]! : undefined)!);
      const [b1, c1, b2, b3] = placed.map(({ seq }) => seq) as [number, number, number, number];
      t.strictSame(
        placed.map(({ previousSeq }) => previousSeq),
        [0, 0, b1, b2],
      );
      const sorted = async (after: number, through: number) => {
        const { latest } = await store.arrivals(after, through);
        return [...latest].sort((x, y) => x.mailbox - y.mailbox);
      };
      t.strictSame(await sorted(0, b3), [
        { mailbox: toBob, seq: b3 },
        { mailbox: toCarol, seq: c1 },
      ]);
      t.strictSame(await sorted(c1, b2), [{ mailbox: toBob, seq: b2 }]);
      t.strictSame(await sorted(b3, 1e9), []);
      t.equal((await store.arrivals(0, 0)).nextSeq, (await store.read(toBob, 0, 1, 1)).nextSeq);
      await store.commit([{ kind: 'ack', mailbox: toBob, through: b2, also: [] }]);
      const next = await one(store, append(bob, 7, ['b4']));
      t.match(next, { placements: [{ previousSeq: b3 }] }, 'b3 still waits');
      await store.commit([{ kind: 'ack', mailbox: toBob, through: 1e9, also: [] }]);
      t.strictSame(await sorted(0, 1e9), [{ mailbox: toCarol, seq: c1 }], 'only what waits');
      const last = await one(store, append(bob, 7, ['b5']));
      const { seq = 0, previousSeq = 0 } = last.kind === 'stored' ? last.placements[0]! : {};
      t.ok(previousSeq < seq);
    },
  );

  const { reopen } = adapter;
  if (reopen === undefined) return;

  t.test('everything is there after closing and opening', async (t) => {
    let store = await adapter.open({});
    const bob = newPerson();
    const mailbox = await enrol(store, bob, { username: 'bob' });
    const id = provider.randomBytes(16);
    await store.commit([append(bob, 7, ['kept'], id), append(bob, 7, ['too'])]);
    const before = (await store.read(mailbox, 0, 10, 1e6)).rows.at(-1)!.seq;
    const take = {
      kind: 'takePrekeys',
      account: bob.account,
      devices: [],
      lastResortOnly: false,
    } as const;
    const first = await one(store, take);
    store = await reopen(store);
    t.teardown(() => store.close());
    t.strictSame(await texts(store, mailbox), ['kept', 'too']);
    t.match(await store.totals(), { accounts: 1, devices: 1, envelopes: 2, bytes: 7 });
    t.strictSame(await store.lookup('bob'), bob.account);
    const second = await one(store, take);
    t.not(
      first.kind === 'taken' && first.bundles[0]!.oneTime!.id,
      second.kind === 'taken' && second.bundles[0]!.oneTime!.id,
    );
    t.match(await one(store, append(bob, 7, ['kept'], id)), { placements: [{ seq: 0 }] });
    const third = await one(store, append(bob, 9, ['not the same'], id));
    t.match(third, { kind: 'stored', placements: [{ previousSeq: before }] });
    const after = await one(store, append(bob, 7, ['new']));
    const last = after.kind === 'stored' ? after.placements[0]!.seq : 0;
    t.ok(last > before, 'numbers only rise');
    await store.commit([{ kind: 'ack', mailbox, through: last, also: [] }]);
    store = await reopen(store);
    const next = await one(store, append(bob, 7, ['after an empty queue']));
    t.ok(next.kind === 'stored' && next.placements[0]!.seq > last, 'also when nothing is left');
  });
}

export { append as appendWrite, enrol, generateAccountId, putDevices };
