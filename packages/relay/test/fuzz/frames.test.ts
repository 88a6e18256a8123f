// Seeded mutations of real frames, against a whole relay over ports: never a fault, only typed answers
// and typed closes, and the relay works afterwards. QASID_FUZZ_RUNS raises the number, QASID_MUTATION_SEED sets
// another seed.
import { encodeFrame, request, RELAY_CODES, type RequestOp } from '@qasid/protocol/envelope';
import { createLog } from '@qasid/relay';
import t from 'tap';
import { benchRelay, type FakeSocket, settle } from '../support/bench-relay.js';
import {
  deviceEntry,
  fakePrekeys,
  newDevice,
  newPerson,
  part,
  sendOp,
  signList,
} from '../support/client.js';
import { anonymous, entryFor, manyOp, newGrant, sealedOp } from '../support/sealed.js';
import { seededRandom } from '../support/random.js';

const RUNS = Number(process.env.QASID_FUZZ_RUNS ?? 20_000);
const SEED = Number(process.env.QASID_MUTATION_SEED ?? 4_711);

function mutate(next: () => number, frames: readonly Uint8Array[]): Uint8Array {
  const pick = (length: number): number => Math.floor(next() * length);
  let bytes = Uint8Array.from(frames[pick(frames.length)]!);
  for (let step = 1 + pick(4); step > 0; step--) {
    const at = pick(bytes.length + 1);
    switch (pick(6)) {
      case 0:
        bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
        break;
      case 1:
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff][pick(5)]!;
        break;
      case 2:
        bytes = bytes.slice(0, at);
        break;
      case 3:
        bytes = Uint8Array.from([...bytes.slice(0, at), ...bytes.slice(at + 1 + pick(8))]);
        break;
      case 4: {
        const other = frames[pick(frames.length)]!;
        const from = pick(other.length);
        const insert = other.slice(from, from + pick(64));
        bytes = Uint8Array.from([...bytes.slice(0, at), ...insert, ...bytes.slice(at)]);
        break;
      }
      default: {
        const varint = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1].slice(pick(10));
        bytes = Uint8Array.from([...bytes.slice(0, at), ...varint, ...bytes.slice(at)]);
      }
    }
  }
  return bytes;
}

t.test(
  `ATK-I10 ATK-I11 ATK-J05 ${RUNS} mutated frames`,
  { timeout: 60_000 + RUNS * 20 },
  async (t) => {
    const faults: string[] = [];
    const log = createLog('error', { write: (line) => void faults.push(line) });
    const bench = await benchRelay({}, { log });
    const { connect, login, register, relay } = bench;
    const [alice, bob] = [newPerson(), newPerson()];
    await register(alice, fakePrekeys(2), 'alice');
    const owner = await register(bob, fakePrekeys(2), 'bob');
    const [token, inlet] = [newGrant(), newGrant({ isInlet: true })];
    for (const { put } of [token, inlet]) await owner.ask(put);
    const tablet = newDevice(alice, 2);
    const small = fakePrekeys(1);
    const ops: RequestOp[] = [
      sendOp(bob, part(bob, new Uint8Array(40).fill(7))),
      {
        ...(sendOp(bob, part(bob, new Uint8Array(3))) as never as object),
        ephemeral: true,
      } as never,
      { kind: 'ack', through: 3, also: [5, 6] },
      { kind: 'takePrekeys', account: bob.account, devices: [1] },
      { kind: 'putPrekeys', prekeys: { oneTime: small.oneTime, kem: [] } },
      { kind: 'putDevices', devices: signList(alice, 2, [alice, tablet].map(deviceEntry)) },
      { kind: 'devices', account: bob.account },
      { kind: 'lookup', username: 'bob' },
      { kind: 'prekeyCount' },
      { kind: 'ping' },
      { kind: 'blobCreate', size: 4_000, verifier: new Uint8Array(32), days: 3 },
      { kind: 'blob', action: 'read', id: new Uint8Array(32), days: 0 },
      { kind: 'turn' },
      { kind: 'recordGet', id: new Uint8Array(32) },
      {
        kind: 'recordPut',
        id: new Uint8Array(32),
        capability: new Uint8Array(32),
        expectedVersion: 0,
        value: new Uint8Array(50),
      },
      {
        kind: 'recordDelete',
        id: new Uint8Array(32),
        capability: new Uint8Array(32),
        expectedVersion: 1,
      },
      newGrant({ expiresMinute: 40_000_000, rate: 2 }).put,
      { kind: 'listTokens' },
      { kind: 'removeToken', id: token.put.id },
      { kind: 'anonymous', version: 1 },
    ];
    const withTokens: RequestOp[] = [
      sealedOp(bob.account, token, part(bob, new Uint8Array(40).fill(7))),
      sealedOp(inlet.put.id, inlet, part(bob, new Uint8Array(3))),
      { kind: 'takePrekeys', account: bob.account, devices: [], ...token.credential },
      { kind: 'devices', account: bob.account, ...token.credential },
      manyOp([entryFor(bob), entryFor(bob, inlet.put.id)], [token.credential, inlet.credential]),
    ];
    ops.push(...withTokens);
    const seeds = ops.map((op, index) => encodeFrame([request(index + 1, op)]));
    seeds.push(encodeFrame(ops.slice(2).map((op, index) => request(index + 50, op))));
    const next = seededRandom(SEED);
    const codes = new Set<string>();
    const closes = new Map<number, number>();
    let inside = await login(alice);
    let outside: FakeSocket = await connect();
    seeds.push(encodeFrame([request(1, outside.proof(bob))]));
    seeds.push(encodeFrame([request(1, outside.registration(newPerson(), small, 'carol'))]));
    let nameless = await anonymous(bench);
    for (let run = 0; run < RUNS; run++) {
      const socket = run % 4 === 0 ? outside : run % 4 === 1 ? nameless : inside;
      socket.handler?.message(mutate(next, seeds));
      if (run % 3 === 0 || socket.closed) await settle(3);
      if (!socket.closed) continue;
      const { code: closeCode } = socket.closed;
      closes.set(closeCode, (closes.get(closeCode) ?? 0) + 1);
      for (const { code } of socket.responses.values()) codes.add(code);
      if (socket === outside) outside = await connect();
      else if (socket === nameless) nameless = await anonymous(bench);
      else inside = await login(alice);
    }
    await settle();
    for (const { code } of inside.responses.values()) codes.add(code);
    t.strictSame(faults, [], 'no fault was logged');
    for (const code of codes) t.ok(code in RELAY_CODES, code);
    for (const close of closes.keys())
      t.ok([4400, 4401, 4409, 4410, 4429].includes(close), String(close));
    t.ok(closes.has(4400) && codes.has('CONFIRMED') && codes.size > 4, [...codes].join(' '));
    const after = await login(bob);
    t.equal((await after.ask({ kind: 'ping' })).code, 'CONFIRMED', 'and the relay works');
    await relay.close();
    const closed = [...closes].map(([code, times]) => `${times} by ${code}`).sort();
    t.comment(
      `numbers: ${RUNS} mutated frames, seed ${SEED}, 0 faults, sockets closed: ${closed.join(', ')}`,
    );
  },
);
