/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/* A quota of packets per subscriber: the source of the IPv4 packet inside GTP-U. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct gtp {
	__u8 flags;
	__u8 type;
	__be16 length;
	__be32 teid;
};

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct gtp gtp;
	struct iphdr inner;
} __attribute__((packed));

volatile const __u64 quota = 12;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __be32);
	__type(value, __u64);
} subscribers SEC(".maps");

SEC("xdp")
int gtp_meter(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct frame *frame = data;
	__u64 *packets, one = 1;
	__be32 who;

	if ((void *)(frame + 1) > end)
		return XDP_PASS;
	if (frame->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    frame->ip.ihl != 5 || frame->ip.protocol != IPPROTO_UDP ||
	    frame->ip.frag_off & bpf_htons(0x3fff) ||
	    frame->udp.dest != bpf_htons(2152) || frame->gtp.flags != 0x30 ||
	    frame->gtp.type != 255 || frame->inner.version != 4)
		return XDP_PASS;
	who = frame->inner.saddr;
	packets = bpf_map_lookup_elem(&subscribers, &who);
	if (!packets) {
		bpf_map_update_elem(&subscribers, &who, &one, BPF_ANY);
		return XDP_PASS;
	}
	if (*packets >= quota)
		return XDP_DROP;
	*packets += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
