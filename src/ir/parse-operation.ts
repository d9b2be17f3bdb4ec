/** Instructions and terminators of the text form; see print.ts for their words. */
import { id } from "../base/index.ts";
import type { AtomicOp, BranchOp, Callee, Size, Width } from "../isa/index.ts";
import type {
  BinaryOp,
  Edge,
  IrInstruction,
  Terminator,
  UnaryOp,
  ValueId,
} from "./program.ts";
import type { Scanner } from "./scanner.ts";

type Bare<T> = T extends unknown ? Omit<T, "at" | "result"> : never;
export type Operation = Bare<IrInstruction>;

// Sets of words that the types check for completeness.
const binaryOps: Readonly<Record<BinaryOp, true>> = {
  add: true,
  sub: true,
  mul: true,
  div: true,
  sdiv: true,
  mod: true,
  smod: true,
  or: true,
  and: true,
  xor: true,
  lsh: true,
  rsh: true,
  arsh: true,
};
const unaryOps: Readonly<Record<UnaryOp, true>> = {
  neg32: true,
  neg64: true,
  zext8: true,
  zext16: true,
  zext32: true,
  sext8: true,
  sext16: true,
  sext32: true,
  swap16: true,
  swap32: true,
  swap64: true,
};
const branchOps: Readonly<Record<BranchOp, true>> = {
  jeq: true,
  jne: true,
  jgt: true,
  jge: true,
  jlt: true,
  jle: true,
  jsgt: true,
  jsge: true,
  jslt: true,
  jsle: true,
  jset: true,
};
const atomicOps: Readonly<Record<AtomicOp, true>> = {
  add: true,
  or: true,
  and: true,
  xor: true,
  xchg: true,
  cmpxchg: true,
};

function oneOf<Word extends string>(
  words: Readonly<Record<Word, true>>,
  word: string,
): word is Word {
  return Object.hasOwn(words, word);
}

/** An operation; `hasResult` says whether `v1 =` stood before it. */
export function parseOperation(line: Scanner, hasResult: boolean): Operation {
  const word = line.word("an instruction");
  const store = /^store([1248])$/.exec(word);
  if ((store !== null) === hasResult)
    return line.fail(hasResult ? "an instruction with result" : "a store");
  if (store !== null) {
    const size = Number(store[1]) as Size;
    const where = parseAddress(line);
    line.expect(",");
    const value = parseValue(line);
    const release = line.accept("release") ? { release: true as const } : {};
    return { kind: "store", ...where, size, value, ...release };
  }
  if (oneOf(unaryOps, word))
    return { kind: "unary", op: word, value: parseValue(line) };
  const sized = /^([a-z-]+?)(1|2|4|8|32|64)$/.exec(word);
  if (sized !== null) return parseSized(line, sized[1] ?? "", Number(sized[2]));
  switch (word) {
    case "const":
      return { kind: word, value: BigInt.asUintN(64, line.big()) };
    case "map":
      return { kind: word, map: line.string() };
    case "map-value": {
      const map = line.string();
      return { kind: word, map, offset: line.known() };
    }
    case "function":
    case "kernel-symbol":
      return { kind: word, name: line.string() };
    case "slot": {
      const slot = id<"s">(line.name("s"));
      return { kind: word, slot, offset: line.known() };
    }
    case "extract": {
      const value = parseValue(line);
      line.expect(",");
      const start = line.integer();
      line.expect(",");
      return { kind: word, value, start, size: line.integer() };
    }
    case "concat": {
      const parts: { value: ValueId; size: number }[] = [];
      do {
        const value = parseValue(line);
        line.expect(":");
        parts.push({ value, size: line.integer() });
      } while (line.accept(","));
      return { kind: word, parts };
    }
    case "undefined":
      return { kind: word };
    case "call": {
      const callee = parseCallee(line);
      line.expect("(");
      return {
        kind: word,
        callee,
        args: line.list(")", () => parseValue(line)),
      };
    }
    case "address-cast": {
      const value = parseValue(line);
      line.expect(",");
      return { kind: word, value, spaces: line.integer() };
    }
    default:
      return line.fail("an instruction");
  }
}

/** Words that end in a size or width. */
function parseSized(line: Scanner, word: string, size: number): Operation {
  if (oneOf(binaryOps, word) && (size === 32 || size === 64)) {
    const left = parseValue(line);
    line.expect(",");
    return {
      kind: "binary",
      op: word,
      width: size,
      left,
      right: parseValue(line),
    };
  }
  if (size > 8) return line.fail("an instruction");
  if (word === "load" || word === "loads") {
    const signed = word === "loads";
    const where = parseAddress(line);
    const acquire = line.accept("acquire") ? { acquire: true as const } : {};
    return { kind: "load", ...where, size: size as Size, signed, ...acquire };
  }
  if (word === "load-packet" && size !== 8) {
    const context = parseValue(line);
    line.expect(",");
    const indexed = line.peek()?.startsWith("v") === true;
    const index = indexed ? { index: parseValue(line) } : {};
    if (indexed) line.expect(",");
    return {
      kind: word,
      size: size as 1 | 2 | 4,
      context,
      ...index,
      imm: line.integer(),
    };
  }
  const op = word.startsWith("atomic-") ? word.slice("atomic-".length) : "";
  if (!oneOf(atomicOps, op) || (size !== 4 && size !== 8))
    return line.fail("an instruction");
  const where = parseAddress(line);
  line.expect(",");
  const value = parseValue(line);
  const expected = line.accept("expected")
    ? { expected: parseValue(line) }
    : {};
  const fetch = line.accept("fetch");
  return { kind: "atomic", op, size, fetch, ...where, value, ...expected };
}

function parseValue(line: Scanner): ValueId {
  return id(line.name("v"));
}

function parseAddress(line: Scanner): { address: ValueId; offset: number } {
  return { address: parseValue(line), offset: line.known() };
}

function parseCallee(line: Scanner): Callee {
  const kind = line.word("a callee");
  switch (kind) {
    case "helper":
      return { kind, helper: line.integer() };
    case "function":
    case "kfunc":
      return { kind, name: line.string() };
    case "raw": {
      const pseudo = line.integer();
      line.expect(":");
      return { kind, pseudo, value: line.integer() };
    }
    default:
      return line.fail("a callee");
  }
}

/** Undefined when the line is no end of a block. */
export function parseTerminator(line: Scanner): Bare<Terminator> | undefined {
  const kind = line.peek();
  switch (kind) {
    case "jump":
      line.word();
      return { kind, to: parseEdge(line) };
    case "branch": {
      line.word();
      const match = /^(j[a-z]+)(32|64)$/.exec(line.word("a comparison"));
      const op = match?.[1] ?? "";
      if (!oneOf(branchOps, op)) return line.fail("a comparison");
      const width = Number(match?.[2]) as Width;
      const left = parseValue(line);
      line.expect(",");
      const right = parseValue(line);
      line.expect("?");
      const then = parseEdge(line);
      line.expect(":");
      return { kind, op, width, left, right, then, otherwise: parseEdge(line) };
    }
    case "may-goto": {
      line.word();
      const then = parseEdge(line);
      line.expect(":");
      return { kind, then, otherwise: parseEdge(line) };
    }
    case "return":
      line.word();
      return { kind, value: parseValue(line) };
    case "trap":
      line.word();
      return { kind, reason: line.string() };
    case undefined:
    default:
      return undefined;
  }
}

function parseEdge(line: Scanner): Edge {
  const block = id<"b">(line.name("b"));
  const args = line.accept("(") ? line.list(")", () => parseValue(line)) : [];
  return { block, args };
}
