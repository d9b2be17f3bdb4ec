/**
 * The exact loads against counting drawn flows through the NIC model.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { test } from "node:test";
import { Random, toHex } from "../base/index.ts";
import { buildFrame } from "../packet/index.ts";
import { candidates, fieldsOf } from "./assignment.ts";
import { nicProfile } from "./find-profile.ts";
import { NicModel } from "./nic.ts";
import { hashView, imbalanceOf } from "./quality.ts";
import { indirectionTable, type IndirectionTable } from "./table.ts";
import { toeplitz } from "./toeplitz.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);

test(`exact load against 20,000 drawn flows (seed ${seed})`, () => {
  const random = new Random(seed);
  for (let round = 0; round < 12; round++) {
    const key = random.bytes(40);
    // Some keys that reach few entries.
    if (round % 3 === 1) key.fill(0, 3, 8);
    if (round % 3 === 2) key.fill(0, 5);
    const cores = random.pick([2, 3, 4]);
    const table = indirectionTable(
      Array.from({ length: 128 }, () => true),
      cores,
    );
    const view = hashView(key, "tcp4", "sdfn", 7);
    const { uniform, one8 } = imbalanceOf(view, table, cores);
    const drawn = (prefix8: boolean): number => {
      const loads = Array.from({ length: cores }, () => 0);
      const flows = 20_000;
      for (let flow = 0; flow < flows; flow++) {
        const input = random.bytes(12);
        if (prefix8) {
          input[0] = 10;
          input[4] = 10;
        }
        const queue = table.entries[toeplitz(key, input) & 127] ?? 0;
        loads[queue] = (loads[queue] ?? 0) + 1;
      }
      return (Math.max(...loads) * cores) / flows;
    };
    ok(Math.abs(drawn(false) - uniform) < 0.06, `uniform ${uniform}`);
    ok(Math.abs(drawn(true) - one8) < 0.06, `one8 ${one8}`);
  }
});

test("a key of one window: the low bit of the source decides", () => {
  const key = new Uint8Array(40);
  // Bit 62 is the last bit of window 31: it is index bit 0 of source bit 31.
  key[7] = 0b10;
  const table = indirectionTable(
    Array.from({ length: 128 }, () => true),
    2,
  );
  const view = hashView(key, "tcp4", "s", 7);
  const { uniform, one8, one16 } = imbalanceOf(view, table, 2);
  deepEqual([uniform, one8], [1, 1]);
  // Clients as destinations: a thousand servers, about half of them odd.
  ok(one16 > 1 && one16 < 1.1, `${one16}`);
  const blind = hashView(key, "tcp4", "", 7);
  deepEqual(imbalanceOf(blind, table, 2), { uniform: 2, one8: 2, one16: 2 });
});

// prettier-ignore
const tables: readonly (readonly [string, number, readonly number[], string])[] = [
  ["11111111", 4, [0, 1, 2, 3, 0, 1, 2, 3], "equal 4"],
  ["11111111", 3, [0, 1, 2, 0, 1, 2, 0, 1], "equal 3"],
  ["10101010", 4, [0, 0, 1, 1, 2, 2, 3, 3], "weight 2 2 2 2"],
  ["11000011", 2, [0, 0, 0, 0, 0, 0, 1, 1], "weight 6 2"],
  ["10000001", 2, [0, 0, 0, 0, 0, 0, 0, 1], "weight 7 1"],
];

test("tables spread the reachable entries, in ethtool's words", () => {
  for (const [reachable, queues, entries, words] of tables) {
    const table = indirectionTable(
      Array.from(reachable, (each) => each === "1"),
      queues,
    );
    deepEqual(table.entries, entries);
    equal(table.ethtool.join(" "), words);
    deepEqual(asEthtoolFills(table), entries);
  }
});

/** What ethtool makes of its words. */
function asEthtoolFills({
  entries,
  ethtool,
}: IndirectionTable): readonly number[] {
  const [shape, ...numbers] = ethtool;
  if (shape === "equal")
    return entries.map((_, entry) => entry % Number(numbers[0]));
  return numbers.flatMap((weight, queue) =>
    Array.from({ length: Number(weight) }, () => queue),
  );
}

test("frames by class: what is hashed, and entry 0 for the rest", () => {
  const [inputs] = candidates(nicProfile("generic"));
  ok(inputs !== undefined);
  const key = new Random(3).bytes(40);
  const table = Array.from({ length: 128 }, (_, entry) => entry % 5);
  const model = new NicModel({
    key: toHex(key),
    fields: fieldsOf(inputs),
    table,
  });
  const ipv4 = { src: "10.1.2.3", dst: "192.168.7.9" };
  const ipv6 = { src: "2001:db8::1", dst: "2001:db8::2" };
  const tcp = { sport: 1000, dport: 80 };
  const two = toeplitz(key, new Uint8Array([10, 1, 2, 3, 192, 168, 7, 9]));
  const four = toeplitz(
    key,
    new Uint8Array([10, 1, 2, 3, 192, 168, 7, 9, 3, 232, 0, 80]),
  );
  const options = new Uint8Array([1, 1, 1, 1]);
  // prettier-ignore
  const cases: readonly (readonly [Uint8Array, string, number | null])[] = [
    [buildFrame({ ipv4, tcp }), "tcp4", four],
    [buildFrame({ ipv4, udp: tcp }), "udp4", four],
    [buildFrame({ ipv4, tcp, vlans: [5] }), "tcp4", four],
    [buildFrame({ ipv4, tcp, vlans: [5, 6] }), "tcp4", four],
    [buildFrame({ ipv4: { ...ipv4, options }, tcp }), "tcp4", four],
    [buildFrame({ ipv4: { ...ipv4, moreFragments: true }, udp: tcp }), "fragment4", two],
    [buildFrame({ ipv4: { ...ipv4, fragmentOffset: 3 }, udp: tcp }), "fragment4", two],
    [buildFrame({ ipv4, icmp: { type: 8 } }), "other4", two],
    [buildFrame({ ipv4: { ...ipv4, protocol: 132 }, payload: new Uint8Array(12) }), "sctp4", two],
    [buildFrame({ arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } }), "non-ip", null],
    [buildFrame({ ipv4, tcp }).subarray(0, 30), "non-ip", null],
    [new Uint8Array(0), "non-ip", null],
  ];
  for (const [frame, name, hash] of cases) {
    const choice = model.queueOf(frame);
    deepEqual(
      [choice.class, choice.hash, choice.entry, choice.queue],
      [name, hash, (hash ?? 0) & 127, ((hash ?? 0) & 127) % 5],
    );
  }
  const direct = model.queueOf(buildFrame({ ipv6, tcp }));
  const behind = model.queueOf(
    buildFrame({
      ipv6: {
        ...ipv6,
        extensions: [{ type: 0, body: new Uint8Array([0, 1, 4, 0, 0, 0, 0]) }],
      },
      tcp,
    }),
  );
  deepEqual([direct.class, behind.class], ["tcp6", "other6"]);
});
