/**
 * The XDP part of rtnetlink: which program an interface has, and setting one that
 * belongs to no link. Everything else about links is bpf(2) (../links/link.ts).
 *
 *   struct nlmsghdr   length u32, type u16, flags u16, sequence u32, port u32
 *   struct ifinfomsg  family u8, pad u8, type u16, index s32, flags u32, change u32
 *   attribute         length u16, type u16, payload, padded to 4 bytes
 *
 * Source: include/uapi/linux/netlink.h, rtnetlink.h, if_link.h; net/core/rtnetlink.c.
 */
import { UnsupportedError } from "../../../base/index.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const setLink = 19;
const getLink = 18;
const newLink = 16;
const errorMessage = 2;
const done = 3;
const request = 1;
const acknowledge = 4;
const dump = 0x300;
/** IFLA_IFNAME, IFLA_XDP with its members, NLMSGERR_ATTR_MSG. */
// prettier-ignore
const attribute = { name: 3, xdp: 43, xdpFd: 1, xdpAttached: 2, xdpFlags: 3, xdpProgramId: 4, xdpDriver: 5, xdpGeneric: 6, xdpHardware: 7, xdpExpected: 8, errorText: 1 } as const;
const ENODEV = 19;

export type XdpMode = "native" | "skb" | "hw";

/** XDP_FLAGS_* of if_link.h by mode. */
export const modeFlags = { skb: 2, native: 4, hw: 8 } as const;
/** XDP_FLAGS_REPLACE: only if the expected program is there. */
const replaceFlag = 16;

export interface InterfaceXdp {
  readonly ifindex: number;
  readonly name: string;
  /** Programs by mode; at most one outside of `hw`. */
  readonly programs: readonly {
    readonly mode: XdpMode;
    readonly id: number;
  }[];
}

/** In the calling thread's namespace; undefined when there is no such interface. */
export function interfaceXdp(
  syscalls: Syscalls,
  ifindex: number,
): InterfaceXdp | undefined {
  const reply = ask(syscalls, getLink, ifindex, []);
  if (reply.errno === ENODEV) return undefined;
  if (reply.errno !== 0) throw failure(syscalls, reply);
  return describe(reply.body);
}

/** Every interface of the calling thread's namespace, by index. */
export function interfaces(syscalls: Syscalls): readonly InterfaceXdp[] {
  return withSocket(syscalls, (socket) => {
    send(syscalls, socket, message(getLink, request | dump, 0, []));
    const found: InterfaceXdp[] = [];
    for (;;) {
      const bytes = receive(syscalls, socket);
      for (let at = 0; at + 16 <= bytes.length;) {
        const length = bytes.readUInt32LE(at);
        const type = bytes.readUInt16LE(at + 4);
        if (type === done || length < 16) return found;
        if (type === newLink)
          found.push(describe(bytes.subarray(at + 16, at + length)));
        at += (length + 3) & ~3;
      }
    }
  });
}

/** From `struct ifinfomsg` and what follows it. */
function describe(body: Buffer): InterfaceXdp {
  const found = attributesOf(body.subarray(16));
  const xdp = attributesOf(found.get(attribute.xdp) ?? Buffer.alloc(0));
  const id = (type: number): number => xdp.get(type)?.readUInt32LE(0) ?? 0;
  // One program stands alone; several come each under its mode.
  const attached = xdp.get(attribute.xdpAttached)?.readUInt8(0) ?? 0;
  const single = id(attribute.xdpProgramId);
  const modes = [
    ["native", attribute.xdpDriver, 1],
    ["skb", attribute.xdpGeneric, 2],
    ["hw", attribute.xdpHardware, 3],
  ] as const;
  return {
    ifindex: body.readInt32LE(4),
    name: zeroEnded(found.get(attribute.name)),
    programs: modes.flatMap(([mode, type, alone]) => {
      const program = id(type) || (attached === alone ? single : 0);
      return program === 0 ? [] : [{ mode, id: program }];
    }),
  };
}

export interface SetXdp {
  /** The program to set, or none. */
  readonly fd: number | undefined;
  /** The program that must be there; undefined: none may be. */
  readonly expectedFd: number | undefined;
  readonly mode: XdpMode;
}

