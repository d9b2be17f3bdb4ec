/**
 * One program of the running kernel: loaded, so accepted by the verifier, and
 * runnable on packets by BPF_PROG_TEST_RUN.
 *
 * TEST_RUN leaves out, by design, NIC, driver and dispatch; the verdict is not
 * acted on. Frames have at least 14 bytes. With repeat > 1 the same buffer is
 * used again, so what the program writes into the packet stays.
 *
 * Source: net/bpf/test_run.c (bpf_prog_test_run_xdp).
 */
import process from "node:process";
import {
  InputError,
  UnsupportedError,
  VerifierError,
} from "../../../base/index.ts";
import { programTypeRow, type ProgramSpec } from "../../../isa/index.ts";
import { onCpu } from "../system/affinity.ts";
import { purposeOf } from "./attach-target.ts";
import { attributes, command, kernelName, result } from "../attributes.ts";
import {
  linkProgram,
  placeFunctions,
  placeOfSlot,
  type KernelNames,
  type PlacedFunction,
} from "./layout.ts";
import { memory, type Syscalls } from "../syscalls.ts";
import type { TypeInformation } from "./type-information.ts";
import { printSummary, processedCount, summarizeLog } from "./verifier-log.ts";

const EPERM = 1;
const EINTR = 4;
const E2BIG = 7;
const EAGAIN = 11;
const ENOSPC = 28;
const headroom = 512;
/** BPF_F_TEST_XDP_LIVE_FRAMES, and frames that are made at once. */
const liveFlag = 2;
const liveBatch = 64;

export interface TestRunOptions {
  readonly repeat?: number;
  /** Ingress interface, which must exist; the loopback device by default. */
  readonly ifindex?: number;
  readonly rxQueue?: number;
  /** Default: whichever CPU the thread is on. */
  readonly cpu?: number;
}

export interface TestRunResult {
  /** r0, unsigned 32 bits. */
  readonly verdict: number;
  /** The frame after the run (after all repeats). */
  readonly data: Uint8Array;
  /** Mean of all repeats, in whole nanoseconds. */
  readonly durationNs: number;
}

export interface LoadOptions {
  readonly names: KernelNames;
  readonly types: (
    placed: readonly PlacedFunction[],
  ) =>
    { readonly fd: number; readonly information: TypeInformation } | undefined;
}

export class KernelProgram {
  readonly spec: ProgramSpec;
  readonly fd: number;
  /** Instructions that the verifier walked. */
  readonly processed: number | undefined;
  readonly #syscalls: Syscalls;

  private constructor(
    syscalls: Syscalls,
    loaded: { spec: ProgramSpec; fd: number; processed: number | undefined },
  ) {
    this.#syscalls = syscalls;
    this.spec = loaded.spec;
    this.fd = loaded.fd;
    this.processed = loaded.processed;
  }

  /** Throws a VerifierError with a one-line summary when the kernel says no. */
  static load(
    syscalls: Syscalls,
    spec: ProgramSpec,
    options: LoadOptions,
  ): KernelProgram {
    const purpose = purposeOf(spec);
    const placed = placeFunctions(spec);
    const code = toMemory(linkProgram(placed, options.names));
    const types = options.types(placed);
    const info = types?.information;
    const functions = toMemory(info?.functions);
    const lines = toMemory(info?.lines);
    const relocations = toMemory(info?.relocations);
    const license = toMemory(new TextEncoder().encode(`${spec.license}\0`));
    const attempt = (
      log: Buffer,
      logLevel: number,
    ): readonly [number, Buffer] => {
      const attr = attributes(syscalls, "programLoad", {
        type: programTypeRow(spec.type).number,
        instructionCount: code.length / 8,
        instructions: code,
        license,
        logLevel,
        logSize: log.length,
        log,
        flags: purpose.flags,
        name: kernelName(spec.name),
        attachType: purpose.attachType,
        attachBtfId: purpose.attachBtfId,
        ...(types === undefined
          ? {}
          : {
              btfFd: types.fd,
              functionInfoSize: 8,
              functionInfo: functions,
              functionInfoCount: (info?.functions.length ?? 0) / 8,
              ...(info !== undefined && info.lines.length > 0
                ? {
                    lineInfoSize: 16,
                    lineInfo: lines,
                    lineInfoCount: info.lines.length / 16,
                  }
                : {}),
              ...(info !== undefined && info.relocations.length > 0
                ? {
                    relocationSize: 16,
                    relocations,
                    relocationCount: info.relocations.length / 16,
                  }
                : {}),
            }),
      });
      return [syscalls.bpf(command.programLoad, attr), attr];
    };
    // Level 4 prints counts only; it costs nothing when all is well.
    const short = memory(16 * 1024);
    let fd = -EAGAIN;
    for (let round = 0; fd === -EAGAIN && round < 5; round++)
      [fd] = attempt(short, 4);
    if (fd === -ENOSPC) [fd] = attempt(memory(1 << 24), 4);
    if (fd >= 0)
      return new KernelProgram(syscalls, {
        spec,
        fd,
        processed: processedCount(textOf(short)),
      });
    if (fd === -EPERM && textOf(short) === "")
      throw new UnsupportedError(
        `program ${spec.name}: no permission to load`,
        {
          feature: "CAP_BPF",
          fix: "run as root, or with CAP_BPF and CAP_NET_ADMIN",
        },
      );
    // A walk that was too long has a verdict, and a trace that helps nobody.
    const long = memory(fd === -E2BIG ? 16 : 1 << 24);
    if (fd !== -E2BIG) {
      const [again] = attempt(long, 1);
      if (again >= 0) syscalls.close(again);
    }
    const log = textOf(long) || textOf(short);
    const summary = summarizeLog(log);
    const place =
      summary?.slot === undefined
        ? undefined
        : placeOfSlot(placed, summary.slot);
    throw new VerifierError(
      summary === undefined
        ? `${spec.name}: the kernel refused the program with ${syscalls.errorName(-fd)}`
        : printSummary(summary, () => place),
      log,
      place,
    );
  }

