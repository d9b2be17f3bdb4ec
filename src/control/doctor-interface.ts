/**
 * What an interface offers a split program: driver and native XDP, queues, RSS key,
 * table and fields, and the limits that bite when a program is attached. Everything is
 * read; nothing is tried.
 *
 * Source: ethtool(8) output of -l, -x, -k, -n; ip-link(8) in JSON.
 */
import { unknownInterface } from "../engine/index.ts";
import { bad, good, type Finding } from "./finding.ts";
import type { Machine } from "./machine.ts";
import { xdpDrivers, type DriverRow } from "./xdp-driver-table.ts";

/** What there is besides the loopback device. */
export function interfaceNames(machine: Machine): readonly string[] {
  return present(machine).filter((name) => name !== "lo");
}

/**
 * Interfaces of the process's own network namespace. /sys/class/net shows the one that
 * it was mounted in, which is another after `nsenter --net` or `ip netns` without -a.
 */
function present(machine: Machine): readonly string[] {
  const own = machine.read("/proc/net/dev");
  if (own === undefined) return machine.list("/sys/class/net");
  return [...own.matchAll(/^\s*(\S+):/gm)].map(([, name = ""]) => name);
}

/** Throws an InputError, with the nearest name, for one that does not exist. */
export function interfaceFindings(
  machine: Machine,
  name: string,
): readonly Finding[] {
  const all = present(machine);
  if (!all.includes(name)) throw unknownInterface(name, all);
  const facts = read(machine, name);
  return [
    ...(facts.isInSys ? [] : [otherSys(name)]),
    driverFinding(facts),
    ...mtuFinding(facts),
    ...queueFindings(facts),
    ...rssFindings(facts),
    ...offloadFindings(facts),
    ...attachedFinding(facts),
  ];
}

interface Channels {
  readonly kind: "combined" | "rx";
  readonly now: number;
  readonly most: number;
}

interface Facts {
  readonly name: string;
  /** Is it this interface that /sys tells of? */
  readonly isInSys: boolean;
  readonly driver: string | undefined;
  readonly row: DriverRow | undefined;
  readonly mtu: number;
  readonly cpus: number;
  readonly channels: Channels | undefined;
  /** The other end of a veth, where it is in sight. */
  readonly peer:
    { readonly name: string; readonly txQueues: number } | undefined;
  /** Output of ethtool -x and -k, where the driver answers. */
  readonly rss: string | undefined;
  readonly offloads: string;
  readonly fields: readonly (readonly [flow: string, fields: string])[];
  readonly attached: { readonly id: number; readonly mode: string } | undefined;
}

function read(machine: Machine, name: string): Facts {
  const link = linkOf(machine, name);
  const isInSys = isSame(machine, name, link);
  // No path where /sys is of another namespace: its eth0 would be another one.
  const sys = isInSys ? `/sys/class/net/${name}` : "";
  const tool = (flag: string, ...more: string[]): string | undefined => {
    const answer = machine.run("ethtool", [flag, name, ...more]);
    return answer?.ok === true ? answer.text : undefined;
  };
  const linked = machine.link(`${sys}/device/driver`)?.split("/").at(-1);
  const driver =
    linked ?? /^driver: (.+)$/m.exec(tool("-i") ?? "")?.[1]?.trim();
  const rss = tool("-x");
  return {
    name,
    isInSys,
    driver,
    row: driver === undefined ? undefined : xdpDrivers[driver],
    mtu: link.mtu ?? Number(machine.read(`${sys}/mtu`) ?? 0),
    cpus: machine.cpus,
    channels: channelsOf(tool("-l")) ?? queueFolders(machine, sys),
    peer: peerOf(machine, sys),
    rss,
    offloads: tool("-k") ?? "",
    fields:
      rss === undefined
        ? []
        : ["tcp4", "udp4", "tcp6", "udp6"].flatMap((flow) => {
            const text = tool("-n", "rx-flow-hash", flow);
            return text === undefined ? [] : [[flow, fieldsOf(text)] as const];
          }),
    attached: attachedTo(link),
  };
}

function channelsOf(text: string | undefined): Channels | undefined {
  if (text === undefined) return undefined;
  const [before = "", after = ""] = text.split("Current hardware settings:");
  const number = (part: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(part)?.[1] ?? 0);
  for (const [kind, word] of [
    ["combined", "Combined"],
    ["rx", "RX"],
  ] as const) {
    const most = number(before, word);
    if (most > 0) return { kind, most, now: number(after, word) };
  }
  return undefined;
}

