/**
 * Firewall, NAT, policer and connection limiter, divided, through real XDP on veth with
 * two CPUs at once: what the portable engine says, packet by packet and cell by cell.
 * `scripts/veth-agree.mjs` does the same with a million packets.
 */
import { deepEqual, equal, notEqual, ok } from "node:assert/strict";
import { after, test } from "node:test";
import { UnsupportedError } from "#base";
import { openKernel } from "#engine";
import { possibleCpus } from "#host";
import { networkAbsence } from "./support/network.ts";
import {
  misdirected,
  runVeth,
  vethFrames,
  vethNames,
  vethSubject,
} from "./support/veth-runs.ts";

const seed = Number(process.env["DIVISI_SEED"] ?? 1);
const absence = (await networkAbsence()) ?? cpuAbsence();
const kernel = await openKernel().catch((error: unknown) => {
  if (error instanceof UnsupportedError) return error;
  throw error;
});
after(() => {
  if (!(kernel instanceof UnsupportedError)) kernel.close();
});

function cpuAbsence(): string | undefined {
  return possibleCpus() < 2 ? "one CPU has no other at once" : undefined;
}

for (const name of vethNames)
  void test(`${name}: two CPUs at once (seed ${seed})`, async (t) => {
    if (absence !== undefined || kernel instanceof UnsupportedError) {
      t.skip(absence ?? "no kernel");
      return;
    }
    const subject = vethSubject(name);
    const frames = vethFrames(subject, { packets: 2500, seed });
    const found = await runVeth(kernel, subject, frames);
    deepEqual(
      {
        packets: found.packets,
        mismatches: found.mismatches,
        stateDifferences: found.stateDifferences,
        misdirected: found.misdirected,
        lost: found.lost + found.strays,
      },
      {
        packets: frames.length,
        mismatches: 0,
        stateDifferences: 0,
        misdirected: 0,
        lost: 0,
      },
      found.texts.join("\n"),
    );
    ok(found.perCore.every((count) => count > 300));
    // The CPUs' runs lie between each other.
    ok(found.alternations > 10, `${found.alternations}`);
    ok(Object.keys(found.verdicts).length > 1);

    const wrong = await runVeth(kernel, subject, misdirected(frames, 3));
    equal(wrong.misdirected, Math.ceil(frames.length / 3));
    // With tables of its own a core does not find what another has.
    ok(subject.hasOwnCells);
    notEqual(wrong.mismatches + wrong.stateDifferences, 0);
  });
