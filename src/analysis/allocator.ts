/**
 * Index allocators of a program: functions that are named NAME_chain_allocate,
 * NAME_chain_refresh and NAME_chain_free, and that behave so.
 *
 * Names only say where to look. What is called an allocator was
 *  - read: scalar code without loops that looks up one array's cells, deletes from at
 *    most one hash, and calls, reads and writes nothing else;
 *  - tried: in the interpreter against the reference (chain-model.ts), from empty and
 *    at the brink of full, answers and every byte compared after each operation, each
 *    side of each branch taken but for null tests that cannot fail.
 * What is not called one keeps its accesses as they are, which is always sound.
 */
import type { Diagnostic } from "../base/index.ts";
import {
  decide,
  edgesOf,
  reversePostorder,
  type IrFunction,
  type IrProgram,
} from "../ir/index.ts";
import type {
  FunctionSpec,
  Instruction,
  MapSpec,
  ProgramSpec,
} from "../isa/index.ts";
import { edgeName } from "./chain-machine.ts";
import type { Allocator } from "./report.ts";
import { tryChain, type ChainFunctions } from "./chain-trial.ts";

export interface Recognised {
  /** By the array that has the cells. */
  readonly allocators: ReadonlyMap<string, Allocator>;
  /** Functions that are named so, and are none. */
  readonly notes: readonly Diagnostic[];
}

const named = /^(.+)_chain_(allocate|refresh|free)$/;
/** Bytes of a cell that the allocator owns; the key follows. */
const LINKS = 16;
const LOOKUP = 1;
const DELETE = 3;

/** `ir`: the same program, lifted, nothing inlined. */
export function recogniseAllocators(
  program: ProgramSpec,
  ir: IrProgram,
): Recognised {
  const groups = new Map<string, Map<string, FunctionSpec>>();
  for (const fn of program.functions) {
    const [, name, role] = named.exec(fn.name) ?? [];
    if (name === undefined || role === undefined) continue;
    const group = groups.get(name) ?? new Map<string, FunctionSpec>();
    groups.set(name, group.set(role, fn));
  }
  const allocators = new Map<string, Allocator>();
  const notes: Diagnostic[] = [];
  for (const [name, group] of groups) {
    const found = recognise(group, program, ir);
    if (typeof found !== "string") allocators.set(...found);
    else
      notes.push({
        code: "no-allocator",
        severity: "note",
        message: `${name}_chain_allocate is no index allocator: ${found}`,
      });
  }
  return { allocators, notes };
}

/** The allocator, or why it is none. */
function recognise(
  group: ReadonlyMap<string, FunctionSpec>,
  program: ProgramSpec,
  ir: IrProgram,
): [array: string, Allocator] | string {
  const allocate = group.get("allocate")?.name;
  if (allocate === undefined) return "nothing is called allocate";
  const refresh = group.get("refresh")?.name;
  const free = group.get("free")?.name;
  const functions: ChainFunctions = {
    allocate,
    ...(refresh === undefined ? {} : { refresh }),
    ...(free === undefined ? {} : { free }),
  };
  const names = new Set([...group.values()].map(({ name }) => name));
  if (ir.functions.some((fn) => names.has(fn.name) && hasLoop(fn)))
    return "it has a loop";
  const read = readFunctions([...group.values()], program);
  if (typeof read === "string") return read;
  const { array, entries } = read;
  const keyOffset = entries === undefined ? undefined : LINKS;
  if (array.valueSize < LINKS + (entries?.keySize ?? 0))
    return `cells of ${array.name} are too short`;
  const tried = tryChain(program, { functions, ...read });
  if (typeof tried === "string") return tried;
  const { edges, ...rest } = tried;
  if (rest.capacity > 2) {
    const missing = untaken([...group.keys()], { group, ir, edges });
    if (missing !== undefined) return missing;
  }
  const allocator: Allocator = {
    role: "chain",
    ...(entries === undefined ? {} : { entries: entries.name }),
    ...rest,
    cellSize: array.valueSize,
    ...(keyOffset === undefined ? {} : { keyOffset }),
    functions,
  };
  return [array.name, allocator];
}

interface Read {
  readonly array: MapSpec;
  readonly entries: MapSpec | undefined;
  readonly frozen: readonly MapSpec[];
}

