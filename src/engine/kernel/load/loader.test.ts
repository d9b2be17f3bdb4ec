/**
 * What the loader takes beside plain programs and maps: every statement of
 * docs/reference/loader.md that the corpus does not show by itself.
 */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { mkdirSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { release } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { InputError, UnsupportedError } from "../../../base/index.ts";
import {
  mapTypes,
  parseFunctions,
  sectionsOf,
  type MapSpec,
  type ProgramSpec,
} from "../../../isa/index.ts";
import {
  emptyObject,
  type ExternSpec,
  type ObjectSpec,
} from "../../../object/index.ts";
import { purposeOf } from "./attach-target.ts";
import { possibleCpus } from "../../../host/index.ts";
import { kernelConfigValue, parseConfig } from "../../../host/index.ts";
import { openKernel, type Kernel } from "../kernel.ts";
import { fittedMap } from "./map-fit.ts";
import { probeTable } from "./probe-table.ts";

const root = join(import.meta.dirname, "../../../..");
const page = readFileSync(join(root, "docs/reference/loader.md"), "utf8");
const frame = new Uint8Array(64);

function kernelTest(name: string, body: (kernel: Kernel) => void): void {
  test(name, async (t) => {
    let kernel: Kernel;
    try {
      kernel = await openKernel();
    } catch (error) {
      if (!(error instanceof UnsupportedError)) throw error;
      t.skip(error.message);
      return;
    }
    try {
      body(kernel);
    } finally {
      kernel.close();
    }
  });
}

function map(
  name: string,
  type: MapSpec["type"],
  more: Partial<MapSpec> = {},
): MapSpec {
  // prettier-ignore
  return { name, type, keySize: 4, valueSize: 8, maxEntries: 16, flags: 0, section: ".maps", readOnly: false, ...more };
}

function program(
  text: string,
  maps: readonly MapSpec[] = [],
  more: Partial<ProgramSpec> = {},
): ProgramSpec {
  const functions = parseFunctions(text);
  // prettier-ignore
  return { file: "test", name: "main", section: "xdp", type: "xdp", license: "GPL", functions, maps, ...more };
}

/** An object of one-function programs that only exit, by section. */
function objectOf(
  programs: Readonly<Record<string, string>>,
  types: Readonly<Record<string, ProgramSpec["type"]>>,
): ObjectSpec {
  const functions = Object.entries(programs).flatMap(([name, section]) =>
    parseFunctions(`function ${name}\n r0 = 0\n exit`).map((fn) => ({
      ...fn,
      section,
    })),
  );
  return {
    ...emptyObject("x.o", "GPL"),
    functions,
    programs: Object.entries(programs).map(([name, section]) => ({
      name,
      section,
      type: types[name],
    })),
  };
}

const u32 = (value: number): Uint8Array =>
  new Uint8Array(Buffer.from(Uint32Array.of(value).buffer));

test("sections say how a program is attached, and whether it may sleep", () => {
  const table: readonly (readonly [
    string,
    ProgramSpec["type"],
    readonly [number, number],
  ])[] = [
    ["xdp", "xdp", [37, 0]],
    ["xdp_main", "xdp", [37, 0]],
    ["2/5", "xdp", [37, 0]],
    ["xdp.frags/cpumap", "xdp", [35, 32]],
    ["?xdp.frags", "xdp", [37, 32]],
    ["xdp/devmap", "xdp", [33, 0]],
    ["tc", "sched_cls", [0, 0]],
    ["tc", "cgroup_skb", [0, 0]],
    ["cgroup_skb/egress", "cgroup_skb", [1, 0]],
    ["cgroup/connect6", "cgroup_sock_addr", [11, 0]],
    ["sk_lookup/x", "sk_lookup", [36, 0]],
    ["syscall", "syscall", [0, 16]],
    ["uprobe.s/x", "kprobe", [0, 16]],
  ];
  for (const [section, type, want] of table) {
    const purpose = purposeOf(program("exit", [], { section, type }));
    deepEqual([purpose.attachType, purpose.flags], want, section);
  }
});

kernelTest("programs of every cheap type load", (kernel) => {
  const table: readonly (readonly [string, ProgramSpec["type"], number])[] = [
    ["tc", "sched_cls", 0],
    ["action", "sched_act", 0],
    ["socket", "socket_filter", 0],
    ["cgroup_skb/ingress", "cgroup_skb", 1],
    ["cgroup/sock_create", "cgroup_sock", 1],
    ["cgroup/connect4", "cgroup_sock_addr", 1],
    ["cgroup/getsockopt", "cgroup_sockopt", 1],
    ["cgroup/dev", "cgroup_device", 1],
    ["cgroup/sysctl", "cgroup_sysctl", 1],
    ["sockops", "sock_ops", 1],
    ["sk_skb/stream_verdict", "sk_skb", 1],
    ["sk_msg", "sk_msg", 1],
    ["sk_lookup", "sk_lookup", 1],
    ["sk_reuseport", "sk_reuseport", 1],
    ["flow_dissector", "flow_dissector", 0],
    ["lwt_in", "lwt_in", 0],
    ["lwt_xmit", "lwt_xmit", 0],
    ["raw_tp/sys_enter", "raw_tracepoint", 0],
    ["tp_btf/xdp_devmap_xmit", "tracing", 0],
    ["perf_event", "perf_event", 0],
    ["syscall", "syscall", 0],
  ];
  for (const [section, type, result] of table) {
    const text = `function main\n r0 = ${result}\n exit`;
    const loaded = kernel.load([program(text, [], { section, type })]);
    equal(loaded.programs.size, 1, section);
    loaded.close();
    ok(sectionsOf(type).length > 0);
  }
});

kernelTest(
  "what nobody can load is left out, and said in the page's words",
  (kernel) => {
    const rows = [
      ...page.matchAll(
        /^\| ([\w, ]+?) +\| ((?:is|section|replaces).*?) +\|$/gm,
      ),
    ];
    ok(rows.length >= 7, `${rows.length} rows`);
    const words = rows.map(([, , text = ""]) =>
      text
        .replace("NAME", "no_such")
        .replace(/^section no_such/, "section free"),
    );
    const sections = {
      free: "free",
      fentry: "fentry/no_such",
      tracepoint: "tp_btf/no_such",
      lsm: "lsm/no_such",
      iter: "iter/no_such",
      replacing: "freplace/no_such",
      structure: "struct_ops/no_such",
      bare: "fexit",
      main: "xdp",
    };
    const types = {
      fentry: "tracing",
      tracepoint: "tracing",
      lsm: "lsm",
      iter: "tracing",
      replacing: "ext",
      structure: "struct_ops",
      bare: "tracing",
      main: "xdp",
    } as const;
    const loaded = kernel.loadObject(objectOf(sections, types));
    deepEqual([...loaded.programs.keys()], ["main"]);
    const said = loaded.notes.map(({ message }) => message);
    equal(said.length, 8);
    for (const text of words)
      ok(
        said.some((line) => line.endsWith(text)),
        `${text}\n${said.join("\n")}`,
      );
    match(said.at(-1) ?? "", /does not say which function it is bound to$/);
    loaded.close();

    // Alone, each is an error with the same words.
    for (const name of Object.keys(types))
      if (name !== "main")
        throws(() =>
          kernel.loadObject(objectOf(sections, types), { programs: [name] }),
        );
    const typed = kernel.loadObject(objectOf(sections, types), {
      programs: ["free"],
      type: "sched_cls",
    });
    deepEqual([...typed.programs.keys()], ["free"]);
  },
);

kernelTest("programs after a question mark are loaded when named", (kernel) => {
  const object = objectOf({ a: "?xdp", b: "xdp" }, { a: "xdp", b: "xdp" });
  deepEqual([...kernel.loadObject(object).programs.keys()], ["b"]);
  const named = kernel.loadObject(object, { programs: ["a"] });
  deepEqual([...named.programs.keys()], ["a"]);
});

kernelTest(
  "a cell whose program was left out stays empty, with a note",
  (kernel) => {
    const values = [
      { index: 0, target: { kind: "function", name: "gone" } },
      { index: 1, target: { kind: "function", name: "main" } },
    ] as const;
    const jumps = map("jumps", "prog_array", {
      valueSize: 4,
      maxEntries: 2,
      values,
    });
    const loaded = kernel.load([
      program("r2 = map jumps ll\nr0 = 2\nexit", [jumps]),
    ]);
    deepEqual(
      loaded.notes.map(({ code, message }) => `${code}: ${message}`),
      ["cell-empty: map jumps: cell 0 stays empty: gone is not loaded"],
    );
    equal(loaded.map("jumps").lookup(u32(0)), undefined);
    equal(loaded.map("jumps").lookup(u32(1))?.length, 4);
  },
);

kernelTest(
  "kernel symbols: ids, addresses, and what may be absent",
  (kernel) => {
    const weak = (name: string, kind: "variable" | "function"): ExternSpec => ({
      kind,
      name,
      weak: true,
    });
    const externs = [
      weak("no_such_variable", "variable"),
      weak("no_such_kfunc", "function"),
      weak("bpf_iter_num_new", "function"),
    ];
    const verdict = (text: string): number => {
      const loaded = kernel.load([program(text)], { externs });
      return loaded.program().testRun(frame).verdict;
    };
    equal(
      verdict(
        "r1 = ksym no_such_variable ll\nr0 = 2\nif r1 == 0 goto out\nr0 = 3\nout:\nexit",
      ),
      2,
    );
    equal(
      verdict(
        "r1 = ksym bpf_iter_num_new ll\nr0 = 2\nif r1 == 0 goto out\nr0 = 3\nout:\nexit",
      ),
      3,
    );
    // The verifier never walks the call: what guards it is a constant.
    equal(
      verdict(
        "r1 = ksym no_such_kfunc ll\nr0 = 2\nif r1 == 0 goto out\ncall kfunc no_such_kfunc\nout:\nexit",
      ),
      2,
    );
    throws(
      () => verdict("call kfunc no_such_kfunc\nexit"),
      /no_such_kfunc|2002000000/,
    );
    for (const [text, want] of [
      [
        "r1 = ksym other ll\nr0 = 2\nexit",
        "this kernel has no kernel variable other",
      ],
      ["call kfunc other\nexit", "this kernel has no kernel function other"],
    ] as const)
      throws(
        () => verdict(text),
        (error) => error instanceof UnsupportedError && error.message === want,
      );
    // `extern const void x __ksym`: a symbol without a type is its address.
    const btf = {
      types: [
        { kind: "void" },
        { kind: "const", type: 0 },
        { kind: "variable", name: "schedule", type: 1, linkage: "extern" },
      ],
    } as const;
    const address = /^(\w+) \S schedule$/m.exec(
      readFileSync("/proc/kallsyms", "utf8"),
    )?.[1];
    const loaded = kernel.load(
      [program("r0 = ksym schedule ll\nr0 >>= 8\nexit")],
      { btf },
    );
    equal(
      loaded.program().testRun(frame).verdict,
      Number((BigInt(`0x${address}`) >> 8n) & 0xffff_ffffn),
    );
  },
);

kernelTest(
  "values of the kernel's configuration are constants for the verifier",
  (kernel) => {
    const [major = 0, minor = 0] = release().split(".").map(Number);
    equal(
      Number(kernelConfigValue("LINUX_KERNEL_VERSION")) >> 8,
      (major << 8) | minor,
    );
    equal(kernelConfigValue("CONFIG_NO_SUCH_THING"), undefined);
    const kconfig: MapSpec = map(".kconfig", "array", {
      section: ".kconfig",
      maxEntries: 1,
      readOnly: true,
    });
    const text =
      "r1 = value .kconfig[0] ll\nr0 = *(u32 *)(r1 + 0)\nr1 = *(u32 *)(r1 + 4)\nif r1 == 0 goto out\ncall kfunc no_such\nout:\nexit";
    const int = {
      kind: "int",
      name: "int",
      size: 4,
      bits: 32,
      offset: 0,
      encoding: 1,
    } as const;
    const object = (weak: boolean): ObjectSpec => ({
      ...emptyObject("x.o", "GPL"),
      maps: [kconfig],
      functions: parseFunctions(text).map((fn) => ({ ...fn, section: "xdp" })),
      programs: [{ name: "main", section: "xdp", type: "xdp" }],
      externs: [
        {
          kind: "kconfig",
          name: "LINUX_KERNEL_VERSION",
          weak: false,
          offset: 0,
          size: 4,
        },
        {
          kind: "kconfig",
          name: "CONFIG_NO_SUCH_THING",
          weak,
          offset: 4,
          size: 4,
        },
        { kind: "function", name: "no_such", weak: true },
      ],
      btf: {
        types: [
          { kind: "void" },
          int,
          {
            kind: "variable",
            name: "LINUX_KERNEL_VERSION",
            type: 1,
            linkage: "extern",
          },
          {
            kind: "variable",
            name: "CONFIG_NO_SUCH_THING",
            type: 1,
            linkage: "extern",
          },
          {
            kind: "section",
            name: ".kconfig",
            size: 8,
            variables: [
              { type: 2, offset: 0, size: 4 },
              { type: 3, offset: 4, size: 4 },
            ],
          },
        ],
      },
    });
    const loaded = kernel.loadObject(object(true));
    equal(
      String(loaded.program().testRun(frame).verdict),
      kernelConfigValue("LINUX_KERNEL_VERSION"),
    );
    throws(
      () => loaded.map(".kconfig").update(u32(0), new Uint8Array(8)),
      InputError,
    );
    throws(
      () => kernel.loadObject(object(false)),
      (error) =>
        error instanceof UnsupportedError &&
        error.message ===
          "this kernel's configuration does not say CONFIG_NO_SUCH_THING, which the object needs",
    );
  },
);

test("configuration files: what is set, as it is written", () => {
  deepEqual(
    [
      ...parseConfig(
        '# comment\nCONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="a=b"\nCONFIG_D=250 \n',
      ),
    ],
    [
      ["CONFIG_A", "y"],
      ["CONFIG_C", '"a=b"'],
      ["CONFIG_D", "250"],
    ],
  );
});

kernelTest("maps as objects leave them to user space", (kernel) => {
  const cpus = possibleCpus();
  const table: readonly (readonly [
    MapSpec,
    Partial<MapSpec>,
    readonly string[],
  ])[] = [
    [map("a", "array"), {}, []],
    [
      map("a", "hash", { maxEntries: 0 }),
      { maxEntries: cpus },
      ["map-size-assumed"],
    ],
    [
      map("a", "perf_event_array", { maxEntries: 0, keySize: 0, valueSize: 0 }),
      { maxEntries: cpus, keySize: 4, valueSize: 4 },
      ["map-size-assumed", "map-definition-filled"],
    ],
    [
      map("a", "ringbuf", { maxEntries: 5000, keySize: 0, valueSize: 0 }),
      { maxEntries: 8192 },
      ["map-size-rounded"],
    ],
    [
      map("a", "ringbuf", { maxEntries: 4096, keySize: 0, valueSize: 0 }),
      {},
      [],
    ],
    [
      map("a", "ringbuf", { maxEntries: 0, keySize: 0, valueSize: 0 }),
      { maxEntries: 4096 },
      ["map-size-assumed"],
    ],
    [
      map("a", "lpm_trie", { keySize: 8 }),
      { flags: 1 },
      ["map-definition-filled"],
    ],
    [
      map("a", "prog_array", { valueSize: 0 }),
      { valueSize: 4 },
      ["map-definition-filled"],
    ],
    [
      map("a", "array_of_maps", {
        valueSize: 4,
        inner: map("i", "array", { maxEntries: 0 }),
      }),
      { inner: map("i", "array", { maxEntries: cpus }) },
      [],
    ],
  ];
  for (const [given, change, codes] of table) {
    const { map: fitted, changes } = fittedMap(given);
    deepEqual(fitted, { ...given, ...change }, given.type);
    deepEqual(
      changes.map(({ code }) => code),
      codes,
      given.type,
    );
    const loaded = kernel.load([
      program("r1 = map a ll\nr0 = 2\nexit", [given]),
    ]);
    equal(loaded.map("a").spec.maxEntries, fitted.maxEntries);
    loaded.close();
  }
  throws(
    () =>
      kernel.load([
        program("r1 = map a ll\nr0 = 2\nexit", [
          map("a", "hash_of_maps", { valueSize: 4 }),
        ]),
      ]),
    (error) =>
      error instanceof InputError &&
      error.message ===
        "map a holds maps, and the object does not say of what kind",
  );
});

kernelTest(
  "maps pinned by name are made once, shared, and refused where they differ",
  (kernel) => {
    const folder = `/sys/fs/bpf/divisi-loader-${process.pid}`;
    const pinned = (more: Partial<MapSpec> = {}): ProgramSpec =>
      program("r1 = map shared ll\nr0 = 2\nexit", [
        map("shared", "hash", { pinning: "by-name", ...more }),
      ]);
    mkdirSync(folder);
    try {
      kernel.load([pinned()]).close();
      deepEqual(readdirSync(folder), []);
      const first = kernel.load([pinned()], { pinRoot: folder });
      first.map("shared").update(u32(1), new Uint8Array(8).fill(7));
      first.close();
      deepEqual(readdirSync(folder), ["shared"]);
      const second = kernel.load([pinned()], { pinRoot: folder });
      deepEqual(second.map("shared").lookup(u32(1)), new Uint8Array(8).fill(7));
      second.close();
      for (const [change, want] of [
        [{ type: "array" }, "type hash, not array"],
        [{ keySize: 8 }, "key size 4, not 8"],
        [{ valueSize: 16 }, "value size 8, not 16"],
        [{ maxEntries: 17 }, "max_entries 16, not 17"],
        [{ flags: 1 }, "flags 0, not 1"],
      ] as const)
        throws(
          () => kernel.load([pinned(change)], { pinRoot: folder }),
          (error) =>
            error instanceof InputError &&
            error.message === `map shared: what is pinned has ${want}` &&
            error.file === `${folder}/shared`,
        );
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
);

test("the page has every map type, with the release that the probes know", () => {
  const rows = [...page.matchAll(/^\| (\d+\.\d+) +\| ((?:`\w+` ?)+) *\|$/gm)];
  const listed = rows.flatMap(([, since = "", types = ""]) =>
    [...types.matchAll(/`(\w+)`/g)].map(
      ([, type = ""]) => [type, since] as const,
    ),
  );
  const wanted = Object.keys(mapTypes).filter(
    (type) => type !== "unspec" && type !== "struct_ops",
  );
  deepEqual(listed.map(([type]) => type).sort(), wanted.sort());
  const since = new Map<string, string>(listed);
  let probed = 0;
  for (const probe of probeTable) {
    if (probe.kind !== "map" || probe.flags !== undefined) continue;
    equal(since.get(probe.map), probe.firstKernel, probe.map);
    probed++;
  }
  ok(probed >= 15);
});
