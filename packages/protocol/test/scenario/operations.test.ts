// Operations over a store: one commit each, nothing given out before it, nothing wiped when it fails.
import t from 'tap';
import {
  defaultCrypto as crypto,
  StoreError,
  toHex,
  utf8,
  type EncryptedMessage,
  type StoreChanges,
} from '@qasid/protocol';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { MemoryStore } from '#src/memory-store.js';
import { Operations } from '#src/operations.js';
import { decodeSignalMessage } from '#src/wire/messages.js';
import { introduce, open, outcome, send, storedHex } from '../support/conversation.js';
import { makeParty, NOW_MS, type Party } from '../support/party.js';

/** A store whose commits can be made to fail, late, as a full disk does. */
class FailingStore extends MemoryStore<string> {
  failures = 0;
  refused = 0;
  commits: StoreChanges<string>[] = [];
  override async commit(changes: StoreChanges<string>): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.failures > 0) {
      this.failures -= 1;
      throw new StoreError('STORE_FULL', 'no space left');
    }
    try {
      await super.commit(changes);
    } catch (error) {
      this.refused += 1;
      throw error;
    }
    this.commits.push(changes);
  }
}

function failingParty(provider: CryptoProvider = crypto): Party & { readonly store: FailingStore } {
  const party = makeParty(provider);
  const store = new FailingStore({
    identity: party.identity,
    registrationId: party.registrationId,
    onExtra: (extra) => (party.extras as string[]).push(extra),
  });
  const operations = new Operations<string>({ crypto: provider, store, local: party.address });
  const bundle: Party['bundle'] = async (options) => {
    const made = await party.bundle(options);
    for (const id of [made.preKey?.id ?? 0, made.signedPreKey.id]) {
      const preKey = await party.store.loadPreKey(id);
      if (preKey !== undefined) await store.commit({ preKeys: [{ id, record: preKey }] });
    }
    const signed = await party.store.loadSignedPreKey(made.signedPreKey.id);
    const kem = await party.store.loadKemPreKey(made.kemPreKey.id);
    await store.commit({
      signedPreKeys: [{ id: made.signedPreKey.id, record: signed! }],
      kemPreKeys: [{ id: made.kemPreKey.id, ...kem! }],
    });
    return made;
  };
  return { ...party, store, operations, bundle };
}

t.test('ATK-C15 a failed commit gives nothing out and loses nothing', async (t) => {
  const a = failingParty();
  const b = failingParty();
  await introduce(a, b);
  const targets = [{ remote: b.address, plaintext: utf8('important') }];
  for (let i = 0; i < 3; i++) {
    const before = await storedHex(a, b);
    a.store.failures = 1;
    await t.rejects(
      a.operations.encrypt(targets, NOW_MS, () => 'outbox'),
      { code: 'STORE_FULL' },
    );
    t.equal(await storedHex(a, b), before);
    t.strictSame(a.extras, Array(i).fill('outbox'));
    const [message] = await a.operations.encrypt(targets, NOW_MS, () => 'outbox');
    const beforeB = await storedHex(b, a);
    b.store.failures = 1;
    await t.rejects(
      b.operations.decrypt(a.address, message!.type, message!.bytes, NOW_MS, () => 'inbox'),
      { code: 'STORE_FULL' },
    );
    t.equal(await storedHex(b, a), beforeB);
    const opened = await b.operations.decrypt(
      a.address,
      message!.type,
      message!.bytes,
      NOW_MS,
      (one) => `inbox ${new TextDecoder().decode(one.plaintext)}`,
    );
    t.equal(new TextDecoder().decode(opened.plaintext), 'important');
    t.strictSame(b.extras, Array(i + 1).fill('inbox important'), 'ATK-C01 once in the app');
  }
});

t.test('ATK-B07 a crash while the first message is stored keeps its prekeys', async (t) => {
  const a = failingParty();
  const b = failingParty();
  const message = await send(a, b, 'hello', {});
  b.store.failures = 1;
  t.equal(await outcome(b, a, message), 'STORE_FULL');
  t.ok(await b.store.loadPreKey(1));
  t.ok(await b.store.loadKemPreKey(1));
  t.equal(await b.store.loadIdentity(a.address.name), undefined);
  t.equal(await open(b, a, message), 'hello');
  t.equal(await b.store.loadPreKey(1), undefined);
});

