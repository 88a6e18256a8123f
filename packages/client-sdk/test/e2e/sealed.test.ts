// Sending without a name: over a second socket, by a token, sealed; and what happens when that does not work.
import { MemoryStore, type SenderVisible } from '@qasid/client-sdk';
import {
  deliveryOf,
  redelivered,
  TestWorld,
  type Lies,
  type TestClientOptions,
} from '@qasid/client-sdk/testing';
import {
  defaultCrypto as crypto,
  encodeSealedContent,
  issueSenderCertificate,
  issueServerCertificate,
  padSealedContent,
  sealV2,
  type KeyPair,
  type SenderCertificate,
} from '@qasid/protocol';
import {
  accountText,
  generateAccountId,
  type DeliverEvent,
  type RequestOp,
} from '@qasid/protocol/envelope';
import t from 'tap';

import { AnonymousLink } from '../../dist/sealed/anonymous.js';
import { SealedPost, type ManyOutcome } from '../../dist/sealed/post.js';

t.setTimeout(120_000);

/** What one client asks of its relay, by socket: those of the authorised one and those of the other. */
function wiretap(): {
  readonly lies: Lies;
  readonly named: RequestOp[];
  readonly sealed: RequestOp[];
} {
  const named: RequestOp[] = [];
  const sealed: RequestOp[] = [];
  const lies: Lies = {
    toRelay: (item) => {
      ('token' in item.op || item.op.kind === 'anonymous' || item.op.kind === 'sendMany'
        ? sealed
        : named
      ).push(item.op);
      return [item];
    },
  };
  return { lies, named, sealed };
}

async function twoPeople(options: { alice?: TestClientOptions; bob?: TestClientOptions } = {}) {
  const world = await TestWorld.create();
  const alice = await world.client('alice', options.alice);
  const bob = await world.client('bob', options.bob);
  const registered = Promise.all([
    alice.register({ username: 'alice' }),
    bob.register({ username: 'bob' }),
  ]);
  await world.clock.advance(5_000);
  await registered;
  return { world, alice, bob };
}

const sends = (ops: readonly RequestOp[]) => ops.filter(({ kind }) => kind === 'send');

t.test('once both know tokens, nothing but the first messages has a name', async (t) => {
  const a = wiretap();
  const b = wiretap();
  const { world, alice, bob } = await twoPeople({ alice: { lies: a.lies }, bob: { lies: b.lies } });
  const aliceGot: string[] = [];
  const bobGot: string[] = [];
  alice.on('message', ({ text }) => aliceGot.push(text));
  bob.on('message', ({ text }) => bobGot.push(text));
  void alice.send('bob', 'one');
  await world.clock.until(() => bobGot.length === 1);
  t.equal(sends(a.named).length, 1, 'the first message says who sends it');
  void bob.send('alice', 'two');
  await world.clock.until(() => aliceGot.length === 1);
  void alice.send('bob', 'three');
  await world.clock.until(() => bobGot.length === 2);
  t.equal(sends(a.named).length, 1, 'alice has bob’s token now');
  t.equal(sends(a.sealed).length, 1);
  void bob.send('alice', 'four');
  await world.clock.until(() => aliceGot.length === 2);
  const before = sends(b.named).length;
  for (let at = 0; at < 20; at++) {
    void alice.send('bob', `a${at}`);
    void bob.send('alice', `b${at}`);
  }
  await world.clock.until(() => bobGot.length === 22 && aliceGot.length === 22);
  t.equal(sends(b.named).length, before);
  t.equal(sends(a.named).length, 1);
  t.strictSame(
    bobGot.slice(2),
    Array.from({ length: 20 }, (_, at) => `a${at}`),
    'in order',
  );
  for (const op of [...a.sealed, ...b.sealed]) {
    if (op.kind !== 'send') continue;
    t.ok(
      op.parts.every(({ body }) => body[0] === 0x22),
      'no name in the envelope',
    );
  }
  await alice.close();
  await bob.close();
});

/** Two people who have each other's token. */
async function acquainted(options: Parameters<typeof twoPeople>[0] = {}) {
  const found = await twoPeople(options);
  const { world, alice, bob } = found;
  const seen: string[] = [];
  const end = [bob, alice].map((one) => one.on('message', ({ text }) => seen.push(text)));
  for (const [from, to] of [
    [alice, 'bob'],
    [bob, 'alice'],
    [alice, 'bob'],
    [bob, 'alice'],
  ] as const) {
    const before = seen.length;
    void from.send(to, 'hello');
    await world.clock.until(() => seen.length > before);
  }
  for (const stop of end) stop();
  return found;
}

