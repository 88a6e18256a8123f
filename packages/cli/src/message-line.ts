/**
 * One message as one piece of output: text for people, JSON for programs. Both inert (ATK-H10).
 */
import type { Message } from '@qasid/client-sdk';

import { inertBlock, inertJson, inertLine } from './inert.js';

/** The line, without its end of line. The same message always gives the same line. */
export function messageLine(message: Message, json: boolean): string {
  if (json) return inertJson(messageJson(message));
  const who = inertLine(message.sender.username ?? message.sender.account);
  return `${who}: ${inertBlock(message.text)}`;
}

function messageJson(message: Message): unknown {
  return {
    seq: message.seq,
    id: message.id,
    from: message.sender.username ?? null,
    account: message.sender.account,
    device: message.sender.device,
    text: message.text,
    sent: new Date(message.sentAtMs).toISOString(),
    received: new Date(message.receivedAtMs).toISOString(),
  };
}
