import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { Random, fromHex } from "../base/index.ts";
import { buildFrame, type FrameSpec } from "./build.ts";
import {
  checkChecksums,
  internetChecksum,
  refreshChecksums,
  updateChecksum,
} from "./checksum.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const ipv4 = { src: "10.0.0.1", dst: "10.0.0.2" } as const;
const ipv6 = { src: "2001:db8::1", dst: "2001:db8::2" } as const;
const ports = { sport: 1000, dport: 80 } as const;

test("published examples", () => {
  // RFC 1071 section 3: the words 0001 f203 f4f5 f6f7 sum to ddf2.
  equal(internetChecksum(fromHex("0001f203f4f5f6f7")), 0xffff - 0xddf2);
  // RFC 1624 section 4: where the method of RFC 1141 gives ffff.
  equal(updateChecksum(0xdd2f, 0x5555, 0x3285), 0x0000);
  // An odd last byte is the high half of a word.
  equal(internetChecksum(fromHex("01")), 0xfeff);
});

test("built frames carry right checksums, and a flipped bit is seen", () => {
  const payload = Uint8Array.of(1, 2, 3);
  // prettier-ignore
  const cases: readonly (readonly [FrameSpec, string, string])[] = [
    [{ ipv4, tcp: ports, payload }, "good", "good"],
    [{ ipv4, udp: ports, payload }, "good", "good"],
    [{ ipv4, icmp: { type: 8 }, payload }, "good", "good"],
    [{ ipv6, tcp: ports, payload }, "absent", "good"],
    [{ ipv6, udp: ports, payload }, "absent", "good"],
    [{ ipv6, icmp: { type: 128 }, payload }, "absent", "good"],
    [{ ipv4, udp: { ...ports, checksum: "none" }, payload }, "good", "absent"],
    [{ ipv4: { ...ipv4, moreFragments: true }, udp: ports }, "good", "absent"],
    [{ ipv4: { ...ipv4, options: new Uint8Array(4) }, tcp: ports }, "good", "good"],
  ];
  for (const [spec, header, transport] of cases) {
    const data = buildFrame(spec);
    deepEqual(checkChecksums(data), { ipv4: header, transport });
    if (header === "good") {
      const broken = data.slice();
      broken[15] = (broken[15] ?? 0) ^ 1;
      equal(checkChecksums(broken).ipv4, "bad");
      equal(checkChecksums(refreshChecksums(broken)).ipv4, "good");
    }
    if (transport === "good") {
      const broken = data.slice();
      broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
      equal(checkChecksums(broken).transport, "bad");
      equal(checkChecksums(refreshChecksums(broken)).transport, "good");
    }
  }
});

test("padding behind the IP packet does not count", () => {
  const data = buildFrame({ ipv4, udp: ports });
  const padded = new Uint8Array(60).fill(0xaa);
  padded.set(data);
  deepEqual(checkChecksums(padded), { ipv4: "good", transport: "good" });
});

test("the incremental update equals the full computation", () => {
  const random = new Random(seed);
  for (let round = 0; round < 2000; round++) {
    const data = random.bytes(20);
    // A header is never all zero, where the two representations of zero differ.
    data[0] = 0x45;
    data[10] = data[11] = 0;
    const before = internetChecksum(data);
    const at = 2 + 2 * random.below(4);
    const word = (): number => ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
    const old = word();
    const value = random.pick([0, 0xffff, random.below(65536)]);
    data[at] = value >> 8;
    data[at + 1] = value;
    equal(
      updateChecksum(before, old, word()),
      internetChecksum(data),
      `seed ${seed} round ${round}`,
    );
  }
});