t.test('ATK-D12 who is blocked loses the token, everybody else gets the new one', async (t) => {
  const a = wiretap();
  const { world, alice, bob } = await acquainted({ alice: { lies: a.lies } });
  const carol = await world.client('carol');
  const registered = carol.register({ username: 'carol' });
  await world.clock.advance(5_000);
  await registered;
  const bobGot: string[] = [];
  bob.on('message', ({ text }) => bobGot.push(text));
  void carol.send('bob', 'I am carol');
  await world.clock.until(() => bobGot.length === 1);
  void bob.send('carol', 'hello');
  await world.clock.advance(5_000);
  const visible: SenderVisible[] = [];
  alice.on('sender-visible', (told) => visible.push(told));
  await (await bob.conversation('alice')).block();
  // Long enough for carol to be told of the new token.
  await world.clock.advance(60_000);
  const named = sends(a.named).length;
  void alice.send('bob', 'let me in');
  await world.clock.until(() => visible.length === 1);
  t.strictSame(visible[0], { account: bob.me.account, cause: 'refused' });
  await world.clock.advance(5_000);
  t.equal(sends(a.named).length, named + 1, 'with a name it still goes, and bob drops it');
  t.strictSame(bobGot, ['I am carol']);
  carol.on('sender-visible', () => t.fail('carol has the new token'));
  void carol.send('bob', 'still a friend');
  await world.clock.until(() => bobGot.length === 2);
  await Promise.all([alice.close(), bob.close(), carol.close()]);
});

t.test('a refused token: `prefer` says so and goes on, `require` waits for another', async (t) => {
  for (const sealed of ['prefer', 'require'] as const) {
    const tap = wiretap();
    let refuse = false;
    const lies: Lies = {
      toRelay: (item) => {
        tap.lies.toRelay?.(item);
        // Another token than bob's: as if he had replaced it.
        return refuse && 'token' in item.op
          ? [{ ...item, op: { ...item.op, token: new Uint8Array(32) } }]
          : [item];
      },
    };
    const { world, alice, bob } = await acquainted({ alice: { lies, sealed } });
    const bobGot: string[] = [];
    bob.on('message', ({ text }) => bobGot.push(text));
    const visible: SenderVisible[] = [];
    const trouble: string[] = [];
    alice.on('sender-visible', (told) => visible.push(told));
    alice.on('trouble', (error) => trouble.push('code' in error ? String(error.code) : ''));
    const named = sends(tap.named).length;
    refuse = true;
    void alice.send('bob', 'now');
    if (sealed === 'prefer') {
      await world.clock.until(() => bobGot.length === 1);
      t.strictSame(visible, [{ account: bob.me.account, cause: 'refused' }]);
      t.equal(sends(tap.named).length, named + 1);
    } else {
      await world.clock.advance(120_000);
      t.strictSame(visible, []);
      t.ok(trouble.includes('NET_SEALED_REFUSED'));
      t.equal(sends(tap.named).length, named, 'nothing left with a name');
      t.equal((await alice.pending()).length, 1);
      refuse = false;
      // A new token, as after bob blocked somebody.
      const carol = await world.client('carol');
      const registered = carol.register({ username: 'carol' });
      await world.clock.advance(5_000);
      await registered;
      void carol.send('bob', 'spam');
      await world.clock.until(() => bobGot.length === 1);
      const blocked = (await bob.conversation(carol.me.account!)).block();
      await world.clock.advance(1_000);
      await blocked;
      await world.clock.until(() => bobGot.length === 2);
      t.equal(sends(tap.named).length, named);
      await carol.close();
    }
    await Promise.all([alice.close(), bob.close()]);
  }
});

t.test('`never` uses no token and gives none', async (t) => {
  const tap = wiretap();
  const { alice, bob } = await acquainted({ alice: { lies: tap.lies, sealed: 'never' } });
  t.strictSame(tap.sealed, []);
  t.equal(tap.named.filter(({ kind }) => kind === 'putToken').length, 0);
  await Promise.all([alice.close(), bob.close()]);
});

t.test('a relay without such sockets: messages go with a name after a while', async (t) => {
  let cut = false;
  const lies: Lies = {
    toRelay: (item) => (cut && item.op.kind === 'anonymous' ? [] : [item]),
  };
  const { world, alice, bob } = await acquainted({ alice: { lies } });
  const bobGot: string[] = [];
  bob.on('message', ({ text }) => bobGot.push(text));
  const visible: SenderVisible[] = [];
  alice.on('sender-visible', (told) => visible.push(told));
  // The socket that is open closes when nothing was sent for a minute.
  await world.clock.advance(120_000);
  cut = true;
  void alice.send('bob', 'after all');
  t.ok(await world.clock.until(() => bobGot.length === 1, 60_000));
  t.strictSame(visible, [{ account: bob.me.account, cause: 'unreachable' }]);
  await Promise.all([alice.close(), bob.close()]);
});

