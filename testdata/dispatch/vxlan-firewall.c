/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * A firewall on the packets inside VXLAN: what the LAN opened, the WAN may answer.
 * Everything that is no TCP or UDP over IPv4 inside VXLAN passes.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct vxlan {
	__u8 flags;
	__u8 reserved[3];
	__be32 vni;
};

struct l4 {
	__be16 source;
	__be16 dest;
};

struct frame {
	struct ethhdr eth;
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan vxlan;
	struct ethhdr inner_eth;
	struct iphdr inner_ip;
	struct l4 inner_l4;
} __attribute__((packed));

struct flow {
	__be32 inside;
	__be32 outside;
	__be16 inside_port;
	__be16 outside_port;
};

volatile const __u32 lan_ifindex = 1;
volatile const __u32 wan_ifindex = 2;

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, struct flow);
	__type(value, __u64);
} flows SEC(".maps");

SEC("xdp")
int vxlan_firewall(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	struct frame *frame = data;
	struct flow flow = {};
	__u64 *packets, one = 1;

	if ((void *)(frame + 1) > end)
		return XDP_PASS;
	if (frame->eth.h_proto != bpf_htons(ETH_P_IP) ||
	    frame->ip.ihl != 5 || frame->ip.protocol != IPPROTO_UDP ||
	    frame->ip.frag_off & bpf_htons(0x3fff) ||
	    frame->udp.dest != bpf_htons(4789) || !(frame->vxlan.flags & 8) ||
	    frame->inner_eth.h_proto != bpf_htons(ETH_P_IP) ||
	    frame->inner_ip.ihl != 5 ||
	    frame->inner_ip.frag_off & bpf_htons(0x3fff))
		return XDP_PASS;
	if (frame->inner_ip.protocol != IPPROTO_TCP &&
	    frame->inner_ip.protocol != IPPROTO_UDP)
		return XDP_PASS;
	if (ctx->ingress_ifindex == lan_ifindex) {
		flow.inside = frame->inner_ip.saddr;
		flow.outside = frame->inner_ip.daddr;
		flow.inside_port = frame->inner_l4.source;
		flow.outside_port = frame->inner_l4.dest;
		packets = bpf_map_lookup_elem(&flows, &flow);
		if (packets)
			*packets += 1;
		else
			bpf_map_update_elem(&flows, &flow, &one, BPF_ANY);
		return XDP_PASS;
	}
	if (ctx->ingress_ifindex != wan_ifindex)
		return XDP_PASS;
	flow.inside = frame->inner_ip.daddr;
	flow.outside = frame->inner_ip.saddr;
	flow.inside_port = frame->inner_l4.dest;
	flow.outside_port = frame->inner_l4.source;
	packets = bpf_map_lookup_elem(&flows, &flow);
	if (!packets)
		return XDP_DROP;
	*packets += 1;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";
