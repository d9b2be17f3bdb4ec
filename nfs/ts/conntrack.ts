/**
 * conntrack: follows the states of TCP connections; what does not fit is invalid.
 *
 * A connection is its protocol and its two endpoints, ordered by address (by port
 * where those are equal); `creator` sent its first SYN, `peer` is the other end. A
 * packet that fits neither, which happens between equal addresses, is "unknown". "=X": the flags are exactly X; "X":
 * X is among them. Times go to `ttl` (now + time) and are enforced by nobody here.
 *
 *   state        from     condition -> effect; else
 *   unknown               =SYN -> SYN_SENT, 120 s, sequence = seq + 1; else nothing
 *   SYN_SENT     creator  =SYN -> 120 s; else invalid
 *                peer     =SYN|ACK, ack = sequence -> SYN_RECV, 60 s,
 *                         sequence = seq + 1; else invalid
 *   SYN_RECV     creator  =ACK, ack = sequence -> ESTABLISHED, 5 days; else invalid
 *                peer     =SYN|ACK, ack = sequence -> 60 s; else invalid
 *   ESTABLISHED  any      FIN -> FIN_WAIT_1, 120 s, sequence = ack; else 5 days
 *   FIN_WAIT_1   peer     ACK, seq = sequence -> FIN_WAIT_2, 120 s, and on with the
 *                         next row; else invalid. creator: nothing
 *   FIN_WAIT_2   peer     FIN -> LAST_ACK, 30 s, sequence = ack; else 120 s.
 *                         creator: nothing
 *   LAST_ACK     any      ACK, seq = sequence -> forgotten; else 30 s
 *
 * seq + 1 counts in the lowest byte without carry, as the reference does: an
 * acknowledgement across a multiple of 256 is not recognised.
 *
 * An invalid packet is dropped, and changes nothing; all others pass: also those
 * with RST, UDP, and what finds the table full. What is no whole TCP or UDP packet
 * over IPv4, fragments included, is dropped. With `enforce` off every TCP and UDP
 * packet is sent back to where it came from instead.
 */
import {
  be16,
  be32,
  bool,
  drop,
  hashMap,
  nf,
  pass,
  struct,
  tcpFlags,
  u64,
  u8,
} from "divisi/nf";
import type { HashMap, Ipv4Header, TcpHeader, ValueOf } from "divisi/nf";
import { bounce } from "./shared/ethernet.ts";

const synSent = 1;
const synReceived = 2;
const established = 3;
const finWait1 = 4;
const finWait2 = 5;
const lastAck = 6;
/** Kept of no connection: it is deleted. */
const closed = 7;

const second = 1_000_000_000n;
const fiveDays = 432_000n;

const synAck = tcpFlags.syn | tcpFlags.ack;

const ConnectionKey = struct("connection_key", {
  first: be32,
  second: be32,
  first_port: be16,
  second_port: be16,
  protocol: u8,
});

const Connection = struct("connection", {
  ttl: u64,
  state: u8,
  /** The creator is the second endpoint. */
  address_reversed: bool,
  port_reversed: bool,
  sequence: be32,
});

type ConnectionKey = ValueOf<typeof ConnectionKey>;
type Connection = ValueOf<typeof Connection>;
type Connections = HashMap<typeof ConnectionKey, typeof Connection>;

/** The two endpoints in order: by address, or by port where those are equal. */
function keyOf(
  ip: Ipv4Header,
  tcp: TcpHeader,
  addressReversed: boolean,
  portReversed: boolean,
): ConnectionKey {
  return ConnectionKey({
    first: addressReversed ? ip.dst : ip.src,
    second: addressReversed ? ip.src : ip.dst,
    first_port: portReversed ? tcp.dport : tcp.sport,
    second_port: portReversed ? tcp.sport : tcp.dport,
    protocol: ip.protocol,
  });
}

/** One more, without carry out of the lowest byte. */
function next(sequence: number): number {
  return ((sequence & 0xffff_ff00) | ((sequence + 1) & 0xff)) >>> 0;
}

/** Moves to a state; `ttl` seconds are left. */
function enter(
  connection: Connection,
  state: number,
  now: bigint,
  ttl: bigint,
): void {
  connection.state = u8(state);
  connection.ttl = u64(now + ttl * second);
}

