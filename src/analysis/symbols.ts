/**
 * Names of single bits of the input, and what can be said of one bit of a value.
 *
 * - An *atom* is one bit of the run's input: of the frame as it arrived, or of
 *   the ingress ifindex, the CPU number, the queue number. A frame bit stands at
 *   a constant distance from the frame's start (`base` 0), or at `base` +
 *   4 * IHL + byte, where the IHL is the low half of the byte at `base`.
 * - A *form* is what one bit of a value is: the XOR of some atoms and a constant,
 *   or opaque with a reason. It is a number, so that vectors of them are cheap:
 *
 *        2 * part + constant   linear; part 0 has no atoms, so 0 and 1 are the
 *                              constants
 *        -1 - reason           opaque
 *
 * Law: equal linear forms denote equal bits. Two opaque forms may be equal
 * numbers and still denote different bits, but for bits of a *word* (see sources.ts),
 * whose form names the load.
 */
import {
  isExact,
  Sources,
  type Loaded,
  type Reason,
  type WordBit,
} from "./sources.ts";

export type Form = number;
export type AtomId = number;

export interface Atom {
  readonly space: "packet" | "ifindex" | "cpu" | "queue";
  /** For packet atoms: 0, or where the header whose IHL counts begins. */
  readonly base: number;
  readonly byte: number;
  /** 0 is the most significant bit of the byte. */
  readonly bit: number;
}

const spaces: readonly Atom["space"][] = ["packet", "ifindex", "cpu", "queue"];
/** Longer sums of atoms than this are not followed. */
const MOST_ATOMS = 48;

/** Interning tables of one analysis; forms of different tables do not mix. */
export class Symbols {
  readonly #atoms: Atom[] = [];
  readonly #inputs = new Map<number, Form>();
  readonly #parts: (readonly AtomId[])[] = [[]];
  /** Per part, the set of its atoms; see sources.ts. */
  readonly #sets: number[] = [];
  readonly #partIds = new Map<string, number>([["", 0]]);
  readonly #reasons: Reason[] = [];
  readonly #reasonForms = new Map<string, Form>();
  readonly #functions = new Map<string, Map<number, Form>>();
  readonly #unknowns = new Map<string, Form>();
  readonly #words = new Map<string, readonly Form[]>();
  /** What opaque bits are made of. */
  readonly sources = new Sources((form) => this.reasonOf(form));
  /** How many indices a loaded word can name, where it is an index; see allocator.ts. */
  indices: (loaded: Loaded) => number | undefined = () => undefined;

  atom(id: AtomId): Atom {
    const atom = this.#atoms[id];
    if (atom === undefined) throw new RangeError(`no atom ${id}`);
    return atom;
  }
  /** The form that is this one atom. */
  input(space: Atom["space"], base: number, byte: number, bit: number): Form {
    // Bases and bytes lie inside a frame: 16 bits each, and the number is exact.
    const key =
      ((spaces.indexOf(space) * 65536 + base) * 65536 + byte) * 8 + bit;
    const known = this.#inputs.get(key);
    if (known !== undefined) return known;
    const atom = this.#atoms.length;
    this.#atoms.push({ space, base, byte, bit });
    const form = this.#linear([atom], 0);
    this.#inputs.set(key, form);
    return form;
  }
  /** Atoms of a linear form, ascending. */
  atoms(form: Form): readonly AtomId[] {
    return form < 0 ? [] : (this.#parts[form >> 1] ?? []);
  }
  /** The atom that the form is, up to its constant, if it is one. */
  single(form: Form): AtomId | undefined {
    if (form < 2) return undefined;
    const atoms = this.#parts[form >> 1];
    return atoms?.length === 1 ? atoms[0] : undefined;
  }
  opaque(reason: Reason): Form {
    const key = JSON.stringify(reason);
    let form = this.#reasonForms.get(key);
    if (form === undefined) {
      this.#reasons.push(reason);
      form = -this.#reasons.length;
      this.#reasonForms.set(key, form);
    }
    return form;
  }
  unknown(text: string): Form {
    let form = this.#unknowns.get(text);
    if (form === undefined)
      this.#unknowns.set(text, (form = this.opaque({ kind: "unknown", text })));
    return form;
  }
  reason(form: Form): Reason {
    return this.#reasons[-form - 1] ?? { kind: "unknown", text: "no reason" };
  }
  reasonOf(form: Form): Reason | undefined {
    return form < 0 ? this.reason(form) : undefined;
  }
  /** The low `count` bits, at most 32, of a loaded word plus a constant. */
  word(load: number, plus: number, count: number): readonly Form[] {
    const name = `${load} ${plus}`;
    let bits = this.#words.get(name);
    if (bits === undefined) {
      const { cell } = this.sources.load(load);
      const { object } = this.sources.cell(cell);
      bits = Array.from({ length: 32 }, (_, bit) => {
        const word = { load, plus, bit };
        return -this.#reasons.push({ kind: "state", object, cell, word });
      });
      this.#words.set(name, bits);
    }
    return bits.slice(0, count);
  }
  /** The loaded word whose bits these are, in order, plus a constant. */
  wordOf(bits: readonly Form[]): Omit<WordBit, "bit"> | undefined {
    let found: WordBit | undefined;
    for (const [index, form] of bits.entries()) {
      const reason = this.reasonOf(form);
      if (reason === undefined || !isExact(reason)) return undefined;
      const { word } = reason;
      found ??= word;
      if (
        word.load !== found.load ||
        word.plus !== found.plus ||
        word.bit !== index
      )
        return undefined;
    }
    return found;
  }

  xor(left: Form, right: Form): Form {
    if (left < 0 || right < 0) return this.blame([left, right], "xor");
    if (left < 2) return right ^ left;
    if (right < 2) return left ^ right;
    const constant = (left ^ right) & 1;
    if (left >> 1 === right >> 1) return constant;
    const all = new Set(this.atoms(left));
    for (const atom of this.atoms(right)) if (!all.delete(atom)) all.add(atom);
    if (all.size > MOST_ATOMS) return this.blame([left, right], "a long XOR");
    return this.#linear(
      [...all].sort((a, b) => a - b),
      constant,
    );
  }
  and(left: Form, right: Form): Form {
    if (left === 0 || right === 0) return 0;
    if (left === 1) return right;
    if (right === 1) return left;
    if (left >= 0 && right >= 0) {
      if (left === right) return left;
      if ((left ^ right) === 1) return 0;
    }
    return this.blame([left, right], "and");
  }
  or(left: Form, right: Form): Form {
    if (left === 1 || right === 1) return 1;
    if (left === 0) return right;
    if (right === 0) return left;
    if (left >= 0 && right >= 0) {
      if (left === right) return left;
      if ((left ^ right) === 1) return 1;
    }
    return this.blame([left, right], "or");
  }
  /** Carry of a full adder. */
  majority(a: Form, b: Form, c: Form): Form {
    if (a >= 0 && a === b) return a;
    if (a >= 0 && a === c) return a;
    if (b >= 0 && b === c) return b;
    // Of a bit and its opposite one is set, so the third decides.
    if (a >= 0 && (a ^ b) === 1) return c;
    if (a >= 0 && (a ^ c) === 1) return b;
    if (b >= 0 && (b ^ c) === 1) return a;
    const carry =
      a === 0
        ? this.and(b, c)
        : b === 0
          ? this.and(a, c)
          : c === 0
            ? this.and(a, b)
            : -1;
    return carry >= 0 ? carry : this.blame([a, b, c], "a sum with carries");
  }

