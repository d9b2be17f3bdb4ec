/**
 * An array map whose values lie in this process's memory too: what a program
 * writes is read here without a system call. Values lie `stride` bytes apart.
 *
 * Nothing may touch `bytes` after `close`: the memory is gone then.
 *
 * Source: kernel/bpf/arraymap.c (array_map_mmap), BPF_F_MMAPABLE.
 */
import { Bug, UnsupportedError } from "../../../base/index.ts";
import { createSmallMap } from "./small-program.ts";
import type { Syscalls } from "../syscalls.ts";

const mmapable = 1 << 10;
const READ_WRITE = 3;
const MAP_SHARED = 1;
const pageSize = 4096;

export interface SharedArray {
  readonly fd: number;
  readonly stride: number;
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly close: () => void;
}

export function createSharedArray(
  syscalls: Syscalls,
  name: string,
  shape: { readonly entries: number; readonly valueSize: number },
): SharedArray {
  const { entries, valueSize } = shape;
  if (valueSize % 8 !== 0) throw new Bug(`${name}: values of ${valueSize}`);
  const fd = createSmallMap(syscalls, name, "array", {
    valueSize,
    entries,
    flags: mmapable,
  });
  const length = Math.ceil((entries * valueSize) / pageSize) * pageSize;
  const address = syscalls.call(
    "mmap",
    0,
    length,
    READ_WRITE,
    MAP_SHARED,
    fd,
    0,
  );
  if (address < 0) {
    syscalls.close(fd);
    throw new UnsupportedError(
      `map ${name} cannot be shared (${syscalls.errorName(-address)})`,
      { feature: "BPF_F_MMAPABLE", firstKernel: "5.5" },
    );
  }
  const view = syscalls.view(address, length);
  let isOpen = true;
  return {
    fd,
    stride: valueSize,
    bytes: new Uint8Array(view),
    words: new Uint32Array(view),
    close: () => {
      if (!isOpen) return;
      isOpen = false;
      syscalls.call("munmap", address, length);
      syscalls.close(fd);
    },
  };
}
