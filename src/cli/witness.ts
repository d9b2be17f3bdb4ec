/**
 * `divisi analyze --witness`: for each race two packets, as a capture, with what goes
 * wrong when two cores run them at once: exactly, in one schedule, and as the portable
 * engine's threads do it, where what is left depends on chance and the loss is counted.
 */
import { Bug, printPlace } from "../base/index.ts";
import { portableRunner, runParallel } from "../engine/index.ts";
import type { PacketInput } from "../interp/index.ts";
import { programTypeRow, type ProgramSpec } from "../isa/index.ts";
import type { Analysed } from "../analysed.ts";
import {
  dumpState,
  raceWitnesses,
  type RaceSchedule,
  type Witness,
} from "../proof/index.ts";
import { pcapBytes, pcapngBytes, type TracePacket } from "../traffic/index.ts";
import { asTracePacket, coveringPackets } from "../trial.ts";
import type { Words } from "./command.ts";
import { writeWhole } from "./files.ts";
import { seedOf } from "./words.ts";
import { wrapped } from "./wrap.ts";

export interface ShownWitness {
  readonly object: string;
  readonly kind: Witness["kind"];
  readonly cell: string;
  /** Numbers of the two packets in the capture, from 1. */
  readonly packets: readonly [number, number];
  /** Absent: the two meet in the cell, and no schedule that was tried shows a loss. */
  readonly schedule?: Omit<RaceSchedule, "before">;
  /** Absent: what is left depends on the order of packets even on one core. */
  readonly threads?: ThreadsRun;
}

/** The two packets over and over, one on each of two threads. */
export interface ThreadsRun {
  readonly packets: number;
  /** Cells that hold something else than after a run on one core. */
  readonly cells: number;
  /** The first of them: what one core leaves there, and what the two left. */
  readonly first?: {
    readonly what: string;
    readonly map: string;
    readonly oneCore: string | undefined;
    readonly twoCores: string | undefined;
  };
}

/** Writes the packets, and says what they show. */
export async function witnessed(
  file: string,
  analysed: Analysed,
  words: Words,
): Promise<{
  readonly json: readonly ShownWitness[];
  readonly text: readonly string[];
}> {
  const json = await writeWitness(file, analysed, words);
  return { json, text: witnessText(file, json, analysed) };
}

/** Writes two packets for each race that covering packets can show. */
async function writeWitness(
  file: string,
  { program, report, ports }: Analysed,
  words: Words,
): Promise<readonly ShownWitness[]> {
  const seed = seedOf(words);
  const cover = coveringPackets({
    program,
    report,
    ports,
    cpus: 2,
    seeds: [],
    seed,
  });
  const packets: TracePacket[] = [];
  const shown: ShownWitness[] = [];
  for (const witness of raceWitnesses(
    program,
    cover.packets,
    report.races,
    cover.contents,
  )) {
    const pair = witness.packets.map((number) => {
      const input = cover.packets[number];
      if (input === undefined) throw new Bug(`no covering packet ${number}`);
      return input;
    });
    const [one, other] = pair.map((input) =>
      packets.push(asTracePacket(input, ports)),
    );
    const { object, kind, cell, schedule } = witness;
    const threads = await onThreads(program, pair, witness, seed);
    shown.push({
      object,
      kind,
      cell,
      packets: [one ?? 0, other ?? 0],
      ...(schedule === undefined
        ? {}
        : { schedule: { held: schedule.held, differs: schedule.differs } }),
      ...(threads === undefined ? {} : { threads }),
    });
  }
  const comment = (_packet: unknown, index: number): string | undefined => {
    const about = shown[index >> 1];
    return about && `${about.kind} ${about.object}[${about.cell}]`;
  };
  writeWhole(
    file,
    file.endsWith(".pcap")
      ? pcapBytes(packets)
      : pcapngBytes(packets, {
          application: "divisi",
          interfaces: ports.map(({ name }) => name),
          comment,
        }),
  );
  return shown;
}

function witnessText(
  file: string,
  shown: readonly ShownWitness[],
  { report, program }: Pick<Analysed, "report" | "program">,
): string[] {
  const lines = shown.flatMap((witness) => [
    ...wrapped(
      `witness  ${witness.kind} of ${witness.object}: packets ${witness.packets.join(" and ")} of ${file}, cell ${witness.cell}`,
      9,
    ),
    ...scheduleText(witness, program).flatMap((line) =>
      wrapped(`         ${line}`, 11),
    ),
    ...threadsText(witness, program).flatMap((line) =>
      wrapped(`         ${line}`, 11),
    ),
  ]);
  const missing = report.races.filter(
    ({ object, kind }) =>
      !shown.some((one) => one.object === object && one.kind === kind),
  );
  return [
    "",
    ...lines,
    ...missing.flatMap(({ object, kind }) =>
      wrapped(
        `witness  none for ${kind} of ${object}: no two packets that the search found meet in one of its cells`,
        9,
      ),
    ),
  ];
}

