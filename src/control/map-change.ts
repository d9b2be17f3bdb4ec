/**
 * What becomes of a map when another program takes the place of its own.
 *
 *   keep     one map serves both programs: nothing is copied, nothing is lost
 *   migrate  entries are copied, where only the size or the copies per CPU changed
 *   new      the new program starts with it as it comes
 *   refuse   its contents have no place in the new program
 *
 * Two layouts are equal when sizes are and, where both maps have types, every member
 * lies where it lay and is called as it was.
 *
 * Where packets go to other cores than before (placement.ts), state that only one core
 * sees is refused, and what directs packets is the new plan's.
 */
import type { MapRecord } from "./attachment.ts";
import { isPrivate } from "./placement.ts";

export type MapChange =
  | { readonly kind: "keep" | "migrate" | "new"; readonly map: string }
  | { readonly kind: "refuse"; readonly map: string; readonly reason: string };

// prettier-ignore
const copyable: Readonly<Record<string, string>> = { hash: "hash", percpu_hash: "hash", lru_hash: "lru_hash", lru_percpu_hash: "lru_hash", array: "array", percpu_array: "array", lpm_trie: "lpm_trie" };

/** Every map of the new program, and every one of the old that has no successor. */
export function mapChanges(
  before: readonly MapRecord[],
  after: readonly MapRecord[],
  moved?: string,
): readonly MapChange[] {
  const gone = before.filter(
    (old) => !after.some(({ name }) => name === old.name),
  );
  return [
    ...after.map((map) =>
      changeOf(
        before.find(({ name }) => name === map.name),
        map,
        moved,
      ),
    ),
    ...gone
      .filter((map) => holdsState(map) && map.writtenBy === undefined)
      .map(({ name: map }) =>
        refuse(map, "the new program has no map of this name"),
      ),
  ];
}

/** Neither constants nor what we fill in ourselves. */
function holdsState({ readOnly, isFilled }: MapRecord): boolean {
  return !readOnly && !isFilled;
}

function changeOf(
  old: MapRecord | undefined,
  map: MapRecord,
  moved: string | undefined,
): MapChange {
  const { name } = map;
  if (old === undefined || !holdsState(map)) return { kind: "new", map: name };
  if (moved !== undefined) {
    if (map.writtenBy !== undefined) return { kind: "new", map: name };
    if (isPrivate(old) || isPrivate(map))
      return refuse(name, `each core has its own part of it, and ${moved}`);
  }
  if (old.keySize !== map.keySize)
    return refuse(name, `keys have ${map.keySize} bytes, not ${old.keySize}`);
  if (map.section !== "" && old.section !== "") return sectionChange(old, map);
  if (old.valueSize !== map.valueSize)
    return refuse(
      name,
      `values have ${map.valueSize} bytes, not ${old.valueSize}`,
    );
  for (const which of ["keyFields", "valueFields"] as const) {
    const difference = fieldDifference(old[which], map[which]);
    if (difference !== undefined) return refuse(name, difference);
  }
  if (JSON.stringify(old.cores) !== JSON.stringify(map.cores))
    return refuse(
      name,
      "under the new plan its cells belong to other cores, which would not find them",
    );
  const isSame =
    old.type === map.type &&
    old.maxEntries === map.maxEntries &&
    old.flags === map.flags;
  if (isSame) return { kind: "keep", map: name };
  if (
    copyable[old.type] === undefined ||
    copyable[old.type] !== copyable[map.type]
  )
    return refuse(name, `it is a ${map.type}, not a ${old.type}`);
  if (old.originalType !== map.originalType)
    return refuse(
      name,
      `the program means a ${map.originalType}, not a ${old.originalType}`,
    );
  return { kind: "migrate", map: name };
}

/** Variables move one by one; a new one starts as the program says. */
function sectionChange(old: MapRecord, map: MapRecord): MapChange {
  const { name } = map;
  if (
    old.valueSize === map.valueSize &&
    fieldDifference(old.valueFields, map.valueFields) === undefined
  )
    return { kind: "keep", map: name };
  if (old.valueFields.length === 0 || map.valueFields.length === 0)
    return refuse(name, "its variables changed, and it has no types");
  for (const { path, bits } of old.valueFields) {
    const now = map.valueFields.find((field) => field.path === path);
    if (now === undefined)
      return refuse(name, `the new program has no variable ${path}`);
    if (now.bits !== bits)
      return refuse(name, `variable ${path} has ${now.bits} bits, not ${bits}`);
  }
  return { kind: "migrate", map: name };
}

function fieldDifference(
  old: MapRecord["valueFields"],
  now: MapRecord["valueFields"],
): string | undefined {
  if (old.length === 0 || now.length === 0) return undefined;
  for (const [index, field] of now.entries()) {
    const before = old[index];
    if (before === undefined) return `member ${field.path} is new`;
    if (before.path !== field.path)
      return `member ${field.path} stands where ${before.path} stood`;
    if (before.bitOffset !== field.bitOffset || before.bits !== field.bits)
      return `member ${field.path} lies or measures differently`;
  }
  const left = old[now.length];
  return left === undefined ? undefined : `member ${left.path} is gone`;
}

function refuse(map: string, reason: string): MapChange {
  return { kind: "refuse", map, reason };
}
