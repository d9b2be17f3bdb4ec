/**
 * Objects that have one strategy between them: an allocator, the entries that it
 * numbers, and arrays whose cells follow its indices. Every other object is a
 * family of its own.
 *
 * The head is what the others follow: the entries, or the allocator where it has
 * none.
 */
import type { StateObject } from "../analysis/index.ts";

export interface Family {
  readonly head: StateObject;
  /** The head first. */
  readonly members: readonly StateObject[];
  /** The member that hands out the indices. */
  readonly allocator?: StateObject;
}

export const aloneFamily = (object: StateObject): Family => ({
  head: object,
  members: [object],
});

/** In the order of their first objects. */
export function familiesOf(objects: readonly StateObject[]): readonly Family[] {
  const families = objects
    .filter(({ allocator }) => allocator !== undefined)
    .map((allocator) => familyAround(allocator, objects));
  const taken = new Set(families.flatMap(({ members }) => members));
  const alone = objects.filter((object) => !taken.has(object)).map(aloneFamily);
  const place = ({ members }: Family): number =>
    Math.min(...members.map((member) => objects.indexOf(member)));
  return [...families, ...alone].sort((a, b) => place(a) - place(b));
}

function familyAround(
  allocator: StateObject,
  objects: readonly StateObject[],
): Family {
  const entries = objects.find(
    ({ name }) => name === allocator.allocator?.entries,
  );
  const following = objects.filter(
    ({ indexedBy, access }) =>
      indexedBy === allocator.name && access !== "read-only",
  );
  const head = entries ?? allocator;
  const others = [allocator, ...following].filter((one) => one !== head);
  return { head, members: [head, ...others], allocator };
}
