/**
 * Branch edges that no run of a sound program takes, and that coverage leaves out:
 *
 * - a pointer into the packet that is null: no address in a frame is 0;
 * - a look-up in an array that finds nothing: only an index that is out of range does
 *   that, and array indices of the suite are in range by their programs' own invariants
 *   (the links of a chain, a hash modulo a size). Verifiers want the test all the same;
 * - an offset into the packet beyond what any frame has;
 * - the other way of what an earlier branch decided (nf-decided.ts);
 * - what can only be reached through those;
 * - tests of what the program itself keeps true (`invariants`), by their source lines.
 *
 * The second and the last are assumptions, not proofs: a run that takes such an edge
 * refutes it, and the edge counts again.
 */
import { returnedConstants } from "#analysis";
import {
  edgesOf,
  lift,
  type Block,
  type IrFunction,
  type IrProgram,
} from "#ir";
import { placeOf, type ProgramSpec } from "#isa";
import { decidedEdges } from "./nf-decided.ts";

// prettier-ignore
const invariants: readonly (readonly [line: RegExp, because: string])[] = [
  [/index >= \(__u32\)head->last|index >= u32\(this\.cells\.at\(0\)\.last\)|index >= (used|this\.capacity)/, "an index that a map keeps was handed out"],
  [/->previous == NF_FREE_CELL|\.previous === FREE/, "an index that a map keeps is allocated"],
  [/^if \(number == 0\)$|^if \(number === 0\)/, "a chain that is full is not empty"],
  [/check\.at \+ 1\) > end/, "parse_l4 found the whole header"],
  [/^if \(!flow\)$|^if \(flow === undefined\)/, "a live cell's key is in its map, and what was inserted is there"],
  [/out\(\w+(\.|->)port\)/, "a port that a map keeps is one of the ports"],
  [/\bset\.ports\[(at|count)\]/, "a set counts no more ports than it has room for"],
];

/** Offsets into a packet that verifiers take end before this. */
const longestFrame = 65_280n;

/** `function+instruction falls|taken`. */
export function guardEdges(program: ProgramSpec): ReadonlySet<string> {
  const ir = lift(program);
  const guards = new Map<string, ReadonlySet<string>>();
  for (const fn of ir.functions) guards.set(fn.name, guardsOf(ir, fn));
  const reached = reachedBlocks(ir, guards);
  const left = new Set<string>([...guards.values()].flatMap((all) => [...all]));
  for (const fn of program.functions) {
    const lifted = ir.functions.find(({ name }) => name === fn.name);
    const live = new Set<number>();
    for (const block of lifted?.blocks ?? [])
      if (
        block.terminator.kind === "branch" &&
        reached.get(fn.name)?.has(block.id) === true
      )
        live.add(block.terminator.at.instruction);
    for (const [instruction, { kind }] of fn.instructions.entries())
      if (kind === "branch" && !live.has(instruction))
        for (const way of ["falls", "taken"])
          left.add(`${fn.name}+${instruction} ${way}`);
  }
  for (const fn of program.functions)
    for (const [instruction, { kind }] of fn.instructions.entries()) {
      const { text = "" } = kind === "branch" ? placeOf(fn, instruction) : {};
      if (invariants.some(([line]) => line.test(text)))
        for (const way of ["falls", "taken"])
          left.add(`${fn.name}+${instruction} ${way}`);
    }
  return left;
}

/**
 * What the entry function may return, without what those edges alone lead to; `edges`
 * are some of guardEdges.
 */
export function verdictsWithout(
  program: ProgramSpec,
  edges: ReadonlySet<string>,
): ReadonlySet<number> {
  const ir = lift(program);
  const all = new Map(ir.functions.map(({ name }) => [name, edges]));
  const reached = reachedBlocks(ir, all);
  const [entry, ...others] = ir.functions;
  if (entry === undefined) return new Set();
  const blocks = entry.blocks.map((block): Block => {
    const { terminator } = block;
    if (reached.get(entry.name)?.has(block.id) !== true)
      return {
        ...block,
        instructions: [],
        terminator: { kind: "trap", reason: "not reached", at: terminator.at },
      };
    if (terminator.kind !== "branch") return block;
    const name = `${entry.name}+${terminator.at.instruction}`;
    const to = edges.has(`${name} taken`)
      ? terminator.otherwise
      : edges.has(`${name} falls`)
        ? terminator.then
        : undefined;
    if (to === undefined) return block;
    return { ...block, terminator: { kind: "jump", to, at: terminator.at } };
  });
  return returnedConstants({
    ...ir,
    functions: [{ ...entry, blocks }, ...others],
  });
}

