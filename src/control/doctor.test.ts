/** doctor's findings on machines that are not here, from what their tools print. */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { test } from "node:test";
import { InputError } from "../base/index.ts";
import type { FeatureProbe } from "../engine/index.ts";
import { featureFinding } from "./doctor.ts";
import { interfaceFindings, interfaceNames } from "./doctor-interface.ts";
import { systemFindings } from "./doctor-system.ts";
import type { Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";

interface Fake {
  readonly files?: Readonly<Record<string, string>>;
  /** By `tool first-words`. */
  readonly tools?: Readonly<Record<string, string>>;
  readonly cpus?: number;
}

function machine({ files = {}, tools = {}, cpus = 8 }: Fake): Machine {
  return {
    platform: "linux",
    arch: "x64",
    release: "6.1.0",
    node: "v20.19.0",
    cpus,
    read: (path) => files[path],
    list: (path) => [
      ...new Set(
        Object.keys(files)
          .filter((file) => file.startsWith(`${path}/`))
          .map((file) => file.slice(path.length + 1).split("/")[0] ?? ""),
      ),
    ],
    link: (path) => files[path],
    run: (tool, args) => {
      const text = tools[[tool, ...args].join(" ")];
      if (!Object.keys(tools).some((line) => line.startsWith(tool)))
        return undefined;
      return { ok: text !== undefined, text: text ?? "", error: "" };
    },
  };
}

function find(findings: readonly Finding[], name: string): Finding {
  const found = findings.find((finding) => finding.name === name);
  ok(
    found !== undefined,
    `no ${name} in ${findings.map((it) => it.name).join(", ")}`,
  );
  return found;
}

const all = "000001ffffffffff";
const healthy: Record<string, string> = {
  "/proc/self/status": `Name:\tnode\nCapEff:\t${all}\n`,
  "/proc/sys/net/core/bpf_jit_enable": "1\n",
  "/proc/sys/net/core/bpf_jit_harden": "0\n",
  "/proc/mounts": "proc /proc proc rw 0 0\nbpf /sys/fs/bpf bpf rw 0 0\n",
  "/sys/kernel/btf/vmlinux": "",
  "/proc/1/comm": "systemd\n",
};

test("system: what is well, and each thing that is not", () => {
  const tools = {
    "clang --version": "Debian clang version 14.0.6",
    "bpftool version": "bpftool v7.1.0",
    "ethtool --version": "ethtool version 6.1",
    "ip -V": "ip utility, iproute2-6.1.0",
  };
  const well = systemFindings(machine({ files: healthy, tools }));
  deepEqual(
    well.filter((finding) => !finding.ok),
    [],
  );
  equal(find(well, "clang").detail, "14.0.6");
  // prettier-ignore
  const cases: readonly (readonly [string, string | undefined, string, RegExp, RegExp])[] = [
    ["/proc/self/status", "CapEff:\t0000000000001000\n", "privileges", /missing: CAP_BPF, CAP_PERFMON, CAP_NET_RAW$/, /as root/],
    ["/proc/self/status", undefined, "privileges", /CAP_NET_ADMIN/, /as root/],
    ["/proc/sys/net/core/bpf_jit_enable", "0\n", "jit", /interpreted/, /bpf_jit_enable=1/],
    ["/proc/sys/net/core/bpf_jit_harden", "2\n", "jit", /blinded/, /bpf_jit_harden/],
    ["/proc/mounts", "proc /proc proc rw 0 0\n", "bpffs", /not mounted/, /^mount -t bpf/],
    ["/sys/kernel/btf/vmlinux", undefined, "kernel types (BTF)", /no CO-RE/, /5\.4/],
    ["/proc/1/comm", "irqbalance\n", "irqbalance", /moves interrupts/, /systemctl stop/],
  ];
  for (const [path, content, name, detail, fix] of cases) {
    const files = { ...healthy };
    if (content === undefined) delete files[path];
    else files[path] = content;
    const finding = find(systemFindings(machine({ files, tools })), name);
    equal(finding.ok, false, name);
    ok(
      detail.test(finding.detail) && fix.test(finding.fix ?? ""),
      `${finding.detail} | ${finding.fix}`,
    );
  }
  const bare = systemFindings(machine({ files: healthy }));
  equal(find(bare, "clang").fix, "apt-get install clang");
});

test("privileges: CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON", () => {
  const files = {
    ...healthy,
    "/proc/self/status": "CapEff:\t0000000000203000\n",
  };
  ok(find(systemFindings(machine({ files })), "privileges").ok);
});

const channels = (most: number, now: number, kind = "Combined"): string => {
  const rows = (count: number): string =>
    ["RX", "TX", "Other", "Combined"]
      .map((row) => `${row}:\t\t${row === kind ? count : "n/a"}`)
      .join("\n");
  return `Channel parameters for eth0:\nPre-set maximums:\n${rows(most)}\nCurrent hardware settings:\n${rows(now)}\n`;
};
const table = Array.from(
  { length: 16 },
  (_, row) => `${String(8 * row).padStart(5)}:${"      0      1".repeat(4)}`,
).join("\n");
const key = Array.from({ length: 40 }, () => "6d").join(":");
const rss = `RX flow hash indirection table for eth0 with 2 RX ring(s):\n${table}\nRSS hash key:\n${key}\nRSS hash function:\n    toeplitz: on\n    xor: off\n`;

interface Nic extends Fake {
  readonly driver: string;
  readonly mtu?: number;
}

function examine(nic: Nic): readonly Finding[] {
  return interfaceFindings(
    machine({
      ...nic,
      files: {
        "/sys/class/net/eth0/device/driver": `../../bus/pci/drivers/${nic.driver}`,
        "/sys/class/net/eth0/mtu": `${nic.mtu ?? 1500}\n`,
        "/sys/class/net/lo/mtu": "65536\n",
        ...nic.files,
      },
    }),
    "eth0",
  );
}

test("interfaces: limits that bite, by driver", () => {
  // prettier-ignore
  const cases: readonly (readonly [Nic, string, RegExp, string | undefined])[] = [
    [{ driver: "ena", tools: { "ethtool -l eth0": channels(8, 8) } }, "queues", /8 combined of 8: attaching is refused with more than 4/, "ethtool -L eth0 combined 4"],
    [{ driver: "ena", tools: { "ethtool -l eth0": channels(8, 4) } }, "queues", /^4 combined of 8$/, undefined],
    [{ driver: "ena", mtu: 9001 }, "MTU", /refused above 3498/, "ip link set eth0 mtu 1500"],
    [{ driver: "ixgbe", cpus: 192, tools: { "ethtool -l eth0": channels(63, 63) } }, "queues", /192 CPUs: the driver takes 128/, "boot with nr_cpus=, or --mode skb"],
    [{ driver: "ixgbe", tools: { "ethtool -k eth0": "large-receive-offload: on\nrx-gro-hw: off [fixed]\n" } }, "receive offloads", /large-receive-offload on: attaching is refused/, "ethtool -K eth0 lro off"],
    [{ driver: "virtio_net", tools: { "ethtool -k eth0": "large-receive-offload: off [fixed]\nrx-gro-hw: on\n" } }, "receive offloads", /switches them off/, undefined],
    [{ driver: "virtio_net", tools: { "ethtool -k eth0": "rx-gro-hw: on [fixed]\n" } }, "receive offloads", /fixed by the host/, "--mode skb, or let the host offer VIRTIO_NET_F_CTRL_GUEST_OFFLOADS"],
    [{ driver: "virtio_net", tools: { "ethtool -l eth0": channels(8, 4) } }, "queues", /share queues under a lock/, "ethtool -L eth0 combined 1"],
    [{ driver: "bnxt_en", tools: { "ethtool -l eth0": channels(8, 4, "RX") } }, "queues", /needs combined channels/, "ethtool -L eth0 rx 0 tx 0 combined 8"],
    [{ driver: "e1000e" }, "native XDP", /none that divisi knows of/, "--mode skb: works, and is several times slower"],
    [{ driver: "i40e", tools: { "ethtool -x eth0": rss, "ethtool -n eth0 rx-flow-hash tcp4": "TCP over IPV4 flows use these fields for computing Hash flow key:\nIP SA\nIP DA\nL4 bytes 0 & 1 [TCP/UDP src port]\nL4 bytes 2 & 3 [TCP/UDP dst port]\n" } }, "RSS", /^key of 40 bytes, table of 128, tcp4 sdfn$/, undefined],
    [{ driver: "i40e", tools: { "ethtool -l eth0": channels(4, 4) } }, "RSS", /no key and no table/, "plan with --nic veth: cores are chosen in software"],
    [{ driver: "i40e", tools: { "ip -j -d link show dev eth0": '[{"ifname":"eth0","xdp":{"mode":2,"prog":{"id":77}}}]' } }, "attached", /program 77 is attached already \(skb\)/, "--replace, or ip link set eth0 xdp off"],
    [{ driver: "veth", files: {
      "/sys/class/net/eth0/ifindex": "5\n", "/sys/class/net/eth0/iflink": "6\n", "/sys/class/net/eth0/queues/rx-0/x": "",
      "/sys/class/net/v1/ifindex": "6\n", "/sys/class/net/v1/iflink": "5\n", "/sys/class/net/v1/queues/tx-0/x": "", "/sys/class/net/v1/queues/tx-1/x": "",
    } }, "queues", /refused while v1 sends on 2/, "ethtool -L v1 tx 1"],
  ];
  for (const [nic, name, detail, fix] of cases) {
    const finding = find(examine(nic), `eth0: ${name}`);
    ok(detail.test(finding.detail), `${nic.driver}: ${finding.detail}`);
    deepEqual([finding.ok, finding.fix], [fix === undefined, fix], nic.driver);
  }
});

test("an interface in a namespace whose /sys is of another one", () => {
  const dev = "Inter-|   Receive\n face |bytes\n    lo:  0 0\n  nuv0: 12 0\n";
  const files = {
    "/proc/net/dev": dev,
    "/sys/class/net/eth0/mtu": "1500\n",
    "/sys/class/net/lo/mtu": "65536\n",
  };
  const tools = {
    "ethtool -i nuv0": "driver: veth\n",
    "ip -j -d link show dev nuv0": '[{"ifindex":7,"mtu":1400}]',
  };
  const foreign = machine({ files, tools });
  deepEqual(interfaceNames(foreign), ["nuv0"]);
  throws(
    () => interfaceFindings(foreign, "eth0"),
    /there is no interface eth0/,
  );
  const words =
    /^the \/sys mounted here is of another network namespace: .* is not known$/;
  const found = interfaceFindings(foreign, "nuv0");
  ok(words.test(find(found, "nuv0: sysfs").detail));
  ok(find(found, "nuv0: native XDP").detail.startsWith("veth"));
  // The same name there, but another interface.
  const same = {
    "/sys/class/net/nuv0/ifindex": "3\n",
    "/sys/class/net/nuv0/mtu": "9000\n",
  };
  const other = machine({ files: { ...files, ...same }, tools });
  ok(words.test(find(interfaceFindings(other, "nuv0"), "nuv0: sysfs").detail));
  const own = { ...same, "/sys/class/net/nuv0/ifindex": "7\n" };
  const here = machine({ files: { ...files, ...own }, tools });
  equal(
    interfaceFindings(here, "nuv0").some(({ name }) => name === "nuv0: sysfs"),
    false,
  );
});

test("jit: no file in a namespace of its own says nothing", () => {
  const { "/proc/sys/net/core/bpf_jit_enable": _, ...files } = healthy;
  equal(
    find(systemFindings(machine({ files })), "jit").detail,
    "not known here",
  );
});

test("an interface that does not exist: the nearest name", () => {
  throws(
    () =>
      interfaceFindings(
        machine({ files: { "/sys/class/net/eth0/mtu": "" } }),
        "eht0",
      ),
    (error: unknown) =>
      error instanceof InputError &&
      error.kind === "usage" &&
      error.fix === "did you mean eth0?",
  );
});

test("a feature that is missing names the first kernel that has it", () => {
  const probe: FeatureProbe = {
    name: "map arena",
    kind: "map",
    firstKernel: "6.9",
    have: false,
    answer: "EINVAL",
  };
  deepEqual(featureFinding(probe), {
    name: "map arena",
    about: "feature",
    ok: false,
    detail: "the kernel said EINVAL",
    fix: "Linux 6.9 or later",
  });
  ok(featureFinding({ ...probe, have: true }).ok);
});
