/**
 * Insertions of a key that was looked up and not found, made one step on several cores.
 *
 *        call map_lookup_elem (site)          two cores may both miss; with BPF_NOEXIST
 *        if r0 == 0 goto miss                 one of them inserts. The other looks up
 *        … uses the value …                   again, finds the value, and goes on behind
 *   miss: …                                   its look-up as if it had found it at once.
 *        call map_update_elem
 *
 * Going back is right if nobody can tell: between look-up and insertion nothing outside
 * the frame is changed, the key's bytes stay, r6 to r9 are kept, and what is written to
 * the frame on the way is wanted by nobody behind the look-up. Nothing is ever deleted
 * (with-locks.ts refuses that), so the second look-up finds it; where user space deleted
 * it meanwhile, the insertion has failed (-EEXIST), as a full map's would.
 *
 * One-way sound: what is not recognised is refused, with its place.
 */
import {
  helperByNumber,
  targetOf,
  withTarget,
  type Edit,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
  type Register,
} from "../../../isa/index.ts";
import { MachineLiveness, registerBit } from "../lower/machine-liveness.ts";
import { fallsThrough } from "../patch/arguments-read.ts";
import { assembled } from "../patch/assembled.ts";
import { mapCalls, type MapCall } from "../patch/map-calls.ts";
import { registerContents, type Contents } from "../patch/register-contents.ts";
import type { NoLock } from "./critical-section.ts";
import { frameBytes, frameStore, frameWanted } from "./frame-wanted.ts";
import type { RegistersWanted } from "./registers-wanted.ts";
import { pointersBefore, sitesOf, type Pointer } from "./value-accesses.ts";

export interface Insertion {
  /** The call that inserts. */
  readonly at: number;
  /** The look-up that missed. */
  readonly site: number;
  /** The key, from r10. */
  readonly key: number;
  /** The new value, from r10; undefined: somewhere else. */
  readonly value: number | undefined;
  /** Of r6 to r9, those that must be as they were at the look-up. */
  readonly kept: readonly Register[];
}

/** Those into `map` in a function, or why one of them is not such. */
export function insertionsOf(
  fn: FunctionSpec,
  map: MapSpec,
  { maps, wanted }: { maps: readonly MapSpec[]; wanted: RegistersWanted },
): readonly Insertion[] | NoLock {
  const calls = mapCalls(fn).filter((call) => call.map === map.name);
  const others = calls.filter(({ helper }) => helper !== "map_lookup_elem");
  const found: Insertion[] = [];
  for (const call of others) {
    if (call.helper !== "map_update_elem" || map.type !== "hash")
      return {
        code: "R-lock-helper",
        at: call.at,
        text: `bpf_${call.helper} changes ${map.name}, and no lock is held across a helper call`,
      };
    const insertion = insertionOf(fn, map, { call, maps, wanted });
    if ("code" in insertion) return insertion;
    found.push(insertion);
  }
  return found;
}

function insertionOf(
  fn: FunctionSpec,
  map: MapSpec,
  {
    call: { at },
    maps,
    wanted,
  }: {
    call: MapCall;
    maps: readonly MapSpec[];
    wanted: RegistersWanted;
  },
): Insertion | NoLock {
  const no = (text: string, place = at): NoLock => ({
    code: "R-lock-helper",
    at: place,
    text,
  });
  const [site, ...more] = [
    ...(missesBefore(fn, map.name)[at] ?? new Set<number>()),
  ];
  if (site === undefined || more.length > 0)
    return no(
      `bpf_map_update_elem changes ${map.name} where its key was not looked up and missed just before`,
    );
  const contents = registerContents(fn);
  const key = contents[at]?.registers.get(2);
  const looked = contents[site]?.registers.get(2);
  if (
    key?.kind !== "frame" ||
    looked?.kind !== "frame" ||
    key.offset !== looked.offset
  )
    return no(`${map.name} gets another key than was looked up`);
  const flags = constantBefore(fn, at, 4);
  if (flags !== 0 && flags !== 1)
    return no(`${map.name} is updated with flags that forbid an insertion`);
  const region = between(fn, site, at);
  const live = frameWanted(fn, maps)[site + 1] ?? 0n;
  const guarded = live | frameBytes(key.offset, map.keySize);
  let written = 0n;
  for (const inside of region) {
    const instruction = fn.instructions[inside];
    const here = contents[inside];
    if (instruction === undefined || here === undefined) continue;
    if (hasEffect(instruction, here) || overwrites(instruction, here, guarded))
      return no(
        `between the look-up in ${map.name} and the insertion something else is changed, which cannot be done twice`,
        inside,
      );
    written |= liveness.effect(instruction, 0).writes;
  }
  const after = wanted.before(site + 1);
  const value = contents[at]?.registers.get(3);
  return {
    at,
    site,
    key: key.offset,
    value: value?.kind === "frame" ? value.offset : undefined,
    kept: ([6, 7, 8, 9] as const).filter(
      (register) =>
        after.has(register) && (written & registerBit(register)) !== 0n,
    ),
  };
}

