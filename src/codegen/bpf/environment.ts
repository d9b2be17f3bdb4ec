/**
 * The environment as an input: the program with its clocks, random numbers and CPU
 * read from a map that the run writes before each packet, and with what it asks of
 * redirects noted there. Everything else is the program's own code.
 *
 *   call ktime_get_ns     →   r0 = value .environment[0] ll
 *                             r0 = *(u64 *)(r0 + time)
 *
 * Each exchanged call may use r0 to r5 as the call might; the exchange does not make
 * r1 to r5 unreadable, which the call does: that the program reads none of them is
 * what the verifier says of the unmodified program, so that is loaded too.
 *
 * - Clocks (boot, coarse and TAI too) show the packet's time, jiffies64 that in
 *   units of 4 ms. Random numbers are `randomWords` words in sequence, then the
 *   same ones again; `randomTaken` tells that a run took more.
 * - The CPU number is read, then compared: at or above `cpus` the run ends with the
 *   verdict that drops (in a subprogram: returns 0) and is counted in `clamped`. So
 *   the verifier knows the range that it knows of the helper's answer. A program with
 *   per-CPU maps keeps its own call: it must run on the packet's CPU (`pinned`).
 * - fib_lookup answers as the interpreter does, since routes are the kernel's.
 * - Redirects are called as they are. Their arguments are noted before and their
 *   answer after: a test run shows the verdict and not where to. Of perf events the
 *   size is noted, which their padding hides.
 *
 * Hash maps get BPF_F_ZERO_SEED, so that a run can be had again.
 *
 * Source: the helpers' descriptions in include/uapi/linux/bpf.h; net/core/filter.c.
 */
import { printPlace, type Place } from "../../base/index.ts";
import {
  editFunction,
  helperByName,
  helperByNumber,
  mapTypeRow,
  placeOf,
  type Edit,
  type MapSpec,
  type ProgramSpec,
} from "../../isa/index.ts";
import { assembled } from "./patch/assembled.ts";

export const environmentMap = ".environment";

/** Offsets in bytes of the one value of `.environment`. */
// prettier-ignore
export const environmentLayout = {
  time: 0, jiffies: 8, cpu: 16, randomTaken: 20, clamped: 24,
  // The last redirect: its number in `redirectCalls` from 1 (0: none), how many, arguments and answer.
  redirectCall: 32, redirects: 36, redirectFirst: 40, redirectSecond: 48, redirectFlags: 56, redirectAnswer: 64,
  // Perf events: size and flags of the one being sent, how many were, and their sizes with what they took of the packet.
  eventSize: 72, eventFlags: 80, events: 88, eventSizes: 384,
  random: 128, size: 448,
} as const;

/** Random numbers that a run can take before they repeat. */
export const randomWords = 64;

/** Perf events of one run whose sizes are kept. */
export const eventWords = 16;

/** Helpers whose redirects are noted; which argument holds the flags. */
// prettier-ignore
export const redirectCalls = [
  { helper: "redirect", flags: 2 }, { helper: "redirect_map", flags: 3 },
  { helper: "redirect_neigh", flags: 4 }, { helper: "redirect_peer", flags: 2 },
] as const;

export interface RewrittenCall {
  readonly helper: string;
  readonly at: Place;
  /** `exchanged` for a word of the map, or called as before with its arguments `noted`. */
  readonly how: "exchanged" | "noted";
}

export interface ControlledProgram {
  readonly program: ProgramSpec;
  readonly rewritten: readonly RewrittenCall[];
  /** It has per-CPU maps: only a run on the packet's own CPU is comparable. */
  readonly pinned: boolean;
  readonly usesRandom: boolean;
}

export interface ControlOptions {
  /** CPUs that there may be; numbers are below it. */
  readonly cpus: number;
  /** What fib_lookup finds: nothing (as interp does by itself), or what `variedEnvironment` does. */
  readonly routes?: "none" | "varied";
  /**
   * Packets run on several CPUs at once: the map has `cpus` values in a row, each CPU
   * reads its own, and only clocks and routes are exchanged.
   */
  readonly atOnce?: boolean;
}

