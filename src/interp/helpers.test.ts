/** Helpers, observers and tail calls, on both machines. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { test } from "node:test";
import { toHex } from "../base/index.ts";
import { lift } from "../ir/index.ts";
import {
  parseFunctions,
  type MapSpec,
  type MapTypeName,
  type ProgramSpec,
  type ProgramTypeName,
} from "../isa/index.ts";
import { BytecodeMachine } from "./bytecode-machine.ts";
import { IrMachine } from "./ir-machine.ts";
import type { MachineOptions } from "./machine.ts";
import type { CellTouch, Outcome, PacketInput } from "./outcome.ts";
import { createState, type State } from "./state.ts";

const packet: PacketInput = {
  data: Uint8Array.from({ length: 64 }, (_, index) => index),
  ifindex: 3,
  rxQueue: 2,
  cpu: 1,
  time: 1000n,
};

function map(
  name: string,
  type: MapTypeName,
  more: Partial<MapSpec> = {},
): MapSpec {
  return {
    name,
    type,
    keySize: 4,
    valueSize: 8,
    maxEntries: 2,
    flags: 0,
    section: ".maps",
    readOnly: false,
    ...more,
  };
}

function program(
  text: string,
  maps: readonly MapSpec[],
  type: ProgramTypeName = "xdp",
): ProgramSpec {
  return {
    file: "test",
    name: "main",
    section: type,
    type,
    license: "GPL",
    functions: parseFunctions(text),
    maps,
  };
}

interface Ran {
  readonly outcome: Outcome;
  readonly state: State;
}

/** Runs on both machines, which must agree; answers the bytecode's. */
function run(
  spec: ProgramSpec,
  prepare: (state: State) => void = () => undefined,
  options: MachineOptions = {},
  input = packet,
): Ran {
  const [state, twin] = [
    createState(spec.maps, { cpus: 2 }),
    createState(spec.maps, { cpus: 2 }),
  ];
  prepare(state);
  prepare(twin);
  const outcome = new BytecodeMachine(spec, state, options).run(input);
  const lifted = new IrMachine(lift(spec), twin, options).run(input);
  deepEqual(
    { ...lifted, fault: lifted.fault?.text },
    { ...outcome, fault: outcome.fault?.text },
  );
  equal(twin.digest(), state.digest());
  return { outcome, state };
}

const key = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0);
const r = (...lines: readonly string[]): string => lines.join("\n");
/** Key 1 at r10 - 4, map m in r1, address of the key in r2. */
const keyed = r(
  "*(u32 *)(r10 - 4) = 1",
  "r1 = map m ll",
  "r2 = r10",
  "r2 += -4",
);
const value = r("*(u64 *)(r10 - 16) = 7", "r3 = r10", "r3 += -16", "r4 = 0");

