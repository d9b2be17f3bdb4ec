/**
 * What a helper call does to shared state and to the packet, for guarded code. A
 * helper that is not in the tables counts as a mutation: one-way sound.
 */
import type { Code } from "./encoder.ts";
import type { Fact, Knowledge } from "./facts.ts";
import type { Guard } from "./guard.ts";
import type { HelperCall } from "./helper-calls.ts";
import type { MapLayout } from "./layout.ts";

const words = (text: string): ReadonlySet<string> =>
  new Set(text.trim().split(/\s+/));

/** They change nothing that anybody else sees, and no packet. */
const pure = words(`
  ktime_get_ns ktime_get_boot_ns ktime_get_coarse_ns ktime_get_tai_ns jiffies64
  get_prandom_u32 get_smp_processor_id get_numa_node_id tail_call loop csum_diff
  bpf_preempt_disable bpf_preempt_enable bpf_rcu_read_lock bpf_rcu_read_unlock
  redirect redirect_map xdp_get_buff_len xdp_load_bytes map_lookup_elem
`);

/** Besides, they may write where an argument leads; events are forgotten. */
const harmless = words(`
  xdp_adjust_head xdp_adjust_meta xdp_adjust_tail xdp_store_bytes
  map_peek_elem map_lookup_percpu_elem for_each_map_elem
  trace_printk trace_vprintk snprintf strncmp strtol strtoul
  perf_event_output xdp_output ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query
  fib_lookup check_mtu redirect_neigh redirect_peer
  bpf_iter_num_new bpf_iter_num_next bpf_iter_num_destroy
`);

/** In front of a call of an attempt. Nothing of it is on the stack. */
export function guardHelper(
  code: Code,
  guard: Guard,
  call: {
    readonly helper: HelperCall;
    readonly know: Knowledge;
    readonly map: MapLayout | undefined;
    readonly maps: readonly MapLayout[];
  },
): void {
  if (!guard.attempts) return;
  const { helper, know, map, maps } = call;
  const { name } = helper;
  // A look-up in an LRU map is a use, and uses decide who is evicted.
  const touches = (each: MapLayout): boolean =>
    each.kind === "lru" && guard.guards(each.index);
  if (
    name.startsWith("map_lookup") &&
    (map === undefined ? maps.some(touches) : touches(map))
  )
    return guard.mutation(code);
  if (pure.has(name)) return;
  const args = know.registers.slice(1, 6);
  const writes =
    helper.bridged &&
    name !== "for_each_map_elem" &&
    args.some((fact: Fact) => fact.kind === "value");
  if (!harmless.has(name) || writes) return guard.mutation(code);
  guard.packetChanges(code);
}
