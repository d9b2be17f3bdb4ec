/**
 * The race lint: what goes wrong if the *sequential* program runs on several
 * cores with one shared map, as XDP does by default.
 *
 *   lost-update     a shared value is loaded, changed and stored back, with
 *                   neither an atomic instruction nor a lock
 *   check-then-act  a lookup misses, then the key is created without BPF_NOEXIST
 *   unlocked-write  a shared value is overwritten without a lock
 *
 * No races: per-CPU maps and arrays indexed by CPU, complete CAS loops (they
 * store nothing plainly), regions under a spin lock, update or delete alone.
 * It speaks of what it has seen on some path; silence is no proof.
 */
import { printPlace, type Place } from "../base/index.ts";
import type { Race, StateObject } from "./report.ts";
import { spotOf } from "./uses.ts";
import type { Touch } from "./touch.ts";

const NOEXIST = 1;

export function racesOf(
  objects: readonly StateObject[],
  touches: readonly Touch[],
  dependent: ReadonlySet<string>,
): readonly Race[] {
  return objects.flatMap((object) => {
    if (object.access === "per-cpu" || object.cpuIndexed) return [];
    const own = touches.filter(
      ({ object: name, callee }) =>
        name === object.name && callee === undefined,
    );
    const found = (kind: Race["kind"], test: (touch: Touch) => boolean) =>
      raceAt(object.name, kind, own.filter(test));
    const plain = (touch: Touch) =>
      touch.op === "write" && !touch.atomic && !touch.locked;
    // A cell that was looked at before it is stored to: the store may hang on it.
    const seen = new Set(
      own.filter(({ op }) => op === "read").map(({ root }) => root),
    );
    const hangs = (touch: Touch) =>
      dependent.has(spotOf(touch.where)) || seen.has(touch.root);
    return [
      ...found("lost-update", (touch) => plain(touch) && hangs(touch)),
      ...found(
        "check-then-act",
        (touch) =>
          touch.op === "update" &&
          touch.afterMiss &&
          !touch.locked &&
          touch.flags !== NOEXIST,
      ),
      ...found("unlocked-write", (touch) => plain(touch) && !hangs(touch)),
    ];
  });
}

function raceAt(
  object: string,
  kind: Race["kind"],
  touches: readonly Touch[],
): readonly Race[] {
  const places = new Map<string, Place>();
  for (const { at } of touches)
    places.set(`${at.function}.${at.file}.${at.line ?? at.instruction}`, at);
  if (places.size === 0) return [];
  const at = [...places.values()];
  const where = at.map(printPlace).join(", ");
  return [{ object, kind, at, text: `${object}: ${texts[kind]} (${where})` }];
}

const texts: Readonly<Record<Race["kind"], string>> = {
  "lost-update":
    "a value is read, changed and written back without lock or atomic instruction; another core's change in between is lost",
  "check-then-act":
    "a key that was not found is created without BPF_NOEXIST; another core may have created it in between",
  "unlocked-write":
    "a shared value is overwritten without a lock; which core wins is chance",
};