function inSynSent(
  connection: Connection,
  tcp: TcpHeader,
  isCreator: boolean,
  now: bigint,
): boolean {
  if (isCreator) {
    if (tcp.flags !== tcpFlags.syn) return false;
    enter(connection, synSent, now, 120n);
    return true;
  }
  if (tcp.flags !== synAck || tcp.ack !== connection.sequence) return false;
  enter(connection, synReceived, now, 60n);
  connection.sequence = next(tcp.seq);
  return true;
}

function inSynReceived(
  connection: Connection,
  tcp: TcpHeader,
  isCreator: boolean,
  now: bigint,
): boolean {
  if (tcp.ack !== connection.sequence) return false;
  if (isCreator) {
    if (tcp.flags !== tcpFlags.ack) return false;
    enter(connection, established, now, fiveDays);
    return true;
  }
  if (tcp.flags !== synAck) return false;
  enter(connection, synReceived, now, 60n);
  return true;
}

function inEstablished(
  connection: Connection,
  tcp: TcpHeader,
  now: bigint,
): void {
  if (!tcp.isFin) {
    enter(connection, established, now, fiveDays);
    return;
  }
  enter(connection, finWait1, now, 120n);
  connection.sequence = tcp.ack;
}

function inFinWait(
  connection: Connection,
  tcp: TcpHeader,
  isCreator: boolean,
  now: bigint,
): boolean {
  if (isCreator) return true;
  if (connection.state === finWait1) {
    if (!tcp.isAck) return false;
    if (tcp.seq !== connection.sequence) return false;
  }
  if (!tcp.isFin) {
    enter(connection, finWait2, now, 120n);
    return true;
  }
  enter(connection, lastAck, now, 30n);
  connection.sequence = tcp.ack;
  return true;
}

function inLastAck(connection: Connection, tcp: TcpHeader, now: bigint): void {
  const isLast = tcp.isAck && tcp.seq === connection.sequence;
  enter(connection, isLast ? closed : lastAck, now, 30n);
}

/** Moves the connection on; false: it does not expect the packet. */
function advance(
  connection: Connection,
  tcp: TcpHeader,
  isCreator: boolean,
  now: bigint,
): boolean {
  switch (connection.state) {
    case synSent:
      return inSynSent(connection, tcp, isCreator, now);
    case synReceived:
      return inSynReceived(connection, tcp, isCreator, now);
    case established:
      inEstablished(connection, tcp, now);
      return true;
    case lastAck:
      inLastAck(connection, tcp, now);
      return true;
    default:
      return inFinWait(connection, tcp, isCreator, now);
  }
}

/** Follows a packet without RST; false: it is invalid. */
function track(
  connections: Connections,
  ip: Ipv4Header,
  tcp: TcpHeader,
  now: bigint,
): boolean {
  const addressReversed = ip.src > ip.dst;
  const portReversed =
    ip.src === ip.dst ? tcp.sport > tcp.dport : addressReversed;
  const key = keyOf(ip, tcp, addressReversed, portReversed);

  const connection = connections.get(key);
  if (connection !== undefined) {
    const sameAddress = connection.address_reversed === addressReversed;
    const samePort = connection.port_reversed === portReversed;
    if (sameAddress === samePort) {
      const isExpected = advance(connection, tcp, sameAddress, now);
      if (connection.state === closed) connections.delete(key);
      return isExpected;
    }
  }
  if (tcp.flags === tcpFlags.syn) {
    connections.set(key, {
      ttl: u64(now + 120n * second),
      state: synSent,
      address_reversed: addressReversed,
      port_reversed: portReversed,
      sequence: next(tcp.seq),
    });
  }
  return true;
}

export default nf({
  name: "conntrack",
  config: { enforce: bool(true) },
  state: {
    connections: hashMap({
      key: ConnectionKey,
      value: Connection,
      capacity: 65_536,
    }),
  },
  handle(pkt, ctx) {
    const { connections } = ctx.state;
    const eth = pkt.eth;
    const ip = pkt.ipv4;
    if (eth === undefined || ip === undefined || ip.l4 === undefined)
      return drop;

    let isValid = true;
    const tcp = ip.tcp;
    if (tcp !== undefined && !tcp.isRst)
      isValid = track(connections, ip, tcp, ctx.now);

    if (!ctx.config.enforce) return bounce(eth);
    return isValid ? pass : drop;
  },
});
