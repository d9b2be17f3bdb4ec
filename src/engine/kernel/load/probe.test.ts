/** Probing: this kernel has what its version promises; one that lacks a thing is believed. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { release } from "node:os";
import { test } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import { mapTypes } from "../../../isa/index.ts";
import { command } from "../attributes.ts";
import { haveBpf } from "../kernel.ts";
import { probeTable } from "./probe-table.ts";
import { probeFeatures } from "./probe.ts";
import { openSyscalls, type Syscalls } from "../syscalls.ts";

const reason = await haveBpf();

function version(text: string): number {
  const [major = 0, minor = 0] = text.split(".").map(Number);
  return major * 1000 + minor;
}

void test("the kernel has every feature of its version", async (t) => {
  if (reason instanceof UnsupportedError) return t.skip(reason.message);
  const probes = probeFeatures(await openSyscalls());
  equal(probes.length, probeTable.length);
  const missing = probes.filter(
    ({ have, firstKernel }) =>
      !have && version(firstKernel) <= version(release()),
  );
  deepEqual(missing, []);
});

void test("a kernel that refuses is believed, and only what it refuses is missing", async (t) => {
  if (reason instanceof UnsupportedError) return t.skip(reason.message);
  const real = await openSyscalls();
  const { number } = mapTypes.ringbuf;
  const without: Syscalls = {
    ...real,
    bpf: (what, attributes) =>
      what === command.mapCreate && attributes.readUInt32LE(0) === number
        ? -22
        : real.bpf(what, attributes),
  };
  const missing = probeFeatures(without).filter(({ have }) => !have);
  deepEqual(missing, [
    {
      name: "map ringbuf",
      kind: "map",
      firstKernel: "5.8",
      have: false,
      answer: "EINVAL",
    },
  ]);
  const nothing: Syscalls = { ...real, bpf: () => -22 };
  const left = probeFeatures(nothing).filter(({ have }) => have);
  deepEqual(
    left.map(({ name }) => name),
    ["links of XDP programs"],
  );
});

void test("a helper that is not there is told from one that wants arguments", async (t) => {
  if (reason instanceof UnsupportedError) return t.skip(reason.message);
  const real = await openSyscalls();
  // The number of the helper is the immediate of the first instruction.
  const without: Syscalls = {
    ...real,
    bpf: (what, attributes) => {
      if (what === command.programLoad) {
        const at = real.view(Number(attributes.readBigUInt64LE(8)), 8);
        const view = new DataView(at);
        if (view.getUint8(0) === 0x85 && view.getInt32(4, true) === 181)
          view.setInt32(4, 4000, true);
      }
      return real.bpf(what, attributes);
    },
  };
  const missing = probeFeatures(without).filter(({ have }) => !have);
  deepEqual(
    missing.map(({ name }) => name),
    ["bpf_loop"],
  );
  ok(probeTable.filter(({ kind }) => kind === "helper").length > 10);
});
