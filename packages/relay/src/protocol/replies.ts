/**
 * 13 Relay §4. Answers, and what ends a socket.
 */
import {
  CLOSE_CODES,
  type CloseReason,
  NO_BODY,
  type RelayCode,
  type ResponseBody,
  type ResponseItem,
} from '@qasid/protocol/envelope';

/** What a service says to a request, before it has the request's number. */
export interface Reply {
  readonly code: RelayCode;
  readonly retryAfterMs: number;
  readonly body: ResponseBody;
}

/** Done, and durable when something was written. */
export const CONFIRMED: Reply = { code: 'CONFIRMED', retryAfterMs: 0, body: NO_BODY };

/** Done, with something to tell. */
export function confirmed(body: ResponseBody): Reply {
  return { code: 'CONFIRMED', retryAfterMs: 0, body };
}

/** Not done. */
export function refused(code: RelayCode, retryAfterMs = 0, body: ResponseBody = NO_BODY): Reply {
  return { code, retryAfterMs, body };
}

/** How much work an answer asks for: the challenge that follows it is for that. */
export function workDemanded({ body }: Reply): number {
  return body.kind === 'work' ? body.bits : 0;
}

/** The answer as an item. */
export function toResponse(id: number, reply: Reply): ResponseItem {
  return { kind: 'response', id, ...reply };
}

/** Number and text of a WebSocket close frame. */
export function closeFrame(reason: CloseReason): { readonly code: number; readonly text: string } {
  return { code: CLOSE_CODES[reason], text: reason };
}