  testRun(packet: Uint8Array, options: TestRunOptions = {}): TestRunResult {
    return options.cpu === undefined
      ? this.#run(packet, options)
      : onCpu(this.#syscalls, options.cpu, () => this.#run(packet, options));
  }

  /**
   * Live: the kernel makes `frames` frames of these bytes and acts on each verdict;
   * redirects go where they lead. Answers the nanoseconds that making and running took.
   */
  liveRun(
    packet: Uint8Array,
    { frames, cpu }: { readonly frames: number; readonly cpu: number },
  ): number {
    const attr = attributes(this.#syscalls, "testRun", {
      fd: this.fd,
      sizeIn: packet.length,
      dataIn: toMemory(packet),
      repeat: frames,
      flags: liveFlag,
      batch: liveBatch,
    });
    return onCpu(this.#syscalls, cpu, () => {
      const started = process.hrtime.bigint();
      const code = this.#syscalls.bpf(command.testRun, attr);
      const ns = Number(process.hrtime.bigint() - started);
      if (code < 0)
        throw new UnsupportedError(
          `live frames: ${this.#syscalls.errorName(-code)}`,
          { feature: "BPF_F_TEST_XDP_LIVE_FRAMES", firstKernel: "5.18" },
        );
      return ns;
    });
  }

  close(): void {
    this.#syscalls.close(this.fd);
  }

  #run(packet: Uint8Array, options: TestRunOptions): TestRunResult {
    const { repeat = 1 } = options;
    const input = toMemory(packet);
    const output = memory(packet.length + headroom);
    const context = this.#context(packet, options);
    for (;;) {
      const attr = attributes(this.#syscalls, "testRun", {
        fd: this.fd,
        sizeIn: packet.length,
        sizeOut: output.length,
        dataIn: input,
        dataOut: output,
        repeat,
        ...(context === undefined
          ? {}
          : { contextSizeIn: context.length, contextIn: context }),
      });
      const code = this.#syscalls.bpf(command.testRun, attr);
      // Interrupted runs of many repeats changed the state already.
      if (code === -EINTR && repeat === 1) continue;
      if (code < 0)
        throw new InputError(
          `program ${this.spec.name}: a test run on ${packet.length} bytes failed with ${this.#syscalls.errorName(-code)}`,
          { code: "test-run" },
        );
      const size = result(attr, "testRun", "sizeOut");
      return {
        verdict: result(attr, "testRun", "verdict"),
        data: Uint8Array.from(output.subarray(0, size)),
        durationNs: result(attr, "testRun", "duration"),
      };
    }
  }

  /** `struct xdp_md`, given only where the caller asks for a port or queue. */
  #context(packet: Uint8Array, options: TestRunOptions): Buffer | undefined {
    if (options.ifindex === undefined && options.rxQueue === undefined)
      return undefined;
    if (this.spec.type !== "xdp")
      throw new InputError(`a ${this.spec.type} program takes no port here`, {
        code: "test-run",
      });
    const context = memory(24);
    context.writeUInt32LE(packet.length, 4);
    context.writeUInt32LE(options.ifindex ?? 1, 12);
    context.writeUInt32LE(options.rxQueue ?? 0, 16);
    return context;
  }
}

function toMemory(bytes: Uint8Array | undefined): Buffer {
  const held = memory(Math.max(1, bytes?.length ?? 0));
  if (bytes !== undefined) held.set(bytes);
  return held;
}

function textOf(log: Buffer): string {
  const end = log.indexOf(0);
  return log.toString("utf8", 0, end < 0 ? log.length : end);
}
