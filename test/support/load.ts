/** Datagrams through a network while something happens to it; what was sent and what came. */
import { once } from "node:events";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { root } from "./cli.ts";
import type { Network } from "./network.ts";

export interface Delivered {
  /** Datagrams by flow. */
  readonly sent: readonly number[];
  readonly received: readonly number[];
}

const peer = join(root, "dist-dev/test/support/udp-peer.js");

/** Sends from the far side to the near one while `work` runs (default: a short while). */
export async function delivered(
  network: Network,
  {
    flows = 4,
    work = pause,
  }: { flows?: number; work?: () => Promise<void> } = {},
): Promise<Delivered> {
  const receiver = network.start("near", [peer, "receive"]);
  const started = [receiver];
  try {
    await said(receiver, "ready");
    const words = ["send", "10.77.0.1", String(flows)];
    const sender = network.start("far", [peer, ...words]);
    started.push(sender);
    await said(sender, "ready");
    await work();
    const sent = (await stopped(sender, "sent")) as number[];
    const received = (await stopped(receiver, "received")) as number[];
    return { sent, received };
  } finally {
    for (const child of started) child.kill();
  }
}

/** For a while that says nothing about time: some rounds of the sender. */
function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 100);
  });
}

async function stopped(child: ChildProcess, what: string): Promise<unknown> {
  child.send("stop");
  const answer = await said(child, what);
  await once(child, "exit");
  return answer;
}

async function said(child: ChildProcess, what: string): Promise<unknown> {
  const [message] = (await once(child, "message")) as [Record<string, unknown>];
  if (!(what in message)) throw new Error(`no ${what} in what the peer said`);
  return message[what];
}
