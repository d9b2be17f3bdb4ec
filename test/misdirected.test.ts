/**
 * The code that counts packets on a wrong queue: a split program does the same with it
 * in front, on three machines; it counts what the model of the NIC says, and sees each
 * fault that a NIC's set-up could have.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test, type TestContext } from "node:test";
import { Random, UnsupportedError, fromHex, toHex } from "#base";
import {
  countMisdirected,
  misdirectedMap,
  type CountOptions,
  type HashedPort,
} from "#codegen";
import { openKernel, type Kernel } from "#engine";
import { possibleCpus } from "#host";
import type { PacketInput } from "#interp";
import { hashedPorts } from "#control";
import { buildFrame, parseFrame } from "#packet";
import { NicModel, portConfig, type NicSetup, type PortConfig } from "#rss";
import { generate, parseGenerator } from "#traffic";
import { divisi, temporaryFolder } from "./support/cli.ts";
import {
  compared,
  runInterp,
  runKernel,
  runPortable,
  type Ran,
} from "./support/machines.ts";
import {
  episodeOf,
  ports as ifindexes,
  subjectOf,
  type Subject,
} from "./support/subjects.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const folder = temporaryFolder("misdirected");
after(() => spawnSync("rm", ["-rf", folder]));

const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  void test(`${name} (seed ${seed})`, (t: TestContext) => {
    if (kernel instanceof UnsupportedError) t.skip(kernel.message);
    else body(kernel);
  });
}

interface Planned {
  readonly subject: Subject;
  readonly setup: NicSetup;
  readonly configs: readonly PortConfig[];
  readonly ports: readonly HashedPort[];
}

const cpus = possibleCpus();
const onCpus = (packet: PacketInput): PacketInput => ({
  ...packet,
  cpu: packet.cpu % cpus,
});

function planned(name: string): Planned {
  const directory = join(folder, name);
  // prettier-ignore
  const made = divisi(["split", `nfs/c/${name}.o`, "-o", directory, "--cores", "4", "--allow-untested", "--trace", "gen:uniform,packets=300"]);
  equal(made.status, 0, made.stderr);
  const { setup, program } = JSON.parse(
    readFileSync(join(directory, "plan.json"), "utf8"),
  ) as { setup: NicSetup; program: { name: string } };
  const found = subjectOf(join(directory, "core.o"), {
    seed,
    entry: program.name,
    budget: 1500,
  });
  const { cover } = found;
  // What is counted is per CPU, so packets run on CPUs that there are.
  const subject = {
    ...found,
    cpus,
    cover: { ...cover, packets: cover.packets.map(onCpus) },
  };
  const configs = setup.ports.map((port) => portConfig(setup, port.name));
  const interfaces = setup.ports.map((port, at) => ({
    port: port.name,
    ifindex: ifindexes[at] ?? 0,
  }));
  const ports = hashedPorts(setup, interfaces);
  return { subject, setup, configs, ports };
}

interface Count {
  readonly seen: number;
  readonly checked: number;
  readonly misdirected: number;
  readonly unchecked: number;
}

function countOf({ record }: Ran): Count {
  const copies = record.state.get(misdirectedMap)?.get("00000000") ?? [];
  const sums = [0, 0, 0, 0];
  for (const copy of copies) {
    const longs = new BigUint64Array(fromHex(copy).slice().buffer);
    for (const [at, long] of longs.entries())
      sums[at] = (sums[at] ?? 0) + Number(long);
  }
  const [seen = 0, checked = 0, misdirected = 0, unchecked = 0] = sums;
  return { seen, checked, misdirected, unchecked };
}

/** What the model says of the packets, if all are looked at. */
function expected(
  packets: readonly PacketInput[],
  configs: readonly PortConfig[],
): Count {
  const models = configs.map((config) => new NicModel(config));
  const count = {
    seen: packets.length,
    checked: 0,
    misdirected: 0,
    unchecked: 0,
  };
  for (const { data, ifindex, rxQueue } of packets) {
    const port = ifindexes.findIndex((each) => each === ifindex);
    const model = models[port];
    if (model === undefined || !isPlain(data)) count.unchecked++;
    else {
      count.checked++;
      if (model.queueOf(data).queue !== rxQueue) count.misdirected++;
    }
  }
  return count;
}

