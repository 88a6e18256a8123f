/**
 * Two devices and a bad network: seeded loss, reordering and duplicates, and hand-over of a vault from one
 * implementation to the other while messages are under way. Every delivery is checked.
 */
import { type Engine, Refused } from './engine.js';
import type { Random } from './random.js';
import { sameBytes, type Sealed, type Vault, type WireBundle } from './vault.js';

/** A device and the implementation that runs on it at the moment. */
export interface Party {
  readonly label: string;
  readonly vault: Vault;
  engine: Engine;
}

/** What the network does. */
export interface Traffic {
  /** Messages sent by both sides together. */
  readonly messages: number;
  /** Probability that a message never arrives. */
  readonly loss: number;
  /** Probability that a message arrives twice. */
  readonly duplicates: number;
  /** Most messages one side sends in a row. */
  readonly burst: number;
  /** Probability that a damaged copy arrives before the genuine message. */
  readonly tamper?: number;
  /** After this many steps a side fetches a bundle and starts a new session; 0 or absent never. */
  readonly restartEvery?: number;
  /** Hand a vault to the other implementation after this many steps; 0 never. */
  readonly handOverEvery: number;
  /** Implementations that take turns on both vaults at a hand-over. */
  readonly engines?: readonly Engine[];
}

/** What was seen. */
export interface Tally {
  sent: number;
  lost: number;
  opened: number;
  outOfOrder: number;
  duplicatesRefused: number;
  damagedRefused: number;
  restarts: number;
  prekeyMessages: number;
  handOvers: number;
  recordsReencoded: number;
  /** Highest SPQR epoch named by a message of the first and of the second party. */
  readonly epochs: [number, number];
}

interface Flight {
  readonly sealed: Sealed;
  readonly text: Uint8Array;
  readonly number: number;
  readonly repeat: boolean;
  readonly damaged: boolean;
  overtaken: number;
}

/** A message is overtaken at most this often, so it never outlives the five receiver chains kept. */
const OVERTAKEN_MAX = 3;

export function emptyTally(): Tally {
  return {
    sent: 0,
    lost: 0,
    opened: 0,
    outOfOrder: 0,
    duplicatesRefused: 0,
    damagedRefused: 0,
    restarts: 0,
    prekeyMessages: 0,
    handOvers: 0,
    recordsReencoded: 0,
    epochs: [0, 0],
  };
}

/** Everything wrong that a conversation can show ends here. */
export class Disagreement extends Error {}

/**
 * Talk until `traffic.messages` were sent and everything that is not lost was delivered.
 *
 * @param start - bundle of the other side, for a side that starts a session with its first message.
 * @throws Disagreement with the step number, which together with the seed replays the failure.
 */
export async function converse(
  random: Random,
  parties: readonly [Party, Party],
  traffic: Traffic,
  start: readonly [WireBundle | undefined, WireBundle | undefined],
  clock: { nowMs: number },
  tally: Tally = emptyTally(),
): Promise<Tally> {
  const queues: [Flight[], Flight[]] = [[], []]; // queues[i]: on the way to party i
  const highest: [number, number] = [-1, -1];
  const bundles = [...start];
  let steps = 0;
  let sent = 0;
  let bundleId = 1000;
  const canSend = (side: 0 | 1): boolean =>
    bundles[side] !== undefined ||
    parties[side].vault.session(parties[side === 0 ? 1 : 0].vault.address) !== undefined;
  const deliver = async (to: 0 | 1): Promise<void> => {
    const queue = queues[to];
    let index = random.below(Math.min(queue.length, 4));
    if ((queue[0]?.overtaken ?? 0) >= OVERTAKEN_MAX) index = 0;
    for (const passed of queue.slice(0, index)) passed.overtaken++;
    const [flight] = queue.splice(index, 1);
    if (!flight) return;
    await open(parties, to, flight, clock.nowMs, steps, tally);
    if (flight.repeat || flight.damaged) return;
    if (flight.number < highest[to]) tally.outOfOrder++;
    highest[to] = Math.max(highest[to], flight.number);
  };
  while (sent < traffic.messages) {
    steps++;
    clock.nowMs += 1 + random.below(1000);
    if (traffic.handOverEvery > 0 && steps % traffic.handOverEvery === 0) {
      handOver(parties[steps % (2 * traffic.handOverEvery) === 0 ? 0 : 1], traffic, tally);
    }
    let from = random.below(2) as 0 | 1;
    if (!canSend(from)) from = from === 0 ? 1 : 0;
    const to = from === 0 ? 1 : 0;
    if (traffic.restartEvery && steps % traffic.restartEvery === 0) {
      // Both at once every other time: sessions that cross.
      for (const side of steps % (2 * traffic.restartEvery) === 0 ? ([0, 1] as const) : [from]) {
        const peer = parties[side === 0 ? 1 : 0];
        const plan = { oneTime: random.chance(0.5), lastResort: random.chance(0.5) };
        bundles[side] = peer.engine.publish(peer.vault, bundleId++, plan, clock.nowMs);
        tally.restarts++;
      }
    }
    for (let left = 1 + random.below(traffic.burst); left > 0 && sent < traffic.messages; left--) {
      const text = random.bytes(random.below(120));
      const party = parties[from];
      const bundle = bundles[from];
      bundles[from] = undefined;
      const sealed = await party.engine.encrypt(
        party.vault,
        parties[to].vault.address,
        text,
        clock.nowMs,
        bundle,
      );
      tally.sent++;
      const number = sent++;
      if (sealed.type === 3) tally.prekeyMessages++;
      tally.epochs[from] = Math.max(tally.epochs[from], spqrEpoch(sealed));
      if (random.chance(traffic.loss)) {
        tally.lost++;
        continue;
      }
      const flight = { sealed, text, number, repeat: false, damaged: false, overtaken: 0 };
      if (sealed.type === 2 && random.chance(traffic.tamper ?? 0)) {
        const bytes = sealed.bytes.slice();
        const at = bytes.length - 1 - random.below(8);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
        queues[to].push({ ...flight, sealed: { type: 2, bytes }, damaged: true });
      }
      queues[to].push(flight);
      if (random.chance(traffic.duplicates)) queues[to].push({ ...flight, repeat: true });
    }
    for (const side of [0, 1] as const) {
      let arrivals = random.below(queues[side].length + 1);
      // A network that delays forever is loss; keep what is under way short.
      arrivals = Math.max(arrivals, queues[side].length - 6);
      for (; arrivals > 0; arrivals--) await deliver(side);
    }
  }
  for (const side of [0, 1] as const) while (queues[side].length > 0) await deliver(side);
  return tally;
}

