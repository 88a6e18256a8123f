// Rows E of the attacks: what a member, a former member, a stranger or the relay tries with a group.
import { defaultCrypto, distributionMessage, createSenderKey, toHex } from '@qasid/protocol';
import type { RequestOp } from '@qasid/protocol/envelope';
import t from 'tap';

import { decodeSenderKeyRecord } from '@qasid/protocol';
import { signGroupEntry } from '../../dist/groups/entry.js';
import { GROUP_SPACE, decodeIncomingKey } from '../../dist/groups/stored.js';
import { formatLink } from '../../dist/groups/link.js';
import { groupStateHash } from '../../dist/groups/state.js';
import { contextFor, encryptAs, groupOf, opens, post, say, Tap } from '../support/group-attack.js';
import { soon, team, type Person } from '../support/team.js';

t.setTimeout(240_000);

type World = Awaited<ReturnType<typeof team>>['world'];

/** A group that everybody has heard of, and has written in once. */
async function founded(world: World, founder: Person, others: readonly Person[]) {
  const members = others.map(({ account }) => account);
  for (const one of others) {
    const name = one.client.me.username!;
    await soon(world, founder.client.conversation(name));
  }
  const group = await soon(world, founder.client.createGroup({ title: 'Group', members }));
  await group.send('begin');
  for (const one of others) {
    await world.clock.until(() => one.texts.includes('begin'));
    await (await one.group(group.id)).send(`here is ${one.client.me.username}`);
  }
  const everybody = [founder, ...others];
  const all = () => everybody.every(({ texts }) => texts.length >= others.length);
  if (!(await world.clock.until(all))) throw new Error('they do not hear each other');
  return group;
}

t.test(
  'ATK-E04 whoever was removed opens nothing that is sent later, whoever was away',
  async (t) => {
    const taps = { alice: new Tap(), bob: new Tap() };
    const { world, people } = await team(t, ['alice', 'bob', 'carol'], {
      clients: {
        alice: { lies: taps.alice.lies, sealed: 'never' },
        bob: { lies: taps.bob.lies, sealed: 'never' },
      },
    });
    const { alice, bob, carol } = people;
    const group = await founded(world, alice, [bob, carol]);
    t.equal(await opens(carol, taps.alice.messages), 0, 'used keys are gone');
    world.network.partition('carol');
    taps.alice.messages.length = 0;
    await group.send('for her too');
    t.ok(await world.clock.until(() => bob.texts.includes('for her too')));
    t.equal(await opens(carol, taps.alice.messages.slice(0, 1)), 1, 'what was meant for her opens');
    world.network.heal('carol');
    t.ok(await world.clock.until(() => carol.texts.includes('for her too')));
    // Bob is away when she is removed, and writes before he hears of it.
    world.network.partition('bob');
    const his = await bob.group(group.id);
    await his.send('written on a train');
    await soon(world, group.remove('carol'));
    for (const { messages } of Object.values(taps)) messages.length = 0;
    await group.send('without her');
    await world.clock.advance(30_000);
    world.network.heal('bob');
    const both = () =>
      alice.texts.includes('written on a train') && bob.texts.includes('without her');
    t.ok(await world.clock.until(both));
    const later = [...taps.alice.messages, ...taps.bob.messages];
    t.ok(later.length >= 2);
    t.equal(await opens(carol, later), 0, 'nothing of it opens for her');
    const hers = await carol.group(group.id);
    t.equal((await hers.details()).role, undefined, 'she was told');
  },
);

t.test('ATK-E05 a newcomer opens nothing from before', async (t) => {
  const tap = new Tap();
  const { world, people } = await team(t, ['alice', 'bob', 'dave'], {
    clients: { alice: { lies: tap.lies, sealed: 'never' } },
  });
  const { alice, bob, dave } = people;
  const group = await founded(world, alice, [bob]);
  for (let index = 0; index < 5; index++) await group.send(`secret ${index}`);
  t.ok(await world.clock.until(() => bob.texts.includes('secret 4')));
  const past = [...tap.messages];
  await soon(world, group.add('dave'));
  await group.send('welcome');
  t.ok(await world.clock.until(() => dave.texts.includes('welcome')));
  t.strictSame(dave.texts, ['welcome']);
  t.equal(await opens(dave, past), 0);
  t.equal(past.length, 6);
});

