/**
 * A raw packet socket: the simplest way to send frames out of an interface and to see
 * what its stack is given. Slow (a system call a frame), and everybody's oracle.
 *
 * Sending picks queue `CPU mod queues` (PACKET_QDISC_BYPASS). On receiving the kernel
 * takes a VLAN tag out of the frame and tells it beside: it is put back.
 *
 * Source: packet(7); include/uapi/linux/if_packet.h.
 */
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { memory, type Syscalls } from "../syscalls.ts";
import { withVlanTag } from "./vlan-tag.ts";

const AF_PACKET = 17;
const SOCK_RAW = 3;
/** ETH_P_ALL in network order. */
const allProtocols = 0x0300;
const SOL_PACKET = 263;
const SOL_SOCKET = 1;
const receiveBufferForce = 33;
// prettier-ignore
const option = { auxiliary: 8, bypass: 20, ignoreOutgoing: 23 } as const;
const dontWait = 0x40;
const EAGAIN = 11;
const ENOBUFS = 105;
const mostBytes = 65_536;
const headerSize = 16;
const status = { vlanValid: 0x10, protocolValid: 0x40 } as const;
const usualProtocol = 0x8100;

export class PacketSocket {
  readonly #syscalls: Syscalls;
  readonly #fd: number;
  readonly #frame = memory(mostBytes);
  readonly #control = memory(64);
  readonly #message = memory(56);
  readonly #vector = memory(16);
  readonly #out = memory(mostBytes);

  /** In the calling thread's namespace. Its own frames are not received. */
  constructor(syscalls: Syscalls, ifindex: number) {
    this.#syscalls = syscalls;
    // Without a protocol nothing arrives before it is bound.
    this.#fd = syscalls.call("socket", AF_PACKET, SOCK_RAW, 0);
    if (this.#fd < 0)
      throw new UnsupportedError(
        `no packet socket can be had (${syscalls.errorName(-this.#fd)})`,
        { feature: "AF_PACKET", fix: "run as root, or with CAP_NET_RAW" },
      );
    for (const name of Object.values(option)) this.#set(SOL_PACKET, name, 1);
    this.#set(SOL_SOCKET, receiveBufferForce, 16 << 20);
    const address = memory(20);
    address.writeUInt16LE(AF_PACKET, 0);
    address.writeUInt16LE(allProtocols, 2);
    address.writeUInt32LE(ifindex, 4);
    const code = syscalls.call("bind", this.#fd, address, address.length);
    if (code >= 0) return;
    syscalls.close(this.#fd);
    throw new InputError(`there is no interface with index ${ifindex}`, {
      code: "interface-unknown",
    });
  }

  /** False: not now, the queue is full. */
  send(frame: Uint8Array): boolean {
    this.#out.set(frame);
    const { call, errorName } = this.#syscalls;
    const code = call("sendto", this.#fd, this.#out, frame.length, dontWait, 0);
    if (code === frame.length) return true;
    if (code === -EAGAIN || code === -ENOBUFS) return false;
    throw new InputError(
      `a frame of ${frame.length} bytes cannot be sent (${errorName(-code)})`,
      { code: "packet-send" },
    );
  }

  /** Frames that arrived since the last call. */
  receive(): Uint8Array[] {
    const frames: Uint8Array[] = [];
    for (;;) {
      const length = this.#receiveOne();
      if (length < 0) return frames;
      const frame = Uint8Array.from(this.#frame.subarray(0, length));
      const tag = this.#tag();
      frames.push(tag === undefined ? frame : withVlanTag(frame, tag));
    }
  }

  close(): void {
    this.#syscalls.close(this.#fd);
  }

  #receiveOne(): number {
    const { address, call } = this.#syscalls;
    this.#vector.writeBigUInt64LE(address(this.#frame), 0);
    this.#vector.writeBigUInt64LE(BigInt(mostBytes), 8);
    this.#message.fill(0);
    this.#message.writeBigUInt64LE(address(this.#vector), 16);
    this.#message.writeBigUInt64LE(1n, 24);
    this.#message.writeBigUInt64LE(address(this.#control), 32);
    this.#message.writeBigUInt64LE(BigInt(this.#control.length), 40);
    return call("recvmsg", this.#fd, this.#message, dontWait);
  }

  /** From `struct tpacket_auxdata` of the message just read. */
  #tag(): { readonly protocol: number; readonly tag: number } | undefined {
    const length = Number(this.#message.readBigUInt64LE(40));
    if (length < headerSize + 20) return undefined;
    const flags = this.#control.readUInt32LE(headerSize);
    if ((flags & status.vlanValid) === 0) return undefined;
    const protocol =
      (flags & status.protocolValid) === 0
        ? usualProtocol
        : this.#control.readUInt16LE(headerSize + 18);
    return { protocol, tag: this.#control.readUInt16LE(headerSize + 16) };
  }

  #set(level: number, name: number, value: number): void {
    const held = memory(4);
    held.writeUInt32LE(value);
    this.#syscalls.call("setsockopt", this.#fd, level, name, held, 4);
  }
}
