/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * Stands for the vmlinux.h that bpftool writes from the running kernel's BTF, so
 * that the samples compile to the same bytes on every kernel and where there is no
 * BTF. Names only what samples/bpf uses; members carry CO-RE records, so offsets of
 * kernel-internal structures are not promised.
 */
#ifndef CORPUS_VMLINUX_H
#define CORPUS_VMLINUX_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* The samples define these themselves, as other tokens. */
#undef IPPROTO_ICMPV6

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef _Bool bool;
enum { false = 0, true = 1 };
typedef __kernel_size_t size_t;

struct vlan_hdr {
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net_device {
	int ifindex;
};

struct bpf_map {
	u32 id;
};

struct bpf_prog;

struct xdp_cpumap_stats {
	unsigned int redirect;
	unsigned int pass;
	unsigned int drop;
};

struct pt_regs {
	unsigned long di, si, dx, cx, r8, r9;
};

#pragma clang attribute pop

#endif
