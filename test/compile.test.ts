/**
 * Network functions as PROG: bytes that do not tell where the texts lie, settings,
 * first contents, and what is said where a text does not compile.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { compileNf, type CompiledNf, type RefusedNf } from "divisi";
import { readObject, type ObjectSpec } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

function disk(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

type Texts = Readonly<Record<string, string>>;
type Set = readonly (readonly [string, string])[];

/** The library comes from the disk, all else from `texts`. */
async function compile(
  path: string,
  texts: Texts,
  set: Set = [],
): Promise<CompiledNf | RefusedNf> {
  return compileNf({
    path,
    read: (name) =>
      texts[name] ?? (name.startsWith(root) ? disk(name) : undefined),
    set,
  });
}

async function objectOf(...given: Parameters<typeof compile>) {
  const compiled = await compile(...given);
  if (compiled.kind === "object") return compiled;
  throw new Error(JSON.stringify(compiled.diagnostics, undefined, 2));
}

const helper = `
import { u32 } from "divisi/nf";
export function more(count: number): number {
  return u32(count + 1);
}
`;

function counter(importing: string): string {
  return `
import { array, drop, nf, out, struct, u32 } from "divisi/nf";
import { more } from "${importing}";

const Count = struct("count", { packets: u32 });

export default nf({
  name: "two-ports",
  ports: ["lan", "wan"],
  config: { limit: u32(7) },
  state: { counts: array({ value: Count, capacity: 2, initial: [[1, { packets: 5 }]] }) },
  handle(pkt, ctx) {
    const count = ctx.state.counts.at(ctx.port);
    count.packets = more(count.packets);
    if (count.packets > ctx.config.limit) return drop;
    return ctx.port === 0 ? out(1) : out(0);
  },
});
`;
}

const texts: Texts = {
  "/a/two-ports.ts": counter("./shared/more.ts"),
  "/a/shared/more.ts": helper,
  "b/c/two-ports.ts": counter("./shared/more.ts"),
  "b/c/shared/more.ts": helper,
  "/d/e/two-ports.ts": counter("../more.ts"),
  "/d/more.ts": helper,
};

const filesOf = (object: ObjectSpec): readonly string[] =>
  [
    ...new Set(
      object.functions.flatMap(({ lines }) => lines.map(({ file }) => file)),
    ),
  ].sort();

test("bytes do not tell where the texts lie", async () => {
  const one = await objectOf("/a/two-ports.ts", texts);
  const other = await objectOf("b/c/two-ports.ts", texts);
  deepEqual(one.bytes, other.bytes);
  deepEqual(one.files, ["/a/two-ports.ts", "/a/shared/more.ts"]);
  deepEqual(filesOf(one.object), ["shared/more.ts", "two-ports.ts"]);
  const above = await objectOf("/d/e/two-ports.ts", texts);
  deepEqual(filesOf(above.object), ["../more.ts", "two-ports.ts"]);
});

test("the object reads as it was assembled", async () => {
  const { object, bytes } = await objectOf("/a/two-ports.ts", texts);
  const again = readObject(bytes, object.file);
  deepEqual(again, object);
  deepEqual(
    object.programs.map(({ name, section }) => [name, section]),
    [["two_ports", "xdp"]],
  );
});

test("settings: configuration, and interfaces of ports", async () => {
  const plain = await objectOf("/a/two-ports.ts", texts);
  const set: Set = [
    ["limit", "9"],
    ["wan_ifindex", "12"],
  ];
  const other = await objectOf("/a/two-ports.ts", texts, set);
  const ports = (object: ObjectSpec) =>
    object.maps.find(({ name }) => name === ".rodata")?.data;
  deepEqual(ports(plain.object), Uint8Array.of(1, 0, 0, 0, 2, 0, 0, 0));
  deepEqual(ports(other.object), Uint8Array.of(1, 0, 0, 0, 12, 0, 0, 0));
  const limits = ({ functions }: ObjectSpec): readonly number[] =>
    functions.flatMap(({ instructions }) =>
      instructions.flatMap((instruction) =>
        instruction.kind === "branch" && instruction.right.kind === "immediate"
          ? [instruction.right.value]
          : [],
      ),
    );
  ok(limits(plain.object).includes(7) && !limits(plain.object).includes(9));
  ok(limits(other.object).includes(9) && !limits(other.object).includes(7));
});

test("first contents, as declared", async () => {
  const { contents } = await objectOf("/a/two-ports.ts", texts);
  deepEqual(contents, {
    counts: [
      { key: Uint8Array.of(1, 0, 0, 0), value: Uint8Array.of(5, 0, 0, 0) },
    ],
  });
});

