/**
 * Every network function of nfs/ts compiles, always to the same bytes, and the
 * kernel's verifier accepts it: through our loader, and through bpftool. One of
 * them is divided over cores as a user does it.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { after, test, type TestContext } from "node:test";
import { compileNf, type CompiledNf } from "divisi";
import { UnsupportedError } from "#base";
import { openKernel, type Kernel } from "#engine";
import { readObject } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const files = readdirSync(join(root, "nfs/ts"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(root, "nfs/ts", name));

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

async function compiled(path: string): Promise<CompiledNf> {
  const answer = await compileNf({ path, read });
  if (answer.kind === "object") return answer;
  const said = answer.diagnostics.map(
    ({ file, start, message, code }) =>
      `${basename(file)}:${start.line}:${start.column}: ${message} [${code}]`,
  );
  throw new Error(`refused\n${said.join("\n")}`);
}

const kernel = await opened();
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

async function opened(): Promise<Kernel | UnsupportedError> {
  try {
    return await openKernel();
  } catch (error) {
    if (error instanceof UnsupportedError) return error;
    throw error;
  }
}

const folder = temporaryFolder("nfs-ts");

test("there are network functions to compile", () => {
  ok(files.length >= 18, `${files.length} files`);
});

for (const path of files) {
  const name = basename(path, ".ts");
  test(`${name}: compiled, and accepted by the verifier`, async (t: TestContext) => {
    const { bytes, object, warnings } = await compiled(path);
    deepEqual(warnings, []);
    deepEqual((await compiled(path)).bytes, bytes, "bytes are stable");
    deepEqual(readObject(bytes, path).notes, []);
    deepEqual(
      object.programs.map((program) => [program.name, program.type]),
      [[name.replaceAll("-", "_"), "xdp"]],
    );
    // The verifier's log and analyze quote these.
    for (const fn of object.functions) {
      ok(fn.lines.length > 0, `${fn.name} has no lines`);
      for (const { file, line, text } of fn.lines) {
        match(file, /^([\w-]+\.ts|(shared|divisi\/nf)\/[\w-]+\.ts)$/);
        ok(line > 0 && text !== "", `${fn.name}: ${file}:${line}`);
      }
    }
    if (kernel instanceof UnsupportedError) return t.skip(kernel.message);
    const loaded = kernel.loadObject(object);
    loaded.close();
    const output = join(folder, `${name}.o`);
    const pin = `/sys/fs/bpf/divisi-nfs-ts-${process.pid}`;
    writeFileSync(output, bytes);
    const words = ["prog", "load", output, pin];
    const done = spawnSync("bpftool", words, { encoding: "utf8" });
    rmSync(pin, { force: true });
    equal(done.status, 0, `${done.stderr}${done.stdout}`);
  });
}

test("the firewall, divided: nothing differs", () => {
  const output = join(folder, "out");
  const { status, stdout, stderr } = divisi(
    // prettier-ignore
    ["split", "nfs/ts/firewall.ts", "--trace", "gen:bidirectional", "--cores", "4", "-o", output, "--json"],
  );
  equal(status, 0, stderr);
  const { strategy, objects, certificate } = JSON.parse(stdout) as {
    strategy: string;
    objects: readonly { name: string; strategy: string }[];
    certificate: {
      tested: { packets: number; mismatches: number; strength: string };
    };
  };
  equal(strategy, "shard");
  equal(objects.find((object) => object.name === "flows")?.strategy, "shard");
  ok(certificate.tested.packets >= 200_000);
  deepEqual(
    [certificate.tested.mismatches, certificate.tested.strength],
    [0, "strong"],
  );
  const plan = JSON.parse(readFileSync(join(output, "plan.json"), "utf8")) as {
    input: { file: string; sha256: string; imports: readonly object[] };
  };
  equal(plan.input.file, "nfs/ts/firewall.ts");
  equal(plan.input.imports.length, 3);
});
