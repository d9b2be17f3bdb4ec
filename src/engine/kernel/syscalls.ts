/**
 * The only file that touches foreign functions: bpf(2), close(2) and
 * sched_setaffinity(2) through koffi, which is optional and loaded at the first
 * question. No thinking here: numbers in, result or negative errno out.
 *
 * Memory that the kernel reads or writes must be off the heap and stay
 * referenced: `memory(n)` makes such buffers, `address` tells where they lie.
 */
import { UnsupportedError } from "../../base/index.ts";

export interface Syscalls {
  /** bpf(2): its result, or a negative errno. */
  readonly bpf: (command: number, attributes: Buffer) => number;
  readonly close: (fd: number) => void;
  /** Which CPUs the calling thread may run on; 0 or a negative errno. */
  readonly getAffinity: (mask: Buffer) => number;
  readonly setAffinity: (mask: Buffer) => number;
  readonly address: (memory: Buffer) => bigint;
  /** `EINVAL` for 22. */
  readonly errorName: (errno: number) => string;
}

/** Zeroed memory that does not move. */
export function memory(size: number): Buffer {
  return Buffer.from(new ArrayBuffer(size));
}

const bpfNumber: Readonly<Partial<Record<NodeJS.Architecture, number>>> = {
  x64: 321,
  arm64: 280,
  riscv64: 280,
  s390x: 351,
  ppc64: 361,
};

/** Throws an UnsupportedError where there is no bpf(2) or no koffi. */
export async function openSyscalls(): Promise<Syscalls> {
  const number = bpfNumber[process.arch];
  if (process.platform !== "linux" || number === undefined)
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
  const call = libc.func("syscall", "long", [
    "long",
    "int",
    "void *",
    "uint32",
  ]);
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
      checked(call(number, command, attributes, attributes.length)),
    close: (fd) => {
      close(fd);
    },
    getAffinity: (mask) => checked(get(0, mask.length, mask)),
    setAffinity: (mask) => checked(set(0, mask.length, mask)),
    address: (buffer) => koffi.address(buffer),
    errorName: (errno) => names.get(errno) ?? `errno ${errno}`,
  };
}
