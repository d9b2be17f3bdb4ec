/**
 * apply.sh and undo.sh against a stateful stand-in for ethtool: per NIC profile,
 * refusal at each step restores everything, twice is harmless, undo works after a
 * link flap, and no name does harm.
 *
 * The stand-in is test/support/nic-lab.ts.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import {
  applyScript,
  nicProfile,
  nicProfiles,
  nicSetup,
  solveKeys,
  undoScript,
  type NicProfile,
  type NicSetup,
  type Requirement,
} from "#rss";
import {
  lab,
  run,
  script,
  settings,
  user,
  type Lab,
  type LabOptions,
} from "./support/nic-lab.ts";

const changes = ({ folder }: Lab): number =>
  Number(readFileSync(join(folder, "changes"), "utf8"));
const stateFiles = ({ folder }: Lab): readonly string[] =>
  existsSync(join(folder, "run")) ? readdirSync(join(folder, "run")) : [];

/** Both ports share a table; every port's TCP and UDP in both directions. */
const swap: readonly (readonly [
  "ipv4.src" | "ipv4.dst" | "l4.sport" | "l4.dport",
  "ipv4.src" | "ipv4.dst" | "l4.sport" | "l4.dport",
  number,
])[] = [
  ["ipv4.src", "ipv4.dst", 32],
  ["ipv4.dst", "ipv4.src", 32],
  ["l4.sport", "l4.dport", 16],
  ["l4.dport", "l4.sport", 16],
];
const requirement = (ports: readonly string[]): Requirement => ({
  ports,
  conjuncts: [
    {
      ports: [ports[0] ?? "", ports.at(-1) ?? ""],
      equations: swap.flatMap(([left, right, bits]) =>
        Array.from({ length: bits }, (_, bit) => ({
          left: { bits: [{ field: left, bit }], constant: 0 as const },
          right: { bits: [{ field: right, bit }], constant: 0 as const },
        })),
      ),
      classes: [
        ["tcp4", "udp4"],
        ["tcp4", "udp4"],
      ],
    },
  ],
});

function setup(
  profile: NicProfile,
  interfaces: Readonly<Record<string, string | undefined>>,
): NicSetup {
  const solution = solveKeys(requirement(Object.keys(interfaces)), {
    profile,
    cores: 4,
    mode: "index",
    samples: 20,
  });
  ok(solution.kind === "solution");
  const known = Object.entries(interfaces).flatMap(([port, iface]) =>
    iface === undefined ? [] : [[port, iface] as const],
  );
  return nicSetup(solution, profile, Object.fromEntries(known));
}

const profiles = Object.values(nicProfiles).filter(({ rss }) => rss);

test("there are profiles to test", () => {
  equal(profiles.length, 7);
});

