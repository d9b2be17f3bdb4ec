/**
 * State that cores share, made safe in the kernel: per value, since no lock may be held
 * across a helper call.
 *
 *   atomic   every store into the map ends an addition to what was just loaded: the
 *            three become one atomic addition
 *   lock     a `struct bpf_spin_lock` behind each value, held from the first access of a
 *            value to its last, where no call stands between
 *
 * Else it is refused, with the place: above all where the program inserts or deletes,
 * since between a look-up that missed and the insertion another core may insert.
 *
 * The value grows by the lock (user space sees another layout), and the map's type in
 * BTF names it, as the kernel demands. Around the two helper calls, which destroy r0 to
 * r5, what is still wanted of them stands in the frame.
 *
 * Source: kernel/bpf/verifier.c (process_spin_lock: one lock at a time, no calls),
 * kernel/bpf/btf.c (btf_find_spin_lock).
 */
import { printPlace, type Place } from "../../../base/index.ts";
import {
  editFunction,
  placeOf,
  type Edit,
  type FunctionSpec,
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
import { mapCalls } from "../patch/map-calls.ts";
import { atomicAdds } from "./atomic-adds.ts";
import {
  criticalSection,
  type CriticalSection,
  type NoSection,
} from "./critical-section.ts";
import { RegistersWanted } from "./registers-wanted.ts";
import { valueAccesses, type ValueAccess } from "./value-accesses.ts";

/** Code with its types, if it has any; an object's own. */
export interface TypedCode extends Code {
  readonly btf?: { readonly types: readonly object[] };
}

export interface Locked<T> {
  readonly kind: "locked";
  readonly how: "atomic" | "lock";
  readonly code: T;
}

export interface LockRefusal {
  readonly kind: "refused";
  readonly code:
    "R-lock-helper" | "R-lock-two" | "R-lock-shape" | "R-lock-pointer";
  readonly object: string;
  readonly at: Place;
  readonly text: string;
}

interface Part {
  readonly fn: FunctionSpec;
  readonly accesses: readonly ValueAccess[];
  readonly wanted: RegistersWanted;
}

/** No update of the map's values is lost, however many cores run the code. */
export function withLocks<T extends TypedCode>(
  code: T,
  object: string,
): Locked<T> | LockRefusal {
  const map = mapOf(code, object);
  const refuse = (
    fn: FunctionSpec,
    {
      code: why,
      at,
      text,
    }: Omit<NoSection, "code"> & Pick<LockRefusal, "code">,
  ): LockRefusal => {
    const place = placeOf(fn, at);
    return {
      kind: "refused",
      code: why,
      object,
      at: place,
      text: `${printPlace(place)}: ${text}`,
    };
  };
  const parts: Part[] = [];
  for (const fn of code.functions) {
    const other = mapCalls(fn).find(
      (call) => call.map === object && call.helper !== "map_lookup_elem",
    );
    if (other !== undefined)
      return refuse(fn, {
        code: "R-lock-helper",
        at: other.at,
        text: `bpf_${other.helper} changes ${object}, and no lock is held across a helper call`,
      });
    const { accesses, escape } = valueAccesses(fn, object);
    if (escape !== undefined)
      return refuse(fn, { code: "R-lock-pointer", ...escape });
    if (accesses.length > 0)
      parts.push({ fn, accesses, wanted: new RegistersWanted(fn) });
  }
  const added = parts.map(({ fn, accesses, wanted }) =>
    atomicAdds(fn, accesses, wanted),
  );
  if (added.every((edits) => edits !== undefined)) {
    const functions = parts.map(({ fn }, at) =>
      editFunction(fn, added[at] ?? []),
    );
    return {
      kind: "locked",
      how: "atomic",
      code: withFunctions(code, functions),
    };
  }
  const lockAt = Math.ceil(map.valueSize / 4) * 4;
  const functions: FunctionSpec[] = [];
  for (const part of parts) {
    const locked = lockedFunction(part, lockAt);
    if ("code" in locked) return refuse(part.fn, locked);
    functions.push(locked);
  }
  const result = withFunctions(withLockedValues(code, map, lockAt), functions);
  checkFrames(result);
  return { kind: "locked", how: "lock", code: result };
}

function lockedFunction(
  { fn, accesses, wanted }: Part,
  lockAt: number,
): FunctionSpec | (Omit<NoSection, "code"> & Pick<LockRefusal, "code">) {
  const sections: CriticalSection[] = [];
  for (const site of new Set(accesses.map((access) => access.site))) {
    const own = accesses.filter((access) => access.site === site);
    // One access is whole by itself.
    if (own.length === 1) continue;
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
  if (sections.length === 0) return fn;
  const frame = freeSlot(fn, 8 * (1 + callerSaved.length));
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
    ...gives.map(({ at, reach }): Edit => ({
      kind: "insert",
      at,
      reach,
      instructions: around(wanted.before(at), frame, [
        `r1 = *(u64 *)(r10 + ${frame})`,
        "call spin_unlock",
      ]),
    })),
  ]);
  return editFunction(fn, edits);
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
  lockAt: number,
): T {
  const valueSize = Math.ceil((lockAt + 4) / 8) * 8;
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
    { kind: "struct", name: `${map.name}_locked`, size: valueSize, bitFields: false, members: [
      { name: "value", type: bytes, bitOffset: 0, bitSize: 0 },
      { name: "lock", type: lock, bitOffset: 8 * lockAt, bitSize: 0 },
    ] },
  ];
  const changed = withReplacedMap(code, {
    ...map,
    valueSize,
    valueFields: [
      ...(map.valueFields ?? []).filter(({ kind }) => kind !== "spin-lock"),
      { path: "lock", kind: "spin-lock", bitOffset: 8 * lockAt, bits: 32 },
    ],
    ...(btf === undefined || value === undefined ? {} : { btfValue: value }),
  });
  return btf === undefined
    ? changed
    : { ...changed, btf: { types: [...btf.types, ...types] } };
}
