/**
 * What `divisi run` answers: verdicts, packets per core, state, and the whole time
 * that was spent. Of a single run most of it is warm-up, so no figure per packet is
 * made of it.
 */
import { printPlace } from "../base/index.ts";
import type { Port } from "../strategy/index.ts";
import { programTypeRow, type ProgramSpec } from "../isa/index.ts";
import { pcapngBytes, type TracePacket } from "../traffic/index.ts";
import type { Words } from "./command.ts";
import { writeWhole } from "./files.ts";
import { writeData, type Answer } from "./render.ts";
import type { Seen } from "./seen.ts";
import { valueOf } from "./words.ts";

export interface Ran {
  readonly outcomes: readonly Seen[];
  /** Without a time where it was not taken per core. */
  readonly cores: readonly {
    readonly packets: number;
    readonly ns?: number;
  }[];
  /** All packets, warm-up included. */
  readonly ns: number;
  /** In what: `in compiled code`. */
  readonly spent: string;
  readonly stateDigest: string;
  /** Packets on another core than the NIC's model gives them; 0 where one core runs all. */
  readonly misdirected: number;
  /** Of the kernel: calls that it was not given as they are. */
  readonly rewrittenCalls?: readonly string[];
}

interface Traffic {
  readonly trace: readonly TracePacket[];
  readonly ports: readonly Port[];
}

export async function runAnswer(
  path: string,
  program: ProgramSpec,
  { trace, ports }: Traffic,
  ran: Ran,
  words: Words,
): Promise<Answer> {
  const names = programTypeRow(program.type).verdicts;
  const nameOf = (verdict: number): string => names[verdict] ?? String(verdict);
  const verdicts: Record<string, number> = {};
  for (const { verdict } of ran.outcomes)
    verdicts[nameOf(verdict)] = (verdicts[nameOf(verdict)] ?? 0) + 1;
  const faults = ran.outcomes.flatMap(({ fault }, packet) =>
    fault === undefined ? [] : [{ packet, ...fault }],
  );
  const output = valueOf(words, "out");
  if (output !== undefined)
    await writeOut(
      output,
      trace.map((packet, index) => ({
        ...packet,
        data: ran.outcomes[index]?.data ?? packet.data,
        wireLength: ran.outcomes[index]?.data?.length ?? packet.wireLength,
      })),
      ports,
      (index) => nameOf(ran.outcomes[index]?.verdict ?? 0),
    );
  const total = trace.length;
  const count = (value: number): string => value.toLocaleString("en");
  return {
    exit: 0,
    json: {
      schema: "divisi.run/1",
      program: program.name,
      from: path,
      packets: total,
      verdicts,
      cores: ran.cores,
      ns: ran.ns,
      misdirected: ran.misdirected,
      ...(ran.rewrittenCalls === undefined
        ? { includes: "program" }
        : {
            engine: "kernel",
            includes: "program+test run",
            rewrittenCalls: ran.rewrittenCalls,
          }),
      faults: faults.slice(0, 20),
      stateDigest: ran.stateDigest,
    },
    text: [
      `${program.name}: ${count(total)} packets`,
      ...Object.entries(verdicts).map(
        ([name, packets]) => `  ${name.padEnd(10)} ${count(packets)}`,
      ),
      ...ran.cores.map(
        ({ packets, ns }, core) =>
          `  core ${core}     ${count(packets)} packets${ran.cores.length === 1 || ns === undefined ? "" : `, ${milliseconds(ns)}`}`,
      ),
      `  time       ${milliseconds(ran.ns)} ${ran.spent}, warm-up included; bench measures`,
      ...faults
        .slice(0, 3)
        .map(
          ({ packet, text, at }) =>
            `  fault      packet ${packet}: ${text}${at === undefined ? "" : ` at ${printPlace(at)}`}`,
        ),
      ...(ran.rewrittenCalls ?? []).map(
        (call, at) => `  ${at === 0 ? "rewritten  " : "           "}${call}`,
      ),
      `  state      ${ran.stateDigest}`,
    ].join("\n"),
  };
}

async function writeOut(
  output: string,
  packets: readonly TracePacket[],
  ports: readonly Port[],
  verdictOf: (index: number) => string,
): Promise<void> {
  const bytes = pcapngBytes(packets, {
    application: "divisi",
    interfaces: ports.map(({ name }) => name),
    comment: (_packet, index) => verdictOf(index),
  });
  if (output === "-") return writeData(bytes);
  writeWhole(output, bytes);
}

/** Two digits: a single run repeats no better. */
function milliseconds(ns: number): string {
  const ms = ns / 1e6;
  return `${ms >= 10 ? Math.round(ms).toLocaleString("en") : ms.toPrecision(2)} ms`;
}
