/**
 * 13 Relay §8. The port to whatever wakes a device: a knock without a word. ATK-D09
 *
 * An adapter learns where to knock and nothing else: not who wrote, not how much, not for which account.
 */

/** Where a device is woken: what it gave the relay. */
export type PushTarget =
  | { readonly kind: 'endpoint'; readonly endpoint: string }
  | { readonly kind: 'handle'; readonly handle: Uint8Array };

/** What became of a wake-up. `gone`: the target will never work again, forget it. */
export type WakeOutcome = 'sent' | 'failed' | 'gone';

/** One way to wake devices. */
export interface Push {
  /** Whether this adapter may be asked to knock there. */
  accepts(target: PushTarget): boolean;
  /** Knock. Never rejects; every knock is the same. */
  wake(target: PushTarget): Promise<WakeOutcome>;
}
