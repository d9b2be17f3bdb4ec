/**
 * Packets on another queue than the plan's: what the code in front of a program (codegen)
 * must know of the plan, and what it has counted so far, of all cores.
 */
import { fromHex } from "../base/index.ts";
import { misdirectedLayout, type HashedPort } from "../codegen/index.ts";
import type { KernelMap } from "../engine/index.ts";
import {
  packetClasses,
  portConfig,
  type NicSetup,
  type PacketClass,
} from "../rss/index.ts";

/** None where the queue does not follow from the plan, whatever is hashed. */
export function hashedPorts(
  setup: NicSetup | undefined,
  interfaces: readonly { readonly port: string; readonly ifindex: number }[],
): readonly HashedPort[] {
  if (setup === undefined || setup.profile.indexRule === "unsure") return [];
  const { inputs, settable } = setup.profile;
  const isSure = (name: PacketClass): boolean =>
    settable.includes(name) || (inputs[name]?.length ?? 1) === 1;
  return interfaces.map(({ port, ifindex }) => {
    const { key, fields, table } = portConfig(setup, port);
    const known = { ...fields };
    // One of several, and nobody knows which: a key serves all, a queue does not.
    for (const name of packetClasses) if (!isSure(name)) known[name] = null;
    return { ifindex, key: fromHex(key), fields: known, table };
  });
}

export interface MisdirectedCount {
  readonly seen: bigint;
  /** Of those, looked at and hashed. */
  readonly checked: bigint;
  /** Of those checked, on another queue than the plan's. */
  readonly misdirected: bigint;
  /** Looked at and not hashed: no plain IPv4 or IPv6. */
  readonly unchecked: bigint;
}

export function readMisdirected(
  map: Pick<KernelMap, "lookupAll">,
): MisdirectedCount {
  const copies = map.lookupAll(new Uint8Array(4)) ?? [];
  const sum = (offset: number): bigint =>
    copies.reduce(
      (total, copy) =>
        total +
        new DataView(copy.buffer, copy.byteOffset).getBigUint64(offset, true),
      0n,
    );
  const { seen, checked, misdirected, unchecked } = misdirectedLayout;
  return {
    seen: sum(seen),
    checked: sum(checked),
    misdirected: sum(misdirected),
    unchecked: sum(unchecked),
  };
}