  /**
   * What one of two forms is. Where one of them is not understood, nothing more
   * telling may hide that: it may be a part of an address.
   */
  join(left: Form, right: Form): Form {
    if (left === right) return left;
    const unknown = this.unknown("paths that disagree meet");
    const isUnknown = (form: Form) =>
      form < 0 && this.reason(form).kind === "unknown";
    if (isUnknown(left) || isUnknown(right)) return unknown;
    return this.blame([left, right, unknown], "join");
  }

  /**
   * An opaque form for what is made of these: nonlinear in the input's bits, where it
   * is made of these alone; else for the most telling reason among its sources.
   */
  blame(sources: readonly Form[], operation: string): Form {
    let best: Form | undefined;
    let from: number | undefined = 0;
    for (const form of sources) {
      if (form >= 0) {
        if (from !== undefined && form >= 2)
          from = this.sources.union(from, this.#setOf(form));
        continue;
      }
      const reason = this.reason(form);
      const more = reason.kind === "nonlinear" ? reason.from : undefined;
      from =
        from === undefined || more === undefined
          ? undefined
          : this.sources.union(from, more);
      if (best === undefined || this.#rank(form) > this.#rank(best))
        best = form;
    }
    if (from !== undefined)
      return this.#nonlinear(
        best === undefined ? operation : this.#textOf(best),
        from,
      );
    return best === undefined
      ? this.opaque({ kind: "nonlinear", text: operation })
      : this.#blurred(best);
  }

  #setOf(form: Form): number {
    const part = form >> 1;
    const known = this.#sets[part];
    return (this.#sets[part] =
      known ?? this.sources.set(this.#parts[part] ?? []));
  }
  #nonlinear(text: string, from: number): Form {
    let ofText = this.#functions.get(text);
    if (ofText === undefined)
      this.#functions.set(text, (ofText = new Map<number, Form>()));
    let form = ofText.get(from);
    if (form === undefined) {
      form = -this.#reasons.push({ kind: "nonlinear", text, from });
      ofText.set(from, form);
    }
    return form;
  }
  #textOf(form: Form): string {
    const reason = this.reason(form);
    return reason.kind === "nonlinear" ? reason.text : reason.kind;
  }
  /** Something made of this and more: no longer this bit, nor a function of those. */
  #blurred(form: Form): Form {
    const reason = this.reason(form);
    if (isExact(reason)) {
      const { kind, object, cell } = reason;
      return this.opaque({ kind, object, cell });
    }
    return reason.kind === "nonlinear" && reason.from !== undefined
      ? this.opaque({ kind: "nonlinear", text: reason.text })
      : form;
  }

  #rank(form: Form): number {
    switch (this.reason(form).kind) {
      case "state":
        return 4;
      case "environment":
        return 3;
      case "payload":
        return 2;
      case "nonlinear":
        return 1;
      case "unknown":
        return 0;
    }
  }
  #linear(atoms: readonly AtomId[], constant: number): Form {
    const key = atoms.join();
    let part = this.#partIds.get(key);
    if (part === undefined) {
      part = this.#parts.length;
      this.#parts.push(atoms);
      this.#partIds.set(key, part);
    }
    return 2 * part + constant;
  }
}
