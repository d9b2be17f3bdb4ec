/**
 * The longest prefix match of an lpm_trie, as a function of the module:
 *
 *   lookup:MAP (address of the key) → address of the value, or 0
 *   exact:MAP  (address of a masked key) → the same for that very prefix (table-lookup.ts)
 *
 * The key is copied into the core's scratch cell once. From its own length down, each
 * length that some element has is tried; bits are masked off as lengths get shorter.
 * In shared memory the answer counts if the map's version is the same before and behind
 * (src/engine/wasm/prefix-map.ts says why).
 */
import { atomic, Code, i32, op, type FunctionBody } from "./encoder.ts";
import type { Layout } from "./layout.ts";
import { longestPrefix, mapState, type MapLayout } from "./map-layout.ts";

const [key, length, found, top, byte, version, tries] = [0, 1, 2, 3, 4, 5, 6];
/** Attempts to see keys that do not change, before the engine looks. */
const attempts = 8;

export function writePrefixLookup(
  layout: Layout,
  map: MapLayout,
): FunctionBody {
  const code = new Code();
  const { shared } = layout;
  const versionAt = map.state + mapState.version;
  const load = (): Code =>
    code.i32Const(0).atomic(atomic.i32Load, 2, versionAt);
  if (shared) {
    code.loop();
    code.get(tries).i32Const(1).byte(op.i32Add).tee(tries);
    code.i32Const(attempts).byte(op.i32GtU).if();
    code.get(key).callByName(`map_lookup_elem:${map.index}`);
    code.byte(op.return).end();
    load().set(version);
  }
  writeSearch(code, layout, map);
  if (shared) {
    load().get(version).byte(op.i32Ne).brIf(0).end();
  }
  code.get(found);
  return {
    type: { parameters: [i32], results: [i32] },
    locals: [i32, i32, i32, i32, i32, i32],
    code,
  };
}

function writeSearch(code: Code, { cell }: Layout, map: MapLayout): void {
  const data = map.spec.keySize - 4;
  const bytesAt = cell.scratch + 4;
  code.i32Const(0).set(found);
  code.get(key).memory(op.i32Load, 0).tee(length);
  code.i32Const(longestPrefix(map.spec)).byte(op.i32GtU).if();
  code.i32Const(0).byte(op.return).end();
  for (let at = 0; at < data;) {
    const isWord = at + 4 <= data;
    code
      .i32Const(0)
      .get(key)
      .memory(isWord ? op.i32Load : op.i32Load8U, 4 + at);
    code.memory(isWord ? op.i32Store : op.i32Store8, bytesAt + at);
    at += isWord ? 4 : 1;
  }
  code.i32Const(data).set(top);
  code.block().loop();
  code.get(length).i32Const(2).byte(op.i32Shl);
  code.memory(op.i32Load, map.lengths).if();
  code.get(length).i32Const(3).byte(op.i32ShrU).set(byte);
  // Bytes behind the one in which the prefix ends.
  code.block().loop();
  code.get(top).get(byte).i32Const(1).ops(op.i32Add, op.i32LeU).brIf(1);
  code.get(top).i32Const(1).byte(op.i32Sub).tee(top);
  code.i32Const(0).memory(op.i32Store8, bytesAt).br(0).end().end();
  code.get(byte).i32Const(data).byte(op.i32LtU).if();
  code.get(byte).get(byte).memory(op.i32Load8U, bytesAt);
  code.i32Const(0xff00).get(length).i32Const(7).byte(op.i32And);
  code.ops(op.i32ShrU, op.i32And).memory(op.i32Store8, bytesAt).end();
  code.i32Const(0).get(length).memory(op.i32Store, cell.scratch);
  code.i32Const(cell.scratch).callByName(`exact:${map.index}`);
  code.tee(found).brIf(2).end();
  code.get(length).byte(op.i32Eqz).brIf(1);
  code.get(length).i32Const(1).byte(op.i32Sub).set(length);
  code.br(0).end().end();
}