/** No tags, options, extensions or fragments, and ports where there should be some. */
function isPlain(data: Uint8Array): boolean {
  const { l3, vlans, ihl, fragment, protocol, l4Offset } = parseFrame(data);
  if (vlans.length > 0 || fragment !== "none") return false;
  if (l3 !== "ipv4" && l3 !== "ipv6") return false;
  const version = (data[14] ?? 0) >> 4;
  const at = l3 === "ipv4" ? 34 : 54;
  if (l3 === "ipv4" && (version !== 4 || ihl !== 5)) return false;
  if (l3 === "ipv6" && (version !== 6 || extensions.has(data[20] ?? 0)))
    return false;
  return !(protocol === 6 || protocol === 17) || l4Offset === at;
}

const extensions = new Set([0, 43, 44, 51, 60, 135, 139, 140]);

/** The program with the code in front, on a subject's machines. */
function counted(
  subject: Subject,
  ports: readonly HashedPort[],
  options: CountOptions = {},
): Subject {
  const program = countMisdirected(subject.program, ports, options);
  return { ...subject, program };
}

/** Without our maps, as the plain program leaves it. */
function plain(ran: Ran): Ran {
  const state = new Map(ran.record.state);
  for (const name of state.keys())
    if (name.startsWith(misdirectedMap)) Map.prototype.delete.call(state, name);
  return { ...ran, record: { ...ran.record, state } };
}

// prettier-ignore
const names = ["source-counter", "flow-counter", "port-knock", "ddos-mitigator", "policer", "firewall"];
const plans = new Map<string, Planned>();
function planOf(name: string): Planned {
  const found = plans.get(name) ?? planned(name);
  plans.set(name, found);
  return found;
}

for (const name of names)
  kernelTest(`${name}: the same with the count, on three machines`, (using) => {
    const { subject, ports, configs } = planOf(name);
    const episode = episodeOf(subject, 0, 1_000);
    const packets = episode.packets.map(onCpus);
    const same = { ...episode, packets };
    const want = runInterp(subject, same);
    for (const mask of [0, 15]) {
      const watched = counted(subject, ports, { mask });
      const runs = [
        runInterp(watched, same),
        runPortable(watched, same),
        runKernel(watched, same, { kernel: using }),
      ];
      for (const ran of runs) {
        deepEqual(compared(subject, want, plain(ran)).first, []);
        deepEqual(countOf(ran), countOf(runs[0] ?? ran));
      }
      const count = countOf(runs[0] ?? want);
      if (mask === 0) deepEqual(count, expected(packets, configs));
      else {
        equal(count.seen, packets.length);
        const sampled = count.checked + count.unchecked;
        const least = Math.floor(packets.length / 16);
        ok(sampled >= least && sampled <= least + cpus, `${sampled} looked at`);
      }
    }
  });

/** Frames of all kinds, on the model's queue but for `wrong` of them. */
function traffic(config: PortConfig, wrong: number): readonly PacketInput[] {
  const random = new Random(seed);
  const model = new NicModel(config);
  const frames: Uint8Array[] = [];
  for (const words of [
    "gen:attack,kind=odd,packets=400",
    "gen:bidirectional,packets=400",
  ])
    for (const { data } of generate(parseGenerator(words))) frames.push(data);
  const address = (): string =>
    `2001:db8::${random.below(0xffff).toString(16)}:${random.below(0xffff).toString(16)}`;
  for (let index = 0; index < 400; index++) {
    const l4 = { sport: random.below(0xffff), dport: random.below(0xffff) };
    frames.push(
      buildFrame({
        ipv6: { src: address(), dst: address() },
        ...(index % 4 === 0
          ? { icmp: { type: 128 } }
          : index % 4 === 1
            ? { udp: l4 }
            : { tcp: l4 }),
      }),
    );
  }
  return frames
    .filter((data) => data.length >= 14)
    .map((data, index) => {
      const { queue } = model.queueOf(data);
      const isWrong = index % Math.ceil(frames.length / wrong) === 1;
      return {
        data,
        ifindex: ifindexes[0],
        rxQueue: isWrong ? (queue + 1 + random.below(3)) % 4 : queue,
        cpu: index % cpus,
        time: BigInt(index),
      };
    });
}

