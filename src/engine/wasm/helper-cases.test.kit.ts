/**
 * For tests: small programs around each helper, by name. r6 holds the context; the
 * result is folded into r0 with whatever the helper wrote, and never shows an address.
 */
import type { ProgramTypeName } from "../../isa/index.ts";

export interface HelperCase {
  readonly type: ProgramTypeName;
  readonly body: string;
}

const lines = (...parts: readonly string[]): string => parts.join("\n");

/** `ctx`, `fp-16`, `map NAME`, `fn NAME`, a number, a register, or packet + n: `pkt+n`. */
function load(register: number, word: string | number): string {
  const r = `r${register}`;
  if (typeof word === "number")
    return `${r} = ${BigInt.asUintN(64, BigInt(word))} ll`;
  if (word === "ctx") return `${r} = r6`;
  if (word.startsWith("map ")) return `${r} = ${word} ll`;
  if (word.startsWith("fn ")) return `${r} = function ${word.slice(3)} ll`;
  const [, base = "", offset = "0"] = /^(fp|r\d)([+-]\d+)?$/.exec(word) ?? [];
  if (base === "") throw new Error(`argument ${word}`);
  return lines(
    `${r} = ${base === "fp" ? "r10" : base}`,
    `${r} += ${Number(offset)}`,
  );
}

/** A call of a helper, or of a kernel function, with r1 … set. */
function call(name: string, ...args: readonly (string | number)[]): string {
  const isKfunc = name.startsWith("bpf_");
  return lines(
    ...args.map((word, index) => load(index + 1, word)),
    `call ${isKfunc ? "kfunc " : ""}${name}`,
  );
}

/** Eight-byte words at r10 + at, upwards. */
function put(at: number, ...words: readonly (number | bigint)[]): string {
  return lines(
    ...words.map((word, index) =>
      lines(
        `r0 = ${BigInt.asUintN(64, BigInt(word))} ll`,
        `*(u64 *)(r10 ${at + 8 * index < 0 ? "-" : "+"} ${Math.abs(at + 8 * index)}) = r0`,
      ),
    ),
  );
}

/** Text with its NUL at r10 + at. */
function text(at: number, value: string): string {
  const padded = value.padEnd(Math.ceil((value.length + 1) / 8) * 8, "\0");
  const view = new DataView(new TextEncoder().encode(padded).buffer);
  const words = Array.from({ length: padded.length / 8 }, (_, word) =>
    view.getBigUint64(8 * word, true),
  );
  return put(at, ...words);
}

/** r0 mixed with the words at r10 + at. */
function fold(at: number, words: number): string {
  return lines(
    ...Array.from({ length: words }, (_, index) =>
      lines("r0 *= 31", `r1 = *(u64 *)(r10 - ${-at - 8 * index})`, "r0 ^= r1"),
    ),
    "r1 = r0",
    "r1 >>= 32",
    "r0 ^= r1",
  );
}

/** What a pointer in r0 leads to, or 0. */
const follow = lines("if r0 == 0 goto null", "r0 = *(u64 *)(r0 + 0)", "null:");
const isNull = lines(
  "r1 = r0",
  "r0 = 1",
  "if r1 == 0 goto null",
  "r0 = 0",
  "null:",
);

const on =
  (type: ProgramTypeName) =>
  (...parts: readonly string[]): HelperCase => ({
    type,
    body: /\nexit\nfunction/.test(lines(...parts))
      ? lines(...parts)
      : lines(...parts, "exit"),
  });
const xdp = on("xdp");
const tc = on("sched_cls");
const filter = on("socket_filter");
const trace = on("tracepoint");

/** A function behind the program. */
const callee = (name: string, ...body: readonly string[]): string =>
  lines("exit", `function ${name} section ".text" static`, ...body, "exit");

const clock = (name: string): readonly HelperCase[] => [
  xdp(call(name), "r1 = r0", "r1 >>= 32", "r0 ^= r1"),
];

const key = (value: number): string => put(-8, value);
const mapNames = ["hash", "array", "lru", "percpu", "perhash"];

function onMaps(
  names: readonly string[],
  make: (name: string) => readonly string[],
): HelperCase[] {
  return names.flatMap((name) =>
    [1, 5].map((value) => xdp(key(value), ...make(name))),
  );
}

/** The map is one of two, by the parity of the queue. */
function eitherMap(one: string, other: string, register: number): string {
  return lines(
    "r0 = *(u32 *)(r6 + 16)",
    `r${register} = map ${one} ll`,
    "if r0 & 1 goto chosen",
    `r${register} = map ${other} ll`,
    "chosen:",
  );
}

const probe = (name: string): readonly HelperCase[] => [
  xdp(put(-16, 77), put(-64, 5), call(name, "fp-64", 8, "fp-16"), fold(-64, 1)),
  xdp(put(-64, 5), call(name, "fp-64", 8, 0), fold(-64, 1)),
  xdp(put(-64, 5), call(name, "fp-64", 8, 0x7fff_0000_0000), fold(-64, 1)),
  xdp(put(-64, 5), call(name, "fp-64", 0, "fp-16"), fold(-64, 1)),
  xdp(
    put(-64, 5),
    "r7 = *(u32 *)(r6 + 4)",
    call(name, "fp-64", 8, "r7-4"),
    fold(-64, 1),
  ),
];