/** Where ethtool knows no channels, their number is fixed. */
function queueFolders(machine: Machine, sys: string): Channels | undefined {
  const now = machine
    .list(`${sys}/queues`)
    .filter((queue) => queue.startsWith("rx-")).length;
  return now === 0 ? undefined : { kind: "rx", now, most: now };
}

function peerOf(machine: Machine, sys: string): Facts["peer"] {
  const index = machine.read(`${sys}/iflink`)?.trim();
  if (index === undefined || index === machine.read(`${sys}/ifindex`)?.trim())
    return undefined;
  const name = machine.list("/sys/class/net").find(
    (other) =>
      machine.read(`/sys/class/net/${other}/ifindex`)?.trim() === index &&
      // Indices repeat in other namespaces: the peer must point back.
      machine.read(`/sys/class/net/${other}/iflink`)?.trim() ===
        machine.read(`${sys}/ifindex`)?.trim(),
  );
  if (name === undefined) return undefined;
  const txQueues = machine
    .list(`/sys/class/net/${name}/queues`)
    .filter((queue) => queue.startsWith("tx-")).length;
  return { name, txQueues };
}

/** Letters of `rx-flow-hash` in ethtool's words. */
function fieldsOf(text: string): string {
  // prettier-ignore
  const words: readonly (readonly [string, string])[] = [
    ["IP SA", "s"], ["IP DA", "d"], ["L4 bytes 0 & 1", "f"], ["L4 bytes 2 & 3", "n"], ["VLAN tag", "v"],
  ];
  const letters = words.filter(([word]) => text.includes(word));
  return letters.map(([, letter]) => letter).join("") || "none";
}

interface Link {
  readonly ifindex?: number;
  readonly mtu?: number;
  readonly xdp?: {
    readonly mode?: number;
    readonly prog?: { readonly id?: number };
  };
}

/** What ip(8) says, which is of the process's own namespace. */
function linkOf(machine: Machine, name: string): Link {
  const words = ["-j", "-d", "link", "show", "dev", name];
  try {
    const text = machine.run("ip", words)?.text ?? "";
    return (JSON.parse(text) as readonly Link[])[0] ?? {};
  } catch {
    return {};
  }
}

function isSame(machine: Machine, name: string, { ifindex }: Link): boolean {
  if (!machine.list("/sys/class/net").includes(name)) return false;
  const shown = machine.read(`/sys/class/net/${name}/ifindex`)?.trim();
  return (
    ifindex === undefined || shown === undefined || Number(shown) === ifindex
  );
}

function attachedTo({ xdp }: Link): Facts["attached"] {
  if (xdp?.prog?.id === undefined) return undefined;
  // XDP_ATTACHED_DRV, _SKB, _HW, _MULTI
  const modes = ["", "native", "skb", "hw", "several"];
  return { id: xdp.prog.id, mode: modes[xdp.mode ?? 0] ?? "" };
}

function otherSys(name: string): Finding {
  return bad(
    "advice",
    `${name}: sysfs`,
    "the /sys mounted here is of another network namespace: what only it tells (a veth's peer, queues that ethtool does not list) is not known",
    "ip netns exec NAME divisi doctor mounts the namespace's own /sys",
  );
}

function driverFinding({ name, driver, row }: Facts): Finding {
  const about = "interface";
  const title = `${name}: native XDP`;
  if (driver === undefined)
    return bad(about, title, "the driver is not known", `try --mode skb`);
  return row === undefined
    ? bad(
        about,
        title,
        `${driver} has none that divisi knows of`,
        "--mode skb: works, and is several times slower",
      )
    : good(
        about,
        title,
        row.note === undefined ? driver : `${driver}; ${row.note}`,
      );
}

function mtuFinding({ name, row, mtu }: Facts): readonly Finding[] {
  if (row?.mtu === undefined) return [];
  return mtu > row.mtu
    ? [
        bad(
          "interface",
          `${name}: MTU`,
          `${mtu}: a program without fragments (section xdp, not xdp.frags) is refused above ${row.mtu}`,
          `ip link set ${name} mtu ${Math.min(1500, row.mtu)}`,
        ),
      ]
    : [good("interface", `${name}: MTU`, `${mtu} of ${row.mtu}`)];
}

