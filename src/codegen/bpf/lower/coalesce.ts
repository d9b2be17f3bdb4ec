/**
 * Parameters of blocks and their arguments in one group, where they never live at
 * the same time: then the edge needs no move, and on the stack no copy. Edges out
 * of deep loops come first.
 */
import { Group, meeting } from "./interval.ts";
import type { Lives, Range } from "./intervals.ts";
import type { LowFunction, Virtual } from "./low-code.ts";

/** Index = virtual register; those of one group share it. */
export function groups(fn: LowFunction, lives: Lives): readonly Group[] {
  const parents = Int32Array.from({ length: fn.virtuals }, (_, at) => at);
  const rootOf = (virtual: Virtual): Virtual => {
    let at = virtual;
    while ((parents[at] ?? at) !== at) {
      const up = parents[at] ?? at;
      parents[at] = parents[up] ?? up;
      at = up;
    }
    return at;
  };
  const members: Virtual[][] = Array.from(parents, (at) => [at]);
  const ranges: (readonly Range[])[] = [...lives.ranges];
  const edges = fn.blocks.flatMap(({ terminator, depth }) =>
    terminator.kind === "jump" && terminator.args.length > 0
      ? [{ terminator, depth }]
      : [],
  );
  edges.sort((a, b) => b.depth - a.depth);
  for (const { terminator } of edges) {
    const params = fn.blocks[terminator.to]?.params ?? [];
    for (const [index, argument] of terminator.args.entries()) {
      const param = params[index];
      if (argument.kind !== "virtual" || param === undefined) continue;
      if (fn.pinned.has(argument.virtual) || fn.pinned.has(param)) continue;
      const [a, b] = [rootOf(argument.virtual), rootOf(param)];
      if (a === b) continue;
      const left = ranges[a] ?? [];
      const right = ranges[b] ?? [];
      if (meeting(left, right) !== undefined) continue;
      const [into, from] =
        left.length > right.length ? ([a, b] as const) : ([b, a] as const);
      parents[from] = into;
      ranges[into] = merged(left, right);
      members[into]?.push(...(members[from] ?? []));
      ranges[from] = [];
    }
  }
  const byRoot = new Map<Virtual, Group>();
  return Array.from({ length: fn.virtuals }, (_, virtual) => {
    const root = rootOf(virtual);
    const known = byRoot.get(root);
    if (known !== undefined) return known;
    const all = members[root] ?? [];
    const uses = all.flatMap((member) => lives.uses[member] ?? []);
    const wishes = all.flatMap((member) => lives.wishes[member] ?? []);
    if (all.length > 1) {
      uses.sort((a, b) => a.at - b.at);
      wishes.sort((a, b) => a.at - b.at);
    }
    const group = new Group(ranges[root] ?? [], uses, wishes);
    byRoot.set(root, group);
    return group;
  });
}

/** Neither meets the other; neighbours join. */
function merged(left: readonly Range[], right: readonly Range[]): Range[] {
  const all = [...left, ...right].sort((a, b) => a.from - b.from);
  const result: Range[] = [];
  for (const range of all) {
    const last = result.at(-1);
    if (last !== undefined && last.to === range.from)
      result[result.length - 1] = { from: last.from, to: range.to };
    else result.push(range);
  }
  return result;
}
