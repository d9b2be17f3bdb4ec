/**
 * From a record's key to its table entry: what rebalancing asks of a sharded object.
 *
 * An access makes key bits of packet bits, the NIC makes the entry's bits of packet
 * bits; both are affine. Where the entry's bits lie in the span of the key's bits, the
 * entry is an affine function of the key, found by elimination. Any access of a written
 * object will do: packets that reach one cell have one entry, so that all accesses
 * agree on it wherever they meet.
 */
import type { Key, StateObject, StateReport } from "../analysis/index.ts";
import type { FieldBit } from "../packet/index.ts";
import {
  hashInput,
  hashView,
  type PacketClass,
  type PortKey,
} from "../rss/index.ts";
import { fromHex } from "../base/index.ts";
import { familiesOf, type Family } from "./families.ts";
import { portsOf } from "./claims.ts";
import { packetClassesOf } from "./packet-classes.ts";
import type { Port } from "./plan.ts";

/** As the engine's RecordMap. */
export interface RecordEntries {
  readonly map: string;
  readonly kind: "hash" | "array";
  readonly masks: readonly number[];
  readonly constant: number;
  /** Whose table the entry is of; ports of one key group agree. */
  readonly port: string;
}

/** What the NIC hashes at each port. */
export interface NicHash {
  readonly ports: readonly Port[];
  readonly nic: readonly Pick<PortKey, "name" | "key" | "fields">[];
  readonly tableBits: number;
}

/** Why records of an object cannot move. */
export interface Immovable {
  readonly object: string;
  readonly text: string;
}

/** Of every sharded object that is written; or what stands in the way. */
export function recordEntries(
  report: StateReport,
  sharded: ReadonlySet<string>,
  nic: NicHash,
): {
  readonly records: readonly RecordEntries[];
  readonly immovable: readonly Immovable[];
  /** Entries that an allocator numbers, with it and what follows its indices. */
  readonly chains: readonly Family[];
} {
  const records: RecordEntries[] = [];
  const immovable: Immovable[] = [];
  const chains = familiesOf(report.objects).filter(
    ({ head, allocator }) =>
      allocator !== undefined && head !== allocator && sharded.has(head.name),
  );
  // Cells, and what has a place by index, go with the entry that has the index.
  const following = new Set(
    chains.flatMap(({ members }) => members.slice(1).map(({ name }) => name)),
  );
  for (const object of report.objects) {
    if (!sharded.has(object.name) || !isWritten(object)) continue;
    if (following.has(object.name)) continue;
    const kind = kindOf(object);
    if (kind === undefined) {
      immovable.push({
        object: object.name,
        text: `elements of a map of type ${object.type} have an order or a place that cannot move`,
      });
      continue;
    }
    const found = entriesOf(object, nic);
    if (found === undefined)
      immovable.push({
        object: object.name,
        text: "the table entry of an element cannot be worked out from its key",
      });
    else records.push({ map: object.name, kind, ...found });
  }
  return { records, immovable, chains };
}

const isWritten = ({ access }: StateObject): boolean =>
  access === "read-write" || access === "add-only";

function kindOf({ type }: StateObject): "hash" | "array" | undefined {
  return type === "hash" || type === "array" ? type : undefined;
}

function entriesOf(
  object: StateObject,
  { ports, nic, tableBits }: NicHash,
): Pick<RecordEntries, "masks" | "constant" | "port"> | undefined {
  for (const { key, guard } of object.accesses)
    for (const { name } of portsOf({ guard }, ports)) {
      const port = nic.find((each) => each.name === name);
      if (port === undefined) continue;
      for (const packets of packetClassesOf(guard)) {
        const fields = port.fields[packets];
        if (fields === null || fields === "") continue;
        const view = hashView(fromHex(port.key), packets, fields, tableBits);
        const found = solved(key, hashInput(packets, fields), {
          windows: view.windows,
          tableBits,
          packets,
        });
        if (found !== undefined) return { ...found, port: name };
      }
    }
  return undefined;
}

/** The entry as a function of the key, if it is one for packets of this class. */
function solved(
  key: Key,
  input: readonly FieldBit[],
  hash: {
    readonly windows: readonly number[];
    readonly tableBits: number;
    readonly packets: PacketClass;
  },
): Pick<RecordEntries, "masks" | "constant"> | undefined {
  if (key.bits.length === 0) return undefined;
  const places = new Map<string, bigint>();
  const place = ({ field, bit }: FieldBit): bigint => {
    const name = `${field.replace(/^(tcp|udp)\./, "l4.")} ${bit}`;
    const known = places.get(name) ?? 1n << BigInt(places.size);
    places.set(name, known);
    return known;
  };
  // Each row: packet bits, and which key bits were added to get them.
  const rows: { bits: bigint; keys: bigint }[] = [];
  const reduced = (
    bits: bigint,
    keys: bigint,
  ): { bits: bigint; keys: bigint } => {
    let rest = { bits, keys };
    for (const row of rows) {
      const lowest = row.bits & -row.bits;
      if ((rest.bits & lowest) !== 0n)
        rest = { bits: rest.bits ^ row.bits, keys: rest.keys ^ row.keys };
    }
    return rest;
  };
  for (const [at, bit] of key.bits.entries()) {
    if (bit.kind !== "linear" || bit.bits.length === 0) continue;
    const bits = bit.bits.reduce((sum, each) => sum ^ place(each), 0n);
    const row = reduced(bits, 1n << BigInt(at));
    if (row.bits !== 0n) rows.push(row);
  }
  const masks = Array.from({ length: key.bits.length }, () => 0);
  let constant = 0;
  for (let low = 0; low < hash.tableBits; low++) {
    const wanted = input.reduce(
      (sum, bit, at) =>
        ((hash.windows[at] ?? 0) >>> low) & 1 ? sum ^ place(bit) : sum,
      0n,
    );
    const { bits, keys } = reduced(wanted, 0n);
    if (bits !== 0n) return undefined;
    for (const [at, bit] of key.bits.entries()) {
      if (((keys >> BigInt(at)) & 1n) === 0n) continue;
      masks[at] = (masks[at] ?? 0) | (1 << low);
      if (bit.kind === "linear" && bit.constant === 1) constant ^= 1 << low;
    }
  }
  return { masks, constant };
}
