/**
 * One upload under way, for whoever waits for it.
 */
import type { SentMessage } from '../api.js';

/** A message whose documents are on their way. */
export class Upload {
  /** Id that the message will have, 32 hex digits. */
  readonly id: string;
  /**
   * Resolves when all documents are at the relay and the message is in the outbox. Rejects with LimitError
   * `LIMIT_FILE_SIZE`, `LIMIT_QUOTA`; DocumentError; NetworkError `NET_REFUSED`, `NET_CLOSED`; StoreError; what
   * reading a file throws; and as `QasidClient.send`. After every error but `DOCUMENT_CANCELLED` the upload is kept:
   * `documents.resume` goes on with it, `documents.cancel` gives it up. Without network it waits.
   */
  readonly sent: Promise<SentMessage>;
  /** Resolves when nothing is done for it any more. For the SDK. */
  readonly settled: Promise<void>;
  readonly #control = new AbortController();
  readonly #cancel: () => Promise<void>;
  #resolve: (sent: SentMessage) => void = () => undefined;
  #reject: (error: unknown) => void = () => undefined;
  #end: () => void = () => undefined;

  /** Made by `Conversation.upload` and `Documents.resume`. */
  constructor(id: string, cancel: () => Promise<void>) {
    this.id = id;
    this.#cancel = cancel;
    this.sent = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.settled = new Promise((resolve) => {
      this.#end = resolve;
    });
    // Nobody has to wait for it.
    this.sent.catch(() => undefined);
  }

  /** Give it up: what is at the relay is deleted. After the message was sent this does nothing. */
  cancel(): Promise<void> {
    return this.#cancel();
  }

  /** Aborted when it is to stop. For the SDK. */
  get signal(): AbortSignal {
    return this.#control.signal;
  }

  /** For the SDK. */
  stop(reason: Error): void {
    this.#control.abort(reason);
  }

  /** Settle with `work`. For the SDK. */
  follow(work: Promise<SentMessage>, ended: () => void): void {
    work
      .finally(ended)
      .then(this.#resolve, this.#reject)
      .finally(() => this.#end());
  }
}
