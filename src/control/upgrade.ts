/**
 * Another program in the place of an attached one, while packets flow.
 *
 *   decide per map, load             nothing is touched; a verifier's no ends here
 *   copy what must be copied         into maps that die with us
 *   mount the new pins beside        journal first
 *   update link after link           each atomic, only if it holds the old program
 *   catch up with late changes
 *   write the record                 the commit: before it undo goes back, after it on
 *   settle                           the new pins take the old ones' place
 *
 * A link goes from one program to the other between two packets, so none is lost. With
 * several interfaces there is a moment in which both programs run; maps that both
 * share then serve both.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import type {
  Kernel,
  KernelMap,
  LoadedPrograms,
  XdpLink,
} from "../engine/index.ts";
import { pinAll, type ControlContext } from "./attach.ts";
import {
  mapPin,
  recordPath,
  writeRecord,
  type AttachmentRecord,
  type MapRecord,
} from "./attachment.ts";
import type { Undo } from "./journal.ts";
import { mapChanges, type MapChange } from "./map-change.ts";
import { isPrivate, placementDifference } from "./placement.ts";
import { Migration, roomFor, type CaughtUp } from "./migrate.ts";
import { checkNic, type NicWish } from "./nic.ts";
import { refuseShortLived } from "./mount-namespace.ts";
import { networkNamespace } from "./processes.ts";
import { settle } from "./settle.ts";
import { undoAll } from "./undo.ts";

export interface UpgradeRequest {
  /** What the record will say of the new program. */
  readonly origin: Omit<
    AttachmentRecord,
    | "schema"
    | "name"
    | "time"
    | "netns"
    | "interfaces"
    | "pins"
    | "undos"
    | "generation"
  >;
  readonly nic: NicWish;
  /** Maps whose contents may be lost. */
  readonly discard: ReadonlySet<string>;
  readonly load: (standing: ReadonlyMap<string, KernelMap>) => LoadedPrograms;
}

export interface MapOutcome {
  readonly map: string;
  readonly kind: "keep" | "migrate" | "new";
  /** Of a migrated map: entries copied, late ones, conflicts. */
  readonly copied?: number;
  readonly late?: number;
  readonly conflicts?: number;
}

export type Upgraded =
  | {
      readonly kind: "upgraded";
      readonly record: AttachmentRecord;
      readonly maps: readonly MapOutcome[];
      readonly notes: readonly string[];
    }
  | {
      readonly kind: "refused";
      readonly reasons: readonly {
        readonly map: string;
        readonly text: string;
      }[];
    };

export function upgrade(
  old: AttachmentRecord,
  request: UpgradeRequest,
  context: ControlContext,
): Upgraded {
  if (old.netns !== networkNamespace())
    throw new UnsupportedError(
      `${old.name} is attached in another network namespace`,
      { feature: "network namespace", fix: "run divisi upgrade there" },
    );
  refuseShortLived(dirname(old.pins));
  const nic = checkNic(request.nic);
  if (nic.wrong.length > 0)
    throw new UnsupportedError(nic.wrong.join("; "), {
      feature: "NIC set-up",
      fix: "the new plan wants another set-up of the NIC: divisi detach, then attach",
    });
  const standing = openStanding(old, context.kernel);
  try {
    const moved = placementDifference(old, request.origin);
    const changes = mapChanges(old.maps, request.origin.maps, moved).map(
      (change) => refined(change, standing, request),
    );
    const reasons = changes.flatMap((change) =>
      change.kind === "refuse"
        ? [{ map: change.map, text: change.reason }]
        : [],
    );
    if (reasons.length > 0) return { kind: "refused", reasons };
    const kept = new Map<string, KernelMap>();
    for (const { kind, map } of changes)
      if (kind === "keep") kept.set(map, taken(standing, map));
    const loaded = request.load(kept);
    try {
      return {
        ...replace({ old, request, context, standing, loaded, changes }),
        notes: nic.notes,
      };
    } finally {
      loaded.close();
    }
  } finally {
    closeStanding(standing, context.kernel);
  }
}

/** What is pinned of the attachment, opened. */
interface Standing {
  readonly program: { readonly fd: number };
  readonly links: readonly XdpLink[];
  readonly maps: Map<string, KernelMap>;
}

interface Parts {
  readonly old: AttachmentRecord;
  readonly request: UpgradeRequest;
  readonly context: ControlContext;
  readonly standing: Standing;
  readonly loaded: LoadedPrograms;
  readonly changes: readonly MapChange[];
}

