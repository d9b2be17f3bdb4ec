/**
 * What outlives the process: programs, maps and links pinned in bpffs.
 *
 * Several pins become visible at once. They are made in a file system of their own
 * that is mounted nowhere; mounting it is one system call, and before it a death of
 * the process takes everything with it:
 *
 *   fsopen, fsmount → a detached bpffs, reached through its descriptor
 *   pin, pin, pin   → into it
 *   move_mount      → the commit
 *
 * Names: letters, digits, `_`, `-`, `~`; bpffs refuses dots, which are written `%2e`.
 *
 * Source: kernel/bpf/inode.c; fs/namespace.c (dissolve_on_fput, do_move_mount).
 */
import { chmodSync } from "node:fs";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import { KernelMap } from "../load/kernel-map.ts";
import { XdpLink } from "./link.ts";
import {
  mapInfo,
  openProgram,
  programInfo,
  type MapInfo,
  type ProgramInfo,
} from "../system/object-info.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const ENOENT = 2;
const EINVAL = 22;
const closeOnExec = 1;
/** FSCONFIG_CMD_CREATE. */
const createFileSystem = 6;
/** MOVE_MOUNT_F_EMPTY_PATH; OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC; MNT_DETACH. */
const emptyPath = 4;
const cloneTree = 1 | 0x80000;
const detachMount = 2;
const currentFolder = -100;

/** A program that was found pinned. */
export interface PinnedProgram {
  readonly fd: number;
  readonly info: ProgramInfo;
}

export class Pins {
  readonly #syscalls: Syscalls;

  constructor(syscalls: Syscalls) {
    this.#syscalls = syscalls;
  }

  /** An empty folder for pins that exists for this process only. */
  folder(): PinFolder {
    const syscalls = this.#syscalls;
    const context = syscalls.call("fsopen", path("bpf"), closeOnExec);
    if (context < 0) throw this.#cannotMount(-context);
    try {
      const made = syscalls.call("fsconfig", context, createFileSystem, 0, 0);
      if (made < 0) throw this.#cannotMount(-made);
      const mount = syscalls.call("fsmount", context, closeOnExec, 0);
      if (mount < 0) throw this.#cannotMount(-mount);
      return new PinFolder(syscalls, this, mount);
    } finally {
      syscalls.close(context);
    }
  }

  pin(fd: number, at: string): void {
    const attr = attributes(this.#syscalls, "pin", { path: path(at), fd });
    const code = this.#syscalls.bpf(command.pin, attr);
    if (code < 0)
      throw new InputError(`cannot pin: ${this.#syscalls.errorName(-code)}`, {
        code: "pin-failed",
        file: at,
      });
  }

  /** A descriptor, or undefined when nothing is pinned there. */
  open(at: string): number | undefined {
    const attr = attributes(this.#syscalls, "pin", { path: path(at) });
    const fd = this.#syscalls.bpf(command.getPinned, attr);
    if (fd >= 0) return fd;
    if (fd === -ENOENT) return undefined;
    throw new InputError(
      `cannot open what is pinned: ${this.#syscalls.errorName(-fd)}`,
      { code: "pin-unreadable", file: at },
    );
  }

  link(at: string): XdpLink | undefined {
    const fd = this.open(at);
    return fd === undefined ? undefined : new XdpLink(this.#syscalls, fd);
  }

  program(at: string): PinnedProgram | undefined {
    const fd = this.open(at);
    if (fd === undefined) return undefined;
    return { fd, info: programInfo(this.#syscalls, fd) };
  }

  /** One that runs, by its id. */
  programById(id: number): PinnedProgram | undefined {
    const fd = openProgram(this.#syscalls, id);
    if (fd === undefined) return undefined;
    return { fd, info: programInfo(this.#syscalls, fd) };
  }

  /** `name`: the map's own, of which the kernel keeps 15 characters only. */
  map(at: string, name: string): KernelMap | undefined {
    const fd = this.open(at);
    if (fd === undefined) return undefined;
    const { type, keySize, valueSize, maxEntries, flags, extra } = mapInfo(
      this.#syscalls,
      fd,
    );
    // prettier-ignore
    const spec = { name, type, keySize, valueSize, maxEntries, flags, extra, section: "", readOnly: false };
    return KernelMap.open(this.#syscalls, spec, fd);
  }

  mapInfo(map: KernelMap): MapInfo {
    return mapInfo(this.#syscalls, map.fd);
  }

  programInfo({ fd }: { readonly fd: number }): ProgramInfo {
    return programInfo(this.#syscalls, fd);
  }

  close({ fd }: { readonly fd: number }): void {
    this.#syscalls.close(fd);
  }

  /** Shows what is mounted at `from` at `to` as well. */
  showAlso(from: string, to: string): void {
    const tree = this.#syscalls.call(
      "open_tree",
      currentFolder,
      path(from),
      cloneTree,
    );
    if (tree < 0) throw this.#cannotMount(-tree);
    try {
      this.mount(tree, to);
    } finally {
      this.#syscalls.close(tree);
    }
  }

  mount(tree: number, at: string): void {
    const moved = this.#syscalls.call(
      "move_mount",
      tree,
      path(""),
      currentFolder,
      path(at),
      emptyPath,
    );
    if (moved < 0) throw this.#cannotMount(-moved);
  }

  /** Takes the file system off `at`; false when there is none. Its pins go with it. */
  unmount(at: string): boolean {
    const code = this.#syscalls.call("umount2", path(at), detachMount);
    if (code >= 0) return true;
    if (code === -EINVAL || code === -ENOENT) return false;
    throw this.#cannotMount(-code);
  }

  #cannotMount(errno: number): UnsupportedError {
    return new UnsupportedError(
      `cannot mount a BPF file system (${this.#syscalls.errorName(errno)})`,
      { feature: "fsmount(2)", firstKernel: "5.2", fix: "run as root" },
    );
  }
}

export class PinFolder {
  /** Where pins are made while the folder is not committed. */
  readonly path: string;
  readonly #syscalls: Syscalls;
  readonly #pins: Pins;
  readonly #mount: number;

  constructor(syscalls: Syscalls, pins: Pins, mount: number) {
    this.#syscalls = syscalls;
    this.#pins = pins;
    this.#mount = mount;
    this.path = `/proc/self/fd/${mount}`;
    chmodSync(this.path, 0o700);
  }

  pin(fd: number, name: string): void {
    this.#pins.pin(fd, `${this.path}/${pinName(name)}`);
  }

  /** Makes everything visible at `at`, an empty folder of a bpffs, for good. */
  commit(at: string): void {
    this.#pins.mount(this.#mount, at);
  }

  /** Uncommitted pins are gone then. */
  close(): void {
    this.#syscalls.close(this.#mount);
  }
}

/** A name as bpffs takes it. */
export function pinName(name: string): string {
  return name.replace(
    /[^\w~-]/g,
    (one) => `%${one.charCodeAt(0).toString(16).padStart(2, "0")}`,
  );
}

function path(text: string): Buffer {
  const bytes = Buffer.from(`${text}\0`);
  const held = memory(bytes.length);
  held.set(bytes);
  return held;
}
