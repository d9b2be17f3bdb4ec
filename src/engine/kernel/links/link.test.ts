/**
 * Links at a veth in a network namespace of this process's own, which dies with it.
 * Frames come from a packet socket at the peer.
 */
import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test, type TestContext } from "node:test";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import { parseFunctions, type ProgramSpec } from "../../../isa/index.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { attachXdp, occupantOf, restoreReplaced } from "./link.ts";
import {
  interfaceXdp,
  interfaces,
  setInterfaceXdp,
} from "../system/netlink.ts";
import { links } from "../system/object-info.ts";
import { openSyscalls, type Syscalls } from "../syscalls.ts";

const newNetwork = 0x4000_0000;

function verdict(name: string, value: number): ProgramSpec {
  return {
    file: "test",
    name,
    section: "xdp",
    type: "xdp",
    license: "GPL",
    functions: parseFunctions(`function ${name}\n r0 = ${value}\n exit`),
    maps: [],
  };
}

interface Lab {
  readonly kernel: Kernel;
  readonly syscalls: Syscalls;
  readonly ifindex: number;
}

function linkTest(name: string, body: (lab: Lab) => void): void {
  void test(name, async (t: TestContext) => {
    try {
      const kernel = await openKernel();
      const syscalls = await openSyscalls();
      equal(syscalls.call("unshare", newNetwork), 0);
      const iface = "divisi0";
      execFileSync("ip", ["link", "add", iface, "type", "veth"]);
      execFileSync("ip", ["link", "set", iface, "up"]);
      const found = interfaces(syscalls).find((each) => each.name === iface);
      try {
        body({ kernel, syscalls, ifindex: found?.ifindex ?? 0 });
      } finally {
        kernel.close();
      }
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
    }
  });
}

linkTest("a link holds its program until it is closed", (lab) => {
  const { kernel, syscalls, ifindex } = lab;
  const program = kernel.load([verdict("pass", 2)]).program();
  const link = kernel.attachXdp(program, ifindex, { mode: "native" });
  const { programs } = interfaceXdp(syscalls, ifindex) ?? { programs: [] };
  deepEqual(
    programs.map(({ mode }) => mode),
    ["native"],
  );
  equal(link.info().ifindex, ifindex);
  equal(link.info().programId, programs[0]?.id);
  equal(occupantOf(syscalls, ifindex)?.link, link.id);
  ok(links(syscalls).some(({ id }) => id === link.id));
  link.close();
  deepEqual(interfaceXdp(syscalls, ifindex)?.programs, []);
  equal(occupantOf(syscalls, ifindex), undefined);
});

linkTest("modes are those asked for", (lab) => {
  const { kernel, syscalls, ifindex } = lab;
  const program = kernel.load([verdict("pass", 2)]).program();
  for (const mode of ["native", "skb"] as const) {
    const link = kernel.attachXdp(program, ifindex, { mode });
    const [held] = interfaceXdp(syscalls, ifindex)?.programs ?? [];
    equal(held?.mode, mode);
    link.close();
  }
  throws(() => kernel.attachXdp(program, ifindex, { mode: "hw" }), {
    name: "UnsupportedError",
  });
});

linkTest("what is attached is named and never replaced unasked", (lab) => {
  const { kernel, syscalls, ifindex } = lab;
  const loaded = kernel.load([verdict("first", 2), verdict("second", 1)]);
  const link = kernel.attachXdp(loaded.program("first"), ifindex);
  const { programId } = link.info();
  for (const options of [{}, { replace: true }, { mode: "skb" }] as const)
    throws(
      () => kernel.attachXdp(loaded.program("second"), ifindex, options),
      new InputError(
        `divisi0 has XDP program first (id ${programId}, native) already, held by link ${link.id}, which only its owner can replace`,
        {
          code: "xdp-busy",
          fix: `bpftool link detach id ${link.id} takes it off`,
        },
      ),
    );
  equal(link.info().programId, programId);
  link.close();
  throws(() => attachXdp(syscalls, loaded.program("first"), 9999), {
    message: "there is no interface with index 9999",
  });
});

linkTest(
  "a program without a link makes way only when asked, and can return",
  (lab) => {
    const { kernel, syscalls, ifindex } = lab;
    const loaded = kernel.load([verdict("old", 2), verdict("new", 1)]);
    const place = { fd: loaded.program("old").fd, mode: "native" } as const;
    equal(restoreReplaced(syscalls, ifindex, place), undefined);
    const old = interfaceXdp(syscalls, ifindex)?.programs;
    throws(() => kernel.attachXdp(loaded.program("new"), ifindex), {
      message: `divisi0 has XDP program old (id ${old?.[0]?.id}, native) already`,
      fix: "--replace takes its place",
    });
    deepEqual(interfaceXdp(syscalls, ifindex)?.programs, old);
    // A mode that the driver does not have: what was there stands again.
    throws(
      () =>
        kernel.attachXdp(loaded.program("new"), ifindex, {
          replace: true,
          mode: "hw",
        }),
      { name: "UnsupportedError" },
    );
    deepEqual(interfaceXdp(syscalls, ifindex)?.programs, old);
    const link = kernel.attachXdp(loaded.program("new"), ifindex, {
      replace: true,
    });
    equal(link.replaced?.name, "old");
    equal(
      interfaceXdp(syscalls, ifindex)?.programs[0]?.id,
      link.info().programId,
    );
    link.detach();
    ok(link.replaced !== undefined);
    equal(restoreReplaced(syscalls, ifindex, link.replaced), undefined);
    link.close();
    deepEqual(interfaceXdp(syscalls, ifindex)?.programs, old);
  },
);

linkTest("an update wants the expected program", (lab) => {
  const { kernel, syscalls, ifindex } = lab;
  const loaded = kernel.load([verdict("first", 2), verdict("second", 1)]);
  const first = loaded.program("first");
  const second = loaded.program("second");
  const link = kernel.attachXdp(first, ifindex);
  const before = link.info().programId;
  throws(() => link.update(second, second), {
    message: `link ${link.id} holds another program than expected`,
  });
  equal(link.info().programId, before);
  link.update(second, first);
  ok(link.info().programId !== before);
  execFileSync("ip", ["link", "del", "divisi0"]);
  equal(link.info().ifindex, 0);
  throws(() => link.update(first, second), {
    message: `link ${link.id} has lost its interface`,
  });
  equal(interfaceXdp(syscalls, ifindex), undefined);
});

linkTest("rtnetlink's refusals come with the kernel's words", (lab) => {
  const { kernel, syscalls, ifindex } = lab;
  const program = kernel.load([verdict("pass", 2)]).program();
  const link = kernel.attachXdp(program, ifindex);
  const words = setInterfaceXdp(syscalls, ifindex, {
    fd: program.fd,
    expectedFd: undefined,
    mode: "native",
  });
  equal(words, "EBUSY: Can't replace active BPF XDP link");
  link.close();
});
