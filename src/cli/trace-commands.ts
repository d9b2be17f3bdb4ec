/** Rows of the table in commands.ts: traces. */
import type { Command } from "./command.ts";
import { queues, seed } from "./flags.ts";
import { generatorTables } from "./generator-tables.ts";

export const traceCommands: readonly Command[] = [
  {
    name: "trace stats",
    summary: "Flows, skew and load of a trace.",
    args: [
      {
        name: "TRACE",
        text: "pcap, pcapng (.gz too), gen:MODEL, or - for stdin",
      },
    ],
    flags: [
      { name: "key", value: "HEX", text: "also the queues this key gives" },
      queues,
      seed,
    ],
    examples: [
      ["divisi trace stats monday.pcapng.gz", "who sends how much"],
      [
        "divisi trace stats gen:zipf,flows=10k,skew=1.1",
        "what a generator makes",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./trace.ts")).traceStats(words, rendering),
  },
  {
    name: "trace gen",
    summary: "Writes generated traffic as a capture file.",
    args: [{ name: "MODEL", text: "gen:MODEL[,packets=N]…" }],
    flags: [
      {
        name: "output",
        short: "o",
        value: "FILE",
        text: "pcap, or pcapng if it ends so; `-` to stdout",
        completes: "file",
      },
      seed,
    ],
    tables: generatorTables,
    examples: [
      [
        "divisi trace gen gen:churn,packets=1m -o churn.pcap",
        "a million packets of short flows",
      ],
      [
        "divisi trace gen gen:bidirectional -o both.pcapng",
        "two ports, as two interfaces",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./trace.ts")).traceGen(words, rendering),
  },
  {
    name: "trace cat",
    summary: "Converts and joins captures.",
    args: [{ name: "TRACE", rest: true, text: "one or more, in time order" }],
    flags: [
      {
        name: "output",
        short: "o",
        value: "FILE",
        text: "pcap, or pcapng if it ends so; `-` to stdout",
        completes: "file",
      },
      seed,
    ],
    examples: [
      ["divisi trace cat a.pcapng.gz -o a.pcap", "pcapng to pcap"],
      ["divisi trace cat lan.pcap wan.pcap -o both.pcapng", "merged by time"],
    ],
    run: async (words, rendering) =>
      (await import("./trace.ts")).traceCat(words, rendering),
  },
];
