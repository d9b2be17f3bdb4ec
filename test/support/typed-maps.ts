/** Maps with the types that a compiler would have written, for programs from text. */
import type { PacketInput } from "#interp";
import type { MapSpec } from "#isa";
import type { Btf } from "#object";

const int = (name: string, size: 4 | 8) =>
  ({
    kind: "int",
    name,
    size,
    bits: 8 * size,
    offset: 0,
    encoding: 0,
  }) as const;

const btf: Btf = {
  types: [
    { kind: "void" },
    int("unsigned int", 4),
    int("unsigned long", 8),
    { kind: "array", type: 2, index: 1, count: 2 },
  ],
};

const counter: MapSpec = {
  name: "counter",
  type: "array",
  keySize: 4,
  valueSize: 8,
  maxEntries: 1,
  flags: 0,
  section: ".maps",
  readOnly: false,
  btfKey: 1,
  btfValue: 2,
};

/** `pair`: two 64-bit words. */
export const typed = { btf, counter, pair: 3 } as const;

export const emptyPacket: PacketInput = {
  data: new Uint8Array(64),
  ifindex: 1,
  rxQueue: 0,
  cpu: 0,
  time: 0n,
};
