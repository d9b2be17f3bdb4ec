/**
 * Looking up a key in a table map, and what rests on it, as functions of the module:
 * a call into JavaScript and back would cost more than the lookup.
 *
 *   lookup:MAP   (address of the key) → address of the value that this CPU sees, or 0;
 *                in LRU maps the element is used now; lpm_trie: prefix-lookup.ts
 *   redirect:MAP (key, low and high half of the flags) → verdict; fills the descriptor
 *
 * The engine inserts and deletes, so hash and layout must be the same on both sides:
 * h = seed; for each word of the key: h = (h ^ word) · m1, h ^= h >>> 15; for each
 * byte that is left: h = (h ^ byte) · m1; h = (h ^ h >>> 13) · m2; h ^= h >>> 16.
 * Tested by every map test of the engine.
 */
import { atomic, Code, i32, op, type FunctionBody } from "./encoder.ts";
import { descriptor, type Layout } from "./layout.ts";
import { mapState, touchLog, type MapLayout } from "./map-layout.ts";

/** Of the hash; 32-bit numbers. */
export const hashConstants = {
  seed: 0x9e3779b9 | 0,
  m1: 0x85ebca6b | 0,
  m2: 0xc2b2ae35 | 0,
} as const;

/** Whether there is a `lookup` for the map. */
export function hasLookup({ kind }: MapLayout): boolean {
  return kind === "hash" || kind === "lru" || kind === "lpm";
}

export function writeLookup(layout: Layout, map: MapLayout): FunctionBody {
  const code = new Code();
  const parts = partsOf(map.spec.keySize);
  // Each part is loaded once, at the width it is likely to have been stored with:
  // a wider load would wait for the stores.
  for (const { at, load, local } of parts)
    code.get(own.key).memory(load, at).set(local);
  writeHash(code, parts, own.hash);
  code
    .get(own.hash)
    .i32Const(map.bucketCount - 1)
    .byte(op.i32And);
  code.i32Const(Math.log2(map.bucketStride)).byte(op.i32Shl).set(own.bucket);
  if (layout.shared) writeSharedWalk(code, layout, map, parts);
  else writeWalk(code, layout, map, parts);
  return {
    type: { parameters: [i32], results: [i32] },
    locals: [i32, i32, i32, i32, i32, ...parts.map(() => i32)],
    code,
  };
}

/** Locals of a lookup; pieces of the key come behind. */
const own = { key: 0, hash: 1, bucket: 2, entry: 3, version: 4, tries: 5 };
const ownCount = 6;

function writeWalk(
  code: Code,
  layout: Layout,
  map: MapLayout,
  parts: readonly KeyPart[],
): void {
  code.get(own.bucket).memory(op.i32Load, map.buckets).set(own.entry);
  code.block().loop();
  code.get(own.entry).byte(op.i32Eqz).brIf(1);
  writeIsKey(code, map, parts);
  code.if();
  if (map.kind === "lru") writeRenew(code, map);
  writeAddress(code, layout, map);
  code.byte(op.return).end();
  code.get(own.entry).i32Const(2).byte(op.i32Shl);
  code.memory(op.i32Load, map.next).set(own.entry);
  code.br(0).end().end();
  code.i32Const(0);
}

/** Attempts to see a bucket that does not change, before the engine looks. */
const attempts = 8;

/**
 * The same while others change the map: what was seen counts if the bucket's version,
 * read before and behind, is the same (src/engine/wasm/table-map.ts says why).
 */
function writeSharedWalk(
  code: Code,
  layout: Layout,
  map: MapLayout,
  parts: readonly KeyPart[],
): void {
  const load = (at: number): unknown => code.atomic(atomic.i32Load, 2, at);
  const isOther = (): void => {
    code.get(own.bucket);
    load(map.buckets + 4);
    code.get(own.version).byte(op.i32Ne);
  };
  code.loop();
  code.get(own.tries).i32Const(1).byte(op.i32Add).tee(own.tries);
  code.i32Const(attempts).byte(op.i32GtU).if();
  code.get(own.key).callByName(`map_lookup_elem:${map.index}`);
  code.byte(op.return).end();
  code.get(own.bucket);
  load(map.buckets + 4);
  code.set(own.version).get(own.bucket);
  load(map.buckets);
  code.set(own.entry);
  code.block().loop();
  code.get(own.entry).byte(op.i32Eqz).brIf(1);
  writeIsKey(code, map, parts);
  code.if();
  isOther();
  code.brIf(3);
  if (map.kind === "lru") writeTouch(code, layout, map);
  writeAddress(code, layout, map);
  code.byte(op.return).end();
  code.get(own.entry).i32Const(2).byte(op.i32Shl);
  load(map.next);
  code.set(own.entry);
  isOther();
  code.brIf(2).br(0).end().end();
  isOther();
  code.brIf(0).end();
  code.i32Const(0);
}

