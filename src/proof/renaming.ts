/**
 * Indices that two runs of one program handed out: which of one is which of the other.
 *
 * An index lives from its allocation until the next one. At any time the indices in
 * use correspond one to one; a pair stands until either side is handed out again. So
 * over a whole run the incarnations of indices correspond one to one, which is what
 * "equal up to one renaming" means where indices are used again.
 *
 * In frames an index shows as a 16-bit word that moves with it (a NAT's port) and the
 * checksum over it: one word differs by the difference of the indices, another one at
 * most balances the sum (RFC 1624), and no other word differs.
 */

export class Renaming {
  /** Where in the values of entries the index may stand: offsets that were always right. */
  #places: readonly number[] | undefined;
  readonly #there = new Map<number, number>();
  readonly #back = new Map<number, number>();
  readonly #known = {
    one: new Set<number>(),
    other: new Set<number>(),
  } as const;
  /** Indices of either side that were handed out more than once. */
  readonly reused = {
    one: new Set<number>(),
    other: new Set<number>(),
  } as const;

  /** What both runs handed out for one packet; undefined where one had nothing left. */
  pair(one: number | undefined, other: number | undefined): void {
    if (one !== undefined) {
      if (this.#known.one.has(one)) this.reused.one.add(one);
      this.#known.one.add(one);
      const before = this.#there.get(one);
      if (before !== undefined) this.#back.delete(before);
      this.#there.delete(one);
    }
    if (other !== undefined) {
      if (this.#known.other.has(other)) this.reused.other.add(other);
      this.#known.other.add(other);
      const before = this.#back.get(other);
      if (before !== undefined) this.#there.delete(before);
      this.#back.delete(other);
    }
    if (one === undefined || other === undefined) return;
    this.#there.set(one, other);
    this.#back.set(other, one);
  }

  /** An entry's value, and the index that it must hold somewhere. */
  learn(value: Uint8Array, index: number): void {
    this.#places ??= Array.from(
      { length: value.length >> 2 },
      (_, at) => 4 * at,
    );
    this.#places = this.#places.filter((at) => wordOf(value, at) === index);
  }
  /** The index in an entry's value; undefined where its place is not known. */
  indexIn(value: Uint8Array): number | undefined {
    const at = this.#places?.at(-1);
    return at === undefined ? undefined : wordOf(value, at);
  }
  /** The value without what may be the index. */
  without(value: Uint8Array): Uint8Array {
    const copy = value.slice();
    for (const at of this.#places ?? []) copy.fill(0, at, at + 4);
    return copy;
  }

  /** What `one` is called in the other run. */
  get(one: number): number | undefined {
    return this.#there.get(one);
  }
  /** What `other` is called in the first run. */
  back(other: number): number | undefined {
    return this.#back.get(other);
  }
}

function wordOf(value: Uint8Array, at: number): number {
  return new DataView(value.buffer, value.byteOffset).getUint32(at, true);
}

const word = (bytes: Uint8Array, at: number): number =>
  ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);

/**
 * Equal but for one word that moves by one of `shifts` (differences of indices modulo
 * 2^16) and the word that balances it; words that went in different may come out so.
 */
export function sameFrame(
  one: Uint8Array,
  other: Uint8Array,
  shifts: ReadonlySet<number>,
  given?: { readonly one: Uint8Array; readonly other: Uint8Array },
): boolean {
  if (one.length !== other.length) return false;
  const places: number[] = [];
  for (let at = 0; at < one.length; at += 2)
    if (word(one, at) !== word(other, at) && !isGiven(at)) {
      places.push(at);
      if (places.length > 2) return false;
    }
  if (places.length === 0) return true;
  // Two names of zero: the words of a sum that was added to in another order.
  const [only = 0] = places;
  if (places.length === 1 && word(one, only) + word(other, only) === 0xffff)
    return word(one, only) === 0 || word(other, only) === 0;
  return places.some(
    (at) =>
      shifts.has((word(other, at) - word(one, at)) & 0xffff) &&
      (places.length === 1 || balanced(one, other, places)),
  );

  function isGiven(at: number): boolean {
    return (
      given !== undefined &&
      word(given.one, at) === word(one, at) &&
      word(given.other, at) === word(other, at)
    );
  }
}

/** Do both words together count the same for the sum of the Internet checksum? */
function balanced(
  one: Uint8Array,
  other: Uint8Array,
  places: readonly number[],
): boolean {
  const sum = (bytes: Uint8Array): number =>
    places.reduce((all, at) => all + word(bytes, at), 0) % 0xffff;
  return sum(one) === sum(other);
}
