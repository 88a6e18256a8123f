/** The corners of SPQR that vectors do not reach: limits on both sides, versions, forgeries, wiping. Spec 06. */
import { inspect } from 'node:util';
import t from 'tap';
import { fromHex, toHex } from '#src/bytes.js';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import { nobleProvider } from '#src/crypto/noble.js';
import type { CryptoProvider } from '#src/crypto/provider.js';
import { QasidError } from '#src/errors.js';
import { receiveKey, sendKey, startChain, addEpoch, type SpqrChain } from '#src/spqr/chain.js';
import { nextChunk, newEncoder } from '#src/spqr/erasure-code.js';
import { spqrReason, type SpqrReason } from '#src/spqr/errors.js';
import {
  decodeSpqrState,
  EMPTY_SPQR_STATE,
  encodeSpqrState,
  initialSpqrState,
  spqrProgress,
  spqrReceive,
  spqrSend,
  type SpqrState,
} from '#src/spqr/index.js';
import { decodePayload, decodePreamble, encodeMessage, type Payload } from '#src/spqr/message.js';
import { decryptMessage } from '#src/session.js';
import { archiveCurrentSession, decodeSessionRecord } from '#src/session-record.js';
import { decodeSignalMessage } from '#src/wire/messages.js';
import type { EncryptedMessage } from '#src/operations.js';
import { makeParty, NOW_MS } from '../support/party.js';
import { SPQR_MAX_JUMP_SELF } from '#src/limits.js';
import { converse, pair, secretsOf, type Side, sides } from '../support/spqr.js';

const hex = (text: string): Uint8Array => fromHex(text) as Uint8Array;

/** Reason and code of what `run` throws. */
function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return `${spqrReason(error)} ${error instanceof QasidError ? error.code : String(error)}`;
  }
  return 'nothing';
}

t.test('ATK-B02 a lower version is refused, before and after the lock-in', (t) => {
  const { a, b } = sides(crypto);
  const first = a.send();
  for (const [name, side] of [
    ['initiator', a],
    ['responder', b],
  ] as const) {
    t.equal(side.refuses(new Uint8Array(0)), 'MinimumVersion', `${name}: no SPQR at all`);
    t.equal(side.refuses(hex('000101')), 'MinimumVersion', `${name}: version 0 offered`);
  }
  b.receive(first.message);
  t.equal(b.state.negotiation, undefined, 'the responder is locked in');
  const answer = b.send();
  const newer = answer.message.slice();
  newer[0] = 2;
  const met = spqrReceive(crypto, a.state, newer);
  t.equal(toHex(met.output.key as Uint8Array), answer.key, 'a newer peer is met while negotiating');
  t.ok(met.state.negotiation, 'which does not end the negotiation');
  a.receive(answer.message);
  for (const side of [a, b]) {
    t.equal(side.refuses(new Uint8Array(0)), 'MinimumVersion', 'locked in: no SPQR at all');
    t.equal(side.refuses(hex('000101')), 'MinimumVersion', 'locked in: version 0');
    t.equal(side.refuses(hex('020101')), 'VersionMismatch', 'locked in: version 2');
  }
  t.equal(
    failure(() => spqrReceive(crypto, a.state, new Uint8Array(0))),
    'MinimumVersion VERIFY_DOWNGRADE',
  );
  t.equal(
    failure(() => spqrReceive(crypto, a.state, hex('ff0101'))),
    'VersionMismatch VERIFY_DOWNGRADE',
  );
  t.end();
});