/** The maps that the functions name, where they do nothing else of consequence. */
function readFunctions(
  functions: readonly FunctionSpec[],
  program: ProgramSpec,
): Read | string {
  const maps = new Map<string, MapSpec>();
  for (const fn of functions)
    for (const instruction of fn.instructions) {
      const wrong = objection(instruction, (name) => {
        const map = program.maps.find((each) => each.name === name);
        if (map !== undefined) maps.set(name, map);
        return map;
      });
      if (wrong !== undefined) return `${fn.name} ${wrong}`;
    }
  const all = [...maps.values()];
  const isFrozen = ({ readOnly, data }: MapSpec) =>
    readOnly && data !== undefined;
  const arrays = all.filter((map) => map.type === "array" && !isFrozen(map));
  const hashes = all.filter((map) => map.type === "hash");
  const [array, ...others] = arrays;
  if (array === undefined || others.length > 0 || hashes.length > 1)
    return `it touches ${all.map(({ name }) => name).join(", ")}`;
  const entries = hashes[0];
  const rest = all.filter(
    (map) => map !== array && map !== entries && !isFrozen(map),
  );
  if (rest.length > 0) return `it touches ${rest[0]?.name}`;
  if (array.keySize !== 4) return `${array.name} is no array`;
  return { array, entries, frozen: all.filter(isFrozen) };
}

/** What no allocator does. */
function objection(
  instruction: Instruction,
  use: (map: string) => MapSpec | undefined,
): string | undefined {
  switch (instruction.kind) {
    case "alu":
    case "neg":
    case "endian":
    case "load":
    case "store":
    case "exit":
    case "jump":
    case "branch":
      return undefined;
    case "load-wide": {
      const { value } = instruction;
      if (value.kind === "number") return undefined;
      if (value.kind === "map")
        return use(value.map) ? undefined : "names a map that is not there";
      if (value.kind === "map-value")
        return use(value.map)?.readOnly === true
          ? undefined
          : `uses the variables of ${value.map}`;
      return "takes an address that is no map's";
    }
    case "call": {
      const { callee } = instruction;
      const isKnown =
        callee.kind === "helper" && [LOOKUP, DELETE].includes(callee.helper);
      return isKnown ? undefined : "calls more than look-ups and deletions";
    }
    case "address-cast":
    case "atomic":
    case "load-acquire":
    case "store-release":
    case "may-goto":
    case "call-register":
    case "load-packet":
      return `has an instruction of another kind (${instruction.kind})`;
  }
}

/** An edge that no trial took, though it is neither decided nor a null test. */
function untaken(
  roles: readonly string[],
  context: {
    readonly group: ReadonlyMap<string, FunctionSpec>;
    readonly ir: IrProgram;
    readonly edges: ReadonlySet<string>;
  },
): string | undefined {
  const { group, ir, edges } = context;
  const names = new Set(roles.map((role) => group.get(role)?.name));
  const functions = ir.functions.filter(({ name }) => names.has(name));
  const never = new Set(
    decide({ ...ir, functions }).infeasible.map((at) =>
      edgeName(at.function, at.instruction, at.taken),
    ),
  );
  for (const fn of functions)
    for (const { terminator } of fn.blocks) {
      if (terminator.kind !== "branch" || isNullTest(fn, terminator)) continue;
      const { at } = terminator;
      for (const taken of [true, false]) {
        const edge = edgeName(at.function, at.instruction, taken);
        if (!edges.has(edge) && !never.has(edge))
          return `what ${at.function} does at instruction ${at.instruction} could not be tried`;
      }
    }
  return undefined;
}

function hasLoop(fn: IrFunction): boolean {
  const rank = new Map(
    reversePostorder(fn).map((block, index) => [block, index]),
  );
  return fn.blocks.some(({ id, terminator }) =>
    edgesOf(terminator).some(
      ({ block }) => (rank.get(block) ?? 0) <= (rank.get(id) ?? -1),
    ),
  );
}

function isNullTest(
  fn: IrFunction,
  test: { readonly left: number; readonly right: number },
): boolean {
  const isCell = (value: number): boolean => {
    const type = fn.values[value];
    return type?.kind === "pointer" && type.region.kind === "map-value";
  };
  return isCell(test.left) !== isCell(test.right);
}
