/**
 * Locks for all guarded objects of a plan: what a packet may look at, the program's own
 * locks, and what a refused plan's directory is to the kernel.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { withKernelLocks, withLocks } from "#codegen";
import { haveBpf, openKernel } from "#engine";
import { parseFunctions, type MapSpec } from "#isa";
import { emptyObject, programSpec, type ObjectSpec } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";
import { typed } from "./support/typed-maps.ts";

const absence = await haveBpf();

const bump = "r1 = *(u64 *)(r0 + 0)\nr1 += 1\n*(u64 *)(r0 + 0) = r1";
const fetch = "r1 = 1\nr1 = atomic_fetch_add((u64 *)(r0 + 0), r1)\nr6 += r1";
const blind = "*(u64 *)(r0 + 0) = r7";
const lookUp = (map: string, then: string, label: string): string => `
r1 = map ${map} ll
r2 = r10
r2 += -4
call map_lookup_elem
if r0 == 0 goto ${label}
${then}
${label}:`;

function program(...steps: readonly string[]): ObjectSpec {
  const text = `function f
r6 = 0
r7 = 5
*(u32 *)(r10 - 4) = r6
${steps.join("\n")}
r0 = 2
exit`;
  return {
    ...emptyObject("f", "GPL"),
    functions: parseFunctions(text).map((fn) => ({ ...fn, section: "xdp" })),
    maps: ["one", "two"].map((name): MapSpec => ({
      ...typed.counter,
      name,
      maxEntries: 4,
      valueSize: 16,
      btfValue: typed.pair,
    })),
    programs: [{ name: "f", section: "xdp", type: "xdp" }],
    btf: typed.btf,
  };
}

// prettier-ignore
const moments: readonly (readonly [what: string, object: ObjectSpec, want: string])[] = [
  ["two sums that nobody reads", program(lookUp("one", bump, "a"), lookUp("two", bump, "b")), "atomic atomic"],
  ["a sum read, and one not", program(lookUp("one", fetch, "a"), lookUp("two", bump, "b")), "atomic atomic"],
  ["two sums read", program(lookUp("one", fetch, "a"), lookUp("two", fetch, "b")), "R-lock-two"],
  ["one sum read twice", program(lookUp("one", fetch, "a"), lookUp("one", fetch, "b")), "R-lock-two"],
  ["one sum read, and added to again", program(lookUp("one", fetch, "a"), lookUp("one", bump, "b")), "R-lock-two"],
  ["read twice in one look-up", program(lookUp("one", `${fetch}\n${fetch}`, "a")), "lock"],
  ["one or the other", program("if r7 == 5 goto other", lookUp("one", fetch, "a"), "goto out", "other:", lookUp("two", fetch, "b"), "out:"), "atomic atomic"],
  ["overwritten once", program(lookUp("one", blind, "a")), "atomic"],
  ["overwritten, then added to", program(lookUp("one", `${blind}\n${bump}`, "a")), "lock"],
  ["overwritten here, added to there", program(lookUp("one", blind, "a"), lookUp("one", bump, "b")), "R-lock-two"],
];

for (const [what, object, want] of moments)
  test(`a packet's moment: ${what}: ${want}`, async () => {
    const used = object.maps
      .map(({ name }) => name)
      .filter((name) =>
        object.functions.some(({ instructions }) =>
          JSON.stringify(instructions).includes(`"${name}"`),
        ),
      );
    const answer = withKernelLocks(object, used);
    if (answer.kind === "refused") {
      deepEqual([...new Set(answer.refusals.map(({ code }) => code))], [want]);
      ok(answer.refusals.every(({ edit }) => edit.length > 10));
      return;
    }
    equal(answer.objects.map(({ how }) => how).join(" "), want);
    if (absence !== undefined) return;
    const kernel = await openKernel();
    try {
      const { name, type } = programSpec(answer.code);
      kernel.loadObject(answer.code, { programs: [name], type });
    } finally {
      kernel.close();
    }
  });

/** A value with a lock at 8, used as told. */
function own(steps: string): ObjectSpec {
  const object = program(lookUp("one", steps, "a"));
  return {
    ...object,
    maps: object.maps.map((map) => ({
      ...map,
      valueFields: [
        { path: "lock", kind: "spin-lock", bitOffset: 64, bits: 32 },
      ],
    })),
  };
}
const hold = "r8 = r0\nr1 = r0\nr1 += 8\ncall spin_lock";
const free = "r1 = r8\nr1 += 8\ncall spin_unlock";
const change = bump.replaceAll("r0", "r8");

// prettier-ignore
const owns: readonly (readonly [what: string, steps: string, want: string])[] = [
  ["all under the lock", `${hold}\n${change}\n${free}`, "own"],
  ["read in front of it", `r9 = *(u64 *)(r0 + 0)\n${hold}\n${change}\n${free}`, "R-lock-shape"],
  ["written behind it", `${hold}\n${change}\n${free}\n*(u64 *)(r8 + 0) = r7`, "R-lock-shape"],
  ["taken twice", `${hold}\n${change}\n${free}\n${hold.replace("r8 = r0\nr1 = r0", "r1 = r8")}\n${change}\n${free}`, "R-lock-two"],
];

for (const [what, steps, want] of owns)
  test(`a lock of the program's own, ${what}: ${want}`, () => {
    const object = own(steps);
    const answer = withLocks(object, "one");
    if (answer.kind === "refused") equal(answer.code, want);
    else {
      equal(answer.how, want);
      deepEqual(answer.code.functions, object.functions);
    }
  });

interface PlanJson {
  readonly kernel: {
    readonly kind: string;
    readonly refusals: readonly {
      readonly code: string;
      readonly at: object;
      readonly edit: string;
    }[];
  };
}

test("what no kernel may run is not written as core.o", () => {
  const folder = temporaryFolder("portable");
  try {
    const dir = join(folder, "out");
    const made = divisi([
      "split",
      join(root, "nfs/c/port-knock.o"),
      "-o",
      dir,
      "--cores=2",
      "--strategy=lock",
      "--allow-untested",
      "--trace=gen:uniform,packets=100",
      "--json",
    ]);
    equal(made.status, 0, made.stderr);
    const text = readFileSync(join(dir, "plan.json"), "utf8");
    const { kernel } = JSON.parse(text) as PlanJson;
    equal(kernel.kind, "refused");
    for (const { code, at, edit } of kernel.refusals)
      ok(code.startsWith("R-lock-") && typeof at === "object" && edit !== "");
    ok(existsSync(join(dir, "portable.o")) && !existsSync(join(dir, "core.o")));
    match(readFileSync(join(dir, "README.txt"), "utf8"), /no kernel may run/);
    const trace = "gen:uniform,packets=100";
    for (const words of [
      ["run", dir, "--engine", "kernel", "--trace", trace],
      ["check", dir, "--engine", "kernel", "--trace", trace],
      ["attach", dir, "--iface", "lo"],
    ]) {
      const answer = divisi(words);
      equal(answer.status, 4, words.join(" "));
      match(answer.stderr, /which only the portable engine has: .*R-lock-/);
    }
    const run = divisi(["run", dir, "--trace", trace]);
    equal(run.status, 0, run.stderr);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
