import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../base/index.ts";
import { buildFrame, type FrameSpec } from "./build.ts";
import { fieldPosition, readField, setField } from "./access.ts";
import type { FieldName } from "./field.ts";
import { fieldNames, fields } from "./fields.ts";
import { fiveTuple, flowKey } from "./five-tuple.ts";
import { innerFrame, parseFrame } from "./parse.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const ipv4 = { src: "10.0.0.1", dst: "192.168.1.2" } as const;
const ipv6 = { src: "2001:db8::1", dst: "fe80::2" } as const;
const tcp = { sport: 1000, dport: 80 } as const;
const extension = (
  type: number,
  units = 0,
): { type: number; body: Uint8Array } => {
  const body = new Uint8Array(7 + 8 * units);
  body[0] = units;
  return { type, body };
};
const fragmentHeader = (
  offset: number,
): { type: number; body: Uint8Array } => ({
  type: 44,
  body: new Uint8Array([0, offset >> 5, (offset << 3) & 0xff, 0, 0, 0, 1]),
});

/** `etherType vlans l3@offset fragment protocol l4@offset`. */
function shape(spec: FrameSpec | Uint8Array): string {
  const data = spec instanceof Uint8Array ? spec : buildFrame(spec);
  const it = parseFrame(data);
  return [
    it.etherType?.toString(16) ?? "-",
    it.vlans.join("+") || "-",
    `${it.l3 ?? "-"}@${it.l3Offset ?? "-"}`,
    it.fragment,
    it.protocol ?? "-",
    `${it.l4 ?? "-"}@${it.l4Offset ?? "-"}`,
  ].join(" ");
}

test("where the headers are", () => {
  const cut = (spec: FrameSpec, length: number): Uint8Array =>
    buildFrame(spec).subarray(0, length);
  // prettier-ignore
  const cases: readonly (readonly [FrameSpec | Uint8Array, string])[] = [
    [new Uint8Array(13), "- - -@- none - -@-"],
    [new Uint8Array(14), "0 - -@- none - -@-"],
    [{ ipv4, tcp }, "800 - ipv4@14 none 6 tcp@34"],
    [{ ipv4: { ...ipv4, options: new Uint8Array(8) }, udp: tcp }, "800 - ipv4@14 none 17 udp@42"],
    [{ vlans: [7], ipv4, tcp }, "800 7 ipv4@18 none 6 tcp@38"],
    [{ vlans: [7, 0x2008], ipv4, tcp }, "800 7+8 ipv4@22 none 6 tcp@42"],
    [{ vlans: [1, 2, 3], ipv4, tcp }, "8100 1+2 -@- none - -@-"],
    [{ ipv4: { ...ipv4, moreFragments: true }, udp: tcp }, "800 - ipv4@14 first 17 udp@34"],
    [{ ipv4: { ...ipv4, fragmentOffset: 3 }, udp: tcp }, "800 - ipv4@14 later 17 -@-"],
    [{ ipv6, tcp }, "86dd - ipv6@14 none 6 tcp@54"],
    [{ ipv6: { ...ipv6, extensions: [extension(0), extension(60, 2)] }, udp: tcp }, "86dd - ipv6@14 none 17 udp@86"],
    [{ ipv6: { ...ipv6, extensions: [fragmentHeader(0)] }, udp: tcp }, "86dd - ipv6@14 first 17 udp@62"],
    [{ ipv6: { ...ipv6, extensions: [fragmentHeader(9)] }, udp: tcp }, "86dd - ipv6@14 later 17 -@-"],
    [{ ipv6, icmp: { type: 128 } }, "86dd - ipv6@14 none 58 icmpv6@54"],
    [{ ipv4, icmp: { type: 8 } }, "800 - ipv4@14 none 1 icmp@34"],
    [{ arp: { op: 1, senderIp: "10.0.0.1", targetIp: "10.0.0.2" } }, "806 - arp@14 none - -@-"],
    [cut({ ipv4, tcp }, 33), "800 - -@- none - -@-"],
    [cut({ ipv4, tcp }, 37), "800 - ipv4@14 none 6 -@-"],
    [cut({ ipv4, tcp }, 38), "800 - ipv4@14 none 6 tcp@34"],
    [cut({ ipv6, tcp }, 53), "86dd - -@- none - -@-"],
    [cut({ ipv6: { ...ipv6, extensions: [extension(0, 3)] }, tcp }, 80), "86dd - ipv6@14 none 0 -@-"],
  ];
  for (const [spec, want] of cases) equal(shape(spec), want);
});

test("an IPv4 header shorter than five words has no transport", () => {
  const data = buildFrame({ ipv4, tcp });
  data[14] = 0x44;
  equal(shape(data), "800 - ipv4@14 none 6 -@-");
});

