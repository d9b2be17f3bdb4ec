/**
 * The profiles that ship. Sources are Linux 6.1 drivers unless said otherwise.
 */
import type { FieldChoices, NicProfile } from "./nic-profile.ts";
import type { PacketClass } from "./packet-class.ts";

type Inputs = Readonly<Partial<Record<PacketClass, FieldChoices>>>;

const four = ["sdfn"] as const;
const two = ["sd"] as const;
const either = ["sdfn", "sd"] as const;
// Subsets that are prefixes of the full input: the same position whether the NIC
// packs the chosen fields or blanks the others.
const prefixes = ["sdfn", "sd", "s", "sdf"] as const;

// prettier-ignore
const plain: Inputs = {
  tcp4: four,   udp4: either, sctp4: two,   other4: two, fragment4: two,
  tcp6: four,   udp6: either, sctp6: two,   other6: two, fragment6: two,
};
// prettier-ignore
const chosen: Inputs = {
  ...plain,
  tcp4: prefixes, udp4: prefixes, tcp6: prefixes, udp6: prefixes,
};

const transports = ["tcp4", "udp4", "tcp6", "udp6"] as const;

// prettier-ignore
export const nicProfiles: Readonly<Record<string, NicProfile>> = {
  generic: {
    name: "generic", title: "any NIC with a 40-byte key and 128 entries", rss: true,
    keyBytes: 40, tableEntries: 128, indexRule: "low",
    inputs: { ...plain, tcp4: either, tcp6: either }, settable: transports,
    vlanTags: 1, keySettable: true, transform: "none", ntuple: null, tables: 1,
    irqNames: ["{iface}-TxRx-{queue}", "{iface}-Tx-Rx-{queue}", "{iface}-rx-{queue}", "{iface}-{queue}"],
    sources: ["Microsoft: RSS hashing types (input, 40-byte key, low bits index the table)"],
    doubts: [],
  },
  x710: {
    name: "x710", title: "Intel X710/XL710 (i40e)", rss: true,
    keyBytes: 52, tableEntries: 512, indexRule: "low",
    inputs: { ...chosen, sctp4: either, sctp6: either }, settable: transports,
    vlanTags: 2, keySettable: true, transform: "none", ntuple: true, tables: 1,
    irqNames: ["i40e-{iface}-TxRx-{queue}"],
    sources: [
      "i40e.h: I40E_HKEY_ARRAY_SIZE, I40E_HLUT_ARRAY_SIZE",
      "i40e_ethtool.c: i40e_set_rss_hash_opt, i40e_get_rss_hash_bits (each of s d f n on its own)",
      "i40e_main.c: i40e_vsi_request_irq_msix (IRQ names)",
    ],
    doubts: [
      "whether SCTP's ports are hashed: keys are made to serve both",
      "flow director ATR may steer TCP flows that this host itself sends: ethtool --set-priv-flags IFACE flow-director-atr off",
    ],
  },
  e810: {
    name: "e810", title: "Intel E810 (ice)", rss: true,
    keyBytes: 52, tableEntries: 512, indexRule: "low",
    inputs: { ...chosen, sctp4: ["sdfn", "sd"], sctp6: ["sdfn", "sd"] },
    settable: [...transports, "sctp4", "sctp6"],
    vlanTags: 2, keySettable: true, transform: "none", ntuple: true, tables: null,
    irqNames: ["ice-{iface}-TxRx-{queue}"],
    sources: [
      "ice_ethtool.c: ice_parse_hash_flds (each of s d f n on its own), ice_get_rxfh_indir_size",
      "ice_main.c: ice_vsi_req_irq_msix (IRQ names)",
    ],
    doubts: ["the table has 512 entries on a physical function with the default package"],
  },
  mlx5: {
    name: "mlx5", title: "NVIDIA ConnectX-4 to -7 (mlx5)", rss: true,
    keyBytes: 40, tableEntries: 256, indexRule: "low",
    inputs: { ...plain, tcp4: ["sdfn", "sd", "s"], udp4: ["sdfn", "sd", "s"], tcp6: ["sdfn", "sd", "s"], udp6: ["sdfn", "sd", "s"] },
    settable: transports,
    vlanTags: 2, keySettable: true, transform: "symmetric-or-xor", ntuple: true, tables: 16,
    irqNames: ["mlx5_comp{queue}@pci:{device}", "mlx5_comp{queue}"],
    sources: [
      "mlx5 en/rqt.h: MLX5E_INDIR_RQT_SIZE (256)",
      "mlx5 en/tir.c: rx_hash_symmetric is always set; Linux 6.15 lets `ethtool -X IFACE xfrm none` clear it",
      "mlx5 pci_irq.c: mlx5_irq_request (IRQ names)",
    ],
    doubts: ["newer drivers may use another table size; apply.sh compares and refuses"],
  },
  ixgbe: {
    name: "ixgbe", title: "Intel 82599, X540, X550 (ixgbe)", rss: true,
    keyBytes: 40, tableEntries: 128, queues: 16, indexRule: "low",
    inputs: { ...plain, udp4: ["sd", "sdfn"], udp6: ["sd", "sdfn"] }, settable: ["udp4", "udp6"],
    vlanTags: 1, keySettable: true, transform: "none", ntuple: true, tables: 1,
    irqNames: ["{iface}-TxRx-{queue}"],
    sources: [
      "ixgbe.h: IXGBE_RSS_KEY_SIZE, IXGBE_MAX_RSS_INDICES",
      "ixgbe_ethtool.c: ixgbe_set_rss_hash_opt (TCP fixed at sdfn, UDP sd or sdfn)",
    ],
    doubts: ["X550 has 512 entries and 63 queues; apply.sh compares and refuses: use a profile file for it"],
  },
  ena: {
    name: "ena", title: "Amazon Elastic Network Adapter (ena)", rss: true,
    keyBytes: 40, tableEntries: 128, indexRule: "unsure",
    inputs: { ...plain, tcp4: either, tcp6: either, "non-ip": null }, settable: transports,
    vlanTags: null, keySettable: null, transform: "none", ntuple: false, tables: 1,
    irqNames: ["{iface}-Tx-Rx-{queue}"],
    sources: [
      "ena_netdev.h: ENA_RX_RSS_TABLE_LOG_SIZE; ena_com.h: ENA_HASH_KEY_SIZE",
      "ena_com.c: ena_com_set_default_hash_ctrl (fields; frames that are not IP are hashed by MAC)",
      "ena_netdev.c: ena_setup_io_intr (IRQ names)",
    ],
    doubts: [
      "whether an instance type lets the key and the fields be changed differs; apply.sh tries and restores",
      "which bits of the hash index the table is not documented",
    ],
  },
  virtio: {
    name: "virtio", title: "virtio-net with VIRTIO_NET_F_RSS", rss: true,
    keyBytes: 40, tableEntries: 128, indexRule: "low",
    inputs: { ...plain, tcp4: either, tcp6: either }, settable: transports,
    vlanTags: null, keySettable: true, transform: "none", ntuple: false, tables: 1,
    irqNames: ["{device}-input.{queue}"],
    sources: [
      "virtio 1.2, section 5.1.6.4.3 (hash types, low bits by indirection_table_mask)",
      "virtio_net.c: virtnet_set_hashflow (sd or sdfn), VIRTIO_NET_RSS_MAX_KEY_SIZE",
    ],
    doubts: ["the device chooses the table's size; apply.sh compares and refuses"],
  },
  veth: {
    name: "veth", title: "veth: no receive-side scaling", rss: false,
    keyBytes: 0, tableEntries: 1, indexRule: "unsure",
    inputs: {}, settable: [],
    vlanTags: 0, keySettable: false, transform: "none", ntuple: false, tables: 0,
    irqNames: [],
    sources: ["veth.c: no rxfh operations; the sender's queue decides"],
    doubts: [],
  },
};
