/**
 * What a run of a program should reach: accesses, edges, verdicts. Left out is what no
 * packet can do, and what the analysis has tried by itself: the functions of allocators,
 * which it runs against a model of them (StateReport, Allocator.tried).
 *
 * Look-ups in arrays that always find something: every bit of the index that may be set
 * makes a number below the array's size. Compilers and verifiers want the test for null
 * all the same; the way that null would take is no packet's.
 *
 * One-way sound: a bit that the analysis cannot tell may be set.
 */
import {
  returnedConstants,
  type Access,
  type StateReport,
} from "./analysis/index.ts";
import { decide, lift, type Block, type IrProgram } from "./ir/index.ts";
import {
  mapTypeRow,
  programTypeRow,
  type MapSpec,
  type ProgramSpec,
} from "./isa/index.ts";
import { edgeName, type DifferentialOptions } from "./proof/index.ts";

export function reachable(
  program: ProgramSpec,
  report: StateReport,
  shown: (verdict: number) => number = (verdict) => verdict,
): Pick<DifferentialOptions, "accesses" | "verdicts" | "infeasible"> {
  const { program: ir, infeasible } = decideLookups(lift(program), report);
  const names = programTypeRow(program.type).verdicts;
  const tried = new Set(
    report.objects.flatMap(({ allocator }) =>
      allocator === undefined ? [] : Object.values(allocator.functions),
    ),
  );
  const edges = new Set(
    infeasible.map(({ taken, ...at }) => edgeName(at, taken)),
  );
  for (const fn of program.functions)
    if (tried.has(fn.name))
      for (const instruction of fn.instructions.keys())
        for (const taken of [true, false])
          edges.add(edgeName({ function: fn.name, instruction }, taken));
  return {
    accesses: report.objects.flatMap((object) =>
      // What a call does stands in the function that it calls.
      object.accesses
        .filter(
          ({ callee, at }) => callee === undefined && !tried.has(at.function),
        )
        .map(({ at, op }) => ({
          at,
          object: object.name,
          writes:
            object.access !== "read-only" &&
            ["write", "add", "update", "delete"].includes(op),
        })),
    ),
    verdicts: [...returnedConstants(ir)].flatMap((value) => {
      const name = names[shown(value)];
      return name === undefined ? [] : [name];
    }),
    infeasible: edges,
  };
}

/** The program without those ways, and the edges that go with them. */
function decideLookups(
  program: IrProgram,
  report: StateReport,
): ReturnType<typeof decide> {
  const certain = certainLookups(program.maps, report);
  const decided: { function: string; instruction: number; taken: boolean }[] =
    [];
  const functions = program.functions.map((fn) => {
    const zeros = new Set<number>();
    const found = new Set<number>();
    for (const { instructions } of fn.blocks)
      for (const instruction of instructions) {
        if (instruction.kind === "const" && instruction.value === 0n)
          zeros.add(instruction.result);
        if (
          instruction.kind === "call" &&
          instruction.result !== undefined &&
          certain.has(`${fn.name}+${instruction.at.instruction}`)
        )
          found.add(instruction.result);
      }
    const blocks = fn.blocks.map((block): Block => {
      const { terminator } = block;
      if (terminator.kind !== "branch") return block;
      const { op, left, right, at } = terminator;
      if (!found.has(left) || !zeros.has(right)) return block;
      if (op !== "jeq" && op !== "jne") return block;
      const taken = op === "jne";
      decided.push({ ...at, taken: !taken });
      const to = taken ? terminator.then : terminator.otherwise;
      return { ...block, terminator: { kind: "jump", to, at } };
    });
    return { ...fn, blocks };
  });
  const rest = decide({ ...program, functions });
  return { ...rest, infeasible: [...rest.infeasible, ...decided] };
}

/** `function+instruction` of calls that never answer null. */
function certainLookups(
  maps: readonly MapSpec[],
  { objects }: StateReport,
): ReadonlySet<string> {
  const certain = new Set<string>();
  for (const { name, accesses } of objects) {
    const map = maps.find((each) => each.name === name);
    if (map === undefined || mapTypeRow(map.type).indexed !== true) continue;
    const lookups = accesses.filter(({ op }) => op === "lookup");
    const every = new Map<string, boolean>();
    for (const access of lookups) {
      const place = `${access.at.function}+${access.at.instruction}`;
      // What an allocator's own links and entries name are cells of its array.
      const isNamed = access.through !== undefined || access.own !== undefined;
      const isBelow = isNamed || mostOf(access) < BigInt(map.maxEntries);
      every.set(place, (every.get(place) ?? true) && isBelow);
    }
    for (const [place, isCertain] of every) if (isCertain) certain.add(place);
  }
  return certain;
}

/** The largest index: bytes of a key in memory, the first one the lowest. */
function mostOf({ key }: Access): bigint {
  let most = 0n;
  for (const [at, bit] of key.bits.entries()) {
    const isZero =
      bit.kind === "linear" && bit.bits.length === 0 && bit.constant === 0;
    if (isZero) continue;
    most |= 1n << BigInt((at & ~7) + 7 - (at & 7));
  }
  return key.bits.length === 32 ? most : 1n << 64n;
}
