/**
 * What programs may ask of a kernel, and the first release that has it. Source: the
 * commit that brought each (include/uapi/linux/bpf.h, kernel/bpf/verifier.c).
 */
import type { MapTypeName } from "../../../isa/index.ts";

interface Named {
  readonly name: string;
  readonly firstKernel: string;
}

export type Probe = Named &
  (
    | {
        readonly kind: "map";
        readonly map: MapTypeName;
        readonly flags?: number;
      }
    | { readonly kind: "helper"; readonly helper: number }
    | {
        readonly kind: "program";
        readonly text: string;
        readonly flags?: number;
      }
    | {
        readonly kind: "call";
        readonly call: "link" | "testRun" | "liveFrames" | "batch";
      }
  );

const fragments = 1 << 5;
const mmapable = 1 << 10;

// prettier-ignore
export const probeTable: readonly Probe[] = [
  { kind: "map", name: "map array",            map: "array",           firstKernel: "3.19" },
  { kind: "map", name: "map hash",             map: "hash",            firstKernel: "3.19" },
  { kind: "map", name: "map prog_array",       map: "prog_array",      firstKernel: "4.2" },
  { kind: "map", name: "map perf_event_array", map: "perf_event_array", firstKernel: "4.3" },
  { kind: "map", name: "map percpu_hash",      map: "percpu_hash",     firstKernel: "4.6" },
  { kind: "map", name: "map percpu_array",     map: "percpu_array",    firstKernel: "4.6" },
  { kind: "map", name: "map lru_hash",         map: "lru_hash",        firstKernel: "4.10" },
  { kind: "map", name: "map lru_percpu_hash",  map: "lru_percpu_hash", firstKernel: "4.10" },
  { kind: "map", name: "map lpm_trie",         map: "lpm_trie",        firstKernel: "4.11" },
  { kind: "map", name: "map array_of_maps",    map: "array_of_maps",   firstKernel: "4.12" },
  { kind: "map", name: "map hash_of_maps",     map: "hash_of_maps",    firstKernel: "4.12" },
  { kind: "map", name: "map devmap",           map: "devmap",          firstKernel: "4.14" },
  { kind: "map", name: "map cpumap",           map: "cpumap",          firstKernel: "4.15" },
  { kind: "map", name: "map xskmap",           map: "xskmap",          firstKernel: "4.18" },
  { kind: "map", name: "map queue",            map: "queue",           firstKernel: "4.20" },
  { kind: "map", name: "map stack",            map: "stack",           firstKernel: "4.20" },
  { kind: "map", name: "map devmap_hash",      map: "devmap_hash",     firstKernel: "5.4" },
  { kind: "map", name: "map array, mmap",      map: "array", flags: mmapable, firstKernel: "5.5" },
  { kind: "map", name: "map ringbuf",          map: "ringbuf",         firstKernel: "5.8" },
  { kind: "map", name: "map bloom_filter",     map: "bloom_filter",    firstKernel: "5.16" },
  { kind: "map", name: "map user_ringbuf",     map: "user_ringbuf",    firstKernel: "6.1" },
  { kind: "map", name: "map arena",            map: "arena",           firstKernel: "6.9" },
  { kind: "helper", name: "bpf_xdp_adjust_head",         helper: 44,  firstKernel: "4.10" },
  { kind: "helper", name: "bpf_redirect_map",            helper: 51,  firstKernel: "4.14" },
  { kind: "helper", name: "bpf_xdp_adjust_meta",         helper: 54,  firstKernel: "4.15" },
  { kind: "helper", name: "bpf_xdp_adjust_tail",         helper: 65,  firstKernel: "4.18" },
  { kind: "helper", name: "bpf_fib_lookup",              helper: 69,  firstKernel: "4.18" },
  { kind: "helper", name: "bpf_spin_lock",               helper: 93,  firstKernel: "5.1" },
  { kind: "helper", name: "bpf_jiffies64",               helper: 118, firstKernel: "5.6" },
  { kind: "helper", name: "bpf_ringbuf_reserve",         helper: 131, firstKernel: "5.8" },
  { kind: "helper", name: "bpf_for_each_map_elem",       helper: 164, firstKernel: "5.13" },
  { kind: "helper", name: "bpf_timer_init",              helper: 169, firstKernel: "5.15" },
  { kind: "helper", name: "bpf_loop",                    helper: 181, firstKernel: "5.17" },
  { kind: "helper", name: "bpf_xdp_load_bytes",          helper: 189, firstKernel: "5.18" },
  { kind: "helper", name: "bpf_map_lookup_percpu_elem",  helper: 195, firstKernel: "5.19" },
  { kind: "helper", name: "bpf_tcp_raw_gen_syncookie_ipv4", helper: 204, firstKernel: "6.0" },
  { kind: "program", name: "XDP programs",          text: "r0 = 2\n exit", firstKernel: "4.8" },
  { kind: "program", name: "32-bit jumps",          text: "r0 = 2\n if w0 == 3 goto out\nout:\n exit", firstKernel: "5.1" },
  { kind: "program", name: "bounded loops",         text: "r0 = 2\n r1 = 0\nagain:\n r1 += 1\n if r1 < 8 goto again\n exit", firstKernel: "5.3" },
  { kind: "program", name: "fetching atomics",      text: "r1 = 1\n *(u64 *)(r10 - 8) = r1\n r1 = atomic_fetch_add((u64 *)(r10 - 8), r1)\n r0 = 2\n exit", firstKernel: "5.12" },
  { kind: "program", name: "XDP fragments",         text: "r0 = 2\n exit", flags: fragments, firstKernel: "5.18" },
  { kind: "program", name: "signed division (cpu v4)", text: "r0 = 2\n r0 s/= 1\n exit", firstKernel: "6.6" },
  { kind: "call", name: "BPF_PROG_TEST_RUN",        call: "testRun",    firstKernel: "4.12" },
  { kind: "call", name: "batched map operations",   call: "batch",      firstKernel: "5.6" },
  { kind: "call", name: "links of XDP programs",    call: "link",       firstKernel: "5.9" },
  { kind: "call", name: "live frames in test runs", call: "liveFrames", firstKernel: "5.18" },
];
