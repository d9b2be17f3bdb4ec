/**
 * The map `.environment` of a loaded program, mapped into this process: written
 * before each packet and read after it by plain stores and loads, without a system
 * call. The layout is codegen's (`environmentLayout`).
 */
import { environmentLayout, randomWords } from "../../../codegen/index.ts";
import { packetRandom, type PacketInput } from "../../../interp/index.ts";
import { InputError } from "../../../base/index.ts";
import type { Syscalls } from "../syscalls.ts";

const page = 4096;
const readWrite = 3;
const shared = 1;
const layout = environmentLayout;
const nanosecondsPerJiffy = 4_000_000n;

export class EnvironmentWords {
  readonly #syscalls: Syscalls;
  readonly #address: number;
  readonly words: Uint32Array;
  readonly #longs: BigUint64Array;

  constructor(syscalls: Syscalls, fd: number) {
    this.#syscalls = syscalls;
    const code = syscalls.call("mmap", 0, page, readWrite, shared, fd, 0);
    if (code < 0)
      throw new InputError(
        `the environment of a run cannot be mapped: ${syscalls.errorName(-code)}`,
        { code: "map-access" },
      );
    this.#address = code;
    const memory = syscalls.view(code, page);
    this.words = new Uint32Array(memory, 0, layout.size / 4);
    this.#longs = new BigUint64Array(memory, 0, layout.size / 8);
  }

  /** What the next run shall see. */
  set(input: PacketInput, seed: number | undefined): void {
    const { words } = this;
    this.#longs[layout.time / 8] = input.time;
    this.#longs[layout.jiffies / 8] = input.time / nanosecondsPerJiffy;
    words[layout.cpu / 4] = input.cpu;
    words[layout.redirectCall / 4] = 0;
    words[layout.redirects / 4] = 0;
    words[layout.events / 4] = 0;
    if (seed === undefined) return;
    words[layout.randomTaken / 4] = 0;
    const random = packetRandom(seed, input);
    for (let index = 0; index < randomWords; index++)
      words[layout.random / 4 + index] = random.u32();
  }

  word(offset: number): number {
    return this.words[offset / 4] ?? 0;
  }
  long(offset: number): bigint {
    return this.#longs[offset / 8] ?? 0n;
  }

  /** Nothing may touch the words after this. */
  close(): void {
    this.#syscalls.call("munmap", this.#address, page);
  }
}
