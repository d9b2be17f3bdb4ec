/**
 * Drivers with native XDP, and what makes them refuse or slow down a program.
 * Source: Linux 6.1 drivers (the setup function named in each row) and the threads of
 * users who met the limits; a driver that is not here has skb mode only.
 */
export interface DriverRow {
  /** Largest MTU for a program that takes no fragments, with pages of 4096 bytes. */
  readonly mtu?: number;
  /** Receive offloads must be off, or be such that the driver can switch them off. */
  readonly merging?: "off" | "changeable";
  /** Channels in use, given their most and the number of CPUs: the most that work. */
  readonly channels?: (most: number, cpus: number) => number;
  /** Most CPUs that it takes. */
  readonly cpus?: number;
  readonly combinedOnly?: true;
  /** As many receive queues as the peer has transmit queues are needed. */
  readonly peerQueues?: true;
  /** Does exceeding `channels` slow down only? */
  readonly slowOnly?: true;
  readonly note?: string;
}

// prettier-ignore
export const xdpDrivers: Readonly<Record<string, DriverRow>> = {
  // ena_xdp_allowed: ENA_XDP_MAX_MTU, 2 · queues <= most (amzn/amzn-drivers#164, #240)
  ena:        { mtu: 3498, channels: (most) => Math.floor(most / 2) },
  // ixgbe_xdp_setup: RSC off, 3 KiB buffers, nr_cpu_ids <= 2 · 64 (cilium/cilium#14648, facebookincubator/katran#84)
  ixgbe:      { mtu: 3050, merging: "off", cpus: 128, note: "above 64 CPUs queues of XDP_TX are shared under a lock (Linux 5.16; refused before)" },
  ixgbevf:    {},
  // i40e_xdp_setup, ice_xdp_setup_prog: one buffer of 3 KiB a frame
  i40e:       { mtu: 3050 },
  ice:        { mtu: 3050 },
  // virtnet_xdp_set: headroom in one page; a pair of queues per CPU for XDP_TX (asavie/xdp#16);
  // offloads that the host does not let the guest switch off (VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
  virtio_net: { mtu: 3506, merging: "changeable", channels: (most, cpus) => Math.max(1, most - cpus), slowOnly: true },
  // bnxt_xdp_set: combined channels, spare TX rings
  bnxt_en:    { combinedOnly: true, note: "attaching fails without spare TX rings" },
  // mlx5e_xdp_allowed
  mlx5_core:  { merging: "off" },
  // veth_xdp_set: receive queues >= the peer's transmit queues, the peer's MTU in one page
  veth:       { peerQueues: true, note: "the peer needs native XDP or GRO for frames to come back, and an MTU of at most 3506" },
  igb: {}, igc: { mtu: 1500 }, mlx4_en: {}, gve: {}, sfc: {}, qede: {}, nfp: {}, hv_netvsc: {}, mana: {}, vmxnet3: {},
  tun: {}, bonding: {}, nicvf: {}, "rvu-nicpf": {}, rvu_nicpf: {}, atlantic: {}, mvneta: {}, mvpp2: {}, stmmac: {}, fec: {},
  enetc: {}, fsl_enetc: {}, fsl_dpaa2_eth: {}, mtk_soc_eth: {}, lan966x: {}, tsnep: {}, cpsw: {}, xen_netfront: {}, netdevsim: {},
};
