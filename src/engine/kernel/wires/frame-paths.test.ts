/**
 * Three ways to send a frame into a wire and three to see it, against each other: live
 * frames, AF_XDP and packet sockets must carry the same bytes in the same order.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import process from "node:process";
import { test, type TestContext } from "node:test";
import { InputError, Random, UnsupportedError } from "../../../base/index.ts";
import { AfXdpSocket, attachSockets } from "./af-xdp.ts";
import { Ethtool } from "../system/ethtool.ts";
import { openFrameSender, type FrameSender } from "./frame-sender.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { createNamespace, type NetworkNamespace } from "../system/namespace.ts";
import { PacketSocket } from "./packet-socket.ts";
import { loadSmallProgram } from "../load/small-program.ts";
import { runFrames, type TraceFrame } from "./trace-run.ts";
import { createVeths, type VethPair } from "./veth.ts";
import { XdpWatch } from "./xdp-watch.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

interface Wire {
  readonly kernel: Kernel;
  readonly namespace: NetworkNamespace;
  readonly pair: VethPair;
  /** Runs at the end, the last first. */
  readonly closing: (() => unknown)[];
}

function wireTest(name: string, body: (wire: Wire) => Promise<void>): void {
  void test(`${name} (seed ${seed})`, async (t: TestContext) => {
    const closing: (() => unknown)[] = [];
    try {
      const kernel = await openKernel();
      closing.push(() => kernel.close());
      const namespace = await createNamespace();
      closing.push(() => namespace.close());
      const [pair] = createVeths(kernel.syscalls, namespace, [
        { name: "w0", queues: 1, mtu: 1500 },
      ]);
      ok(pair !== undefined);
      await body({ kernel, namespace, pair, closing });
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    } finally {
      for (const close of closing.reverse()) await close();
    }
  });
}

function frames(count: number): Uint8Array[] {
  const random = new Random(seed);
  return Array.from({ length: count }, () => {
    const data = Uint8Array.from({ length: 60 + random.below(1400) }, () =>
      random.below(256),
    );
    const types = [
      [8, 0],
      [0x81, 0],
      [0x88, 0xa8],
      [0x88, 0xb5],
    ] as const;
    data.set(types[random.below(types.length)] ?? [8, 0], 12);
    data[0] = 2;
    return data;
  });
}

function expectFrames(
  have: readonly Uint8Array[],
  want: readonly Uint8Array[],
): void {
  equal(have.length, want.length);
  for (const [at, frame] of want.entries())
    equal(
      Buffer.compare(frame, have[at] ?? new Uint8Array()),
      0,
      `frame ${at}`,
    );
}

