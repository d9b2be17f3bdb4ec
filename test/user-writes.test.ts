/**
 * Maps that user space writes. What a plan says of a map's layout is what the emitted
 * object has; a map that is named as written from outside keeps its layout, unless
 * cores only add to it; and packets see each change, on whatever core they are. A
 * program that took the first contents for constants is seen.
 */
import { deepEqual, equal, notDeepEqual, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { loadPortable } from "#engine";
import type { PacketInput } from "#interp";
import type { MapSpec, ProgramSpec } from "#isa";
import { nicProfile } from "#rss";
import { analyseLoaded, load } from "../src/analysed.ts";
import { generate, type Artifact } from "../src/pipeline.ts";
import { root } from "./support/cli.ts";

const cores = 2;

/** Split with private tables wherever the plan may have them. */
function split(
  name: string,
  written: "none" | "all",
): { readonly program: ProgramSpec; readonly artifact: Artifact } {
  const options = {
    file: `${name}.o`,
    set: [],
    ports: [],
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, `nfs/c/${name}.o`));
  const loaded = load(bytes, options);
  const names = loaded.program.maps
    .filter(({ section }) => section === ".maps")
    .map((map) => map.name);
  const analysed = analyseLoaded(loaded, {
    ...options,
    userWrites: written === "all" ? names : [],
  });
  const profile = nicProfile("generic");
  const artifact = generate(analysed, profile, {
    cores,
    profile,
    ports: analysed.ports,
    samples: 4,
    guards: ["lock"],
    layout: "private",
  });
  return { program: analysed.program, artifact };
}

/** What user space has to know of a map. */
const outside = ({ type, keySize, valueSize, maxEntries }: MapSpec): string =>
  [type, keySize, valueSize, maxEntries].join(" ");

const changedIn = ({ program, artifact }: ReturnType<typeof split>) =>
  program.maps.flatMap((map) => {
    const emitted = artifact.emitted.maps.find(({ name }) => name === map.name);
    ok(emitted !== undefined, map.name);
    return outside(map) === outside(emitted) ? [] : [map.name];
  });
const listedIn = ({ artifact }: ReturnType<typeof split>) =>
  artifact.plan.objects.flatMap(({ object, layoutChanged }) =>
    layoutChanged ? [object] : [],
  );

// prettier-ignore
const changes: readonly (readonly [name: string, changed: string, written: string])[] = [
  ["conntrack",          "connections", ""],
  ["nat",                "flows flows_chain", ""],
  ["connection-limiter", "clients flows flows_chain", ""],
  ["ids",                "matches", "matches"],
  ["static-bridge",      "", ""],
];
for (const [name, changed, written] of changes)
  test(`${name}: the plan lists the maps whose outside layout changed`, () => {
    for (const [which, want] of [
      ["none", changed],
      ["all", written],
    ] as const) {
      const found = split(name, which);
      equal(listedIn(found).toSorted().join(" "), want, which);
      equal(changedIn(found).toSorted().join(" "), want, which);
      if (which === "all")
        for (const { object, strategy, layoutChanged } of found.artifact.plan
          .objects)
          ok(!layoutChanged || strategy === "merge", object);
    }
  });

/** A UDP datagram of 10.0.0.1:1 to 10.0.0.2:2. */
function datagram(): Uint8Array {
  const data = new Uint8Array(64);
  const view = new DataView(data.buffer);
  view.setUint16(12, 0x0800);
  view.setUint8(14, 0x45);
  view.setUint16(16, 50);
  view.setUint8(22, 64);
  view.setUint8(23, 17);
  data.set([10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2, 0, 30], 26);
  return data;
}

/** Packets before and behind changes of `allowed`: verdicts. */
function verdicts(program: ProgramSpec, updates: boolean): readonly number[] {
  const map = program.maps.find(({ name }) => name === "allowed");
  ok(map !== undefined);
  const engine = loadPortable(program, { cpus: cores });
  const packet = (cpu: number): PacketInput => ({
    data: datagram(),
    ifindex: 1,
    rxQueue: cpu,
    cpu,
    time: 0n,
  });
  const both = (): number[] =>
    engine.run([packet(0), packet(1)]).map(({ verdict }) => verdict);
  const key = new Uint8Array(map.keySize);
  key.set(datagram().subarray(26, 38));
  // UDP, from the port LAN.
  key.set([17, 0], 12);
  const before = both();
  if (updates)
    equal(
      engine.maps.update("allowed", key, new Uint8Array(map.valueSize).fill(1)),
      0,
    );
  const during = both();
  if (updates) equal(engine.maps.delete("allowed", key), 0);
  return [...before, ...during, ...both()];
}

test("a map that only user space writes is read anew by every packet", () => {
  const { program, artifact } = split("allow", "all");
  const sequential = verdicts(program, true);
  const [denied, , allowed] = sequential;
  notDeepEqual(denied, allowed);
  deepEqual(sequential, [denied, denied, allowed, allowed, denied, denied]);
  deepEqual(verdicts(artifact.emitted, true), sequential);
  // As one would that took the first contents for constants.
  notDeepEqual(verdicts(artifact.emitted, false), sequential);
});
