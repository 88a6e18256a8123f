/** The same history in tables that a program without secrets would have. */
import { defaultCrypto } from '@qasid/protocol';
import { type Database, openDatabase } from './driver.js';
import { AT_ONCE, CONVERSATIONS } from './history-fill.js';
import { dice, rank, sentence } from './words.js';

const SCHEMA = `
  CREATE TABLE conversation (id INTEGER PRIMARY KEY, name TEXT NOT NULL, unread INTEGER NOT NULL, last INTEGER NOT NULL);
  CREATE TABLE message (seq INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, sent INTEGER NOT NULL,
    id BLOB UNIQUE, text TEXT NOT NULL, at INTEGER NOT NULL);
  CREATE INDEX message_conversation ON message (conversation, seq);
  CREATE VIRTUAL TABLE words USING fts5(text, content='message', content_rowid='seq', tokenize='unicode61 remove_diacritics 2');
`;

/** The same texts, as plain rows with a full-text index. */
export class PlainHistory {
  readonly database: Database;
  readonly #random = dice(1);
  #seq = 0;

  constructor(file: string) {
    this.database = openDatabase(file);
    this.database.pragma('journal_mode = WAL');
    this.database.pragma('synchronous = FULL');
    this.database.exec(SCHEMA);
    const insert = this.database.prepare('INSERT INTO conversation VALUES (?, ?, 0, 0)');
    for (let id = 0; id < CONVERSATIONS; id++) insert.run(id, `person-${id}`);
  }

  fill(count: number): void {
    for (let left = count; left > 0; left -= AT_ONCE) this.write(Math.min(left, AT_ONCE));
  }

  write(count: number): void {
    const { database } = this;
    database.exec('BEGIN IMMEDIATE');
    const add = database.prepare('INSERT INTO message VALUES (?, ?, ?, ?, ?, ?)');
    const index = database.prepare('INSERT INTO words (rowid, text) VALUES (?, ?)');
    const touch = database.prepare(
      'UPDATE conversation SET unread = unread + ?, last = ? WHERE id = ?',
    );
    for (let done = 0; done < count; done++) {
      const conversation = rank(this.#random(), CONVERSATIONS);
      const sent = this.#random() < 0.5 ? 0 : 1;
      const text = sentence(this.#random);
      const seq = ++this.#seq;
      add.run(seq, conversation, sent, defaultCrypto.randomBytes(16), text, Date.now());
      index.run(seq, text);
      touch.run(1 - sent, Date.now(), conversation);
    }
    database.exec('COMMIT');
  }
}
