/**
 * The text form of a program; parse.ts inverts it. One line a thing:
 *
 *   program "xdp_main" type xdp file "port-knock.o"
 *   map {"name":"flows","type":"hash",…}
 *   function "xdp_main" (v0: context+0) {
 *     slot s0 at -8 size 4
 *   b0:
 *     v1: packet+0 = load4 v0+0 ; 2 "port-knock.c":17:24 "void *data = …"
 *     branch jgt64 v1, v2 ? b1 : b2(v3) ; 7
 *   b1:
 *     …
 *   }
 *
 * A value's type stands where it is defined, scalars without. Behind `;` stands
 * where it came from: the instruction, `in "f"` for code of another function
 * (inlined), file:line:column, and the source line.
 */
import { toHex, unreachable, type Place } from "../base/index.ts";
import type { Callee, MapSpec } from "../isa/index.ts";
import type {
  Edge,
  IrFunction,
  IrInstruction,
  IrProgram,
  Region,
  Terminator,
  ValueId,
  ValueType,
} from "./program.ts";

export function printIr(program: IrProgram): string {
  const lines = [
    `program ${quote(program.name)} type ${program.type} file ${quote(program.file)}`,
    ...program.maps.map((map) => `map ${printMap(map)}`),
    ...program.functions.flatMap(printFunction),
  ];
  return `${lines.join("\n")}\n`;
}

const quote = (text: string): string => JSON.stringify(text);

/** JSON; bytes as `{"hex":…}`, 64-bit numbers as `{"u64":…}`. */
function printMap(map: MapSpec): string {
  return JSON.stringify(map, (_, value: unknown) => {
    if (value instanceof Uint8Array) return { hex: toHex(value) };
    if (typeof value === "bigint") return { u64: value.toString() };
    return value;
  });
}

function printFunction(fn: IrFunction): string[] {
  const define = (value: ValueId): string => {
    const type = fn.values[value];
    return type === undefined || type.kind === "scalar"
      ? `v${value}`
      : `v${value}: ${printType(type)}`;
  };
  const lines = [
    "",
    `function ${quote(fn.name)} (${fn.params.map(define).join(", ")}) {`,
    ...fn.slots.map(
      (slot) => `  slot s${slot.id} at ${slot.offset} size ${slot.size}`,
    ),
  ];
  for (const block of fn.blocks) {
    const params = block.params.map(define).join(", ");
    lines.push(`b${block.id}${params === "" ? "" : `(${params})`}:`);
    for (const instruction of block.instructions) {
      const result =
        "result" in instruction ? `${define(instruction.result)} = ` : "";
      lines.push(
        `  ${result}${printOperation(instruction)}${printAt(instruction.at, fn.name)}`,
      );
    }
    lines.push(
      `  ${printTerminator(block.terminator)}${printAt(block.terminator.at, fn.name)}`,
    );
  }
  lines.push("}");
  return lines;
}

/** `packet+14`, `map-value "flows"+0 or null`, `slot s1+?`. */
export function printType(type: ValueType): string {
  if (type.kind === "scalar") return "scalar";
  const offset = type.offset === undefined ? "+?" : plus(type.offset);
  const nullable = type.nullable === true ? " or null" : "";
  return `${printRegion(type.region)}${offset}${nullable}`;
}

function printRegion(region: Region): string {
  switch (region.kind) {
    case "slot":
      return `slot s${region.slot}`;
    case "map-value":
    case "map":
      return `${region.kind} ${quote(region.map)}`;
    case "function":
      return `function ${quote(region.name)}`;
    case "kernel":
      return `kernel ${quote(region.what)}`;
    case "context":
    case "packet":
    case "packet-end":
    case "packet-meta":
    case "frame":
    case "unknown":
      return region.kind;
  }
}

function plus(offset: number): string {
  return offset < 0 ? `${offset}` : `+${offset}`;
}

