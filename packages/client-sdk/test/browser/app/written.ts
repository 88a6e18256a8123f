/// <reference lib="dom" />
// The code of issue 5 in a page.
import { asWritten, firstOf } from '../../support/as-written.js';

declare global {
  interface Window {
    rendered: string[];
    /** Resolves with the digits of the safety number. */
    write(relay: string): Promise<string>;
    /** Resolves with the first message that comes to `for await`. */
    first: Promise<string> | undefined;
  }
}

window.rendered = [];
window.write = async (relay) => {
  const { alice, n } = await asWritten({
    relay,
    passphrase: 'correct horse battery staple',
    render: (sender, text) => window.rendered.push(`${sender.username}: ${text}`),
  });
  window.first = firstOf(alice);
  return n.digits;
};
