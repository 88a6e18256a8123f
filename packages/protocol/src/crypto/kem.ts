/** 01 Primitives. The KEM part of the portable provider. */
import { InternalError } from '../errors.js';
import type { CryptoProvider } from './provider.js';

function absent(): never {
  throw new InternalError('INTERNAL_INVARIANT', 'the KEM has not landed yet');
}

/** The KEM functions of {@link CryptoProvider}. */
export type KemFunctions = Pick<
  CryptoProvider,
  | 'kyber1024KeyPair'
  | 'kyber1024Encapsulate'
  | 'kyber1024Decapsulate'
  | 'mlkem768KeyPair'
  | 'mlkem768Encapsulate1'
  | 'mlkem768Encapsulate2'
  | 'mlkem768Decapsulate'
  | 'mlkem768CheckEkVector'
>;

/** Nothing yet. */
export const nobleKem: KemFunctions = {
  kyber1024KeyPair: absent,
  kyber1024Encapsulate: absent,
  kyber1024Decapsulate: absent,
  mlkem768KeyPair: absent,
  mlkem768Encapsulate1: absent,
  mlkem768Encapsulate2: absent,
  mlkem768Decapsulate: absent,
  mlkem768CheckEkVector: absent,
};
