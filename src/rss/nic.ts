/**
 * A model of the NIC: which queue gets a frame. Parses the frame by itself and
 * knows nothing of requirements or of the solver: it judges them.
 *
 * A frame whose class has no hash goes to table entry 0.
 */
import { Bug, fromHex } from "../base/index.ts";
import { fieldPosition, parseFrame, type FieldName } from "../packet/index.ts";
import {
  classOf,
  type ClassFields,
  type HashFields,
  type PacketClass,
} from "./packet-class.ts";
import { ToeplitzTable } from "./toeplitz.ts";

/** The set-up of one port. */
export interface PortConfig {
  /** Hexadecimal. */
  readonly key: string;
  readonly fields: ClassFields;
  /** Queue of each table entry; a power of two of them. */
  readonly table: readonly number[];
  /** VLAN tags that the parser looks behind; default 2. */
  readonly vlanTags?: number;
}

export interface QueueChoice {
  readonly class: PacketClass;
  /** Null: this class has no hash. */
  readonly hash: number | null;
  readonly entry: number;
  readonly queue: number;
}

const widestInput = 36;

/** A port's NIC, ready for many frames. */
export class NicModel {
  readonly #fields: ClassFields;
  readonly #vlanTags: number | undefined;
  readonly #table: readonly number[];
  readonly #hash: ToeplitzTable;
  readonly #input = new Uint8Array(widestInput);

  constructor({ key, fields, table, vlanTags }: PortConfig) {
    const { length } = table;
    if (length === 0 || (length & (length - 1)) !== 0)
      throw new Bug(`a table of ${length} entries`);
    this.#fields = fields;
    this.#vlanTags = vlanTags;
    this.#table = table;
    this.#hash = new ToeplitzTable(fromHex(key), widestInput);
  }

  queueOf(frame: Uint8Array): QueueChoice {
    const parsed = parseFrame(frame);
    const name = classOf(parsed, this.#vlanTags);
    const hashed = this.#fields[name];
    if (hashed === null)
      throw new Bug(`what this NIC hashes of ${name} packets is not known`);
    let length = 0;
    for (const field of fieldNames(name, hashed)) {
      const first = fieldPosition(parsed, field);
      if (first === undefined) return this.#choice(name, null);
      const size = field.startsWith("l4") ? 2 : name.endsWith("6") ? 16 : 4;
      const at = first >>> 3;
      this.#input.set(frame.subarray(at, at + size), length);
      length += size;
    }
    if (length === 0) return this.#choice(name, null);
    return this.#choice(name, this.#hash.hash(this.#input, length));
  }

  #choice(name: PacketClass, hash: number | null): QueueChoice {
    const entry = ((hash ?? 0) & (this.#table.length - 1)) >>> 0;
    return { class: name, hash, entry, queue: this.#table[entry] ?? 0 };
  }
}

/** For a single frame. */
export function queueOf(frame: Uint8Array, config: PortConfig): QueueChoice {
  return new NicModel(config).queueOf(frame);
}

function fieldNames(
  name: PacketClass,
  hashed: HashFields,
): readonly FieldName[] {
  const version = name.endsWith("6") ? "ipv6" : "ipv4";
  const all = {
    s: `${version}.src`,
    d: `${version}.dst`,
    f: "l4.sport",
    n: "l4.dport",
  } as const;
  return (["s", "d", "f", "n"] as const)
    .filter((letter) => hashed.includes(letter))
    .map((letter) => all[letter]);
}
