/**
 * Loads of one field of the context, by following the context's address through the
 * registers and stack slots of the entry function.
 *
 * Sound or refused: where the address goes to another function, its loads there are not
 * seen, and an UnsupportedError says so. On joins only what holds on both paths is kept;
 * a load through an address that is the context on one path only is left as it is, which
 * the verifier refuses in any program ("same insn cannot be used with different pointers").
 */
import { UnsupportedError } from "../../../base/index.ts";
import {
  targetOf,
  type FunctionSpec,
  type Instruction,
} from "../../../isa/index.ts";

/** `r1`, `-16`: places that hold the context's address. */
type Places = ReadonlySet<string>;

/** Indices of 4-byte loads at `offset` of the context. */
export function contextLoads(
  entry: FunctionSpec,
  offset: number,
): readonly number[] {
  const before = placesBefore(entry);
  return entry.instructions.flatMap((instruction, at) =>
    instruction.kind === "load" &&
    instruction.size === 4 &&
    instruction.offset === offset &&
    before[at]?.has(`r${instruction.base}`) === true
      ? [at]
      : [],
  );
}

function placesBefore(entry: FunctionSpec): readonly (Places | undefined)[] {
  const before: (Places | undefined)[] = [new Set(["r1"])];
  const todo = [0];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    const instruction = entry.instructions[at];
    const places = before[at];
    if (instruction === undefined || places === undefined) continue;
    const after = step(instruction, places, entry.name);
    for (const next of successors(instruction, at)) {
      const known = before[next];
      const joined =
        known === undefined
          ? after
          : new Set([...known].filter((place) => after.has(place)));
      if (known !== undefined && known.size === joined.size) continue;
      before[next] = joined;
      todo.push(next);
    }
  }
  return before;
}

function successors(instruction: Instruction, at: number): readonly number[] {
  if (instruction.kind === "exit") return [];
  const target = targetOf(instruction);
  if (target === undefined) return [at + 1];
  return instruction.kind === "jump" ? [target] : [at + 1, target];
}

function step(instruction: Instruction, places: Places, name: string): Places {
  const next = new Set(places);
  const holds = (place: number | string): boolean =>
    places.has(typeof place === "number" ? `r${place}` : place);
  if (instruction.kind === "call") {
    const { callee } = instruction;
    if (callee.kind !== "helper" && [1, 2, 3, 4, 5].some(holds))
      throw new UnsupportedError(
        `${name} hands its context to a function, and reads the number of the receive queue`,
        {
          feature: "the receive queue behind a cpumap",
          fix: "read ctx->rx_queue_index in the entry function, or dispatch by the NIC",
        },
      );
    for (let register = 0; register <= 5; register++)
      next.delete(`r${register}`);
    return next;
  }
  if (instruction.kind === "store") {
    if (instruction.base !== 10) return next;
    const { src, offset } = instruction;
    for (let byte = -7; byte < instruction.size; byte++)
      next.delete(String(offset + byte));
    if ("register" in src && holds(src.register)) next.add(String(offset));
    return next;
  }
  if (!("dst" in instruction)) return next;
  next.delete(`r${instruction.dst}`);
  const isCopied =
    instruction.kind === "load"
      ? instruction.base === 10 && holds(String(instruction.offset))
      : instruction.kind === "alu" &&
        instruction.op === "mov" &&
        instruction.width === 64 &&
        "register" in instruction.src &&
        holds(instruction.src.register);
  if (isCopied) next.add(`r${instruction.dst}`);
  return next;
}