test("tunnels name the inner packet", () => {
  const inner: FrameSpec = {
    ipv4: { src: "1.1.1.1", dst: "2.2.2.2" },
    udp: tcp,
  };
  const wants = (spec: FrameSpec): unknown => {
    const parsed = parseFrame(buildFrame(spec));
    const within = innerFrame(parsed);
    return [
      parsed.tunnel?.kind,
      parsed.tunnel?.id,
      within && readField(within, "ipv4.src"),
      within && readField(within, "udp.dport"),
      readField(parsed, "ipv4.src"),
    ];
  };
  const outer = 0x0a000001n;
  deepEqual(wants({ ipv4, gre: { inner } }), [
    "gre",
    undefined,
    0x01010101n,
    80n,
    outer,
  ]);
  deepEqual(wants({ ipv4, gre: { inner, key: 77 } }), [
    "gre",
    77,
    0x01010101n,
    80n,
    outer,
  ]);
  deepEqual(wants({ ipv4, gre: { inner, key: 77, ethernet: true } }), [
    "gre",
    77,
    0x01010101n,
    80n,
    outer,
  ]);
  deepEqual(
    wants({
      ipv4,
      udp: { sport: 5, dport: 4789 },
      vxlan: { vni: 0xabcdef, inner },
    }),
    ["vxlan", 0xabcdef, 0x01010101n, 80n, outer],
  );
  deepEqual(
    wants({ ipv4, udp: { sport: 5, dport: 4788 }, vxlan: { vni: 1, inner } }),
    [undefined, undefined, undefined, undefined, outer],
  );
  const keyed = parseFrame(buildFrame({ ipv4, gre: { inner, key: 77 } }));
  equal(readField(keyed, "gre.key"), 77n);
  equal(readField(keyed, "gre.protocol"), 0x0800n);
});

test("fields read back what was built", () => {
  const parsed = parseFrame(
    buildFrame({
      eth: { src: "02:00:00:00:00:0a" },
      vlans: [0x6005],
      ipv4: { ...ipv4, ttl: 9, tos: 4, id: 0x1234, dontFragment: true },
      tcp: { ...tcp, seq: 0xfffffffe, ack: 3, flags: 0x12, window: 77 },
    }),
  );
  // prettier-ignore
  const cases: readonly (readonly [Parameters<typeof readField>[1], bigint | undefined])[] = [
    ["eth.src", 0x02000000000an], ["eth.type", 0x8100n], ["vlan.id", 5n],
    ["vlan.priority", 3n], ["vlan.tci", 0x6005n], ["vlan.type", 0x0800n],
    ["vlan2.id", undefined], ["ipv4.version", 4n], ["ipv4.ihl", 5n],
    ["ipv4.tos", 4n], ["ipv4.length", 40n], ["ipv4.id", 0x1234n],
    ["ipv4.fragment", 0x4000n], ["ipv4.ttl", 9n], ["ipv4.protocol", 6n],
    ["ipv4.src", 0x0a000001n], ["ipv4.dst", 0xc0a80102n], ["ipv6.src", undefined],
    ["tcp.sport", 1000n], ["tcp.dport", 80n], ["tcp.seq", 0xfffffffen],
    ["tcp.ack", 3n], ["tcp.data-offset", 5n], ["tcp.flags", 0x12n],
    ["tcp.window", 77n], ["udp.sport", undefined], ["l4.sport", 1000n],
    ["l4.dport", 80n], ["icmp.type", undefined],
  ];
  for (const [name, want] of cases)
    deepEqual([name, readField(parsed, name)], [name, want]);
  const six = parseFrame(
    buildFrame({
      ipv6: { ...ipv6, flowLabel: 0xabcde, trafficClass: 0x5a },
      udp: tcp,
    }),
  );
  equal(readField(six, "ipv6.flow-label"), 0xabcden);
  equal(readField(six, "ipv6.traffic-class"), 0x5an);
  equal(readField(six, "ipv6.dst"), 0xfe800000000000000000000000000002n);
});

test("setField writes exactly the field's bits", () => {
  const random = new Random(seed);
  const frames = [
    buildFrame({ vlans: [5, 6], ipv4, tcp }),
    buildFrame({ ipv6, udp: tcp }),
    buildFrame({ ipv4, gre: { key: 1, inner: { ipv4, tcp } } }),
    buildFrame({ ipv4, icmp: { type: 8 } }),
    buildFrame({ arp: { op: 1, senderIp: 1n, targetIp: 2n } }),
    buildFrame({
      ipv4,
      udp: { sport: 1, dport: 4789 },
      vxlan: { vni: 3, inner: { ipv4, tcp } },
    }),
    buildFrame({
      ipv4,
      udp: { sport: 1, dport: 2152 },
      gtp: { teid: 9, inner: { ipv6, udp: tcp } },
    }),
  ];
  const seen = new Set<string>();
  for (const data of frames) {
    const parsed = parseFrame(data);
    for (const name of fieldNames) {
      const { bits } = fields[name];
      const value = BigInt.asUintN(bits, (random.u64() << 64n) | random.u64());
      const changed = setField(parsed, name, value);
      const at = fieldPosition(parsed, name);
      equal(changed === undefined, at === undefined);
      if (changed === undefined || at === undefined) continue;
      seen.add(name);
      // Read at the old place: changing a length or a type moves other layers.
      equal(
        readField({ ...parsed, data: changed }, name),
        value,
        `${name}, seed ${seed}`,
      );
      for (let bit = 0; bit < 8 * data.length; bit++) {
        if (bit >= at && bit < at + bits) continue;
        const mask = 0x80 >> (bit & 7);
        equal(
          (changed[bit >> 3] ?? 0) & mask,
          (data[bit >> 3] ?? 0) & mask,
          `${name} bit ${bit}`,
        );
      }
    }
  }
  deepEqual(
    fieldNames.filter((name) => !seen.has(name)),
    [],
  );
});

