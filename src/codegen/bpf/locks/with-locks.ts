/**
 * State that cores share, made safe in the kernel: per value, since no lock may be held
 * across a helper call.
 *
 *   atomic   each value is touched by one instruction, or by additions to what was just
 *            loaded, which become atomic ones
 *   lock     a `struct bpf_spin_lock` behind each value, held from the first access of a
 *            value to its last, where no call stands between
 *   own      the program's own lock in the value, under which all of it is done
 *
 * A key that a look-up missed is inserted once (insertions.ts). Else it is refused, with
 * the place: above all where the program deletes, since a value that one core deletes
 * may be in use on another.
 *
 * The value grows by the lock (user space sees another layout), and the map's type in
 * BTF names it, as the kernel demands. Around the two helper calls, which destroy r0 to
 * r5, what is still wanted of them stands in the frame.
 *
 * Source: kernel/bpf/verifier.c (process_spin_lock: one lock at a time, no calls),
 * kernel/bpf/btf.c (btf_find_spin_lock).
 */
import { Bug, InputError, UnsupportedError } from "../../../base/index.ts";
import {
  editFunction,
  helperByNumber,
  local,
  targetOf,
  withTarget,
  type Edit,
  type FunctionSpec,
  type Instruction,
  type MapSpec,
  type Register,
} from "../../../isa/index.ts";
import { assembled } from "../patch/assembled.ts";
import {
  mapOf,
  withFunctions,
  withReplacedMap,
  type Code,
} from "../patch/code.ts";
import { checkFrames, freeSlot } from "../patch/frame.ts";
import { hasAddress, mapCalls, strayUse } from "../patch/map-calls.ts";
import { atomicAdds } from "./atomic-adds.ts";
import {
  criticalSection,
  type CriticalSection,
  type Give,
  type NoLock,
} from "./critical-section.ts";
import {
  insertionEdits,
  insertionsOf,
  roomFor,
  type Insertion,
} from "./insertions.ts";
import { lockRefusal, type LockRefusal } from "./lock-refusal.ts";
import { unlockedUse } from "./own-locks.ts";
import { RegistersWanted } from "./registers-wanted.ts";
import { isWhole, type Touched } from "./single-touches.ts";
import { valueAccesses, type ValueAccess } from "./value-accesses.ts";

/** Code with its types, if it has any; an object's own. */
export interface TypedCode extends Code {
  readonly btf?: { readonly types: readonly object[] };
}

export type LockForm = "atomic" | "lock" | "own";

export interface Locked<T> {
  readonly kind: "locked";
  readonly how: LockForm;
  /** Does a packet see what others did to a value? */
  readonly isObserved: boolean;
  readonly code: T;
}

interface Part {
  readonly fn: FunctionSpec;
  readonly accesses: readonly ValueAccess[];
  readonly insertions: readonly Insertion[];
  readonly wanted: RegistersWanted;
}

/** No update of the map's values is lost, however many cores run the code. */
export function withLocks<T extends TypedCode>(
  code: T,
  object: string,
): Locked<T> | LockRefusal {
  const map = mapOf(code, object);
  const parts: Part[] = [];
  for (const fn of code.functions) {
    const part = partOf(code, fn, map);
    if (part === undefined) continue;
    if ("code" in part) return lockRefusal(object, fn, part);
    parts.push(part);
  }
  try {
    const own = map.valueFields?.find(({ kind }) => kind === "spin-lock");
    if (own !== undefined) return ownLocks(code, map, parts);
    return asWholeTouches(code, map, parts) ?? withNewLocks(code, map, parts);
  } catch (error) {
    const [first] = parts;
    // No room in a frame, or code that nothing can be put into.
    const isRefusal =
      error instanceof UnsupportedError || error instanceof InputError;
    if (!isRefusal || first === undefined) throw error;
    const text = error.message;
    return lockRefusal(object, first.fn, { code: "R-lock-shape", at: 0, text });
  }
}

/** What a function does with the map; undefined: nothing. */
function partOf(
  { maps }: Code,
  fn: FunctionSpec,
  map: MapSpec,
): Part | NoLock | undefined {
  if (!hasAddress(fn, map.name)) return undefined;
  const unknown = mapCalls(fn).find((call) => call.map === undefined);
  if (unknown !== undefined)
    return {
      code: "R-lock-pointer",
      at: unknown.at,
      text: `a call may be one with map ${map.name}`,
    };
  const stray = strayUse(fn, map.name);
  if (stray !== undefined) return { code: "R-lock-pointer", ...stray };
  const wanted = new RegistersWanted(fn);
  const insertions = insertionsOf(fn, map, { maps, wanted });
  if ("code" in insertions) return insertions;
  const { accesses, escape } = valueAccesses(fn, map.name);
  if (escape !== undefined) return { code: "R-lock-pointer", ...escape };
  return { fn, accesses, insertions, wanted };
}

