/** Flags that several commands take, once each. */
import type { Flag } from "./command.ts";

/** What PROG may be. */
export const programText =
  "x.o (BPF object), x.c (needs clang) or x.ts (network function)";

export const commonFlags: readonly Flag[] = [
  { name: "json", short: "j", text: "print one JSON value on stdout" },
  { name: "quiet", short: "q", text: "print nothing; the exit code answers" },
  {
    name: "verbose",
    short: "v",
    text: "more words on stderr (-vv: more still)",
  },
];

const entry: Flag = {
  name: "entry",
  value: "NAME",
  text: "entry function, if the object has several (not for x.ts)",
};
const type: Flag = {
  name: "type",
  value: "TYPE",
  text: "program type, if the section name says nothing",
  choices: ["xdp", "sched_cls", "tracepoint", "socket_filter"],
};
export const set: Flag = {
  name: "set",
  value: "NAME=VALUE",
  repeatable: true,
  text: "value of an NF's configuration or .rodata variable, e.g. 16 or 0x10",
};
export const mapSize: Flag = {
  name: "map-size",
  value: "NAME=N",
  repeatable: true,
  text: "entries of a map (default of those without: one per CPU)",
};
export const maps: Flag = {
  name: "maps",
  value: "FILE.json",
  text: "initial contents of maps (bpftool map dump -j)",
  completes: "file",
};
export const port: Flag = {
  name: "port",
  value: "NAME=IFINDEX",
  repeatable: true,
  text: "bind a port's name to an interface index",
};
export const userWrites: Flag = {
  name: "user-writes",
  value: "MAP",
  repeatable: true,
  text: "user space changes this map at run time",
};
export const trace: Flag = {
  name: "trace",
  value: "TRACE",
  repeatable: true,
  text: "pcap, pcapng (.gz too), gen:MODEL[,packets=N]…, or PORT=FILE",
  completes: "file",
};
export const inside: Flag = {
  name: "inside",
  value: "PREFIX",
  text: "packets from this IPv4 prefix enter at port lan, others at wan",
};
export const namespace: Flag = {
  name: "namespace",
  text: "make the interfaces: veth pairs in a namespace of their own, gone at exit",
};
/** Of `run --iface` without a trace. */
export const serving: readonly Flag[] = [
  {
    name: "duration",
    value: "TIME",
    text: "serve so long, e.g. 10s (default: until ^C)",
  },
  {
    name: "mode",
    value: "M",
    text: "where XDP runs (default: native where the driver can)",
    choices: ["native", "skb", "hw"],
  },
  {
    name: "apply-nic",
    text: "set queues, key and table as the plan wants them; restored at exit",
  },
  {
    name: "replace",
    text: "take the place of an XDP program that belongs to no link; it comes back",
  },
  {
    name: "pin-root",
    value: "BPFFS",
    text: "where a replaced program is kept meanwhile (default /sys/fs/bpf)",
    completes: "directory",
  },
];
export const seed: Flag = {
  name: "seed",
  value: "N",
  text: "seed of everything random (default 1)",
};
export const cores: Flag = {
  name: "cores",
  value: "N",
  text: "cores to divide over (default: this machine's, at least 2)",
};
/** The keys' own commands divide nothing, so this machine says nothing. */
export const queues: Flag = {
  name: "cores",
  value: "N",
  text: "queues to spread over (default 16)",
};
export const nic: Flag = {
  name: "nic",
  value: "PROFILE",
  text: "generic x710 e810 mlx5 ixgbe ena virtio veth, or a JSON file",
};
export const allowUntested: Flag = {
  name: "allow-untested",
  text: "exit 0 although a state access was never reached",
};
export const program: readonly Flag[] = [entry, type, set, mapSize];
export const iface: Flag = {
  name: "iface",
  value: "IF[,IF…]",
  repeatable: true,
  text: "interfaces in the order of the plan's ports, or PORT=IF",
  completes: "interface",
};
