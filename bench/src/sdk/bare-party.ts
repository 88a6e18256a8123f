/**
 * What the same conversation costs without an SDK: a relay socket, a SQLite file and, for `libsignal`, the
 * sessions of libsignal-client. Every message is one forced commit on each side, as in the SDK. There is no
 * search index, no receipt, no repair, no device list, no sealed sender, no second process.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { decodeEnvelope, encodeEnvelope, ENVELOPE_BUCKETS } from '@qasid/protocol/envelope';
import { logIn } from '../relay/people.js';
import type { QasidSocket } from '../relay/qasid-socket.js';
import { LibsignalSessions, plainSessions, type Sessions } from './bare-sessions.js';
import type { Address, Party, PartyOptions } from './party.js';
import { openDatabase, type Database } from './driver.js';

/** As the SDK acknowledges. */
const ACK_EVERY = 64;
const ACK_AFTER_MS = 50;

/** Sends without an answer at a time, well within what the relay allows a client. */
const IN_FLIGHT_MAX = 64;

const SCHEMA = `
  CREATE TABLE message (id INTEGER PRIMARY KEY, received INTEGER UNIQUE, text BLOB NOT NULL, at INTEGER NOT NULL);
  CREATE TABLE outbox (id INTEGER PRIMARY KEY, body BLOB NOT NULL);
  CREATE TABLE session (name TEXT PRIMARY KEY, record BLOB NOT NULL);
`;

/** Text in and out, through a relay and a file. */
export class BareParty implements Party {
  readonly #options: PartyOptions;
  readonly #database: Database;
  readonly #sessions: Sessions;
  #socket!: QasidSocket;
  #to: Address['device'];
  onText: (text: string) => void = () => undefined;
  #nextId = 1;
  readonly #waiting = new Map<number, () => void>();
  #slotFree: (() => void) | undefined;
  #sending: Promise<unknown> = Promise.resolve();
  #receiving: Promise<unknown> = Promise.resolve();
  #through = 0;
  #unacknowledged = 0;
  #ackTimer: NodeJS.Timeout | undefined;

  private constructor(options: PartyOptions) {
    this.#options = options;
    mkdirSync(options.directory, { recursive: true });
    this.#database = openDatabase(join(options.directory, 'bare.db'));
    this.#database.pragma('journal_mode = WAL');
    this.#database.pragma('synchronous = FULL');
    this.#database.exec(SCHEMA);
    this.#sessions =
      options.kind === 'libsignal' ? new LibsignalSessions(options.username) : plainSessions;
  }

  static async start(options: PartyOptions): Promise<BareParty> {
    const party = new BareParty(options);
    await party.online();
    return party;
  }

  async address(): Promise<Address> {
    const { username, device } = this.#options;
    const { account, registrationId } = device!;
    const bundle = await this.#sessions.publish();
    return {
      username,
      device: { account, device: 1, registrationId },
      ...(bundle && { bundle }),
    };
  }

  async meet(other: Address): Promise<void> {
    this.#to = other.device;
    await this.#sessions.meet(other.username, other.bundle);
  }

  send(text: string): Promise<{ readonly confirmed: Promise<void> }> {
    // A session is one thing: its messages are encrypted one after the other.
    const sent = this.#sending.then(() => this.#send(text));
    this.#sending = sent;
    return sent;
  }

  async offline(): Promise<void> {
    await this.#sending;
    await this.#receiving;
    this.#acknowledge();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await this.#socket.close();
  }

  async online(): Promise<void> {
    this.#socket = await logIn(this.#options.port, this.#options.device!, (socket) => {
      socket.isSilent = true;
      socket.onAnswer = (id, code) => this.#answered(id, code);
      socket.onDeliver = (seq, body) => {
        const copy = new Uint8Array(body);
        this.#receiving = this.#receiving.then(() => this.#receive(seq, copy));
      };
    });
  }

  async close(): Promise<void> {
    await this.offline();
    this.#database.close();
  }

  async #send(text: string): Promise<{ readonly confirmed: Promise<void> }> {
    while (this.#waiting.size >= IN_FLIGHT_MAX) {
      await new Promise<void>((resolve) => {
        this.#slotFree = resolve;
      });
    }
    const plain = Buffer.from(text);
    const { type, message, record } = await this.#sessions.encrypt(plain);
    const { account, device } = this.#options.device!;
    const body = encodeEnvelope(
      { type, senderAccount: account, senderDevice: device, message },
      ENVELOPE_BUCKETS,
    );
    const id = this.#nextId++;
    // Committed before the ciphertext leaves: a crash must not use a key twice.
    this.#transaction(() => {
      this.#run('INSERT INTO message VALUES (NULL, NULL, ?, ?)', plain, Date.now());
      this.#run('INSERT INTO outbox VALUES (?, ?)', id, body);
      this.#saveSession(record);
    });
    const confirmed = new Promise<void>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(id, { account: this.#to!.account, devices: [this.#to!] }, body);
    return { confirmed };
  }

  #answered(id: number, code: number): void {
    if (code !== 1) throw new Error(`the relay answered a send with code ${code}`);
    // As in the SDK: not forced, the next commit takes it along.
    this.#database.pragma('synchronous = NORMAL');
    this.#run('DELETE FROM outbox WHERE id = ?', id);
    this.#database.pragma('synchronous = FULL');
    this.#waiting.get(id)?.();
    this.#waiting.delete(id);
    this.#slotFree?.();
  }

  async #receive(seq: number, body: Uint8Array): Promise<void> {
    const { type, message } = decodeEnvelope(body);
    const { plain, record } = await this.#sessions.decrypt(type, message);
    this.#transaction(() => {
      this.#run('INSERT INTO message VALUES (NULL, ?, ?, ?)', seq, plain, Date.now());
      this.#saveSession(record);
    });
    this.onText(Buffer.from(plain).toString());
    this.#through = seq;
    if (++this.#unacknowledged >= ACK_EVERY) this.#acknowledge();
    else this.#ackTimer ??= setTimeout(() => this.#acknowledge(), ACK_AFTER_MS);
  }

  #acknowledge(): void {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = undefined;
    if (this.#unacknowledged === 0) return;
    this.#unacknowledged = 0;
    this.#socket.ack(this.#through);
  }

  #saveSession(record: Uint8Array | undefined): void {
    if (record === undefined) return;
    const sql =
      'INSERT INTO session VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET record = excluded.record';
    this.#run(sql, 'peer', record);
  }

  #transaction(work: () => void): void {
    this.#run('BEGIN IMMEDIATE');
    work();
    this.#run('COMMIT');
  }

  readonly #statements = new Map<string, ReturnType<Database['prepare']>>();

  #run(sql: string, ...values: unknown[]): void {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    statement.run(...values);
  }
}
