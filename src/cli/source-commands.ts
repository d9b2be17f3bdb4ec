/** Rows of the table in commands.ts: for those who write programs. */
import type { Command } from "./command.ts";
import { mapSize, programText, set } from "./flags.ts";

export const sourceCommands: readonly Command[] = [
  {
    name: "new",
    summary: "Writes a starter network function in TypeScript, with its test.",
    args: [
      { name: "NAME", text: "folder to write, and name of the function in it" },
    ],
    flags: [
      {
        name: "force",
        text: "write it again where nothing in the folder was changed",
      },
    ],
    examples: [
      ["divisi new limiter", "limiter/limiter.ts and what belongs to it"],
      ["cd limiter && npm install && npm test", "then this runs its test"],
    ],
    run: async (words, rendering) =>
      (await import("./new.ts")).newProject(words, rendering),
  },
  {
    name: "build",
    summary: "Compiles a program to an object that any loader takes.",
    args: [{ name: "PROG", text: programText }],
    flags: [
      {
        name: "output",
        short: "o",
        value: "FILE.o",
        text: "object to write; `-` to stdout",
        completes: "file",
      },
      set,
      mapSize,
    ],
    examples: [
      [
        "divisi build nfs/ts/firewall.ts -o firewall.o",
        "for bpftool, libbpf or cilium/ebpf",
      ],
      [
        "divisi build limiter.ts --set limit=200 -o limiter.o",
        "with another value of its configuration",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./build.ts")).build(words, rendering),
  },
];
