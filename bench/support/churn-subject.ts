/** A network function of nfs/c with what each strategy needs to run it on several cores. */
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { recogniseAllocators, analyse, type StateReport } from "#analysis";
import { refreshFields, type GuardOptions } from "#codegen";
import type { ParallelOptions } from "#engine";
import type { MapEntry } from "#interp";
import { lift } from "#ir";
import type { MapSpec, ProgramSpec } from "#isa";
import { programSpec, readObject } from "#object";
import { endsOf } from "./churned-traffic.ts";

const folder = join(import.meta.dirname, "../../../nfs/c");

export const strategies = [
  "shared-nothing",
  "lock",
  "transaction",
  "merge",
] as const;
export type Strategy = (typeof strategies)[number];

export interface ChurnSubject {
  readonly name: string;
  readonly program: ProgramSpec;
  readonly report: StateReport;
  readonly contents: Readonly<Record<string, readonly MapEntry[]>>;
  readonly guard: Omit<GuardOptions, "kind">;
  /** The program with per-CPU counters, if they are all that it writes. */
  readonly merged?: ProgramSpec;
}

export const churnSubjects = (): readonly string[] =>
  readdirSync(folder)
    .filter((file) => file.endsWith(".o"))
    .map((file) => file.slice(0, -2));

const index = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);

export function churnSubject(name: string): ChurnSubject {
  const file = `${name}.o`;
  const object = readObject(readFileSync(join(folder, file)), file);
  const program = programSpec(object);
  const report = analyse(program);
  const state = report.objects.filter(
    ({ access, channel }) => access !== "read-only" && channel !== true,
  );
  const { allocators } = recogniseAllocators(program, lift(program));
  const ages = [...allocators].flatMap(
    ([chain, { capacity, expiry, functions }]) =>
      expiry === undefined ? [] : [{ chain, capacity, expiry, functions }],
  );
  const names = new Set(program.maps.map((map) => map.name));
  const written = state.filter(({ access }) => access !== "none");
  const merges =
    written.length > 0 &&
    written.every(
      ({ access }) => access === "add-only" || access === "per-cpu",
    );
  const perCpu = (map: MapSpec): MapSpec =>
    written.some((one) => one.name === map.name)
      ? { ...map, type: map.type === "hash" ? "percpu_hash" : "percpu_array" }
      : map;
  const address = (text: string): number[] => text.split(".").map(Number);
  const backends = Array.from({ length: 64 }, (_, at) => ({
    key: index(at),
    value: Uint8Array.from([
      ...address(`10.99.0.${1 + at}`),
      2,
      0,
      0,
      0,
      0,
      at,
      0,
      0,
    ]),
  }));
  // A quarter of the hosts inside.
  const listed = Array.from({ length: 1024 }, (_, at) => ({
    key: Uint8Array.from(address(endsOf(at)[0])),
    value: new Uint8Array(8),
  }));
  const ports = [0, 1].map((at) => ({ key: index(at), value: index(at + 1) }));
  return {
    name,
    program,
    report,
    contents: Object.fromEntries(
      [
        ["ports", ports],
        ["backends", name === "hash-lb" ? backends : []],
        ["sources", name === "ddos-mitigator" ? listed : []],
      ].filter(([map]) => names.has(map as string)),
    ) as ChurnSubject["contents"],
    guard: {
      objects: state.flatMap((one) => (names.has(one.name) ? one.name : [])),
      ages,
      refreshes: refreshFields(program),
    },
    ...(merges
      ? { merged: { ...program, maps: program.maps.map(perCpu) } }
      : {}),
  };
}

type Run = Pick<ParallelOptions, "program" | "memory" | "guard" | "contents">;

/** Undefined: it does not fit this program. */
export function runOf(
  { program, contents, guard, merged }: ChurnSubject,
  strategy: Strategy,
): Run | undefined {
  switch (strategy) {
    case "shared-nothing":
      return { program, contents, memory: "private" };
    case "merge":
      return merged && { program: merged, contents, memory: "shared" };
    case "lock":
    case "transaction": {
      const kind = strategy;
      // Under transactions a refresh is a write.
      const { objects, ...ageing } = guard;
      return {
        program,
        contents,
        memory: "shared",
        guard: { kind, objects, ...(kind === "lock" ? ageing : {}) },
      };
    }
  }
}
