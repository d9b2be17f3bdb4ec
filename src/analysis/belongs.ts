/**
 * To whom a touched cell of an allocator's family belongs: the allocator's array, the
 * entries that it numbers, and arrays that are indexed by its indices.
 *
 * Rests on what is checked here of every touch of these objects: nothing but the
 * allocator's functions writes links; an entry's index is the fresh one of its key, whose
 * cell holds that key, and is never written otherwise. So an index that was found in an
 * entry is a live one's, and the cell, its neighbours in the list and the entry of the
 * key that it holds are of one allocator.
 *
 * One-way sound: where a touch breaks this, nothing of the family belongs to anybody.
 */
import type { Diagnostic } from "../base/index.ts";
import { printPlace } from "../base/index.ts";
import {
  BELOW,
  freshIndexAt,
  LINKS,
  type Linked,
  type Links,
} from "./linked.ts";
import type { CellSource } from "./sources.ts";
import type { Form, Symbols } from "./symbols.ts";
import { ANY_OBJECT, type Touch } from "./touch.ts";

export type OwnKind = "function" | "head" | "fresh" | "link";

export type Belonging =
  /** The core's own by construction. */
  | { readonly kind: "own"; readonly own: OwnKind }
  /** Found in the entry of `object` under `key`. */
  | {
      readonly kind: "through";
      readonly object: string;
      readonly key: readonly Form[] | undefined;
    }
  /** An index made of packet bits, or an entry whose key its cell holds. */
  | { readonly kind: "packet"; readonly cell: readonly Form[] };

export class Belongs {
  readonly #links: Links;
  readonly #symbols: Symbols;
  readonly #nameOf: (touch: Touch) => string | undefined;
  /** Arrays whose cells follow the indices of an allocator, with its array. */
  readonly indexed: ReadonlyMap<string, string>;

  constructor(
    links: Links,
    symbols: Symbols,
    material: {
      readonly touches: readonly Touch[];
      /** Name of the function that a touch is in. */
      readonly nameOf: (touch: Touch) => string | undefined;
      readonly arrays: readonly string[];
    },
  ) {
    this.#links = links;
    this.#symbols = symbols;
    this.#nameOf = material.nameOf;
    this.indexed = this.#indexedArrays(material.arrays, material.touches);
  }

  of(touch: Touch): Belonging | undefined {
    const { object } = touch;
    const linked = this.#links.withArray(object);
    if (linked !== undefined) return this.#ofCell(touch, linked);
    const entries = this.#links.withEntries(object);
    if (entries !== undefined) return this.#ofEntry(touch, entries);
    const array = this.indexed.get(object);
    return array === undefined ? undefined : this.#byIndex(touch.key, array);
  }

  /** The first touch that breaks what this rests on, per allocator. */
  broken(
    touches: readonly Touch[],
    userWrites: ReadonlySet<string>,
  ): ReadonlyMap<string, Diagnostic> {
    const found = new Map<string, Diagnostic>();
    for (const linked of this.#links.all) {
      const { array, allocator } = linked;
      const isMine = ({ object }: Touch) =>
        object === array ||
        object === allocator.entries ||
        object === ANY_OBJECT;
      const note = (text: string, at?: Touch["at"]): void => {
        found.set(array, {
          code: "allocator-otherwise",
          severity: "note",
          message: `${array} is used otherwise than as an allocator's: ${text}${at === undefined ? "" : ` (${printPlace(at)})`}`,
          ...(at === undefined ? {} : { at }),
        });
      };
      const written = [array, allocator.entries].find(
        (name) => name !== undefined && userWrites.has(name),
      );
      if (written !== undefined) note(`user space writes ${written}`);
      for (const touch of touches) {
        if (found.has(array)) break;
        if (!isMine(touch) || this.#isInside(touch, linked)) continue;
        const wrong =
          touch.object === ANY_OBJECT
            ? touch.op === "read"
              ? undefined
              : "something unknown is written"
            : touch.object === array
              ? this.#wrongCell(touch, linked)
              : this.#wrongEntry(touch, linked);
        if (wrong !== undefined) note(wrong, touch.at);
      }
    }
    return found;
  }

  #isInside(touch: Touch, { allocator }: Linked): boolean {
    const name = this.#nameOf(touch);
    return (
      name !== undefined && Object.values(allocator.functions).includes(name)
    );
  }

