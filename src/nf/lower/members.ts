/**
 * `owner.name` and `owner[index]`, read and assigned: fields of headers, of values
 * in maps, of structs that live in values, and what `pkt` and `ctx` have.
 */
import type { ts } from "../front/typescript-api.ts";
import { readClock } from "./clock.ts";
import { branchOn } from "./compare.ts";
import {
  readElement,
  readLocalElement,
  readTable,
  writeElement,
  writeLocalElement,
} from "./elements.ts";
import { frameBytes, lengthOf, payloadOf } from "./frame-bytes.ts";
import { assignField, fieldOf, readField } from "./header-fields.ts";
import { networkHeader, packetHeader, transportHeader } from "./headers.ts";
import type { Outcome } from "./join.ts";
import { type Lowering, type PacketWords, cannotLower } from "./lowering.ts";
import { addressOf, storeValue } from "./memory.ts";
import { getField, setField } from "./objects.ts";
import { scalarRange } from "./scalars.ts";
import { type HeaderValue, type Value, constantValue } from "./value.ts";

/** bpf_get_prandom_u32. */
const randomHelper = 7;

export function readMember(
  lowering: Lowering,
  node: ts.Node,
  owner: Value,
  name: string,
): readonly Outcome[] {
  const { cursor } = lowering;
  const one = (value: Value): readonly Outcome[] => [
    { path: cursor.path, value },
  ];
  switch (owner.kind) {
    case "optional":
      return readMember(lowering, node, owner.payload, name);
    case "constant":
      return one(constantValue(memberOf(node, owner.value, name)));
    case "reference":
      if (name === "length" && owner.type.kind === "vector")
        return one(constantValue(owner.type.count));
      return one(getField(cursor, owner, name));
    case "object":
      if (name === "length")
        return one(constantValue(lengthIn(lowering, owner)));
      return one(getField(cursor, owner, name));
    case "packet":
      return packetMember(lowering, node, name);
    case "context":
      return one(contextMember(lowering, node, name));
    case "header":
      return headerMember(lowering, node, owner, name);
    case "scalar":
    case "verdict":
      throw cannotLower(node, `a ${owner.kind} has no \`${name}\``);
  }
}

function memberOf(node: ts.Node, owner: unknown, name: string): unknown {
  if (
    (typeof owner === "object" && owner !== null) ||
    typeof owner === "function"
  )
    return Reflect.get(owner, name);
  throw cannotLower(node, `there is no \`${name}\` here`);
}

function lengthIn(
  { cursor }: Lowering,
  owner: Value & { readonly kind: "object" },
): number {
  const object = cursor.env.heap.get(owner.object);
  return object?.type?.kind === "vector"
    ? object.type.count
    : (object?.fields.size ?? 0);
}

export function needPacket(
  lowering: Lowering,
  node: ts.Node,
  what: "packet" | "port" = "packet",
): PacketWords {
  if (lowering.packet !== undefined) return lowering.packet;
  throw cannotLower(
    node,
    `a function marked @noinline does not see the ${what}`,
    what === "port" ? "pass it `ctx.port`" : "remove @noinline",
  );
}

function packetMember(
  lowering: Lowering,
  node: ts.Node,
  name: string,
): readonly Outcome[] {
  const { cursor } = lowering;
  const packet = needPacket(lowering, node);
  switch (name) {
    case "eth":
    case "vlan":
    case "ipv4":
    case "ipv6":
    case "tcp":
    case "udp":
    case "icmp":
    case "l4":
      return packetHeader(cursor, packet, name);
    case "length": {
      const value = lengthOf(cursor, packet, frameBytes(packet));
      return [{ value, path: cursor.path }];
    }
    default:
      throw cannotLower(node, `a packet has no \`${name}\``);
  }
}

function headerMember(
  lowering: Lowering,
  node: ts.Node,
  header: HeaderValue,
  name: string,
): readonly Outcome[] {
  const { cursor } = lowering;
  const field = fieldOf(header, name);
  if (field !== undefined) return readField(cursor, header, field);
  const packet = needPacket(lowering, node);
  switch (name) {
    case "ipv4":
    case "ipv6":
      return networkHeader(cursor, packet, name, header.offset + 4);
    case "tcp":
    case "udp":
    case "icmp":
    case "l4":
      return transportHeader(cursor, packet, header, name);
    case "payload": {
      const value = payloadOf(cursor, header);
      return [{ value, path: cursor.path }];
    }
    case "length": {
      const value = lengthOf(cursor, packet, header);
      return [{ value, path: cursor.path }];
    }
    default:
      throw cannotLower(node, `a header has no \`${name}\``);
  }
}

function contextMember(lowering: Lowering, node: ts.Node, name: string): Value {
  const { cursor, writer, program } = lowering;
  switch (name) {
    case "now":
      return readClock(lowering);
    case "port":
      needPacket(lowering, node, "port");
      return cursor.env.port ?? constantValue(0);
    case "random": {
      const word = writer.helper(cursor.block, randomHelper, []);
      const short = writer.unary(cursor.block, "zext32", word);
      return {
        kind: "scalar",
        js: "number",
        word: short,
        low: 0n,
        high: 2n ** 32n - 1n,
      };
    }
    default:
      return constantValue(memberOf(node, program.context, name));
  }
}