t.test('minimum version 0 falls back once and for good, and forgets its keys', (t) => {
  const { a } = pair(crypto, { minVersion: 0 });
  const sent = spqrSend(crypto, a);
  t.equal(sent.output.key, undefined, 'no key before the peer answered');
  t.equal(decodePreamble(sent.output.message).index, 0);
  const fallen = spqrReceive(crypto, sent.state, new Uint8Array(0));
  t.equal(fallen.state, EMPTY_SPQR_STATE);
  t.same(new Set(fallen.consumed), new Set(secretsOf(sent.state)), 'all of it is consumed');
  t.equal(spqrSend(crypto, fallen.state).output.message.length, 0, 'off from now on');
  t.equal(spqrReceive(crypto, fallen.state, hex('01010100')).output.key, undefined, 'ignored');
  t.equal(spqrProgress(fallen.state), undefined);
  t.end();
});

t.test('initial states', (t) => {
  const make = (p: object): unknown =>
    initialSpqrState(crypto, {
      authKey: new Uint8Array(32),
      direction: 'a2b',
      version: 1,
      minVersion: 1,
      maxJump: 1,
      maxOutOfOrderKeys: 1,
      ...p,
    });
  t.equal(make({ version: 0 }), EMPTY_SPQR_STATE);
  t.equal(encodeSpqrState(EMPTY_SPQR_STATE).length, 0);
  t.equal(decodeSpqrState(new Uint8Array(0)), EMPTY_SPQR_STATE);
  t.equal(
    failure(() => make({ version: 2 })),
    'undefined USAGE_RANGE',
  );
  t.equal(
    failure(() => make({ authKey: new Uint8Array(31) })),
    'undefined USAGE_LENGTH',
  );
  // 06 §2: in full, for the authentication key 00 01 … 1f.
  const authKey = Uint8Array.from({ length: 32 }, (_, i) => i);
  const state = initialSpqrState(crypto, {
    authKey,
    direction: 'a2b',
    version: 1,
    minVersion: 1,
    maxJump: 25_000,
    maxOutOfOrderKeys: 2_000,
  });
  t.equal(
    toHex(encodeSpqrState(state)),
    '0a260a20000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f180122001a4c0a4a0a48' +
      '080112440a20eae875be1b0c8ce16b6c7b67a9d4b49f476d93eaf152676b82bd4a1993211a0512200d54710b71ce' +
      'f4864e8339471177d3699162c711907b0c5593ce569a0b43c30e',
  );
  authKey.fill(0);
  t.not(state.negotiation?.authKey[1], 0, 'the key was copied');
  for (const shown of [JSON.stringify(state), String(state), inspect(state)]) {
    t.match(shown, /^"?\[redacted\]"?$/, 'a state does not print its keys');
  }
  t.end();
});

