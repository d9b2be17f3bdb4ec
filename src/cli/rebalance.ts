/**
 * `divisi rebalance NAME|DIR`: rewrites the table of an attached dispatcher while packets
 * pass, until ^C, SIGTERM, `--duration`, or until it is detached.
 *
 * Nothing is to be taken back: the table is whole after every word that is written, and
 * moves that have not settled settle without us. One of these at a time, by a lock.
 */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import { ticketSources } from "../codegen/index.ts";
import {
  attachedMap,
  findAttachment,
  LiveTable,
  liveTableMaps,
  readRecords,
  stateFolder,
  type AttachmentRecord,
  type LiveTurn,
  type LiveWaits,
} from "../control/index.ts";
import {
  lockFile,
  openKernel,
  type Kernel,
  type KernelMap,
} from "../engine/index.ts";
import type { Words } from "./command.ts";
import { crashPoint } from "./control-context.ts";
import { say, type Answer, type Rendering } from "./render.ts";
import { Stop } from "./stop.ts";
import { countOf, durationOf, usage, valueOf } from "./words.ts";

export async function rebalance(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [word = ""] = words.args;
  const interval = durationOf(words, "interval") ?? 1000;
  const duration = durationOf(words, "duration");
  const bearable = bearableOf(words);
  const most = countOf(words, "most", [1, 1024]) ?? 16;
  const folder = stateFolder();
  const record = findAttachment(readRecords(folder), word, resolve(word));
  refuseFixed(record);
  const lock = await lockFile(join(folder, `rebalance-${record.name}.lock`));
  if (lock === undefined)
    throw new InputError(`${record.name} is being rebalanced already`, {
      code: "rebalance-running",
      fix: "end the other divisi rebalance first",
    });
  const kernel = await openKernel();
  const stop = new Stop();
  const maps = openMaps(record, kernel);
  try {
    const live = new LiveTable({
      map: (name) => {
        const map = maps.get(name);
        if (map === undefined)
          throw new InputError(`map ${name} is missing`, { code: "map-gone" });
        return map;
      },
      cores: record.cores,
      bearable,
      most,
    });
    const tell = (text: string): void => {
      if (!rendering.quiet) say(text);
    };
    const turns: LiveTurn[] = [];
    const before = live.waits;
    const started = performance.now();
    const left = (): number =>
      duration === undefined
        ? Infinity
        : duration - (performance.now() - started);
    live.decide();
    const step = crashPoint();
    tell(
      `${record.name}: table watched every ${interval / 1000} s; ^C ends it`,
    );
    while (left() > 0 && !stop.isAsked()) {
      await stop.wait(Math.max(1, Math.min(interval, left())));
      if (!existsSync(record.pins)) break;
      const turn = live.decide();
      step("decided");
      live.write(turn.moves);
      step("written");
      turns.push(turn);
      if (turn.moves.length > 0)
        tell(
          `update ${live.updates}: ${turn.moves.length} ${turn.moves.length === 1 ? "entry" : "entries"} moved; busiest CPU ${turn.imbalance.toFixed(2)} times the mean of ${turn.packets.toLocaleString("en")} packets`,
        );
    }
    const isGone = !existsSync(record.pins);
    return answer(record, live, {
      turns,
      before,
      isGone,
      seconds: (performance.now() - started) / 1000,
    });
  } finally {
    stop.end();
    for (const map of maps.values()) map.close();
    kernel.close();
    lock.release();
  }
}

function bearableOf(words: Words): number {
  const word = valueOf(words, "bearable");
  if (word === undefined) return 1.08;
  const value = Number(word);
  if (value >= 1 && value <= 100) return value;
  throw usage(`--bearable takes a number from 1 on such as 1.2; not ${word}`);
}

function refuseFixed({ name, maps, cores, anyQueues }: AttachmentRecord): void {
  if (maps.some((map) => map.name === ticketSources) && cores > 1) return;
  throw new UnsupportedError(
    `${name} is not built for moving entries while packets pass`,
    {
      feature: "rebalancing without tickets",
      fix:
        anyQueues === true
          ? "divisi split … --dispatch software --rebalance, then divisi upgrade"
          : "divisi split … --dispatch software --rebalance; a NIC's table can be balanced at the start: divisi split … --trace TRACE",
    },
  );
}

function openMaps(
  record: AttachmentRecord,
  kernel: Kernel,
): ReadonlyMap<string, KernelMap> {
  return new Map(
    liveTableMaps.map((name) => {
      const found = attachedMap(record, name, kernel);
      if (found === undefined)
        throw new UnsupportedError(`${record.name} has no map ${name}`, {
          feature: "an attachment of an earlier divisi",
          fix: "divisi upgrade",
        });
      return [name, found.map];
    }),
  );
}

interface Ran {
  readonly turns: readonly LiveTurn[];
  /** What stood there at the beginning. */
  readonly before: LiveWaits;
  readonly isGone: boolean;
  readonly seconds: number;
}

function answer(
  { name }: AttachmentRecord,
  live: LiveTable,
  { turns, before, isGone, seconds }: Ran,
): Answer {
  const now = live.waits;
  const waits = now.waits - before.waits;
  const givenUp = now.givenUp - before.givenUp;
  const nanoseconds = now.nanoseconds - before.nanoseconds;
  const packets = turns.reduce((sum, turn) => sum + turn.packets, 0);
  const busy = turns.filter((turn) => turn.packets > 0);
  const imbalances = busy.map(({ imbalance }) => imbalance);
  const worst = Math.max(1, ...imbalances);
  const last = imbalances.at(-1) ?? 1;
  const elephants = busy.at(-1)?.elephants ?? [];
  const unsettled = live.settle();
  return {
    exit: givenUp === 0 ? 0 : 1,
    json: {
      schema: "divisi.rebalance/1",
      name,
      seconds,
      packets,
      updates: live.updates,
      entriesMoved: live.moved,
      unsettled,
      worstImbalance: worst,
      lastImbalance: last,
      waits: { count: waits, givenUp, nanoseconds },
      dropped: live.closed,
      elephants,
      detached: isGone,
      overTime: turns.map(({ moves, ...turn }) => ({
        packets: turn.packets,
        loads: turn.loads,
        imbalance: turn.imbalance,
        moves: moves.length,
      })),
    },
    text: [
      `${name}: ${count(packets)} packets in ${seconds.toFixed(1)} s${isGone ? "; detached meanwhile" : ""}`,
      `  table      ${count(live.updates)} updates, ${count(live.moved)} entries moved${unsettled > 0 ? `, ${count(unsettled)} on their way` : ""}`,
      `  imbalance  at most ${worst.toFixed(2)}, at the end ${last.toFixed(2)}`,
      `  waits      ${count(waits)}, ${(nanoseconds / 1e6).toFixed(1)} ms in all, ${count(givenUp)} given up`,
      ...elephants.map(
        ({ entry, share }) =>
          `  elephant   entry ${entry} alone has ${(100 * share).toFixed(0)} % of the packets: no table spreads it`,
      ),
      ...(givenUp > 0
        ? [
            "no: a wait was given up; packets of one key may have run out of order",
          ]
        : []),
    ].join("\n"),
  };
}

const count = (value: number): string => value.toLocaleString("en");