t.test('every operation is one commit with everything in it', async (t) => {
  const a = failingParty();
  const b = failingParty();
  const c = failingParty();
  const bundles = [await b.bundle(), await c.bundle()];
  a.store.commits = [];
  const messages = await a.operations.encrypt(
    [b, c].map((to, i) => ({ remote: to.address, plaintext: utf8('both'), bundle: bundles[i] })),
    NOW_MS,
    (all) => `outbox ${all.length}`,
  );
  t.equal(a.store.commits.length, 1);
  t.match(a.store.commits[0], {
    sessions: { length: 2 },
    identities: { length: 2 },
    extra: 'outbox 2',
  });
  t.strictSame(
    messages.map((message) => message.remoteRegistrationId),
    [b.registrationId, c.registrationId],
  );
  b.store.commits = [];
  const { newSession, firstUse, remoteIdentity } = await b.operations.decrypt(
    a.address,
    messages[0]!.type,
    messages[0]!.bytes,
    NOW_MS,
    () => 'inbox',
  );
  t.strictSame(
    [newSession, firstUse, toHex(remoteIdentity)],
    [true, true, toHex(a.identity.public)],
  );
  t.equal(b.store.commits.length, 1);
  t.match(b.store.commits[0], {
    sessions: { length: 1 },
    identities: { length: 1 },
    removedPreKeys: [1],
    usedKemPreKeys: [{ kemPreKeyId: 1, signedPreKeyId: 1 }],
    extra: 'inbox',
  });
  b.store.commits = [];
  await open(b, a, await send(a, b, 'second'));
  t.strictSame(b.store.commits[0]?.identities, []);
  t.equal(b.store.commits[0]?.removedPreKeys, undefined);
});

t.test('one target without a session spoils the whole batch', async (t) => {
  const a = failingParty();
  const b = failingParty();
  const c = failingParty();
  await introduce(a, b);
  const before = await storedHex(a, b);
  a.store.commits = [];
  await t.rejects(
    a.operations.encrypt(
      [b, c].map((to) => ({ remote: to.address, plaintext: utf8('x') })),
      NOW_MS,
    ),
    { code: 'STATE_NO_SESSION' },
  );
  t.equal(a.store.commits.length, 0);
  t.equal(await storedHex(a, b), before);
  await t.rejects(a.operations.encrypt([], NOW_MS), { code: 'USAGE_ARGUMENT' });
});

t.test('two messages to one address in a batch get two counters', async (t) => {
  const a = failingParty();
  const b = failingParty();
  const bundle = await b.bundle();
  const messages = await a.operations.encrypt(
    [
      { remote: b.address, plaintext: utf8('one'), bundle },
      { remote: b.address, plaintext: utf8('two') },
    ],
    NOW_MS,
  );
  t.equal(await open(b, a, messages[1]!), 'two');
  t.equal(await open(b, a, messages[0]!), 'one');
});

t.test('an error in extra stores nothing', async (t) => {
  const a = failingParty();
  const b = failingParty();
  await introduce(a, b);
  const before = await storedHex(a, b);
  const failing = (): string => {
    throw new Error('cannot encode');
  };
  const targets = [{ remote: b.address, plaintext: utf8('x') }];
  await t.rejects(a.operations.encrypt(targets, NOW_MS, failing), { message: 'cannot encode' });
  t.equal(await storedHex(a, b), before);
});

t.test('ATK-C09 calls at the same time never share a message key', async (t) => {
  const a = failingParty();
  const b = failingParty();
  await introduce(a, b);
  const messages = await Promise.all(Array.from({ length: 40 }, (_, i) => send(a, b, `m${i}`)));
  const counters = new Set(messages.map((message) => decodeSignalMessage(message.bytes).counter));
  t.equal(counters.size, 40);
  t.equal(a.store.refused, 0, 'they waited for each other');
  const texts = await Promise.all(messages.map((message) => open(b, a, message)));
  t.strictSame(
    texts,
    Array.from({ length: 40 }, (_, i) => `m${i}`),
  );
});

t.test('ATK-C09 two programs over one store: every counter is used once', async (t) => {
  const a = failingParty();
  const b = failingParty();
  await introduce(a, b);
  const tabs = [0, 1, 2].map((): Party => {
    const operations = new Operations<string>({ crypto, store: a.store, local: a.address });
    return { ...a, operations };
  });
  const messages: EncryptedMessage[] = [];
  await Promise.all(
    tabs.map(async (tab, i) => {
      for (let n = 0; n < 15; n++) messages.push(await send(tab, b, `${i}.${n}`));
    }),
  );
  const counters = messages.map((message) => decodeSignalMessage(message.bytes).counter);
  t.equal(new Set(counters).size, 45);
  for (const message of messages) t.match(await outcome(b, a, message), /^\d\.\d+$/);
  // Receiving too: each tab opens some, and knows what the others opened.
  const answers = [];
  for (let i = 0; i < 6; i++) answers.push(await send(b, a, `answer ${i}`));
  for (const [i, answer] of answers.entries()) {
    t.equal(await open(tabs[i % 3]!, b, answer), `answer ${i}`);
    t.equal(await outcome(tabs[(i + 1) % 3]!, b, answer), 'STATE_DUPLICATE_MESSAGE');
  }
});

