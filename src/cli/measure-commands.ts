/** Rows of the table in commands.ts: the commands that measure. */
import type { Command } from "./command.ts";
import { inside, maps, port, program, seed, trace } from "./flags.ts";

export const measureCommands: readonly Command[] = [
  {
    name: "bench",
    summary:
      "Measures programs and split ones over cores: time per packet, throughput, model.",
    args: [
      {
        name: "DIR|PROG",
        rest: true,
        text: "what split wrote, or a program; several",
      },
    ],
    flags: [
      ...program,
      trace,
      inside,
      maps,
      port,
      {
        name: "cores",
        value: "N[,N…]",
        text: "numbers of cores (default 1)",
      },
      {
        name: "engine",
        value: "E",
        repeatable: true,
        text: "what runs it, one or both (default wasm)",
        choices: ["wasm", "kernel"],
      },
      {
        name: "state",
        value: "S",
        text: "one set of maps for all cores, or one each (default: kernel shared, wasm private)",
        choices: ["shared", "private"],
      },
      {
        name: "path",
        value: "P",
        text: "what a packet goes through: the program, a whole run of the portable engine, or live frames over veth (kernel)",
        choices: ["program", "dispatch", "veth"],
      },
      {
        name: "fit",
        text: "fit a scaling model; cores beyond this machine's are drawn from it",
      },
      {
        name: "seconds",
        value: "S",
        text: "time for the samples of an engine, thrice that where 8 samples, the fewest with an interval, take longer (default 5)",
      },
      {
        name: "out",
        value: "FILE.json",
        text: "write the result, samples included, for compare",
        completes: "file",
      },
      seed,
    ],
    examples: [
      [
        "divisi bench nfs/c/firewall.o --trace gen:bidirectional --engine kernel",
        "nanoseconds per packet in the kernel, one core",
      ],
      [
        "divisi bench out --cores 1,2,4 --fit --out now.json",
        "a curve over cores; those this machine lacks are modelled",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./bench.ts")).bench(words, rendering),
  },
  {
    name: "compare",
    summary: "Compares two results of bench, point by point.",
    args: [
      { name: "A.json", text: "before" },
      { name: "B.json", text: "after" },
    ],
    flags: [
      {
        name: "threshold",
        value: "P%",
        text: "exit 1 where B is slower by more than this, for sure (default 5%)",
      },
      {
        name: "placement",
        value: "P",
        text: "any: pair points whose CPUs were near in one and far in the other, marked so (default same)",
        choices: ["same", "any"],
      },
      seed,
    ],
    examples: [
      ["divisi compare before.json after.json", "what became slower"],
      [
        "divisi compare --threshold 2% before.json after.json",
        "a sharper eye, for quiet machines",
      ],
    ],
    run: async (words) => (await import("./compare.ts")).compare(words),
  },
];