for (const profile of profiles) {
  const made = setup(profile, { lan: "eth0" });
  const apply = applyScript(made);
  const undo = undoScript(made);

  test(`${profile.name}: apply, apply again, undo, undo again`, () => {
    const here = lab(profile, ["eth0"]);
    const before = settings(here);
    const first = script(here, apply);
    equal(first.stderr, "applied: 4 queues on each of eth0\n");
    equal(first.status, 0);
    const applied = settings(here);
    const [port] = made.ports;
    equal(applied["eth0 channels"], "4");
    equal(applied["eth0 table"], port?.table.entries.join(" "));
    equal(applied["eth0 key"]?.replaceAll(":", ""), port?.key);
    for (const { class: name, fields } of port?.set ?? [])
      equal(applied[`eth0 fields.${name}`], fields);
    deepEqual(
      [0, 1, 2, 3].map((queue) => applied[`eth0 irq ${queue}`]),
      ["0", "1", "2", "3"],
    );
    const count = changes(here);
    const again = script(here, apply);
    equal(again.stderr, "already applied\n");
    equal(again.status, 0);
    equal(changes(here), count);
    deepEqual(settings(here), applied);
    equal(script(here, apply, ["--check"]).status, 0);

    equal(script(here, undo).stderr, "restored\n");
    deepEqual(settings(here), before);
    equal(script(here, apply, ["--check"]).status, 1);
    const last = script(here, undo);
    equal(last.stderr, "nothing to undo\n");
    equal(last.status, 0);
    deepEqual(settings(here), before);
    deepEqual(stateFiles(here), []);
  });

  test(`${profile.name}: refusal at each step restores everything`, () => {
    const probe = lab(profile, ["eth0"]);
    equal(script(probe, apply).status, 0);
    const steps = changes(probe);
    ok(steps >= 3, `${steps} changes`);
    // Each run leaves the machine as it was, so all use the same.
    const here = lab(profile, ["eth0"]);
    const before = settings(here);
    for (let step = 1; step <= steps; step++)
      for (const how of ["FAIL_AT", "IGNORE_AT"]) {
        writeFileSync(join(here.folder, "changes"), "0\n");
        const { status, stderr } = script(here, apply, [], {
          [how]: `${step}`,
        });
        // A driver that ignores the preparation of a later step harms nothing.
        if (how === "IGNORE_AT" && status === 0) {
          equal(script(here, undo).status, 0);
          continue;
        }
        equal(status, 1, `${how} ${step}: ${stderr}`);
        match(stderr, /\nrestored\n$/);
        deepEqual(settings(here), before, `${how} ${step}`);
        deepEqual(stateFiles(here), []);
        ok(
          !stderr.includes("\u001b"),
          "the driver's words reach no terminal raw",
        );
      }
    for (const queue of [0, 3]) {
      const here = lab(profile, ["eth0"], { channels: 4 });
      const before = settings(here);
      const file = join(
        here.folder,
        `root/proc/irq/40${queue}/smp_affinity_list`,
      );
      if (user.uid !== undefined) chownSync(file, 0, 0);
      chmodSync(file, 0o444);
      const { status, stderr } = script(here, apply);
      equal(status, 1);
      match(stderr, /cannot be bound to CPU/);
      deepEqual(settings(here), before);
    }
  });

  test(`${profile.name}: undo after a link flap`, () => {
    const here = lab(profile, ["eth0"]);
    const before = settings(here);
    equal(script(here, apply).status, 0);
    equal(
      run(here, join(here.folder, "bin/ethtool"), ["flap", "eth0"]).status,
      0,
    );
    equal(script(here, apply, ["--check"]).status, 1);
    equal(script(here, apply).status, 0);
    equal(
      run(here, join(here.folder, "bin/ethtool"), ["flap", "eth0"]).status,
      0,
    );
    const { status, stderr } = script(here, undo);
    equal(stderr, "restored\n");
    equal(status, 0);
    deepEqual(settings(here), before);
  });
}

const e810 = nicProfile("e810");
const ixgbe = nicProfile("ixgbe");

test("two ports: a failure on the second restores the first", () => {
  const made = setup(e810, { lan: "eth0", wan: "eth1" });
  equal(made.ports[0]?.table, made.ports[1]?.table);
  const probe = lab(e810, ["eth0", "eth1"]);
  equal(script(probe, applyScript(made)).status, 0);
  const steps = changes(probe);
  for (const step of [steps, steps - 1, Math.ceil(steps / 2)]) {
    const here = lab(e810, ["eth0", "eth1"]);
    const before = settings(here);
    equal(
      script(here, applyScript(made), [], { FAIL_AT: `${step}` }).status,
      1,
    );
    deepEqual(settings(here), before);
  }
});

test("a signal in the middle restores everything", () => {
  const here = lab(e810, ["eth0"]);
  const before = settings(here);
  const made = setup(e810, { lan: "eth0" });
  const { status, stderr } = script(here, applyScript(made), [], {
    TERM_AT: "3",
  });
  equal(status, 1);
  match(stderr, /^interrupted; restoring/m);
  deepEqual(settings(here), before);
});