t.test(
  'batches over the same addresses in different orders do not wait for each other',
  async (t) => {
    const a = failingParty();
    const others = [failingParty(), failingParty(), failingParty()];
    for (const other of others) await introduce(a, other);
    const batch = (order: readonly number[]) =>
      a.operations.encrypt(
        order.map((i) => ({ remote: others[i]!.address, plaintext: utf8('x') })),
        NOW_MS,
      );
    const all = await Promise.all([
      batch([0, 1, 2]),
      batch([2, 1, 0]),
      batch([1, 0]),
      batch([2, 0, 1]),
    ]);
    t.strictSame(
      all.map((messages) => messages.length),
      [3, 3, 2, 3],
    );
  },
);

t.test('ATK-F01 a changed identity key stops both directions until a person decides', async (t) => {
  const a = failingParty();
  const b = failingParty();
  await introduce(a, b);
  const underWay = await send(a, b, 'under way');
  // b was reinstalled: same address, another identity.
  const again = makeParty(crypto, { name: b.address.name });
  const bundle = await again.bundle();
  const before = await storedHex(a, b);
  const error = await a.operations
    .encrypt([{ remote: b.address, plaintext: utf8('x'), bundle }], NOW_MS)
    .catch((reason: unknown) => reason);
  t.match(error, { code: 'TRUST_IDENTITY_CHANGED' });
  t.strictSame((error as { identityKey: Uint8Array }).identityKey, again.identity.public);
  const toA = await a.bundle();
  const [fromAgain] = await again.operations.encrypt(
    [{ remote: a.address, plaintext: utf8('it is me'), bundle: toA }],
    NOW_MS,
  );
  t.equal(await outcome(a, again, fromAgain!), 'TRUST_IDENTITY_CHANGED');
  t.equal(await storedHex(a, b), before, 'nothing stored');
  t.ok(await a.store.loadPreKey(toA.preKey?.id ?? 0), 'no prekey gone');
  await a.operations.trustIdentity(b.address.name, again.identity.public);
  t.equal(await outcome(a, again, fromAgain!), 'it is me', 'the same message opens later');
  await a.operations.encrypt([{ remote: b.address, plaintext: utf8('x') }], NOW_MS);
  // And the other way: a session whose identity is no longer the trusted one.
  await b.operations.trustIdentity(a.address.name, again.identity.public);
  t.equal(await outcome(b, a, underWay), 'TRUST_IDENTITY_CHANGED');
  t.equal(await outcome(b, a, underWay), 'TRUST_IDENTITY_CHANGED', 'and it is not used up');
  await t.rejects(send(b, a, 'x'), { code: 'TRUST_IDENTITY_CHANGED' });
  await b.operations.trustIdentity(a.address.name, a.identity.public);
  t.equal(await outcome(b, a, underWay), 'under way');
});

t.test('two devices of one account must have one identity in a batch of first uses', async (t) => {
  const a = makeParty(crypto);
  const one = makeParty(crypto, { deviceId: 1 });
  const two = makeParty(crypto, { name: one.address.name, deviceId: 2 });
  const targets = [];
  for (const to of [one, two]) {
    targets.push({ remote: to.address, plaintext: utf8('x'), bundle: await to.bundle() });
  }
  await t.rejects(a.operations.encrypt(targets, NOW_MS), { code: 'TRUST_IDENTITY_CHANGED' });
  t.equal(await storedHex(a, one), '');
});

t.test('a small cache changes nothing but speed', async (t) => {
  const a = makeParty(crypto);
  const operations = new Operations<string>({
    crypto,
    store: a.store,
    local: a.address,
    cachedSessionsMax: 1,
  });
  const small: Party = { ...a, operations };
  const others = [makeParty(crypto), makeParty(crypto)];
  for (const other of others) await introduce(small, other);
  for (let i = 0; i < 4; i++) {
    for (const other of others)
      t.equal(await open(other, small, await send(small, other, 'x')), 'x');
  }
});

t.test('session info says whom we talk to', async (t) => {
  const a = makeParty(crypto);
  const b = makeParty(crypto);
  t.equal(await a.operations.sessionInfo(b.address), undefined);
  await introduce(a, b);
  const { ratchetKey, ...info } = (await a.operations.sessionInfo(b.address)) ?? {};
  t.equal(ratchetKey?.length, 33);
  t.strictSame(info, {
    remoteRegistrationId: b.registrationId,
    remoteIdentity: b.identity.public,
    postQuantum: { epoch: 1, messagesSinceEpoch: 2, sent: 1, received: 1 },
  });
});