const probeText = (name: string): readonly HelperCase[] =>
  [0, 3, 6, 20]
    .map((size) =>
      xdp(
        text(-16, "hello"),
        put(-64, -1, -1, -1),
        call(name, "fp-64", size, "fp-16"),
        fold(-64, 3),
      ),
    )
    .concat([xdp(put(-64, 5), call(name, "fp-64", 8, 0), fold(-64, 1))]);

const events = (name: string): readonly HelperCase[] => [
  xdp(put(-16, 1, 2), call(name, "ctx", "map perf", 0xffff_ffff, "fp-16", 12)),
  xdp(
    put(-16, 1, 2),
    call(name, "ctx", "map perf", 0xa_ffff_ffff, "fp-16", 12),
  ),
  xdp(put(-16, 1, 2), call(name, "ctx", "map perf", 1, "fp-16", 0)),
  xdp(put(-16, 1, 2), call(name, "ctx", "map perf", 2, "fp-16", 12)),
  xdp(
    put(-16, 1, 2),
    call(name, "ctx", "map perf", 0x100_ffff_ffff, "fp-16", 12),
  ),
  xdp(
    put(-16, 1, 2),
    call(name, "ctx", "map perf", 0x10_0000_ffff_ffff, "fp-16", 12),
  ),
];

const noSocket = (name: string): readonly HelperCase[] => [
  tc(put(-16, 1, 2), call(name, "ctx", "fp-16", 12, -1, 0), isNull),
];

const packet20 = lines(
  "r7 = *(u32 *)(r6 + 0)",
  "r8 = *(u32 *)(r6 + 4)",
  "r9 = r7",
  "r9 += 74",
  "r0 = 7",
  "if r9 > r8 goto out",
);
const packet94 = packet20.replace("74", "94");
const cookie = lines("r1 = r0", "r1 >>= 32", "r0 ^= r1", "out:");
/** The acknowledgement that answers the cookie in r0: sequence + 1, cookie + 1. */
function acknowledge(tcp: number): string {
  return lines(
    "r9 = r0",
    "w9 += 1",
    "r9 = be32 r9",
    `*(u32 *)(r7 + ${tcp + 8}) = r9`,
    `r9 = *(u32 *)(r7 + ${tcp + 4})`,
    "r9 = be32 r9",
    "w9 += 1",
    "r9 = be32 r9",
    `*(u32 *)(r7 + ${tcp + 4}) = r9`,
  );
}

/** r1 and r7: a lock in a map value. */
function withLocked(...body: readonly string[]): HelperCase {
  const lookup = call("map_lookup_elem", "map locked", "fp-8");
  const found = lines("if r0 == 0 goto null", "r7 = r0", "r1 = r0");
  return xdp(key(1), lookup, found, ...body, "null:");
}

/** r7: a timer in a map value. */
function withTimer(...body: readonly string[]): HelperCase {
  const lookup = call("map_lookup_elem", "map timed", "fp-8");
  return xdp(
    key(1),
    lookup,
    "if r0 != 0 goto found",
    "exit",
    "found:",
    "r7 = r0",
    ...body,
  );
}

/** At r10 - 96 a dynptr to 32 bytes at r10 - 64. */
function dynptr(...body: readonly string[]): HelperCase {
  const made = call("dynptr_from_mem", "fp-64", 32, 0, "fp-96");
  return xdp(put(-64, 11, 12, 13, 14), made, ...body);
}

/** The same to the packet. */
function packetDynptr(
  type: "xdp" | "skb",
  ...body: readonly string[]
): HelperCase {
  const made = call(`bpf_dynptr_from_${type}`, "ctx", 0, "fp-96");
  return type === "xdp" ? xdp(made, ...body) : tc(made, ...body);
}

const tunnel = (
  name: string,
  ...more: readonly number[]
): readonly HelperCase[] => [
  tc(
    put(-64, 1, 2, 3, 4),
    call(name, "ctx", "fp-64", 28, ...more),
    fold(-64, 4),
  ),
];

const numbers = [
  "42",
  "-42",
  "0x1F",
  "017",
  "  9z",
  "zz",
  "",
  "-",
  "99999999999999999999",
  "9223372036854775807",
];
const parsed = (name: string): readonly HelperCase[] =>
  numbers.flatMap((value) =>
    [0, 8, 10, 16, 7, 32].map((flags) =>
      xdp(
        put(-48, 0, 0, 0),
        text(-32, value),
        put(-64, 5),
        call(name, "fp-32", 24, flags, "fp-64"),
        fold(-64, 1),
      ),
    ),
  );