function replace(
  parts: Parts,
): Omit<Extract<Upgraded, { kind: "upgraded" }>, "notes"> {
  const { old, request, context, standing, loaded, changes } = parts;
  const { kernel, journal, step } = context;
  const { origin } = request;
  const program = loaded.program(origin.program);
  const staging = `${old.pins}~new`;
  const path = recordPath(journal.folder, old.name);
  const record: AttachmentRecord = {
    ...old,
    ...origin,
    time: new Date().toISOString(),
    pins: staging,
    generation: old.generation + 1,
  };
  const migrations = changes.flatMap(({ kind, map }) =>
    kind === "migrate"
      ? [
          new Migration(
            {
              map: taken(standing, map, "leave"),
              record: named(old.maps, map),
            },
            { map: loaded.map(map), record: named(origin.maps, map) },
          ),
        ]
      : [],
  );
  const folder = kernel.pins.folder();
  const transaction = journal.begin(`upgrade ${old.name}`);
  const undo: Undo = {
    kind: "upgrade",
    record: path,
    generation: record.generation,
    pins: old.pins,
    staging,
    links: old.interfaces.map(({ link }) => link),
  };
  try {
    const { links } = standing;
    pinAll(folder, { loaded, links, program: origin.program, step });
    for (const each of migrations) each.copy();
    step("copied");
    transaction.will(undo);
    mkdirSync(staging, { mode: 0o700 });
    step("folder made");
    folder.commit(staging);
    step("new pins mounted");
    // Once more, so that little is left to catch up with.
    const copied = migrations.map((each) => each.copy());
    for (const [index, link] of links.entries()) {
      link.update(program, standing.program);
      step(`link ${index} updated`);
    }
    if (migrations.length > 0) untilPacketsAreThrough();
    const late = migrations.map((each) => each.catchUp());
    step("caught up");
    writeRecord(path, record);
    step("record written");
    settle(undo, kernel, step);
    transaction.end();
    step("ended");
    return {
      kind: "upgraded",
      record: { ...record, pins: old.pins },
      maps: outcomes(changes, migrations, copied, late),
    };
  } catch (error) {
    if (undoAll([undo], context).length === 0) transaction.end();
    throw error;
  } finally {
    folder.close();
  }
}

function openStanding(record: AttachmentRecord, { pins }: Kernel): Standing {
  const program = existsSync(record.pins)
    ? pins.program(join(record.pins, "program"))
    : undefined;
  if (program === undefined)
    throw new InputError(`the pins of ${record.name} are gone`, {
      code: "attachment-broken",
      fix: `divisi detach ${record.name}, then attach`,
    });
  const links: XdpLink[] = [];
  const maps = new Map<string, KernelMap>();
  const standing: Standing = { program, links, maps };
  try {
    for (const { link: pin, name } of record.interfaces) {
      const link = pins.link(join(record.pins, pin));
      if (link !== undefined) links.push(link);
      const info = link?.info();
      if (info?.programId !== program.info.id || info.ifindex === 0)
        throw new InputError(
          `${name} does not run the program of ${record.name} any more`,
          {
            code: "attachment-broken",
            fix: "divisi status tells more; divisi undo, or detach and attach",
          },
        );
    }
    for (const { name } of record.maps) {
      const map = pins.map(join(record.pins, mapPin(name)), name);
      if (map !== undefined) maps.set(name, map);
    }
    return standing;
  } catch (error) {
    closeStanding(standing, { pins });
    throw error;
  }
}

function closeStanding(
  { program, links, maps }: Standing,
  { pins }: Pick<Kernel, "pins">,
): void {
  pins.close(program);
  for (const link of links) link.close();
  for (const map of maps.values()) map.close();
}

/** Opened by us; `take`: somebody else closes it from now on. */
function taken(
  { maps }: Standing,
  name: string,
  how: "take" | "leave" = "take",
): KernelMap {
  const map = maps.get(name);
  if (map === undefined)
    throw new InputError(`map ${name} is no longer pinned`, {
      code: "attachment-broken",
    });
  if (how === "take") maps.delete(name);
  return map;
}

/** With what only the map's contents tell, and what the user gave up. */
function refined(
  change: MapChange,
  { maps }: Standing,
  { origin, discard }: UpgradeRequest,
): MapChange {
  const { map: name } = change;
  if (discard.has(name)) {
    const owned = origin.maps.find(
      (map) => isPrivate(map) && !discard.has(map.name),
    );
    if (owned !== undefined && named(origin.maps, name).writtenBy !== undefined)
      return {
        kind: "refuse",
        map: name,
        reason: `afresh it would take packets away from their parts of ${owned.name}`,
      };
    return { kind: "new", map: name };
  }
  const standing = maps.get(name);
  if (change.kind !== "migrate" || standing === undefined) return change;
  const to = named(origin.maps, name);
  const reason = roomFor({ map: standing, record: { ...to, lanes: [] } }, to);
  return reason === undefined ? change : { kind: "refuse", map: name, reason };
}

function named(maps: readonly MapRecord[], name: string): MapRecord {
  const found = maps.find((map) => map.name === name);
  if (found !== undefined) return found;
  throw new InputError(`no map ${name}`, { code: "map-missing" });
}

function outcomes(
  changes: readonly MapChange[],
  migrations: readonly Migration[],
  copied: readonly number[],
  late: readonly CaughtUp[],
): readonly MapOutcome[] {
  return changes.flatMap((change) => {
    if (change.kind === "refuse") return [];
    const { kind, map } = change;
    const index = migrations.findIndex((each) => each.map === map);
    return index < 0
      ? [{ map, kind }]
      : [{ map, kind, copied: copied[index] ?? 0, ...late[index] }];
  });
}

/** Packets that entered the old program before the switch have left it. */
function untilPacketsAreThrough(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
}
