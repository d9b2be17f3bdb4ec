/**
 * THE instruction table: every form of every instruction, one row each. Decode,
 * encode, parse, print and the reference page are loops over these rows; no
 * other file knows an opcode.
 *
 * An encoded instruction is one slot of 8 bytes (the 16-byte load has two):
 *
 *   byte     0        1                 2 3      4 5 6 7
 *          +--------+--------+--------+--------+----------------+
 *          | opcode | src    | dst    | offset | imm            |
 *          +--------+--------+--------+--------+----------------+
 *                    (4 bits) (4 bits)  signed   signed
 *
 * A row says what each field holds: a number (it must be exactly that: reserved
 * fields are 0) or the path of a member of the instruction value. `text` is the
 * printed form; `{class:path}` stands for a member:
 *
 *   r w  register as r3 or w3      i  signed 32 bits     u  unsigned 64 bits
 *   o    offset as `+ 8` or `- 8`  p  small number       n  name
 *   L    label of a jump target    h  helper, by name or number
 *
 * `symbolic` rows hold a name that a relocation or the linker resolves: they
 * are never decoded, and encoding them asks the link function.
 *
 * Laws (tested): no two rows have the same opcode and constants; no two have
 * the same text with members blanked out; every Instruction has exactly one row.
 *
 * Source: RFC 9669 sections 3–5; kernel Documentation/bpf/standardization and
 * include/uapi/linux/bpf.h for what came later. Text follows LLVM's assembler.
 */
import type {
  AluOp,
  AtomicOp,
  BranchOp,
  EndianOp,
  Instruction,
  Operand,
  Size,
} from "./instruction.ts";

/** A member of an instruction, as a path; `src.value` is the value of operand `src`. */
export type MemberPath =
  | "dst"
  | "src"
  | "base"
  | "left"
  | "index"
  | "register"
  | "offset"
  | "imm"
  | "target"
  | "spaces"
  | `${"src" | "right"}.${"register" | "value"}`
  | `value.${"value" | "map" | "offset" | "name" | "pseudo" | "low" | "high"}`
  | `callee.${"helper" | "name" | "pseudo" | "value" | "offset"}`;

export type FieldRole = number | MemberPath;

/** Conformance group of RFC 9669, or what the kernel added since. */
export type InstructionGroup =
  | "base32"
  | "base64"
  | "divmul32"
  | "divmul64"
  | "atomic32"
  | "atomic64"
  | "packet"
  | "kernel";

export interface InstructionRow {
  readonly opcode: number;
  /** An instruction of this form, all variable members at 0 or "". */
  readonly sample: Instruction;
  readonly dst: FieldRole;
  readonly src: FieldRole;
  readonly offset: FieldRole;
  readonly imm: FieldRole;
  /** Immediate of the second slot, which only the 16-byte load has. */
  readonly high?: FieldRole;
  readonly text: string;
  readonly group: InstructionGroup;
  /** First Linux release that accepts it. */
  readonly kernel: string;
  readonly symbolic?: true;
}

// Instruction classes, the low three bits of the opcode.
const LD = 0x00;
const LDX = 0x01;
const ST = 0x02;
const STX = 0x03;
const ALU = 0x04;
const JMP = 0x05;
const JMP32 = 0x06;
const ALU64 = 0x07;
/** Source bit: the operand is a register. */
const X = 0x08;
// Modes of loads and stores, the high three bits.
const IMM = 0x00;
const ABS = 0x20;
const IND = 0x40;
const MEM = 0x60;
const MEMSX = 0x80;
const ATOMIC = 0xc0;

const reg: Operand = { kind: "register", register: 0 };
const imm: Operand = { kind: "immediate", value: 0 };

interface Extra {
  readonly group?: InstructionGroup;
  readonly kernel?: string;
  readonly high?: FieldRole;
  readonly symbolic?: true;
}

function row(
  opcode: number,
  sample: Instruction,
  fields: readonly [FieldRole, FieldRole, FieldRole, FieldRole],
  text: string,
  extra: Extra = {},
): InstructionRow {
  const [dst, src, offset, imm] = fields;
  // prettier-ignore
  return { opcode, sample, dst, src, offset, imm, text, group: "base64", kernel: "3.18", ...extra };
}

