/** `divisi build`: the object, and what is said of it. */
import { deepEqual, equal, match } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { readObject } from "#object";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const firewall = join(root, "nfs/c/firewall.o");

test("an object that nobody changes keeps its bytes", () => {
  const cwd = temporaryFolder("build");
  const words = ["build", firewall, "-o", "copy.o"];
  const { status, stdout, stderr } = divisi(words, { cwd });
  deepEqual([status, stderr], [0, ""]);
  match(
    stdout,
    /^copy\.o {2}firewall: \d+ instructions, \d+ functions?, \d+ maps, [\d,]+ bytes\n$/,
  );
  deepEqual(readFileSync(join(cwd, "copy.o")), readFileSync(firewall));
});

test("variables and sizes are set in the object", () => {
  const output = join(temporaryFolder("build"), "set.o");
  // prettier-ignore
  const { status, stdout } = divisi(["build", firewall, "--set", "lan_ifindex=7", "--map-size", "flows=16", "-o", output, "--json"]);
  equal(status, 0);
  const { schema, maps } = JSON.parse(stdout) as {
    schema: string;
    maps: readonly { name: string; maxEntries: number }[];
  };
  equal(schema, "divisi.build/1");
  equal(maps.find(({ name }) => name === "flows")?.maxEntries, 16);
  const object = readObject(new Uint8Array(readFileSync(output)), output);
  const map = object.maps.find(({ name }) => name === ".rodata");
  const field = map?.valueFields?.find(({ path }) => path === "lan_ifindex");
  equal(map?.data?.[(field?.bitOffset ?? 0) / 8], 7);
  equal(object.maps.find(({ name }) => name === "flows")?.maxEntries, 16);
});

test("to stdout the object alone, its words to stderr", () => {
  const { status, stdout, stderr } = divisi(["build", firewall, "-o", "-"]);
  equal(status, 0);
  equal(stdout.slice(1, 4), "ELF");
  match(stderr, /^- {2}firewall: /);
});

test("words that are missing or contradict", () => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [["build", firewall], /-o FILE\.o is missing/],
    [["build", firewall, "-o", "-", "--json"], /both want stdout/],
  ];
  for (const [words, says] of cases) {
    const { status, stderr, stdout } = divisi(words);
    equal(status, 2);
    match(`${stderr}${stdout}`, says);
  }
});