t.test('ATK-A12 integers of a message at their edges', (t) => {
  const epochs: [string, number][] = [
    ['01', 1],
    ['8100', 1],
    ['ffffffff07', 2 ** 31 - 1],
    ['8080808008', 2 ** 31],
    ['ffffffff0f', 2 ** 32 - 1],
    ['8080808010', 2 ** 32],
    ['ffffffffffffff0f', 2 ** 53 - 1],
    ['8080808080808010', Number.POSITIVE_INFINITY],
    ['ffffffffffffffffff01', Number.POSITIVE_INFINITY],
    ['818080808080808080' + '7e', 1], // bits above 2^64 are dropped
  ];
  for (const [text, epoch] of epochs) {
    t.equal(decodePreamble(hex(`01${text}0100`)).epoch, epoch, `epoch ${text}`);
  }
  t.equal(decodePreamble(hex('0101ffffffff0f00')).index, 2 ** 32 - 1, 'index 2^32 - 1');
  t.equal(decodePreamble(hex('0101808080800800')).index, 2 ** 31, 'index 2^31');
  const bad: [string, string][] = [
    ['epoch 0', '01000100'],
    ['epoch 0 in two bytes', '0180000100'],
    ['epoch whose low 64 bits are 0', '01808080808080808080020100'],
    ['epoch of eleven bytes', '0181808080808080808080000100'],
    ['epoch cut short', '0181'],
    ['no epoch', '01'],
    ['no index', '0101'],
    ['index 2^32', '0101808080801000'],
    ['index beyond 2^53', '0101ffffffffffffff7f00'],
  ];
  for (const [name, text] of bad) {
    t.equal(
      failure(() => decodePreamble(hex(text))),
      'MsgDecode DECODE_SPQR_MESSAGE',
      name,
    );
    // The preamble counts even where the rest is ignored.
    t.equal(
      failure(() => spqrReceive(crypto, EMPTY_SPQR_STATE, hex(text))),
      'MsgDecode DECODE_SPQR_MESSAGE',
      `${name}, version 0`,
    );
  }
  const payload = (text: string) => () => {
    const message = hex(`010101${text}`);
    return decodePayload(message, decodePreamble(message));
  };
  const chunk = '11'.repeat(32);
  t.same(payload(`05ffff03${chunk}`)(), { type: 'Ct1', chunk: { index: 65535, data: hex(chunk) } });
  t.same(payload(`01818000${chunk}ffff`)(), { type: 'Hdr', chunk: { index: 1, data: hex(chunk) } });
  for (const text of ['', '07', 'ff', `05808004${chunk}`, '0500', `0500${chunk.slice(2)}`, '06']) {
    t.equal(failure(payload(text)), 'MsgDecode DECODE_SPQR_MESSAGE', `payload ${text.slice(0, 8)}`);
  }
  const none = { type: 'None' } as const;
  t.equal(toHex(encodeMessage(2 ** 53 - 1, 2 ** 32 - 1, none)), '01ffffffffffffff0fffffffff0f00');
  t.equal(toHex(encodeMessage(127, 128, none)), '017f800100');
  t.end();
});

t.test('ATK-C11 only the next epoch exists, and only for who has sent ct2', (t) => {
  const { a, b } = sides(crypto);
  const reasons = new Set<string | undefined>();
  const probe = (side: Side): void => {
    const epoch = side.state.braid?.epoch ?? 0;
    for (const ahead of [1, 2, 3, 1000, 2 ** 40]) {
      if (ahead === 1 && side.state.braid?.kind === 'Ct2Sampled') continue;
      reasons.add(side.refuses(encodeMessage(epoch + ahead, 1, { type: 'None' })));
    }
    reasons.add(side.refuses(hex('01ffffffffffffffffff010100')));
  };
  const seen = converse(a, b, () => {
    probe(a);
    probe(b);
    return (spqrProgress(b.state)?.epoch ?? 0) >= 4;
  });
  // The eleventh, EkReceivedCt1Sampled, needs a lost acknowledgement: spqr/transitions.json has it.
  t.equal(seen.size, 10, 'in every state of an orderly conversation');
  t.same([...reasons], ['EpochOutOfRange']);
  t.equal(
    a.refuses(encodeMessage(1, 1, { type: 'None' })),
    'EpochOutOfRange',
    'epoch 0 is dropped',
  );
  t.equal(
    a.refuses(encodeMessage(1, 2 ** 32 - 1, { type: 'None' })),
    'EpochOutOfRange',
    'and costs no steps',
  );
  t.end();
});

