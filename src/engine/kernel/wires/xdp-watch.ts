/**
 * Watches an XDP program at real interfaces: which frames it got, in which order, and
 * what the kernel did with each (watch-programs.ts). Everything here lives as long as
 * the descriptors; nothing of it survives the process.
 *
 * Numbers are given in the order in which runs begin, over all CPUs. Readers must keep
 * up: 1,024 runs and 4,096 catches are on record at once. Interfaces are those of the
 * calling thread's namespace.
 */
import { Bug, UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { attachXdp, type AttachOptions, type XdpLink } from "../links/link.ts";
import { namespaceIdentity } from "../system/namespace.ts";
import { createSharedArray, type SharedArray } from "../load/shared-array.ts";
import {
  createSmallMap,
  loadSmallProgram,
  setWord,
} from "../load/small-program.ts";
import type { Syscalls } from "../syscalls.ts";
import {
  attachEvent,
  watchedEvents,
  type WatchedEvent,
} from "./watch-events.ts";
import { withVlanTag } from "./vlan-tag.ts";
import {
  catchCapacity,
  eventText,
  gateText,
  recordCapacity,
  recordHeader,
  stackCatcherText,
  wireCatcherText,
} from "./watch-programs.ts";

const schedClsType = 3;
const tcxIngress = 46;

/** One run of the watched program. */
export interface WatchedRun {
  /** From 0. */
  readonly number: number;
  /** The frame as it came in. */
  readonly frame: Uint8Array;
  readonly ifindex: number;
  readonly queue: number;
  readonly cpu: number;
  /** The kernel's clock before the run. */
  readonly time: bigint;
  /** Verdict that the kernel took exception to: aborted, or one that it does not know. */
  readonly exception: number | undefined;
  /** A redirect's errno, 0 when it went well; undefined: no redirect. */
  readonly redirect: number | undefined;
}

/** A frame that the program sent or passed on. */
export interface Catch {
  /** Number of the run; undefined: none of ours. */
  readonly run: number | undefined;
  readonly at: "wire" | "stack";
  /** The peer's for `wire`, the port's own for `stack`. */
  readonly ifindex: number;
  readonly queue: number;
  readonly cpu: number;
  readonly frame: Uint8Array;
}

export interface WatchOptions {
  /** Descriptor of the watched program. */
  readonly program: number;
  /** It takes frames of several buffers. */
  readonly hasFrags?: boolean;
  /** Bytes of the longest frame that can come or go. */
  readonly longest: number;
  /** The program has metadata of its own: no tags, and runs must go one by one. */
  readonly untagged?: boolean;
  /** Map that tells the program its time and CPU (codegen's environment), and its copies. */
  readonly environment?: { readonly fd: number; readonly copies: number };
}

export class XdpWatch {
  readonly #syscalls: Syscalls;
  readonly #records: Ring;
  readonly #catches: Ring;
  readonly #fds: number[] = [];
  readonly #links: XdpLink[] = [];
  readonly #gate: number;
  readonly #wire: number;
  readonly #stack: number;

  constructor(syscalls: Syscalls, options: WatchOptions) {
    this.#syscalls = syscalls;
    const stride = 2 ** Math.ceil(Math.log2(recordHeader + options.longest));
    const texts = {
      room: stride - recordHeader,
      tagged: options.untagged !== true,
      environments: options.environment?.copies ?? 0,
    };
    this.#records = new Ring(syscalls, "record", recordCapacity, stride);
    this.#catches = new Ring(syscalls, "catch", catchCapacity, stride);
    try {
      const small = (name: string, type: "percpu_array" | "prog_array") =>
        this.#keep(
          createSmallMap(syscalls, name, type, {
            valueSize: type === "prog_array" ? 4 : 8,
            entries: 1,
          }),
        );
      const current = small("divisi_current", "percpu_array");
      const programs = small("divisi_watched", "prog_array");
      const maps = {
        next: this.#records.next.fd,
        records: this.#records.slots.fd,
        caught: this.#catches.next.fd,
        catches: this.#catches.slots.fd,
        current,
        programs,
        environment: options.environment?.fd ?? -1,
      };
      this.#gate = this.#keep(
        loadSmallProgram(syscalls, gateText(texts), {
          maps,
          attachType: 37,
          hasFrags: options.hasFrags === true,
        }),
      );
      const set = setWord(syscalls, programs, [0, options.program]);
      if (set < 0)
        throw new Bug(`no tail call to it: ${syscalls.errorName(-set)}`);
      this.#wire = this.#keep(
        loadSmallProgram(syscalls, wireCatcherText(texts), {
          maps,
          attachType: 37,
        }),
      );
      this.#stack = this.#keep(
        loadSmallProgram(syscalls, stackCatcherText(texts), {
          maps,
          type: schedClsType,
        }),
      );
      for (const event of watchedEvents) this.#watchEvent(event, maps);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Runs that began so far. */
  get begun(): number {
    return this.#records.count;
  }

  /** Frames caught so far. */
  get caught(): number {
    return this.#catches.count;
  }

  /** Puts the program, behind its gate, at a port, and catches what it passes on. */
  attachPort(ifindex: number, options: AttachOptions = {}): void {
    this.#attach(this.#gate, ifindex, options);
    const link = this.#syscalls.bpf(
      command.linkCreate,
      attributes(this.#syscalls, "linkCreate", {
        programFd: this.#stack,
        target: ifindex,
        attachType: tcxIngress,
      }),
    );
    if (link < 0)
      throw new UnsupportedError(
        `frames that are passed on cannot be seen (${this.#syscalls.errorName(-link)})`,
        { feature: "tcx links", firstKernel: "6.6" },
      );
    this.#keep(link);
  }

  /** Catches what reaches a peer. */
  attachPeer(ifindex: number): void {
    this.#attach(this.#wire, ifindex, { mode: "native" });
  }

  /** Runs not taken yet whose frame was recorded, in order. */
  takeRuns(): WatchedRun[] {
    return this.#records.take((words, at, frame) => {
      const word = (offset: number): number => words[at + offset / 4] ?? 0;
      const redirect = word(40);
      if (word(4) === 0) throw new Bug("a frame could not be tagged");
      return {
        number: word(0) - 1,
        frame,
        ifindex: word(20),
        queue: word(24),
        cpu: word(28),
        time: BigInt(word(32)) | (BigInt(word(36)) << 32n),
        exception: word(16) === 0 ? undefined : word(16) - 1,
        redirect:
          redirect === 0 ? undefined : redirect === 1 ? 0 : -(word(44) | 0),
      };
    });
  }

  takeCatches(): Catch[] {
    return this.#catches.take((words, at, frame) => {
      const word = (offset: number): number => words[at + offset / 4] ?? 0;
      const tag = word(4);
      return {
        run: tag === 0 ? undefined : tag - 1,
        at: word(16) === 1 ? "wire" : "stack",
        ifindex: word(20),
        queue: word(24),
        cpu: word(28),
        // The protocol comes in network order.
        frame:
          word(36) === 0
            ? frame
            : withVlanTag(frame, {
                protocol: ((word(36) & 255) << 8) | ((word(36) >>> 8) & 255),
                tag: word(32),
              }),
      };
    });
  }

  close(): void {
    for (const link of this.#links) link.close();
    for (const fd of this.#fds.reverse()) this.#syscalls.close(fd);
    this.#records.close();
    this.#catches.close();
  }

  #attach(program: number, ifindex: number, options: AttachOptions): void {
    this.#links.push(
      attachXdp(this.#syscalls, { fd: program }, ifindex, options),
    );
  }

  #watchEvent(
    event: WatchedEvent,
    maps: Readonly<Record<string, number>>,
  ): void {
    const syscalls = this.#syscalls;
    const text = eventText(event, namespaceIdentity("own"));
    for (const fd of attachEvent(syscalls, event, { text, maps }))
      this.#keep(fd);
  }

  #keep(fd: number): number {
    this.#fds.push(fd);
    return fd;
  }
}

