/**
 * 13 Relay §2, §3. What a device that has proven itself may ask beside sending and receiving: which service answers.
 */
import type { RequestOp } from '@qasid/protocol/envelope';
import type { Authorised } from '../protocol/connection.js';
import { type Reply, refused } from '../protocol/replies.js';
import type { Services } from '../service/services.js';

/** The answer to one request of `who`; `UNSUPPORTED` for what nobody here answers. */
export function answerMember(
  { accounts, blobs, prekeys, tokens, turn, wakeUps }: Services,
  who: Authorised,
  op: RequestOp,
): Promise<Reply> {
  switch (op.kind) {
    case 'putToken':
      return tokens.put(who, op);
    case 'listTokens':
      return tokens.list(who);
    case 'removeToken':
      return tokens.remove(who, op.id);
    case 'takePrekeys':
      return prekeys.take(who, op);
    case 'putPrekeys':
      return prekeys.put(who, op.prekeys);
    case 'prekeyCount':
      return prekeys.count(who);
    case 'putDevices':
      return accounts.putDevices(who, op.devices);
    case 'devices':
      return accounts.devices(who, op.account);
    case 'lookup':
      return accounts.lookup(who, op.username);
    case 'putPush':
      return wakeUps.put(who, op);
    case 'pushInfo':
      return wakeUps.info();
    case 'blobCreate':
      return blobs.create(who, op);
    case 'blob':
      return blobs.answer(who, op);
    case 'turn':
      return turn.credentials(who);
    case 'setUsername':
      return accounts.setUsername(who, op.username);
    default:
      return Promise.resolve(refused('UNSUPPORTED'));
  }
}