/**
 * A name for every branch that it has under other settings too, where the same source
 * gives other instructions: its place in the source, and the how-manieth there.
 */
export function siteNames(program: ProgramSpec): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const fn of program.functions) {
    const counts = new Map<string, number>();
    for (const [instruction, { kind }] of fn.instructions.entries()) {
      if (kind !== "branch") continue;
      const { file, line, column } = placeOf(fn, instruction);
      const place = `${fn.name} ${file ?? ""}:${line ?? 0}:${column ?? 0}`;
      const count = counts.get(place) ?? 0;
      counts.set(place, count + 1);
      names.set(`${fn.name}+${instruction}`, `${place} #${count}`);
    }
  }
  return names;
}

/** Of one function: tests for null, the way that null would go; and decided branches. */
function guardsOf(ir: IrProgram, fn: IrFunction): ReadonlySet<string> {
  const bounds = new Map<number, bigint>();
  for (const { instructions } of fn.blocks)
    for (const instruction of instructions)
      if (instruction.kind === "const")
        bounds.set(instruction.result, instruction.value);
  const found = new Set<string>();
  for (const edge of decidedEdges(fn)) found.add(`${fn.name}+${edge}`);
  for (const { terminator } of fn.blocks) {
    if (terminator.kind !== "branch") continue;
    const { op, left, right, at } = terminator;
    if (op === "jgt" && (bounds.get(right) ?? 0n) >= longestFrame)
      found.add(`${fn.name}+${at.instruction} taken`);
    if ((op !== "jeq" && op !== "jne") || bounds.get(right) !== 0n) continue;
    const type = fn.values[left];
    if (type?.kind !== "pointer") continue;
    const { region } = type;
    const map =
      region.kind === "map-value"
        ? ir.maps.find(({ name }) => name === region.map)
        : undefined;
    const isArray = map?.type.endsWith("array") === true;
    if (region.kind !== "packet" && !isArray) continue;
    const way = op === "jeq" ? "taken" : "falls";
    found.add(`${fn.name}+${at.instruction} ${way}`);
  }
  return found;
}

/** Blocks of each function that are reached without those edges. */
function reachedBlocks(
  ir: IrProgram,
  guards: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, ReadonlySet<number>> {
  const reached = new Map<string, Set<number>>();
  const work: { readonly fn: IrFunction; readonly block: number }[] = [];
  const reach = (fn: IrFunction | undefined, block: number): void => {
    if (fn === undefined) return;
    let blocks = reached.get(fn.name);
    if (blocks === undefined) reached.set(fn.name, (blocks = new Set()));
    if (blocks.has(block)) return;
    blocks.add(block);
    work.push({ fn, block });
  };
  reach(ir.functions[0], 0);
  for (let next = work.pop(); next !== undefined; next = work.pop()) {
    const { fn } = next;
    const block = fn.blocks[next.block];
    if (block === undefined) continue;
    for (const instruction of block.instructions) {
      const called =
        instruction.kind === "function"
          ? instruction.name
          : instruction.kind === "call" &&
              instruction.callee.kind === "function"
            ? instruction.callee.name
            : undefined;
      if (called !== undefined)
        reach(
          ir.functions.find(({ name }) => name === called),
          0,
        );
    }
    const { terminator } = block;
    // Edges stand in the order then (taken), otherwise (falls through).
    for (const [index, edge] of edgesOf(terminator).entries()) {
      const way = index === 0 ? "taken" : "falls";
      const name = `${fn.name}+${terminator.at.instruction} ${way}`;
      if (
        terminator.kind === "branch" &&
        guards.get(fn.name)?.has(name) === true
      )
        continue;
      reach(fn, edge.block);
    }
  }
  return reached;
}
