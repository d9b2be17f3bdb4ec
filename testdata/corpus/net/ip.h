/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* What samples/bpf takes from the kernel's header of this name. */
#ifndef CORPUS_NET_IP_H
#define CORPUS_NET_IP_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_endian.h>

/* More fragments, or an offset. */
static __attribute__((always_inline)) inline bool ip_is_fragment(const struct iphdr *ip)
{
	return (ip->frag_off & bpf_htons(0x3fff)) != 0;
}

#endif
