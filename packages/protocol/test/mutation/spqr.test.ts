/** Seeded mutation of stored SPQR states and of received SPQR messages. Spec 06 §4, §10. */
import t from 'tap';
import { concatBytes, toHex } from '#src/bytes.js';
import { nodeProvider as crypto } from '#src/crypto/node.js';
import {
  decodeSpqrState,
  encodeSpqrState,
  spqrReceive,
  spqrSend,
  type SpqrState,
} from '#src/spqr/index.js';
import { pair } from '../support/spqr.js';
import { attackTest } from './attack.js';

/** A state of every kind an orderly conversation meets, each with a message of its time. */
function record(): { states: SpqrState[]; messages: Uint8Array[] } {
  const found = new Map<string, { state: SpqrState; message: Uint8Array }>();
  // A small jump: an accepted forgery may cost that many steps.
  const { a, b } = pair(crypto, { maxJump: 64, maxOutOfOrderKeys: 20 });
  const states = [a, b];
  for (let step = 0; step < 400; step++) {
    const from = step % 2;
    const sent = spqrSend(crypto, states[from] as SpqrState);
    states[from] = sent.state;
    const to = 1 - from;
    // Every eleventh is late for ever, so that skipped keys are kept.
    if (step % 11 !== 10) {
      states[to] = spqrReceive(crypto, states[to] as SpqrState, sent.output.message).state;
    }
    for (const [side, state] of states.entries()) {
      // What the other side would say next.
      const { message } = spqrSend(crypto, states[1 - side] as SpqrState).output;
      found.set(`${state.braid?.kind}`, { state, message });
    }
  }
  const all = [...found.values()];
  return { states: all.map((one) => one.state), messages: all.map((one) => one.message) };
}

const { states, messages } = record();
t.ok(states.length >= 10, states.map((state) => state.braid?.kind).join(' '));

attackTest(t, {
  name: 'spqr state',
  corpus: [new Uint8Array(0), ...states.map((state) => encodeSpqrState(state))],
  codes: /^DECODE_SPQR_STATE$/,
  run: (input) => encodeSpqrState(decodeSpqrState(input)),
});

// A state that decodes must also work or say why not, whatever is in it.
attackTest(t, {
  name: 'spqr state in use',
  corpus: states.map((state, i) => concatBytes(new Uint8Array([i]), encodeSpqrState(state))),
  header: 1,
  share: 0.25,
  codes:
    /^(DECODE_SPQR_STATE|DECODE_SPQR_MESSAGE|VERIFY_SPQR|VERIFY_DOWNGRADE|STATE_SPQR_KEY_GONE|STATE_INVALID_SESSION|LIMIT_FORWARD_JUMPS|LIMIT_CHAIN_INDEX)$/,
  run: (input) => {
    // First byte: which message is about to arrive.
    const message = messages[(input[0] ?? 0) % messages.length] as Uint8Array;
    const { state } = spqrSend(crypto, decodeSpqrState(input.subarray(1)));
    spqrReceive(crypto, state, message);
    return undefined;
  },
});

const before = states.map((state) => toHex(encodeSpqrState(state)));
let turn = 0;
attackTest(t, {
  name: 'spqr message',
  corpus: messages,
  share: 1,
  codes:
    /^(DECODE_SPQR_MESSAGE|VERIFY_SPQR|VERIFY_DOWNGRADE|STATE_SPQR_KEY_GONE|LIMIT_FORWARD_JUMPS)$/,
  run: (input) => {
    const at = messages.findIndex((message) => toHex(message) === toHex(input));
    spqrReceive(crypto, states[at >= 0 ? at : turn++ % states.length] as SpqrState, input);
    return undefined;
  },
  unchanged: () => states.every((state, i) => toHex(encodeSpqrState(state)) === before[i]),
});