t.test('device list and prekeys of a contact are fetched by its token', async (t) => {
  const tap = wiretap();
  const { world, alice, bob } = await acquainted({ alice: { lies: tap.lies } });
  const before = tap.named.length;
  const bobGot: string[] = [];
  bob.on('message', ({ text }) => bobGot.push(text));
  // Sessions are gone, as after a store that came back from a backup: prekeys are needed again.
  tap.lies.toClient = undefined as never;
  delete tap.lies.toClient;
  let once = true;
  tap.lies.toClient = (item, asked) => {
    if (!once || item.kind !== 'response' || asked?.kind !== 'send') return [item];
    once = false;
    return [{ ...item, code: 'DEVICES_STALE', body: { kind: 'stale', devices: [1] } }];
  };
  void alice.send('bob', 'anew');
  await world.clock.until(() => bobGot.length === 1);
  const kinds = (ops: readonly RequestOp[]) => ops.map(({ kind }) => kind);
  t.ok(kinds(tap.sealed).includes('devices') && kinds(tap.sealed).includes('takePrekeys'));
  const asked = kinds(tap.named.slice(before));
  t.notOk(asked.includes('devices') || asked.includes('takePrekeys'));
  await Promise.all([alice.close(), bob.close()]);
});

t.test('ATK-D06 sealed texts, receipts, reactions and typing are of one size', async (t) => {
  const tap = wiretap();
  const { world, alice, bob } = await acquainted({ alice: { lies: tap.lies } });
  const bobGot: string[] = [];
  bob.on('message', ({ text }) => bobGot.push(text));
  tap.sealed.length = 0;
  const chat = await alice.conversation('bob');
  await chat.send('short');
  await chat.send('x'.repeat(90));
  const [hello] = await chat.messages({ limit: 1 });
  await chat.react(hello!, '👍');
  await chat.markRead();
  void chat.typing();
  await world.clock.advance(60_000);
  const ops = tap.sealed.filter((op) => op.kind === 'send');
  t.ok(ops.some(({ ephemeral }) => ephemeral) && ops.length >= 5, `${ops.length} sends`);
  const sizes = ops.flatMap(({ parts }) => parts.map(({ body }) => body.length));
  t.strictSame([...new Set(sizes)], [1_024]);
  await Promise.all([alice.close(), bob.close()]);
});

t.test(
  'one ciphertext for many: who has no token any more is named, the rest have it',
  async (t) => {
    const bobStore = new MemoryStore();
    const aliceStore = new MemoryStore();
    const { world, alice, bob } = await acquainted({
      alice: { store: aliceStore },
      bob: { store: bobStore },
    });
    const causes: string[] = [];
    bob.on('undecryptable', ({ cause }) => causes.push(cause));
    const anonymous = new AnonymousLink({
      url: 'ws://relay.test',
      dial: world.network.dialOf('alice'),
      clock: world.clock,
      dice: () => 0.5,
    });
    const self = (await aliceStore.loadProfile())!;
    const post = new SealedPost({
      store: aliceStore,
      crypto,
      clock: world.clock,
      self,
      policy: 'prefer',
      relayAheadMs: () => 0,
      checkMayWrite: async () => undefined,
      anonymous,
      named: { request: () => t.fail() as never, requestPatiently: () => t.fail() as never },
      onSenderVisible: () => t.fail(),
    });
    const account = bob.me.account!;
    const contact = (await aliceStore.loadContact(account))!;
    const identityKey = (await aliceStore.loadIdentity(account))!;
    const stranger = generateAccountId(crypto);
    t.strictSame([...(await post.reachable([account, accountText(stranger)]))], [account]);
    const recipients = [
      { account, identityKey, devices: contact.devices },
      { account: accountText(stranger), identityKey, devices: contact.devices },
    ];
    const message = await post.sealMany(7, crypto.randomBytes(200), recipients);
    const names = recipients.map((one) => one.account);
    const clientId = crypto.randomBytes(16);
    let outcome: ReadonlyMap<string, ManyOutcome> | undefined;
    for (let time = 0; time < 2; time++) {
      outcome = undefined;
      void post.sendMany(message, names, clientId).then((found) => (outcome = found));
      await world.clock.until(() => outcome !== undefined);
      t.strictSame(outcome!.get(account), { kind: 'delivered' });
      t.strictSame(outcome!.get(accountText(stranger)), { kind: 'no-token' });
    }
    await world.clock.until(() => causes.length > 0);
    await world.clock.advance(5_000);
    t.equal(causes.length, 1, 'a retry is a repeat; what is in it, groups open');
    anonymous.close();
    await Promise.all([alice.close(), bob.close()]);
  },
);

