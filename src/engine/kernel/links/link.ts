/**
 * A program at an interface, held by an XDP link.
 *
 * A link lives as long as a descriptor or a pin of it does: one that is not pinned
 * dies with this process, however that ends. Nothing that is there already is
 * replaced unasked; a program that another link holds never is. Interface indices
 * are those of the calling thread's network namespace.
 *
 * Replacing a program that belongs to no link takes two steps, remove and attach:
 * packets in between see none. If the second fails the first is undone.
 *
 * Source: net/core/dev.c (dev_xdp_attach, bpf_xdp_link_attach, bpf_xdp_link_update).
 */
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { attributes, command } from "../attributes.ts";
import {
  interfaceXdp,
  modeFlags,
  setInterfaceXdp,
  type XdpMode,
} from "../system/netlink.ts";
import {
  linkInfo,
  links,
  openProgram,
  programInfo,
  type LinkInfo,
} from "../system/object-info.ts";
import type { Syscalls } from "../syscalls.ts";

/** `enum bpf_attach_type`. */
const xdpAttachType = 37;
/** BPF_F_REPLACE: the expected program must be there. */
const replaceFlag = 4;

const EPERM = 1;
const ENOLINK = 67;
const EBUSY = 16;
const EEXIST = 17;

export interface AttachOptions {
  /** Default: native where the driver has it, else skb. */
  readonly mode?: XdpMode;
  /** Take the place of a program that belongs to no link. */
  readonly replace?: boolean;
}

/** What links need of a program. */
export interface AttachableProgram {
  readonly fd: number;
}

/** A program that stood at the interface before, belonging to no link. */
export interface ReplacedProgram extends AttachableProgram {
  readonly id: number;
  readonly name: string;
  readonly mode: XdpMode;
}

export class XdpLink {
  readonly fd: number;
  readonly id: number;
  /** What had to make way; its descriptor closes with the link's. */
  readonly replaced: ReplacedProgram | undefined;
  readonly #syscalls: Syscalls;
  #isOpen = true;

  constructor(syscalls: Syscalls, fd: number, replaced?: ReplacedProgram) {
    this.#syscalls = syscalls;
    this.fd = fd;
    this.id = linkInfo(syscalls, fd).id;
    this.replaced = replaced;
  }

  /** What the kernel says now: `ifindex` 0 when the interface is gone. */
  info(): LinkInfo {
    return linkInfo(this.#syscalls, this.fd);
  }

  /**
   * Every packet sees the old program or the new one, none sees neither. Throws,
   * and changes nothing, unless `expected` is what the link holds now.
   */
  update(program: AttachableProgram, expected: AttachableProgram): void {
    const code = this.#syscalls.bpf(
      command.linkUpdate,
      attributes(this.#syscalls, "linkUpdate", {
        linkFd: this.fd,
        programFd: program.fd,
        flags: replaceFlag,
        oldProgramFd: expected.fd,
      }),
    );
    if (code >= 0) return;
    const reason =
      code === -EPERM
        ? "holds another program than expected"
        : code === -ENOLINK
          ? "has lost its interface"
          : `refused the program: ${this.#syscalls.errorName(-code)}`;
    throw new InputError(`link ${this.id} ${reason}`, { code: "link-update" });
  }

  /** Takes the program off the interface now, whoever else holds the link. */
  detach(): void {
    const attr = attributes(this.#syscalls, "linkDetach", { linkFd: this.fd });
    const code = this.#syscalls.bpf(command.linkDetach, attr);
    if (code < 0)
      throw new InputError(
        `link ${this.id} cannot be detached: ${this.#syscalls.errorName(-code)}`,
        { code: "link-detach" },
      );
  }

  /** Unless it is pinned, this takes the program off the interface. */
  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#syscalls.close(this.fd);
    if (this.replaced !== undefined) this.#syscalls.close(this.replaced.fd);
  }
}

/** Throws an InputError that names what is in the way. */
export function attachXdp(
  syscalls: Syscalls,
  program: AttachableProgram,
  ifindex: number,
  options: AttachOptions = {},
): XdpLink {
  const { mode, replace = false } = options;
  const create = (): number =>
    syscalls.bpf(
      command.linkCreate,
      attributes(syscalls, "linkCreate", {
        programFd: program.fd,
        target: ifindex,
        attachType: xdpAttachType,
        flags: mode === undefined ? 0 : modeFlags[mode],
      }),
    );
  const fd = create();
  if (fd >= 0) return new XdpLink(syscalls, fd);
  const held = occupants(syscalls, ifindex);
  if (held === undefined)
    throw new InputError(`there is no interface with index ${ifindex}`, {
      code: "interface-unknown",
    });
  const { name, occupant } = held;
  if ((fd !== -EBUSY && fd !== -EEXIST) || occupant === undefined)
    throw refused(syscalls, { name, mode, errno: -fd });
  if (occupant.link !== undefined || !replace) throw busy(name, occupant);
  return takePlace(syscalls, { ifindex, name, occupant, create, mode });
}

/** What stands at the interface in the way of `attachXdp`; undefined: nothing does. */
export function occupantOf(
  syscalls: Syscalls,
  ifindex: number,
): Occupant | undefined {
  return occupants(syscalls, ifindex)?.occupant;
}