// op, code, text, offset field, divmul group?, first kernel when not the oldest
// prettier-ignore
const arithmetic: readonly (readonly [AluOp, number, string, number, boolean, string?])[] = [
  ["add",  0x00, "+=",   0, false],
  ["sub",  0x10, "-=",   0, false],
  ["mul",  0x20, "*=",   0, true],
  ["div",  0x30, "/=",   0, true],
  ["sdiv", 0x30, "s/=",  1, true, "6.6"],
  ["or",   0x40, "|=",   0, false],
  ["and",  0x50, "&=",   0, false],
  ["lsh",  0x60, "<<=",  0, false],
  ["rsh",  0x70, ">>=",  0, false],
  ["mod",  0x90, "%=",   0, true],
  ["smod", 0x90, "s%=",  1, true, "6.6"],
  ["xor",  0xa0, "^=",   0, false],
  ["mov",  0xb0, "=",    0, false],
  ["arsh", 0xc0, "s>>=", 0, false],
];

const aluRows = arithmetic.flatMap(
  ([op, code, sign, offset, divmul, kernel = "3.18"]) =>
    ([32, 64] as const).flatMap((width) => {
      const type = width === 32 ? ALU : ALU64;
      const letter = width === 32 ? "w" : "r";
      const group = `${divmul ? "divmul" : "base"}${width}` as const;
      const sample = { kind: "alu", op, width, dst: 0 } as const;
      // prettier-ignore
      return [
        row(code | type, { ...sample, src: imm }, ["dst", 0, offset, "src.value"], `{${letter}:dst} ${sign} {i:src.value}`, { group, kernel }),
        row(code | type | X, { ...sample, src: reg }, ["dst", "src.register", offset, 0], `{${letter}:dst} ${sign} {${letter}:src.register}`, { group, kernel }),
      ];
    }),
);

// prettier-ignore
const signedMoves: readonly (readonly [AluOp, 32 | 64, number])[] = [
  ["movsx8", 32, 8], ["movsx16", 32, 16], ["movsx8", 64, 8], ["movsx16", 64, 16], ["movsx32", 64, 32],
];
const moveRows = signedMoves.map(([op, width, bits]) => {
  const letter = width === 32 ? "w" : "r";
  return row(
    0xb0 | X | (width === 32 ? ALU : ALU64),
    { kind: "alu", op, width, dst: 0, src: reg },
    ["dst", "src.register", bits, 0],
    `{${letter}:dst} = (s${bits}){${letter}:src.register}`,
    { group: width === 32 ? "base32" : "base64", kernel: "6.6" },
  );
});

// prettier-ignore
const endianOps: readonly (readonly [EndianOp, number, number, string])[] = [
  ["le16", 0xd0 | ALU, 16, "3.18"], ["le32", 0xd0 | ALU, 32, "3.18"], ["le64", 0xd0 | ALU, 64, "3.18"],
  ["be16", 0xd0 | ALU | X, 16, "3.18"], ["be32", 0xd0 | ALU | X, 32, "3.18"], ["be64", 0xd0 | ALU | X, 64, "3.18"],
  ["bswap16", 0xd0 | ALU64, 16, "6.6"], ["bswap32", 0xd0 | ALU64, 32, "6.6"], ["bswap64", 0xd0 | ALU64, 64, "6.6"],
];

// prettier-ignore
const unaryRows: readonly InstructionRow[] = [
  row(0x80 | ALU, { kind: "neg", width: 32, dst: 0 }, ["dst", 0, 0, 0], "{w:dst} = -{w:dst}", { group: "base32" }),
  row(0x80 | ALU64, { kind: "neg", width: 64, dst: 0 }, ["dst", 0, 0, 0], "{r:dst} = -{r:dst}"),
  ...endianOps.map(([op, opcode, bits, kernel]) =>
    row(opcode, { kind: "endian", op, dst: 0 }, ["dst", 0, 0, bits], `{r:dst} = ${op} {r:dst}`, { group: bits === 64 ? "base64" : "base32", kernel })),
  row(0xb0 | X | ALU64, { kind: "address-cast", dst: 0, src: 0, spaces: 0 }, ["dst", "src", 1, "spaces"], "{r:dst} = addr_space_cast({r:src}, {i:spaces})", { group: "kernel", kernel: "6.9" }),
];

// prettier-ignore
const wideRows: readonly InstructionRow[] = [
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "number", value: 0n } }, ["dst", 0, 0, "value.value"], "{r:dst} = {u:value.value} ll", { high: "value.value" }),
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "map", map: "" } }, ["dst", 0, 0, "value.map"], "{r:dst} = map {n:value.map} ll", { symbolic: true }),
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "map-value", map: "", offset: 0 } }, ["dst", 0, 0, "value.map"], "{r:dst} = value {n:value.map}[{p:value.offset}] ll", { high: "value.offset", symbolic: true, kernel: "5.2" }),
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "function", name: "" } }, ["dst", 0, 0, "value.name"], "{r:dst} = function {n:value.name} ll", { symbolic: true, kernel: "5.13" }),
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "kernel-symbol", name: "" } }, ["dst", 0, 0, "value.name"], "{r:dst} = ksym {n:value.name} ll", { symbolic: true, kernel: "5.10" }),
  row(LD | IMM | 0x18, { kind: "load-wide", dst: 0, value: { kind: "raw", pseudo: 0, low: 0, high: 0 } }, ["dst", "value.pseudo", 0, "value.low"], "{r:dst} = raw {p:value.pseudo} {i:value.low} {i:value.high} ll", { high: "value.high" }),
];

