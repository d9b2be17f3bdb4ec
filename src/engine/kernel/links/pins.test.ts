/** Pins become visible together or not at all. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, rmdirSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { UnsupportedError } from "../../../base/index.ts";
import { parseFunctions, type ProgramSpec } from "../../../isa/index.ts";
import { lockFile } from "../system/file-lock.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { pinName } from "./pins.ts";

const counter: ProgramSpec = {
  file: "test",
  name: "count",
  section: "xdp",
  type: "xdp",
  license: "GPL",
  functions: parseFunctions("function count\n r0 = 2\n exit"),
  // prettier-ignore
  maps: [{ name: "a.long.name.of.a.map", type: "hash", keySize: 4, valueSize: 8, maxEntries: 16, flags: 0, section: ".maps", readOnly: false }],
};

function pinTest(name: string, body: (kernel: Kernel, at: string) => void) {
  void test(name, async (t: TestContext) => {
    try {
      const kernel = await openKernel();
      const at = `/sys/fs/bpf/divisi-pins-${process.pid}`;
      kernel.pins.folder().close();
      mkdirSync(at);
      try {
        body(kernel, at);
      } finally {
        while (kernel.pins.unmount(at));
        rmdirSync(at);
        kernel.close();
      }
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    }
  });
}

const own = (at: string): readonly string[] =>
  readdirSync(at).filter((name) => !name.endsWith(".debug"));

pinTest(
  "a folder shows nothing before its commit, everything after",
  (kernel, at) => {
    const loaded = kernel.load([counter]);
    const [map] = loaded.maps.values();
    ok(map !== undefined);
    map.update(Uint8Array.of(1, 0, 0, 0), new Uint8Array(8).fill(7));
    const { pins } = kernel;
    const folder = pins.folder();
    folder.pin(map.fd, map.spec.name);
    folder.pin(loaded.program().fd, "program");
    deepEqual(own(at), []);
    folder.commit(at);
    folder.close();
    loaded.close();
    deepEqual(own(at), ["a%2elong%2ename%2eof%2ea%2emap", "program"]);
    const again = pins.map(`${at}/${pinName(map.spec.name)}`, map.spec.name);
    deepEqual(
      again?.lookup(Uint8Array.of(1, 0, 0, 0)),
      new Uint8Array(8).fill(7),
    );
    deepEqual(
      { ...again?.spec, extra: undefined },
      { ...counter.maps[0], section: "", extra: undefined },
    );
    const program = pins.program(`${at}/program`);
    equal(program?.info.name, "count");
    const both = kernel.load([counter], {
      maps: new Map([[map.spec.name, again ?? map]]),
    });
    equal(both.map(map.spec.name), again);
    both.close();
    equal(pins.unmount(at), true);
    equal(pins.unmount(at), false);
    equal(pins.open(`${at}/program`), undefined);
  },
);

pinTest("an uncommitted folder leaves nothing", (kernel, at) => {
  const folder = kernel.pins.folder();
  const loaded = kernel.load([counter]);
  folder.pin(loaded.program().fd, "program");
  equal(existsSync(`${folder.path}/program`), true);
  folder.close();
  equal(existsSync(`${folder.path}/program`), false);
  deepEqual(own(at), []);
});

void test("a lock is held once", async (t) => {
  const path = `/tmp/divisi-lock-${process.pid}`;
  try {
    const first = await lockFile(path);
    equal(await lockFile(path), undefined);
    first?.release();
    const second = await lockFile(path);
    ok(second !== undefined);
    second.release();
  } catch (error) {
    if (!(error instanceof UnsupportedError)) throw error;
    t.skip(error.message);
  }
});
