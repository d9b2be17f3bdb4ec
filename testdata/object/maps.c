// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Every way to define a map, and every way to name one, a variable or a function.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool CONFIG_BPF __kconfig __weak;

struct value {
  __u32 low : 3;
  __u32 high : 5;
  __u64 count;
  struct {
    __u16 ports[2];
    union {
      __u32 word;
      __u8 bytes[4];
    };
  } inner;
};

// One struct, two maps: an edit of one must not reach the other.
struct shared {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 16);
  __type(key, __u32);
  __type(value, struct value);
} first SEC(".maps"), second SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct shared);
} outer SEC(".maps") = {.values = {[1] = &first, &second}};

struct {
  __uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
  __uint(max_entries, 4);
  __type(key, __u32);
  __array(values, struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __uint(key_size, 4);
    __uint(value_size, 8);
  });
} outer_hash SEC(".maps");

int tail(struct xdp_md *ctx);

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 4);
  __uint(key_size, 4);
  __array(values, int(void *));
} jumps SEC(".maps") = {.values = {[2] = (void *)&tail}};

const volatile int factor = 5;
volatile __u64 bias = 7;
static volatile int runs;
static const char greeting[] = "hello %d";

SEC("xdp") int tail(struct xdp_md *ctx) {
  bpf_trace_printk(greeting, sizeof greeting, runs);
  return XDP_DROP;
}

static __attribute__((noinline)) int scale(int a) { return a * factor + runs; }

__attribute__((noinline)) int weigh(int a) {
  runs++;
  return scale(a) + bias;
}

static long add(__u32 index, void *sum) {
  *(int *)sum += index;
  return 0;
}

SEC("xdp") int entry(struct xdp_md *ctx) {
  int sum = 0;
  __u32 key = 1;
  bpf_loop(10, add, &sum, 0);
  void *map = bpf_map_lookup_elem(&outer, &key);
  if (map) {
    struct value *value = bpf_map_lookup_elem(map, &key);
    if (value) value->count++;
  }
  bpf_map_lookup_elem(&outer_hash, &key);
  bpf_tail_call(ctx, &jumps, 2);
  if (LINUX_KERNEL_VERSION > 5 && CONFIG_BPF) sum++;
  return weigh(sum) + scale(3);
}

static __attribute__((noinline)) int difference(int a) {
  return a * factor - runs;
}

SEC("xdp") int other(struct xdp_md *ctx) {
  return difference(ctx->data_end - ctx->data);
}

char _license[] SEC("license") = "GPL";
