/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What samples/bpf takes from headers inside the kernel tree, which need a
 * configured kernel to be included. Given to clang with -include; everything else
 * comes from the user-space headers (include/uapi) of the same tree.
 */
#ifndef CORPUS_KERNEL_H
#define CORPUS_KERNEL_H

#include <linux/types.h>
#include <linux/tcp.h>
#include <linux/udp.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

#define __force
#define __packed __attribute__((packed))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define memcpy __builtin_memcpy
#define memset __builtin_memset

#define AF_INET 2
#define AF_INET6 10

#define htons(x) __builtin_bswap16(x)
#define ntohs(x) __builtin_bswap16(x)
#define htonl(x) __builtin_bswap32(x)
#define cpu_to_be32(x) __builtin_bswap32(x)

struct vlan_hdr {
	__be16 h_vlan_TCI;
	__be16 h_vlan_encapsulated_proto;
};

#endif