/** Without result and place: `add64 v1, v2`. */
export function printOperation(instruction: IrInstruction): string {
  switch (instruction.kind) {
    case "const":
      return `const ${BigInt.asIntN(64, instruction.value)}`;
    case "map":
      return `map ${quote(instruction.map)}`;
    case "map-value":
      return `map-value ${quote(instruction.map)}${plus(instruction.offset)}`;
    case "function":
    case "kernel-symbol":
      return `${instruction.kind} ${quote(instruction.name)}`;
    case "slot":
      return `slot s${instruction.slot}${plus(instruction.offset)}`;
    case "binary":
      return `${instruction.op}${instruction.width} v${instruction.left}, v${instruction.right}`;
    case "unary":
      return `${instruction.op} v${instruction.value}`;
    case "extract":
      return `extract v${instruction.value}, ${instruction.start}, ${instruction.size}`;
    case "concat":
      return `concat ${instruction.parts.map((part) => `v${part.value}:${part.size}`).join(", ")}`;
    case "undefined":
      return "undefined";
    case "load":
      return `load${instruction.signed ? "s" : ""}${instruction.size} ${address(instruction)}${instruction.acquire === true ? " acquire" : ""}`;
    case "store":
      return `store${instruction.size} ${address(instruction)}, v${instruction.value}${instruction.release === true ? " release" : ""}`;
    case "atomic":
      return `atomic-${instruction.op}${instruction.size} ${address(instruction)}, v${instruction.value}${instruction.expected === undefined ? "" : ` expected v${instruction.expected}`}${instruction.fetch ? " fetch" : ""}`;
    case "call":
      return `call ${printCallee(instruction.callee)}(${instruction.args.map((arg) => `v${arg}`).join(", ")})`;
    case "address-cast":
      return `address-cast v${instruction.value}, ${instruction.spaces}`;
    case "load-packet":
      return `load-packet${instruction.size} v${instruction.context}${instruction.index === undefined ? "" : `, v${instruction.index}`}, ${instruction.imm}`;
  }
}

function address(access: {
  readonly address: ValueId;
  readonly offset: number;
}): string {
  return `v${access.address}${plus(access.offset)}`;
}

function printCallee(callee: Callee): string {
  switch (callee.kind) {
    case "helper":
      return `helper ${callee.helper}`;
    case "function":
    case "kfunc":
      return `${callee.kind} ${quote(callee.name)}`;
    case "raw":
      return `raw ${callee.pseudo}:${callee.value}`;
    default:
      return unreachable(callee);
  }
}

export function printTerminator(terminator: Terminator): string {
  switch (terminator.kind) {
    case "jump":
      return `jump ${printEdge(terminator.to)}`;
    case "branch":
      return `branch ${terminator.op}${terminator.width} v${terminator.left}, v${terminator.right} ? ${printEdge(terminator.then)} : ${printEdge(terminator.otherwise)}`;
    case "may-goto":
      return `may-goto ${printEdge(terminator.then)} : ${printEdge(terminator.otherwise)}`;
    case "return":
      return `return v${terminator.value}`;
    case "trap":
      return `trap ${quote(terminator.reason)}`;
  }
}

function printEdge(edge: Edge): string {
  return edge.args.length === 0
    ? `b${edge.block}`
    : `b${edge.block}(${edge.args.map((arg) => `v${arg}`).join(", ")})`;
}

function printAt(at: Place, fn: string): string {
  const inside = at.function === fn ? "" : ` in ${quote(at.function)}`;
  const file = at.file === undefined ? "" : ` ${quote(at.file)}`;
  const line = at.line === undefined ? "" : ` line ${at.line}`;
  const column = at.column === undefined ? "" : ` column ${at.column}`;
  const text = at.text === undefined ? "" : ` text ${quote(at.text)}`;
  const position =
    at.file !== undefined && at.line !== undefined && at.column !== undefined
      ? `${file}:${at.line}:${at.column}`
      : `${file}${line}${column}`;
  return ` ; ${at.instruction}${inside}${position}${text}`;
}