/** Bytes of frame that the edits need. */
export function roomFor(
  insertions: readonly Insertion[],
  grown: number,
): number {
  return Math.max(0, ...insertions.map(({ kept }) => 8 * kept.length + grown));
}

/** `grown`: the size of a value that has a lock now; 0: it is as it was. */
export function insertionEdits(
  insertions: readonly Insertion[],
  map: MapSpec,
  { frame, grown }: { frame: number; grown: number },
): readonly Edit[] {
  return insertions.flatMap(({ at, site, key, value = 0, kept }): Edit[] => {
    const slot = (index: number): number => frame + grown + 8 * index;
    const again = assembled(
      [
        "if r0 != -17 goto done",
        `r1 = map ${JSON.stringify(map.name)} ll`,
        "r2 = r10",
        `r2 += ${key}`,
        "call map_lookup_elem",
        "if r0 == 0 goto gone",
        ...kept.map(
          (each, index) => `r${each} = *(u64 *)(r10 + ${slot(index)})`,
        ),
        "goto done",
        "gone:",
        "r0 = -17",
        "done:",
      ].join("\n"),
    );
    return [
      ...(kept.length === 0
        ? []
        : [
            {
              kind: "insert",
              at: site,
              instructions: assembled(
                kept
                  .map(
                    (each, index) =>
                      `*(u64 *)(r10 + ${slot(index)}) = r${each}`,
                  )
                  .join("\n"),
              ),
            } as const,
          ]),
      {
        kind: "insert",
        at,
        instructions: assembled(
          [
            ...(grown === 0
              ? []
              : copied(value, frame, { from: map.valueSize, to: grown })),
            "r4 = 1",
          ].join("\n"),
        ),
      },
      {
        kind: "insert",
        at: at + 1,
        reach: "fall-through",
        instructions: again.map((instruction) =>
          instruction.kind === "jump"
            ? withTarget(instruction, site + 1)
            : instruction,
        ),
      },
    ];
  });
}

/** The value with zeros behind it, where r3 points to in the end. */
function copied(
  value: number,
  frame: number,
  { from, to }: { from: number; to: number },
): readonly string[] {
  const lines: string[] = [];
  for (let at = 0; at < to;) {
    const size =
      [8, 4, 2, 1].find(
        (each) =>
          (frame + at) % each === 0 &&
          (at >= from
            ? at + each <= to
            : (value + at) % each === 0 && at + each <= from),
      ) ?? 1;
    const type = `u${8 * size}`;
    lines.push(
      at >= from ? "r5 = 0" : `r5 = *(${type} *)(r10 + ${value + at})`,
      `*(${type} *)(r10 + ${frame + at}) = r5`,
    );
    at += size;
  }
  return [...lines, "r3 = r10", `r3 += ${frame}`];
}

const liveness = new MachineLiveness([]);

/** Look-ups that surely missed, in front of each instruction. */
function missesBefore(
  fn: FunctionSpec,
  map: string,
): readonly (ReadonlySet<number> | undefined)[] {
  const { instructions } = fn;
  const sites = sitesOf(fn, map);
  const pointers = pointersBefore(fn, sites);
  const before: (ReadonlySet<number> | undefined)[] = instructions.map(
    () => undefined,
  );
  const work: number[] = [];
  const reach = (at: number, missed: ReadonlySet<number>): void => {
    const old = before[at];
    const joined =
      old === undefined
        ? missed
        : new Set([...old].filter((site) => missed.has(site)));
    if (old !== undefined && old.size === joined.size) return;
    before[at] = joined;
    work.push(at);
  };
  reach(0, new Set());
  for (let at = work.pop(); at !== undefined; at = work.pop()) {
    const instruction = instructions[at];
    const missed = before[at];
    if (instruction === undefined || missed === undefined) continue;
    const after = sites.has(at)
      ? new Set([...missed].filter((site) => site !== at))
      : missed;
    const test = nullTest(instruction, pointers[at]);
    const on = (isNull: boolean): ReadonlySet<number> =>
      test !== undefined && test.isNullAtTarget === isNull
        ? new Set([...after, test.site])
        : after;
    const target = targetOf(instruction);
    if (target !== undefined) reach(target, on(true));
    if (fallsThrough(instruction) && at + 1 < instructions.length)
      reach(at + 1, target === undefined ? after : on(false));
  }
  return before;
}