// bytes, size bits, C type
// prettier-ignore
const sizes: readonly (readonly [Size, number, string])[] = [[1, 0x10, "u8"], [2, 0x08, "u16"], [4, 0x00, "u32"], [8, 0x18, "u64"]];

const memoryRows = sizes.flatMap(([size, bits, type]) => {
  const group = size === 8 ? "base64" : "base32";
  const signed = type.replace("u", "s");
  // prettier-ignore
  return [
    row(LDX | MEM | bits, { kind: "load", size, signed: false, dst: 0, base: 0, offset: 0 }, ["dst", "base", "offset", 0], `{r:dst} = *(${type} *)({r:base} {o:offset})`, { group }),
    ...(size === 8 ? [] : [
      row(LDX | MEMSX | bits, { kind: "load", size, signed: true, dst: 0, base: 0, offset: 0 }, ["dst", "base", "offset", 0], `{r:dst} = *(${signed} *)({r:base} {o:offset})`, { kernel: "6.6" }),
    ]),
    row(ST | MEM | bits, { kind: "store", size, base: 0, offset: 0, src: imm }, ["base", 0, "offset", "src.value"], `*(${type} *)({r:base} {o:offset}) = {i:src.value}`, { group }),
    row(STX | MEM | bits, { kind: "store", size, base: 0, offset: 0, src: reg }, ["base", "src.register", "offset", 0], `*(${type} *)({r:base} {o:offset}) = {r:src.register}`, { group }),
    row(STX | ATOMIC | bits, { kind: "load-acquire", size, dst: 0, base: 0, offset: 0 }, ["dst", "base", "offset", 0x100], `{${size === 8 ? "r" : "w"}:dst} = load_acquire((${type} *)({r:base} {o:offset}))`, { group: "kernel", kernel: "6.15" }),
    row(STX | ATOMIC | bits, { kind: "store-release", size, base: 0, offset: 0, src: 0 }, ["base", "src", "offset", 0x110], `store_release((${type} *)({r:base} {o:offset}), {${size === 8 ? "r" : "w"}:src})`, { group: "kernel", kernel: "6.15" }),
  ];
});

// op, code, sign of the form without fetch
// prettier-ignore
const atomics: readonly (readonly [AtomicOp, number, string])[] = [
  ["add", 0x00, "+="], ["or", 0x40, "|="], ["and", 0x50, "&="], ["xor", 0xa0, "^="],
];

const atomicRows = ([4, 8] as const).flatMap((size) => {
  const opcode = STX | ATOMIC | (size === 4 ? 0x00 : 0x18);
  const letter = size === 4 ? "w" : "r";
  const type = size === 4 ? "u32" : "u64";
  const group = size === 4 ? "atomic32" : "atomic64";
  const bits = size === 4 ? "32_32" : "_64";
  const kernel = "5.12";
  const at = "{r:base} {o:offset}";
  const sample = { kind: "atomic", size, base: 0, offset: 0, src: 0 } as const;
  // prettier-ignore
  return [
    ...atomics.flatMap(([op, code, sign]) => [
      row(opcode, { ...sample, op, fetch: false }, ["base", "src", "offset", code], `lock *(${type} *)(${at}) ${sign} {${letter}:src}`, { group, kernel: op === "add" ? "3.18" : kernel }),
      row(opcode, { ...sample, op, fetch: true }, ["base", "src", "offset", code | 1], `{${letter}:src} = atomic_fetch_${op}((${type} *)(${at}), {${letter}:src})`, { group, kernel }),
    ]),
    row(opcode, { ...sample, op: "xchg", fetch: true }, ["base", "src", "offset", 0xe1], `{${letter}:src} = xchg${bits}(${at}, {${letter}:src})`, { group, kernel }),
    row(opcode, { ...sample, op: "cmpxchg", fetch: true }, ["base", "src", "offset", 0xf1], `${letter}0 = cmpxchg${bits}(${at}, ${letter}0, {${letter}:src})`, { group, kernel }),
  ];
});