t.test('ATK-E02 nobody writes in the name of another member', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob', 'mallory']);
  const { alice, bob, mallory } = people;
  const group = await founded(world, alice, [bob, mallory]);
  const context = await contextFor(mallory, group.id);
  const content = { body: { kind: 'text', text: 'I resign' } as const, group: context };
  // Her key, his name on the envelope.
  await post(mallory, alice, 7, await encryptAs(mallory, group.id, content), bob);
  t.ok(await world.clock.until(() => alice.lost.length === 1));
  t.strictSame(alice.lost, ['VERIFY_SIGNATURE']);
  // His distribution id, with a key of hers.
  const rows = await mallory.store.loadRecords(GROUP_SPACE.incoming);
  const his = rows.find(({ value }) => decodeIncomingKey(value).account === bob.account);
  const id = Uint8Array.from(Buffer.from(his!.key, 'hex'));
  const before = await alice.store.loadRecord(GROUP_SPACE.incoming, his!.key);
  await say(mallory, alice, context.id, {
    kind: 'distribution',
    epoch: context.epoch,
    head: context.head,
    message: distributionMessage(createSenderKey(defaultCrypto), id),
  });
  t.ok(await world.clock.until(() => alice.trouble.some((text) => text.includes('bound already'))));
  const after = await alice.store.loadRecord(GROUP_SPACE.incoming, his!.key);
  t.strictSame(after?.value, before?.value, 'his key is as it was');
  // A flipped bit in message or signature.
  for (const at of [20, -1]) {
    const message = await encryptAs(mallory, group.id, content);
    message[at < 0 ? message.length + at : at]! ^= 1;
    await post(mallory, alice, 7, message);
  }
  await world.clock.advance(30_000);
  t.notOk(alice.texts.includes('I resign'));
  await (await bob.group(group.id)).send('still me');
  t.ok(await world.clock.until(() => alice.texts.includes('still me')));
});

t.test('ATK-E03 a distribution that comes again moves nothing', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob']);
  const { alice, bob } = people;
  const group = await founded(world, alice, [bob]);
  const holders = await alice.store.loadRecord(GROUP_SPACE.holders, group.id);
  const { decodeHolders } = await import('../../dist/groups/stored.js');
  const { signalRow } = await import('../../dist/groups/store.js');
  const [handOut] = decodeHolders(holders!.value).handed;
  await group.send('one');
  await group.send('two');
  t.ok(await world.clock.until(() => bob.texts.includes('two')));
  const keys = async () =>
    (await bob.store.loadRecords(GROUP_SPACE.incoming)).map(({ value }) => {
      const record = decodeSenderKeyRecord(decodeIncomingKey(value).record);
      return record.states.map(({ chain }) => chain?.iteration);
    });
  const before = await keys();
  await alice.store.commit({ extra: { outboxAdded: [signalRow(bob.account, handOut!)] } });
  await world.clock.advance(30_000);
  t.strictSame(await keys(), before, 'the chain stands where it stood');
  t.strictSame(before, [[3]]);
  await group.send('three');
  t.ok(await world.clock.until(() => bob.texts.includes('three')));
  t.strictSame(bob.lost, []);
});

