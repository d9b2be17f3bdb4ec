/** In what a sharded object differs from one core's. */
import type { StateObject } from "../analysis/index.ts";
import { capacitySplit } from "./capacity.ts";
import type { Family } from "./families.ts";
import type { Deviation, Layout } from "./plan.ts";

// prettier-ignore
const malformed: readonly (readonly [number, string])[] = [
  [0x0800, "IPv4 frames with a cut-off header or fewer than 5 header words are not hashed by NICs and go to queue 0"],
  [0x86dd, "IPv6 frames with a cut-off header are not hashed by NICs and go to queue 0"],
];

export function deviationsOf(
  object: StateObject,
  { allocator }: Family,
  { layout, cores }: { readonly layout: Layout; readonly cores: number },
): readonly Deviation[] {
  const out: Deviation[] = [];
  const { name } = object;
  const add = (code: string, text: string): void => {
    out.push({ code, object: name, text });
  };
  const inserts = object.accesses.some(({ op }) => op === "update");
  if (inserts && object.type.startsWith("lru"))
    add(
      "lru-eviction",
      `which entries of ${name} are evicted depends on all cores; equal while it does not fill`,
    );
  // An allocator says first that it is full.
  else if (inserts && object.type === "hash" && allocator === undefined)
    add(
      "full-table",
      `which keys find ${name} full depends on the order across cores; equal while it does not fill`,
    );
  if (object === allocator && object.allocator !== undefined) {
    const { capacity } = object.allocator;
    const shares = capacitySplit(capacity, cores);
    const [most, least] = [shares[0] ?? 0, shares.at(-1) ?? 0];
    add(
      "capacity-per-core",
      `a core hands out ${most === least ? most : `${least} or ${most}`} of the ${capacity} indices of ${name}: its share may be used up while others have room`,
    );
    add(
      "index-choice",
      `which index of ${name} an entry gets, and what is made of it, differs; no two entries have the same`,
    );
  }
  if (layout === "sliced")
    add(
      "sketch-collisions",
      `each core has ${name} for itself: packets that meet in a cell by collision of their hashes meet on one core only`,
    );
  for (const [etherType, text] of malformed)
    if (
      object.accesses.some(
        ({ guard }) =>
          guard.wellFormed !== true &&
          guard.etherTypes?.includes(etherType) === true,
      )
    )
      add("malformed-header", text);
  return out;
}