t.test('consumed keys are wiped after the commit, and never when it fails', async (t) => {
  /** Every secret the provider handed out, by what it was. */
  const made: { what: string; bytes: Uint8Array; hex: string }[] = [];
  const keep = <Out extends Uint8Array>(what: string, bytes: Out): Out => {
    made.push({ what, bytes, hex: toHex(bytes) });
    return bytes;
  };
  const watching: CryptoProvider = {
    ...crypto,
    x25519: (...args) => keep('agreement', crypto.x25519(...args)),
    hkdfSha256: (...args) => keep('derived keys', crypto.hkdfSha256(...args)),
    hmacSha256: (key, ...parts) => {
      const out = crypto.hmacSha256(key, ...parts);
      return parts.length === 1 && parts[0]?.length === 1 ? keep('chain key or seed', out) : out;
    },
    x25519KeyPair: () => {
      const pair = crypto.x25519KeyPair();
      keep('private key', pair.secret);
      return pair;
    },
    kyber1024Decapsulate: (...args) => keep('KEM secret', crypto.kyber1024Decapsulate(...args)),
    kyber1024Encapsulate: (...args) => {
      const out = crypto.kyber1024Encapsulate(...args);
      keep('KEM secret', out.sharedSecret);
      return out;
    },
  };
  const a = failingParty(watching);
  const b = failingParty(watching);
  const bundle = await b.bundle();
  made.length = 0;
  const target = { remote: b.address, plaintext: utf8('hello'), bundle };
  const [first] = await a.operations.encrypt([target], NOW_MS);
  await open(b, a, first!);
  for (let i = 0; i < 6; i++) {
    const [from, to] = i % 2 === 0 ? [b, a] : [a, b];
    await send(from, to, 'lost');
    await open(to, from, await send(from, to, 'arrives'));
    await open(to, from, await send(from, to, 'again'));
  }
  const live = (await storedHex(a, b)) + (await storedHex(b, a));
  const lingering = made.filter(
    ({ bytes, hex }) => bytes.some((byte) => byte !== 0) && !live.includes(hex),
  );
  t.strictSame(
    lingering.map(({ what, bytes }) => `${what}, ${bytes.length} bytes`),
    [],
    `${made.length} secrets: each is wiped, or part of a stored state`,
  );
  // A commit that fails: what the old state holds must not be touched.
  const message = await send(a, b, 'kept');
  b.store.failures = 1;
  t.equal(await outcome(b, a, message), 'STORE_FULL');
  t.equal(await open(b, a, message), 'kept');
});

/** The second handshake waits between loading its session and its prekeys until the first is stored. */
class SlowSecondStore extends MemoryStore<string> {
  #handshakes = 0;
  #stored: () => void = () => undefined;
  readonly #firstIsStored = new Promise<void>((resolve) => {
    this.#stored = resolve;
  });
  override async loadSignedPreKey(id: number) {
    this.#handshakes += 1;
    if (this.#handshakes === 2) await this.#firstIsStored;
    return super.loadSignedPreKey(id);
  }
  override async commit(changes: StoreChanges<string>): Promise<void> {
    await super.commit(changes);
    if (changes.sessions !== undefined) this.#stored();
  }
}

t.test(
  'ATK-C01 two programs get one first message: one opens it, the other knows it',
  async (t) => {
    const a = makeParty(crypto);
    const b = makeParty(crypto);
    const store = new SlowSecondStore({ identity: b.identity, registrationId: b.registrationId });
    const message = await send(a, b, 'once', {});
    await store.commit({
      preKeys: [{ id: 1, record: (await b.store.loadPreKey(1))! }],
      signedPreKeys: [{ id: 1, record: (await b.store.loadSignedPreKey(1))! }],
      kemPreKeys: [{ id: 1, ...(await b.store.loadKemPreKey(1))! }],
    });
    const programs = [0, 1].map((): Party => {
      const operations = new Operations<string>({ crypto, store, local: b.address });
      return { ...b, operations };
    });
    const results = await Promise.all(programs.map((program) => outcome(program, a, message)));
    t.strictSame([...results].sort(), ['STATE_DUPLICATE_MESSAGE', 'once']);
  },
);

t.test('a transport may reuse its buffer at once', async (t) => {
  const a = makeParty(crypto);
  const b = makeParty(crypto);
  await introduce(a, b);
  const first = await send(a, b, 'first');
  const second = await send(a, b, 'second');
  const opening = open(b, a, first);
  const waiting = open(b, a, second);
  first.bytes.fill(0);
  second.bytes.fill(0);
  t.strictSame(await Promise.all([opening, waiting]), ['first', 'second']);
});
