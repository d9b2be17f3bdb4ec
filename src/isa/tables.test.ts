/**
 * The helper, map-type and program-type tables against the kernel's own enums,
 * as the header of linux-libc-dev has them, and against themselves.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { helperRows } from "./helper-table.ts";
import {
  helperByName,
  helperByNumber,
  helpers,
  kfuncByName,
  kfuncs,
} from "./helper.ts";
import { mapTypes } from "./map-types.ts";
import { programTypes } from "./program-types.ts";

const header = readFileSync("/usr/include/linux/bpf.h", "utf8");

/** Names of `enum NAME` in order, without the prefix, in lower case. */
function enumOf(name: string, prefix: string): readonly string[] {
  const body = new RegExp(`enum ${name} \\{([^}]*)\\}`).exec(header)?.[1] ?? "";
  return [
    ...body.matchAll(new RegExp(`\\b${prefix}(\\w+)\\b(?!\\s*=)`, "g")),
  ].map(([, word = ""]) => word.toLowerCase());
}

test("helper numbers and names are the kernel's", () => {
  // `FN(name),` in older headers, `FN(name, number, ##ctx)` in newer ones.
  const names = [...header.matchAll(/^\s*FN\((\w+)[,)]/gm)].map(
    ([, name]) => name,
  );
  ok(names.length > 200, `${names.length} helpers in the header`);
  for (const [number, name] of names.entries())
    if (number > 0 && number <= helpers.length)
      equal(helperByNumber(number)?.name, name);
});

test("map and program types have the kernel's numbers", () => {
  const maps = enumOf("bpf_map_type", "BPF_MAP_TYPE_");
  ok(maps.length > 25);
  for (const [name, { number }] of Object.entries(mapTypes))
    if (number < 31) ok(maps.includes(name), name);
  for (const [number, name] of maps.entries())
    if (name in mapTypes)
      equal(mapTypes[name as keyof typeof mapTypes].number, number, name);
  const programs = enumOf("bpf_prog_type", "BPF_PROG_TYPE_");
  for (const [name, { number }] of Object.entries(programTypes))
    if (number < programs.length) equal(programs[number], name);
});

test("every helper stands once, in order, and reads back", () => {
  deepEqual(
    helperRows.map(([number]) => number),
    Array.from({ length: 211 }, (_, index) => index + 1),
  );
  for (const helper of helpers) {
    equal(helperByName(helper.name), helper);
    equal(helperByName(`bpf_${helper.name}`), helper);
    ok((helper.args?.length ?? 0) <= 5);
  }
  equal(helperByNumber(0), undefined);
  equal(helperByName("no_such"), undefined);
  equal(kfuncByName("bpf_res_spin_lock")?.result, "status");
  equal(new Set(kfuncs.map(({ name }) => name)).size, kfuncs.length);
});

test("what analyses lean on", () => {
  deepEqual(helperByName("map_update_elem"), {
    number: 2,
    name: "map_update_elem",
    args: [
      { kind: "map" },
      { kind: "map-key" },
      { kind: "map-value", access: "read", nullable: false },
      { kind: "number" },
    ],
    result: "status",
    reads: ["map"],
    effects: ["map-write"],
    invalidatesPacket: false,
  });
  deepEqual(helperByName("skb_load_bytes")?.args?.[2], {
    kind: "memory",
    access: "write",
    size: { kind: "argument", argument: 3, zeroAllowed: false },
    nullable: false,
  });
  deepEqual(helperByName("csum_diff")?.args?.[0], {
    kind: "memory",
    access: "read",
    size: { kind: "argument", argument: 1, zeroAllowed: true },
    nullable: true,
  });
  // The helpers after which the kernel's verifier forgets packet pointers.
  const resizing = helpers
    .filter((helper) => helper.invalidatesPacket)
    .map(({ name }) => name);
  for (const name of [
    "xdp_adjust_head",
    "xdp_adjust_tail",
    "xdp_adjust_meta",
    "skb_pull_data",
    "skb_change_tail",
    "skb_vlan_push",
    "skb_store_bytes",
  ])
    ok(resizing.includes(name), name);
  for (const name of [
    "xdp_load_bytes",
    "xdp_store_bytes",
    "fib_lookup",
    "redirect_map",
    "map_update_elem",
  ])
    ok(!resizing.includes(name), name);
});

test("every helper that XDP programs were seen to use is described", () => {
  // prettier-ignore
  const used = [
    "map_lookup_elem", "redirect_map", "map_update_elem", "ktime_get_ns", "trace_printk", "loop", "xdp_adjust_head",
    "tail_call", "csum_diff", "perf_event_output", "xdp_adjust_meta", "get_smp_processor_id", "fib_lookup", "map_delete_elem",
    "xdp_adjust_tail", "redirect", "ringbuf_submit", "spin_lock", "spin_unlock", "xdp_load_bytes", "ringbuf_reserve",
    "ringbuf_discard", "probe_read_kernel", "map_lookup_percpu_elem", "tcp_raw_gen_syncookie_ipv4", "tcp_raw_gen_syncookie_ipv6",
    "tcp_raw_check_syncookie_ipv4", "tcp_raw_check_syncookie_ipv6", "trace_vprintk", "xdp_store_bytes", "get_prandom_u32",
    "skb_vlan_push", "skb_vlan_pop", "skb_store_bytes", "skb_load_bytes", "skb_change_tail", "skb_set_tunnel_opt", "skb_get_tunnel_opt",
    "skb_set_tunnel_key", "skb_get_tunnel_key", "get_hash_recalc", "l3_csum_replace", "clone_redirect",
  ];
  for (const name of used) ok(helperByName(name)?.args !== undefined, name);
});
