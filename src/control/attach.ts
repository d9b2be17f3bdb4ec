/**
 * Attaching for good.
 *
 *   refuse what can be refused       nothing is changed
 *   load and fill                    dies with us
 *   NIC set-up                       journal first
 *   links                            enforce from here, die with us
 *   pins in a folder of their own    die with us
 *   record                           journal first
 *   mount the folder                 the commit: from here it stays without us
 *   end of the transaction
 *
 * So a kill at any moment leaves no attachment or a whole one, and what else it left
 * is in the journal.
 */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { InputError, UnsupportedError } from "../base/index.ts";
import {
  busy,
  type Kernel,
  type LoadedPrograms,
  type Occupant,
  type XdpLink,
  type XdpMode,
} from "../engine/index.ts";
import {
  readRecord,
  readRecords,
  recordPath,
  writeRecord,
  isPinned,
  type AttachmentRecord,
  type InterfaceRecord,
} from "./attachment.ts";
import type { Journal, Transaction } from "./journal.ts";
import { applyNic, checkNic, type NicWish } from "./nic.ts";
import { refuseShortLived } from "./mount-namespace.ts";
import { networkNamespace } from "./processes.ts";
import { undoAll } from "./undo.ts";

export interface ControlContext {
  readonly kernel: Kernel;
  readonly journal: Journal;
  /** Called between any two changes; tests die in it. */
  readonly step: (name: string) => void;
}

export interface AttachRequest {
  /** All that is known before it is attached. */
  readonly record: Omit<
    AttachmentRecord,
    "schema" | "time" | "netns" | "interfaces" | "pins" | "undos" | "generation"
  >;
  readonly pinRoot: string;
  readonly interfaces: readonly {
    readonly port: string;
    readonly name: string;
    readonly ifindex: number;
  }[];
  /** Loads the program and fills its maps. */
  readonly load: () => LoadedPrograms;
  readonly nic: NicWish;
  readonly applyNic: boolean;
  readonly mode: XdpMode | undefined;
  readonly replace: boolean;
}

/** What replacing needs of a request. */
export interface ReplaceRequest extends Pick<
  AttachRequest,
  "replace" | "pinRoot"
> {
  readonly record: { readonly name: string };
}

export interface Attached {
  readonly record: AttachmentRecord;
  readonly notes: readonly string[];
}

export function attach(
  request: AttachRequest,
  context: ControlContext,
): Attached {
  const { kernel, journal, step } = context;
  const { name } = request.record;
  refuseShortLived(request.pinRoot);
  refuseNameTaken(request, context);
  for (const { ifindex, name: iface } of request.interfaces) {
    const occupant = kernel.occupant(ifindex);
    if (occupant === undefined) continue;
    if (occupant.link !== undefined || !request.replace)
      throw taken(iface, occupant, context);
  }
  const before = checkNic(request.nic);
  if (before.wrong.length > 0 && !request.applyNic)
    throw new UnsupportedError(before.wrong.join("; "), {
      feature: "NIC set-up",
      ...(before.fix === undefined
        ? {}
        : {
            fix: before.isPossible
              ? `--apply-nic does it, or: ${before.fix}`
              : before.fix,
          }),
    });
  const loaded = request.load();
  const transaction = journal.begin(`attach ${name}`);
  const links: XdpLink[] = [];
  try {
    step("begun");
    if (before.wrong.length > 0) {
      applyNic(request.nic, journal, transaction);
      step("NIC set up");
      const { wrong } = checkNic(request.nic);
      if (wrong.length > 0)
        throw new UnsupportedError(wrong.join("; "), { feature: "NIC set-up" });
    }
    makeRoot(request.pinRoot, transaction);
    step("root made");
    const interfaces = request.interfaces.map((each, index) => {
      makeWay(each.ifindex, request, context, transaction);
      const link = kernel.attachXdp(
        loaded.program(request.record.program),
        each.ifindex,
        {
          ...(request.mode === undefined ? {} : { mode: request.mode }),
          replace: request.replace,
        },
      );
      links.push(link);
      step(`link ${index} made`);
      return {
        ...each,
        link: `link-${index}`,
        mode: modeOf(each.ifindex, kernel),
      };
    });
    const record = commit({
      request,
      context,
      transaction,
      loaded,
      interfaces,
      links,
    });
    transaction.end();
    step("ended");
    return { record, notes: before.notes };
  } catch (error) {
    for (const link of links) link.close();
    const failed = undoAll(
      journal.unfinished.find(({ id }) => id === transaction.id)?.undos ?? [],
      context,
    );
    if (failed.length === 0) transaction.end();
    throw error;
  } finally {
    for (const link of links) link.close();
    loaded.close();
  }
}

interface Commit {
  readonly request: AttachRequest;
  readonly context: ControlContext;
  readonly transaction: Transaction;
  readonly loaded: LoadedPrograms;
  readonly interfaces: readonly InterfaceRecord[];
  readonly links: readonly XdpLink[];
}