t.test(
  'ATK-E06 ATK-E14 a message stands in the group that its key and its content name',
  async (t) => {
    const { world, people } = await team(t, ['alice', 'bob', 'mallory']);
    const { alice, bob, mallory } = people;
    const small = await founded(world, alice, [mallory]);
    const large = await founded(world, alice, [bob, mallory]);
    const text = { kind: 'text', text: 'in the wrong place' } as const;
    const body = { body: text };
    // Of the large group, under her key of the small one.
    const elsewhere = await contextFor(mallory, large.id);
    await post(
      mallory,
      alice,
      7,
      await encryptAs(mallory, small.id, { ...body, group: elsewhere }),
    );
    t.ok(await world.clock.until(() => alice.lost.length === 1));
    // Of no group at all.
    await post(mallory, alice, 7, await encryptAs(mallory, small.id, body));
    t.ok(await world.clock.until(() => alice.lost.length === 2));
    t.strictSame(alice.lost, ['VERIFY_GROUP', 'VERIFY_GROUP']);
    // A pairwise message that says it is the group's.
    const { signalRow } = await import('../../dist/groups/store.js');
    const { encodeContent } = await import('../../dist/content/index.js');
    const plain = encodeContent({
      ...{ id: defaultCrypto.randomBytes(16), sentAtMs: Date.now(), body: text, group: elsewhere },
    });
    await mallory.store.commit({ extra: { outboxAdded: [signalRow(alice.account, plain)] } });
    const unknown = () => alice.messages.some(({ kind }) => kind === 'unknown');
    t.ok(await world.clock.until(unknown));
    const shown = alice.messages.find(({ kind }) => kind === 'unknown');
    t.equal(shown?.peer, mallory.account, 'between her and alice, and nothing of it is shown');
    t.notOk(alice.texts.includes('in the wrong place'));
    // A body that only own devices may send.
    const sync = { kind: 'sync', conversation: elsewhere.id, action: { kind: 'cleared' } } as const;
    await post(
      mallory,
      alice,
      7,
      await encryptAs(mallory, large.id, { body: sync, group: elsewhere }),
    );
    t.ok(await world.clock.until(() => alice.lost.length === 3));
    t.ok((await large.messages()).length > 0);
  },
);

t.test('ATK-E01 ATK-L02 nobody is added by a stranger, a former member or the relay', async (t) => {
  const forged: RequestOp['kind'][] = [];
  const { world, people } = await team(t, ['alice', 'bob', 'carol', 'ghost'], {
    clients: {
      bob: {
        lies: {
          toClient: (item, asked) => {
            if (item.kind !== 'response' || item.body.kind !== 'record') return [item];
            if (item.code !== 'CONFIRMED' || asked?.kind !== 'recordGet') return [item];
            forged.push(asked.kind);
            const value = defaultCrypto.randomBytes(item.body.value.length);
            return [{ ...item, body: { ...item.body, value } }];
          },
        },
      },
    },
  });
  const { alice, bob, carol, ghost } = people;
  const group = await founded(world, alice, [bob, carol]);
  await soon(world, ghost.client.conversation('bob'));
  await soon(world, carol.client.conversation('ghost'));
  await soon(world, group.remove('carol'));
  const his = await bob.group(group.id);
  t.ok(await world.clock.until(async () => (await his.details()).size === 2));
  const { head } = await groupOf(bob, group.id);
  // By somebody who was never in it, and by somebody who was: right in everything but the right.
  for (const forger of [ghost, carol]) {
    const members = new Map([...head.state.members, [ghost.account, 'member' as const]]);
    const state = { ...head.state, version: head.state.version + 1, members };
    const entry = {
      groupId: head.state.groupId,
      version: state.version,
      parent: Uint8Array.from(Buffer.from(head.hash, 'hex')),
      author: forger.account,
      atMs: 1,
      changes: [{ kind: 'add', account: ghost.account, role: 'member', byLink: false } as const],
      stateHash: groupStateHash(defaultCrypto, state),
    };
    const { secret } = await forger.store.loadIdentityKeyPair();
    const random = defaultCrypto.randomBytes(64);
    const signed = signGroupEntry(defaultCrypto, secret, random, entry);
    const troubles = bob.trouble.length;
    await say(forger, bob, head.state.groupId, {
      kind: 'entries',
      entries: [signed],
      secret: undefined,
    });
    t.ok(await world.clock.until(() => bob.trouble.length > troubles), 'and bob is told');
    // In the name of the admin: the signature does not fit.
    const lie = signGroupEntry(defaultCrypto, secret, random, { ...entry, author: alice.account });
    const more = bob.trouble.length;
    const entries = [lie];
    await say(forger, bob, head.state.groupId, { kind: 'entries', entries, secret: undefined });
    t.ok(await world.clock.until(() => bob.trouble.length > more));
  }
  // The relay's own: a record that no member wrote.
  world.network.breakConnections('bob');
  t.ok(await world.clock.until(() => forged.length > 0));
  await world.clock.advance(30_000);
  t.ok(bob.trouble.some((text) => text.includes('record of a stranger')));
  t.equal((await his.details()).size, 2, 'nobody came in');
  const before = await ghost.store.loadRecords(GROUP_SPACE.incoming);
  await his.send('among us');
  t.ok(await world.clock.until(() => alice.texts.includes('among us')));
  t.strictSame(await ghost.store.loadRecords(GROUP_SPACE.incoming), before, 'no key went to it');
});