export function controlEnvironment(
  program: ProgramSpec,
  options: ControlOptions,
): ControlledProgram {
  const pinned = needsOwnCpu(program);
  const rewritten: RewrittenCall[] = [];
  const functions = program.functions.map((fn, index) => {
    const edits = fn.instructions.flatMap((instruction, at): Edit[] => {
      if (
        instruction.kind !== "call" ||
        instruction.callee.kind !== "helper" ||
        (pinned && instruction.callee.helper === cpuHelper)
      )
        return [];
      const helper = helperByNumber(instruction.callee.helper)?.name ?? "";
      const text = replacementOf(helper, {
        ...options,
        drop: index > 0 || program.type === "xdp" ? 0 : 2,
      });
      if (text === undefined) return [];
      const how = text.includes(`call ${helper}`) ? "noted" : "exchanged";
      rewritten.push({ helper, at: placeOf(fn, at), how });
      return [{ kind: "replace", at, instructions: assembled(text) }];
    });
    return edits.length === 0 ? fn : editFunction(fn, edits);
  });
  const maps = program.maps.map(withZeroSeed);
  return {
    program: {
      ...program,
      functions,
      maps:
        rewritten.length === 0
          ? maps
          : [
              ...maps,
              environmentSpec(options.atOnce === true ? options.cpus : 1),
            ],
    },
    rewritten,
    pinned,
    usesRandom: rewritten.some(({ helper }) => helper === "get_prandom_u32"),
  };
}

/** The program with every call as it is. */
export function unchanged(program: ProgramSpec): ControlledProgram {
  const callsCpu = program.functions.some(({ instructions }) =>
    instructions.some(
      (instruction) =>
        instruction.kind === "call" &&
        instruction.callee.kind === "helper" &&
        instruction.callee.helper === cpuHelper,
    ),
  );
  const pinned = callsCpu || needsOwnCpu(program);
  return { program, rewritten: [], pinned, usesRandom: false };
}

/** Per-CPU maps show their own CPU's copy, whatever a rewritten call says. */
function needsOwnCpu({ maps }: ProgramSpec): boolean {
  return maps.some(isPerCpu);
}

/** For certificates: `ktime_get_ns at f.c:12 reads the packet's time`. */
export function rewrittenText({ helper, at, how }: RewrittenCall): string {
  return how === "noted"
    ? `${helper} at ${printPlace(at)}: arguments noted`
    : `${helper} at ${printPlace(at)}: answered by the run`;
}

const cpuHelper = helperByName("get_smp_processor_id")?.number;

const mmapable = 1 << 10;
const environmentSpec = (copies: number): MapSpec => ({
  name: environmentMap,
  type: "array",
  keySize: 4,
  valueSize: environmentLayout.size * copies,
  maxEntries: 1,
  flags: mmapable,
  section: environmentMap,
  readOnly: false,
});

function isPerCpu(map: MapSpec): boolean {
  return (
    mapTypeRow(map.type).perCpu === true ||
    (map.inner !== undefined && isPerCpu(map.inner))
  );
}

const zeroSeed = 1 << 6;
// prettier-ignore
const seeded: ReadonlySet<string> = new Set(["hash", "percpu_hash", "lru_hash", "lru_percpu_hash", "bloom_filter"]);

function withZeroSeed(map: MapSpec): MapSpec {
  return seeded.has(map.type) ? { ...map, flags: map.flags | zeroSeed } : map;
}

interface Replacement extends ControlOptions {
  /** The verdict that drops. */
  readonly drop: number;
}

const layout = environmentLayout;
const pointer = `value ${environmentMap}[0] ll`;

/** What stands in the call's place, or undefined. */
function replacementOf(
  helper: string,
  { cpus, drop, routes = "none", atOnce = false }: Replacement,
): string | undefined {
  if (atOnce && helper !== "fib_lookup") return ownClock(helper, cpus);
  switch (helper) {
    case "ktime_get_ns":
    case "ktime_get_boot_ns":
    case "ktime_get_coarse_ns":
    case "ktime_get_tai_ns":
      return `r0 = ${pointer}
        r0 = *(u64 *)(r0 + ${layout.time})`;
    case "jiffies64":
      return `r0 = ${pointer}
        r0 = *(u64 *)(r0 + ${layout.jiffies})`;
    case "get_prandom_u32":
      return `r1 = ${pointer}
        r2 = *(u32 *)(r1 + ${layout.randomTaken})
        r3 = r2
        r3 += 1
        *(u32 *)(r1 + ${layout.randomTaken}) = r3
        r2 &= ${randomWords - 1}
        r2 <<= 2
        r1 += r2
        r0 = *(u32 *)(r1 + ${layout.random})`;
    case "get_smp_processor_id":
      return `r1 = ${pointer}
        r0 = *(u32 *)(r1 + ${layout.cpu})
        if r0 < ${cpus} goto known
        r2 = 1
        lock *(u64 *)(r1 + ${layout.clamped}) += r2
        r0 = ${drop}
        exit
        known:`;
    case "fib_lookup":
      return routes === "none" ? noRoute : variedRoute;
    case "perf_event_output":
      return perfEvent;
    default: {
      const number = redirectCalls.findIndex((row) => row.helper === helper);
      const row = redirectCalls[number];
      return row === undefined ? undefined : noted(number + 1, row);
    }
  }
}

