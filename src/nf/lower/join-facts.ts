/** What is still known where paths meet: what every one of them knows, with the same words. */
import { Bug } from "../../base/index.ts";
import {
  type Clock,
  type Environment,
  type HeapObject,
  type ObjectNumbers,
  type Path,
  copyEnvironment,
} from "./environment.ts";
import type { Writer } from "./writer.ts";

export interface Joining {
  readonly writer: Writer;
  readonly numbers: ObjectNumbers;
  readonly block: number;
  readonly paths: readonly Path[];
  readonly heap: Map<number, HeapObject>;
}

export function mergeFacts({ block, paths }: Joining): Environment {
  const [first, ...others] = paths;
  if (first === undefined) throw new Bug("nothing to join");
  const env = copyEnvironment(first.env);
  for (const [key, load] of env.loads)
    if (others.some((path) => path.env.loads.get(key)?.word !== load.word))
      env.loads.delete(key);
  for (const [slot, parts] of env.slots) {
    const kept = [...parts].filter(([offset, { size, word }]) =>
      others.every((path) => {
        const other = path.env.slots.get(slot)?.get(offset);
        return other?.size === size && other.word === word;
      }),
    );
    env.slots.set(slot, new Map(kept));
  }
  for (const [pointer, bytes] of env.behind) {
    const least = Math.min(
      bytes,
      ...others.map((path) => path.env.behind.get(pointer) ?? 0),
    );
    if (least > 0) env.behind.set(pointer, least);
    else env.behind.delete(pointer);
  }
  env.frame = Math.min(...paths.map((path) => path.env.frame));
  env.clock = mergeClocks(
    block,
    paths.map((path) => ({ block: path.block, clock: path.env.clock })),
  );
  return env;
}

function mergeClocks(
  block: number,
  from: readonly { readonly block: number; readonly clock: Clock }[],
): Clock {
  const [first] = from;
  if (from.every(({ clock }) => sameClock(clock, first?.clock)))
    return first?.clock ?? { kind: "unread" };
  return { kind: "partly", block, from, word: undefined };
}

function sameClock(left: Clock, right: Clock | undefined): boolean {
  if (left === right) return true;
  if (left.kind === "read" && right?.kind === "read")
    return left.word === right.word;
  return left.kind === "unread" && right?.kind === "unread";
}
