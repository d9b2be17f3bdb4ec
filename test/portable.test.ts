/**
 * The portable engine on the programs of nfs/c: outcome by outcome and at the end
 * state by state what the interpreter gives, in one thread and on several cores; and
 * a compiled program with one operation exchanged is found out.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadPortable, outcomeDigest, runParallel } from "#engine";
import {
  BytecodeMachine,
  createState,
  type MapEntry,
  type PacketInput,
} from "#interp";
import type { ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { generate, parseGenerator } from "#traffic";

const folder = join(import.meta.dirname, "../../nfs/c");
const files = readdirSync(folder).filter((name) => name.endsWith(".o"));
const seed = Number(process.env["DIVISI_SEED"] ?? 1);

function programIn(file: string): ProgramSpec {
  const bytes = readFileSync(join(folder, file));
  return programSpec(readObject(bytes, file));
}

function packetsOf(model: string): PacketInput[] {
  const trace = generate(parseGenerator(`gen:${model},seed=${seed}`));
  return Array.from(trace, ({ data, time, port }, at) => ({
    data,
    time,
    ifindex: 1 + port,
    rxQueue: at % 2,
    cpu: at % 2,
  }));
}

const traces = [
  ...packetsOf("bidirectional,packets=3000,flows=40"),
  ...packetsOf("churn,packets=3000,flows=200"),
  ...packetsOf("zipf,packets=2000,flows=300"),
  // Shorter and shorter frames: every bounds check of a program fails somewhere.
  ...packetsOf("uniform,packets=200,flows=20").map((packet, at) => ({
    ...packet,
    data: packet.data.slice(0, 14 + (at % 50)),
  })),
];

const number = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);

/** User space's part: the ports, and half of the sources that ddos-mitigator knows. */
function contentsOf(program: ProgramSpec): Record<string, readonly MapEntry[]> {
  const contents: Record<string, readonly MapEntry[]> = {};
  for (const { name, valueSize } of program.maps)
    if (name === "ports")
      contents[name] = [0, 1].map((at) => ({
        key: number(at),
        value: number(at + 1),
      }));
    else if (name === "sources" && program.name === "ddos_mitigator")
      contents[name] = [
        ...new Set(traces.map(({ data }) => data.slice(26, 30).join())),
      ]
        .filter((text, at) => at % 2 === 0 && text.split(",").length === 4)
        .slice(0, 200)
        .map((text) => ({
          key: Uint8Array.from(text.split(","), Number),
          value: new Uint8Array(valueSize),
        }));
  return contents;
}

function interpreted(program: ProgramSpec, capacity: Record<string, number>) {
  const contents = contentsOf(program);
  const state = createState(program.maps, { cpus: 2, contents, capacity });
  const machine = new BytecodeMachine(program, state);
  const outcomes = traces.map((packet) => machine.run(packet));
  return { outcomes, digest: state.digest() };
}

for (const file of files)
  for (const capacities of [{}, { flows: 50, sources: 300, buckets: 50 }])
    test(`${file} as interp runs it, capacities ${JSON.stringify(capacities)} (seed ${seed})`, () => {
      const program = programIn(file);
      const want = interpreted(program, capacities);
      const contents = contentsOf(program);
      for (const control of ["structured", "dispatch"] as const) {
        const portable = loadPortable(program, {
          cpus: 2,
          contents,
          capacities,
          control,
        });
        const have = portable.run(traces);
        for (const [at, outcome] of want.outcomes.entries())
          deepEqual(have[at], outcome, `packet ${at}`);
        equal(portable.digest(), want.digest);
      }
      ok(want.outcomes.every(({ fault }) => fault === undefined));
    });

test("on two cores, each packet fares as on its core alone", async () => {
  const program = programIn("flow-counter.o");
  const steer = Uint8Array.from(traces, ({ data }) => (data[26] ?? 0) & 1);
  const keep = "digests";
  const packets = traces;
  const run = await runParallel({ program, cores: 2, packets, steer, keep });
  for (const core of [0, 1]) {
    const mine = [...traces.keys()].filter((at) => steer[at] === core);
    const state = createState(program.maps, { cpus: 2 });
    const machine = new BytecodeMachine(program, state);
    for (const at of mine) {
      const packet = traces[at];
      if (packet === undefined) continue;
      const outcome = machine.run({ ...packet, cpu: core, rxQueue: core });
      equal(run.verdicts[at], outcome.verdict);
      deepEqual(
        [run.digests[2 * at], run.digests[2 * at + 1]],
        [...outcomeDigest(outcome)],
      );
    }
    equal(run.cores[core]?.digest, state.digest());
    equal(run.cores[core]?.packets, mine.length);
  }
});

/** Opcodes and what a mistaken translator might have written instead. */
// prettier-ignore
const mistakes: readonly (readonly [from: number, to: number])[] = [
  [0x7c, 0x7d], [0x7d, 0x7c], [0x83, 0x84], [0x86, 0x88], [0x51, 0x52], [0x56, 0x54], [0x46, 0x47], [0x35, 0x33], [0x37, 0x3e],
];

test("a compiled program with one operation exchanged is found out", () => {
  const program = programIn("flow-counter.o");
  const want = interpreted(program, {});
  let caught = 0;
  let missed = 0;
  for (const [from, to] of mistakes)
    for (let nth = 0; nth < 4; nth++) {
      const tamper = (bytes: Uint8Array): Uint8Array => {
        const copy = bytes.slice();
        let seen = 0;
        for (const [at, byte] of copy.entries())
          if (byte === from && seen++ === nth) copy[at] = to;
        return copy;
      };
      const answer = judge(tamper);
      if (answer === "caught") caught++;
      if (answer === "missed") missed++;
    }
  // Some exchanged bytes are no opcodes, and some change nothing that can be seen.
  ok(caught >= 10, `${caught} caught, ${missed} missed`);

  function judge(tamper: (bytes: Uint8Array) => Uint8Array): string {
    try {
      const portable = loadPortable(program, { cpus: 2, tamper });
      const have = portable.run(traces);
      const same =
        portable.digest() === want.digest &&
        want.outcomes.every(
          (outcome, at) =>
            outcomeDigest(outcome).join() ===
            (have[at] === undefined ? "" : outcomeDigest(have[at]).join()),
        );
      return same ? "missed" : "caught";
    } catch (error) {
      return String(error).startsWith("CompileError") ? "invalid" : "caught";
    }
  }
});
