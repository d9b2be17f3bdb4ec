/**
 * Two CPUs in one program at once, as the kernel runs it: what a lock or an atomic
 * addition must keep, exactly, and what is lost as soon as it is taken out.
 */
import { equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withKernelLocks, withLocks } from "#codegen";
import {
  haveBpf,
  measureInterleaved,
  openKernel,
  prepareSubject,
} from "#engine";
import type { PacketInput } from "#interp";
import { parseFunctions, type MapSpec } from "#isa";
import { emptyObject, programSpec, readObject, type ObjectSpec } from "#object";
import { root } from "./support/cli.ts";
import { emptyPacket, typed } from "./support/typed-maps.ts";

const absence = await haveBpf();
const skip = absence === undefined ? {} : { skip: absence.message };

const entries = 16_384;
const hash: MapSpec = {
  ...typed.counter,
  name: "total",
  type: "hash",
  valueSize: 16,
  maxEntries: entries,
  btfValue: typed.pair,
};

/**
 * The n-th packet of each CPU has key n, so that both CPUs meet each key at about the
 * same time: a miss on both is common.
 */
function inserting(hit: string): ObjectSpec {
  const text = `function count
r6 = 0
*(u32 *)(r10 - 4) = r6
r1 = map seen ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto out
r7 = *(u64 *)(r0 + 0)
r1 = r7
r1 += 1
*(u64 *)(r0 + 0) = r1
r7 &= ${entries - 1}
*(u32 *)(r10 - 4) = r7
r1 = map total ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto miss
${hit}
goto out
miss:
r1 = 1
*(u64 *)(r10 - 24) = r1
*(u64 *)(r10 - 16) = r1
r1 = map total ll
r2 = r10
r2 += -4
r3 = r10
r3 += -24
r4 = 0
call map_update_elem
out:
r0 = 2
exit`;
  return {
    ...emptyObject("count", "GPL"),
    functions: parseFunctions(text).map((fn) => ({ ...fn, section: "xdp" })),
    maps: [{ ...typed.counter, name: "seen", type: "percpu_array" }, hash],
    programs: [{ name: "count", section: "xdp", type: "xdp" }],
    btf: typed.btf,
  };
}

/** The second word says what the first became: no addition alone does that. */
const twins = `r1 = *(u64 *)(r0 + 0)
r1 += 1
*(u64 *)(r0 + 0) = r1
*(u64 *)(r0 + 8) = r1`;

interface Counted {
  readonly total: number;
  readonly second: number;
  readonly seen: number;
}

async function counted(object: ObjectSpec): Promise<Counted> {
  const kernel = await openKernel();
  const subject = prepareSubject(kernel, programSpec(object), {
    packets: [[emptyPacket], [emptyPacket]],
    ...(object.btf === undefined ? {} : { btf: object.btf }),
  });
  try {
    await measureInterleaved(kernel, [subject], { samples: 2, burst: 20 });
    const seen = subject.map("seen").lookupAll(new Uint8Array(4)) ?? [];
    let total = 0;
    let second = 0;
    for (const [, [value]] of subject.map("total").entries()) {
      total += word(value, 0);
      second += word(value, 8);
    }
    return {
      total,
      second,
      seen: seen.reduce((all, value) => all + word(value, 0), 0),
    };
  } finally {
    subject.close();
    kernel.close();
  }
}

function word(bytes: Uint8Array | undefined, at: number): number {
  const view = new DataView(bytes?.slice().buffer ?? new ArrayBuffer(16));
  return Number(view.getBigUint64(at, true));
}

/** Losing takes two CPUs that meet: some tries. */
async function losesSome(object: ObjectSpec): Promise<boolean> {
  for (let run = 0; run < 10; run++) {
    const { seen, total } = await counted(object);
    if (total < seen) return true;
  }
  return false;
}

/** The same, but an insertion overwrites what another CPU inserted. */
function overwriting(object: ObjectSpec): ObjectSpec {
  return {
    ...object,
    functions: object.functions.map((fn) => ({
      ...fn,
      instructions: fn.instructions.map((instruction) =>
        instruction.kind === "alu" &&
        instruction.op === "mov" &&
        instruction.dst === 4 &&
        instruction.src.kind === "immediate" &&
        instruction.src.value === 1
          ? { ...instruction, src: { kind: "immediate", value: 0 } as const }
          : instruction,
      ),
    })),
  };
}

test("two CPUs insert each key once", skip, async () => {
  const locked = withLocks(inserting(twins), "total");
  ok(locked.kind === "locked" && locked.how === "lock");
  const safe = await counted(locked.code);
  ok(safe.seen > 100_000, `${safe.seen}`);
  equal(safe.total, safe.seen);
  equal(safe.second, safe.total);
  // Without the flag of the insertion, and without anything, packets are lost.
  ok(await losesSome(overwriting(locked.code)), "overwriting");
  ok(await losesSome(inserting(twins)), "without locks");
});

test("r3: sources are counted by two CPUs, none lost", skip, async () => {
  const file = "nfs/c/r3.o";
  const object = readObject(readFileSync(join(root, file)), file);
  const locked = withKernelLocks(object, ["sources"]);
  ok(locked.kind === "locked");
  const run = async (code: ObjectSpec) => {
    const kernel = await openKernel();
    // Each CPU has destinations of its own, as the plan shards them; few sources.
    const subject = prepareSubject(kernel, programSpec(code), {
      packets: [0, 1].map((core) =>
        Array.from({ length: 64 }, (_, at) => ipv4(at % 4, 2 * at + core)),
      ),
      ...(code.btf === undefined ? {} : { btf: code.btf }),
    });
    try {
      await measureInterleaved(kernel, [subject], { samples: 2, burst: 20 });
      const sum = (name: string): number =>
        subject
          .map(name)
          .entries()
          .reduce((all, [, [value]]) => all + word(padded(value), 0), 0);
      return { sources: sum("sources"), destinations: sum("destinations") };
    } finally {
      subject.close();
      kernel.close();
    }
  };
  const safe = await run(locked.code);
  ok(safe.destinations > 100_000);
  equal(safe.sources, safe.destinations);
  let lost = 0;
  for (let tries = 0; tries < 10 && lost <= 0; tries++) {
    const racy = await run(object);
    lost = racy.destinations - racy.sources;
  }
  ok(lost > 0);
});

const padded = (value: Uint8Array | undefined): Uint8Array => {
  const bytes = new Uint8Array(16);
  bytes.set(value ?? []);
  return bytes;
};

function ipv4(source: number, destination: number): PacketInput {
  const data = new Uint8Array(64);
  data.set([0x08, 0x00, 0x45], 12);
  data.set([0, 46], 16);
  data.set([64, 17], 22);
  data.set([10, 0, 0, source, 10, 1, 0, destination], 26);
  return { ...emptyPacket, data };
}