// prettier-ignore
const results: readonly (readonly [name: string, type: MapTypeName, body: string, want: number])[] = [
  ["lookup of nothing", "hash", r(keyed, "call map_lookup_elem"), 0],
  ["update and load", "hash", r(keyed, value, "call map_update_elem", keyed, "call map_lookup_elem", "if r0 == 0 goto out", "r0 = *(u64 *)(r0 + 0)", "out:"), 7],
  ["a pointer survives an update with the old value", "hash", r(keyed, value, "call map_update_elem", keyed, "call map_lookup_elem", "if r0 == 0 goto out", "r6 = r0", keyed, "*(u64 *)(r10 - 16) = 9", "r3 = r10", "r3 += -16", "r4 = 0", "call map_update_elem", "r0 = *(u64 *)(r6 + 0)", "out:"), 7],
  ["in an array it sees the new one", "array", r(keyed, "call map_lookup_elem", "if r0 == 0 goto out", "r6 = r0", keyed, "*(u64 *)(r10 - 16) = 9", "r3 = r10", "r3 += -16", "r4 = 0", "call map_update_elem", "r0 = *(u64 *)(r6 + 0)", "out:"), 9],
  ["delete of nothing", "hash", r(keyed, "call map_delete_elem"), 0xffff_fffe],
  ["per-CPU update zeroes other CPUs", "percpu_hash", r(keyed, value, "call map_update_elem", keyed, "r3 = 0", "call map_lookup_percpu_elem", "if r0 == 0 goto out", "r0 = *(u64 *)(r0 + 0)", "out:"), 0],
  ["redirect without entry gives the flags", "devmap", r("r1 = map m ll", "r2 = 1", "r3 = 2", "call redirect_map"), 2],
  ["redirect with a wrong flag", "devmap", r("r1 = map m ll", "r2 = 1", "r3 = 0x100", "call redirect_map"), 0],
  ["bpf_redirect", "hash", r("r1 = 5", "r2 = 0", "call redirect"), 4],
  ["adjust_head too far", "hash", r("r2 = -217", "call xdp_adjust_head"), 0xffff_ffea],
  ["adjust_head as far as it goes", "hash", r("r2 = -216", "call xdp_adjust_head"), 0],
  ["adjust_tail past the frame", "hash", r("r2 = 3457", "call xdp_adjust_tail"), 0xffff_ffea],
  ["adjust_tail to the frame's end", "hash", r("r2 = 3456", "call xdp_adjust_tail"), 0],
  ["adjust_meta of no multiple of four", "hash", r("r2 = -3", "call xdp_adjust_meta"), 0xffff_fff3],
  ["load_bytes", "hash", r("r2 = 2", "r3 = r10", "r3 += -4", "r4 = 4", "call xdp_load_bytes", "r0 = *(u32 *)(r10 - 4)"), 0x05040302],
  ["load_bytes past the end", "hash", r("r2 = 62", "r3 = r10", "r3 += -4", "r4 = 4", "call xdp_load_bytes"), 0xffff_ffea],
  // A sum of the kernel's: 0x0100 + 0x0302 in little-endian words of 32 bits, folded.
  ["csum_diff", "hash", r("*(u32 *)(r10 - 4) = 0x03020100", "r1 = 0", "r2 = 0", "r3 = r10", "r3 += -4", "r4 = 4", "r5 = 0", "call csum_diff"), 0x0402],
  ["csum_diff of an odd size", "hash", r("r1 = 0", "r2 = 0", "r3 = r10", "r4 = 3", "r5 = 0", "call csum_diff"), 0xffff_ffea],
  ["fib_lookup without routes", "hash", r("*(u64 *)(r10 - 64) = 2", "r2 = r10", "r2 += -64", "r3 = 64", "r4 = 0", "call fib_lookup"), 4],
  ["strncmp", "hash", r("*(u32 *)(r10 - 4) = 0x00626161", "*(u32 *)(r10 - 8) = 0x00636161", "r1 = r10", "r1 += -4", "r2 = 4", "r3 = r10", "r3 += -8", "call strncmp"), 0xffff_ffff],
  ["probe_read of a bad address", "hash", r("r1 = r10", "r1 += -8", "r2 = 8", "r3 = 0", "call probe_read_kernel"), 0xffff_fff2],
];

for (const [name, type, body, want] of results)
  test(`${name} (${type})`, () => {
    const spec = program(r("r6 = r1", body, "exit"), [map("m", type)]);
    const { outcome } = run(spec);
    equal(outcome.fault, undefined);
    equal(outcome.verdict, want);
  });

test("redirect_map names map and key, and only with its verdict", () => {
  const redirect = r("r1 = map m ll", "r2 = 1", "r3 = 0", "call redirect_map");
  const fill = (state: State): void => {
    state.update("m", key(1), new Uint8Array(8).fill(2));
  };
  const maps = [map("m", "devmap")];
  deepEqual(run(program(r(redirect, "exit"), maps), fill).outcome.redirect, {
    map: "m",
    key: 1,
    flags: 0n,
  });
  equal(
    run(program(r(redirect, "r0 = 1", "exit"), maps), fill).outcome.redirect,
    undefined,
  );
});

test("adjust_head moves the packet's start, and old bytes come back", () => {
  const body = r(
    "r6 = r1",
    "r2 = 4",
    "call xdp_adjust_head",
    "r1 = r6",
    "r2 = -2",
    "call xdp_adjust_head",
    "r0 = 2",
    "exit",
  );
  const { outcome } = run(program(body, []));
  equal(outcome.data.length, 62);
  equal(outcome.data[0], 2);
});