t.test('chain limits, on both sides of each', (t) => {
  const parameters = { maxJump: 50, maxOutOfOrderKeys: 10 };
  const key = new Uint8Array(32).fill(1);
  const sender = startChain(crypto, key, 'a2b', parameters);
  const start = startChain(crypto, key, 'b2a', parameters);
  const keys: string[] = [''];
  let sending: SpqrChain = sender;
  for (let i = 1; i <= 200; i++) {
    const step = sendKey(crypto, sending, 0);
    sending = step.state;
    keys.push(toHex(step.output.key));
  }
  const at = (chain: SpqrChain, index: number): SpqrChain => {
    const { state, output } = receiveKey(crypto, chain, 0, index);
    if (toHex(output as Uint8Array) !== keys[index]) throw new Error(`key ${index} differs`);
    return state;
  };
  const refused = (chain: SpqrChain, index: number) =>
    failure(() => receiveKey(crypto, chain, 0, index));
  const skipped = (chain: SpqrChain) => (chain.links[0]?.receive.skipped.length ?? 0) / 36;

  t.equal(refused(start, 51), 'KeyJump LIMIT_FORWARD_JUMPS', 'a jump of 51');
  t.equal(refused(start, 2 ** 32 - 1), 'KeyJump LIMIT_FORWARD_JUMPS', 'the largest jump');
  const far = at(start, 50);
  t.equal(skipped(far), 10, 'a jump of 50 keeps the last ten');
  t.equal(refused(far, 50), 'KeyAlreadyRequested STATE_SPQR_KEY_GONE', 'the same once more');
  t.equal(skipped(at(far, 40)), 9, 'the oldest kept');
  t.equal(refused(at(far, 40), 40), 'KeyAlreadyRequested STATE_SPQR_KEY_GONE', 'twice');
  t.equal(refused(far, 39), 'KeyTrimmed STATE_SPQR_KEY_GONE', 'one older');
  t.equal(receiveKey(crypto, far, 0, 0).output, undefined, 'index 0 of epoch 0 is no key');
  const later = addEpoch(crypto, far, 1, key).state;
  t.equal(
    failure(() => receiveKey(crypto, later, 1, 0)),
    'KeyAlreadyRequested STATE_SPQR_KEY_GONE',
    'but in epoch 1 it is one that was never there',
  );
  t.equal(
    failure(() => receiveKey(crypto, later, 2, 1)),
    'EpochOutOfRange STATE_SPQR_KEY_GONE',
  );

  // Clean-up: at 12 = floor(10 · 11/10) + 1 entries, everything below (i - 1) - 10 goes.
  let chain = start;
  for (let i = 2; i <= 22; i += 2) chain = at(chain, i);
  t.equal(skipped(chain), 11, 'eleven are kept');
  chain = at(chain, 24);
  t.equal(skipped(chain), 6, 'the twelfth brings the clean-up: 13, 15, 17, 19, 21, 23');
  t.equal(refused(chain, 11), 'KeyTrimmed STATE_SPQR_KEY_GONE', 'swept');
  t.doesNotThrow(() => at(at(at(chain, 15), 23), 17));
  chain = at(at(chain, 30), 41);
  t.equal(skipped(chain), 10, 'a jump of more than the window drops the older ones');

  const used = addEpoch(crypto, sending, 1, key).state;
  const moved = sendKey(crypto, used, 1).state;
  t.equal(
    failure(() => sendKey(crypto, moved, 0)),
    'SendKeyEpochDecreased STATE_INVALID_SESSION',
  );
  t.equal(
    failure(() => sendKey(crypto, moved, 2)),
    'EpochOutOfRange STATE_SPQR_KEY_GONE',
  );
  t.equal(
    failure(() => addEpoch(crypto, moved, 3, key)),
    'EpochOutOfRange STATE_INVALID_SESSION',
  );
  const link = sender.links[0];
  if (link === undefined) throw new Error('no link');
  const nearEnd = { ...sender, links: [{ ...link, send: { ...link.send, counter: 2 ** 32 - 2 } }] };
  const end = sendKey(crypto, nearEnd, 0);
  t.equal(end.output.index, 2 ** 32 - 1, 'the last index');
  t.equal(
    failure(() => sendKey(crypto, end.state, 0)),
    'KeyJump LIMIT_CHAIN_INDEX',
    'none after it',
  );
  t.end();
});

t.test('ATK-C02 the jump of libsignal: 25 000 steps and not one more', (t) => {
  const { a, b } = sides(crypto);
  b.receive(a.send().message);
  t.equal(b.refuses(encodeMessage(1, 25_002, { type: 'None' })), 'KeyJump');
  t.ok(b.receive(encodeMessage(1, 25_001, { type: 'None' })).key);
  t.end();
});