  #ofCell(touch: Touch, linked: Linked): Belonging | undefined {
    if (this.#isInside(touch, linked)) return { kind: "own", own: "function" };
    return this.#ofNumber(touch.key, linked);
  }

  /** By the cell's number. */
  #ofNumber(
    key: readonly Form[] | undefined,
    linked: Linked,
  ): Belonging | undefined {
    if (key === undefined || key.length !== 32) return undefined;
    if (key.every((form) => form === 0)) return { kind: "own", own: "head" };
    return this.#ofWord(key, linked, 0) ?? this.#ofPacket(key);
  }

  #byIndex(
    key: readonly Form[] | undefined,
    array: string,
  ): Belonging | undefined {
    const linked = this.#links.withArray(array);
    return key === undefined || linked === undefined
      ? undefined
      : this.#ofWord(key, linked, 1);
  }

  /** `above`: what makes it a cell's number. */
  #ofWord(
    key: readonly Form[],
    linked: Linked,
    above: 0 | 1,
  ): Belonging | undefined {
    const word = key.length === 32 ? this.#symbols.wordOf(key) : undefined;
    if (word === undefined) return undefined;
    const { sources } = this.#symbols;
    const load = sources.load(word.load);
    const plus = (word.plus + above) % (BELOW + 1);
    const cell = sources.cell(load.cell);
    if (load.kind === "fresh")
      return load.object === linked.array && plus === 0
        ? { kind: "own", own: "fresh" }
        : undefined;
    if (load.object === linked.allocator.entries)
      return load.offset === linked.indexOffset && load.size === 4 && plus === 1
        ? { kind: "through", object: load.object, key: cell.key }
        : undefined;
    const isLink = (load.offset === 8 || load.offset === 12) && load.size === 4;
    if (load.object !== linked.array || !isLink || plus !== 0) return undefined;
    return this.#isOurs(cell, linked)
      ? { kind: "own", own: "link" }
      : undefined;
  }

  #isOurs({ key }: CellSource, linked: Linked): boolean {
    const found = this.#ofNumber(key, linked);
    return found !== undefined && found.kind !== "packet";
  }

  /** A number that is some function of packet bits. */
  #ofPacket(key: readonly Form[]): Belonging | undefined {
    const isPacket = key.every((form) => {
      const reason = this.#symbols.reasonOf(form);
      return (
        reason === undefined ||
        (reason.kind === "nonlinear" && reason.from !== undefined)
      );
    });
    const isConstant = key.every((form) => form === 0 || form === 1);
    return isPacket && !isConstant ? { kind: "packet", cell: key } : undefined;
  }

  /** An entry under the key that a cell holds. */
  #ofEntry(touch: Touch, linked: Linked): Belonging | undefined {
    if (this.#isInside(touch, linked)) return { kind: "own", own: "function" };
    const cell = this.heldKey(touch.key, linked);
    if (cell === undefined) return undefined;
    const found = this.#ofNumber(cell.key, linked);
    if (found === undefined || found.kind === "packet") return found;
    return { kind: "own", own: "link" };
  }

  /** The cell whose key this is. */
  heldKey(
    key: readonly Form[] | undefined,
    { array, allocator }: Linked,
  ): CellSource | undefined {
    const { sources } = this.#symbols;
    const first = 8 * (allocator.keyOffset ?? LINKS);
    let cell: number | undefined;
    for (const [index, form] of (key ?? []).entries()) {
      const place = placeInCell(form, this.#symbols);
      if (place === undefined || place.object !== array) return undefined;
      if (place.bit !== first + index) return undefined;
      if (place.cell !== (cell ?? place.cell)) return undefined;
      cell = place.cell;
    }
    return cell === undefined ? undefined : sources.cell(cell);
  }

  /** Outside of the allocator's functions: keys into fresh cells, and look-ups. */
  #wrongCell(touch: Touch, linked: Linked): string | undefined {
    const belonging = this.#ofCell(touch, linked);
    if (touch.op === "lookup" || touch.op === "read") return undefined;
    if (touch.op !== "write") return "its cells are written";
    if (isWrittenBack(touch, this.#symbols)) return undefined;
    if (touch.callee !== undefined)
      return belonging === undefined
        ? `${touch.callee} is handed an index from elsewhere`
        : undefined;
    const isFresh = belonging?.kind === "own" && belonging.own === "fresh";
    return isFresh && touch.offset !== undefined && touch.offset >= LINKS
      ? undefined
      : "its cells are written";
  }

  #wrongEntry(touch: Touch, linked: Linked): string | undefined {
    const first = linked.indexOffset;
    switch (touch.op) {
      case "lookup":
      case "read":
      case "delete":
        return undefined;
      case "update": {
        const { value } = touch;
        const load = value && freshIndexAt(value, linked, this.#symbols);
        if (load === undefined)
          return "an entry has another index than a fresh one";
        return touch.keyed
          ? undefined
          : "the cell of an entry does not hold its key";
      }
      case "write":
      case "add": {
        const { offset, size } = touch;
        if (offset === undefined) return "an entry is written somewhere";
        if (offset + size <= first || offset >= first + 4) return undefined;
        return this.#isSameIndex(touch, linked)
          ? undefined
          : "the index of an entry is changed";
      }
      case "iterate":
      case "other":
        return "its entries are used in a way that is not followed";
    }
  }

  /** Does a store leave the index what it was? */
  #isSameIndex(touch: Touch, { indexOffset }: Linked): boolean {
    const { value, offset = 0, root } = touch;
    if (value === undefined || root < 0) return false;
    return value.every((form, index) => {
      const bit = 8 * offset + index;
      if (bit < 8 * indexOffset || bit >= 8 * indexOffset + 32) return true;
      const place = placeInCell(form, this.#symbols);
      return (
        place !== undefined &&
        place.object === touch.object &&
        place.root === root &&
        place.bit === bit
      );
    });
  }

  #indexedArrays(
    arrays: readonly string[],
    touches: readonly Touch[],
  ): ReadonlyMap<string, string> {
    const found = new Map<string, string>();
    for (const name of arrays) {
      const own = touches.filter(({ object }) => object === name);
      const linked = this.#links.all.find(
        ({ array }) =>
          own.length > 0 &&
          own.every(({ key }) => this.#byIndex(key, array) !== undefined),
      );
      if (linked !== undefined) found.set(name, linked.array);
    }
    return found;
  }
}

/** Which bit of which cell a form is, if it is one. */
export function placeInCell(
  form: Form,
  symbols: Symbols,
):
  | {
      readonly object: string;
      readonly cell: number;
      readonly root: number;
      readonly bit: number;
    }
  | undefined {
  const reason = symbols.reasonOf(form);
  if (reason?.kind !== "state" || reason.word?.plus !== 0) return undefined;
  const { kind, object, cell, root, offset } = symbols.sources.load(
    reason.word.load,
  );
  return kind === "load"
    ? { object, cell, root, bit: 8 * offset + reason.word.bit }
    : undefined;
}

/** Does a store leave what was read from there? */
export function isWrittenBack(
  { op, object, value, offset, root }: Touch,
  symbols: Symbols,
): boolean {
  if (op !== "write" || value === undefined || offset === undefined)
    return false;
  return value.every((form, index) => {
    const place = placeInCell(form, symbols);
    return (
      root >= 0 &&
      place?.object === object &&
      place.root === root &&
      place.bit === 8 * offset + index
    );
  });
}