// prettier-ignore
export const helperCases: Readonly<Record<string, readonly HelperCase[]>> = {
  map_lookup_elem: [
    ...onMaps(mapNames, (name) => [call("map_lookup_elem", `map ${name}`, "fp-8"), follow]),
    xdp(key(1), eitherMap("hash", "lru", 1), load(2, "fp-8"), "call map_lookup_elem", follow),
    xdp(key(1), eitherMap("array", "hash", 1), load(2, "fp-600"), "call map_lookup_elem", follow),
  ],
  map_update_elem: [
    ...onMaps(mapNames, (name) => [put(-32, 7, 8), call("map_update_elem", `map ${name}`, "fp-8", "fp-32", 0)]),
    ...[1, 2, 3, 4, 0x1_0000_0000].flatMap((flags) =>
      onMaps(["hash", "array", "lru"], (name) => [put(-32, 7, 8), call("map_update_elem", `map ${name}`, "fp-8", "fp-32", flags)])),
    xdp(key(9), put(-32, 7), eitherMap("hash", "lru", 1), load(2, "fp-8"), load(3, "fp-32"), load(4, 0), "call map_update_elem"),
  ],
  map_delete_elem: [
    ...onMaps(mapNames, (name) => [call("map_delete_elem", `map ${name}`, "fp-8")]),
    xdp(key(1), eitherMap("hash", "lru", 1), load(2, "fp-8"), "call map_delete_elem"),
  ],
  map_lookup_percpu_elem: [
    ...[0, 1, 2, -1].flatMap((cpu) => onMaps(["percpu", "perhash", "hash"], (name) => [call("map_lookup_percpu_elem", `map ${name}`, "fp-8", cpu), follow])),
    xdp(key(1), call("map_lookup_percpu_elem", "map percpu", "fp-8", 1), "if r0 == 0 goto out", "r1 = 9", "*(u64 *)(r0 + 0) = r1", "out:", "r0 = 0"),
  ],
  for_each_map_elem: [
    ...mapNames.flatMap((name) => [0, 1].map((flags) =>
      xdp(put(-16, 0), call("for_each_map_elem", `map ${name}`, "fn each", "fp-16", flags), fold(-16, 1),
        callee("each", "r0 = *(u64 *)(r4 + 0)", "r0 *= 31", "r5 = *(u32 *)(r2 + 0)", "r0 += r5", "r0 *= 7", "r5 = *(u64 *)(r3 + 0)", "r0 += r5", "*(u64 *)(r4 + 0) = r0", "r5 += 1", "*(u64 *)(r3 + 0) = r5", "r0 = 0", "if r5 < 3 goto out", "r0 = 1", "out:")))),
    // Deletes what it walks; moves the packet; the callback is one of two.
    xdp(call("for_each_map_elem", "map hash", "fn each", 0, 0), callee("each", "call map_delete_elem", "r0 = 0")),
    xdp("r7 = *(u32 *)(r6 + 0)", call("for_each_map_elem", "map hash", "fn each", "ctx", 0), "r7 = *(u32 *)(r6 + 0)", "r8 = *(u32 *)(r6 + 4)", "r8 -= r7", "r0 += r8", callee("each", "r1 = r4", "r2 = 4", "call xdp_adjust_head", "r0 = 0")),
    xdp("r2 = function one ll", "r0 = *(u32 *)(r6 + 16)", "if r0 & 1 goto chosen", "r2 = function two ll", "chosen:", "r1 = map hash ll", "r3 = 0", "r4 = 0", "call for_each_map_elem", callee("one", "r5 = 100", "*(u64 *)(r3 + 0) = r5", "r0 = 1"), callee("two", "r5 = 200", "*(u64 *)(r3 + 0) = r5", "r0 = 0").slice(5)),
    xdp(call("for_each_map_elem", "map hash", 1234, 0, 0)),
  ],
  loop: [
    ...[0, 1, 5, 0x80_0001].map((count) => xdp(put(-16, 0), call("loop", count, "fn each", "fp-16", 0), fold(-16, 1), callee("each", "r3 = *(u64 *)(r2 + 0)", "r3 += r1", "*(u64 *)(r2 + 0) = r3", "r0 = r1", "r0 >>= 1"))),
    xdp(call("loop", 3, "fn each", 0, 1), callee("each", "r0 = 0")),
    xdp(put(-16, 0), "r2 = function one ll", "r0 = *(u32 *)(r6 + 16)", "if r0 & 1 goto chosen", "r2 = function two ll", "chosen:", "r1 = 5", load(3, "fp-16"), "r4 = 0", "call loop", fold(-16, 1),
      callee("one", "r3 = *(u64 *)(r2 + 0)", "r3 += 1", "*(u64 *)(r2 + 0) = r3", "r0 = 0"), callee("two", "r3 = *(u64 *)(r2 + 0)", "r3 += 100", "*(u64 *)(r2 + 0) = r3", "r0 = r1", "r0 >>= 1").slice(5)),
    xdp("r2 = 77", "r0 = *(u32 *)(r6 + 16)", "if r0 & 1 goto chosen", "r2 = function one ll", "chosen:", "r1 = 5", "r3 = 0", "r4 = 0", "call loop", callee("one", "r0 = 0")),
  ],
  redirect_map: [
    ...[0, 1, 2, 8, 0x100].flatMap((flags) => [1, 2].map((at) => xdp(call("redirect_map", "map dev", at, flags)))),
    xdp(call("redirect_map", "map dev", 1, 2), "r0 = 4"),
  ],
  redirect: [0, 1].flatMap((flags) => [xdp(call("redirect", 5, flags)), tc(call("redirect", 5, flags)), tc(call("redirect", 5, 2))]),
  redirect_neigh: [tc(call("redirect_neigh", 5, 0, 0, 0)), tc(call("redirect_neigh", 5, 0, 0, 1))],
  redirect_peer: [tc(call("redirect_peer", 5, 0)), tc(call("redirect_peer", 5, 1))],
  // What it leads to: chosen.test.ts.
  tail_call: [0, 9].map((slot) => xdp(call("tail_call", "ctx", "map programs", slot), "r0 = 7")),
  skb_get_xfrm_state: [tc(put(-64, 1, 2), call("skb_get_xfrm_state", "ctx", 0, "fp-64", 16, 0), fold(-64, 2))],
  ktime_get_ns: clock("ktime_get_ns"),
  ktime_get_boot_ns: clock("ktime_get_boot_ns"),
  ktime_get_coarse_ns: clock("ktime_get_coarse_ns"),
  ktime_get_tai_ns: clock("ktime_get_tai_ns"),
  jiffies64: clock("jiffies64"),
  get_prandom_u32: [xdp(call("get_prandom_u32"), "r7 = r0", call("get_prandom_u32"), "r0 ^= r7")],
  get_smp_processor_id: clock("get_smp_processor_id"),
  get_numa_node_id: clock("get_numa_node_id"),
  csum_diff: [[0, 0], [4, 0], [0, 8], [4, 8], [3, 0], [0, 5], [8, 8]].map(([from = 0, to = 0]) =>
      xdp(put(-32, 0x1234_5678_9abc_def0n, 0xffff_ffff_ffff_ffffn), call("csum_diff", from === 0 ? 0 : "fp-32", from, to === 0 ? 0 : "fp-24", to, 0xffff_1234))),  xdp_adjust_head: [-300, -217, -216, -4, 4, 60, 61, 100].map((delta) => xdp(call("xdp_adjust_head", "ctx", delta))),
  xdp_adjust_meta: [-4, -3, 4, -252, -256].map((delta) => xdp(call("xdp_adjust_meta", "ctx", delta), "r7 = r0", "r1 = *(u32 *)(r6 + 8)", "r2 = *(u32 *)(r6 + 0)", "r2 -= r1", "r0 = r7", "r0 += r2")),
  xdp_adjust_tail: [-60, -46, 1, 3446, 3447, 5000].map((delta) => xdp(call("xdp_adjust_tail", "ctx", delta))),
  xdp_get_buff_len: [xdp(call("xdp_get_buff_len", "ctx"))],
  xdp_load_bytes: [[0, 16], [60, 16], [0x10000, 4], [-1, 4]].map(([at = 0, size = 0]) => xdp(put(-64, 1, 2), call("xdp_load_bytes", "ctx", at, "fp-64", size), fold(-64, 2))),
  xdp_store_bytes: [[0, 16], [60, 16], [0x10000, 4], [-1, 4]].map(([at = 0, size = 0]) => xdp(put(-64, 1, 2), call("xdp_store_bytes", "ctx", at, "fp-64", size))),
  spin_lock: [
    xdp(key(1), call("map_lookup_elem", "map locked", "fp-8"), "if r0 == 0 goto null", "r7 = r0", "r1 = r0", "call spin_lock", "r1 = 5", "*(u64 *)(r7 + 8) = r1", "r1 = r7", "call spin_unlock", "null:", "r0 = 2"),
    xdp(key(1), call("map_lookup_elem", "map locked", "fp-8"), "if r0 == 0 goto null", "r7 = r0", "r1 = r0", "call spin_lock", "r1 = r7", "call spin_lock", "null:", "r0 = 2"),
  ],
  spin_unlock: [
    xdp(key(1), call("map_lookup_elem", "map locked", "fp-8"), "if r0 == 0 goto null", "r1 = r0", "call spin_unlock", "null:", "r0 = 2"),
  ],
  trace_printk: [
    xdp(text(-64, "%d %x %llu"), call("trace_printk", "fp-64", 16, -5, 255, -1)),
    xdp(text(-64, "%s"), text(-32, "abc"), call("trace_printk", "fp-64", 8, "fp-32", 0, 0)),
    xdp(text(-64, "%z"), call("trace_printk", "fp-64", 8, 1, 2, 3)),
    xdp(put(-64, -1), call("trace_printk", "fp-64", 8, 1, 2, 3)),
  ],
  trace_vprintk: [
    xdp(text(-64, "%d-%d-%pI4"), put(-32, 1, 2, 3), call("trace_vprintk", "fp-64", 16, "fp-32", 16)),
    xdp(text(-64, "%d%d%d%d"), put(-32, 1, 2, 3, 4), call("trace_vprintk", "fp-64", 16, "fp-32", 32)),
    ...[0, 7, 104].map((size) => xdp(text(-64, "hello"), call("trace_vprintk", "fp-64", 16, size === 0 ? 0 : "fp-32", size))),
  ],
  snprintf: [
    ...[0, 1, 4, 24].map((size) => xdp(text(-96, "%u:%s!"), text(-112, "xyz"), load(7, "fp-112"), put(-32, 12), "*(u64 *)(r10 - 24) = r7", put(-64, 0, 0, 0), call("snprintf", size === 0 ? 0 : "fp-64", size, "fp-96", "fp-32", 16), fold(-64, 3))),
    ...[7, 104].map((size) => xdp(text(-96, "%u"), call("snprintf", "fp-64", 8, "fp-96", "fp-32", size))),
    xdp(text(-96, "%u %u"), put(-32, 1), call("snprintf", "fp-64", 8, "fp-96", "fp-32", 8)),
  ],
  strncmp: ["hello", "hellp", "hell", "help", ""].flatMap((other) => [0, 3, 6].map((size) => xdp(text(-32, "hello"), text(-16, other), call("strncmp", "fp-32", size, "fp-16")))),
  strtol: parsed("strtol"),
  strtoul: parsed("strtoul"),
  probe_read: probe("probe_read"),
  probe_read_user: probe("probe_read_user"),
  probe_read_kernel: probe("probe_read_kernel"),
  probe_read_str: probeText("probe_read_str"),
  probe_read_user_str: probeText("probe_read_user_str"),
  probe_read_kernel_str: probeText("probe_read_kernel_str"),
  perf_event_output: events("perf_event_output"),
  skb_output: events("skb_output"),
  xdp_output: events("xdp_output"),
  ringbuf_output: [[12, 0], [12, 1], [12, 4], [5000, 0]].map(([size = 0, flags = 0]) => xdp(put(-512, 1, 2), call("ringbuf_output", "map ring", "fp-512", Math.min(size, 512), flags))),
  ringbuf_reserve: [
    xdp(call("ringbuf_reserve", "map ring", 16, 0), "if r0 == 0 goto null", "r7 = r0", "r1 = 5", "*(u64 *)(r0 + 8) = r1", call("ringbuf_submit", "r7", 0), "null:", "r0 = 0"),
    xdp(call("ringbuf_reserve", "map ring", 16, 1), isNull),
    xdp(call("ringbuf_reserve", "map ring", 4089, 0), isNull),
    xdp(call("ringbuf_reserve", "map ring", 8, 0), "if r0 == 0 goto null", "r7 = r0", call("ringbuf_reserve", "map ring", 8, 0), "if r0 == 0 goto null", "r8 = r0", "r1 = 6", "*(u64 *)(r8 + 0) = r1", call("ringbuf_submit", "r8", 0), call("ringbuf_discard", "r7", 0), "null:", "r0 = 0"),
  ],
  ringbuf_submit: [xdp(call("ringbuf_submit", "fp-8", 0))],
  ringbuf_discard: [xdp(call("ringbuf_discard", 0, 0))],
  ringbuf_query: [0, 1, 2, 3].map((what) => xdp(call("ringbuf_query", "map ring", what))),
  fib_lookup: [
    ...[2, 10, 3].map((family) => xdp(put(-64, family, 0, 0, 0, 0, 0, 0, 0), call("fib_lookup", "ctx", "fp-64", 64, 0), fold(-64, 8))),
    xdp(put(-64, 2), call("fib_lookup", "ctx", "fp-64", 63, 0)),
    xdp(put(-64, 2), call("fib_lookup", "ctx", "fp-64", 64, 0x40)),
  ],
  check_mtu: [
    ...[0, 1500, 1501].flatMap((given) => [0, 1450, -10].map((more) => xdp(put(-8, given), call("check_mtu", "ctx", 0, "fp-8", more, 0), fold(-8, 1)))),
    xdp(put(-8, 0), call("check_mtu", "ctx", 0, "fp-8", 0, 1), fold(-8, 1)),
    tc(put(-8, 0), call("check_mtu", "ctx", 0, "fp-8", 0, 1), fold(-8, 1)),
  ],
  tcp_raw_gen_syncookie_ipv4: [20, 28, 24, 12].map((size) => xdp(packet20, call("tcp_raw_gen_syncookie_ipv4", "r7+14", "r7+34", size), cookie)),
  tcp_raw_gen_syncookie_ipv6: [20, 24].map((size) => xdp(packet94, call("tcp_raw_gen_syncookie_ipv6", "r7+14", "r7+54", size), cookie)),
  tcp_raw_check_syncookie_ipv4: [
    xdp(packet20, call("tcp_raw_check_syncookie_ipv4", "r7+14", "r7+34"), "out:"),
    xdp(packet20, call("tcp_raw_gen_syncookie_ipv4", "r7+14", "r7+34", 40), acknowledge(34), call("tcp_raw_check_syncookie_ipv4", "r7+14", "r7+34"), "out:"),
  ],
  tcp_raw_check_syncookie_ipv6: [
    xdp(packet94, call("tcp_raw_check_syncookie_ipv6", "r7+14", "r7+54"), "out:"),
  ],
  get_current_pid_tgid: clock("get_current_pid_tgid"),
  get_current_uid_gid: clock("get_current_uid_gid"),
  get_current_comm: [0, 5, 16].map((size) => xdp(put(-64, -1, -1), call("get_current_comm", "fp-64", size), fold(-64, 2))),
  get_current_cgroup_id: clock("get_current_cgroup_id"),
  get_cgroup_classid: [tc(call("get_cgroup_classid", "ctx"))],
  get_route_realm: [tc(call("get_route_realm", "ctx"))],
  get_netns_cookie: [tc(call("get_netns_cookie", "ctx"))],
  get_socket_cookie: [tc(call("get_socket_cookie", "ctx"))],
  get_socket_uid: [tc(call("get_socket_uid", "ctx"))],
  sk_lookup_tcp: noSocket("sk_lookup_tcp"),
  sk_lookup_udp: noSocket("sk_lookup_udp"),
  skc_lookup_tcp: noSocket("skc_lookup_tcp"),
  sk_release: [tc(call("sk_release", 0))],
  get_stackid: [trace(call("get_stackid", "ctx", "map array", 0))],
  skb_load_bytes: [[0, 16], [60, 16], [-1, 4]].map(([at = 0, size = 0]) => filter(put(-64, 1, 2), call("skb_load_bytes", "ctx", at, "fp-64", size), fold(-64, 2))),
  skb_load_bytes_relative: [[0, 0], [0, 1], [60, 1], [0, 2], [0x10000, 1]].map(([at = 0, from = 0]) => tc(put(-64, 1, 2), call("skb_load_bytes_relative", "ctx", at, "fp-64", 16, from), fold(-64, 2))),
  skb_store_bytes: [[0, 0], [60, 0], [4, 1], [4, 2], [4, 4]].map(([at = 0, flags = 0]) => tc(put(-64, 1, 2), call("skb_store_bytes", "ctx", at, "fp-64", 16, flags))),
  l3_csum_replace: [[24, 2], [24, 4], [24, 0], [24, 3], [25, 2], [0x10000, 2], [70, 2], [24, 0x10]].map(([at = 0, flags = 0]) => tc(call("l3_csum_replace", "ctx", at, flags === 0 ? 0 : 0x0a00_0001, 0x0a00_0007, flags))),
  l4_csum_replace: [[50, 2], [50, 0x14], [50, 0x34], [50, 0x60], [51, 2], [50, 0x80]].map(([at = 0, flags = 0]) => tc(call("l4_csum_replace", "ctx", at, 0x0a00_0001, 0x0a00_0007, flags))),
  skb_pull_data: [0, 60, 100].map((size) => tc(call("skb_pull_data", "ctx", size))),
  clone_redirect: [0, 1, 2].map((flags) => tc(call("clone_redirect", "ctx", 4, flags))),
  get_hash_recalc: [tc(call("get_hash_recalc", "ctx"), "r7 = r0", call("get_hash_recalc", "ctx"), "r0 -= r7")],
  set_hash_invalid: [tc(call("set_hash", "ctx", 9), call("set_hash_invalid", "ctx"), call("get_hash_recalc", "ctx"))],
  set_hash: [tc(call("set_hash", "ctx", 9), call("get_hash_recalc", "ctx"))],
  skb_vlan_push: [
    tc(call("skb_vlan_push", "ctx", 0x81, 5)),
    tc(call("skb_vlan_push", "ctx", 0xa888, 5), call("skb_vlan_push", "ctx", 0, 6), "r1 = *(u32 *)(r6 + 0)", "r0 += r1"),
  ],
  skb_vlan_pop: [tc(call("skb_vlan_pop", "ctx")), tc(call("skb_vlan_push", "ctx", 0x81, 5), call("skb_vlan_pop", "ctx"))],
  skb_change_tail: [[60, 0], [100, 0], [13, 0], [70000, 0], [60, 1]].map(([size = 0, flags = 0]) => tc(call("skb_change_tail", "ctx", size, flags), "r7 = *(u32 *)(r6 + 76)", "r8 = *(u32 *)(r6 + 80)", "r8 -= r7", "r0 += r8")),
  skb_change_head: [[14, 0], [70000, 0], [4, 1]].map(([size = 0, flags = 0]) => tc(call("skb_change_head", "ctx", size, flags))),
  skb_change_type: [0, 3, 4].map((type) => tc(call("skb_change_type", "ctx", type))),
  skb_adjust_room: [[20, 0], [20, 1], [-8, 0], [-30, 1], [5000, 0], [20, 2]].map(([delta = 0, mode = 0]) => tc(call("skb_adjust_room", "ctx", delta, mode, 0))),
  skb_get_tunnel_key: tunnel("skb_get_tunnel_key", 0),
  skb_get_tunnel_opt: tunnel("skb_get_tunnel_opt"),
  skb_set_tunnel_key: tunnel("skb_set_tunnel_key", 0),
  skb_set_tunnel_opt: tunnel("skb_set_tunnel_opt"),
  csum_update: [tc(call("csum_update", "ctx", 5))],
  csum_level: [tc(call("csum_level", "ctx", 1))],
  bpf_xdp_ct_lookup: [xdp(put(-32, 1, 2, 3, 4), call("bpf_xdp_ct_lookup", "ctx", "fp-32", 12, "fp-16", 12), isNull, fold(-16, 2))],
  bpf_skb_ct_lookup: [tc(put(-32, 1, 2, 3, 4), call("bpf_skb_ct_lookup", "ctx", "fp-32", 12, "fp-16", 4), isNull, fold(-16, 2))],
  bpf_ct_release: [xdp(call("bpf_ct_release", 0))],
  bpf_res_spin_lock: [
    withLocked("call kfunc bpf_res_spin_lock", "r8 = r0", "r1 = r7", "call kfunc bpf_res_spin_lock", "r8 += r0", "r1 = r7", "call kfunc bpf_res_spin_unlock", "r0 += r8"),
  ],
  bpf_res_spin_unlock: [withLocked("call kfunc bpf_res_spin_unlock")],
  bpf_preempt_disable: [xdp(call("bpf_preempt_disable"))],
  bpf_preempt_enable: [xdp(call("bpf_preempt_enable"))],
  bpf_rcu_read_lock: [xdp(call("bpf_rcu_read_lock"))],
  bpf_rcu_read_unlock: [xdp(call("bpf_rcu_read_unlock"))],
  skb_change_proto: [
    ...[0xdd86, 0x0008, 0x81, 0x1_dd86].map((protocol) => tc(call("skb_change_proto", "ctx", protocol, 0))),
    tc(call("skb_change_proto", "ctx", 0xdd86, 1)),
  ],
  skb_ecn_set_ce: [0, 1, 2, 3].map((ecn) => tc(put(-16, ecn * 0x11), call("skb_store_bytes", "ctx", 15, "fp-16", 1, 0), call("skb_ecn_set_ce", "ctx"))),
  skb_set_tstamp: [[0, 0], [5, 0], [0, 1], [0x5_0000_0007, 1], [7, 2], [7, 3]].map(([stamp = 0, clock = 0]) => tc(call("skb_set_tstamp", "ctx", stamp, clock))),
  skb_cgroup_id: [tc(call("skb_cgroup_id", "ctx"))],
  skb_ancestor_cgroup_id: [tc(call("skb_ancestor_cgroup_id", "ctx", 1))],
  skb_cgroup_classid: [tc(call("skb_cgroup_classid", "ctx"))],
  skb_under_cgroup: [tc(call("skb_under_cgroup", "ctx", "map array", 0))],
  // Never reached behind the test for null that a verifier wants; a fault in both.
  ...Object.fromEntries(
    ["sk_fullsock", "tcp_sock", "get_listener_sock", "tcp_check_syncookie", "tcp_gen_syncookie", "sk_assign", "skc_to_tcp6_sock", "skc_to_tcp_sock", "skc_to_tcp_timewait_sock", "skc_to_tcp_request_sock", "skc_to_udp6_sock", "sk_cgroup_id", "sk_ancestor_cgroup_id", "sk_storage_get", "sk_storage_delete"].map((name) => [name, [tc(call(name, 0, 0, 0, 0, 0))]])),
  dynptr_from_mem: [
    dynptr(call("bpf_dynptr_size", "fp-96")),
    xdp(call("dynptr_from_mem", "fp-64", 32, 1, "fp-96"), "r8 = r0", call("bpf_dynptr_is_null", "fp-96"), "r0 += r8"),
    xdp(key(0), call("map_lookup_elem", "map array", "fp-8"), "if r0 == 0 goto null", load(1, "r0"), "r2 = 0x1000000", "r3 = 0", load(4, "fp-96"), "call dynptr_from_mem", "null:"),
  ],
  dynptr_read: [[0, 8, 0], [24, 8, 0], [25, 8, 0], [0, 33, 0], [8, 8, 1], [32, 0, 0]].flatMap(([at = 0, size = 0, flags = 0]) => [
    dynptr(put(-128, 1, 2, 3, 4, 5), call("dynptr_read", "fp-128", size, "fp-96", at, flags), fold(-128, 1)),
    packetDynptr("xdp", put(-128, 1, 2, 3, 4, 5), call("dynptr_read", "fp-128", size, "fp-96", at, flags), fold(-128, 1)),
    packetDynptr("skb", put(-128, 1, 2, 3, 4, 5), call("dynptr_read", "fp-128", size, "fp-96", at, flags), fold(-128, 1)),
  ]),
  dynptr_write: [[0, 8, 0], [24, 8, 0], [25, 8, 0], [8, 8, 2], [8, 8, 4]].flatMap(([at = 0, size = 0, flags = 0]) => [
    dynptr(put(-128, 77), call("dynptr_write", "fp-96", at, "fp-128", size, flags), fold(-64, 4)),
    packetDynptr("xdp", put(-128, 77), call("dynptr_write", "fp-96", at, "fp-128", size, flags)),
    packetDynptr("skb", put(-128, 77), call("dynptr_write", "fp-96", at, "fp-128", size, flags)),
    filter(call("bpf_dynptr_from_skb", "ctx", 0, "fp-96"), put(-128, 77), call("dynptr_write", "fp-96", at, "fp-128", size, flags)),
  ]),
  dynptr_data: [[0, 8], [24, 8], [25, 8]].flatMap(([at = 0, size = 0]) => [
    dynptr(call("dynptr_data", "fp-96", at, size), follow),
    packetDynptr("xdp", call("dynptr_data", "fp-96", at, size), isNull),
  ]),
  ringbuf_reserve_dynptr: [[16, 0], [16, 1], [5000, 0], [0x100_0000, 0]].flatMap(([size = 0, flags = 0]) =>
    ["submit", "discard"].map((end) => xdp(put(-128, 5, 6), call("ringbuf_reserve_dynptr", "map ring", size, flags, "fp-96"), "r7 = r0", call("dynptr_write", "fp-96", 0, "fp-128", 16, 0), "r7 += r0", call(`ringbuf_${end}_dynptr`, "fp-96", 0), call("bpf_dynptr_is_null", "fp-96"), "r0 += r7"))),
  ringbuf_submit_dynptr: [xdp(put(-96, 0, 0), call("ringbuf_submit_dynptr", "fp-96", 0))],
  ringbuf_discard_dynptr: [xdp(put(-96, 0, 0), call("ringbuf_discard_dynptr", "fp-96", 0))],
  bpf_dynptr_from_xdp: [packetDynptr("xdp", call("bpf_dynptr_size", "fp-96")), xdp(call("bpf_dynptr_from_xdp", "ctx", 1, "fp-96"))],
  bpf_dynptr_from_skb: [packetDynptr("skb", call("bpf_dynptr_size", "fp-96")), tc(call("bpf_dynptr_from_skb", "ctx", 1, "fp-96"))],
  bpf_dynptr_slice: [[0, 8], [24, 8], [60, 8]].flatMap(([at = 0, size = 0]) => [
    dynptr(call("bpf_dynptr_slice", "fp-96", at, "fp-128", size), follow),
    packetDynptr("xdp", call("bpf_dynptr_slice", "fp-96", at, 0, size), follow),
    // The packet has become shorter than the dynptr says.
    packetDynptr("xdp", call("xdp_adjust_tail", "ctx", -20), call("bpf_dynptr_slice", "fp-96", at, 0, size), follow),
  ]),
  bpf_dynptr_slice_rdwr: [[0, 8], [60, 8]].flatMap(([at = 0, size = 0]) => [
    packetDynptr("xdp", call("bpf_dynptr_slice_rdwr", "fp-96", at, 0, size), "if r0 == 0 goto null", "r1 = 99", "*(u64 *)(r0 + 0) = r1", "r0 = 1", "null:"),
    filter(call("bpf_dynptr_from_skb", "ctx", 0, "fp-96"), call("bpf_dynptr_slice_rdwr", "fp-96", at, 0, size), isNull),
  ]),
  bpf_dynptr_adjust: [[8, 16], [16, 8], [0, 33], [40, 40]].map(([start = 0, end = 0]) => dynptr(call("bpf_dynptr_adjust", "fp-96", start, end), "r7 = r0", call("bpf_dynptr_size", "fp-96"), "r7 += r0", call("dynptr_data", "fp-96", 0, 8), follow, "r0 += r7")),
  bpf_dynptr_is_null: [dynptr(call("bpf_dynptr_is_null", "fp-96"))],
  bpf_dynptr_is_rdonly: [dynptr(call("bpf_dynptr_is_rdonly", "fp-96")), filter(call("bpf_dynptr_from_skb", "ctx", 0, "fp-96"), call("bpf_dynptr_is_rdonly", "fp-96"))],
  bpf_dynptr_size: [xdp(put(-96, 0, 0), call("bpf_dynptr_size", "fp-96"))],
  bpf_dynptr_clone: [dynptr(call("bpf_dynptr_clone", "fp-96", "fp-112"), call("bpf_dynptr_size", "fp-112")), xdp(put(-96, 0, 0), call("bpf_dynptr_clone", "fp-96", "fp-112"))],
  bpf_iter_num_new: [[0, 3], [3, 0], [-2, 2], [0, 0x80_0001], [-0x8000_0000, 0x7fff_ffff]].map(([start = 0, end = 0]) =>
    xdp("r7 = 0", "r8 = 0", call("bpf_iter_num_new", "fp-16", start, end), "r7 = r0", "again:", "r8 += 1", "if r8 > 9 goto done", call("bpf_iter_num_next", "fp-16"), "if r0 == 0 goto done", "r0 = *(s32 *)(r0 + 0)", "r7 *= 31", "r7 += r0", "goto again", "done:", call("bpf_iter_num_destroy", "fp-16"), "r0 = r7", "r0 ^= r8")),
  bpf_iter_num_next: [xdp(put(-16, 0), call("bpf_iter_num_next", "fp-16"), isNull)],
  bpf_iter_num_destroy: [xdp(put(-16, 7), call("bpf_iter_num_destroy", "fp-16"), fold(-16, 1))],
  bpf_xdp_metadata_rx_timestamp: [xdp(call("bpf_xdp_metadata_rx_timestamp", "ctx", "fp-16"))],
  bpf_xdp_metadata_rx_hash: [xdp(call("bpf_xdp_metadata_rx_hash", "ctx", "fp-16", "fp-32"))],
  bpf_xdp_metadata_rx_vlan_tag: [xdp(call("bpf_xdp_metadata_rx_vlan_tag", "ctx", "fp-16", "fp-32"))],
  timer_init: [[1, 0], [2, 0], [16, 0], [7, 1]].map(([clock = 0, again = 0]) => withTimer(call("timer_init", "r7", "map timed", clock), "r8 = r0", ...(again === 1 ? [call("timer_init", "r7", "map timed", clock), "r8 += r0"] : []), "r0 = r8")),
  timer_set_callback: [
    withTimer(call("timer_set_callback", "r7", "fn fired"), callee("fired", "r1 = map timed ll", "r2 = function fired ll", "r0 = 0")),
    withTimer(call("timer_init", "r7", "map timed", 1), call("timer_set_callback", "r7", "fn fired"), callee("fired", "r2 = function fired ll", "r1 = r3", "call timer_set_callback", "r0 = 0")),
  ],
  timer_start: [0, 1, 4].flatMap((flags) => [
    withTimer(call("timer_start", "r7", 1000, flags), callee("fired", "r0 = 0")),
    withTimer(call("timer_init", "r7", "map timed", 1), call("timer_set_callback", "r7", "fn fired"), call("timer_start", "r7", 1000, flags), "r8 = r0", call("timer_cancel", "r7"), "r0 += r8", callee("fired", "r0 = 0")),
  ]),
  timer_cancel: [withTimer(call("timer_cancel", "r7")), withTimer(call("timer_init", "r7", "map timed", 1), call("timer_cancel", "r7"))],
  map_push_elem: ["queue", "stack", "bloom"].flatMap((map) => [0, 1, 2, 4].map((flags) =>
    xdp(put(-16, 7), call("map_push_elem", `map ${map}`, "fp-16", flags), "r7 = r0", call("map_push_elem", `map ${map}`, "fp-16", flags), "r0 += r7"))),
  map_pop_elem: ["queue", "stack"].map((map) =>
    xdp(put(-16, 7), put(-32, 5), call("map_push_elem", `map ${map}`, "fp-16", 0), put(-16, 8), call("map_push_elem", `map ${map}`, "fp-16", 0), call("map_pop_elem", `map ${map}`, "fp-32"), fold(-32, 1))),
  map_peek_elem: ["queue", "stack", "bloom"].flatMap((map) => [
    xdp(put(-16, 7), put(-32, 7), call("map_peek_elem", `map ${map}`, "fp-32"), fold(-32, 1)),
    xdp(put(-16, 7), put(-32, 7), call("map_push_elem", `map ${map}`, "fp-16", 0), call("map_peek_elem", `map ${map}`, "fp-32"), fold(-32, 1)),
  ]),
};
