/**
 * 13 Relay §1. Why listening failed, in words an operator can act on.
 */
import { RelayError } from '../errors.js';

/** The RelayError for an operating system code such as `EADDRINUSE`. */
export function listenError(code: string, host: string, port: number, cause?: unknown): RelayError {
  const options = cause === undefined ? {} : { cause };
  if (code === 'EADDRINUSE') {
    return new RelayError(
      'RELAY_ADDRESS_IN_USE',
      `port ${port} is in use`,
      'choose another port, or stop the program that uses it',
      options,
    );
  }
  return new RelayError(
    'RELAY_ADDRESS',
    `cannot listen on ${host} port ${port} (${code})`,
    'use an address of this machine and a port its user may open',
    options,
  );
}
