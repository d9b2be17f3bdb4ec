/**
 * Interfaces with wanted numbers and many queues, in a network namespace of their
 * own: test runs and device maps take only interfaces that exist, and a run shall
 * not depend on those of the machine. Routes and sockets are absent there too.
 *
 * Made as veth pairs that stay down; they die with the namespace, which dies with
 * `close` or the process. The calling thread is inside only during `within`.
 *
 * Source: include/uapi/linux/{netlink,rtnetlink,if_link,veth}.h; rtnetlink(7).
 */
import { UnsupportedError } from "../../../base/index.ts";
import { makeNamespace, type NetworkNamespace } from "../system/namespace.ts";
import { memory, type Syscalls } from "../syscalls.ts";

/** Receive queues of each; a test run may name any of them. */
export const portQueues = 64;

const netlink = { family: 16, raw: 3, route: 0 } as const;
const newLink = 16;
/** NLM_F_REQUEST | ACK | EXCL | CREATE. */
const flags = 0x1 | 0x4 | 0x200 | 0x400;
// prettier-ignore
const attribute = { name: 3, linkInfo: 18, transmitQueues: 31, receiveQueues: 32, kind: 1, data: 2, peer: 1 } as const;

export class PrivatePorts {
  readonly #syscalls: Syscalls;
  readonly #namespace: NetworkNamespace;
  readonly #made = new Set<number>([1]);
  #spare = 1_000_000;

  constructor(syscalls: Syscalls) {
    this.#syscalls = syscalls;
    this.#namespace = makeNamespace(syscalls);
  }

  /** Runs `work` with this thread inside; it must not be asynchronous. */
  within<T>(work: () => T): T {
    return this.#namespace.run(work);
  }

  /** Makes those that are not there yet. */
  provide(ifindexes: readonly number[]): void {
    const wanted = [...new Set(ifindexes)].filter(
      (ifindex) => ifindex > 0 && !this.#made.has(ifindex),
    );
    if (wanted.length === 0) return;
    this.within(() => {
      for (let at = 0; at < wanted.length; at += 2)
        this.#makePair(wanted[at] ?? 0, wanted[at + 1] ?? this.#spare++);
    });
  }

  close(): void {
    this.#namespace.close();
  }

  #makePair(first: number, second: number): void {
    const { call, close, errorName } = this.#syscalls;
    const request = toMemory(pairRequest(first, second));
    const answer = memory(1024);
    const { family, raw, route } = netlink;
    const socket = call("socket", family, raw, route);
    let code = socket;
    if (socket >= 0) {
      code = call("sendto", socket, request, request.length, 0, 0, 0);
      if (code >= 0)
        code = call("recvfrom", socket, answer, answer.length, 0, 0, 0);
      if (code >= 0) code = answer.readInt32LE(16);
      close(socket);
    }
    if (code < 0)
      throw new UnsupportedError(
        `no interface ${first} can be made for test runs (${errorName(-code)})`,
        { feature: "veth interfaces" },
      );
    this.#made.add(first).add(second);
  }
}

function pairRequest(first: number, second: number): Uint8Array {
  const peer = record(
    attribute.peer,
    linkHeader(second),
    ...linkAttributes(second),
  );
  const body = [
    linkHeader(first),
    ...linkAttributes(first),
    record(
      attribute.linkInfo,
      record(attribute.kind, new TextEncoder().encode("veth")),
      record(attribute.data, peer),
    ),
  ];
  const length = body.reduce((sum, part) => sum + part.length, 16);
  const head = new Uint8Array(16);
  const view = new DataView(head.buffer);
  view.setUint32(0, length, true);
  view.setUint16(4, newLink, true);
  view.setUint16(6, flags, true);
  return joined([head, ...body]);
}

/** `struct ifinfomsg`. */
function linkHeader(ifindex: number): Uint8Array {
  const head = new Uint8Array(16);
  new DataView(head.buffer).setInt32(4, ifindex, true);
  return head;
}

function linkAttributes(ifindex: number): Uint8Array[] {
  return [
    record(attribute.name, new TextEncoder().encode(`divisi${ifindex}\0`)),
    record(attribute.transmitQueues, word(1)),
    record(attribute.receiveQueues, word(portQueues)),
  ];
}

function record(type: number, ...parts: readonly Uint8Array[]): Uint8Array {
  const content = joined(parts);
  const bytes = new Uint8Array(4 + ((content.length + 3) & ~3));
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 4 + content.length, true);
  view.setUint16(2, type, true);
  bytes.set(content, 4);
  return bytes;
}

function word(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

function toMemory(bytes: Uint8Array): Buffer {
  const held = memory(bytes.length);
  held.set(bytes);
  return held;
}
