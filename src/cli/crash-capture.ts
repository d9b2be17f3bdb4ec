/**
 * The packet that an engine died on, as it arrived: a capture beside the bug report.
 */
import { Bug } from "../base/index.ts";
import type { BugReport } from "./report-file.ts";

export async function crashCapture(
  error: unknown,
): Promise<BugReport["capture"]> {
  if (!(error instanceof Bug)) return undefined;
  const { WorkerDied } = await import("../engine/index.ts");
  if (!(error instanceof WorkerDied) || error.input === undefined)
    return undefined;
  const { pcapBytes } = await import("../traffic/index.ts");
  const { core, packet, input } = error;
  const { data, time } = input;
  return {
    name: `divisi-crash-core${core}-packet${packet}.pcap`,
    bytes: pcapBytes([{ data, time, wireLength: data.length, port: 0 }]),
  };
}
