/**
 * Binding the calling thread to one CPU for a while; BPF_PROG_TEST_RUN runs an
 * XDP program on the CPU of its caller.
 */
import { UnsupportedError } from "../../base/index.ts";
import { memory, type Syscalls } from "./syscalls.ts";

/** Bytes of a CPU mask: room for 8,192 CPUs. */
const maskSize = 1024;

export function onCpu<T>(syscalls: Syscalls, cpu: number, work: () => T): T {
  const before = memory(maskSize);
  const mask = memory(maskSize);
  const isPossible = Number.isInteger(cpu) && cpu >= 0 && cpu < 8 * maskSize;
  if (isPossible) mask.writeUInt8(1 << (cpu % 8), Math.floor(cpu / 8));
  if (
    !isPossible ||
    syscalls.getAffinity(before) < 0 ||
    syscalls.setAffinity(mask) < 0
  )
    throw new UnsupportedError(`this thread cannot be bound to CPU ${cpu}`, {
      feature: `CPU ${cpu}`,
    });
  try {
    return work();
  } finally {
    syscalls.setAffinity(before);
  }
}

/** Moves the calling thread from CPU to CPU, and back to where it was allowed. */
export class CpuBinding {
  readonly #syscalls: Syscalls;
  readonly #before = memory(maskSize);
  readonly #mask = memory(maskSize);
  #cpu = -1;

  constructor(syscalls: Syscalls) {
    this.#syscalls = syscalls;
    syscalls.getAffinity(this.#before);
  }

  bind(cpu: number): void {
    if (cpu === this.#cpu) return;
    this.#mask.fill(0);
    if (cpu >= 0 && cpu < 8 * maskSize)
      this.#mask.writeUInt8(1 << (cpu % 8), Math.floor(cpu / 8));
    if (this.#syscalls.setAffinity(this.#mask) < 0)
      throw new UnsupportedError(`there is no CPU ${cpu}: not comparable`, {
        feature: `CPU ${cpu}`,
      });
    this.#cpu = cpu;
  }

  release(): void {
    this.#syscalls.setAffinity(this.#before);
  }
}
