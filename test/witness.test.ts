/**
 * Witnesses of races: a schedule of two cores that no order of the packets explains.
 * What is safe on two cores must have none, whatever is claimed of it.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { analyse, type Race } from "#analysis";
import { programSpec, readObject, setMapType } from "#object";
import { raceWitnesses } from "#proof";
import { parseFunction, type MapTypeName, type ProgramSpec } from "#isa";
import { readCaptureBytes } from "#traffic";
import { divisi, temporaryFolder } from "./support/cli.ts";

const frame = (source: number): Uint8Array => {
  const data = new Uint8Array(64);
  data.set([0x08, 0x00, 0x45], 12);
  data.set([10, 0, 0, source], 26);
  return data;
};
const packets = [1, 2, 1, 1].map((source, index) => ({
  data: frame(source),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: BigInt(index),
}));

/** Counts frames by address; `change` adds to the value behind r0. */
function counter(type: MapTypeName, change: string): ProgramSpec {
  return {
    file: "counter",
    name: "counter",
    section: "xdp",
    type: "xdp",
    license: "GPL",
    maps: [
      {
        name: "cells",
        type,
        keySize: 4,
        valueSize: 16,
        maxEntries: 64,
        flags: 0,
        section: ".maps",
        readOnly: false,
        valueFields: [
          { path: "lock", bitOffset: 0, bits: 32, kind: "spin-lock" },
          { path: "packets", bitOffset: 64, bits: 64, kind: "int" },
        ],
      },
    ],
    functions: [
      parseFunction(`function counter
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 34
  if r4 > r3 goto out
  r5 = *(u8 *)(r2 + 29)
  *(u32 *)(r10 - 4) = r5
  r2 = r10
  r2 += -4
  r1 = map cells ll
  call map_lookup_elem
  if r0 == 0 goto out
  r6 = r0
  ${change}
out:
  r0 = 2
  exit`),
    ],
  };
}

const plain = `r1 = *(u64 *)(r6 + 8)
  r1 += 1
  *(u64 *)(r6 + 8) = r1`;
const claimed: readonly Race[] = (
  ["lost-update", "check-then-act", "unlocked-write"] as const
).map((kind) => ({ object: "cells", kind, at: [], text: "" }));

const rows: readonly (readonly [string, ProgramSpec, readonly string[]])[] = [
  // prettier-ignore
  ["a plain addition", counter("array", plain), ["lost-update", "unlocked-write"]],
  [
    "an atomic addition",
    counter("array", "r1 = 1\n  lock *(u64 *)(r6 + 8) += r1"),
    [],
  ],
  ["a copy per CPU", counter("percpu_array", plain), []],
  [
    "an addition under a lock",
    counter(
      "array",
      `r1 = r6\n  call spin_lock\n  ${plain}\n  r1 = r6\n  call spin_unlock`,
    ),
    [],
  ],
];

test("a schedule is found where updates get lost, and nowhere else", () => {
  for (const [name, program, want] of rows)
    deepEqual(
      raceWitnesses(program, packets, claimed, {}).flatMap(
        ({ kind, schedule }) => (schedule === undefined ? [] : [kind]),
      ),
      want,
      name,
    );
});

test("a lost update, cell and place", () => {
  const [found] = raceWitnesses(
    counter("array", plain),
    packets,
    claimed.slice(0, 1),
    {},
  );
  equal(found?.schedule?.held.op, "load");
  equal(found.schedule.differs.what, "cells[01000000]");
  const counts = [
    found.schedule.differs.raced,
    ...found.schedule.differs.inOrder,
  ].map((hex) => hex?.slice(16, 18));
  deepEqual(counts, ["01", "02", "02"]);
});

test("creating what was missing: one of two creations is lost", () => {
  const file = "nfs/c/source-counter.o";
  const bytes = readFileSync(join(import.meta.dirname, "../..", file));
  const object = readObject(bytes, file);
  const race = ({ races }: ReturnType<typeof analyse>) => races;
  const witnessed = (program: ProgramSpec) =>
    raceWitnesses(
      program,
      packets,
      claimed.map((one) => ({ ...one, object: "sources" })),
      {},
    ).flatMap(({ kind, schedule }) => (schedule === undefined ? [] : [kind]));
  const program = programSpec(object);
  ok(race(analyse(program)).length >= 2);
  deepEqual(witnessed(program), [
    "lost-update",
    "check-then-act",
    "unlocked-write",
  ]);
  const split = programSpec(setMapType(object, "sources", "percpu_hash"));
  deepEqual(race(analyse(split)), []);
  deepEqual(witnessed(split), []);
});

test("the two packets as a capture, and what is lost in words", () => {
  const folder = temporaryFolder("witness-pcap");
  const file = join(folder, "race.pcap");
  // prettier-ignore
  const { status, stdout } = divisi(["analyze", "nfs/c/source-counter.o", "--witness", file]);
  equal(status, 0);
  const text = stdout.replaceAll(/\s+/g, " ");
  match(
    text,
    /witness lost-update of sources: packets 1 and 2 of .*the first is held behind the load at source-counter\.c:37, the second runs, the first goes on sources\[0a000001\]: packets=2; one after the other: packets=3/,
  );
  match(text, /two threads, 100000 packets: /);
  const frames = [
    ...readCaptureBytes(new Uint8Array(readFileSync(file)), file),
  ];
  equal(frames.length, 4);
  for (const line of stdout.split("\n")) ok(line.length <= 80, line);
});