/** Slots that programs fill, and how many they have begun. */
class Ring {
  readonly slots: SharedArray;
  readonly next: SharedArray;
  readonly #capacity: number;
  #read = 0;

  constructor(
    syscalls: Syscalls,
    name: string,
    capacity: number,
    stride: number,
  ) {
    this.#capacity = capacity;
    this.slots = createSharedArray(syscalls, `divisi_${name}s`, {
      entries: capacity,
      valueSize: stride,
    });
    this.next = createSharedArray(syscalls, `divisi_${name}_n`, {
      entries: 1,
      valueSize: 8,
    });
  }

  get count(): number {
    return Atomics.load(this.next.words, 0);
  }

  /** Reads what is whole, up to the first that is not. */
  take<T>(read: (words: Uint32Array, at: number, frame: Uint8Array) => T): T[] {
    const { words, bytes, stride } = this.slots;
    const taken: T[] = [];
    for (const end = this.count; this.#read < end; this.#read++) {
      if (end - this.#read > this.#capacity)
        throw new Bug("more was recorded than there is room for");
      const at = (this.#read % this.#capacity) * stride;
      if (Atomics.load(words, at / 4) !== this.#read + 1) break;
      const length = Math.min(words[at / 4 + 2] ?? 0, stride - recordHeader);
      const first = at + recordHeader;
      taken.push(read(words, at / 4, bytes.slice(first, first + length)));
    }
    return taken;
  }

  close(): void {
    this.slots.close();
    this.next.close();
  }
}
