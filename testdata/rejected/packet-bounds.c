// testdata/rejected: the packet is read without asking where it ends.
// says: packet-bounds.c:10: 1 byte of the packet at offset 23 accessed without a check against data_end (kernel: invalid access to packet, off=23 size=1, R1(id=0,off=23,r=0))
#include "rejected.h"

SEC("xdp")
int entry(struct xdp_md *ctx)
{
	__u8 *packet = PACKET(ctx);

	return packet[23] == 6 ? XDP_DROP : XDP_PASS;
}
char _license[] SEC("license") = "GPL";
