// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
// Calls that libbpf does not take: between sections, and of an entry function;
// kernel functions and variables; a function hidden from other files.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

extern const void divisi_nosuch_symbol __ksym __weak;
extern void *bpf_cast_to_kern_ctx(void *) __ksym;

#define OWN __attribute__((noinline, section("xdp")))

static OWN int helper(struct xdp_md *ctx) {
  volatile int length = ctx->data_end - ctx->data;
  return length > 100 ? XDP_PASS : XDP_DROP;
}

OWN int entry(struct xdp_md *ctx) { return helper(ctx) & 3; }

__attribute__((noinline, visibility("hidden"))) int hidden(int a) {
  volatile int b = a;
  return b + 1;
}

SEC("xdp/devmap") int second(struct xdp_md *ctx) {
  int found = &divisi_nosuch_symbol != 0;
  void *kernel = bpf_cast_to_kern_ctx(ctx);
  return (entry(ctx) + hidden(found) + (kernel != 0)) & 3;
}

char _license[] SEC("license") = "GPL";
