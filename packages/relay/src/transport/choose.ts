/**
 * 13 Relay §1. Which transport: uWebSockets.js where its binary loads, `ws` everywhere else.
 */
import { RelayError } from '../errors.js';
import type { Transport } from './port.js';

/** The transport that was asked for, and whether it is only the second choice. */
export async function chooseTransport(
  wanted: 'auto' | 'uws' | 'ws',
): Promise<{ readonly transport: Transport; readonly isFallback: boolean }> {
  if (wanted !== 'ws') {
    try {
      const { loadUwsTransport } = await import('./uws.js');
      return { transport: await loadUwsTransport(), isFallback: false };
    } catch (cause) {
      if (wanted === 'uws') {
        throw new RelayError(
          'RELAY_TRANSPORT',
          'uWebSockets.js does not load on this machine',
          'use the transport `ws`, or a Node and C library its binary was made for',
          { cause },
        );
      }
    }
  }
  const { wsTransport } = await import('./ws.js');
  return { transport: wsTransport, isFallback: wanted === 'auto' };
}