function queueFindings(facts: Facts): readonly Finding[] {
  const { name, channels, row, cpus } = facts;
  const title = `${name}: queues`;
  if (channels === undefined)
    return [bad("interface", title, "not known", "plan for one core")];
  const { kind, now, most } = channels;
  const words = `${now} ${kind} of ${most}`;
  const found: Finding[] = [];
  if (row?.combinedOnly === true && kind === "rx")
    found.push(
      bad(
        "interface",
        title,
        `${words}: XDP needs combined channels`,
        `ethtool -L ${name} rx 0 tx 0 combined ${Math.min(cpus, most)}`,
      ),
    );
  const limit = row?.channels?.(most, cpus);
  if (limit !== undefined && now > limit)
    found.push(
      bad(
        row?.slowOnly === true ? "advice" : "interface",
        title,
        row?.slowOnly === true
          ? `${words}: with more than ${limit}, XDP_TX and redirects share queues under a lock (refused before Linux 5.14)`
          : `${words}: attaching is refused with more than ${limit}`,
        `ethtool -L ${name} ${kind} ${Math.max(1, limit)}`,
      ),
    );
  const peer = row?.peerQueues === true ? facts.peer : undefined;
  if (peer !== undefined && peer.txQueues > now)
    found.push(
      bad(
        "interface",
        title,
        `${words}: attaching is refused while ${peer.name} sends on ${peer.txQueues}`,
        `ethtool -L ${peer.name} tx ${now}`,
      ),
    );
  if (row?.cpus !== undefined && cpus > row.cpus)
    found.push(
      bad(
        "interface",
        title,
        `${cpus} CPUs: the driver takes ${row.cpus}`,
        "boot with nr_cpus=, or --mode skb",
      ),
    );
  return found.length > 0 ? found : [good("interface", title, words)];
}

function rssFindings({
  name,
  rss,
  fields,
  channels,
}: Facts): readonly Finding[] {
  const title = `${name}: RSS`;
  const entries = [...(rss ?? "").matchAll(/^\s*\d+:((?:\s+\d+)+)\s*$/gm)]
    .map((match) => (match[1] ?? "").trim().split(/\s+/).length)
    .reduce((sum, count) => sum + count, 0);
  const key = /^([0-9a-f]{2}(?::[0-9a-f]{2})+)\s*$/m.exec(rss ?? "")?.[1];
  if (entries === 0 && key === undefined)
    return channels === undefined || channels.most <= 1
      ? []
      : [
          bad(
            "advice",
            title,
            "the driver tells no key and no table: queues cannot be steered by hash",
            "plan with --nic veth: cores are chosen in software",
          ),
        ];
  const parts = [
    ...(key === undefined ? [] : [`key of ${key.split(":").length} bytes`]),
    `table of ${entries}`,
    ...fields.map(([flow, letters]) => `${flow} ${letters}`),
  ];
  return [good("interface", title, parts.join(", "))];
}

function offloadFindings({ name, row, offloads }: Facts): readonly Finding[] {
  if (row?.merging === undefined) return [];
  const title = `${name}: receive offloads`;
  const state = ["large-receive-offload", "rx-gro-hw"].flatMap((feature) => {
    const line = new RegExp(`^${feature}: on( \\[fixed\\])?`, "m").exec(
      offloads,
    );
    return line === null ? [] : [{ feature, isFixed: line[1] !== undefined }];
  });
  const bites =
    row.merging === "off"
      ? state.filter(({ feature }) => feature === "large-receive-offload")
      : state.filter(({ isFixed }) => isFixed);
  if (bites.length === 0)
    return [
      good(
        "interface",
        title,
        state.length === 0
          ? "off"
          : "on; the driver switches them off when a program is attached",
      ),
    ];
  const names = bites.map(({ feature }) => feature).join(", ");
  return [
    row.merging === "off"
      ? bad(
          "interface",
          title,
          `${names} on: attaching is refused`,
          `ethtool -K ${name} lro off`,
        )
      : bad(
          "interface",
          title,
          `${names} on and fixed by the host: attaching is refused`,
          "--mode skb, or let the host offer VIRTIO_NET_F_CTRL_GUEST_OFFLOADS",
        ),
  ];
}

function attachedFinding({ name, attached }: Facts): readonly Finding[] {
  return attached === undefined
    ? []
    : [
        bad(
          "interface",
          `${name}: attached`,
          `program ${attached.id} is attached already (${attached.mode})`,
          `--replace, or ip link set ${name} xdp off`,
        ),
      ];
}