/** A body that `identity` seals for bob, with a certificate that says whatever it says. */
function sealFor(
  to: KeyPair,
  identity: KeyPair,
  senderCertificate: SenderCertificate,
  message: Uint8Array<ArrayBuffer>,
) {
  const content = padSealedContent(
    encodeSealedContent({
      type: 2,
      senderCertificate,
      content: message,
      contentHint: 0,
      groupId: undefined,
    }),
  );
  return sealV2(crypto, identity, to.public, content, crypto.randomBytes(32));
}

function certify(
  name: string,
  device: number,
  signer: KeyPair,
  change: { expiresMs?: number; key?: KeyPair; root?: KeyPair } = {},
): SenderCertificate {
  const { key = signer, root = signer, expiresMs = Number.MAX_SAFE_INTEGER } = change;
  const server = issueServerCertificate(crypto, { id: 1, key: signer.public }, root.secret);
  const sender = { name, device, identityKey: key.public, expiresMs };
  return issueSenderCertificate(crypto, sender, server, signer.secret);
}

t.test(
  'ATK-D01 ATK-D02 ATK-D03 a sealed message from whoever did not seal it shows nothing',
  async (t) => {
    const [aliceStore, bobStore] = [new MemoryStore(), new MemoryStore()];
    let inject: Uint8Array<ArrayBuffer> | undefined;
    let last: DeliverEvent | undefined;
    const lies: Lies = {
      toClient: (item) => {
        const event = deliveryOf(item);
        if (event === undefined) return [item];
        last = event;
        if (inject === undefined) return [item];
        // In place of the genuine one.
        return [redelivered(event, { body: inject, clientId: crypto.randomBytes(16) })];
      },
    };
    const { world, alice, bob } = await acquainted({
      alice: { store: aliceStore },
      bob: { store: bobStore, lies },
    });
    const hers = (await aliceStore.loadProfile())!;
    const his = (await bobStore.loadProfile())!;
    const mallory = crypto.x25519KeyPair();
    const shown: string[] = [];
    const causes: string[] = [];
    bob.on('message', ({ text }) => shown.push(text));
    bob.on('undecryptable', ({ cause }) => causes.push(cause));
    const now = world.clock.now();
    const garbage = crypto.randomBytes(100);
    const cases: readonly (readonly [string, Uint8Array<ArrayBuffer>, string])[] = [
      [
        'alice’s certificate in a message that mallory sealed',
        sealFor(his.identity, mallory, certify(hers.account, 1, hers.identity), garbage),
        'VERIFY_SEALED_SENDER',
      ],
      [
        'alice’s name and key, signed by mallory',
        sealFor(
          his.identity,
          hers.identity,
          certify(hers.account, 1, mallory, { key: hers.identity }),
          garbage,
        ),
        'VERIFY_CERTIFICATE',
      ],
      [
        'alice’s name under mallory’s key',
        sealFor(his.identity, mallory, certify(hers.account, 1, mallory), garbage),
        'TRUST_IDENTITY_CHANGED',
      ],
      [
        'expired',
        sealFor(
          his.identity,
          hers.identity,
          certify(hers.account, 1, hers.identity, { expiresMs: now - 1 }),
          garbage,
        ),
        'VERIFY_CERTIFICATE',
      ],
      [
        'a device that alice never had',
        sealFor(his.identity, hers.identity, certify(hers.account, 9, hers.identity), garbage),
        'STATE_NO_SESSION',
      ],
      [
        'bob’s own device',
        sealFor(his.identity, his.identity, certify(his.account, 1, his.identity), garbage),
        'STATE_SELF_SEND',
      ],
      [
        'no account at all',
        sealFor(his.identity, mallory, certify('alice', 1, mallory), garbage),
        'VERIFY_CERTIFICATE',
      ],
      [
        'all true, but for the message inside',
        sealFor(his.identity, hers.identity, certify(hers.account, 1, hers.identity), garbage),
        'DECODE_',
      ],
    ];
    for (const [what, body, cause] of cases) {
      const before = causes.length;
      inject = body;
      void alice.send('bob', 'swallowed');
      await world.clock.until(() => causes.length > before);
      t.match(causes.at(-1), new RegExp(`^${cause}`), what);
    }
    t.strictSame(shown, []);
    t.ok(last);
    inject = undefined;
    void alice.send('bob', 'and this is genuine');
    await world.clock.until(() => shown.length === 1);
    await Promise.all([alice.close(), bob.close()]);
  },
);
