/**
 * Functions as libbpf wants them: see normalise for what and why.
 */
import type { FunctionSpec, Instruction, LineInfo } from "../isa/index.ts";
import type { Btf } from "./btf.ts";
import { BtfBuilder } from "./define-map.ts";
import { textSection } from "./functions.ts";
import { calleesOf } from "./program.ts";

export function arrangeFunctions(
  functions: readonly FunctionSpec[],
): FunctionSpec[] {
  const called = new Set(functions.flatMap((fn) => calleesOf(fn)));
  const copies = new Map<string, string>();
  const arranged: FunctionSpec[] = [];
  for (const fn of functions) {
    if (fn.section === textSection) arranged.push(fn);
    else if (!called.has(fn.name)) arranged.push({ ...fn, linkage: "global" });
    else if (fn.linkage === "static")
      arranged.push({ ...fn, section: textSection });
    else {
      const name = `${fn.name}.called`;
      copies.set(fn.name, name);
      arranged.push(fn);
      arranged.push({ ...fn, name, section: textSection, linkage: "static" });
    }
  }
  // Code that others call comes first, as compilers place it.
  const sections = new Map<string, FunctionSpec[]>([[textSection, []]]);
  for (const fn of arranged) {
    const list = sections.get(fn.section);
    if (list === undefined) sections.set(fn.section, [fn]);
    else list.push(fn);
  }
  const ordered = [...sections.values()].flat();
  return copies.size === 0
    ? ordered
    : ordered.map((fn) => renameCalls(fn, copies));
}

function renameCalls(
  fn: FunctionSpec,
  names: ReadonlyMap<string, string>,
): FunctionSpec {
  const instructions = fn.instructions.map((instruction): Instruction => {
    if (instruction.kind === "call" && instruction.callee.kind === "function") {
      const name = names.get(instruction.callee.name);
      if (name === undefined) return instruction;
      return { ...instruction, callee: { kind: "function", name } };
    }
    if (
      instruction.kind === "load-wide" &&
      instruction.value.kind === "function"
    ) {
      const name = names.get(instruction.value.name);
      if (name === undefined) return instruction;
      return { ...instruction, value: { kind: "function", name } };
    }
    return instruction;
  });
  return { ...fn, instructions };
}

/** BTF functions and lines for all functions, if any has them. */
export function completeDebug(
  btf: Btf | undefined,
  functions: readonly FunctionSpec[],
): { btf: Btf | undefined; functions: readonly FunctionSpec[] } {
  if (btf === undefined) return { btf, functions };
  const described = functions.some((fn) => fn.btfFunction !== undefined);
  const lined = functions.some((fn) => fn.lines.length > 0);
  const builder = new BtfBuilder(btf);
  const complete = functions.map((fn): FunctionSpec => {
    const lines = lined ? linesFromStart(fn) : fn.lines;
    if (!described || fn.btfFunction !== undefined) return { ...fn, lines };
    const prototype = builder.add({
      kind: "prototype",
      type: builder.int(),
      parameters: [],
    });
    const btfFunction = builder.add({
      kind: "function",
      name: fn.name.replace(/[^A-Za-z0-9_]/g, "_"),
      type: prototype,
      linkage: "static",
    });
    return { ...fn, lines, btfFunction };
  });
  return { btf: builder.btf, functions: complete };
}

function linesFromStart(fn: FunctionSpec): readonly LineInfo[] {
  const [first] = fn.lines;
  if (first?.at === 0) return fn.lines;
  const start = first ?? { file: fn.section, text: "", line: 0, column: 0 };
  return [{ ...start, at: 0 }, ...fn.lines];
}