// prettier-ignore
const branches: readonly (readonly [BranchOp, number, string, string?])[] = [
  ["jeq", 0x10, "=="], ["jgt", 0x20, ">"], ["jge", 0x30, ">="], ["jset", 0x40, "&"], ["jne", 0x50, "!="], ["jsgt", 0x60, "s>"],
  ["jsge", 0x70, "s>="], ["jlt", 0xa0, "<", "4.14"], ["jle", 0xb0, "<=", "4.14"], ["jslt", 0xc0, "s<", "4.14"], ["jsle", 0xd0, "s<=", "4.14"],
];

const branchRows = branches.flatMap(([op, code, sign, since = "3.18"]) =>
  ([32, 64] as const).flatMap((width) => {
    const type = width === 32 ? JMP32 : JMP;
    const letter = width === 32 ? "w" : "r";
    const group = width === 32 ? "base32" : "base64";
    const kernel = width === 32 ? "5.1" : since;
    const sample = { kind: "branch", op, width, left: 0, target: 0 } as const;
    // prettier-ignore
    return [
      row(code | type, { ...sample, right: imm }, ["left", 0, "target", "right.value"], `if {${letter}:left} ${sign} {i:right.value} goto {L:target}`, { group, kernel }),
      row(code | type | X, { ...sample, right: reg }, ["left", "right.register", "target", 0], `if {${letter}:left} ${sign} {${letter}:right.register} goto {L:target}`, { group, kernel }),
    ];
  }),
);

// prettier-ignore
const controlRows: readonly InstructionRow[] = [
  row(JMP, { kind: "jump", target: 0, long: false }, [0, 0, "target", 0], "goto {L:target}"),
  row(JMP32, { kind: "jump", target: 0, long: true }, [0, 0, 0, "target"], "gotol {L:target}", { group: "base32", kernel: "6.6" }),
  row(0xe0 | JMP, { kind: "may-goto", target: 0 }, [0, 0, "target", 0], "may_goto {L:target}", { group: "kernel", kernel: "6.9" }),
  row(0x80 | JMP, { kind: "call", callee: { kind: "helper", helper: 0 } }, [0, 0, 0, "callee.helper"], "call {h:callee.helper}"),
  row(0x80 | JMP, { kind: "call", callee: { kind: "function", name: "" } }, [0, 1, 0, "callee.name"], "call function {n:callee.name}", { symbolic: true, kernel: "4.16" }),
  row(0x80 | JMP, { kind: "call", callee: { kind: "kfunc", name: "" } }, [0, 2, 0, "callee.name"], "call kfunc {n:callee.name}", { symbolic: true, kernel: "5.13" }),
  row(0x80 | JMP, { kind: "call", callee: { kind: "raw", pseudo: 0, value: 0 } }, [0, "callee.pseudo", 0, "callee.value"], "call raw {p:callee.pseudo} {i:callee.value}", { kernel: "4.16" }),
  row(0x80 | JMP, { kind: "call", callee: { kind: "raw", pseudo: 0, value: 0, offset: 0 } }, [0, "callee.pseudo", "callee.offset", "callee.value"], "call raw {p:callee.pseudo} {i:callee.value} module {i:callee.offset}", { kernel: "5.17" }),
  row(0x80 | JMP | X, { kind: "call-register", register: 0 }, ["register", 0, 0, 0], "callx {r:register}", { group: "kernel", kernel: "none" }),
  row(0x80 | JMP | X, { kind: "call-register", register: 0, inImmediate: true }, [0, 0, 0, "register"], "callx_imm {r:register}", { group: "kernel", kernel: "none" }),
  row(0x90 | JMP, { kind: "exit" }, [0, 0, 0, 0], "exit"),
];

const packetRows = sizes.slice(0, 3).flatMap(([size, bits, type]) => {
  if (size === 8) return [];
  // prettier-ignore
  return [
    row(LD | ABS | bits, { kind: "load-packet", size, imm: 0 }, [0, 0, 0, "imm"], `r0 = *(${type} *)skb[{i:imm}]`, { group: "packet" }),
    row(LD | IND | bits, { kind: "load-packet", size, index: 0, imm: 0 }, [0, "index", 0, "imm"], `r0 = *(${type} *)skb[{r:index} {o:imm}]`, { group: "packet" }),
  ];
});

/** All forms, in the order of the reference page. */
export const instructionRows: readonly InstructionRow[] = [
  ...aluRows,
  ...moveRows,
  ...unaryRows,
  ...wideRows,
  ...memoryRows,
  ...atomicRows,
  ...branchRows,
  ...controlRows,
  ...packetRows,
];