/** Each value is touched once on each way, or added to. */
function asWholeTouches<T extends TypedCode>(
  code: T,
  map: MapSpec,
  parts: readonly Part[],
): Locked<T> | undefined {
  const touched: (Part & Touched & { readonly edits: readonly Edit[] })[] = [];
  for (const part of parts) {
    const { fn, accesses, wanted } = part;
    const added = atomicAdds(fn, accesses, wanted);
    const { edits, ends } = added ?? { edits: [], ends: new Set<number>() };
    touched.push({ ...part, edits, ends, isAdded: added !== undefined });
  }
  const whole = isWhole(touched);
  if (whole === undefined) return undefined;
  const inserts = parts.some(({ insertions }) => insertions.length > 0);
  // Times that are stored are looked at by packets with times of their own.
  if ((whole.hasStores || inserts) && clockRead(code) !== undefined)
    return undefined;
  const functions = touched.map(({ fn, edits, insertions }) =>
    editFunction(fn, [
      ...edits,
      ...insertionEdits(insertions, map, {
        frame: frameFor(fn, roomFor(insertions, 0)),
        grown: 0,
      }),
    ]),
  );
  const result = withFunctions(code, functions);
  checkFrames(result);
  return {
    kind: "locked",
    how: "atomic",
    isObserved: inserts || whole.isObserved,
    code: result,
  };
}

const frameFor = (fn: FunctionSpec, bytes: number): number =>
  bytes === 0 ? 0 : freeSlot(fn, bytes);

function ownLocks<T extends TypedCode>(
  code: T,
  map: MapSpec,
  parts: readonly Part[],
): Locked<T> | LockRefusal {
  const isStore = ({ op }: ValueAccess): boolean =>
    op === "store" || op === "atomic";
  const stores = parts.flatMap(({ accesses }) => accesses.filter(isStore));
  const isChanged = ({ offset, size }: ValueAccess): boolean =>
    stores.some(
      (other) =>
        other.offset < offset + size && offset < other.offset + other.size,
    );
  for (const { fn, accesses } of parts) {
    const bare = unlockedUse(fn, accesses, isChanged);
    if (bare !== undefined) return lockRefusal(map.name, fn, bare);
  }
  const functions = parts.map(({ fn, insertions }) =>
    editFunction(
      fn,
      insertionEdits(insertions, map, {
        frame: frameFor(fn, roomFor(insertions, 0)),
        grown: 0,
      }),
    ),
  );
  return {
    kind: "locked",
    how: "own",
    isObserved: true,
    code: withFunctions(code, functions),
  };
}

function withNewLocks<T extends TypedCode>(
  code: T,
  map: MapSpec,
  parts: readonly Part[],
): Locked<T> | LockRefusal {
  const [first] = parts;
  const hasRoom = map.type === "array" || map.type === "hash";
  const isTyped = code.btf !== undefined && map.btfKey !== undefined;
  if (first !== undefined && (!hasRoom || map.data !== undefined || !isTyped))
    return lockRefusal(map.name, first.fn, {
      code: "R-lock-type",
      at: first.accesses[0]?.at ?? 0,
      text:
        map.data !== undefined
          ? `${map.name} holds variables, which have no room for a lock`
          : hasRoom
            ? `the types of ${map.name} are not known, and the kernel finds locks by type`
            : `a ${map.type} map holds no locks`,
    });
  const clock = clockRead(code);
  if (clock !== undefined)
    return lockRefusal(map.name, clock.fn, {
      code: "R-lock-clock",
      at: clock.at,
      text: `the clock is read before a lock can be taken: a later time may stand in ${map.name} by then, and time would run backwards`,
    });
  const lockAt = Math.ceil(map.valueSize / 4) * 4;
  const grown = Math.ceil((lockAt + 4) / 8) * 8;
  const functions: FunctionSpec[] = [];
  for (const part of parts) {
    const locked = lockedFunction(part, map, { lockAt, grown });
    if ("code" in locked) return lockRefusal(map.name, part.fn, locked);
    functions.push(locked);
  }
  const typed = withLockedValues(code, map, { lockAt, grown });
  const result = withFunctions(typed, functions);
  checkFrames(result);
  return { kind: "locked", how: "lock", isObserved: true, code: result };
}

/** Where the time of day goes into a program. */
function clockRead({ functions }: Code): FunctionPlace | undefined {
  for (const fn of functions) {
    const at = fn.instructions.findIndex(
      (instruction) =>
        instruction.kind === "call" &&
        instruction.callee.kind === "helper" &&
        helperByNumber(instruction.callee.helper)?.reads.includes("time"),
    );
    if (at >= 0) return { fn, at };
  }
  return undefined;
}

interface FunctionPlace {
  readonly fn: FunctionSpec;
  readonly at: number;
}

