/**
 * `divisi run … --iface IF --trace TRACE`: real XDP in a namespace of its own gives the
 * verdicts that the portable engine gives, and nothing is left however it ends.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { after, test, type TestContext } from "node:test";
import { createNamespace, haveBpf } from "#engine";
import { readCapture, type TracePacket } from "#traffic";
import { divisi, root, temporaryFolder } from "./support/cli.ts";

const folder = temporaryFolder("iface");
after(() => spawnSync("rm", ["-rf", folder]));

const missing = await haveBpf().then(
  async (error) =>
    error ??
    (await createNamespace().then(
      (namespace) => namespace.close(),
      (refused: unknown) => refused as Error,
    )),
);

function ifaceTest(name: string, body: () => Promise<void> | void): void {
  void test(name, async (t: TestContext) => {
    if (missing === undefined) await body();
    else t.skip(missing.message);
  });
}

const nf = (name: string): string => join(root, "nfs/c", `${name}.o`);

interface Ran {
  readonly packets: number;
  readonly verdicts: Readonly<Record<string, number>>;
  readonly compared: number;
  readonly mismatches: number;
  readonly misdirected: number;
  readonly stateDifferences: number;
  readonly strays: number;
  readonly clock: string;
  readonly cancelled: boolean;
  readonly lost: { readonly before: number; readonly after: number };
  readonly cores: readonly { readonly packets: number }[];
}

function ran(words: readonly string[]): Ran {
  const { status, stdout, stderr } = divisi([...words, "--json"]);
  equal(status, 0, stdout.slice(0, 2000) + stderr);
  return JSON.parse(stdout) as Ran;
}

async function packetsOf(path: string): Promise<TracePacket[]> {
  const packets: TracePacket[] = [];
  const bytes = [new Uint8Array(readFileSync(path))];
  for await (const packet of readCapture(bytes, path)) packets.push(packet);
  return packets;
}

// Program, its interfaces, how it is called there and in the portable engine.
// prettier-ignore
const programs = [
  { name: "source-counter", ports: ["v0"], trace: "gen:zipf,packets=3000", clock: "real", words: [] },
  { name: "ddos-mitigator", ports: ["v0"], trace: "gen:zipf,packets=3000", clock: "real", words: [] },
  { name: "static-bridge", ports: ["v0", "v1"], trace: "gen:bidirectional,packets=2000", clock: "real", words: ["--port", "lan=3", "--port", "wan=4"] },
  { name: "firewall", ports: ["v0", "v1"], trace: "gen:bidirectional,packets=2000", clock: "an input", words: ["--port", "lan=3", "--port", "wan=4"] },
] as const;

for (const { name, ports, trace, clock, words } of programs)
  ifaceTest(
    `${name}: real XDP, verdicts and frames of the portable engine`,
    async () => {
      const real = join(folder, `${name}-real.pcapng`);
      const portable = join(folder, `${name}.pcapng`);
      const common = ["run", nf(name), "--trace", trace, ...words];
      const have = ran([
        ...common,
        "--iface",
        ports.join(","),
        "--namespace",
        "--out",
        real,
      ]);
      const want = ran([...common, "--out", portable]);
      deepEqual(have.verdicts, want.verdicts);
      equal(have.packets, want.packets);
      equal(have.compared, want.packets);
      equal(have.mismatches + have.misdirected + have.strays, 0);
      equal(have.stateDifferences, 0);
      deepEqual(have.lost, { before: 0, after: 0 });
      equal(have.clock, clock);
      const frames = (packets: readonly TracePacket[]): string[] =>
        packets.map(
          ({ data, port }) => `${port} ${Buffer.from(data).toString("base64")}`,
        );
      deepEqual(
        frames(await packetsOf(real)),
        frames(await packetsOf(portable)),
      );
      const comments = (path: string): string[] =>
        readFileSync(path, "latin1").match(/pass|drop|aborted|redirect|tx/g) ??
        [];
      ok(comments(real).length >= want.packets);
      deepEqual(comments(real), comments(portable));
    },
  );

ifaceTest("a split program: two queues, two cores, verdicts of check", () => {
  const out = join(folder, "out");
  const trace = "gen:zipf,packets=3000";
  // prettier-ignore
  const split = divisi(["split", nf("port-knock"), "-o", out, "--cores", "2", "--trace", trace, "--allow-untested", "-q"]);
  equal(split.status, 0, split.stderr);
  const have = ran([
    "run",
    out,
    "--iface",
    "v0",
    "--namespace",
    "--trace",
    trace,
  ]);
  const want = ran(["run", out, "--trace", trace]);
  deepEqual(have.verdicts, want.verdicts);
  deepEqual(
    have.cores.map(({ packets }) => packets),
    want.cores.map(({ packets }) => packets),
  );
  equal(have.mismatches + have.misdirected + have.strays, 0);
  const check = divisi(["check", out, "--trace", trace, "--allow-untested"]);
  equal(check.status, 0);
});

ifaceTest(
  "interfaces that are there: used, and left as they were",
  async () => {
    const namespace = await createNamespace();
    try {
      const ip = (...words: readonly string[]): string =>
        namespace.run(
          () => spawnSync("ip", words, { encoding: "utf8" }).stdout,
        );
      ip("link", "add", "v0", "type", "veth", "peer", "name", "far");
      for (const name of ["v0", "far"]) ip("link", "set", name, "up");
      // prettier-ignore
      const words = ["run", nf("source-counter"), "--iface", "v0", "--trace", "gen:zipf,packets=500"];
      const have = namespace.run(() => ran(words));
      deepEqual(have.verdicts, { pass: 500 });
      equal(have.mismatches, 0);
      ok(!/xdp|prog/.test(ip("link", "show")));
      // prettier-ignore
      const narrow = namespace.run(() => divisi(["run", join(folder, "out"), "--iface", "v0", "--trace", "gen:zipf,packets=10"]));
      equal(narrow.status, 4);
      match(
        narrow.stderr,
        /v0 has 1 receive queue, and 2 are needed\n {2}ethtool -L v0 rx 2/,
      );
    } finally {
      namespace.close();
    }
  },
);

/** A run that takes a while, in the middle of it: its links and namespace. */
interface Running {
  readonly supervisor: ChildProcess;
  readonly command: number;
  readonly links: readonly string[];
  readonly namespaces: readonly string[];
  /** Our own descriptors of these namespaces. */
  readonly held: readonly number[];
  readonly output: () => string;
}