/** A branch that asks whether a look-up found something. */
function nullTest(
  instruction: Instruction,
  registers: ReadonlyMap<number, Pointer> | undefined,
): { readonly site: number; readonly isNullAtTarget: boolean } | undefined {
  if (instruction.kind !== "branch" || instruction.width !== 64)
    return undefined;
  const { op, left, right } = instruction;
  if (right.kind !== "immediate" || right.value !== 0) return undefined;
  const pointer = registers?.get(left);
  if (pointer === undefined || pointer === "lost" || pointer.offset !== 0)
    return undefined;
  if (op !== "jeq" && op !== "jne") return undefined;
  return { site: pointer.site, isNullAtTarget: op === "jeq" };
}

/** Instructions on the ways from one to another that do not pass the first again. */
function between(
  { instructions }: FunctionSpec,
  from: number,
  to: number,
): readonly number[] {
  const next = instructions.map((instruction, at) => {
    const target = targetOf(instruction);
    return [
      ...(fallsThrough(instruction) ? [at + 1] : []),
      ...(target === undefined ? [] : [target]),
    ];
  });
  const flood = (
    starts: readonly number[],
    edges: readonly (readonly number[])[],
  ): ReadonlySet<number> => {
    const seen = new Set<number>();
    const work = [...starts];
    for (let at = work.pop(); at !== undefined; at = work.pop()) {
      if (seen.has(at) || at === from) continue;
      seen.add(at);
      work.push(...(edges[at] ?? []));
    }
    return seen;
  };
  const back = instructions.map((): number[] => []);
  for (const [at, targets] of next.entries())
    for (const target of targets) back[target]?.push(at);
  const reached = flood([from + 1], next);
  const leading = flood(back[to] ?? [], back);
  return [...reached].filter((at) => leading.has(at) && at !== to);
}

/** Does somebody else see that it was done? */
function hasEffect(instruction: Instruction, { registers }: Contents): boolean {
  const { kind } = instruction;
  if (kind === "store" || kind === "store-release" || kind === "atomic")
    return registers.get(instruction.base)?.kind !== "frame";
  if (kind === "call-register") return true;
  if (kind !== "call") return false;
  if (instruction.callee.kind !== "helper") return true;
  const helper = helperByNumber(instruction.callee.helper);
  return (
    helper?.args === undefined ||
    helper.effects.length > 0 ||
    helper.invalidatesPacket ||
    helper.args.some(
      (argument) =>
        !["map", "map-key", "number", "size"].includes(argument.kind),
    )
  );
}

function overwrites(
  instruction: Instruction,
  contents: Contents,
  guarded: bigint,
): boolean {
  const bytes = frameStore(instruction, contents);
  return bytes === "unknown" || (bytes & guarded) !== 0n;
}

/** What a register was set to in the same straight line, if that is a number. */
function constantBefore(
  { instructions }: FunctionSpec,
  at: number,
  register: Register,
): number | undefined {
  const targets = new Set(instructions.map((each) => targetOf(each)));
  for (let index = at - 1; index >= 0; index--) {
    if (targets.has(index + 1)) return undefined;
    const instruction = instructions[index];
    if (instruction === undefined || !fallsThrough(instruction))
      return undefined;
    const { writes } = liveness.effect(instruction, 0);
    if ((writes & registerBit(register)) === 0n) {
      if (instruction.kind === "call") return undefined;
      continue;
    }
    return instruction.kind === "alu" &&
      instruction.op === "mov" &&
      instruction.src.kind === "immediate"
      ? instruction.src.value
      : undefined;
  }
  return undefined;
}