kernelTest("it counts what the model of the NIC says", (using) => {
  for (const name of ["flow-counter", "firewall"]) {
    const { subject, ports, configs } = planOf(name);
    const [config] = configs;
    ok(config !== undefined);
    const watched = counted(subject, ports, { mask: 0 });
    for (const wrong of [1, 60]) {
      const packets = traffic(config, wrong);
      const want = expected(packets, configs);
      ok(want.misdirected > 0 && want.misdirected <= wrong);
      ok(want.checked > 900 && want.unchecked > 20, JSON.stringify(want));
      const episode = { packets, writes: [] };
      const have = runKernel(watched, episode, { kernel: using });
      deepEqual(countOf(have), want);
    }
  }
});

/** A NIC that does something else than the plan says: where it puts a frame. */
// prettier-ignore
const faults: Readonly<Record<string, (config: PortConfig) => PortConfig>> = {
  "a wrong bit of the key": (config) => keyed(config, (key) => key.with(13, (key[13] ?? 0) ^ 0x10)),
  "the last bit that is used": (config) => keyed(config, (key) => key.with(39, (key[39] ?? 0) ^ 2)),
  "one table entry exchanged": (config) => ({ ...config, table: config.table.with(5, ((config.table[5] ?? 0) + 1) % 4) }),
  "ports of TCP not hashed": (config) => ({ ...config, fields: { ...config.fields, tcp4: "sd", tcp6: "sd" } }),
  "ports of UDP over IPv6 not hashed": (config) => ({ ...config, fields: { ...config.fields, udp6: "sd" } }),
  "the key read from its end": (config) => keyed(config, (key) => key.toReversed()),
};

function keyed(
  config: PortConfig,
  change: (key: Uint8Array) => Uint8Array,
): PortConfig {
  return { ...config, key: toHex(change(fromHex(config.key))) };
}

/** With source and destination address exchanged. */
function exchanged(frame: Uint8Array): Uint8Array {
  const { l3 } = parseFrame(frame);
  const [at, size] = l3 === "ipv6" ? [22, 16] : [26, 4];
  const result = frame.slice();
  result.set(frame.subarray(at + size, at + 2 * size), at);
  result.set(frame.subarray(at, at + size), at + size);
  return result;
}

test(`each fault of a NIC is counted (seed ${seed})`, () => {
  const { subject, ports, configs } = planOf("flow-counter");
  const [config] = configs;
  ok(config !== undefined);
  const watched = counted(subject, ports, { mask: 0 });
  const frames = traffic(config, 1).filter(({ data }) => isPlain(data));
  const misdirected = (queueOf: (frame: Uint8Array) => number): number => {
    const packets = frames.map((frame) => ({
      ...frame,
      rxQueue: queueOf(frame.data),
    }));
    return countOf(runInterp(watched, { packets, writes: [] })).misdirected;
  };
  const right = new NicModel(config);
  equal(
    misdirected((frame) => right.queueOf(frame).queue),
    0,
  );
  for (const [name, change] of Object.entries(faults)) {
    const wrong = new NicModel(change(config));
    ok(misdirected((frame) => wrong.queueOf(frame).queue) > 0, name);
  }
  ok(
    misdirected((frame) => right.queueOf(exchanged(frame)).queue) > 0,
    "source and destination exchanged",
  );
});

test("what the plan does not decide is not counted", () => {
  const { setup } = planOf("flow-counter");
  const { profile } = setup;
  const [port] = setup.ports;
  const interfaces = [{ port: port?.name ?? "", ifindex: 3 }];
  const classes = (changed: Partial<NicSetup["profile"]>): unknown =>
    hashedPorts(
      { ...setup, profile: { ...profile, ...changed } },
      interfaces,
    ).map(({ ifindex, fields: { tcp4, sctp4 } }) => [ifindex, tcp4, sctp4]);
  deepEqual(hashedPorts(undefined, interfaces), []);
  deepEqual(classes({}), [[3, "sdfn", "sd"]]);
  deepEqual(classes({ indexRule: "unsure" }), []);
  const sctp4 = ["sdfn", "sd"] as const;
  deepEqual(classes({ inputs: { ...profile.inputs, sctp4 } }), [
    [3, "sdfn", null],
  ]);
});
