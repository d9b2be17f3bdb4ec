/**
 * Binding the calling thread to one CPU, for a while or for good, and the CPUs that it
 * may be bound to; BPF_PROG_TEST_RUN runs an XDP program on the CPU of its caller.
 */
import { UnsupportedError } from "../../../base/index.ts";
import { memory, type Syscalls } from "../syscalls.ts";

/** Bytes of a CPU mask: room for 8,192 CPUs. */
const maskSize = 1024;

export function onCpu<T>(syscalls: Syscalls, cpu: number, work: () => T): T {
  const before = memory(maskSize);
  if (syscalls.getAffinity(before) < 0) throw refused(cpu);
  bindTo(syscalls, cpu);
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

/** From now on the calling thread runs there only. */
export function bindTo(syscalls: Syscalls, cpu: number): void {
  const mask = memory(maskSize);
  const isPossible = Number.isInteger(cpu) && cpu >= 0 && cpu < 8 * maskSize;
  if (isPossible) mask.writeUInt8(1 << (cpu % 8), Math.floor(cpu / 8));
  if (!isPossible || syscalls.setAffinity(mask) < 0) throw refused(cpu);
}

/** Numbers of the CPUs that the calling thread may run on. */
export function allowedCpus(syscalls: Syscalls): readonly number[] {
  const mask = memory(maskSize);
  if (syscalls.getAffinity(mask) < 0) return [];
  return Array.from({ length: 8 * maskSize }, (_, cpu) => cpu).filter(
    (cpu) => ((mask[Math.floor(cpu / 8)] ?? 0) & (1 << (cpu % 8))) !== 0,
  );
}

function refused(cpu: number): UnsupportedError {
  return new UnsupportedError(`this thread cannot be bound to CPU ${cpu}`, {
    feature: `CPU ${cpu}`,
  });
}
