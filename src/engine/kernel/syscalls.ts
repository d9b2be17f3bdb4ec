/**
 * The only file that touches foreign functions: syscall(2) through koffi, which is
 * optional and loaded at the first question. No thinking here: numbers in, result or
 * negative errno out; which numbers, says syscall-table.ts.
 *
 * Memory that the kernel reads or writes must be off the heap and stay
 * referenced: `memory(n)` makes such buffers, `address` tells where they lie.
 */
import { Bug, UnsupportedError } from "../../base/index.ts";
import {
  syscallNumbers,
  syscallTable,
  type SyscallName,
} from "./syscall-table.ts";

/** An argument; a buffer goes as its address, and must come from `memory`. */
export type SyscallArgument = number | bigint | Buffer;

export interface Syscalls {
  /** bpf(2): its result, or a negative errno. */
  readonly bpf: (command: number, attributes: Buffer) => number;
  readonly close: (fd: number) => void;
  /** Which CPUs the calling thread may run on; 0 or a negative errno. */
  readonly getAffinity: (mask: Buffer) => number;
  readonly setAffinity: (mask: Buffer) => number;
  /** Any call of the table, at most six arguments: its result, or a negative errno. */
  readonly call: (
    name: SyscallName,
    ...args: readonly SyscallArgument[]
  ) => number;
  /** Memory of the process at an address, as mmap(2) gave it. Never touch it after munmap. */
  readonly view: (address: number, length: number) => ArrayBuffer;
  readonly address: (memory: Buffer) => bigint;
  /** `EINVAL` for 22. */
  readonly errorName: (errno: number) => string;
}

/** Zeroed memory that does not move. */
export function memory(size: number): Buffer {
  return Buffer.from(new ArrayBuffer(size));
}

/** Throws an UnsupportedError where there is no bpf(2) or no koffi. */
export async function openSyscalls(): Promise<Syscalls> {
  const column = syscallNumbers(process.arch);
  if (process.platform !== "linux" || column === undefined)
    throw new UnsupportedError(
      `the kernel engine needs Linux; this is ${process.platform} on ${process.arch}`,
      { feature: "bpf(2)", fix: "use --engine wasm" },
    );
  let koffi: (typeof import("koffi"))["default"];
  try {
    koffi = (await import("koffi")).default;
  } catch (cause) {
    throw new UnsupportedError("the optional package koffi is not installed", {
      feature: "bpf(2)",
      fix: "npm install koffi, or use --engine wasm",
      cause,
    });
  }
  const libc = koffi.load("libc.so.6");
  const bpf = libc.func("syscall", "long", ["long", "int", "void *", "uint32"]);
  const six = Array.from({ length: 6 }, () => "uint64");
  const call = libc.func("syscall", "long", ["long", ...six]);
  const number = syscallTable.bpf[column];
  const close = libc.func("close", "int", ["int"]);
  const affinity = ["int", "size_t", "void *"];
  const get = libc.func("sched_getaffinity", "int", affinity);
  const set = libc.func("sched_setaffinity", "int", affinity);
  const names = new Map<number, string>([[524, "ENOTSUPP"]]);
  for (const [name, errno] of Object.entries(koffi.os.errno))
    if (!names.has(errno)) names.set(errno, name);
  const checked = (result: unknown): number => {
    const value = Number(result);
    return value < 0 ? -koffi.errno() : value;
  };
  return {
    bpf: (command, attributes) =>
      checked(bpf(number, command, attributes, attributes.length)),
    close: (fd) => {
      close(fd);
    },
    getAffinity: (mask) => checked(get(0, mask.length, mask)),
    setAffinity: (mask) => checked(set(0, mask.length, mask)),
    call: (name, ...args) => {
      if (args.length > 6) throw new Bug(`${name}: ${args.length} arguments`);
      const words = Array.from({ length: 6 }, (_, index) => {
        const word = args[index] ?? 0;
        if (Buffer.isBuffer(word)) return koffi.address(word);
        return typeof word === "bigint" || word < 0
          ? BigInt.asUintN(64, BigInt(word))
          : word;
      });
      return checked(call(syscallTable[name][column], ...words));
    },
    view: (at, length) => koffi.view(at, length),
    address: (buffer) => koffi.address(buffer),
    errorName: (errno) => names.get(errno) ?? `errno ${errno}`,
  };
}
