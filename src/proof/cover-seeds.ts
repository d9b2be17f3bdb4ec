/** Common frames to start a search from when the caller has none: 64 bytes each. */
import type { PacketInput } from "../interp/index.ts";

const frames: readonly (readonly [at: number, hex: string])[][] = [
  // TCP SYN, UDP, ICMP over IPv4; ARP; TCP and UDP over IPv6; VLAN.
  [
    [
      12,
      "08004500003200004000400600000a0000010a000002040000500000000100000000500220000000",
    ],
  ],
  [[12, "08004500003200004000401100000a0000010a00000204000035001e0000"]],
  [[12, "08004500003200004000400100000a0000010a0000020800000000010001"]],
  [[12, "08060001080006040001"]],
  [
    [12, "86dd6000000000140640"],
    [22, "20010db8000000000000000000000001"],
    [38, "20010db8000000000000000000000002"],
    [54, "04000050000000010000"],
  ],
  [
    [12, "86dd60000000000a1140"],
    [22, "20010db8000000000000000000000001"],
    [38, "20010db8000000000000000000000002"],
    [54, "04000035000a0000"],
  ],
  [
    [
      12,
      "8100000108004500002e00004000401100000a0000010a00000204000035001a0000",
    ],
  ],
];

export function defaultSeeds(ifindex: number): readonly PacketInput[] {
  return frames.map((pieces) => {
    const data = new Uint8Array(64);
    data.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
    for (const [at, hex] of pieces)
      for (let index = 0; 2 * index < hex.length; index++)
        data[at + index] = Number.parseInt(
          hex.slice(2 * index, 2 * index + 2),
          16,
        );
    return { data, ifindex, rxQueue: 0, cpu: 0, time: 1_000_000_000n };
  });
}
