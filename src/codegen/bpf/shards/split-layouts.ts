/**
 * The layouts of a plan, in an object: each part's accesses are patched, its map gets
 * the size that the layout wants, and everything else is the user's own bytecode.
 * Zeros are an empty state in every layout, so a loader has nothing to fill in.
 *
 * On one core cells and heads are nobody else's anyway and stay as they are; a table
 * takes the place of a hash map there too, since it is faster, and functions that use
 * tables take small ones in.
 */
import { checkFrames } from "../patch/frame.ts";
import { withInlined } from "../patch/inlined.ts";
import { withOwnCore, type OwnCore } from "../patch/own-core.ts";
import type { Code } from "../patch/code.ts";
import {
  chainUsers,
  withOwnAllocate,
  withOwnHeads,
  type AllocatorPart,
} from "./allocator.ts";
import {
  tableUsers,
  withTables,
  type TablePart,
} from "../tables/table-patch.ts";
import { slicedUsers, withSlices, type SlicedPart } from "./sliced.ts";

export type LayoutPart = AllocatorPart | SlicedPart | TablePart;

export interface LayoutRequest {
  readonly cores: number;
  readonly parts: readonly LayoutPart[];
  /** Where the core's number comes from; default: the queue. */
  readonly source?: "queue" | "cpu";
}

export function splitLayouts<T extends Code>(
  object: T,
  entry: string,
  { cores, parts, source = "queue" }: LayoutRequest,
): T {
  // What an allocator's functions do anew is patched by the others.
  const rank = { allocator: 0, sliced: 1, table: 2 };
  const own = parts
    .filter(({ layout }) => cores > 1 || layout === "table")
    .toSorted((left, right) => rank[left.layout] - rank[right.layout]);
  if (own.length === 0) return object;
  let code = object;
  const users = new Set<string>();
  const tableCallers = new Set<string>();
  for (const part of own) {
    if (part.layout === "allocator") code = withOwnAllocate(code, part);
    for (const user of usersOf(code, part)) {
      users.add(user);
      if (part.layout === "table") tableCallers.add(user);
    }
  }
  const asked =
    cores === 1
      ? { code, own: new Map() }
      : withOwnCore(code, { entry, cores, users, source });
  code = asked.code;
  const cored = { cores, own: asked.own };
  for (const part of own) code = patched(code, part, cored);
  const written = new Set(object.functions.map(({ name }) => name));
  code = withInlined(code, tableCallers, written);
  checkFrames(code);
  return code;
}

function usersOf(code: Code, part: LayoutPart): readonly string[] {
  switch (part.layout) {
    case "allocator":
      return chainUsers(code, part);
    case "sliced":
      return slicedUsers(code, part);
    case "table":
      return tableUsers(code, part);
  }
}

function patched<T extends Code>(
  code: T,
  part: LayoutPart,
  cored: { readonly cores: number; readonly own: ReadonlyMap<string, OwnCore> },
): T {
  switch (part.layout) {
    case "allocator":
      return withOwnHeads(code, part, cored);
    case "sliced":
      return withSlices(code, part, cored);
    case "table":
      return withTables(code, part, cored);
  }
}
