/// <reference lib="webworker" />
// The SDK in a Web Worker: it enters, and answers everything it gets.
import { QasidClient } from '../../../dist/index.js';
import type { Entry } from './tabs.js';

self.onmessage = async ({ data }: { readonly data: Entry }) => {
  try {
    const client = await QasidClient.open(data);
    client.on('message', (message) => {
      void client.send(message.peer, `the worker heard: ${message.text}`);
    });
    await client.register({ username: data.profile });
    self.postMessage(client.me.account);
  } catch (error) {
    self.postMessage(String((error as { readonly code?: unknown }).code ?? error));
  }
};