function scheduleText(
  { schedule }: ShownWitness,
  program: ProgramSpec,
): string[] {
  if (schedule === undefined)
    return ["they meet there; no schedule that was tried shows a loss"];
  const { held, differs } = schedule;
  const all = [differs.raced, ...differs.inOrder];
  const [raced, ahead, back] = differs.what.startsWith("verdict")
    ? all.map(
        (text) =>
          programTypeRow(program.type).verdicts[Number(text)] ?? `${text}`,
      )
    : valueTexts(all, differs.map, program);
  return [
    `the first is held behind the ${held.op} at ${printPlace(held.at)}, the second runs, the first goes on`,
    `${differs.what}: ${raced}; one after the other: ${ahead === back ? ahead : `${ahead}, or ${back}`}`,
  ];
}

function threadsText(
  { threads }: ShownWitness,
  program: ProgramSpec,
): string[] {
  if (threads === undefined) return [];
  const { packets, cells, first } = threads;
  if (first === undefined)
    return [`two threads, ${packets} packets: nothing lost this time`];
  const [two, one] = valueTexts(
    [first.twoCores, first.oneCore],
    first.map,
    program,
  );
  return [
    `two threads, ${packets} packets: ${cells} ${cells === 1 ? "cell" : "cells"} wrong; ${first.what}: ${two}; on one core: ${one}`,
  ];
}

/** `packets=2` for what differs, where the map's type names it, else the bytes. */
function valueTexts(
  values: readonly (string | undefined)[],
  map: string | undefined,
  { maps }: ProgramSpec,
): string[] {
  const fields = maps.find(({ name }) => name === map)?.valueFields ?? [];
  const numbers = fields.flatMap(({ kind, bits, bitOffset, path }) => {
    if (kind !== "int" || bits % 8 !== 0 || bitOffset % 8 !== 0) return [];
    const texts = values.map((hex) =>
      hex === undefined ? undefined : numberAt(hex, bitOffset, bits),
    );
    return path !== "" && new Set(texts).size > 1 ? [{ path, texts }] : [];
  });
  return values.map((hex, index) => {
    if (hex === undefined) return "nothing";
    if (numbers.length === 0) return hex;
    return numbers
      .map(({ path, texts }) => `${path}=${texts[index]}`)
      .join(" ");
  });
}

/** The little-endian number at a bit offset of a value given as hex. */
function numberAt(hex: string, bitOffset: number, bits: number): string {
  const bytes = hex.slice(bitOffset / 4, (bitOffset + bits) / 4).match(/../g);
  return BigInt(`0x${(bytes ?? []).toReversed().join("")}`).toString();
}

/** Packets of each of the two, and how often to try until something is lost. */
const rounds = 50_000;
const tries = 3;
/** Packets of each that show whether their order alone makes a difference. */
const ordered = 2000;

/** Undefined where one core, too, leaves different things for different orders. */
async function onThreads(
  program: ProgramSpec,
  pair: readonly PacketInput[],
  { start }: Witness,
  seed: number,
): Promise<ThreadsRun | undefined> {
  if (start === undefined) return undefined;
  const [one, other] = pair;
  if (one === undefined || other === undefined) return undefined;
  const turnsOf = (each: number): readonly PacketInput[] =>
    Array.from({ length: 2 * each }, (_, at) => (at % 2 === 0 ? one : other));
  const alone = (packets: readonly PacketInput[]): Dump =>
    portableRunner(program, { contents: start, seed })(
      packets.map((packet, at) => ({
        ...packet,
        cpu: at % 2,
        rxQueue: at % 2,
      })),
      2,
    ).state;
  const together = async (packets: readonly PacketInput[]): Promise<Dump> => {
    const { cores } = await runParallel({
      program,
      packets,
      cores: 2,
      steer: Uint8Array.from(packets, (_, at) => at % 2),
      memory: "shared",
      contents: start,
      seed,
    });
    const contents = cores[0]?.contents ?? {};
    return dumpState({
      maps: program.maps,
      entries: (map) => contents[map] ?? [],
    });
  };
  const few = turnsOf(ordered);
  const halves = [0, 1].map((half) => few.filter((_, at) => at % 2 === half));
  const someInTurns = alone(few);
  for (const order of [halves, halves.toReversed()])
    if (differing(someInTurns, alone(order.flat())).length > 0)
      return undefined;
  const turns = turnsOf(rounds);
  const inTurns = alone(turns);
  for (let attempt = 1; ; attempt++) {
    const wrong = differing(inTurns, await together(turns));
    const [first] = wrong;
    if (first !== undefined || attempt === tries)
      return {
        packets: turns.length,
        cells: wrong.length,
        ...(first === undefined ? {} : { first }),
      };
  }
}

type Dump = ReturnType<typeof dumpState>;

function differing(oneCore: Dump, twoCores: Dump) {
  const found: NonNullable<ThreadsRun["first"]>[] = [];
  for (const [map, cells] of oneCore) {
    const others = twoCores.get(map);
    for (const key of new Set([...cells.keys(), ...(others?.keys() ?? [])])) {
      const [want, have] = [cells, others].map((side) =>
        side?.get(key)?.join(),
      );
      if (want !== have)
        found.push({
          what: `${map}[${key}]`,
          map,
          oneCore: want,
          twoCores: have,
        });
    }
  }
  return found;
}
