/**
 * 00 Conventions. Nominal types: two values of the same shape that must not be mixed up.
 *
 * The only way to make a branded value is the checking constructor in types.ts.
 */
declare const brand: unique symbol;

/** `Base` that has passed the check named `Name`. Costs nothing at run time. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };
