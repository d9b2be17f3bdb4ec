/**
 * What is chosen at run time by a small number in memory, as functions of the module:
 *
 *   inner:SET (handle, address of the key) → what a lookup in that map gives
 *   tailTo    (slot of a program array)    → r0 of the function behind it
 *
 * SET is a number of the program context's list of sets: the maps that one cell of a
 * map of maps may hold. A handle that is in no set, 0 above all, faults; so does a
 * slot that names what is no program.
 */
import { Code, i32, i64, op, type FunctionBody } from "./encoder.ts";
import { descriptor } from "./layout.ts";
import { mapHandle, type MapLayout } from "./map-layout.ts";
import { faultNumber, type ProgramContext } from "./program-context.ts";
import { hasLookup } from "./table-lookup.ts";

export function writeInnerLookup(
  about: ProgramContext,
  set: number,
): FunctionBody {
  const code = new Code();
  const [handle, key] = [0, 1];
  const { layout } = about;
  const candidates = about.innerSets[set] ?? [];
  choose(code, handle, candidates.map(mapHandle), (at) => {
    const map = layout.maps[candidates[at] ?? -1];
    if (map === undefined) return;
    if (map.kind === "array") writeArrayValue(code, about, map, key);
    else {
      code.get(key);
      code.callByName(
        `${hasLookup(map) ? "lookup" : "map_lookup_elem"}:${map.index}`,
      );
    }
    code.byte(op.return);
  });
  code.i32Const(0).memory(op.i32Load, layout.cell.site);
  code.i32Const(faultNumber.noMap).callByName("fault").byte(op.unreachable);
  return {
    type: { parameters: [i32, i32], results: [i32] },
    locals: [],
    code,
  };
}

function writeArrayValue(
  code: Code,
  { layout }: ProgramContext,
  map: MapLayout,
  key: number,
): void {
  code.get(key).memory(op.i32Load, 0).i32Const(map.capacity).byte(op.i32LtU);
  code.byte(op.if).byte(i32);
  code.get(key).memory(op.i32Load, 0).i32Const(map.cellStride).byte(op.i32Mul);
  code.i32Const(map.values).byte(op.i32Add);
  if (map.copies > 1) {
    code.i32Const(0).memory(op.i32Load, layout.cell.current);
    code.memory(op.i32Load, descriptor.cpu);
    code.i32Const(map.copyStride).ops(op.i32Mul, op.i32Add);
  }
  code.byte(op.else).i32Const(0).end();
}

export function writeTailTo(about: ProgramContext): FunctionBody {
  const code = new Code();
  const { layout, tailTargets } = about;
  const slots = tailTargets.map((index) => index + 1);
  choose(code, 0, slots, (at) => {
    code.i64Const(layout.cell.context);
    for (let unused = 2; unused <= 5; unused++) code.i64Const(0);
    code.callByName(about.own(`f${tailTargets[at]}`)).byte(op.return);
  });
  code.i32Const(0).memory(op.i32Load, layout.cell.site);
  code.i32Const(faultNumber.callback).callByName("fault");
  code.byte(op.unreachable);
  return { type: { parameters: [i32], results: [i64] }, locals: [], code };
}

/** Runs `write(i)` where the local equals `values[i]` (ascending); falls out of it else. */
function choose(
  code: Code,
  local: number,
  values: readonly number[],
  write: (at: number) => void,
): void {
  const [first = 0] = values;
  const size = (values.at(-1) ?? first) - first + 1;
  const places = new Map(values.map((value, at) => [value - first, at]));
  code.block();
  for (const _ of values) code.block();
  code.get(local).i32Const(first).byte(op.i32Sub).byte(op.brTable);
  code.unsigned(size);
  for (let value = 0; value < size; value++)
    code.unsigned(places.get(value) ?? values.length);
  code.unsigned(values.length);
  for (const at of values.keys()) {
    code.end();
    write(at);
  }
  code.end();
}
