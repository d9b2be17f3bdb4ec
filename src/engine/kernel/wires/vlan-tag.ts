/** The kernel takes VLAN tags out of frames that it keeps; this puts one back. */

export interface VlanTag {
  /** EtherType of the tag: 0x8100, 0x88a8. */
  readonly protocol: number;
  readonly tag: number;
}

export function withVlanTag(
  frame: Uint8Array,
  { protocol, tag }: VlanTag,
): Uint8Array {
  const whole = new Uint8Array(frame.length + 4);
  whole.set(frame.subarray(0, 12));
  whole.set(frame.subarray(12), 16);
  whole.set([protocol >>> 8, protocol & 255, tag >>> 8, tag & 255], 12);
  return whole;
}
