/**
 * Who watches over the post-quantum ratchet: says so when it has not advanced for many messages.
 *
 * Nothing is stored: the count is in the session itself, so that it survives restarts and is the same for
 * every process of a profile. Only what was told already is kept here, for stalled sessions alone.
 * ATK-C10. Spec: 06 §13, 08 §8.
 */
import {
  addressText,
  POST_QUANTUM_STALLED_MESSAGES,
  type Address,
  type Operations,
  type PostQuantumProgress,
} from '@qasid/protocol';

import type { Stalled } from './api.js';

/** Looks at sessions after they were used, and tells of each stall once per limit. */
export class StallWatch {
  readonly #operations: Pick<Operations, 'sessionInfo'>;
  readonly #tell: (stalled: Stalled) => void;
  readonly #every: number;
  /** How many times the limit has been told, by address; gone when the ratchet advances. */
  readonly #told = new Map<string, { readonly epoch: number; readonly times: number }>();

  constructor(
    operations: Pick<Operations, 'sessionInfo'>,
    tell: (stalled: Stalled) => void,
    every: number = POST_QUANTUM_STALLED_MESSAGES,
  ) {
    this.#operations = operations;
    this.#tell = tell;
    this.#every = every;
  }

  /** The session with `remote` has opened a message. Never rejects: its next use reports what is wrong. */
  async opened(remote: Address): Promise<void> {
    const session = await this.#operations.sessionInfo(remote).catch(() => undefined);
    this.look(remote, session?.postQuantum);
  }

  /** `progress` of the session with `remote` was read; `undefined` when it has none. */
  look(remote: Address, progress: PostQuantumProgress | undefined): void {
    const key = addressText(remote);
    const { epoch = 0, messagesSinceEpoch = 0, sent = 0, received = 0 } = progress ?? {};
    const times = Math.floor(messagesSinceEpoch / this.#every);
    if (times === 0) {
      this.#told.delete(key);
      return;
    }
    const told = this.#told.get(key);
    if (told !== undefined && told.epoch === epoch && told.times >= times) return;
    this.#told.set(key, { epoch, times });
    const { name: account, deviceId: device } = remote;
    this.#tell({ account, device, epoch, messages: messagesSinceEpoch, sent, received });
  }
}
