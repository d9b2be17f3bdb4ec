/**
 * Many elements of a map by one system call: three to four times as fast as one
 * by one. Elements lie behind each other, keys apart from cells; a cell is all
 * that the kernel copies for one key (for per-CPU types a value per CPU).
 *
 *   lookup   first null, then where the last call ended; ENOENT with a valid
 *            count ends the walk; ENOSPC: one bucket holds more than was asked for
 *   update   in order; stops at the first that fails, count says where
 *
 * A type without such calls (524, EINVAL before 5.6) gives undefined or false:
 * whoever asks then goes one by one.
 *
 * Source: kernel/bpf/syscall.c generic_map_lookup_batch, kernel/bpf/hashtab.c
 * __htab_map_lookup_and_delete_batch.
 */
import { attributes, command, result } from "../attributes.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const ENOENT = 2;
const EINVAL = 22;
const ENOSPC = 28;
const ENOTSUPP = 524;
/** More gain nothing. */
const chunk = 1000;
/** Bytes of one call's elements, where cells are large. */
const mostBytes = 4 * 1024 * 1024;

export interface BatchMap {
  readonly syscalls: Syscalls;
  readonly fd: number;
  readonly keySize: number;
  readonly cellSize: number;
  readonly maxEntries: number;
}

/** An element as it lies in the buffers of a call: copy what should stay. */
export type Visit = (key: Buffer, cell: Buffer) => void;

/** Visits every element, removing them if asked: 0, an error number, or undefined where it cannot. */
export function walkBatch(
  map: BatchMap,
  options: { readonly remove: boolean },
  visit: Visit,
): number | undefined {
  const { remove } = options;
  const what = remove
    ? command.mapLookupAndDeleteBatch
    : command.mapLookupBatch;
  // An opaque position: a bucket's number, or the last key.
  const from = memory(Math.max(4, map.keySize));
  const to = memory(from.length);
  let room = batchSize(map);
  let [keys, cells] = buffers(map, room);
  for (let calls = 0; ;) {
    const attr = attributes(map.syscalls, "mapBatch", {
      ...(calls > 0 ? { inBatch: from } : {}),
      outBatch: to,
      keys,
      values: cells,
      count: room,
      fd: map.fd,
    });
    const code = map.syscalls.bpf(what, attr);
    if (code === -ENOSPC && room <= map.maxEntries) {
      room *= 2;
      [keys, cells] = buffers(map, room);
      continue;
    }
    if (calls === 0 && (code === -ENOTSUPP || code === -EINVAL))
      return undefined;
    if (code < 0 && code !== -ENOENT) return -code;
    const count = result(attr, "mapBatch", "count");
    for (let index = 0; index < count; index++)
      visit(at(keys, index, map.keySize), at(cells, index, map.cellSize));
    if (code === -ENOENT) return 0;
    calls++;
    to.copy(from);
  }
}

/** Writes elements that `fill` puts into the buffers: 0, an error number, or undefined where it cannot. */
export function updateBatch(
  map: BatchMap,
  count: number,
  fill: (index: number, key: Buffer, cell: Buffer) => void,
): number | undefined {
  const room = Math.min(count, batchSize(map));
  const [keys, cells] = buffers(map, room);
  for (let done = 0; done < count;) {
    const now = Math.min(room, count - done);
    for (let index = 0; index < now; index++)
      fill(
        done + index,
        at(keys, index, map.keySize),
        at(cells, index, map.cellSize),
      );
    const attr = attributes(map.syscalls, "mapBatch", {
      keys,
      values: cells,
      count: now,
      fd: map.fd,
    });
    const code = map.syscalls.bpf(command.mapUpdateBatch, attr);
    if (done === 0 && (code === -ENOTSUPP || code === -EINVAL))
      return undefined;
    if (code < 0) return -code;
    done += now;
  }
  return 0;
}

/** Removes these keys; those that are not there are skipped. */
export function deleteBatch(
  map: BatchMap,
  keys: readonly Uint8Array[],
): number | undefined {
  const room = Math.min(keys.length, batchSize(map));
  const held = memory(Math.max(1, room * map.keySize));
  for (let done = 0; done < keys.length;) {
    const now = Math.min(room, keys.length - done);
    for (let index = 0; index < now; index++)
      held.set(keys[done + index] ?? [], index * map.keySize);
    const attr = attributes(map.syscalls, "mapBatch", {
      keys: held,
      count: now,
      fd: map.fd,
    });
    const code = map.syscalls.bpf(command.mapDeleteBatch, attr);
    if (done === 0 && (code === -ENOTSUPP || code === -EINVAL))
      return undefined;
    if (code === -ENOENT) {
      done += result(attr, "mapBatch", "count") + 1;
      continue;
    }
    if (code < 0) return -code;
    done += now;
  }
  return 0;
}

/** One more than there can be, where that is few: the walk then ends in its first call. */
function batchSize({ keySize, cellSize, maxEntries }: BatchMap): number {
  const fitting = Math.floor(mostBytes / Math.max(1, keySize + cellSize));
  return Math.max(1, Math.min(chunk, maxEntries + 1, fitting));
}

function buffers(map: BatchMap, room: number): [Buffer, Buffer] {
  return [
    memory(Math.max(1, room * map.keySize)),
    memory(Math.max(1, room * map.cellSize)),
  ];
}

function at(buffer: Buffer, index: number, size: number): Buffer {
  return buffer.subarray(index * size, (index + 1) * size);
}
