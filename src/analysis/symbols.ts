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
 * numbers and still denote different bits.
 */
import type { OpaqueReason } from "./report.ts";

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
  readonly #partIds = new Map<string, number>([["", 0]]);
  readonly #reasons: OpaqueReason[] = [];
  readonly #reasonForms = new Map<string, Form>();

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
  opaque(reason: OpaqueReason): Form {
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
    return this.opaque({ kind: "unknown", text });
  }
  reason(form: Form): OpaqueReason {
    return this.#reasons[-form - 1] ?? { kind: "unknown", text: "no reason" };
  }

  xor(left: Form, right: Form): Form {
    if (left < 0 || right < 0) return this.blame([left, right], "xor");
    if (left < 2) return right ^ left;
    if (right < 2) return left ^ right;
    const constant = (left ^ right) & 1;
    if (left >> 1 === right >> 1) return constant;
    const all = new Set(this.atoms(left));
    for (const atom of this.atoms(right)) if (!all.delete(atom)) all.add(atom);
    if (all.size > MOST_ATOMS)
      return this.opaque({ kind: "nonlinear", text: "a long XOR" });
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

  /** An opaque form that names the most telling reason among its sources. */
  blame(sources: readonly Form[], operation: string): Form {
    let best: Form | undefined;
    for (const form of sources)
      if (
        form < 0 &&
        (best === undefined || this.#rank(form) > this.#rank(best))
      )
        best = form;
    return best ?? this.opaque({ kind: "nonlinear", text: operation });
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