function lockedFunction(
  { fn, accesses, insertions, wanted }: Part,
  map: MapSpec,
  { lockAt, grown }: { lockAt: number; grown: number },
): FunctionSpec | NoLock {
  const sections: CriticalSection[] = [];
  for (const site of new Set(accesses.map((access) => access.site))) {
    const own = accesses.filter((access) => access.site === site);
    const section = criticalSection(fn, site, own);
    if ("code" in section) return section;
    const twice = fn.instructions.findIndex(
      (_, at) => section.held[at] && sections.some(({ held }) => held[at]),
    );
    if (twice >= 0)
      return {
        code: "R-lock-two",
        at: twice,
        text: "two values are in use at once, and only one lock can be held",
      };
    sections.push(section);
  }
  const elsewhere = insertions.find(({ value }) => value === undefined);
  if (elsewhere !== undefined)
    return {
      code: "R-lock-pointer",
      at: elsewhere.at,
      text: `a new value of ${map.name} does not stand in the frame, where a lock could be put behind it`,
    };
  const lockRoom = sections.length === 0 ? 0 : 8 * (1 + callerSaved.length);
  const room = lockRoom + roomFor(insertions, grown);
  if (room === 0) return fn;
  const frame = freeSlot(fn, room);
  const edits = sections.flatMap(({ takes, gives }): Edit[] => [
    ...takes.map(({ at, base, offset }): Edit => ({
      kind: "insert",
      at,
      instructions: around(wanted.before(at), frame, [
        `r1 = r${base}`,
        `r1 += ${lockAt - offset + baseOffset(fn, at)}`,
        `*(u64 *)(r10 + ${frame}) = r1`,
        "call spin_lock",
      ]),
    })),
    ...gives.map((give) =>
      giveEdit(
        fn,
        give,
        around(wanted.before(give.at), frame, [
          `r1 = *(u64 *)(r10 + ${frame})`,
          "call spin_unlock",
        ]),
      ),
    ),
  ]);
  return editFunction(fn, [
    ...edits,
    ...insertionEdits(insertions, map, { frame: frame + lockRoom, grown }),
  ]);
}

/** A jump that gives the lock back leads through that first. */
function giveEdit(
  { instructions }: FunctionSpec,
  give: Give,
  code: readonly Instruction[],
): Edit {
  const { at } = give;
  if (give.reach !== "jump")
    return { kind: "insert", at, reach: give.reach, instructions: code };
  const jump = instructions[give.from];
  if (jump === undefined) throw new Bug(`no jump at ${give.from}`);
  const there: Instruction = { kind: "jump", target: at, long: false };
  const shifted = code.map((each) => {
    const target = targetOf(each);
    return target === undefined ? each : withTarget(each, target - 2);
  });
  return {
    kind: "replace",
    at: give.from,
    instructions:
      jump.kind === "jump"
        ? [...code, there]
        : [
            withTarget(jump, local(2)),
            { kind: "jump", target: local(3 + code.length), long: false },
            ...shifted,
            there,
          ],
  };
}

/** What the access itself adds to its base register. */
function baseOffset({ instructions }: FunctionSpec, at: number): number {
  const instruction = instructions[at];
  return instruction !== undefined && "base" in instruction
    ? instruction.offset
    : 0;
}

const callerSaved: readonly Register[] = [0, 1, 2, 3, 4, 5];

function around(
  wanted: ReadonlySet<Register>,
  frame: number,
  lines: readonly string[],
): ReturnType<typeof assembled> {
  const kept = callerSaved.filter((register) => wanted.has(register));
  const slot = (register: Register): number => frame + 8 * (1 + register);
  return assembled(
    [
      ...kept.map((each) => `*(u64 *)(r10 + ${slot(each)}) = r${each}`),
      ...lines,
      ...kept.map((each) => `r${each} = *(u64 *)(r10 + ${slot(each)})`),
    ].join("\n"),
  );
}

/** The map with a lock behind each value, and its type. */
function withLockedValues<T extends TypedCode>(
  code: T,
  map: MapSpec,
  { lockAt, grown }: { lockAt: number; grown: number },
): T {
  const { btf } = code;
  const next = btf?.types.length ?? 0;
  const [int, lock, byte, bytes, value] = [0, 1, 2, 3, 4].map(
    (at) => next + at,
  );
  // prettier-ignore
  const types: readonly object[] = [
    { kind: "int", name: "divisi_u32", size: 4, bits: 32, offset: 0, encoding: 0 },
    { kind: "struct", name: "bpf_spin_lock", size: 4, bitFields: false, members: [{ name: "val", type: int, bitOffset: 0, bitSize: 0 }] },
    { kind: "int", name: "divisi_u8", size: 1, bits: 8, offset: 0, encoding: 0 },
    { kind: "array", type: byte, index: int, count: map.valueSize },
    { kind: "struct", name: `${map.name}_locked`, size: grown, bitFields: false, members: [
      { name: "value", type: bytes, bitOffset: 0, bitSize: 0 },
      { name: "lock", type: lock, bitOffset: 8 * lockAt, bitSize: 0 },
    ] },
  ];
  const changed = withReplacedMap(code, {
    ...map,
    valueSize: grown,
    valueFields: [
      ...(map.valueFields ?? []),
      { path: "lock", kind: "spin-lock", bitOffset: 8 * lockAt, bits: 32 },
    ],
    ...(btf === undefined || value === undefined ? {} : { btfValue: value }),
  });
  return btf === undefined
    ? changed
    : { ...changed, btf: { types: [...btf.types, ...types] } };
}