async function open(
  parties: readonly [Party, Party],
  to: 0 | 1,
  flight: Flight,
  nowMs: number,
  step: number,
  tally: Tally,
): Promise<void> {
  const party = parties[to];
  const remote = parties[1 - to]?.vault.address;
  if (!remote) throw new Disagreement('no such party');
  const where = `step ${step}, message ${flight.number} to ${party.label} (${party.engine.kind})`;
  const checked = flight.repeat || flight.damaged;
  const before = checked ? party.vault.snapshot() : '';
  try {
    const text = await party.engine.decrypt(party.vault, remote, flight.sealed, nowMs);
    if (flight.damaged) throw new Disagreement(`${where}: opened a damaged message`);
    if (!sameBytes(text, flight.text)) throw new Disagreement(`${where}: another plaintext`);
    if (flight.repeat && seen.has(flight.sealed)) {
      throw new Disagreement(`${where}: opened twice`);
    }
    seen.add(flight.sealed);
    tally.opened++;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (checked && before !== party.vault.snapshot()) {
      throw new Disagreement(`${where}: a refused message changed the stored state`);
    }
    if (flight.damaged) {
      // The genuine message may have come first; then its counter is old.
      if (!['generic', 'duplicate'].includes(error.kind)) {
        throw new Disagreement(`${where}: damaged: ${error.message}`);
      }
      tally.damagedRefused++;
      return;
    }
    if (!seen.has(flight.sealed)) throw new Disagreement(`${where}: refused: ${error.message}`);
    if (error.kind !== 'duplicate') throw new Disagreement(`${where}: ${error.message}`);
    tally.duplicatesRefused++;
  }
}

/** Messages opened already; the second copy may overtake the first. */
const seen = new WeakSet<Sealed>();

/** Give the vault to the next implementation; both must reproduce every record byte for byte. */
function handOver(party: Party, traffic: Traffic, tally: Tally): void {
  const engines = traffic.engines ?? [];
  const next = engines[(engines.indexOf(party.engine) + 1) % engines.length];
  if (!next) return;
  for (const engine of engines) tally.recordsReencoded += checkRecords(engine, party.vault);
  party.engine = next;
  tally.handOvers++;
}

/** Decode and encode every record of a vault. @returns how many @throws Disagreement */
export function checkRecords(engine: Engine, vault: Vault): number {
  let count = 0;
  const same = (what: string, record: Uint8Array, again: Uint8Array): void => {
    count++;
    if (!sameBytes(record, again)) {
      throw new Disagreement(`${engine.kind} re-encodes a ${what} differently`);
    }
  };
  for (const r of vault.sessionRecords()) same('session record', r, engine.reencodeSession(r));
  for (const r of vault.preKeys.values()) same('prekey', r, engine.reencodePreKey(r));
  for (const r of vault.signedPreKeys.values()) {
    same('signed prekey', r, engine.reencodeSignedPreKey(r));
  }
  for (const r of vault.kemPreKeys.values()) same('KEM prekey', r, engine.reencodeKemPreKey(r));
  same('identity', vault.identityRecord, engine.reencodeIdentity(vault.identityRecord));
  return count;
}

/** Reads just enough protobuf: the last length-delimited field `wanted`. */
function bytesField(message: Uint8Array, wanted: number): Uint8Array | undefined {
  let offset = 0;
  let found: Uint8Array | undefined;
  const varint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[offset++] ?? 0;
      value += (byte & 0x7f) * factor;
      if (byte < 128) return value;
    }
  };
  while (offset < message.length) {
    const key = varint();
    const size = varint();
    if ((key & 7) !== 2) continue;
    if (key >> 3 === wanted) found = message.subarray(offset, offset + size);
    offset += size;
  }
  return found;
}

/** Epoch named in the SPQR part of a message; 0 without one. */
export function spqrEpoch(sealed: Sealed): number {
  const inner =
    sealed.type === 3 ? bytesField(sealed.bytes.subarray(1), 4) : (sealed.bytes as Uint8Array);
  const part = inner && bytesField(inner.subarray(1, inner.length - 8), 5);
  if (!part) return 0;
  let epoch = 0;
  for (let i = 1, factor = 1; i < part.length; i++, factor *= 128) {
    epoch += ((part[i] ?? 0) & 0x7f) * factor;
    if ((part[i] ?? 0) < 128) break;
  }
  return epoch;
}