/** Sets or removes a program that belongs to no link; the kernel's words on failure. */
export function setInterfaceXdp(
  syscalls: Syscalls,
  ifindex: number,
  { fd, expectedFd, mode }: SetXdp,
): string | undefined {
  const members = [
    [attribute.xdpFd, fd ?? -1],
    [attribute.xdpFlags, modeFlags[mode] | replaceFlag],
    [attribute.xdpExpected, expectedFd ?? -1],
  ] as const;
  const reply = ask(syscalls, setLink, ifindex, [
    [
      attribute.xdp,
      Buffer.concat(members.map(([type, value]) => encoded(type, word(value)))),
    ],
  ]);
  if (reply.errno === 0) return undefined;
  const name = syscalls.errorName(reply.errno);
  return reply.text === "" ? name : `${name}: ${reply.text}`;
}

interface Reply {
  readonly errno: number;
  /** The kernel's words. */
  readonly text: string;
  /** What follows the message header. */
  readonly body: Buffer;
}

function ask(
  syscalls: Syscalls,
  type: number,
  ifindex: number,
  given: readonly (readonly [number, Buffer])[],
): Reply {
  const flags = type === getLink ? request : request | acknowledge;
  return withSocket(syscalls, (socket) => {
    send(syscalls, socket, message(type, flags, ifindex, given));
    return parse(receive(syscalls, socket));
  });
}

function withSocket<T>(syscalls: Syscalls, work: (socket: number) => T): T {
  // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE
  const socket = syscalls.call("socket", 16, 3 | 0x80000, 0);
  if (socket < 0) throw failure(syscalls, { errno: -socket, text: "" });
  try {
    const one = memory(4);
    one.writeUInt32LE(1);
    // SOL_NETLINK, NETLINK_EXT_ACK: failures come with words.
    syscalls.call("setsockopt", socket, 270, 11, one, 4);
    return work(socket);
  } finally {
    syscalls.close(socket);
  }
}

function message(
  type: number,
  flags: number,
  ifindex: number,
  given: readonly (readonly [number, Buffer])[],
): Buffer {
  const payload = Buffer.concat(given.map((each) => encoded(...each)));
  const bytes = memory(32 + payload.length);
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.writeUInt16LE(type, 4);
  bytes.writeUInt16LE(flags, 6);
  bytes.writeInt32LE(ifindex, 20);
  payload.copy(bytes, 32);
  return bytes;
}

function send(syscalls: Syscalls, socket: number, bytes: Buffer): void {
  const sent = syscalls.call("sendto", socket, bytes, bytes.length, 0);
  if (sent < 0) throw failure(syscalls, { errno: -sent, text: "" });
}

function receive(syscalls: Syscalls, socket: number): Buffer {
  const reply = memory(1 << 16);
  const size = syscalls.call("recvfrom", socket, reply, reply.length, 0);
  if (size < 0) throw failure(syscalls, { errno: -size, text: "" });
  return reply.subarray(0, size);
}

function parse(reply: Buffer): Reply {
  const type = reply.readUInt16LE(4);
  if (type === newLink) return { errno: 0, text: "", body: reply.subarray(16) };
  if (type !== errorMessage || reply.length < 36)
    throw new UnsupportedError(`rtnetlink answered with type ${type}`, {
      feature: "rtnetlink",
    });
  const errno = -reply.readInt32LE(16);
  // NLM_F_CAPPED: of the request only its header comes back.
  const isCapped = (reply.readUInt16LE(6) & 0x100) !== 0;
  const echoed = isCapped ? 16 : reply.readUInt32LE(20);
  const words = attributesOf(reply.subarray(20 + ((echoed + 3) & ~3)));
  return {
    errno,
    text: zeroEnded(words.get(attribute.errorText)),
    body: Buffer.alloc(0),
  };
}

function attributesOf(bytes: Buffer): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = 0;
  while (at + 4 <= bytes.length) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    // The two top bits are flags.
    const type = bytes.readUInt16LE(at + 2) & 0x3fff;
    found.set(type, bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

function encoded(type: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc((4 + payload.length + 3) & ~3);
  bytes.writeUInt16LE(4 + payload.length, 0);
  bytes.writeUInt16LE(type, 2);
  payload.copy(bytes, 4);
  return bytes;
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  return bytes;
}

function zeroEnded(bytes: Buffer | undefined): string {
  if (bytes === undefined) return "";
  const end = bytes.indexOf(0);
  return bytes.toString("utf8", 0, end < 0 ? bytes.length : end);
}

function failure(
  syscalls: Syscalls,
  { errno, text }: Pick<Reply, "errno" | "text">,
): UnsupportedError {
  return new UnsupportedError(
    `rtnetlink: ${syscalls.errorName(errno)}${text === "" ? "" : ` (${text})`}`,
    { feature: "rtnetlink" },
  );
}