export function readIndex(
  lowering: Lowering,
  node: ts.ElementAccessExpression,
  owner: Value,
  index: Value,
): readonly Outcome[] {
  const { cursor } = lowering;
  if (owner.kind === "optional")
    return readIndex(lowering, node, owner.payload, index);
  if (index.kind === "constant")
    return readMember(lowering, node, owner, String(index.value));
  const range = scalarRange(index);
  if (range.low === range.high)
    return readMember(lowering, node, owner, String(range.low));
  const value = dynamicElement(lowering, owner, index);
  if (value === undefined)
    throw cannotLower(
      node,
      "an element of these cannot be chosen while packets are handled",
      "a loop with constant bounds, or scalars as elements",
    );
  return [{ path: cursor.path, value }];
}

function dynamicElement(
  lowering: Lowering,
  owner: Value,
  index: Value,
): Value | undefined {
  if (owner.kind === "reference" && owner.type.kind === "vector")
    return readElement(lowering, owner, index);
  if (owner.kind === "constant" && Array.isArray(owner.value))
    return readTable(lowering, owner.value, index);
  if (owner.kind !== "object") return undefined;
  const type = lowering.cursor.env.heap.get(owner.object)?.type;
  return type?.kind === "vector"
    ? readLocalElement(lowering, owner, type, index)
    : undefined;
}

export function assignMember(
  lowering: Lowering,
  node: ts.Node,
  owner: Value,
  given: { readonly name: string; readonly value: Value },
): void {
  const { cursor } = lowering;
  const { name, value } = given;
  switch (owner.kind) {
    case "optional":
      assignMember(lowering, node, owner.payload, given);
      return;
    case "object":
      mayAssign(lowering, node, owner.object);
      setField(cursor, owner.object, name, value);
      return;
    case "reference": {
      const type =
        owner.boxed === true && name === "value"
          ? { type: owner.type, offset: 0 }
          : owner.type.kind === "vector"
            ? {
                type: owner.type.element,
                offset: Number(name) * owner.type.element.size,
              }
            : owner.type.kind === "struct"
              ? owner.type.fields.find((field) => field.name === name)
              : undefined;
      if (type === undefined) break;
      const address = addressOf({
        ...owner,
        offset: owner.offset + type.offset,
      });
      storeValue(cursor, address, type.type, value);
      return;
    }
    case "header": {
      const field = fieldOf(owner, name);
      if (field?.assign === undefined) break;
      const packet = needPacket(lowering, node);
      assignField(cursor, packet, { header: owner, name, field, value });
      return;
    }
    case "constant":
    case "scalar":
    case "packet":
    case "context":
    case "verdict":
  }
  throw cannotLower(node, `\`${name}\` cannot be assigned here`);
}

/** Assigning to one of two structs that met would have to be seen through both names. */
function mayAssign(lowering: Lowering, node: ts.Node, object: number): void {
  if (lowering.cursor.env.heap.get(object)?.isMet !== true) return;
  throw cannotLower(
    node,
    "a struct that may be one of two by now cannot be assigned to",
    "copy it where paths meet: const mine = Name(either)",
  );
}

export function assignIndex(
  lowering: Lowering,
  node: ts.Node,
  owner: Value,
  given: { readonly index: Value; readonly value: Value },
): void {
  const { index, value } = given;
  if (owner.kind === "optional") {
    assignIndex(lowering, node, owner.payload, given);
    return;
  }
  const range = scalarRange(index);
  if (range.low === range.high) {
    assignMember(lowering, node, owner, { name: String(range.low), value });
    return;
  }
  if (owner.kind === "reference" && owner.type.kind === "vector") {
    writeElement(lowering, owner, index, value);
    return;
  }
  if (owner.kind === "object") {
    mayAssign(lowering, node, owner.object);
    const type = lowering.cursor.env.heap.get(owner.object)?.type;
    if (
      type?.kind === "vector" &&
      writeLocalElement(lowering, owner, type, given)
    )
      return;
  }
  throw cannotLower(node, "an element of these cannot be assigned");
}

/** For `owner?.name`: the outcomes where the owner is there, and the others. */
export function splitPresence(
  { cursor }: Lowering,
  outcomes: readonly Outcome[],
): { readonly there: readonly Outcome[]; readonly absent: readonly Outcome[] } {
  const there: Outcome[] = [];
  const absent: Outcome[] = [];
  for (const outcome of outcomes) {
    const { path, value } = outcome;
    if (value.kind === "optional") {
      cursor.paths = [path];
      const zero = cursor.constant(0);
      const is = branchOn(cursor, "jne", value.present, zero);
      for (const yes of is.yes) there.push({ path: yes, value: value.payload });
      for (const no of is.no)
        absent.push({ path: no, value: constantValue(undefined) });
    } else if (value.kind === "constant" && value.value === undefined)
      absent.push(outcome);
    else there.push(outcome);
  }
  return { there, absent };
}