test("events: print, ring buffer in order of reservation, perf with packet bytes", () => {
  const maps = [
    map("ring", "ringbuf", { maxEntries: 4096 }),
    map("perf", "perf_event_array"),
  ];
  const body = r(
    "r6 = r1",
    "r1 = map ring ll",
    "r2 = 8",
    "r3 = 0",
    "call ringbuf_reserve",
    "if r0 == 0 goto out",
    "r7 = r0",
    "r1 = map ring ll",
    "r2 = 4",
    "r3 = 0",
    "call ringbuf_reserve",
    "if r0 == 0 goto drop",
    "*(u32 *)(r0 + 0) = 2",
    "r1 = r0",
    "r2 = 0",
    "call ringbuf_submit",
    "*(u64 *)(r7 + 0) = 1",
    "r1 = r7",
    "r2 = 0",
    "call ringbuf_submit",
    "*(u32 *)(r10 - 4) = 9",
    "r1 = r6",
    "r2 = map perf ll",
    "r3 = 0x3ffffffff ll",
    "r4 = r10",
    "r4 += -4",
    "r5 = 4",
    "call perf_event_output",
    "*(u64 *)(r10 - 16) = 0x6425",
    "r1 = r10",
    "r1 += -16",
    "r2 = 8",
    "r3 = -5",
    "call trace_printk",
    "r0 = 2",
    "exit",
    "drop:",
    "r1 = r7",
    "r2 = 0",
    "call ringbuf_discard",
    "out:",
    "r0 = 0",
    "exit",
  );
  const { outcome } = run(program(body, maps));
  equal(outcome.fault, undefined);
  deepEqual(
    outcome.events.map(({ kind, data }) => `${kind} ${toHex(data)}`),
    [
      "ringbuf 0100000000000000",
      "ringbuf 02000000",
      "perf 09000000000102",
      "print 2d35",
    ],
  );
});

test("for_each walks all elements and stops on a true answer", () => {
  const body = r(
    "*(u64 *)(r10 - 8) = 0",
    "r1 = map m ll",
    "r2 = function each ll",
    "r3 = r10",
    "r3 += -8",
    "r4 = 0",
    "call for_each_map_elem",
    "r1 = *(u64 *)(r10 - 8)",
    "r0 *= 1000",
    "r0 += r1",
    "exit",
    'function each section ".text" static',
    "r5 = *(u32 *)(r2 + 0)",
    "r0 = *(u64 *)(r3 + 0)",
    "r5 *= r0",
    "r0 = *(u64 *)(r4 + 0)",
    "r0 += r5",
    "*(u64 *)(r4 + 0) = r0",
    "r0 = 0",
    "exit",
  );
  const { outcome } = run(program(body, [map("m", "hash")]), (state) => {
    state.update("m", key(2), Uint8Array.of(10, 0, 0, 0, 0, 0, 0, 0));
    state.update("m", key(3), Uint8Array.of(100, 0, 0, 0, 0, 0, 0, 0));
  });
  equal(outcome.verdict, 2320);
});

test("tail calls go to functions, 33 of them, else fall through", () => {
  const maps = [map("m", "prog_array", { valueSize: 4 }), map("n", "array")];
  const body = r(
    "r6 = r1",
    "*(u32 *)(r10 - 4) = 0",
    "r1 = map n ll",
    "r2 = r10",
    "r2 += -4",
    "call map_lookup_elem",
    "if r0 == 0 goto out",
    "r1 = 1",
    "lock *(u64 *)(r0 + 0) += r1",
    "r1 = r6",
    "r2 = map m ll",
    "r3 = 1",
    "call tail_call",
    "out:",
    "r0 = 2",
    "exit",
  );
  const link = (state: State): void => {
    state.link("m", key(1), { kind: "function", name: "main" });
  };
  const looping = run(program(body, maps), link);
  equal(looping.outcome.verdict, 2);
  equal(looping.state.lookup("n", key(0))?.[0], 34);
  equal(run(program(body, maps)).state.lookup("n", key(0))?.[0], 1);
});

test("a tail call in a subprogram replaces that one: frames above it stay", () => {
  const maps = [map("m", "prog_array", { valueSize: 4 })];
  const text = `function main
    r6 = r1
    call function deep
    r0 += 1
    exit
    function deep
    r2 = map m ll
    r3 = 1
    call tail_call
    r0 = 100
    exit`;
  const { outcome } = run(program(text, maps), (state) => {
    state.link("m", key(1), { kind: "function", name: "main" });
  });
  equal(outcome.fault, undefined);
  // 34 callers come back one after the other, more than eight frames.
  equal(outcome.verdict, 134);
});

test("what an earlier packet left in the head room is gone", () => {
  const text = `function main
    r6 = r1
    r2 = -20
    call xdp_adjust_head
    r1 = *(u32 *)(r6 + 0)
    r2 = *(u32 *)(r6 + 4)
    r3 = r1
    r3 += 20
    r0 = 1
    if r3 > r2 goto out
    r0 = *(u32 *)(r1 + 16)
    *(u32 *)(r1 + 16) = -1
    out:
    exit`;
  const spec = program(text, []);
  const machine = new BytecodeMachine(spec, createState([], { cpus: 2 }));
  deepEqual(
    [0, 0].map(() => machine.run(packet).verdict),
    [0, 0],
  );
});

