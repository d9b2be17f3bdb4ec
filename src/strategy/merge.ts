/**
 * Merge: each core adds into its own copy; a reader sums the copies.
 *
 * Fits an object whose cells are only added to and whose old value reaches no
 * verdict, packet or other object. Grade: merged. One-way sound: an access we
 * cannot classify counts as a read, and a read is refused.
 *
 * Source: RFC 9669 section 5.3 (an atomic add with FETCH returns the old value).
 */
import type { Access, StateObject } from "../analysis/index.ts";
import type { ObjectPart } from "./plan.ts";
import { refuse, type Refusal } from "./refusal.ts";

const perCpuForms: Readonly<Record<string, string>> = {
  array: "percpu_array",
  hash: "percpu_hash",
  lru_hash: "lru_percpu_hash",
};

/** May every core keep its own copy of `object`? */
export function merge(object: StateObject): ObjectPart | Refusal {
  const obligation = `${object.name} is only added to, and nothing looks at the sums`;
  const common = {
    object: object.name,
    strategy: "merge",
    obligation,
  } as const;
  const culprit = object.accesses.find(isNoAddition);
  const addition = object.accesses.find(({ op }) => op === "add");
  if (culprit !== undefined)
    return refuse("R-old-value-used", {
      ...common,
      accesses: (addition === undefined ? [culprit] : [addition, culprit]).map(
        ({ op, key, guard, at }) => ({
          object: object.name,
          op,
          key: key.text,
          guard: guard.text,
          at,
        }),
      ),
      text: `${object.name}: ${verb(culprit)}`,
      at: culprit.at,
      slice: [culprit.at],
      edit: "count in a second map that the program only adds to",
    });
  const isWritten = object.accesses.some(({ op }) => op === "add");
  const form = perCpuForms[object.type];
  if (object.global === true) {
    const plain = object.accesses.find(
      ({ op, atomic }) => op === "add" && !atomic,
    );
    if (plain !== undefined)
      return refuse("R-global-data", {
        ...common,
        text: `${object.name}: a variable has no per-CPU form, and this addition is not atomic`,
        at: plain.at,
        slice: [plain.at],
        edit: "count in a BPF_MAP_TYPE_PERCPU_ARRAY, or add with __sync_fetch_and_add",
      });
    return part(
      object,
      isWritten
        ? "its atomic additions commute: shared as it is"
        : "never written: shared as it is",
      false,
    );
  }
  const fixed =
    object.fixedType ??
    (form === undefined
      ? `it is a ${object.type}, which has no per-CPU form`
      : undefined);
  if (form === undefined || fixed !== undefined)
    return refuse("R-merge-type", {
      ...common,
      text: `${object.name} cannot become per-CPU: ${fixed}`,
      slice: [],
      edit: "count in an array or hash map",
    });
  const pair = crossing(object.accesses.filter(({ op }) => op === "add"));
  if (pair !== undefined)
    return refuse("R-crossing-sums", {
      ...common,
      text: `${object.name}: additions of different widths meet in the same bytes, where one carries into the other`,
      at: pair[0].at,
      slice: pair.map(({ at }) => at),
      edit: "give each counter bytes of its own",
    });
  return part(
    object,
    isWritten
      ? `only added to: a copy per core (${form}), summed when read`
      : `never written: a copy per core (${form}) would do`,
    true,
  );
}

function part(
  object: StateObject,
  reason: string,
  layoutChanged: boolean,
): ObjectPart {
  return {
    kind: "part",
    object: object.name,
    strategy: "merge",
    grade: "merged",
    reason,
    layout: layoutChanged ? "per-cpu" : "as-is",
    layoutChanged,
    deviations: layoutChanged
      ? [
          {
            code: "merged-counter",
            object: object.name,
            text: `user space sees one value of ${object.name} per CPU; the original value is their sum`,
          },
        ]
      : [],
  };
}

/** Two additions that share some of their bytes only. */
function crossing(
  additions: readonly Access[],
): readonly [Access, Access] | undefined {
  for (const [index, left] of additions.entries())
    for (const right of additions.slice(index + 1))
      if (cross(left, right)) return [left, right];
  return undefined;
}

function cross(left: Access, right: Access): boolean {
  const [a, b] = [left.bytes, right.bytes];
  if (a === undefined || b === undefined) return left.width !== right.width;
  if (a.offset === b.offset && a.size === b.size) return false;
  return a.offset < b.offset + b.size && b.offset < a.offset + a.size;
}

function isNoAddition({ op, valueUsed }: Access): boolean {
  switch (op) {
    case "lookup":
      return false;
    case "read":
    case "add":
      return valueUsed;
    case "write":
    case "update":
    case "delete":
    case "iterate":
    case "other":
      return true;
  }
}

function verb({ op }: Access): string {
  switch (op) {
    case "read":
      return "its value is looked at";
    case "add":
      return "the old value of an addition is looked at";
    case "update":
      return "entries are created or replaced";
    case "delete":
      return "entries are deleted";
    case "write":
      return "its value is overwritten";
    case "lookup":
    case "iterate":
    case "other":
      return "it is used in another way than by adding";
  }
}
