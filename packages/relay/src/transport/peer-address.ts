/**
 * 13 Relay §8. Whose address a socket has, for rate limits: the peer's, or, behind a proxy that is trusted,
 * the one the proxy says.
 */
import { BlockList, isIP } from 'node:net';

/** From the peer's address and its `X-Forwarded-For` to the address that counts. */
export type AddressOf = (peer: string, forwardedFor: string) => string;

/**
 * Believe `X-Forwarded-For` only from `proxies` (addresses, or networks like `10.0.0.0/8`), and only as far
 * as a proxy wrote it: from the right to the first address that is no proxy. What stands left of that came
 * from the client, who may write anything there.
 */
export function trustProxies(proxies: readonly string[]): AddressOf {
  const trusted = new BlockList();
  for (const proxy of proxies) {
    const parsed = parseNetwork(proxy);
    if (parsed !== undefined) trusted.addSubnet(parsed.address, parsed.bits, parsed.family);
  }
  const isProxy = (address: string): boolean => {
    const family = isIP(address);
    return family !== 0 && trusted.check(address, family === 6 ? 'ipv6' : 'ipv4');
  };
  return (peer, forwardedFor) => {
    let address = plainAddress(peer);
    const hops = forwardedFor.split(',').map((hop) => hop.trim());
    while (isProxy(address)) {
      const next = hops.pop();
      if (next === undefined || isIP(next) === 0) break;
      address = plainAddress(next);
    }
    return address;
  };
}

/** An address or a network, or undefined. */
export function parseNetwork(
  text: string,
):
  | { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' }
  | undefined {
  const [address = '', length, ...rest] = text.split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  const bits = length === undefined ? most : Number(length);
  const isGood = family !== 0 && rest.length === 0 && length !== '';
  if (!isGood || !Number.isInteger(bits) || bits < 0 || bits > most) return undefined;
  return { address, bits, family: family === 6 ? 'ipv6' : 'ipv4' };
}

/**
 * An IPv4 peer of an IPv6 listener, as IPv4; uWebSockets.js writes all eight groups out. Without this all of
 * IPv4 would be one network, and share one budget.
 */
export function plainAddress(address: string): string {
  const text = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (text !== undefined) return text;
  const groups = /^(?:0+:){5}ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/i.exec(address);
  if (!groups) return address;
  const [high, low] = [groups[1], groups[2]].map((group) => Number.parseInt(group ?? '', 16));
  return [high, low].flatMap((word = 0) => [word >> 8, word & 0xff]).join('.');
}
