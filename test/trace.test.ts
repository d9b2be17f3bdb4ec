/** `divisi trace` as a user sees it. */
import { equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { generatorModels, generatorOptions } from "#traffic";
import { divisi, root } from "./support/cli.ts";

test("trace stats: rates are over the gaps, one packet has none", () => {
  const stats = (words: string): string =>
    divisi(["trace", "stats", words]).stdout;
  const lines = (text: string): string =>
    text
      .split("\n")
      .filter((line) => /^ {2}(packets|bytes|time) /.test(line))
      .join("\n");
  equal(
    lines(stats("gen:single-flow,packets=1,rate=4")),
    "  packets    1 in 1 flow\n  bytes      64 (frames of 64)\n  time       0.000 s, – packets/s",
  );
  equal(
    lines(stats("gen:single-flow,packets=9,rate=4,size=64")),
    "  packets    9 in 1 flow\n  bytes      576 (frames of 64)\n  time       2.000 s, 4 packets/s",
  );
});

test("trace gen --help lists the models and their options, in 80 columns", () => {
  const { stdout } = divisi(["trace", "gen", "--help"]);
  for (const [name, { text }] of Object.entries(generatorModels))
    ok(
      stdout.replace(/\n {5,}/g, " ").includes(` gen:${name} `) &&
        stdout.replace(/\n {5,}/g, " ").includes(text),
      name,
    );
  for (const option of Object.keys(generatorOptions))
    match(stdout, new RegExp(`\\n {2}${option} +\\S`));
  for (const words of [[], ["trace", "gen"], ["split"], ["run"]])
    for (const line of divisi([...words, "--help"]).stdout.split("\n"))
      ok(line.length <= 80 || line.startsWith("  divisi "), line);
  match(divisi(["run", "--help"]).stdout, / PORT=FILE\s+\(repeatable\)/);
});

test("an error on a terminal is wrapped, and is one line in a file", () => {
  const words = ["trace", "stats", "gen:bogus"];
  const models = Object.keys(generatorModels).join(", ");
  const line = `divisi: unknown generator bogus; one of ${models}`;
  equal(divisi(words).stderr, `${line}\n`);
  const command = `stty cols 80; '${process.execPath}' '${join(root, "dist/cli/main.js")}' ${words.join(" ")}`;
  const { stdout } = spawnSync("script", ["-qec", command, "/dev/null"], {
    encoding: "utf8",
  });
  const lines = stdout.trimEnd().split("\r\n");
  ok(lines.length > 1);
  for (const one of lines) ok(one.length <= 80, one);
  equal(lines.map((one) => one.trim()).join(" "), line);
});

test("analyze: races and notes are in 80 columns, whole", () => {
  const { stdout } = divisi(["analyze", "nfs/c/policer.o"]);
  const [, races = ""] = stdout.split("\nraces, ");
  for (const line of stdout.split("\n")) ok(line.length <= 80, line);
  match(
    races.replace(/\n {4}/g, " "),
    /\n {2}lost-update {2}buckets: a value is read, changed and written back without lock or atomic instruction; another core's change in between is lost \(policer/,
  );
});

test("rss solve: a key is in 80 columns, and whole", () => {
  const words = ["rss", "solve", "--fields", "ipv4.src"];
  const { stdout } = divisi(words);
  for (const line of stdout.split("\n"))
    if (!line.startsWith("table ")) ok(line.length <= 80, line);
  const { keys } = JSON.parse(divisi([...words, "--json"]).stdout) as {
    keys: readonly string[];
  };
  const colons = keys[0]?.match(/../g)?.join(":") ?? "";
  ok(colons.length > 80 && stdout.replace(/\n {11}/g, "").includes(colons));
});