test("refused: every fault, in every file", async () => {
  const refused = await compile("/a/two-ports.ts", {
    "/a/two-ports.ts":
      texts["/a/two-ports.ts"]?.replace("> ctx", "> pkt") ?? "",
    "/a/shared/more.ts": helper.replace("u32(count + 1)", "count / 2"),
  });
  ok(refused.kind === "refused");
  deepEqual(
    refused.diagnostics.map(({ file, code }) => [file, code]),
    [
      ["/a/two-ports.ts", "nf-unknown-name"],
      ["/a/shared/more.ts", "nf-number-division"],
    ],
  );
});

// As a user meets it

const folder = temporaryFolder("compile");
mkdirSync(join(folder, "shared"));
writeFileSync(join(folder, "two-ports.ts"), counter("./shared/more.ts"));
writeFileSync(join(folder, "shared/more.ts"), helper);
writeFileSync(
  join(folder, "wrong.ts"),
  counter("./shared/more.ts").replace("> ctx", "> pkt"),
);

test("run begins with the first contents, split keeps them", () => {
  const words = ["--trace", "gen:bidirectional,packets=400", "--json"];
  const run = (...more: readonly string[]) => {
    const { status, stdout, stderr } = divisi(
      ["run", "./two-ports.ts", ...words, ...more],
      { cwd: folder },
    );
    equal(status, 0, stderr);
    return (JSON.parse(stdout) as { verdicts: Record<string, number> })
      .verdicts;
  };
  // Seven packets of one port, and two of the other, which begins at five.
  equal(run()["redirect"], 9);
  writeFileSync(
    join(folder, "none.json"),
    `{"counts":[{"key":"01000000","value":"00000000"}]}`,
  );
  equal(run("--maps", "none.json")["redirect"], 14);
  equal(run("--set", "limit=8")["redirect"], 11);

  const { status, stderr } = divisi(
    // prettier-ignore
    ["split", "two-ports.ts", "--trace", "gen:bidirectional,packets=2000", "--cores", "2", "--strategy", "sequential", "-o", "out"],
    { cwd: folder },
  );
  equal(status, 0, stderr);
  deepEqual(JSON.parse(readFileSync(join(folder, "out/maps.json"), "utf8")), {
    counts: [{ key: "01000000", value: "05000000" }],
  });
  const { input } = JSON.parse(
    readFileSync(join(folder, "out/plan.json"), "utf8"),
  ) as { input: { file: string; imports: readonly { file: string }[] } };
  deepEqual(
    [input.file, ...input.imports.map(({ file }) => file)],
    ["two-ports.ts", "shared/more.ts"],
  );
  equal(divisi(["check", "out"], { cwd: folder }).status, 0);
});

test("inspect and analyze quote TypeScript", () => {
  const { stdout } = divisi(["inspect", "--asm", "two-ports.ts"], {
    cwd: folder,
  });
  match(stdout, /^; two-ports\.ts:\d+ {2}const count = ctx\.state\.counts/m);
  match(stdout, /^; shared\/more\.ts:4 {2}return u32\(count \+ 1\);/m);
  const { objects } = JSON.parse(
    divisi(["analyze", "two-ports.ts", "--json"], { cwd: folder }).stdout,
  ) as {
    objects: readonly { name: string; accesses: readonly { at: string }[] }[];
  };
  const counts = objects.find(({ name }) => name === "counts");
  match(JSON.stringify(counts?.accesses), /two-ports\.ts/);
});

test("what is refused: frames on stderr, data under --json, nothing written", () => {
  const words = ["split", "wrong.ts", "-o", "wrong"];
  const { status, stdout, stderr } = divisi(words, { cwd: folder });
  deepEqual([status, stdout], [3, ""]);
  match(
    stderr,
    /^wrong\.ts:15:29: error: .*\n(?:.*\n)* {2}15 \| {5}if \(count\.packets > pkt\.config\.limit\) return drop;\n {5}\| +\^{6}\n(?:.*\n)*\ndivisi: wrong\.ts: 1 error: not compiled\n$/,
  );
  const said = JSON.parse(
    divisi([...words, "--json"], { cwd: folder }).stdout,
  ) as {
    error: { code: string; exit: number; file: string; diagnostics: object[] };
  };
  const { diagnostics, ...error } = said.error;
  deepEqual(error, {
    code: "ts-does-not-compile",
    exit: 3,
    text: "1 error: not compiled",
    file: "wrong.ts",
  });
  equal(diagnostics.length, 1);
  const [first] = diagnostics;
  deepEqual(
    { ...first, message: "", fix: "" },
    {
      code: "nf-unknown-name",
      severity: "error",
      message: "",
      file: "wrong.ts",
      line: 15,
      column: 29,
      endLine: 15,
      endColumn: 35,
      fix: "",
    },
  );
});
