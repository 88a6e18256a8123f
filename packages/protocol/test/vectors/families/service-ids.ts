/** misc/service-ids.json: service ids in text and bytes, addresses, order. */
import { samePublicBytes, toHex } from '#src/bytes.js';
import { QasidError } from '#src/errors.js';
import {
  decodeFixedServiceId,
  decodeServiceId,
  encodeFixedServiceId,
  encodeServiceId,
  parseServiceId,
  type ServiceId,
  serviceIdBytes,
  serviceIdText,
} from '#src/service-id.js';
import { addressText, toAddress } from '#src/types.js';
import { hex, type Result } from '../../support/hex.js';

interface Parsed {
  kind: string;
  string: string;
  binary: string;
  fixed: string;
}

interface File {
  parseString: { input: string; ok?: Parsed; error?: string }[];
  parseBinary: { input: string; ok?: string; error?: string }[];
  parseFixed: { input: string; ok?: string; error?: string }[];
  addresses: {
    name: string;
    deviceId: number;
    ok?: { text: string; serviceId: string | null };
    error?: string;
  }[];
  sorted: string[];
}

export const files = ['misc/service-ids.json'];

export function* check(json: unknown): Iterable<Result> {
  const file = json as File;
  for (const v of file.parseString) {
    const got = outcome(() => describe(parseServiceId(v.input)), 'DECODE_SERVICE_ID');
    const expected = v.ok && `${v.ok.kind} ${v.ok.string} ${v.ok.binary} ${v.ok.fixed}`;
    yield { name: `text "${v.input}"`, ok: got === (expected ?? 'refused'), detail: got };
    const again = v.ok && decodeServiceId(hex(v.ok.binary));
    if (again) yield { name: `text "${v.input}" again`, ok: describe(again) === expected };
  }
  for (const v of file.parseBinary) {
    const run = () => serviceIdText(decodeServiceId(hex(v.input)));
    yield {
      name: `binary ${v.input}`,
      ok: outcome(run, 'DECODE_SERVICE_ID') === (v.ok ?? 'refused'),
    };
  }
  for (const v of file.parseFixed) {
    const run = () => serviceIdText(decodeFixedServiceId(hex(v.input)));
    yield {
      name: `fixed ${v.input}`,
      ok: outcome(run, 'DECODE_SERVICE_ID') === (v.ok ?? 'refused'),
    };
  }
  for (const v of file.addresses) {
    const run = () => addressText(toAddress(v.name, v.deviceId));
    const got = outcome(run, 'USAGE_RANGE');
    yield { name: `address ${v.name}.${v.deviceId}`, ok: got === (v.ok?.text ?? 'refused') };
    if (v.ok === undefined) continue;
    const named = serviceIdBytes(v.name);
    const text = named === undefined ? null : serviceIdText(decodeFixedServiceId(named));
    yield { name: `address ${v.name}: service id`, ok: text === v.ok.serviceId };
  }
  const fixed = file.sorted.map((text) => encodeFixedServiceId(parseServiceId(text)));
  for (const [i, bytes] of fixed.entries()) {
    const before = fixed[i - 1];
    const rises =
      before === undefined || (toHex(before) < toHex(bytes) && !samePublicBytes(before, bytes));
    yield { name: `order ${i}`, ok: rises };
  }
}

function describe(id: ServiceId): string {
  const kind = id.kind === 'account' ? 'ACI' : 'PNI';
  const forms = [toHex(encodeServiceId(id)), toHex(encodeFixedServiceId(id))];
  return `${kind} ${serviceIdText(id)} ${forms.join(' ')}`;
}

function outcome(run: () => string, code: string): string {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof QasidError) || error.code !== code) throw error;
    return 'refused';
  }
}