test("the protocol of a frame is a type, or what a length stands for", () => {
  const text = "function main\nr0 = *(u32 *)(r1 + 16)\nexit";
  // prettier-ignore
  const table = [[0x0800, 0, 0x0008], [0x0600, 0, 0x0006], [0x05ff, 0, 0x0400], [0x0001, 0xffff, 0x0100]] as const;
  for (const [type, next, want] of table) {
    const data = packet.data.slice();
    new DataView(data.buffer).setUint16(12, type);
    new DataView(data.buffer).setUint16(14, next);
    const spec = program(text, [], "sched_cls");
    const { outcome } = run(spec, () => undefined, {}, { ...packet, data });
    equal(outcome.verdict, want, `type ${type}`);
  }
});

test("map of maps: lookup gives the inner map", () => {
  const inner = map("one", "hash");
  const body = r(
    "*(u32 *)(r10 - 4) = 1",
    "r1 = map m ll",
    "r2 = r10",
    "r2 += -4",
    "call map_lookup_elem",
    "if r0 == 0 goto out",
    "r1 = r0",
    "r2 = r10",
    "r2 += -4",
    "call map_lookup_elem",
    "if r0 == 0 goto out",
    "r0 = *(u64 *)(r0 + 0)",
    "out:",
    "exit",
  );
  const spec = program(body, [
    map("m", "hash_of_maps", { valueSize: 4, inner }),
  ]);
  const { outcome } = run(spec, (state) => {
    state.link("m", key(1), inner);
    state.update("one", key(1), Uint8Array.of(42, 0, 0, 0, 0, 0, 0, 0));
  });
  equal(outcome.verdict, 42);
});

test("observers see branches, comparisons and touches with their cells", () => {
  const touches: string[] = [];
  const branches: string[] = [];
  const spec = program(
    r(
      keyed,
      value,
      "call map_update_elem",
      keyed,
      "call map_lookup_elem",
      "if r0 == 0 goto out",
      "r1 = *(u32 *)(r0 + 4)",
      "out:",
      "r0 = 1",
      "exit",
    ),
    [map("m", "lru_hash", { maxEntries: 1 })],
  );
  const state = createState(spec.maps);
  state.update("m", key(9), new Uint8Array(8));
  const machine = new BytecodeMachine(spec, state, {
    observer: {
      touch: ({ op, cell, result, writes, at, offset, size }: CellTouch) =>
        touches.push(
          `${at.instruction} ${op} ${cell} ${result}${writes ? " writes" : ""}${offset === undefined ? "" : ` ${offset}+${size}`}`,
        ),
      branch: (at, taken) => branches.push(`${at.instruction} ${taken}`),
      compare: (at, left, right, width) =>
        branches.push(`${at.instruction} ${left > 0n} ${right} ${width}`),
    },
  });
  machine.run(packet);
  deepEqual(touches, [
    "8 delete 09000000 full writes",
    "8 update 01000000 full writes",
    "13 lookup 01000000 hit",
    "15 load 01000000 hit 4+4",
  ]);
  deepEqual(branches, ["14 true 0 64", "14 false"]);
});

test("TC: VLAN tags, checksums, context after the run", () => {
  const data = packet.data.slice();
  data.set([8, 0], 12);
  const body = r(
    "r6 = r1",
    "*(u32 *)(r1 + 8) = 77",
    "r2 = 0x0081",
    "r3 = 5",
    "call skb_vlan_push",
    "r1 = r6",
    "r2 = 24",
    "r3 = 0x0100",
    "r4 = 0x0200",
    "r5 = 2",
    "call l3_csum_replace",
    "r1 = r6",
    "r2 = 0",
    "r3 = 0",
    "call skb_vlan_push",
    "r0 = 0",
    "exit",
  );
  const { outcome } = run(
    program(body, [], "sched_cls"),
    undefined,
    {},
    { ...packet, data },
  );
  equal(outcome.data.length, 68);
  equal(toHex(outcome.data.subarray(12, 18)), "810000050800");
  // ~(~0x1918 + ~0x0100 + 0x0200): one less, high byte first in memory at 24.
  equal(toHex(outcome.data.subarray(28, 30)), "1818");
  equal(outcome.context?.[8], 77);
});

test("a CPU that the state lacks is the caller's mistake", () => {
  const machine = new BytecodeMachine(
    program("r0 = 0\nexit", []),
    createState([], { cpus: 1 }),
  );
  throws(() => machine.run(packet), /CPU 1/);
});