/** Looks again and again until so many are there, or a while has passed. */
async function gathered(
  count: number,
  receive: () => readonly Uint8Array[],
): Promise<Uint8Array[]> {
  const all: Uint8Array[] = [];
  for (let looks = 0; looks < 200 && all.length < count; looks++) {
    all.push(...receive());
    if (all.length < count)
      await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return all;
}

wireTest("packet socket to packet socket", async (wire) => {
  const { kernel, namespace, pair, closing } = wire;
  const [sender, receiver] = namespace.run(() => [
    new PacketSocket(kernel.syscalls, pair.peer.ifindex),
    new PacketSocket(kernel.syscalls, pair.ifindex),
  ]);
  closing.push(
    () => sender?.close(),
    () => receiver?.close(),
  );
  const want = frames(300);
  for (const frame of want) equal(sender?.send(frame), true);
  expectFrames(await gathered(300, () => receiver?.receive() ?? []), want);
  // Own frames are not received.
  deepEqual(sender?.receive(), []);
});

wireTest("AF_XDP to AF_XDP, more than the rings hold", async (wire) => {
  const { kernel, namespace, pair, closing } = wire;
  const { syscalls } = kernel;
  const [sender, receiver] = namespace.run(() =>
    [pair.ifindex, pair.peer.ifindex].map((ifindex) => {
      const socket = new AfXdpSocket(syscalls, {
        ifindex,
        queue: 0,
        frames: 64,
      });
      closing.push(() => socket.close());
      const attached = attachSockets(syscalls, ifindex, [socket]);
      closing.push(() => attached.close());
      return socket;
    }),
  );
  ok(sender !== undefined && receiver !== undefined);
  const want = frames(1000);
  const have: Uint8Array[] = [];
  for (let next = 0, looks = 0; next < want.length && looks < 10_000; looks++) {
    next += sender.send(want.slice(next, next + 32));
    have.push(...receiver.receive());
  }
  have.push(
    ...(await gathered(want.length - have.length, () => receiver.receive())),
  );
  expectFrames(have, want);
  equal(sender.flush(), true);
});

wireTest("AF_XDP says which queue it cannot have", async (wire) => {
  const { kernel, namespace, pair } = wire;
  throws(
    () =>
      namespace.run(
        () =>
          new AfXdpSocket(kernel.syscalls, { ifindex: pair.ifindex, queue: 7 }),
      ),
    (error: unknown) =>
      error instanceof InputError &&
      /queue 7 of interface \d+ cannot be had/.test(error.message),
  );
});

/** Sends by a packet socket, or by AF_XDP, as frame-sender does by live frames. */
function otherSender(
  { kernel, namespace, pair, closing }: Wire,
  how: "packet" | "af-xdp",
): Pick<FrameSender, "capacity" | "send"> {
  const { syscalls } = kernel;
  const { ifindex } = pair.peer;
  const send = namespace.run(() => {
    if (how === "packet") {
      const socket = new PacketSocket(syscalls, ifindex);
      closing.push(() => socket.close());
      return (frame: Uint8Array) => socket.send(frame);
    }
    const socket = new AfXdpSocket(syscalls, { ifindex, queue: 0 });
    closing.push(() => socket.close());
    return (frame: Uint8Array) => socket.send([frame]) === 1;
  });
  return {
    capacity: 64,
    send: async ([own = []]) => {
      for (const { data } of own)
        for (let tries = 0; !send(data) && tries < 1000; tries++);
    },
  };
}

const verdictByByte = `function by_byte
  r2 = *(u32 *)(r1 + 0)
  r3 = *(u32 *)(r1 + 4)
  r4 = r2
  r4 += 22
  if r4 > r3 goto drop
  r0 = *(u8 *)(r2 + 20)
  r0 &= 3
  exit
drop:
  r0 = 1
  exit`;

for (const how of ["live", "packet", "af-xdp"] as const)
  wireTest(`a trace sent by ${how}: every verdict is seen`, async (wire) => {
    const { kernel, namespace, pair, closing } = wire;
    const { syscalls } = kernel;
    const program = loadSmallProgram(syscalls, verdictByByte, {
      attachType: 37,
    });
    closing.push(() => syscalls.close(program));
    const watch = namespace.run(
      () => new XdpWatch(syscalls, { program, longest: 2000 }),
    );
    closing.push(() => watch.close());
    namespace.run(() => {
      watch.attachPort(pair.ifindex, { mode: "native" });
      watch.attachPeer(pair.peer.ifindex);
    });
    const ethtool = namespace.run(() => new Ethtool(syscalls));
    closing.push(() => ethtool.close());
    let sender: Pick<FrameSender, "capacity" | "send">;
    if (how === "live") {
      const live = await openFrameSender(syscalls, {
        namespace,
        queues: 1,
        interfaces: [pair.peer.ifindex],
        longest: 1500,
      });
      closing.push(() => live.close());
      sender = live;
    } else sender = otherSender(wire, how);
    const sent = frames(300).map((data): TraceFrame => ({
      data,
      port: 0,
      queue: 0,
    }));
    const result = await runFrames({
      frames: sent,
      ports: [pair],
      queues: 1,
      watch,
      sender,
      ethtool,
    });
    deepEqual(result.lostBefore, []);
    equal(result.lostAfter + result.strays, 0);
    deepEqual(
      result.fates.map(({ frame, verdict }) => `${frame} ${verdict}`),
      sent.map(({ data }, at) => `${at} ${(data[20] ?? 0) & 3}`),
    );
    for (const { frame, sightings } of result.fates)
      for (const seen of sightings)
        equal(Buffer.compare(seen.frame, sent[frame]?.data ?? seen.frame), 0);
  });
