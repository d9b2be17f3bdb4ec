/**
 * The layouts of a plan, in an object: each part's accesses are patched, its map gets
 * the size that the layout wants, and everything else is the user's own bytecode.
 * Zeros are an empty state in every layout, so a loader has nothing to fill in.
 *
 * On one core nothing is private: the object stays as it is.
 */
import { checkFrames } from "../patch/frame.ts";
import { withOwnCore } from "../patch/own-core.ts";
import type { Code } from "../patch/code.ts";
import {
  chainUsers,
  withOwnAllocate,
  withOwnHeads,
  type AllocatorPart,
} from "./allocator.ts";
import { slicedUsers, withSlices, type SlicedPart } from "./sliced.ts";

export type LayoutPart = AllocatorPart | SlicedPart;

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
  if (cores === 1 || parts.length === 0) return object;
  let code = object;
  const users = new Set<string>();
  for (const part of parts) {
    if (part.layout === "allocator") code = withOwnAllocate(code, part);
    for (const user of part.layout === "allocator"
      ? chainUsers(code, part)
      : slicedUsers(code, part))
      users.add(user);
  }
  const queued = withOwnCore(code, { entry, cores, users, source });
  code = queued.code;
  const cored = { cores, own: queued.own };
  for (const part of parts)
    code =
      part.layout === "allocator"
        ? withOwnHeads(code, part, cored)
        : withSlices(code, part, cored);
  checkFrames(code);
  return code;
}
