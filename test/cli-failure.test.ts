/**
 * How the command line fails: exit codes, words on stderr, one JSON value on
 * stdout, nothing written, never a stack trace; and a bug of ours, however it
 * shows, ends in 70.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  lstatSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { commands } from "#cli";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

interface Case {
  readonly words: readonly string[];
  readonly exit: number;
  readonly says: RegExp;
}

const folder = temporaryFolder("failure");
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const text = file("text.o", "this is no object\n");
const empty = file("empty.o", "");

// prettier-ignore
const cases: readonly Case[] = [
  { words: [], exit: 2, says: /a command is missing/ },
  { words: ["-v"], exit: 2, says: /^divisi: a command is missing\n {2}divisi --help lists them\n$/ },
  { words: ["rss", "-v"], exit: 2, says: /^divisi: a command is missing\n {2}divisi rss --help lists them\n$/ },
  { words: ["run", "nfs/c/nop.o", "--namespace"], exit: 2, says: /^divisi: --namespace is for --iface\n$/ },
  { words: ["run", "nfs/c/nop.o", "--duration", "2s"], exit: 2, says: /^divisi: --duration is for --iface\n$/ },
  { words: ["run", "nfs/c/nop.o", "--apply-nic"], exit: 2, says: /^divisi: --apply-nic is for --iface\n$/ },
  { words: ["run", "nfs/c/nop.o", "--mode", "skb"], exit: 2, says: /^divisi: --mode is for --iface\n$/ },
  { words: ["run", "nfs/c/nop.o", "--replace"], exit: 2, says: /^divisi: --replace is for --iface\n$/ },
  { words: ["run", "nfs/c/nop.o", "--pin-root", "/sys/fs/bpf"], exit: 2, says: /^divisi: --pin-root is for --iface\n$/ },
  { words: ["splitt"], exit: 2, says: /unknown command 'splitt'[\s\S]*Did you mean split/ },
  { words: ["split", "x.o", "--corse", "4"], exit: 2, says: /unknown option '--corse'[\s\S]*Did you mean --cores/ },
  { words: ["split", "nfs/c/nop.o"], exit: 2, says: /-o DIR is missing/ },
  { words: ["split"], exit: 2, says: /missing required argument 'PROG'/ },
  { words: ["analyze", "/nowhere/x.o"], exit: 3, says: /\/nowhere\/x\.o: no such file/ },
  { words: ["analyze", folder], exit: 3, says: /is a directory/ },
  { words: ["analyze", text], exit: 3, says: /text\.o, offset 0: .*ELF/ },
  { words: ["analyze", empty], exit: 3, says: /empty\.o/ },
  { words: ["analyze", "nf.ts"], exit: 3, says: /^divisi: nf\.ts: no such file\n$/ },
  { words: ["analyze", "nfs/ts/nop.ts", "--entry", "nop"], exit: 2, says: /^divisi: --entry is for an object: nfs\/ts\/nop\.ts has one function, for XDP\n$/ },
  { words: ["analyze", "nfs/ts/nop.ts", "--set", "expiryy=1"], exit: 2, says: /no configuration value `expiryy`/ },
  { words: ["split", "nfs/c/nop.o", "-o", "/nowhere/a/b"], exit: 2, says: /does not exist/ },
  { words: ["split", "nfs/c/nop.o", "-o", join(folder, "o"), "--cores", "0"], exit: 2, says: /--cores takes a whole number/ },
  { words: ["split", "nfs/c/nop.o", "-o", join(folder, "o"), "--nic", "e801"], exit: 2, says: /e801[\s\S]*e810/ },
  { words: ["split", "nfs/c/nop.o", "-o", join(folder, "o"), "--trace", "gen:zipff"], exit: 2, says: /zipff[\s\S]*zipf/ },
  { words: ["split", "nfs/c/nop.o", "-o", join(folder, "o"), "--entry", "nopp"], exit: 2, says: /nopp/ },
  { words: ["split", "nfs/c/firewall.o", "-o", join(folder, "o"), "--port", "inner=7"], exit: 2, says: /ingress interface 1[\s\S]*--port NAME=1/ },
  { words: ["split", "nfs/c/policer.o", "-o", join(folder, "o"), "--user-writes", "bukets"], exit: 2, says: /no map bukets[\s\S]*did you mean buckets/ },
  { words: ["split", "nfs/c/policer.o", "-o", join(folder, "o"), "--strategy", "xyz=shard"], exit: 2, says: /no map xyz[\s\S]*it has buckets, ports/ },
  { words: ["check", "nfs"], exit: 3, says: /nfs: split did not write this/ },
  { words: ["run", "nfs"], exit: 3, says: /nfs: split did not write this/ },
  { words: ["check", "/nowhere"], exit: 3, says: /\/nowhere: no such folder/ },
  { words: ["rss"], exit: 2, says: /a command is missing[\s\S]*divisi rss --help/ },
  { words: ["trace", "gen", "gen:uniform", "-o", "/nowhere/x.pcap"], exit: 2, says: /folder \/nowhere does not exist/ },
  { words: ["rss", "solve", "--fields", "ipv4.scr"], exit: 2, says: /ipv4\.scr[\s\S]*ipv4\.src/ },
  { words: ["rss", "check", "--key", "xyz"], exit: 2, says: /hexadecimal/ },
  { words: ["trace", "stats", text], exit: 3, says: /text\.o/ },
];

for (const { words, exit, says } of cases)
  test(`divisi ${words.join(" ").replaceAll(folder, "…")}: exit ${exit}`, () => {
    const plain = divisi(words);
    equal(plain.status, exit, plain.stderr);
    match(plain.stderr, says);
    ok(!/\n\s+at .*:\d+:\d+/.test(plain.stderr), "a stack trace");
    equal(plain.stdout, "");
    const json = divisi([...words, "--json"]);
    equal(json.status, exit);
    const value = JSON.parse(json.stdout) as {
      schema: string;
      error: { exit: number; text: string };
    };
    deepEqual([value.schema, value.error.exit], ["divisi.error/1", exit]);
    ok(!existsSync(join(folder, "o")), "something was written");
  });

test("flags of every command alone: a command is missing, as JSON too", () => {
  for (const words of [["--json"], ["-j"], ["rss", "--json"]]) {
    const { status, stdout } = divisi(words);
    const value = JSON.parse(stdout) as { error: { text: string } };
    deepEqual([status, value.error.text], [2, "a command is missing"]);
  }
});

test("a trace that is not written to its end leaves nothing", async () => {
  const place = temporaryFolder("unfinished");
  const out = join(place, "big.pcap");
  divisi(["trace", "gen", "gen:uniform,packets=5", "-o", out]);
  const before = readFileSync(out);
  const failing: readonly (readonly [number, ...string[]])[] = [
    [3, "trace", "cat", out, join(place, "nofile"), "-o", join(place, "j")],
    [2, "trace", "gen", "gen:bidirectional", "-o", join(place, "t.pcap")],
    [2, "trace", "gen", "gen:bidirectional", "-o", out],
  ];
  for (const [exit, ...words] of failing) {
    const result = divisi(words);
    equal(result.status, exit, result.stderr);
    deepEqual(readdirSync(place), ["big.pcap"], words.join(" "));
  }
  for (const [signal, exit] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const words = ["trace", "gen", "gen:zipf,packets=1000m", "-o", out];
    const run = spawn(process.execPath, [
      join(root, "dist/cli/main.js"),
      ...words,
    ]);
    while (run.exitCode === null && readdirSync(place).length === 1)
      await setTimeout(10);
    deepEqual(readdirSync(place), ["big.pcap", "big.pcap.partial"]);
    run.kill(signal);
    deepEqual(await once(run, "exit"), [exit, null]);
    deepEqual(readdirSync(place), ["big.pcap"], signal);
  }
  deepEqual(readFileSync(out), before, "what was there is lost");
});

const few = ["--trace", "gen:uniform,packets=50"];

test("`-` is the standard input and output", () => {
  const input = readFileSync(join(root, "nfs/c/nop.o"));
  for (const words of [["inspect"], ["analyze"], ["run", ...few]]) {
    const result = divisi([...words, "-"], { input });
    equal(result.status, 0, result.stderr);
    match(result.stdout, /nop/);
  }
  const words = ["run", "nfs/c/nop.o", ...few, "--out", "-"];
  const result = divisi(words);
  equal(result.status, 0, result.stderr);
  match(result.stdout, /^\n\r\r\n/, "not a pcapng file alone");
  match(result.stderr, /nop: 50 packets/);
  equal(divisi([...words, "--json"]).status, 2);
  equal(existsSync(join(root, "-")), false);
});

test("run tells the whole time and what is in it, nothing per packet", () => {
  const time = (kind: string): RegExp =>
    new RegExp(
      `\\n {2}core 0 {5}50 packets\\n {2}time {7}[\\d.,]+ ms ${kind}, warm-up included; bench measures\\n {2}state `,
    );
  for (const [engine, kind] of [
    ["wasm", "in compiled code"],
    ["interp", "in the interpreter"],
  ] as const) {
    const words = ["run", "nfs/c/nop.o", "--engine", engine, ...few];
    const { stdout } = divisi(words);
    match(stdout, time(kind));
    ok(!/ ns /.test(stdout), stdout);
    const value = JSON.parse(divisi([...words, "--json"]).stdout) as {
      ns: number;
      cores: readonly { ns: number }[];
    };
    deepEqual(
      value.cores.map(({ ns }) => ns),
      [value.ns],
    );
  }
});

test("a pipe or device is written to, never replaced", () => {
  const pipe = join(folder, "pipe");
  equal(spawnSync("bash", ["-c", `mkfifo ${pipe}`]).status, 0);
  for (const words of [
    ["trace", "gen", "gen:uniform,packets=50", "-o", pipe],
    ["run", "nfs/c/nop.o", ...few, "--out", pipe],
  ]) {
    const reader = spawn("cat", [pipe], { stdio: "ignore" });
    const result = divisi(words);
    reader.kill();
    equal(result.status, 0, result.stderr);
    ok(statSync(pipe).isFIFO(), "the pipe was replaced");
  }
});

test("a symbolic link stays, its target is replaced", () => {
  const [link, target] = [join(folder, "link.pcap"), join(folder, "real.pcap")];
  writeFileSync(target, "");
  symlinkSync(target, link);
  equal(
    divisi(["trace", "gen", "gen:uniform,packets=5", "-o", link]).status,
    0,
  );
  ok(lstatSync(link).isSymbolicLink());
  equal(statSync(target).size, 24 + 5 * (16 + 64));
});

const faults: Readonly<Record<string, string>> = {
  exception: "setImmediate(() => { throw new Error('injected'); });",
  rejection: "void Promise.reject(new Error('injected'));",
  memory:
    "const kept = []; for (;;) kept.push(new Array(1e6).fill({ a: 1 }).map((x, i) => ({ i })));",
};

const wordsOf: Readonly<Record<string, readonly string[]>> = {
  split: ["nfs/c/port-knock.o", "-o", join(folder, "bug")],
  new: [join(folder, "bug-nf")],
  build: ["nfs/c/port-knock.o", "-o", join(folder, "bug.o")],
  check: [folder],
  analyze: ["nfs/c/nop.o"],
  inspect: ["nfs/c/nop.o"],
  doctor: [],
  bench: ["nfs/c/nop.o"],
  compare: ["a.json", "b.json"],
  run: ["nfs/c/nop.o"],
  attach: [folder, "--iface", "divisi-none"],
  status: [],
  rebalance: ["nothing"],
  detach: ["nothing"],
  upgrade: [folder],
  undo: ["--dry-run"],
  "map get": ["nothing", "m", "00"],
  "map set": ["nothing", "m", "00"],
  "map dump": ["nothing", "m"],
  "map load": ["nothing", "m", "-"],
  "rss solve": ["--fields", "ipv4.src"],
  "rss check": ["--key", "6d5a56da"],
  "rss queue": ["--key", "6d5a56da", "1.2.3.4>5.6.7.8"],
  "trace stats": ["gen:uniform"],
  "trace gen": ["gen:uniform", "-o", join(folder, "bug.pcap")],
  "trace cat": ["gen:uniform", "-o", join(folder, "bug.pcap")],
};

for (const command of commands)
  for (const [fault, code] of Object.entries(faults))
    test(`${command.name}: an injected ${fault} ends in 70`, () => {
      const words = wordsOf[command.name];
      ok(words !== undefined, `no words for ${command.name}`);
      const preload = file(
        `${fault}.mjs`,
        `if (process.argv[1]?.endsWith("command-line.js")) { ${code} }\n`,
      );
      const result = divisi([...command.name.split(" "), ...words], {
        env: {
          NODE_OPTIONS: `--max-old-space-size=64 --import ${pathToFileURL(preload).href}`,
          TMPDIR: folder,
        },
      });
      equal(result.status, 70, result.stderr);
      match(result.stderr, /report: /);
      equal(
        readdirSync(folder).some((name) => name.startsWith("bug")),
        false,
        "something was written",
      );
    });