/** Puts a program without a link back where it stood; the kernel's words if that fails. */
export function restoreReplaced(
  syscalls: Syscalls,
  ifindex: number,
  { fd, mode }: Pick<ReplacedProgram, "fd" | "mode">,
): string | undefined {
  return setInterfaceXdp(syscalls, ifindex, {
    fd,
    expectedFd: undefined,
    mode,
  });
}

export interface Occupant {
  readonly id: number;
  readonly name: string;
  readonly mode: XdpMode;
  /** Id of the link that holds it, if one does. */
  readonly link: number | undefined;
}

function occupants(
  syscalls: Syscalls,
  ifindex: number,
): { name: string; occupant: Occupant | undefined } | undefined {
  const found = interfaceXdp(syscalls, ifindex);
  if (found === undefined) return undefined;
  const [first] = found.programs;
  if (first === undefined) return { name: found.name, occupant: undefined };
  const fd = openProgram(syscalls, first.id);
  let name = "";
  if (fd !== undefined) {
    name = programInfo(syscalls, fd).name;
    syscalls.close(fd);
  }
  const holder = links(syscalls).find(
    (link) =>
      link.type === "xdp" &&
      link.ifindex === ifindex &&
      link.programId === first.id,
  );
  return {
    name: found.name,
    occupant: { ...first, name, link: holder?.id },
  };
}

/** Says what is attached and what can be done about it. */
export function busy(name: string, occupant: Occupant): InputError {
  const what = `${name} has XDP program ${occupant.name || "without name"} (id ${occupant.id}, ${occupant.mode})`;
  return occupant.link === undefined
    ? new InputError(`${what} already`, {
        code: "xdp-busy",
        fix: "--replace takes its place",
      })
    : new InputError(
        `${what} already, held by link ${occupant.link}, which only its owner can replace`,
        {
          code: "xdp-busy",
          fix: `bpftool link detach id ${occupant.link} takes it off`,
        },
      );
}

interface Takeover {
  readonly ifindex: number;
  readonly name: string;
  readonly occupant: Occupant;
  readonly create: () => number;
  readonly mode: XdpMode | undefined;
}

function takePlace(syscalls: Syscalls, takeover: Takeover): XdpLink {
  const { ifindex, name, occupant, create, mode } = takeover;
  const old = openProgram(syscalls, occupant.id);
  if (old === undefined) return new XdpLink(syscalls, created(create()));
  const removed = setInterfaceXdp(syscalls, ifindex, {
    fd: undefined,
    expectedFd: old,
    mode: occupant.mode,
  });
  if (removed !== undefined) {
    syscalls.close(old);
    throw new InputError(
      `${name}: program ${occupant.name} (id ${occupant.id}) does not make way: ${removed}`,
      { code: "xdp-busy" },
    );
  }
  const fd = create();
  if (fd >= 0) return new XdpLink(syscalls, fd, { ...occupant, fd: old });
  const back = restoreReplaced(syscalls, ifindex, {
    fd: old,
    mode: occupant.mode,
  });
  syscalls.close(old);
  throw back === undefined
    ? refused(syscalls, { name, mode, errno: -fd })
    : new InputError(
        `${name}: attaching failed with ${syscalls.errorName(-fd)}, and putting program ${occupant.name} back with ${back}`,
        { code: "xdp-replace" },
      );

  function created(code: number): number {
    if (code >= 0) return code;
    throw refused(syscalls, { name, mode, errno: -code });
  }
}

interface Refused {
  readonly name: string;
  readonly mode: XdpMode | undefined;
  readonly errno: number;
}

/** The kernel gives no words with a link's errno; these are from dev.c and the drivers. */
function refused(
  syscalls: Syscalls,
  { name, mode, errno }: Refused,
): InputError | UnsupportedError {
  const code = syscalls.errorName(errno);
  const native = mode === "native" || mode === undefined;
  const words: Readonly<Record<string, readonly [string, string?]>> = {
    EPERM: ["no permission to attach", "run as root, or with CAP_NET_ADMIN"],
    EOPNOTSUPP: [
      `the driver has no XDP in ${mode ?? "this"} mode`,
      "--mode skb works with every driver",
    ],
    EBUSY: ["an XDP program is attached already"],
    EEXIST: ["an XDP program of another mode is attached already"],
    ENOSPC: [
      "the driver has too few queues for XDP: veth wants as many receive queues as its peer sends on",
      `ethtool -L on the peer of ${name}: tx no more than ${name}'s rx`,
    ],
    ERANGE: [
      "packets may be too big for XDP: the peer's MTU is more than a page holds",
      "lower the MTU, or use a program of section xdp.frags",
    ],
    ENODEV: ["the interface went away"],
    EINVAL:
      mode === "hw"
        ? [
            "the program is not the device's own, as hw mode wants it",
            "leave --mode out",
          ]
        : [
            native
              ? "the driver refused XDP (often: MTU or queue count)"
              : "the kernel refused the program for this interface",
            "--mode skb works with every driver",
          ],
  };
  const [text, fix] = words[code] ?? ["the kernel refused to attach"];
  return new UnsupportedError(`${name}: ${text} (${code})`, {
    feature: "XDP",
    ...(fix === undefined ? {} : { fix }),
  });
}
