/**
 * The helpers that the portable engine has, and how a call of each crosses from
 * the program to the engine: every argument becomes zero, one or two i32, so that
 * no 64-bit number is ever boxed on the way.
 *
 *   ctx     nothing; the engine knows the context
 *   map     nothing when known at translation, which is required
 *   key value   address of keySize or valueSize bytes, checked to be readable
 *   in out  address of as many bytes as the next argument says, checked; `?`: may be null
 *   size    the low 32 bits, or 2^32 − 1 if the number is larger; so flags too
 *   u32     the low 32 bits
 *   wide    low and high 32 bits
 *   cell    address of 4 bytes, read and written
 *   record  address that ringbuf_reserve gave
 *   lock    nothing
 *
 * Results: long = i32, sign-extended; u32 = zero-extended; pointer = address or 0;
 * wide = 64 bits in the result cell; void = 0.
 * `inline` calls are emitted by the translator and need no import.
 *
 * Source of numbers and arguments: include/uapi/linux/bpf.h.
 */
type Word =
  | "ctx"
  | "map"
  | "key"
  | "value"
  | "in"
  | "in?"
  | "out"
  | "size"
  | "u32"
  | "wide"
  | "record"
  | "lock"
  | "cell"
  | "callback"
  | "any";

export interface HelperCall {
  readonly number: number;
  readonly name: string;
  readonly args: readonly Word[];
  readonly result: "long" | "u32" | "pointer" | "wide" | "void";
  readonly inline: boolean;
  /** data, data_end or data_meta may change. */
  readonly movesPacket: boolean;
}

// prettier-ignore
const rows: readonly (readonly [number, string, string, HelperCall["result"], string?])[] = [
  [1, "map_lookup_elem", "map key", "pointer"],
  [2, "map_update_elem", "map key value size", "long"],
  [3, "map_delete_elem", "map key", "long"],
  [5, "ktime_get_ns", "", "wide", "inline"],
  [6, "trace_printk", "in size wide wide wide", "long"],
  [7, "get_prandom_u32", "", "u32"],
  [8, "get_smp_processor_id", "", "u32", "inline"],
  [12, "tail_call", "ctx map u32", "void", "inline"],
  [23, "redirect", "u32 wide", "long"],
  [25, "perf_event_output", "ctx map wide in size", "long"],
  [28, "csum_diff", "in? size in? size u32", "wide"],
  [42, "get_numa_node_id", "", "u32", "inline"],
  [44, "xdp_adjust_head", "ctx u32", "long", "moves"],
  [51, "redirect_map", "map u32 wide", "long"],
  [54, "xdp_adjust_meta", "ctx u32", "long", "moves"],
  [65, "xdp_adjust_tail", "ctx u32", "long", "moves"],
  [69, "fib_lookup", "ctx in size size", "long"],
  [93, "spin_lock", "lock", "void", "inline"],
  [94, "spin_unlock", "lock", "void", "inline"],
  [118, "jiffies64", "", "wide", "inline"],
  [125, "ktime_get_boot_ns", "", "wide", "inline"],
  [130, "ringbuf_output", "map in size size", "long"],
  [131, "ringbuf_reserve", "map size size", "pointer"],
  [132, "ringbuf_submit", "record size", "void"],
  [133, "ringbuf_discard", "record size", "void"],
  [160, "ktime_get_coarse_ns", "", "wide", "inline"],
  [163, "check_mtu", "ctx u32 cell u32 wide", "long"],
  [181, "loop", "u32 callback any size", "long", "inline"],
  [188, "xdp_get_buff_len", "ctx", "u32"],
  [189, "xdp_load_bytes", "ctx size out size", "long"],
  [190, "xdp_store_bytes", "ctx size in size", "long"],
  [208, "ktime_get_tai_ns", "", "wide", "inline"],
];

const table = new Map(
  rows.map(([number, name, args, result, tag]): [number, HelperCall] => [
    number,
    {
      number,
      name,
      args: args === "" ? [] : (args.split(" ") as Word[]),
      result,
      inline: tag === "inline",
      movesPacket: tag === "moves",
    },
  ]),
);

export function helperCall(number: number): HelperCall | undefined {
  return table.get(number);
}

const byName = new Map([...table.values()].map((row) => [row.name, row]));

export function helperCallByName(name: string): HelperCall | undefined {
  return byName.get(name);
}
