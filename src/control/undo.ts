/**
 * Taking changes back, the last first. Each is harmless where there is nothing (any
 * more) to take back; one that fails is reported and does not stop the others.
 */
import {
  existsSync,
  lstatSync,
  readdirSync,
  rmSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { Kernel } from "../engine/index.ts";
import { namespacePath, runCommand } from "./commands.ts";
import { readRecord } from "./attachment.ts";
import type { Journal, Undo } from "./journal.ts";
import { dropStaging, settle } from "./settle.ts";
import { restoreChannels, undoNicScript } from "./nic.ts";
import { networkNamespace } from "./processes.ts";

export interface UndoContext {
  readonly kernel: Kernel;
  readonly journal: Pick<Journal, "folder" | "lockFd">;
}

/** What could not be undone, in words. */
export function undoAll(
  undos: readonly Undo[],
  context: UndoContext,
): string[] {
  return [...undos].reverse().flatMap((undo) => {
    try {
      return undoOne(undo, context) ?? [];
    } catch (error) {
      return [
        `${describeUndo(undo)}: ${error instanceof Error ? error.message : String(error)}`,
      ];
    }
  });
}

/** One change, as words for people: what undoing does. */
export function describeUndo(undo: Undo): string {
  switch (undo.kind) {
    case "mount":
      return `detach what is pinned in ${undo.path}, remove the pins`;
    case "file":
      return `remove ${undo.path}`;
    case "nic":
      return `restore the NIC settings of ${undo.interfaces.join(", ")}`;
    case "channels":
      return `restore the queues of ${undo.iface}: ${Object.entries(undo.counts)
        .map(([kind, count]) => `${kind} ${count}`)
        .join(", ")}`;
    case "program":
      return `put the former program back on interface ${undo.ifindex}`;
    case "upgrade":
      return `go back to the former program in ${undo.pins}, or finish what is only to be tidied`;
    case "namespace":
      return `remove the network namespace ${undo.name}`;
    case "interface":
      return `remove the interface ${undo.name}`;
  }
}

function undoOne(undo: Undo, context: UndoContext): string | undefined {
  const { kernel, journal } = context;
  switch (undo.kind) {
    case "mount":
      return removePins(undo.path, kernel);
    case "file":
      return removeFile(undo.path);
    case "nic":
      if (
        undo.state !== undefined &&
        undo.values !== undefined &&
        !existsSync(undo.state)
      )
        writeFileSync(undo.state, undo.values, { mode: 0o600 });
      return undoNicScript(undo.script, journal);
    case "channels":
      return isGone(undo.netns) || !hasInterface(undo.iface, undo.netns)
        ? undefined
        : restoreChannels(undo.iface, undo.counts, undo.netns);
    case "program":
      return isGone(undo.netns) ? undefined : restoreProgram(undo, kernel);
    case "upgrade":
      return undoUpgrade(undo, kernel);
    case "namespace":
      return existsSync(`/run/netns/${undo.name}`)
        ? failure(runCommand(["ip", "netns", "del", undo.name]))
        : undefined;
    case "interface":
      return isGone(undo.netns) || !hasInterface(undo.name, undo.netns)
        ? undefined
        : failure(
            runCommand(["ip", "link", "del", undo.name], { netns: undo.netns }),
          );
  }
}

/** Links first, so that it works at once whoever else holds them. */
function removePins(path: string, { pins }: Kernel): undefined {
  if (!existsSync(path)) return;
  for (const name of readdirSync(path).filter(isLinkPin)) {
    const link = pins.link(join(path, name));
    link?.detach();
    link?.close();
  }
  // Other mounts of the same file system lose the pins too.
  for (const name of readdirSync(path))
    if (!name.endsWith(".debug")) rmSync(join(path, name));
  while (pins.unmount(path));
  rmdirSync(path);
}

export function isLinkPin(name: string): boolean {
  return name.startsWith("link-");
}

function removeFile(path: string): undefined {
  if (!existsSync(path)) return;
  if (!lstatSync(path).isDirectory()) rmSync(path);
  else if (readdirSync(path).length === 0) rmdirSync(path);
}

function restoreProgram(
  undo: Extract<Undo, { kind: "program" }>,
  kernel: Kernel,
): string | undefined {
  if (undo.netns !== networkNamespace())
    return `the program pinned at ${undo.path} belongs on interface ${undo.ifindex} of another network namespace: run divisi undo there`;
  const program = kernel.pins.program(undo.path);
  const found = kernel
    .interfaces()
    .find(({ ifindex }) => ifindex === undo.ifindex);
  if (program === undefined) return undefined;
  try {
    const { id } = program.info;
    if (found === undefined || found.programs.some((one) => one.id === id))
      return undefined;
    const words = kernel.restoreReplaced(undo.ifindex, {
      fd: program.fd,
      mode: undo.mode,
    });
    return words === undefined ? undefined : `${found.name}: ${words}`;
  } finally {
    kernel.pins.close(program);
  }
}

function undoUpgrade(
  undo: Extract<Undo, { kind: "upgrade" }>,
  kernel: Kernel,
): undefined {
  const { staging } = undo;
  const record = readRecord(undo.record);
  // Detached since: what is left of it goes.
  if (record === undefined) removePins(staging, kernel);
  else if (record.generation >= undo.generation) settle(undo, kernel);
  else {
    updateBack(undo, kernel);
    dropStaging(staging, kernel);
  }
}

function updateBack(
  { pins: folder, staging, links }: Extract<Undo, { kind: "upgrade" }>,
  { pins }: Kernel,
): void {
  if (!existsSync(join(staging, "program"))) return;
  const from = pins.program(join(staging, "program"));
  const to = pins.program(join(folder, "program"));
  try {
    if (from === undefined || to === undefined) return;
    for (const name of links) {
      const link = pins.link(join(folder, name));
      if (link?.info().programId === from.info.id) link.update(to, from);
      link?.close();
    }
  } finally {
    for (const program of [from, to])
      if (program !== undefined) pins.close(program);
  }
}

function isGone(netns: string): boolean {
  return netns !== networkNamespace() && namespacePath(netns) === undefined;
}

function hasInterface(name: string, netns: string): boolean {
  return (
    runCommand(["ip", "link", "show", "dev", name], { netns }).status === 0
  );
}

function failure({
  status,
  stderr,
}: {
  status: number;
  stderr: string;
}): string | undefined {
  return status === 0 ? undefined : stderr;
}