t.test('ATK-C02 in a session with oneself the jump is bounded too, whatever is stored', (t) => {
  const { a, b } = sides(crypto, { maxJump: SPQR_MAX_JUMP_SELF });
  b.receive(a.send().message);
  t.equal(b.state.chain?.maxJump, 2 ** 32 - 1, 'stored as compatible peers do');
  const started = performance.now();
  t.equal(b.refuses(encodeMessage(1, 2 ** 32 - 1, { type: 'None' })), 'KeyJump');
  t.equal(b.refuses(encodeMessage(1, 100_002, { type: 'None' })), 'KeyJump');
  t.ok(performance.now() - started < 1000, 'and costs no steps');
  t.ok(b.receive(encodeMessage(1, 100_001, { type: 'None' })).key);
  t.equal(b.state.chain?.links[0]?.receive.skipped.length, 2000 * 36, 'of which 2000 are kept');
  t.end();
});

t.test('ATK-C10 a poisoned chunk gives no key, and the true one heals it', (t) => {
  // Each piece in turn: the receiver meets a forged chunk as if its MAC had been right.
  const cases: [string, SpqrReason, (side: Side) => boolean][] = [
    ['Hdr', 'MacVerifyFailed', (side) => side.state.braid?.kind === 'HeaderReceived'],
    ['Ek', 'ErroneousDataReceived', (side) => side.state.braid?.kind === 'Ct2Sampled'],
    ['Ct2', 'MacVerifyFailed', (side) => (side.state.braid?.epoch ?? 0) > 1],
  ];
  for (const [type, reason, done] of cases) {
    const { a, b } = sides(crypto);
    let poisoned: { to: Side; chunk: Payload } | undefined;
    let refusals = 0;
    let wrongKeys = 0;
    let epochs = 0;
    for (let i = 0; i < 400 && !(refusals > 0 && poisoned && done(poisoned.to)); i++) {
      const [from, to] = i % 2 === 0 ? [a, b] : [b, a];
      const { message, key } = from.send();
      const { epoch, index, end, version } = decodePreamble(message);
      const payload = decodePayload(message, { epoch, index, end, version });
      const mine = payload.type === type || (type === 'Ek' && payload.type === 'EkCt1Ack');
      if (mine && poisoned === undefined && 'chunk' in payload && payload.chunk.index === 1) {
        const forged = message.slice();
        forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
        to.receive(forged);
        poisoned = { to, chunk: payload };
        continue;
      }
      try {
        if (to.receive(message).key !== key) wrongKeys++;
      } catch (error) {
        if (spqrReason(error) !== reason || poisoned === undefined) throw error;
        refusals++;
        epochs = to.state.chain?.currentEpoch ?? 0;
        // The true chunk, in the message that was refused.
        to.receive(encodeMessage(epoch, index, poisoned.chunk));
      }
    }
    const healed = poisoned !== undefined && done(poisoned.to);
    t.equal(wrongKeys, 0, `${type}: no wrong key`);
    t.equal(epochs, type === 'Ek' ? 1 : 0, `${type}: no epoch secret from unauthenticated pieces`);
    t.equal(refusals, 1, `${type}: refused with ${reason}`);
    t.ok(healed, `${type}: the true chunk completes the piece`);
  }
  t.end();
});

t.test('ATK-C10 dropped chunks show as an epoch that only grows', (t) => {
  const { a, b } = sides(crypto);
  converse(a, b, () => (spqrProgress(a.state)?.epoch ?? 0) >= 2);
  const { epoch } = spqrProgress(b.state) ?? { epoch: 0 };
  for (let i = 0; i < 300; i++) {
    b.send(); // nothing of it arrives
    const { message, key } = a.send();
    if (b.receive(message).key !== key) throw new Error('keys differ');
  }
  const progress = spqrProgress(b.state);
  t.ok((progress?.epoch ?? 0) <= epoch + 1, 'the key agreement stands still');
  t.ok((progress?.sentInEpoch ?? 0) >= 299, 'and it shows');
  converse(a, b, () => (spqrProgress(a.state)?.epoch ?? 0) >= epoch + 2);
  t.pass('it goes on when messages arrive again');
  t.end();
});