test("a run killed after its changes is undone by undo.sh", () => {
  const here = lab(e810, ["eth0"]);
  const before = settings(here);
  const made = setup(e810, { lan: "eth0" });
  // The last change is done, then the script dies without a word.
  const killed = applyScript(made).replace(
    /^set_key\(\) \{$/m,
    "set_key() {\n  kill -KILL $$$$",
  );
  equal(script(here, killed).signal, "SIGKILL");
  equal(stateFiles(here).length, 1);
  equal(script(here, undoScript(made)).status, 0);
  deepEqual(settings(here), before);
});

// prettier-ignore
const refusals: readonly (readonly [string, NicProfile, LabOptions, RegExp])[] = [
  ["a table of another size", e810, { tableSize: 64 }, /the table has 64 entries, this set-up is for 512/],
  ["mlx5 that cannot stop mixing", nicProfile("mlx5"), { transform: undefined }, /mixes source and destination/],
];
for (const [what, profile, options, words] of refusals)
  test(`refused before anything is touched: ${what}`, () => {
    const here = lab(profile, ["eth0"], options);
    const { status, stderr } = script(
      here,
      applyScript(setup(profile, { lan: "eth0" })),
    );
    match(stderr, words);
    equal(status, 1);
    equal(changes(here), 0);
    deepEqual(stateFiles(here), []);
  });

test("refused before anything is touched: irqbalance runs", () => {
  const here = lab(e810, ["eth0"]);
  mkdirSync(join(here.folder, "root/proc/77"));
  writeFileSync(join(here.folder, "root/proc/77/comm"), "irqbalance\n");
  const { status, stderr } = script(
    here,
    applyScript(setup(e810, { lan: "eth0" })),
  );
  match(stderr, /systemctl stop irqbalance/);
  equal(status, 1);
  equal(changes(here), 0);
});

test("weighted and shifted tables are restored", () => {
  const weights = Array.from({ length: 512 }, (_, index) =>
    index < 300 ? 0 : index < 400 ? 2 : 7,
  );
  const shifted = Array.from({ length: 512 }, (_, index) => 2 + (index % 3));
  for (const table of [weights, shifted]) {
    const here = lab(e810, ["eth0"], { table: table.join(" ") });
    const before = settings(here);
    const made = setup(e810, { lan: "eth0" });
    const { status, stderr } = script(here, applyScript(made));
    equal(status, 0, stderr);
    equal(script(here, undoScript(made)).status, 0);
    deepEqual(settings(here), before);
  }
});

const scattered = Array.from({ length: 512 }, (_, at) => (at * at) % 8);

test("a table that ethtool has no words for: refused without perl", () => {
  const here = lab(e810, ["eth0"], { table: scattered.join(" ") });
  const text = applyScript(setup(e810, { lan: "eth0" }));
  const { status, stderr } = script(
    here,
    text.replaceAll("command -v perl", "command -v no-perl"),
  );
  match(stderr, /could not be restored/);
  equal(status, 1);
  equal(changes(here), 0);
  deepEqual(stateFiles(here), []);
});

test("a table that ethtool has no words for is written, and restored", () => {
  const here = lab(e810, ["eth0"], { table: scattered.join(" ") });
  const before = settings(here);
  const made = setup(e810, { lan: "eth0" });
  const entries = scattered.map((queue) => (queue * 3) % made.cores);
  const balanced: NicSetup = {
    ...made,
    ports: made.ports.map((port) => ({
      ...port,
      table: { entries, ethtool: [], evenness: 1 },
    })),
  };
  const { status, stderr } = script(here, applyScript(balanced));
  equal(status, 0, stderr);
  equal(settings(here)["eth0 table"], entries.join(" "));
  equal(script(here, undoScript(balanced)).status, 0);
  deepEqual(settings(here), before);
});

test("perl asks the driver with the kernel's structure", () => {
  // The request is caught where the system call would be.
  const spy = `BEGIN { *CORE::GLOBAL::ioctl = sub { my ($name, $table) = unpack("Z16 P20", $_[2]); print join(" ", $_[1], $name, unpack("L*", $table)), "\\n"; return 1 } }`;
  const writer = /^table_writer='(.*)'$/m.exec(
    applyScript(setup(e810, { lan: "eth0" })),
  )?.[1];
  const { stdout, status, stderr } = spawnSync(
    "/usr/bin/env",
    ["perl", "-e", `${spy} ${writer}`, "eth7", "3", "0", "2"],
    { encoding: "utf8" },
  );
  equal(status, 0, stderr);
  // SIOCETHTOOL (0x8946), ETHTOOL_SRXFHINDIR (0x39), three entries.
  equal(stdout, "35142 eth7 57 3 3 0 2\n");
});

test("names are harmless, embedded and as arguments", () => {
  const names = [
    "a'b",
    'a"b',
    "$(touch pwn)".replace(" ", "$IFS"),
    "`id>pwn`",
    "a;id>pwn",
    "<script>",
    "\u001b[31mred",
    "&&id",
    "a\\b",
    "*",
    "a|b>pwn",
    "!x",
    "#y",
  ];
  for (const name of names) {
    ok(new TextEncoder().encode(name).length <= 16, name);
    const iface = name.slice(0, 15);
    const made = setup(ixgbe, { [`p${name}`]: iface });
    const here = lab(ixgbe, [iface]);
    const before = settings(here);
    const files = readdirSync(here.folder);
    const first = script(here, applyScript(made));
    equal(first.status, 0, first.stderr);
    ok(!first.stderr.includes("\u001b"), "no escape sequence on the terminal");
    equal(script(here, undoScript(made)).status, 0);
    deepEqual(settings(here), before);
    const unbound = setup(ixgbe, { [`p${name}`]: undefined }).ports;
    const later = script(here, applyScript({ ...made, ports: unbound }), [
      `p${name}=${iface}`,
    ]);
    equal(later.status, 0, later.stderr);
    deepEqual(
      readdirSync(here.folder)
        .filter((file) => !files.includes(file))
        .sort(),
      ["run", "script.sh"],
      "nothing was run",
    );
  }
});

test("one port's interface needs no name; --help changes nothing", () => {
  const [one, two] = [{ lan: undefined }, { lan: undefined, wan: undefined }];
  const [made, both] = [setup(ixgbe, one), setup(ixgbe, two)];
  const here = lab(ixgbe, ["eth0"]);
  const before = settings(here);
  const [apply, undo] = [applyScript(made), undoScript(made)];
  for (const [text, words, status, says] of [
    [apply, ["--help"], 0, /usage: apply\.sh \[--check\] INTERFACE\n/],
    [apply, [], 2, /no interface for port lan/],
    [apply, ["--chek", "eth0"], 2, /usage/],
    [applyScript(both), ["-h"], 0, /lan=INTERFACE wan=INTERFACE\n/],
    [applyScript(both), ["eth0"], 2, /usage/],
    [undo, ["--help"], 0, /usage: undo\.sh/],
    [undo, ["eth0"], 2, /usage: undo\.sh/],
  ] as const) {
    const result = script(here, text, words);
    equal(result.status, status, result.stderr);
    match(result.stderr, says);
    deepEqual(settings(here), before);
  }
  const applied = script(here, apply, ["eth0"]);
  equal(applied.stderr, "applied: 4 queues on each of eth0\n");
  equal(script(here, undo).status, 0);
  deepEqual(settings(here), before);
});

test("what is no interface name is refused", () => {
  const here = lab(e810, ["eth0"]);
  const made = setup(e810, { lan: "eth0" });
  for (const name of ["../../etc", "-l", "..", ".", "a b", "", "a:b"]) {
    const { status } = script(here, applyScript(made), [`lan=${name}`]);
    equal(status, 2, name);
  }
  equal(script(here, applyScript(made), ["lan=eth7"]).status, 1);
  equal(script(here, applyScript(made), ["typo=eth0"]).status, 2);
  equal(script(here, applyScript(made), ["--frob"]).status, 2);
  equal(changes(here), 0);
});

test("the scripts are sound bash", () => {
  const here = lab(e810, ["eth0"]);
  const made = setup(e810, { lan: "eth0" });
  for (const text of [applyScript(made), undoScript(made)]) {
    const path = join(here.folder, "sound.sh");
    writeFileSync(path, text);
    equal(spawnSync("bash", ["-n", path], { encoding: "utf8" }).stderr, "");
    const lint = spawnSync("shellcheck", [path], { encoding: "utf8" });
    if (lint.error === undefined) equal(lint.stdout, "");
  }
});