async function inTheMiddle(): Promise<Running> {
  const supervisor = spawn(
    process.execPath,
    // prettier-ignore
    [join(root, "dist/cli/main.js"), "run", nf("source-counter"), "--iface", "v0", "--namespace", "--trace", "gen:zipf,packets=900k", "--json"],
    { stdio: ["ignore", "pipe", "ignore"] },
  );
  let text = "";
  supervisor.stdout.on("data", (data: Buffer) => {
    text += data.toString();
  });
  const { pid = 0 } = supervisor;
  for (let looks = 0; looks < 600; looks++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    const command = Number(children.trim().split(" ")[0] ?? 0);
    if (command === 0) continue;
    const links = linksOf(command);
    // Gate, catcher and the parked generator.
    if (links.length < 3) continue;
    // It also holds the one that it came from, as other programs may.
    const home = readlinkSync("/proc/self/ns/net");
    const namespaces = targetsOf(command).filter(
      (to) => to.startsWith("net:") && to !== home,
    );
    // Held by us too, or another namespace could get the number of one that is gone.
    const held = readdirSync(`/proc/${command}/fd`)
      .map((fd) => `/proc/${command}/fd/${fd}`)
      .filter((path) => namespaces.includes(readlinkSync(path)))
      .map((path) => openSync(path, "r"));
    const output = (): string => text;
    return { supervisor, command, links, namespaces, held, output };
  }
  supervisor.kill("SIGKILL");
  throw new Error(`it never attached anything: ${text}`);
}

function targetsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/${pid}/fd/${fd}`)];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** Ids of the XDP links that a process holds. */
function linksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fdinfo`).flatMap((fd) => {
      try {
        const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8");
        const id = /link_id:\s*(\d+)/.exec(text)?.[1];
        return /link_type:\s*xdp/.test(text) && id !== undefined ? [id] : [];
      } catch {
        return [];
      }
    });
  } catch {
    return [];
  }
}