t.test('encoders past their piece and past the counter', (t) => {
  const piece = Uint8Array.from({ length: 96 }, (_, i) => (i * i) & 0xff);
  const chunk = (index: number): string =>
    toHex(
      nextChunk({ ...nextChunk({ ...newEncoder(piece), next: 3 }).encoder, next: index }).chunk
        .data,
    );
  // 06 §6.2.
  t.equal(chunk(1), '004184c91059a4f14091e43990e944a10061c42990f964d140b1249910890481');
  t.equal(chunk(3), '00c1844910d9a4714011e4b99069442100e1c4a9907964514031241910090401');
  t.equal(chunk(65535), '3e653f5b2e7d1f63be379f29aecd3fb13e45bf39aedddf43be175f89ee2f7f91');
  const wrapped = nextChunk({
    kind: 'polynomials',
    next: 65536,
    coefficients: new Uint16Array(48),
  });
  t.equal(wrapped.chunk.index, 0, 'after 65535 comes 0');
  const last = nextChunk({
    kind: 'polynomials',
    next: 2 ** 32 - 1,
    coefficients: new Uint16Array(48),
  });
  t.equal(last.encoder.next, 0, 'the counter wraps');
  t.end();
});

t.test('randomness is drawn twice per epoch and never on receive', (t) => {
  const draws: number[] = [];
  const counting: CryptoProvider = {
    ...crypto,
    randomBytes: (length) => {
      draws.push(length);
      return crypto.randomBytes(length);
    },
  };
  const { a, b } = sides(counting);
  converse(
    a,
    b,
    () => (spqrProgress(a.state)?.epoch ?? 0) >= 3 && a.state.braid?.kind === 'KeysSampled',
  );
  t.same(draws, [64, 32, 64, 32, 64]);
  const still: CryptoProvider = {
    ...crypto,
    randomBytes: () => {
      throw new Error('drawn');
    },
  };
  const { message } = b.send();
  t.doesNotThrow(() => spqrReceive(still, a.state, message));
  t.end();
});

t.test('what a step makes and drops is wiped, also when it throws', (t) => {
  const made: Uint8Array[] = [];
  const keep = <Value extends Uint8Array>(value: Value): Value => {
    made.push(value);
    return value;
  };
  const recording: CryptoProvider = {
    ...crypto,
    randomBytes: (length) => keep(crypto.randomBytes(length)),
    hkdfSha256: (salt, ikm, info, length) => keep(crypto.hkdfSha256(salt, ikm, info, length)),
    mlkem768Encapsulate1: (header, m) => {
      const first = crypto.mlkem768Encapsulate1(header, m);
      keep(first.sharedSecret);
      return first;
    },
    mlkem768Decapsulate: (dk, ct1, ct2) => keep(crypto.mlkem768Decapsulate(dk, ct1, ct2)),
  };
  const { a, b } = sides(recording);
  made.length = 0;
  converse(a, b, () => {
    const left = made.filter((value) => value.some((byte) => byte !== 0)).length;
    if (left > 0) throw new Error(`${left} of ${made.length} buffers are left`);
    return (spqrProgress(a.state)?.epoch ?? 0) >= 3;
  });
  t.pass('after every step of two epochs');

  // One message short of the new epoch, then a key index that was used: the braid step is undone.
  const again = sides(recording);
  converse(again.a, again.b, () => {
    const { a: one } = again;
    if (one.state.braid?.kind !== 'EkSentCt1Received') return false;
    const ahead = new Set(one.state.braid.ct2Decoder.chunks.map((chunk) => chunk.index));
    return ahead.size === 4;
  });
  const { message } = again.b.send();
  const preamble = decodePreamble(message);
  const payload = decodePayload(message, preamble);
  const used = encodeMessage(preamble.epoch, preamble.index - 1, payload);
  made.length = 0;
  t.equal(again.a.refuses(used), 'KeyAlreadyRequested');
  t.ok(made.length >= 4, 'it had come as far as the epoch secret');
  t.same(made.filter((value) => value.some((byte) => byte !== 0)).length, 0, 'all wiped');
  const forged = message.slice();
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  made.length = 0;
  t.equal(again.a.refuses(forged), 'MacVerifyFailed');
  t.same(made.filter((value) => value.some((byte) => byte !== 0)).length, 0, 'all wiped');
  t.end();
});