t.test(
  'ATK-E10 an older record leads nobody back; different ones make no silent fork',
  async (t) => {
    let old: Uint8Array<ArrayBuffer> | undefined;
    let back = false;
    const { world, people } = await team(t, ['alice', 'bob', 'carol'], {
      clients: {
        bob: {
          lies: {
            toClient: (item, asked) => {
              if (item.kind !== 'response' || item.body.kind !== 'record') return [item];
              if (asked?.kind !== 'recordGet' || item.body.value.length === 0) return [item];
              old ??= Uint8Array.from(item.body.value);
              return back ? [{ ...item, body: { ...item.body, value: old } }] : [item];
            },
          },
        },
      },
    });
    const { alice, bob, carol } = people;
    const group = await founded(world, alice, [bob, carol]);
    const his = await bob.group(group.id);
    await soon(world, group.setRole('bob', 'admin'));
    await soon(world, his.setTitle('First'));
    t.not(old, undefined);
    await soon(world, group.setTitle('Second'));
    t.ok(await world.clock.until(async () => (await his.details()).title === 'Second'));
    back = true;
    const version = (await his.details()).version;
    await soon(world, his.setDescription('after the relay lied'));
    t.equal((await his.details()).version, version + 1);
    t.equal((await his.details()).title, 'Second');
    t.ok(
      bob.trouble.some((text) => text.includes('old state')),
      'and it is told',
    );
    const hers = await carol.group(group.id);
    const said = async () => (await hers.details()).description;
    t.ok(await world.clock.until(async () => (await said()) === 'after the relay lied'));
    t.equal((await (await alice.group(group.id)).details()).description, 'after the relay lied');
  },
);

t.test('ATK-E11 ATK-E13 an id opens nothing, and a token is not guessed', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob', 'eve']);
  const { alice, bob, eve } = people;
  const group = await founded(world, alice, [bob]);
  await soon(world, group.createLink());
  await soon(world, eve.client.conversation('alice'));
  const groupId = Uint8Array.from(Buffer.from(group.id, 'hex'));
  const todo: number[] = [];
  eve.store.watch(() => {
    void eve.store.loadRecords(GROUP_SPACE.todo).then((rows) => todo.push(rows.length));
  });
  // Entries name the members: they are for members. The two are asked for so far apart that both would be answered.
  const have = defaultCrypto.randomBytes(32);
  for (const known of [have, undefined]) {
    await say(eve, alice, groupId, { kind: 'want', distribution: undefined, have: known });
    await world.clock.advance(40 * 60_000);
  }
  for (let index = 0; index < 8; index++) {
    const token = defaultCrypto.randomBytes(16);
    const link = formatLink({ groupId, maker: alice.account, token });
    await soon(world, eve.client.joinGroup(link));
  }
  const welcomes = await world.clock.until(() => eve.has(group.id), 10 * 60_000);
  t.equal(welcomes, false);
  t.strictSame(
    todo.filter((count) => count > 0),
    [],
    'not a word about the group came',
  );
  t.equal((await group.details()).size, 2);
  t.strictSame(await group.requests(), []);
  t.equal(toHex(groupId), group.id);
});

t.test('a sender key that got lost is asked for, and what waited is opened', async (t) => {
  const { world, people } = await team(t, ['alice', 'bob']);
  const { alice, bob } = people;
  const group = await founded(world, alice, [bob]);
  const his = await bob.group(group.id);
  // Bob's copy is gone.
  for (const { key, version } of await bob.store.loadRecords(GROUP_SPACE.incoming)) {
    const change = { space: GROUP_SPACE.incoming, key, value: undefined };
    await bob.store.commit({ extra: { records: [{ ...change, expectedVersion: version }] } });
  }
  await group.send('do you read me?');
  await group.send('and this?');
  t.ok(await world.clock.until(() => bob.texts.includes('and this?')));
  t.strictSame(bob.texts.slice(-2), ['do you read me?', 'and this?']);
  t.strictSame([bob.lost, bob.gaps], [[], []]);
  t.strictSame(await bob.store.loadRecords(GROUP_SPACE.wants), []);
  t.equal((await his.messages()).length, 4);
});
