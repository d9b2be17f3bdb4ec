import { deepEqual, equal, notEqual, ok, throws } from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import {
  createNamespace,
  namespaceIdentity,
  type NetworkNamespace,
} from "./namespace.ts";
import { openSyscalls } from "../syscalls.ts";
import { links } from "./object-info.ts";
import { createVeths, findInterfaces } from "../wires/veth.ts";

/** Skips where the machine gives no namespaces, as a typed error says. */
function namespaceTest(
  name: string,
  body: (namespace: NetworkNamespace) => Promise<void>,
): void {
  void test(name, async (t: TestContext) => {
    let namespace: NetworkNamespace;
    try {
      namespace = await createNamespace();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      return t.skip(error.message);
    }
    try {
      await body(namespace);
    } finally {
      namespace.close();
    }
  });
}

namespaceTest("a namespace of its own, entered and left", async (namespace) => {
  const outside = namespaceIdentity("own");
  const inside = namespaceIdentity(namespace.fd);
  notEqual(inside, outside);
  equal(
    namespace.run(() => namespaceIdentity("own")),
    inside,
  );
  equal(namespaceIdentity("own"), outside);
  throws(() =>
    namespace.run(() => {
      throw new Error("in there");
    }),
  );
  equal(namespaceIdentity("own"), outside);
  deepEqual(
    namespace.run(() => findInterfaces(["lo"])),
    [{ name: "lo", ifindex: 1, kind: undefined, far: undefined }],
  );
  throws(
    () => namespace.run(() => findInterfaces(["lx"])),
    /there is no interface lx/,
  );
});

namespaceTest(
  "veth pairs: names, numbers, queues, silence",
  async (namespace) => {
    const syscalls = await openSyscalls();
    const [pair] = createVeths(syscalls, namespace, [
      { name: "w0", ifindex: 7, queues: 2, mtu: 1500 },
    ]);
    equal(pair?.ifindex, 7);
    equal(pair?.peer.name, "w0-peer");
    const quiet = namespace.run(() =>
      readFileSync("/proc/sys/net/ipv6/conf/w0/disable_ipv6", "utf8").trim(),
    );
    equal(quiet, "1");
  },
);

// Holds a namespace with a pair and an XDP link in it, says so, and waits.
const holder = `
  const at = ${JSON.stringify(import.meta.dirname)};
  const { createNamespace, namespaceIdentity } = await import(at + "/namespace.js");
  const { openSyscalls } = await import(at + "/../syscalls.js");
  const { createVeths } = await import(at + "/../wires/veth.js");
  const { loadSmallProgram } = await import(at + "/../load/small-program.js");
  const { attachXdp } = await import(at + "/../links/link.js");
  const { spawn } = await import("node:child_process");
  const syscalls = await openSyscalls();
  const namespace = await createNamespace();
  const [pair] = createVeths(syscalls, namespace, [{ name: "w0", queues: 1, mtu: 1500 }]);
  const program = loadSmallProgram(syscalls, "function divisi_hold\\n r0 = 2\\n exit");
  const link = namespace.run(() => attachXdp(syscalls, { fd: program }, pair.ifindex, {}));
  const leak = process.argv[1] === "leak"
    ? namespace.run(() => spawn("sleep", ["20"], { detached: true, stdio: "ignore" }).pid)
    : 0;
  console.log(JSON.stringify({ namespace: namespaceIdentity(namespace.fd), link: link.id, leak }));
  setInterval(() => undefined, 1000);
`;

interface Held {
  readonly namespace: number;
  readonly link: number;
  readonly leak: number;
}

async function hold(
  word: string,
): Promise<{ child: ChildProcess; held: Held }> {
  const child = spawn(
    process.execPath,
    ["--input-type=module", "-e", holder, word],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const lines = child.stdout;
  ok(lines !== null);
  const [line] = (await once(lines, "data")) as [Buffer];
  return { child, held: JSON.parse(line.toString()) as Held };
}

/** Does any process stand in the namespace, or hold a descriptor of it? */
function isHeld(namespace: number): boolean {
  return readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      if (statSync(`/proc/${pid}/ns/net`).ino === namespace) return true;
      return readdirSync(`/proc/${pid}/fd`).some((fd) => {
        try {
          return readlinkSync(`/proc/${pid}/fd/${fd}`) === `net:[${namespace}]`;
        } catch {
          return false;
        }
      });
    } catch {
      return false;
    }
  });
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = once(child, "exit");
  child.kill("SIGKILL");
  await gone;
}

namespaceTest("kill -9 leaves no namespace and no link", async () => {
  const syscalls = await openSyscalls();
  const isThere = (id: number): boolean =>
    links(syscalls).some((link) => link.id === id);
  const { child, held } = await hold("");
  ok(isHeld(held.namespace));
  ok(isThere(held.link));
  await killed(child);
  equal(isHeld(held.namespace), false);
  equal(isThere(held.link), false);
});

namespaceTest("a namespace that leaks is seen", async () => {
  const { child, held } = await hold("leak");
  await killed(child);
  ok(isHeld(held.namespace));
  process.kill(held.leak, "SIGKILL");
});
