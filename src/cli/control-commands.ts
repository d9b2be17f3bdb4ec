/** The commands that change this machine for good, and take that back: rows of commands.ts. */
import type { Command } from "./command.ts";
import { iface } from "./flags.ts";

const attachment = {
  name: "NAME",
  text: "an attachment's name, or the DIR it came from",
} as const;
const map = { name: "MAP", text: "a map of the program" } as const;

export const controlCommands: readonly Command[] = [
  {
    name: "attach",
    summary: "Attaches DIR to interfaces, for good: it stays without us.",
    args: [{ name: "DIR", text: "what split wrote" }],
    flags: [
      iface,
      {
        name: "name",
        value: "NAME",
        text: "what to call it (default: the name of DIR)",
      },
      {
        name: "mode",
        value: "M",
        text: "where XDP runs (default: native where the driver can)",
        choices: ["native", "skb", "hw"],
      },
      {
        name: "apply-nic",
        text: "set queues, key and table as the plan wants them; detach restores",
      },
      {
        name: "replace",
        text: "take the place of an XDP program that belongs to no link",
      },
      {
        name: "pin-root",
        value: "BPFFS",
        text: "BPF file system to pin in (default /sys/fs/bpf)",
        completes: "directory",
      },
    ],
    examples: [
      [
        "divisi attach out --iface eth0,eth1 --apply-nic",
        "port lan on eth0, wan on eth1, the NICs set up",
      ],
      [
        "divisi attach out --iface lan=eth0,wan=eth1 --name edge",
        "by name of the port; called edge from now on",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./attach.ts")).attach(words, rendering),
  },
  {
    name: "status",
    summary: "Shows what is attached, and whether it still is as it was made.",
    args: [
      { name: "NAME", optional: true, text: "only this one (default: all)" },
    ],
    flags: [],
    examples: [
      ["divisi status", "interfaces, programs, maps, health; exit 1 if not ok"],
      ["divisi status --json edge", "one attachment, as JSON"],
    ],
    run: async (words) => (await import("./status.ts")).status(words),
  },
  {
    name: "rebalance",
    summary:
      "Moves entries of an attached dispatcher's table to less busy CPUs, in order.",
    args: [attachment],
    flags: [
      {
        name: "interval",
        value: "TIME",
        text: "how often to look (default 1s)",
      },
      {
        name: "bearable",
        value: "X",
        text: "busiest CPU over the mean that is let be (default 1.08)",
      },
      {
        name: "most",
        value: "N",
        text: "entries moved at once (default 16)",
      },
      {
        name: "duration",
        value: "TIME",
        text: "end after this long (default: ^C)",
      },
    ],
    examples: [
      [
        "divisi rebalance edge",
        "edge was split with --dispatch software --rebalance; until ^C",
      ],
      [
        "divisi rebalance edge --interval 200ms --duration 10s --json",
        "loads over time, updates, waits; exit 1 if a wait was given up",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./rebalance.ts")).rebalance(words, rendering),
  },
  {
    name: "detach",
    summary: "Takes an attachment off and restores what attach changed.",
    args: [
      {
        name: "NAME",
        optional: true,
        text: "its name, or the DIR it came from",
      },
    ],
    flags: [
      {
        name: "iface",
        value: "IF[,IF…]",
        repeatable: true,
        text: "whatever is attached to these interfaces",
        completes: "interface",
      },
      { name: "all", text: "everything that divisi attached" },
    ],
    examples: [
      ["divisi detach edge", "links, pins and NIC settings of edge"],
      ["divisi detach --all", "everything"],
    ],
    run: async (words) => (await import("./detach.ts")).detach(words),
  },
  {
    name: "upgrade",
    summary:
      "Puts DIR in the place of what is attached, without losing a packet.",
    args: [{ name: "DIR", text: "what split wrote" }],
    flags: [
      {
        name: "name",
        value: "NAME",
        text: "which attachment (default: the only one, or the one called as DIR)",
      },
      {
        name: "discard",
        value: "MAP",
        repeatable: true,
        text: "start this map afresh instead of refusing",
      },
    ],
    examples: [
      ["divisi upgrade out2", "maps of equal layout stay, others are copied"],
      [
        "divisi upgrade out2 --name edge --discard flows",
        "forget what flows holds",
      ],
    ],
    run: async (words, rendering) =>
      (await import("./upgrade.ts")).upgrade(words, rendering),
  },
  {
    name: "map get",
    summary: "Reads an entry of a split map as the original program's.",
    args: [
      attachment,
      map,
      {
        name: "KEY",
        rest: true,
        text: "0a 00 00 01, 0x0a000001, 10.0.0.1, or MEMBER=VALUE…",
      },
    ],
    flags: [],
    examples: [
      ["divisi map get edge sources 10.0.0.1", "the counters of one address"],
      [
        "divisi map get edge flows source=10.0.0.1 source_port=53",
        "by members of the key; the others are zero",
      ],
    ],
    run: async (words) => (await import("./map.ts")).mapGet(words),
  },
  {
    name: "map set",
    summary: "Writes an entry of a split map, wherever its parts are.",
    args: [
      attachment,
      map,
      {
        name: "KEY",
        rest: true,
        text: "key KEY… value VALUE…, each as in map get; members not named stay",
      },
    ],
    flags: [],
    examples: [
      [
        "divisi map set edge sources key 10.0.0.1 value packets=0 bytes=0",
        "start counting one address afresh",
      ],
      [
        "divisi map set edge limits key 00 00 00 00 value e8 03 00 00",
        "bytes as they lie in memory",
      ],
    ],
    run: async (words) => (await import("./map.ts")).mapSet(words),
  },
  {
    name: "map dump",
    summary: "Prints a split map as the original program's, by key.",
    args: [attachment, map],
    flags: [],
    examples: [
      ["divisi map dump edge sources", "a line per entry"],
      [
        "divisi map dump --json edge sources > sources.json",
        "elements as bpftool map dump -j prints them",
      ],
    ],
    run: async (words) => (await import("./map.ts")).mapDump(words),
  },
  {
    name: "map load",
    summary: "Writes entries from a file; those that it does not name stay.",
    args: [
      attachment,
      map,
      {
        name: "FILE.json",
        text: "from map dump --json or bpftool map dump -j; - for stdin",
      },
    ],
    flags: [],
    examples: [
      ["divisi map load edge sources sources.json", "what a dump holds"],
      [
        "bpftool map dump -j pinned P | divisi map load edge sources -",
        "from a map of another program",
      ],
    ],
    run: async (words) => (await import("./map.ts")).mapLoad(words),
  },
  {
    name: "undo",
    summary:
      "Takes back what killed commands left: NIC settings, pins, namespaces.",
    args: [],
    flags: [{ name: "dry-run", text: "only say what would be done" }],
    examples: [
      ["divisi undo", "replay the journal backwards"],
      ["divisi undo --dry-run", "show what is left"],
    ],
    run: async (words) => (await import("./undo.ts")).undo(words),
  },
];