test("fields of the packet in a tunnel", () => {
  const inner = { ipv4: { src: "1.2.3.4", dst: "5.6.7.8" }, tcp } as const;
  const six = { ipv6, udp: tcp } as const;
  const vxlan = (packet: FrameSpec, vlans: readonly number[] = []) =>
    buildFrame({
      vlans,
      ipv4: { ...ipv4, options: new Uint8Array(8) },
      udp: { sport: 1, dport: 4789 },
      vxlan: { vni: 3, inner: packet },
    });
  const gtp = (sequence?: number) =>
    buildFrame({
      ipv6,
      udp: { sport: 1, dport: 2152 },
      gtp: { teid: 77, inner, ...(sequence === undefined ? {} : { sequence }) },
    });
  // prettier-ignore
  const cases: readonly (readonly [Uint8Array, FieldName, bigint | undefined])[] = [
    [vxlan(inner), "inner.ipv4.src", 0x01020304n], [vxlan(inner, [7]), "inner.ipv4.dst", 0x05060708n],
    [vxlan(inner), "inner.l4.sport", 1000n], [vxlan(inner), "inner.eth.src", 0x020000000001n],
    [vxlan(inner), "inner.ipv6.src", undefined], [vxlan(six), "inner.ipv6.dst", 0xfe800000000000000000000000000002n],
    [vxlan(six), "inner.ipv4.src", undefined], [vxlan(six), "inner.l4.dport", 80n],
    [gtp(), "gtp.teid", 77n], [gtp(), "inner.ipv4.src", 0x01020304n], [gtp(), "inner.eth.src", undefined],
    [gtp(5), "inner.ipv4.src", 0x01020304n], [gtp(5), "inner.l4.dport", 80n],
    [buildFrame({ ipv4, gre: { inner } }), "inner.ipv4.dst", 0x05060708n],
    [buildFrame({ ipv4, gre: { inner, ethernet: true, key: 3 } }), "inner.eth.dst", 0x020000000002n],
    [buildFrame({ ipv4, tcp }), "inner.ipv4.src", undefined],
  ];
  for (const [index, [data, name, want]] of cases.entries())
    deepEqual([index, readField(parseFrame(data), name)], [index, want]);
});

test("any bytes parse, and every offset lies inside", () => {
  const random = new Random(seed);
  const starts = [
    buildFrame({ vlans: [5, 6], ipv4, tcp }),
    buildFrame({
      ipv6: { ...ipv6, extensions: [extension(0), extension(43, 1)] },
      udp: tcp,
    }),
    buildFrame({ ipv4, gre: { key: 1, inner: { ipv4, tcp } } }),
    buildFrame({
      ipv4,
      udp: { sport: 1, dport: 2152 },
      gtp: { teid: 9, sequence: 2, inner: { ipv4, tcp } },
    }),
  ];
  let transports = 0;
  for (let round = 0; round < 20_000; round++) {
    const data = random.pick(starts).slice(0, random.below(120));
    for (let flips = random.below(4); flips > 0 && data.length > 0; flips--)
      data[random.below(data.length)] = random.u32();
    const parsed = parseFrame(data);
    if (parsed.l4Offset !== undefined) transports++;
    equal((parsed.l4Offset ?? 0) <= data.length, true, `seed ${seed}`);
    for (const name of fieldNames) readField(parsed, name);
    innerFrame(parsed);
    fiveTuple(parsed);
    flowKey(parsed);
  }
  equal(transports > 2000, true, `${transports} with a transport`);
});

test("fragments of a datagram are one flow; directions are two", () => {
  const key = (spec: FrameSpec): string =>
    flowKey(parseFrame(buildFrame(spec)));
  const first = { ipv4: { ...ipv4, moreFragments: true }, udp: tcp } as const;
  const later = { ipv4: { ...ipv4, fragmentOffset: 2, protocol: 17 } } as const;
  equal(key(first), key(later));
  equal(
    key({ ipv4, tcp }) ===
      key({
        ipv4: { src: ipv4.dst, dst: ipv4.src },
        tcp: { sport: 80, dport: 1000 },
      }),
    false,
  );
  equal(key({ ipv4, tcp }) === key({ ipv4, udp: tcp }), false);
  deepEqual(fiveTuple(parseFrame(buildFrame({ ipv4, tcp }))), {
    version: 4,
    src: 0x0a000001n,
    dst: 0xc0a80102n,
    protocol: 6,
    sport: 1000,
    dport: 80,
  });
});