t.test('both providers make the same states', (t) => {
  const fixed = (provider: CryptoProvider): CryptoProvider => ({
    ...provider,
    randomBytes: (length) => new Uint8Array(length).fill(9),
  });
  const one = sides(fixed(crypto));
  const other = sides(fixed(nobleProvider));
  converse(one.a, one.b, () => (spqrProgress(one.a.state)?.epoch ?? 0) >= 3);
  converse(other.a, other.b, () => (spqrProgress(other.a.state)?.epoch ?? 0) >= 3);
  t.equal(toHex(encodeSpqrState(one.a.state)), toHex(encodeSpqrState(other.a.state)));
  t.equal(toHex(encodeSpqrState(one.b.state)), toHex(encodeSpqrState(other.b.state)));
  t.end();
});

t.test('ATK-C04 a message whose MAC fails leaves nothing of what it made', async (t) => {
  const alice = makeParty(crypto);
  const bob = makeParty(crypto);
  const bundle = await bob.bundle();
  const [first] = await alice.operations.encrypt(
    [{ remote: bob.address, plaintext: new Uint8Array(3), bundle }],
    NOW_MS,
  );
  await bob.operations.decrypt(alice.address, 3, (first as EncryptedMessage).bytes, NOW_MS);
  const [reply] = await bob.operations.encrypt(
    [{ remote: alice.address, plaintext: new Uint8Array(3) }],
    NOW_MS,
  );
  const stored = await alice.store.loadSession(bob.address);
  const record = decodeSessionRecord(stored?.record as Uint8Array);
  const { bytes } = reply as EncryptedMessage;
  const forged = bytes.slice();
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;

  // Arrays that remember what is sliced off them: chain values and keys are parts of longer outputs.
  const made: Uint8Array[] = [];
  class Remembering extends Uint8Array<ArrayBuffer> {
    override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
      const part = super.slice(start, end);
      made.push(part);
      return part;
    }
  }
  const remembering: CryptoProvider = {
    ...crypto,
    hkdfSha256: (salt, ikm, info, length) => {
      const output = new Remembering(new ArrayBuffer(length));
      output.set(crypto.hkdfSha256(salt, ikm, info, length));
      made.push(output);
      return output;
    },
  };
  const input = { local: alice.address, remote: bob.address };
  t.throws(
    () => decryptMessage(remembering, record, { ...input, message: decodeSignalMessage(forged) }),
    { code: 'VERIFY_DECRYPTION' },
  );
  t.ok(made.length >= 8, `${made.length} secrets were derived`);
  t.equal(made.filter((value) => value.some((byte) => byte !== 0)).length, 0, 'all are wiped');
  const opened = decryptMessage(crypto, record, { ...input, message: decodeSignalMessage(bytes) });
  const live = secretsOf(opened.state.current?.spqr.state as SpqrState);
  const archived = archiveCurrentSession(opened.state);
  t.ok(live.length > 4 && live.every((secret) => archived.consumed.includes(secret)));
  t.pass('and an archived session keeps its SPQR keys in its stored form only');
});
