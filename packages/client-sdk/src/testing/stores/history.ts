/**
 * Testing kit. What every ClientStore does with messages and records.
 */
import { PLACE_STEP, type MessageRow, type NewMessage } from '../../stores/port.js';
import { contractTest, must, type Check, type ContractTest } from './check.js';
import type { StoreMaker } from './contract.js';
import { ACCOUNT, bytes, messageRow, OTHER } from './rows.js';

function ids(rows: readonly MessageRow[]): string[] {
  return rows.map(({ id }) => id);
}

function found(id: string, change: Partial<NewMessage> = {}): NewMessage {
  return { ...messageRow(id, true), ...change };
}

/** The part of the contract about history, search, expiry and records. */
export function historyContract(maker: StoreMaker): readonly ContractTest[] {
  const tests: ContractTest[] = [];
  const test = (name: string, body: (t: Check) => Promise<void>): void => {
    tests.push(contractTest(name, body));
  };
  test(`${maker.name}: messages by conversation, author and id`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      extra: {
        messagesAdded: [
          messageRow('aa', false),
          found('aa'),
          found('aa', { text: 'a second one under this id' }),
          found('bb', { peer: ACCOUNT }),
        ],
      },
    });
    const handle = await maker.reopen(store);
    t.equal((await handle.loadMessage(OTHER, ACCOUNT, 'aa'))?.seq, 1);
    t.equal((await handle.loadMessage(OTHER, OTHER, 'aa'))?.seq, 2, 'the first');
    t.equal(await handle.loadMessage(ACCOUNT, OTHER, 'aa'), undefined, 'another conversation');
    t.equal(await handle.loadMessage(OTHER, OTHER, 'bb'), undefined);
    t.equal((await handle.loadMessage(ACCOUNT, OTHER, 'bb'))?.seq, 4);
    await store.commit({ extra: { messagesRemoved: [2, 2, 99] } });
    t.equal((await handle.loadMessage(OTHER, OTHER, 'aa'))?.seq, 3, 'the next takes its place');
    await store.commit({ extra: { messagesChanged: [{ id: 'aa', peer: ACCOUNT }] } });
    t.equal(await handle.loadMessage(OTHER, ACCOUNT, 'aa'), undefined);
    t.equal((await handle.loadMessage(ACCOUNT, ACCOUNT, 'aa'))?.seq, 1, 'a name was resolved');
  });

  test(`${maker.name}: pages of a conversation (ATK-I02)`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      extra: {
        messagesAdded: [
          found('1'),
          found('2'),
          found('elsewhere', { peer: ACCOUNT }),
          found('3'),
          // Late: belongs before 2.
          found('1.5', { place: 2 * PLACE_STEP - 1 }),
          found('same place', { place: 2 * PLACE_STEP - 1 }),
        ],
      },
    });
    const page = (query: object) =>
      store.loadConversation({ peer: OTHER, limit: 10, ...query }).then(ids);
    t.strictSame(await page({}), ['3', '2', 'same place', '1.5', '1'], 'newest first');
    t.strictSame(await page({ limit: 2 }), ['3', '2']);
    const [, two] = await store.loadConversation({ peer: OTHER, limit: 2 });
    t.strictSame(await page({ before: two, limit: 2 }), ['same place', '1.5']);
    t.strictSame(await page({ after: two }), ['3']);
    t.strictSame(await page({ after: { place: 0, seq: 0 }, limit: 3 }), ['1', '1.5', 'same place']);
    t.strictSame(await store.loadConversation({ peer: 'nobody', limit: 3 }), []);
    t.strictSame(
      ids(await store.loadMessages({})),
      ['1', '2', 'elsewhere', '3', '1.5', 'same place'],
      'arrival stays arrival',
    );
    await store.commit({ extra: { conversationsRemoved: [OTHER] } });
    t.strictSame(await page({}), []);
    t.strictSame(ids(await store.loadMessages({})), ['elsewhere']);
    await store.commit({ extra: { messagesAdded: [found('again')] } });
    t.equal(await store.lastSeq(), 7, 'numbers are never given twice');
  });

  test(`${maker.name}: a row is replaced as it was read, or not at all`, async (t) => {
    const store = await maker.open(t);
    await store.commit({ extra: { messagesAdded: [found('1'), found('2')] } });
    const [first, second] = await store.loadMessages({});
    const changed = { ...must(first), text: 'edited', state: bytes(9, 1), expiresAtMs: 5_000 };
    await store.commit({ extra: { messagesReplaced: [{ row: changed }] } });
    const now = must((await store.loadMessages({}))[0]);
    t.strictSame({ ...now, revision: 0 }, { ...changed, revision: 0 });
    t.ok(now.revision > must(second).revision, 'the revision rises over all rows');
    await t.rejects(
      store.commit({
        extra: {
          messagesReplaced: [{ row: { ...must(second), text: 'x' } }, { row: changed }],
          records: [{ space: 'a', key: 'b', value: bytes(1, 1), expectedVersion: 0 }],
        },
      }),
      { code: 'STORE_CONFLICT' },
      'somebody else was quicker',
    );
    t.equal(
      (await store.loadMessages({}))[1]?.text,
      must(second).text,
      'nothing of it was written',
    );
    t.equal(await store.loadRecord('a', 'b'), undefined);
    await store.commit({ extra: { messagesRemoved: [1] } });
    await t.rejects(store.commit({ extra: { messagesReplaced: [{ row: now }] } }), {
      code: 'STORE_CONFLICT',
    });
    const handle = await maker.reopen(store);
    t.strictSame(ids(await handle.loadChanges({ after: 0, limit: 9 })), ['2']);
    const revision = await handle.lastRevision();
    t.strictSame(await handle.loadChanges({ after: revision, limit: 9 }), []);
    await store.commit({ extra: { messagesAdded: [found('3'), found('4'), found('5')] } });
    t.strictSame(ids(await handle.loadChanges({ after: revision, limit: 2 })), ['3', '4']);
  });

  test(`${maker.name}: what disappears when (ATK-H11)`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      extra: {
        messagesAdded: [
          found('late', { expiresAtMs: 3_000 }),
          found('stays'),
          found('soon', { expiresAtMs: 1_000 }),
          found('next', { expiresAtMs: 2_000 }),
        ],
      },
    });
    const through = (throughMs: number, limit = 9) =>
      store.loadExpiring({ throughMs, limit }).then(ids);
    t.strictSame(await through(2_000), ['soon', 'next']);
    t.strictSame(await through(9_000, 1), ['soon']);
    const [soon] = await store.loadExpiring({ throughMs: 1_000, limit: 1 });
    await store.commit({
      extra: { messagesReplaced: [{ row: { ...must(soon), expiresAtMs: undefined } }] },
    });
    t.strictSame(await through(9_000), ['next', 'late']);
    await store.commit({ extra: { messagesRemoved: [4] } });
    t.strictSame(await through(9_000), ['late']);
  });

  test(`${maker.name}: search by words`, async (t) => {
    const store = await maker.open(t);
    await store.commit({
      extra: {
        messagesAdded: [
          found('1', { terms: ['salaam', 'bob', 'bob'] }),
          found('2', { terms: ['salaam'] }),
          found('3'),
          found('4', { terms: [] }),
        ],
      },
    });
    const handle = await maker.reopen(store);
    const search = (terms: string[], more: object = {}) =>
      handle.searchMessages({ terms, limit: 9, ...more }).then(ids);
    t.strictSame(await search(['salaam']), ['2', '1'], 'newest first');
    t.strictSame(await search(['bob', 'salaam']), ['1'], 'all of them');
    t.strictSame(await search(['salaam'], { before: 2 }), ['1']);
    t.strictSame(await search(['salaam'], { limit: 1 }), ['2']);
    t.strictSame(await search(['sala']), [], 'whole words');
    t.strictSame(await search([]), []);
    const [two] = await store.searchMessages({ terms: ['salaam'], limit: 1 });
    await store.commit({ extra: { messagesReplaced: [{ row: must(two), terms: ['other'] }] } });
    t.strictSame(await search(['salaam']), ['1']);
    t.strictSame(await search(['other']), ['2']);
    await store.commit({ extra: { messagesRemoved: [1] } });
    t.strictSame(await search(['bob']), []);
    await store.commit({ extra: { conversationsRemoved: [OTHER] } });
    t.strictSame(await search(['other']), []);
  });

  test(`${maker.name}: search among many, page by page`, async (t) => {
    const store = await maker.open(t);
    // Every one is common; each 7th, 30th and 100th has a word more.
    const termsOf = (at: number): string[] => [
      'common',
      ...[7, 30, 100].filter((step) => at % step === 0).map((step) => `each-${step}`),
    ];
    const all = Array.from({ length: 300 }, (_, index) => index + 1);
    const messagesAdded = all.map((at) => found(`${at}`, { terms: termsOf(at) }));
    await store.commit({ extra: { messagesAdded } });
    const handle = await maker.reopen(store);
    for (const terms of [
      ['common'],
      ['common', 'each-30'],
      ['each-30', 'common'],
      ['each-7', 'each-30', 'common'],
      ['each-100', 'each-7'],
      ['common', 'nobody wrote it'],
    ]) {
      const expected = all.filter((at) => terms.every((term) => termsOf(at).includes(term)));
      const seen: number[] = [];
      for (let before: number | undefined; ; before = seen.at(-1)) {
        const rows = await handle.searchMessages({ terms, before, limit: 50 });
        seen.push(...rows.map(({ seq }) => seq));
        if (rows.length < 50) break;
      }
      t.strictSame(seen, expected.reverse(), `${terms}`);
    }
  });

  test(`${maker.name}: records`, async (t) => {
    const store = await maker.open(t);
    const write = (space: string, key: string, fill: number | undefined, expectedVersion: number) =>
      store.commit({
        extra: {
          records: [
            { space, key, value: fill === undefined ? fill : bytes(3, fill), expectedVersion },
          ],
        },
      });
    t.equal(await store.loadRecord('chain', 'a'), undefined);
    await write('chain', 'a', 1, 0);
    await write('chain', 'b', 2, 0);
    await write('other', 'a', 3, 0);
    const handle = await maker.reopen(store);
    const a = await handle.loadRecord('chain', 'a');
    t.strictSame([a?.key, a?.value], ['a', bytes(3, 1)]);
    await t.rejects(write('chain', 'a', 9, 0), { code: 'STORE_CONFLICT' }, 'it is there');
    await t.rejects(write('chain', 'c', 9, 1), { code: 'STORE_CONFLICT' }, 'it is not there');
    await write('chain', 'a', 4, must(a).version);
    await t.rejects(
      write('chain', 'a', 9, must(a).version),
      { code: 'STORE_CONFLICT' },
      'outdated',
    );
    const all = await handle.loadRecords('chain');
    t.strictSame(
      all.map(({ key, value }) => [key, value[0]]),
      [
        ['b', 2],
        ['a', 4],
      ],
      'in the order they were written',
    );
    t.strictSame(
      (await handle.loadRecords('chain', must(all[0]).version)).map(({ key }) => key),
      ['a'],
    );
    await write('chain', 'a', undefined, must(all[1]).version);
    t.equal(await handle.loadRecord('chain', 'a'), undefined);
    await write('chain', 'a', 5, 0);
    t.ok(
      must(await handle.loadRecord('chain', 'a')).version > must(all[1]).version,
      'no version twice',
    );
  });
  return tests;
}