/** entry −= 1; leaves whether that cell has the key. */
function writeIsKey(
  code: Code,
  map: MapLayout,
  parts: readonly KeyPart[],
): void {
  code.get(own.entry).i32Const(1).byte(op.i32Sub).set(own.entry);
  // `hash` is done with: it becomes the address of the entry's key.
  code.get(own.entry).i32Const(map.keyStride).byte(op.i32Mul);
  code.i32Const(map.keys).byte(op.i32Add).set(own.hash);
  code.i32Const(0);
  for (const { at, load, local } of parts) {
    code.get(local).get(own.hash).memory(load, at);
    code.ops(op.i32Xor, op.i32Or);
  }
  code.byte(op.i32Eqz);
}

/** The cell becomes the newest in the order of use, as src/engine/wasm/use-order.ts does. */
function writeRenew(code: Code, map: MapLayout): void {
  const { older, newer } = map;
  const oldest = map.state + mapState.oldest;
  const newest = map.state + mapState.newest;
  // `hash` and `bucket` are done with: the neighbours' cells + 1, `version` ours.
  const [before, behind, self] = [own.hash, own.bucket, own.version];
  const at = (): Code => code.get(own.entry).i32Const(2).byte(op.i32Shl);
  const slot = (neighbour: number): Code =>
    code.get(neighbour).i32Const(2).byte(op.i32Shl);
  code.get(own.entry).i32Const(1).byte(op.i32Add).tee(self);
  code.i32Const(0).memory(op.i32Load, newest).byte(op.i32Ne).if();
  at().memory(op.i32Load, older).set(before);
  at().memory(op.i32Load, newer).set(behind);
  // It is not the newest, so there is one behind it.
  code.get(before).byte(op.i32Eqz).if();
  code.i32Const(0).get(behind).memory(op.i32Store, oldest);
  code.byte(op.else);
  slot(before)
    .get(behind)
    .memory(op.i32Store, newer - 4);
  code.end();
  slot(behind)
    .get(before)
    .memory(op.i32Store, older - 4);
  code.i32Const(0).memory(op.i32Load, newest).set(before);
  at().get(before).memory(op.i32Store, older);
  at().i32Const(0).memory(op.i32Store, newer);
  slot(before)
    .get(self)
    .memory(op.i32Store, newer - 4);
  code.i32Const(0).get(self).memory(op.i32Store, newest);
  code.end();
}

/** The use goes into the core's log; when that is full, the engine looks the key up. */
function writeTouch(code: Code, layout: Layout, map: MapLayout): void {
  const log = map.touches + layout.core * touchLog.stride;
  const count = own.tries;
  const last = (): Code => code.get(count).i32Const(2).byte(op.i32Shl);
  code.i32Const(0).memory(op.i32Load, log).set(count);
  code.get(count).byte(op.i32Eqz);
  last().memory(op.i32Load, log).get(own.entry);
  code.ops(op.i32Ne, op.i32Or).if();
  code.get(count).i32Const(touchLog.entries).byte(op.i32Eq).if();
  code.get(own.key).callByName(`map_lookup_elem:${map.index}`);
  code.byte(op.return).end();
  last()
    .get(own.entry)
    .memory(op.i32Store, log + 4);
  code.i32Const(0).get(count).i32Const(1).byte(op.i32Add);
  code.memory(op.i32Store, log).end();
}

/** Address of the value of that cell which this CPU sees; of maps of maps, the value. */
function writeAddress(code: Code, layout: Layout, map: MapLayout): void {
  code.get(own.entry).i32Const(map.cellStride).byte(op.i32Mul);
  code.i32Const(map.values).byte(op.i32Add);
  if (map.held === "maps") code.memory(op.i32Load, 0);
  if (map.copies === 1) return;
  code.i32Const(0).memory(op.i32Load, layout.cell.current);
  code.memory(op.i32Load, descriptor.cpu);
  code.i32Const(map.copyStride).ops(op.i32Mul, op.i32Add);
}