function commit(parts: Commit): AttachmentRecord {
  const { request, context, transaction, loaded, interfaces, links } = parts;
  const { journal, kernel, step } = context;
  const { name } = request.record;
  const at = join(request.pinRoot, "divisi", name);
  const path = recordPath(journal.folder, name);
  const folder = kernel.pins.folder();
  try {
    pinAll(folder, {
      loaded,
      links,
      program: request.record.program,
      step,
    });
    transaction.will({ kind: "file", path });
    transaction.will({ kind: "mount", path: at });
    const record: AttachmentRecord = {
      schema: "divisi.attachment/1",
      ...request.record,
      time: new Date().toISOString(),
      netns: networkNamespace(),
      interfaces,
      pins: at,
      generation: 1,
      undos:
        journal.unfinished.find(({ id }) => id === transaction.id)?.undos ?? [],
    };
    writeRecord(path, record);
    step("record written");
    mkdirSync(at, { mode: 0o700 });
    step("folder made");
    folder.commit(at);
    step("committed");
    return record;
  } finally {
    folder.close();
  }
}

export interface Pinned {
  readonly loaded: LoadedPrograms;
  readonly links: readonly { readonly fd: number }[];
  readonly program: string;
  readonly step: ControlContext["step"];
}

export function pinAll(
  folder: { readonly pin: (fd: number, name: string) => void },
  { loaded, links, program, step }: Pinned,
): void {
  folder.pin(loaded.program(program).fd, "program");
  for (const map of loaded.maps.values())
    folder.pin(map.fd, `map-${map.spec.name}`);
  for (const [index, link] of links.entries()) {
    folder.pin(link.fd, `link-${index}`);
    step(`link ${index} pinned`);
  }
}

function refuseNameTaken(
  { record: { name }, pinRoot }: AttachRequest,
  { journal, kernel }: ControlContext,
): void {
  const record = readRecord(recordPath(journal.folder, name));
  const isOurs = record !== undefined && isPinned(record, kernel.pins);
  if (isOurs)
    throw new InputError(`${name} is attached already`, {
      code: "attachment-exists",
      kind: "usage",
      fix: "divisi upgrade puts another program in its place; --name gives this one another name",
    });
  const at = join(pinRoot, "divisi", name);
  if (record === undefined && !existsSync(at)) return;
  throw new UnsupportedError(
    `something is left of a former attachment ${name}`,
    {
      feature: "attachment",
      fix:
        record === undefined
          ? `umount ${at}; rm -r ${at}, or choose another --name`
          : `divisi detach ${name} removes it`,
    },
  );
}

/** Names our own attachment, where the link in the way is one's. */
function taken(
  iface: string,
  occupant: Occupant,
  { kernel, journal }: ControlContext,
): InputError {
  const owner = readRecords(journal.folder).find((record) =>
    record.interfaces.some(({ link }) => {
      const held = existsSync(join(record.pins, link))
        ? kernel.pins.link(join(record.pins, link))
        : undefined;
      held?.close();
      return held !== undefined && held.id === occupant.link;
    }),
  );
  if (owner === undefined) return busy(iface, occupant);
  return new InputError(
    `${iface} has XDP program ${occupant.name} (id ${occupant.id}, ${occupant.mode}) already, attached as ${owner.name}`,
    {
      code: "xdp-busy",
      fix: `divisi detach ${owner.name} takes it off; divisi upgrade puts another program in its place`,
    },
  );
}

/** The folder that pins are in, announced if it is new. */
export function makeRoot(pinRoot: string, transaction: Transaction): void {
  const path = join(pinRoot, "divisi");
  if (existsSync(path)) return;
  transaction.will({ kind: "file", path });
  mkdirSync(path, { recursive: true, mode: 0o700 });
}

/** A program that is about to be replaced is pinned, so that it can come back. */
export function makeWay(
  ifindex: number,
  { replace, pinRoot, record: { name } }: ReplaceRequest,
  { kernel, step }: ControlContext,
  transaction: Transaction,
): void {
  const occupant = replace ? kernel.occupant(ifindex) : undefined;
  if (occupant === undefined) return;
  const program = kernel.pins.programById(occupant.id);
  if (program === undefined) return;
  const path = join(pinRoot, "divisi", `${name}~replaced-${ifindex}`);
  transaction.will({ kind: "file", path });
  kernel.pins.pin(program.fd, path);
  kernel.pins.close(program);
  transaction.will({
    kind: "program",
    ifindex,
    netns: networkNamespace(),
    mode: occupant.mode,
    path,
  });
  step("replaced program pinned");
}

function modeOf(ifindex: number, kernel: Kernel): XdpMode {
  const found = kernel.interfaces().find((each) => each.ifindex === ifindex);
  return found?.programs[0]?.mode ?? "native";
}