/** A clock of this CPU's value; nothing for other calls. */
function ownClock(helper: string, cpus: number): string | undefined {
  const word =
    helper === "jiffies64"
      ? layout.jiffies
      : /^ktime_get_(?:|boot_|coarse_|tai_)ns$/.test(helper)
        ? layout.time
        : undefined;
  if (word === undefined) return undefined;
  return `call get_smp_processor_id
    if r0 < ${cpus} goto known
    r0 = 0
    known:
    r0 *= ${layout.size}
    r1 = ${pointer}
    r1 += r0
    r0 = *(u64 *)(r1 + ${word})`;
}

function noted(
  number: number,
  { helper, flags }: (typeof redirectCalls)[number],
): string {
  const second = helper === "redirect_map" ? 2 : 1;
  return `r0 = ${pointer}
    *(u64 *)(r0 + ${layout.redirectFirst}) = r1
    *(u64 *)(r0 + ${layout.redirectSecond}) = r${second}
    *(u64 *)(r0 + ${layout.redirectFlags}) = r${flags}
    *(u32 *)(r0 + ${layout.redirectCall}) = ${number}
    r5 = *(u32 *)(r0 + ${layout.redirects})
    r5 += 1
    *(u32 *)(r0 + ${layout.redirects}) = r5
    call ${helper}
    r1 = ${pointer}
    *(u64 *)(r1 + ${layout.redirectAnswer}) = r0`;
}

/** A sample is padded and does not tell by how much. */
const perfEvent = `
    r0 = ${pointer}
    *(u64 *)(r0 + ${layout.eventSize}) = r5
    *(u64 *)(r0 + ${layout.eventFlags}) = r3
    call perf_event_output
    if r0 != 0 goto done
    r1 = ${pointer}
    r2 = *(u64 *)(r1 + ${layout.eventSize})
    r3 = *(u64 *)(r1 + ${layout.eventFlags})
    r3 >>= 32
    r2 += r3
    r4 = *(u32 *)(r1 + ${layout.events})
    r5 = r4
    r5 += 1
    *(u32 *)(r1 + ${layout.events}) = r5
    r4 &= ${eventWords - 1}
    r4 <<= 2
    r1 += r4
    *(u32 *)(r1 + ${layout.eventSizes}) = r2
    done:`;

/** `struct bpf_fib_lookup` in r2, its size in r3, flags in r4. */
const requestChecked = `
    r0 = -22
    w3 = w3
    if r3 < 64 goto done
    w4 = w4
    r4 >>= 6
    if r4 != 0 goto done
    r4 = *(u8 *)(r2 + 0)
    r1 = *(u8 *)(r2 + 34)
    r5 = *(u8 *)(r2 + 35)
    if r4 == 2 goto family
    r1 = *(u8 *)(r2 + 46)
    r5 = *(u8 *)(r2 + 47)
    if r4 == 10 goto family
    r0 = -97
    goto done
    family:`;

/** BPF_FIB_LKUP_RET_NOT_FWDED. */
const noRoute = `${requestChecked}
    r0 = 4
    done:`;

/** The code is the destination's last byte modulo 16; 0 finds a neighbour. */
const variedRoute = `${requestChecked}
    r0 = r5
    r0 &= 15
    if r0 != 0 goto done
    r3 = *(u16 *)(r2 + 6)
    if r3 <= 1500 goto fits
    *(u16 *)(r2 + 6) = 1500
    r0 = 8
    goto done
    fits:
    r1 &= 3
    *(u32 *)(r2 + 8) = r1
    *(u32 *)(r2 + 48) = 0
    *(u16 *)(r2 + 52) = 2
    *(u16 *)(r2 + 54) = 0
    *(u8 *)(r2 + 56) = 1
    *(u8 *)(r2 + 57) = 1
    *(u16 *)(r2 + 58) = 2
    *(u16 *)(r2 + 60) = 0
    *(u8 *)(r2 + 62) = 1
    *(u8 *)(r2 + 63) = r5
    done:`;
