// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Maps of a `maps` section, with and without the tail of the kernel's samples,
// static programs and free section names. Compiled with and without BTF.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_map_def {
  unsigned type, key_size, value_size, max_entries, map_flags;
};

struct bpf_map_def SEC("maps") counters = {BPF_MAP_TYPE_PERCPU_ARRAY, 4, 8, 64};

struct bpf_map_def SEC("maps") routes = {
    BPF_MAP_TYPE_LPM_TRIE, 8, 4, 100, 1 /* BPF_F_NO_PREALLOC */};

struct long_def {
  unsigned type, key_size, value_size, max_entries, map_flags, inner, numa;
};

struct long_def SEC("maps/inner") template = {BPF_MAP_TYPE_HASH, 4, 4, 8};
struct long_def SEC("maps/inner") tables = {
    BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 4, 2, 0, 0 /* the first of its section */};

struct bpf_map_def SEC("maps") jumps = {BPF_MAP_TYPE_PROG_ARRAY, 4, 4, 2};

unsigned limit = 3;

__attribute__((section("2/5"), used)) static int part(struct xdp_md *ctx) {
  return XDP_PASS;
}

SEC("xdp_prog") int entry(struct xdp_md *ctx) {
  __u32 key = 0;
  __u64 *count = bpf_map_lookup_elem(&counters, &key);
  if (count) *count += limit;
  __u32 prefix[2] = {32, 1};
  bpf_map_lookup_elem(&routes, prefix);
  bpf_map_lookup_elem(&tables, &key);
  bpf_tail_call(ctx, &jumps, 0);
  return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
unsigned _version SEC("version") = 0x60100;
