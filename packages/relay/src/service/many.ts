/**
 * 13 Relay §10.5. One message for many recipients, cut into one view per device.
 */
import {
  isFrameError,
  type ManyTarget,
  MAX_MANY_BYTES,
  MAX_MANY_PARTS,
  readSealedForMany,
  type RelayCode,
  sealedView,
  sealedViewBytes,
  type SendManyRequest,
  type SentForMany,
  toHex,
  VerificationError,
  viewClientId,
} from '@qasid/protocol/envelope';
import type { RelayCrypto } from '../crypto.js';
import { CONFIRMED, type Reply, refused } from '../protocol/replies.js';
import type { AppendPart } from '../store/port.js';

/** One recipient with the credential the sender gave for it. */
export interface ManyRecipient {
  readonly target: ManyTarget;
  readonly entry: SentForMany['recipients'][number];
}

/** A request that makes sense, or the code to refuse it with. */
export type ReadMany =
  | {
      readonly kind: 'read';
      readonly sent: SentForMany;
      readonly viewBytes: number;
      readonly recipients: readonly ManyRecipient[];
    }
  | { readonly kind: 'refused'; readonly code: RelayCode };

/** Why one recipient got nothing. */
export interface Failure {
  readonly dest: ManyTarget['dest'];
  readonly reply: Reply;
}

/**
 * Read the message and match it with the credentials: every recipient has exactly one, and no device stands
 * there twice. Makes no views: a frame of 1 MiB could become gigabytes of them.
 */
export function readMany(op: SendManyRequest): ReadMany {
  let sent: SentForMany;
  try {
    sent = readSealedForMany(op.message);
  } catch (error) {
    if (isFrameError(error) || error instanceof VerificationError) return bad('BAD_REQUEST');
    throw error;
  }
  const targets = new Map(op.targets.map((target) => [toHex(target.dest), target]));
  const isOneEach = targets.size === op.targets.length && targets.size === sent.recipients.length;
  if (!isOneEach) return bad('BAD_REQUEST');
  const recipients: ManyRecipient[] = [];
  let parts = 0;
  for (const entry of sent.recipients) {
    // Service ids of the first kind: one zero byte before the 16 of an account or inlet.
    const target = entry.serviceId[0] === 0 && targets.get(toHex(entry.serviceId.subarray(1)));
    const devices = new Set(entry.devices.map(({ deviceId }) => deviceId));
    if (!target || devices.size !== entry.devices.length) return bad('BAD_REQUEST');
    parts += devices.size;
    recipients.push({ target, entry });
  }
  const viewBytes = sealedViewBytes(sent);
  if (parts > MAX_MANY_PARTS || parts * viewBytes > MAX_MANY_BYTES) return bad('TOO_LARGE');
  return { kind: 'read', sent, viewBytes, recipients };
}

/** The parts of one recipient: the same view for each of its devices, under client ids of their own. */
export function viewsOf(
  crypto: RelayCrypto,
  op: SendManyRequest,
  sent: SentForMany,
  { target, entry }: ManyRecipient,
): readonly AppendPart[] {
  const body = sealedView(sent, entry.keyMaterial);
  return entry.devices.map(({ deviceId, registrationId }) => ({
    device: deviceId,
    registrationId,
    clientId: viewClientId(crypto, op.clientId, target.dest, deviceId),
    body,
  }));
}

/** `CONFIRMED` when everybody has it; otherwise who has not, and why. */
export function replyToMany(failures: readonly Failure[]): Reply {
  if (failures.length === 0) return CONFIRMED;
  const body = {
    kind: 'manyFailures' as const,
    failures: failures.map(({ dest, reply: { code, retryAfterMs, body } }) => ({
      dest,
      code,
      retryAfterMs,
      missing: body.kind === 'mismatch' ? body.missing : [],
      extra: body.kind === 'mismatch' ? body.extra : [],
      stale: body.kind === 'stale' ? body.devices : [],
    })),
  };
  return refused('SOME_FAILED', 0, body);
}

function bad(code: RelayCode): ReadMany {
  return { kind: 'refused', code };
}