/** Nobody holds what the run held. */
async function expectNothingLeft({
  command,
  links,
  namespaces,
  held: ours,
}: Running): Promise<void> {
  for (let looks = 0; looks < 100 && targetsOf(command).length > 0; looks++)
    await new Promise((resolve) => setTimeout(resolve, 20));
  deepEqual(targetsOf(command), [], "the command line still runs");
  ok(namespaces.length > 0);
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  for (const pid of processes) {
    if (Number(pid) === process.pid) continue;
    const held = new Set(linksOf(Number(pid)));
    deepEqual(
      links.filter((link) => held.has(link)),
      [],
      `process ${pid} holds a link`,
    );
    const own = targetsOf(Number(pid));
    deepEqual(
      namespaces.filter((name) => own.includes(name)),
      [],
      `process ${pid} holds a namespace`,
    );
  }
  for (const fd of ours) closeSync(fd);
  // The kernel takes links away a little after the last descriptor.
  let left = linksShown();
  const isLeft = (link: string): boolean => left?.includes(link) === true;
  for (let looks = 0; looks < 100 && links.some(isLeft); looks++) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    left = linksShown();
  }
  deepEqual(links.filter(isLeft), [], "links that nobody holds");
}

/** Ids of all links; undefined where there is no bpftool to ask. */
function linksShown(): readonly string[] | undefined {
  const shown = spawnSync("bpftool", ["-j", "link", "show"], {
    encoding: "utf8",
  });
  return shown.error === undefined
    ? (JSON.parse(shown.stdout) as { readonly id: number }[]).map(({ id }) =>
        String(id),
      )
    : undefined;
}

ifaceTest("kill -9 of the supervisor leaves nothing", async () => {
  const running = await inTheMiddle();
  const gone = once(running.supervisor, "exit");
  running.supervisor.kill("SIGKILL");
  await gone;
  await expectNothingLeft(running);
});

ifaceTest("kill -9 of the command line leaves nothing", async () => {
  const running = await inTheMiddle();
  const gone = once(running.supervisor, "exit");
  process.kill(running.command, "SIGKILL");
  await gone;
  await expectNothingLeft(running);
});

for (const signal of ["SIGINT", "SIGTERM"] as const)
  ifaceTest(`${signal} ends it early and in order`, async () => {
    const running = await inTheMiddle();
    const gone = once(running.supervisor, "exit");
    running.supervisor.kill(signal);
    const [code] = (await gone) as [number | null];
    equal(code, 1);
    const answer = JSON.parse(running.output()) as Ran;
    equal(answer.cancelled, true);
    equal(answer.mismatches, 0);
    ok(answer.packets < 900_000);
    await expectNothingLeft(running);
  });

// Words, exit code, what is said.
// prettier-ignore
const refusals: readonly (readonly [readonly string[], number, RegExp])[] = [
  [["--iface", "v0", "--engine", "wasm", "--trace", "gen:zipf"], 2, /--engine is not for --iface/],
  [["--iface", "v0,v0", "--trace", "gen:zipf"], 2, /--iface v0 is given twice/],
  [["--iface", "a/b", "--trace", "gen:zipf"], 2, /"a\/b" is no name of an interface/],
  [["--iface", "lo", "--trace", "gen:zipf,packets=10"], 3, /lo is no veth: its traffic has to come from outside/],
  [["--iface", "divisi-none", "--trace", "gen:zipf,packets=10"], 2, /there is no interface divisi-none\n/],
  [["--iface", "lp", "--trace", "gen:zipf,packets=10"], 2, /there is no interface lp\n {2}did you mean lo\?\n/],
  [["--namespace", "--trace", "gen:zipf,packets=10"], 2, /--namespace is for --iface/],
];
for (const [words, status, text] of refusals)
  ifaceTest(`run ${words.join(" ")} exits ${status}`, () => {
    const have = divisi(["run", nf("source-counter"), ...words]);
    match(have.stderr, text);
    equal(have.status, status, have.stderr);
  });

ifaceTest("two ports want two interfaces", () => {
  // prettier-ignore
  const have = divisi(["run", nf("firewall"), "--iface", "v0", "--namespace", "--trace", "gen:zipf,packets=10"]);
  equal(have.status, 2);
  match(
    have.stderr,
    /--iface names 1 interface, and there are 2 ports\n {2}ports, in this order: lan, wan/,
  );
});
