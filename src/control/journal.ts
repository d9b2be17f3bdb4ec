/**
 * The undo journal: what a command is about to change, written and synced to disk
 * before it is changed, so that `divisi undo` can take it back whenever the command
 * was killed.
 *
 * A file of JSON lines in the state folder:
 *
 *   {"id":7,"begin":"attach fw","pid":812,"started":"4711","boot":"…"}
 *   {"id":7,"undo":{"kind":"mount","path":"/sys/fs/bpf/divisi/fw"}}
 *   {"id":7,"end":true}
 *
 * A transaction without its end is unfinished. Undoing goes through its lines from
 * the last to the first; each is harmless when there is nothing to undo, so it may
 * be interrupted and done again. When no transaction is unfinished the file is
 * emptied. Changes do not survive a restart of the machine, so lines from before
 * one count for nothing.
 *
 * Laws: a line is on disk before its change happens; a last line that was not
 * written whole belongs to a change that did not happen. One process at a time: a
 * lock on a file beside it is held from `open` to `close`, by children too.
 */
import {
  closeSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { InputError, UnsupportedError } from "../base/index.ts";
import { lockFile, type FileLock } from "../engine/index.ts";
import { processStart, readText } from "./processes.ts";

/** How one change is taken back. */
export type Undo =
  /** A file system mounted there by us, and the folder it is mounted on. */
  | { readonly kind: "mount"; readonly path: string }
  /** A file or an empty folder of ours. */
  | { readonly kind: "file"; readonly path: string }
  /** nic/undo.sh as it was, and what it works with. */
  | {
      readonly kind: "nic";
      readonly script: string;
      readonly interfaces: readonly string[];
      /** The file that the script restores from, and what it said. */
      readonly state?: string;
      readonly values?: string;
    }
  /** `ethtool -L`: the numbers as they were read. */
  | {
      readonly kind: "channels";
      readonly iface: string;
      readonly netns: string;
      readonly counts: Readonly<Record<string, number>>;
    }
  /** A program without a link that made way; it is pinned at `path`. */
  | {
      readonly kind: "program";
      readonly ifindex: number;
      readonly netns: string;
      readonly mode: "native" | "skb" | "hw";
      readonly path: string;
    }
  /** Links go back to the old program, or on to the new once the record is of it. */
  | {
      readonly kind: "upgrade";
      readonly record: string;
      /** Of the new record. */
      readonly generation: number;
      readonly pins: string;
      readonly staging: string;
      /** File names of their pins. */
      readonly links: readonly string[];
    }
  /** A network namespace made by us (`ip netns`). */
  | { readonly kind: "namespace"; readonly name: string }
  /** An interface made by us. */
  | {
      readonly kind: "interface";
      readonly name: string;
      readonly netns: string;
    };

export interface OpenTransaction {
  readonly id: number;
  /** `attach fw`. */
  readonly what: string;
  readonly pid: number;
  /** Does the process still run? Then what it changed is in use. */
  readonly isAlive: boolean;
  /** In the order in which they were announced. */
  readonly undos: readonly Undo[];
}

interface Line {
  readonly id: number;
  readonly begin?: string;
  readonly pid?: number;
  readonly started?: string;
  readonly boot?: string;
  readonly undo?: Undo;
  readonly end?: true;
}

export interface JournalOptions {
  /** How long to wait for another process; default 10,000. */
  readonly waitMs?: number;
}

export class Journal {
  readonly folder: string;
  readonly #lock: FileLock;
  readonly #fd: number;
  #open: OpenTransaction[];
  #next: number;

  private constructor(folder: string, lock: FileLock, fd: number) {
    this.folder = folder;
    this.#lock = lock;
    this.#fd = fd;
    const text = readFileSync(fd, "utf8");
    const { open, last } = replay(text, join(folder, "journal"));
    const whole = text.slice(0, text.lastIndexOf("\n") + 1);
    if (whole.length < text.length) ftruncateSync(fd, Buffer.byteLength(whole));
    this.#open = open;
    this.#next = last + 1;
  }

  /** Waits for another process that has it open, then an UnsupportedError. */
  static async open(
    folder: string,
    { waitMs = 10_000 }: JournalOptions = {},
  ): Promise<Journal> {
    makeFolder(folder);
    const lock = await waitForLock(join(folder, "lock"), waitMs);
    let fd: number | undefined;
    try {
      fd = openSync(join(folder, "journal"), "a+", 0o600);
      return new Journal(folder, lock, fd);
    } catch (error) {
      if (fd !== undefined) closeSync(fd);
      lock.release();
      throw error;
    }
  }

  /** Unfinished transactions, oldest first. */
  get unfinished(): readonly OpenTransaction[] {
    return this.#open;
  }

  /** For children that must be done before anybody else may go on. */
  get lockFd(): number {
    return this.#lock.fd;
  }

  begin(what: string): Transaction {
    const id = this.#next++;
    const { pid } = process;
    this.#open = [...this.#open, { id, what, pid, isAlive: true, undos: [] }];
    this.#append({
      id,
      begin: what,
      pid,
      started: processStart(pid) ?? "",
      boot: bootId(),
    });
    return new Transaction((line) => this.#append({ id, ...line }), id);
  }

  /** Takes up a transaction that this process began before it let go of the lock. */
  resume(id: number): Transaction {
    return new Transaction((line) => this.#append({ id, ...line }), id);
  }

  /** Its changes are undone, or meant to stay. */
  end(id: number): void {
    this.#append({ id, end: true });
  }

  close(): void {
    closeSync(this.#fd);
    this.#lock.release();
  }

  #append(line: Line): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`);
    fsyncSync(this.#fd);
    if (line.undo !== undefined) {
      const { undo } = line;
      this.#open = this.#open.map((each) =>
        each.id === line.id ? { ...each, undos: [...each.undos, undo] } : each,
      );
    }
    if (line.end !== true) return;
    this.#open = this.#open.filter(({ id }) => id !== line.id);
    if (this.#open.length === 0) ftruncateSync(this.#fd, 0);
  }
}

/** One command's changes. */
export class Transaction {
  readonly id: number;
  readonly #append: (line: Omit<Line, "id">) => void;

  constructor(append: (line: Omit<Line, "id">) => void, id: number) {
    this.#append = append;
    this.id = id;
  }

  /** On disk when it returns: now the change may happen. */
  will(undo: Undo): void {
    this.#append({ undo });
  }

  /** The changes are meant to stay. */
  end(): void {
    this.#append({ end: true });
  }
}

/** Without the lock, for looking only. */
export function unfinishedTransactions(
  folder: string,
): readonly OpenTransaction[] {
  const path = join(folder, "journal");
  return replay(readText(path), path).open;
}

/** Of this start of the machine. */
export function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id").trim();
}

/** A last line without its end is left out: its change never happened. */
function replay(
  text: string,
  path: string,
): { open: OpenTransaction[]; last: number } {
  const whole = text.lastIndexOf("\n") + 1;
  const found = new Map<number, OpenTransaction>();
  const boot = bootId();
  let last = 0;
  for (const [index, written] of text.slice(0, whole).split("\n").entries()) {
    if (written === "") continue;
    const line = parseLine(written, path, index + 1);
    const { id } = line;
    last = Math.max(last, id);
    const before = found.get(id);
    if (line.end === true) found.delete(id);
    else if (line.begin !== undefined && line.boot === boot)
      found.set(id, {
        id,
        what: line.begin,
        pid: line.pid ?? 0,
        isAlive:
          line.started !== "" && processStart(line.pid ?? 0) === line.started,
        undos: [],
      });
    else if (line.undo !== undefined && before !== undefined)
      found.set(id, { ...before, undos: [...before.undos, line.undo] });
  }
  return { open: [...found.values()], last };
}

function parseLine(text: string, file: string, line: number): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (
    typeof value === "object" &&
    value !== null &&
    "id" in value &&
    Number.isInteger(value.id)
  )
    return value as Line;
  throw new InputError("this is no line of the journal", {
    code: "journal-malformed",
    file,
    line,
    fix: "if nothing of divisi runs, remove the file; bpftool net and ethtool show what is set",
  });
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    closeSync(openSync(join(folder, "lock"), "a", 0o600));
  } catch (cause) {
    throw new UnsupportedError(
      `the state folder ${folder} cannot be written (${errorCode(cause)})`,
      { feature: "state folder", fix: "run as root", cause },
    );
  }
}

function errorCode(error: unknown): string {
  return error instanceof Error && "code" in error
    ? String(error.code)
    : String(error);
}

async function waitForLock(path: string, waitMs: number): Promise<FileLock> {
  const until = Date.now() + waitMs;
  for (;;) {
    const lock = await lockFile(path);
    if (lock !== undefined) return lock;
    if (Date.now() >= until)
      throw new UnsupportedError(
        "another divisi is changing this machine's network set-up",
        { feature: "the journal's lock", fix: "try again when it is done" },
      );
    await new Promise((resolve) => {
      setTimeout(resolve, 50);
    });
  }
}
