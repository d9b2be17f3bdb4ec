/**
 * The commands: a row each. Parser, help, docs/reference/cli.md, man page and
 * completions derive from this table.
 */
import type { Command } from "./command.ts";
import { controlCommands } from "./control-commands.ts";
import {
  maps,
  port,
  userWrites,
  trace,
  inside,
  namespace,
  seed,
  serving,
  cores,
  queues,
  nic,
  allowUntested,
  program,
  programText,
} from "./flags.ts";
import { measureCommands } from "./measure-commands.ts";
import { sourceCommands } from "./source-commands.ts";
import { traceCommands } from "./trace-commands.ts";

export const commands: readonly Command[] = [
  {
    name: "split",
    summary:
      "Divides a program over cores: analyses, chooses, generates, checks, writes DIR.",
    args: [{ name: "PROG", text: programText }],
    flags: [
      {
        name: "output",
        short: "o",
        value: "DIR",
        text: "directory to write",
        completes: "directory",
      },
      ...program,
      cores,
      nic,
      trace,
      inside,
      maps,
      port,
      userWrites,
      {
        name: "strategy",
        value: "S|OBJECT=S",
        repeatable: true,
        text: "force a strategy for all or one object: shard, merge, copy, sequential",
      },
      {
        name: "dispatch",
        value: "WHO",
        text: "who brings packets to cores: the NIC (default), or a program before it",
        choices: ["nic", "software"],
      },
      {
        name: "rebalance",
        text: "with --dispatch software: entries of its table may move while packets pass",
      },
      {
        name: "layout",
        value: "L",
        text: "hash maps of one core's keys: private tables where that weakens no promise (auto, the default), wherever it can be (private), nowhere (shared)",
        choices: ["auto", "private", "shared"],
      },
      {
        name: "no-fallback",
        text: "exit 1 instead of a lock, transactions or one core",
      },
      {
        name: "grade",
        value: "G",
        text: "weakest grade accepted",
        choices: ["exact", "reordered", "merged", "partitioned"],
      },
      {
        name: "explain",
        text: "say for each object why each strategy was taken or not",
      },
      { name: "force", text: "replace an existing DIR" },
      allowUntested,
      seed,
    ],
    examples: [
      [
        "divisi split nfs/c/port-knock.o --trace gen:zipf -o out",
        "shard by source address, check on 200,000 packets, write out/",
      ],
      [
        "divisi split fw.o --port lan=3 --port wan=4 --nic e810 --cores 8 -o out",
        "two linked ports on an E810",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./split.ts")).split(words, rendering),
  },
  {
    name: "check",
    summary:
      "Runs DIR against its sequential program, packet by packet, at the plan's grade.",
    args: [{ name: "DIR", text: "what split wrote" }],
    flags: [
      trace,
      inside,
      maps,
      allowUntested,
      {
        name: "engine",
        value: "E",
        text: "what runs the emitted bytes (default wasm)",
        choices: ["wasm", "interp", "kernel"],
      },
      seed,
    ],
    examples: [
      ["divisi check out", "again, on the trace that split used"],
      [
        "divisi check out --trace monday.pcapng.gz",
        "on your own capture; exit 1 if anything differs",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./check.ts")).check(words, rendering),
  },
  {
    name: "analyze",
    summary:
      "Reports the state of a program, the strategies it allows, and its races.",
    args: [{ name: "PROG", text: programText }],
    flags: [
      ...program,
      port,
      userWrites,
      {
        name: "fail-on",
        value: "WHAT",
        text: "exit 1 when found",
        choices: ["race"],
      },
      {
        name: "witness",
        value: "FILE.pcapng",
        text: "write two packets for each race, and say what two cores lose with them; FILE.pcap too, of one port",
        completes: "file",
      },
      { name: "sarif", text: "print the races as SARIF 2.1.0" },
      seed,
    ],
    examples: [
      ["divisi analyze nfs/c/policer.o", "which state, keyed by what"],
      [
        "divisi analyze --json --fail-on race limiter.o",
        "for continuous integration",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./analyze.ts")).analyze(words, rendering),
  },
  {
    name: "doctor",
    summary:
      "Says what can run here: privileges, kernel features, tools, interfaces. Changes nothing.",
    args: [],
    flags: [
      {
        name: "iface",
        value: "IF[,IF…]",
        repeatable: true,
        text: "look at these interfaces only; exit 1 if one cannot be used",
        completes: "interface",
      },
    ],
    examples: [
      ["divisi doctor", "the machine, its kernel, every interface"],
      [
        "divisi doctor --iface eth0 -v",
        "one interface; every kernel feature by name",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./doctor.ts")).doctor(words, rendering),
  },
  {
    name: "inspect",
    summary: "Shows programs, maps, sizes and disassembly of an object.",
    args: [{ name: "PROG", text: programText }],
    flags: [
      ...program,
      { name: "asm", text: "disassembly with source lines" },
      { name: "ir", text: "the lifted program" },
      { name: "dot", text: "control-flow graph as Graphviz text" },
    ],
    examples: [
      ["divisi inspect nfs/c/firewall.o", "programs and maps"],
      [
        "divisi inspect --asm nfs/c/firewall.o",
        "every instruction beside its source line",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./inspect.ts")).inspect(words, rendering),
  },
  {
    name: "run",
    summary: "Runs a program or a split one over a trace.",
    args: [{ name: "DIR|PROG", text: "what split wrote, or a program" }],
    flags: [
      ...program,
      trace,
      inside,
      maps,
      port,
      {
        name: "out",
        value: "OUT.pcapng",
        text: "write the packets as they leave, verdict as comment; `-` to stdout",
        completes: "file",
      },
      {
        name: "engine",
        value: "E",
        text: "what runs it (default wasm)",
        choices: ["wasm", "interp", "kernel"],
      },
      {
        name: "rebalance",
        text: "move table entries and their state while it runs; compare with one core",
      },
      {
        name: "virtual",
        text: "with --rebalance: cores interleaved by the seed in one thread",
      },
      {
        name: "iface",
        value: "IF[,IF…]",
        repeatable: true,
        text: "in the kernel, at these interfaces: one for each port, in order, or PORT=IF",
        completes: "interface",
      },
      namespace,
      ...serving,
      seed,
    ],
    examples: [
      [
        "divisi run nfs/c/firewall.o --trace gen:bidirectional",
        "verdicts and state of the sequential program",
      ],
      [
        "divisi run out --trace gen:zipf --out leaving.pcapng",
        "one worker per core, private state",
      ],
      [
        "divisi run out --rebalance --trace gen:moving-zipf,packets=1m",
        "entries of the table follow the load; 0 lost, 0 out of order",
      ],
      [
        "divisi run out --iface v0 --namespace --trace monday.pcap",
        "through real XDP, compared packet by packet; exit 1 if anything differs",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./run.ts")).run(words, rendering),
  },
  ...sourceCommands,
  ...controlCommands,
  ...measureCommands,
  {
    name: "rss solve",
    summary: "Solves for a NIC hash key that keeps the given fields together.",
    args: [],
    flags: [
      {
        name: "fields",
        value: "F[,F…]",
        repeatable: true,
        text: "packets that agree on these meet, e.g. ipv4.src or lan:ipv4.src=wan:ipv4.dst; `none` asks nothing",
      },
      { name: "swap", text: "same queue in both directions of a flow" },
      nic,
      queues,
      {
        name: "mode",
        value: "M",
        text: "what must be equal: the whole hash, or the table index",
        choices: ["full", "index"],
      },
      {
        name: "hash",
        value: "LETTERS",
        text: "hash only these fields (ethtool: s d f n), e.g. sdfn; default: searched",
      },
      seed,
    ],
    examples: [
      ["divisi rss solve --fields ipv4.src", "shard by source address"],
      [
        "divisi rss solve --fields ipv4.src,ipv4.dst,l4.sport,l4.dport --swap --nic x710",
        "symmetric key for an X710",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./rss.ts")).rssSolve(words, rendering),
  },
  {
    name: "rss check",
    summary:
      "Grades a key: rank, reachable entries, imbalance on three kinds of traffic.",
    args: [],
    flags: [
      { name: "key", value: "HEX", text: "the key, `:` between bytes allowed" },
      {
        name: "fields",
        value: "F[,F…]",
        repeatable: true,
        text: "also: do packets that agree on these meet?",
      },
      { name: "swap", text: "also with source and destination swapped" },
      nic,
      queues,
      seed,
    ],
    examples: [
      [
        "divisi rss check --key 6d5a56da255b0ec24167253d43a38fb0d0ca2bcbae7b30b477cb2da38030f20c6a42b73bbeac01fa",
        "the key that everybody pastes",
      ],
      ["divisi rss check --cores 8 --key $(cat key.hex)", "load of 8 queues"],
    ],
    run: async (words, rendering) =>
      (await import("./rss.ts")).rssCheck(words, rendering),
  },
  {
    name: "rss queue",
    summary: "Says which queue each flow hits.",
    args: [
      {
        name: "FLOW",
        rest: true,
        text: "SRC:PORT>DST:PORT[/tcp|udp], or SRC>DST",
      },
    ],
    flags: [{ name: "key", value: "HEX", text: "the key" }, nic, queues],
    examples: [
      [
        "divisi rss queue --key $(cat key.hex) --cores 8 '66.9.149.187:2794>161.142.100.80:1766'",
        "hash, table entry and queue",
      ],
      [
        "divisi rss queue --key $(cat key.hex) '10.0.0.1>10.0.0.2'",
        "addresses only",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./rss.ts")).rssQueue(words, rendering),
  },
  ...traceCommands,
];
