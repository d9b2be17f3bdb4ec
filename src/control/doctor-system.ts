/**
 * What the machine is and may do: privileges, JIT, kernel types, bpffs, tools.
 *
 * Source: capabilities(7) (bit numbers), Documentation/admin-guide/sysctl/net.rst
 * (bpf_jit_enable), kernel.rst (unprivileged_bpf_disabled).
 */
import { bad, good, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

/** All of it, in the order in which it is read. */
export function systemFindings(machine: Machine): readonly Finding[] {
  const isLinux = machine.platform === "linux";
  return [
    good(
      "advice",
      "machine",
      `${machine.platform} ${machine.release} on ${machine.arch}, ${machine.cpus} ${machine.cpus === 1 ? "CPU" : "CPUs"}, node ${machine.node}`,
    ),
    ...(isLinux
      ? [
          privileges(machine),
          jit(machine),
          kernelTypes(machine),
          bpffs(machine),
          ...irqbalance(machine),
        ]
      : []),
    ...tools.map((tool) => toolFinding(machine, tool)),
  ];
}

// prettier-ignore
const capabilities: readonly (readonly [bit: number, name: string])[] = [
  [39, "CAP_BPF"], [12, "CAP_NET_ADMIN"], [38, "CAP_PERFMON"], [13, "CAP_NET_RAW"],
];
const sysAdmin = 21n;

function privileges(machine: Machine): Finding {
  const status = machine.read("/proc/self/status") ?? "";
  const mask = BigInt(
    `0x${/^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? "0"}`,
  );
  const has = (bit: bigint): boolean => ((mask >> bit) & 1n) === 1n;
  const missing = capabilities
    .filter(([bit]) => !has(BigInt(bit)) && !(bit >= 38 && has(sysAdmin)))
    .map(([, name]) => name);
  return missing.length === 0
    ? good(
        "engine",
        "privileges",
        capabilities.map(([, name]) => name).join(", "),
      )
    : bad(
        "engine",
        "privileges",
        `missing: ${missing.join(", ")}`,
        "run as root; the portable engine needs none",
      );
}

function jit(machine: Machine): Finding {
  const read = (name: string): string | undefined =>
    machine.read(`/proc/sys/net/core/${name}`)?.trim();
  const enabled = read("bpf_jit_enable");
  // Only the first network namespace has the file; and no kernel without a JIT.
  if (enabled === "0")
    return bad(
      "advice",
      "jit",
      "off: programs are interpreted, several times slower",
      "sysctl -w net.core.bpf_jit_enable=1",
    );
  const harden = read("bpf_jit_harden");
  return harden === "2"
    ? bad(
        "advice",
        "jit",
        "hardened for all users: constants are blinded, which costs time",
        "sysctl -w net.core.bpf_jit_harden=1",
      )
    : good("advice", "jit", enabled === undefined ? "not known here" : "on");
}

function kernelTypes(machine: Machine): Finding {
  const have = machine.list("/sys/kernel/btf").includes("vmlinux");
  return have
    ? good("feature", "kernel types (BTF)", "/sys/kernel/btf/vmlinux")
    : bad(
        "feature",
        "kernel types (BTF)",
        "no /sys/kernel/btf/vmlinux: no CO-RE, no kernel functions",
        "a kernel from 5.4 with CONFIG_DEBUG_INFO_BTF=y",
      );
}

function bpffs(machine: Machine): Finding {
  const mounts = (machine.read("/proc/mounts") ?? "")
    .split("\n")
    .map((line) => line.split(" "));
  const found = mounts.find(([, , type]) => type === "bpf")?.[1];
  return found !== undefined
    ? good("feature", "bpffs", found)
    : bad(
        "feature",
        "bpffs",
        "not mounted: nothing can stay attached",
        "mount -t bpf bpf /sys/fs/bpf",
      );
}

/** It moves the interrupts that a plan has bound to CPUs. */
function irqbalance(machine: Machine): readonly Finding[] {
  const runs = machine
    .list("/proc")
    .some(
      (id) =>
        /^\d+$/.test(id) &&
        machine.read(`/proc/${id}/comm`)?.trim() === "irqbalance",
    );
  return runs
    ? [
        bad(
          "advice",
          "irqbalance",
          "running: it moves interrupts away from the CPUs of their queues",
          "systemctl stop irqbalance, or ban the NIC's IRQs (--banirq)",
        ),
      ]
    : [good("advice", "irqbalance", "not running")];
}

interface Tool {
  readonly name: string;
  readonly args: readonly string[];
  readonly use: string;
  readonly debian: string;
}

// prettier-ignore
const tools: readonly Tool[] = [
  { name: "clang",   args: ["--version"], use: "compiles x.c", debian: "clang" },
  { name: "bpftool", args: ["version"],   use: "looks at what is loaded", debian: "bpftool" },
  { name: "ethtool", args: ["--version"], use: "nic/apply.sh sets queues and RSS", debian: "ethtool" },
  { name: "ip",      args: ["-V"],        use: "interfaces of tests and traces", debian: "iproute2" },
];

function toolFinding(machine: Machine, tool: Tool): Finding {
  const answer = machine.run(tool.name, tool.args);
  const version = /\d+(?:\.\d+)+/.exec(answer?.text ?? "")?.[0];
  return answer === undefined
    ? bad(
        "tool",
        tool.name,
        `not found: ${tool.use}`,
        `apt-get install ${tool.debian}`,
      )
    : good("tool", tool.name, version ?? "found");
}