/** A piece of the key in a local of its own. */
interface KeyPart {
  readonly at: number;
  readonly load: number;
  readonly local: number;
}

function partsOf(keySize: number): readonly KeyPart[] {
  const parts: KeyPart[] = [];
  for (let at = 0; at < keySize;) {
    const isWord = at + 4 <= keySize;
    const load = isWord ? op.i32Load : op.i32Load8U;
    parts.push({ at, load, local: ownCount + parts.length });
    at += isWord ? 4 : 1;
  }
  return parts;
}

function writeHash(code: Code, parts: readonly KeyPart[], hash: number): void {
  const { seed, m1, m2 } = hashConstants;
  const shifted = (by: number): unknown =>
    code.tee(hash).get(hash).i32Const(by).ops(op.i32ShrU, op.i32Xor);
  code.i32Const(seed);
  for (const { load, local } of parts) {
    code.get(local).byte(op.i32Xor).i32Const(m1).byte(op.i32Mul);
    if (load === op.i32Load) shifted(15);
  }
  shifted(13);
  code.i32Const(m2).byte(op.i32Mul);
  shifted(16);
  code.set(hash);
}

const drop = 0;
const redirected = 4;
/** The two low bits of the flags: the verdict on a miss. */
const actionMask = 3;
/** BPF_F_BROADCAST, and with BPF_F_EXCLUDE_INGRESS what device maps allow. */
const broadcast = 8;
const deviceFlags = 0x18;

/** Source: __bpf_xdp_redirect_map (include/linux/filter.h). */
export function writeRedirect(layout: Layout, map: MapLayout): FunctionBody {
  const { cell } = layout;
  const code = new Code();
  const [key, low, high, at] = [0, 1, 2, 3];
  const isDevices =
    map.spec.type === "devmap" || map.spec.type === "devmap_hash";
  const allowed = actionMask | (isDevices ? deviceFlags : 0);
  const put = (field: number, value: () => unknown): void => {
    code.get(at);
    value();
    code.memory(op.i32Store, field);
  };
  code.get(low).i32Const(~allowed).byte(op.i32And).get(high).byte(op.i32Or);
  code.if().i32Const(drop).byte(op.return).end();
  code.i32Const(0).memory(op.i32Load, cell.current).set(at);
  code.i32Const(0).get(key).memory(op.i32Store, cell.scratch);
  const toAll = (): unknown =>
    code.get(low).i32Const(broadcast).byte(op.i32And);
  toAll();
  code.byte(op.i32Eqz).if();
  code.i32Const(cell.scratch).callByName(`lookup:${map.index}`);
  code.byte(op.i32Eqz).if();
  put(descriptor.redirectKind, () => code.i32Const(0));
  code.get(low).i32Const(actionMask).byte(op.i32And).byte(op.return);
  code.end().end();
  put(descriptor.redirectKind, () => {
    code.i32Const(3).i32Const(2);
    toAll();
    code.byte(op.select);
  });
  put(descriptor.redirectTo, () => code.i32Const(map.index));
  put(descriptor.redirectKey, () => code.get(key));
  put(descriptor.redirectFlags, () => code.get(low));
  code.i32Const(redirected);
  return {
    type: { parameters: [i32, i32, i32], results: [i32] },
    locals: [i32],
    code,
  };
}

/** bpf_redirect(ifindex, flags): flags must be 0. */
export function writePlainRedirect({ cell }: Layout): FunctionBody {
  const code = new Code();
  const [ifindex, low, high, at] = [0, 1, 2, 3];
  code.get(low).get(high).byte(op.i32Or);
  code.if().i32Const(drop).byte(op.return).end();
  code.i32Const(0).memory(op.i32Load, cell.current).set(at);
  code.get(at).i32Const(1).memory(op.i32Store, descriptor.redirectKind);
  code.get(at).get(ifindex).memory(op.i32Store, descriptor.redirectTo);
  code.get(at).i32Const(0).memory(op.i32Store, descriptor.redirectFlags);
  code.i32Const(redirected);
  return {
    type: { parameters: [i32, i32, i32], results: [i32] },
    locals: [i32],
    code,
  };
}
