/**
 * `lpmTrie`: values by IPv4 prefix; a look-up answers the longest prefix that
 * contains the address. In BPF an LPM_TRIE with the key { u32 length, be32 address }.
 *
 * A network function only reads it. It is filled from outside: by `initial` and
 * `set` in the plain JavaScript run, by the control side in the kernel.
 */
import { InputError } from "../../base/index.ts";
import { parsePrefix } from "../../packet/index.ts";
import { cellCodecOf, type Codec } from "./codec.ts";
import { checkCapacity, type MapEntry, type Part } from "./declaration.ts";
import { tooMany } from "./hash-map.ts";
import { be32, u32 } from "./scalar.ts";
import { struct, type Ref, type Type, type ValueOf } from "./struct.ts";
import { bytesOf } from "./value.ts";

const prefixKey = struct("lpm_key", { length: u32, address: be32 });

export interface LpmOptions<V extends Type> {
  readonly value: V;
  readonly capacity: number;
  /** Prefixes like `10.0.0.0/8`, and their values. */
  readonly initial?: readonly (readonly [string, ValueOf<NoInfer<V>>])[];
}

export class LpmTrie<V extends Type> {
  readonly kind = "lpm-trie";
  readonly key = prefixKey;
  readonly value: V;
  readonly capacity: number;
  readonly options: LpmOptions<V>;
  readonly #codec: Codec;
  /** By length: values by masked address. */
  #levels: (Map<number, Ref<V>> | undefined)[] | undefined;
  #size = 0;

  constructor(options: LpmOptions<V>) {
    checkCapacity("lpmTrie", options.capacity);
    this.value = options.value;
    this.capacity = options.capacity;
    this.options = options;
    this.#codec = cellCodecOf(options.value);
  }

  /** A reference to the value of the longest prefix that contains the address. */
  get(address: number): Ref<V> | undefined {
    const levels = this.#levels ?? this.#start();
    for (let length = 32; length >= 0; length--) {
      const value = levels[length]?.get(masked(address, length));
      if (value !== undefined) return value;
    }
    return undefined;
  }

  /** For tests and set-up: stores a copy; false where the trie is full. */
  set(prefix: string, value: ValueOf<V>): boolean {
    const levels = this.#levels ?? this.#start();
    const { length, address } = ipv4Prefix(prefix);
    const level = (levels[length] ??= new Map<number, Ref<V>>());
    const network = masked(address, length);
    if (!level.has(network)) {
      if (this.#size >= this.capacity) return false;
      this.#size++;
    }
    level.set(network, this.#codec.clone(value) as Ref<V>);
    return true;
  }

  /** For tests and set-up. */
  delete(prefix: string): boolean {
    const { length, address } = ipv4Prefix(prefix);
    const level = (this.#levels ?? this.#start())[length];
    if (level?.delete(masked(address, length)) !== true) return false;
    this.#size--;
    return true;
  }

  parts(name: string): readonly Part[] {
    return [{ name, declaration: this }];
  }

  renew(): LpmTrie<V> {
    return new LpmTrie(this.options);
  }

  dump(): readonly MapEntry[] {
    const entries: MapEntry[] = [];
    for (const [length, level] of (this.#levels ?? this.#start()).entries())
      for (const [address, held] of level ?? []) {
        const value = new Uint8Array(this.value.size);
        this.#codec.encode(value, 0, held);
        entries.push({ key: bytesOf(prefixKey, { length, address }), value });
      }
    return entries;
  }

  #start(): (Map<number, Ref<V>> | undefined)[] {
    const levels: (Map<number, Ref<V>> | undefined)[] = [];
    this.#levels = levels;
    for (const [prefix, value] of this.options.initial ?? [])
      if (!this.set(prefix, value)) throw tooMany(this.capacity);
    return levels;
  }
}

/** Values by IPv4 prefix; the longest that contains the address wins. */
export function lpmTrie<V extends Type>(options: LpmOptions<V>): LpmTrie<V> {
  return new LpmTrie(options);
}

function masked(address: number, length: number): number {
  return length === 0 ? 0 : (address & (-1 << (32 - length))) >>> 0;
}

function ipv4Prefix(text: string): { length: number; address: number } {
  const { version, length, address } = parsePrefix(text);
  if (version === 4) return { length, address: Number(address) };
  throw new InputError(`${text} is no IPv4 prefix`, {
    code: "nf-prefix",
    fix: "give one like 10.0.0.0/8",
  });
}
