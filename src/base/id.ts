/** Branded numbers: a block's number is no value's number. */
export type Id<Name extends string> = number & { readonly __id: Name };

/** Gives a number its brand; the caller says what it counts. */
export function id<Name extends string>(value: number): Id<Name> {
  return value as Id<Name>;
}
