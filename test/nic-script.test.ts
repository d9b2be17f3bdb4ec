/**
 * apply.sh and undo.sh against a stateful stand-in for ethtool: per NIC profile,
 * refusal at each step restores everything, twice is harmless, undo works after a
 * link flap, and no name does harm.
 *
 * The stand-in keeps an interface's settings in files, speaks ethtool's words,
 * refuses what the profile's driver refuses, and can fail, ignore, or be killed
 * at the n-th change. /proc and /sys are a folder of the test's.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
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

const standIn = `#!/usr/bin/env bash
verb=$1 iface=$2; shift 2
dir="$FAKE/nic/$iface"
[[ -d $dir ]] || { echo "no such device" >&2; exit 1; }
get() { VALUE=; [[ -e $dir/$1 ]] && VALUE=$(<"$dir/$1"); }
change() {
  local n=$(($(<"$FAKE/changes") + 1))
  echo $n >"$FAKE/changes"
  [[ $n == "\${FAIL_AT:-}" ]] && { printf 'netlink error: \\e[31mOperation not permitted\\n' >&2; exit 1; }
  [[ $n == "\${IGNORE_AT:-}" ]] && exit 0
  if [[ $n == "\${TERM_AT:-}" ]]; then
    read -r _ _ _ parent _ <"/proc/$PPID/stat"; kill -TERM "$parent"
  fi
}
interrupts() {
  local base queue name count
  get irq_base; base=$VALUE
  get channels; count=$VALUE
  get irq_name
  rm -rf "$FAKE/root/proc/irq/$base"?
  grep -vF " #$iface#" "$FAKE/lines" >"$FAKE/lines.new"
  for ((queue = 0; queue < count; queue++)); do
    name=\${VALUE//QUEUE/$queue}
    printf ' %s:  1 2 PCI-MSI edge #%s# %s\\n' "$base$queue" "$iface" "$name" >>"$FAKE/lines.new"
    mkdir -p "$FAKE/root/proc/irq/$base$queue"
    echo 0-7 >"$FAKE/root/proc/irq/$base$queue/smp_affinity_list"
  done
  mv "$FAKE/lines.new" "$FAKE/lines"
  sed 's/ #.*# / /' "$FAKE/lines" >"$FAKE/root/proc/interrupts"
}
default_table() {
  local n=$1 i t=
  get table_size
  for ((i = 0; i < VALUE; i++)); do t+=" $((i % n))"; done
  echo "\${t# }" >"$dir/table"
}
case $verb in
  -l)
    get channels_max
    printf 'Channel parameters for %s:\\nPre-set maximums:\\nRX:\\t\\tn/a\\nTX:\\t\\tn/a\\nOther:\\t\\t1\\nCombined:\\t%s\\n' "$iface" "$VALUE"
    get channels
    printf 'Current hardware settings:\\nRX:\\t\\tn/a\\nTX:\\t\\tn/a\\nOther:\\t\\t1\\nCombined:\\t%s\\n' "$VALUE" ;;
  -x)
    get channels
    printf 'RX flow hash indirection table for %s with %s RX ring(s):\\n' "$iface" "$VALUE"
    get table
    set -- $VALUE
    for ((i = 0; $# > 0; i += 8)); do
      printf '%5d:  %5d %5d %5d %5d %5d %5d %5d %5d\\n' $i $1 $2 $3 $4 $5 $6 $7 $8
      shift 8
    done
    get key
    printf 'RSS hash key:\\n%s\\nRSS hash function:\\n' "$VALUE"
    get function
    for f in toeplitz xor; do [[ $VALUE == $f ]] && s=on || s=off; printf '    %s: %s\\n' $f $s; done
    if [[ -e $dir/transform ]]; then
      echo 'RSS input transformation:'
      get transform
      for f in symmetric-xor symmetric-or-xor; do [[ $VALUE == $f ]] && s=on || s=off; printf '    %s: %s\\n' $f $s; done
    fi ;;
  -n)
    echo "$2 flows use these fields for computing Hash flow key:"
    get "fields.$2"; f=$VALUE
    [[ $f == *s* ]] && echo 'IP SA'
    [[ $f == *d* ]] && echo 'IP DA'
    [[ $f == *f* ]] && echo 'L4 bytes 0 & 1 [TCP/UDP src port]'
    [[ $f == *n* ]] && echo 'L4 bytes 2 & 3 [TCP/UDP dst port]'
    echo ;;
  -L)
    change
    get channels_max
    (($2 <= VALUE)) || { echo 'invalid' >&2; exit 1; }
    get table
    for q in $VALUE; do ((q < $2)) || { echo 'requested channel count is too low for existing indirection table settings' >&2; exit 1; }; done
    echo "$2" >"$dir/channels"
    interrupts ;;
  -N)
    change
    grep -qxF "$2 $3" "$dir/allowed" || { echo 'Cannot change RX network flow hashing options: Invalid argument' >&2; exit 1; }
    echo "$3" >"$dir/fields.$2" ;;
  -X)
    change
    case $1 in
      equal) default_table "$2"; [[ \${3:-} == start ]] && { get table; t=; for q in $VALUE; do t+="\${t:+ }$((q + $4))"; done; echo "$t" >"$dir/table"; } ;;
      weight)
        shift; t= q=0
        for w in "$@"; do for ((i = 0; i < w; i++)); do t+="\${t:+ }$q"; done; q=$((q + 1)); done
        echo "$t" >"$dir/table" ;;
      hkey) echo "$2" >"$dir/key" ;;
      hfunc) echo "$2" >"$dir/function" ;;
      xfrm) [[ -e $dir/transform ]] || { echo 'bad command line argument' >&2; exit 1; }; echo "$2" >"$dir/transform" ;;
      *) echo 'bad command line argument' >&2; exit 1 ;;
    esac ;;
  flap)
    get irq_base
    rm -rf "$FAKE/root/proc/irq/$VALUE"?
    echo $((VALUE + 11)) >"$dir/irq_base"
    interrupts
    get channels
    default_table "$VALUE" ;;
esac
exit 0
`;

const scratch = mkdtempSync(join(tmpdir(), "nic-script-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
// Root may write anything, so as root the scripts run as nobody.
const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
chmodSync(scratch, 0o755);

function give(path: string): void {
  if (user.uid !== undefined) chownSync(path, user.uid, user.gid);
  const folder = readdirSync(path, { withFileTypes: true });
  for (const entry of folder)
    if (entry.isDirectory()) give(join(path, entry.name));
    else if (user.uid !== undefined && entry.isFile())
      chownSync(join(path, entry.name), user.uid, user.gid);
}

interface Lab {
  readonly folder: string;
  readonly ifaces: readonly string[];
}

interface LabOptions {
  readonly channels?: number;
  readonly transform?: string | undefined;
  readonly table?: string;
  readonly tableSize?: number;
}

/** A machine with these interfaces, 8 channels each, the driver's defaults. */
function lab(
  profile: NicProfile,
  ifaces: readonly string[],
  options: LabOptions = {},
): Lab {
  const folder = mkdtempSync(join(scratch, "lab-"));
  const at = (...parts: string[]): string => join(folder, ...parts);
  const write = (path: string, text: string | number): void =>
    writeFileSync(path, `${text}\n`);
  mkdirSync(at("bin"));
  writeFileSync(at("bin/ethtool"), standIn, { mode: 0o755 });
  mkdirSync(at("root/proc/irq"), { recursive: true });
  mkdirSync(at("root/sys/class/net"), { recursive: true });
  write(at("changes"), 0);
  write(at("lines"), " CPU0 CPU1");
  writeFileSync(at("root/proc/interrupts"), "");
  const { channels = 8, tableSize = profile.tableEntries } = options;
  const size = Array.from({ length: tableSize }, (_, index) => index);
  for (const [index, iface] of ifaces.entries()) {
    const device =
      profile.name === "virtio" ? `virtio${index}` : `0000:0${index}:00.0`;
    mkdirSync(at("root/sys/class/net", iface), { recursive: true });
    symlinkSync(
      `../../../devices/${device}`,
      at("root/sys/class/net", iface, "device"),
    );
    const nic = at("nic", iface);
    mkdirSync(nic, { recursive: true });
    const set = (name: string, text: string | number): void =>
      write(join(nic, name), text);
    set("channels", channels);
    set("channels_max", 16);
    set("table_size", tableSize);
    set(
      "table",
      options.table ?? size.map((entry) => entry % channels).join(" "),
    );
    set("key", Array.from({ length: profile.keyBytes }, () => "6d").join(":"));
    set("function", "toeplitz");
    if ("transform" in options) {
      if (options.transform !== undefined) set("transform", options.transform);
    } else if (profile.transform !== "none")
      set("transform", profile.transform);
    const allowed: string[] = [];
    for (const [name, offered] of Object.entries(profile.inputs)) {
      // The last one, so that there is something to change.
      set(`fields.${name}`, offered?.at(-1) ?? "");
      if (profile.settable.some((each) => each === name))
        allowed.push(...(offered ?? []).map((fields) => `${name} ${fields}`));
    }
    set("allowed", allowed.join("\n"));
    set("irq_base", 40 + 20 * index);
    const template = profile.irqNames[0] ?? "";
    set(
      "irq_name",
      template
        .replace("{iface}", () => iface)
        .replace("{device}", () => device)
        .replace("{queue}", "QUEUE"),
    );
  }
  give(folder);
  const made = { folder, ifaces };
  for (const iface of ifaces) {
    // Lets the stand-in lay out its interrupts, unseen by the counter.
    const { status, stderr } = run(made, join(folder, "bin/ethtool"), [
      "-L",
      iface,
      "combined",
      `${channels}`,
    ]);
    equal(status, 0, stderr);
  }
  writeFileSync(at("changes"), "0\n");
  return made;
}

function run(
  { folder }: Lab,
  command: string,
  words: readonly string[],
  env: Readonly<Record<string, string>> = {},
) {
  return spawnSync(command, words, {
    ...user,
    encoding: "utf8",
    cwd: folder,
    env: {
      PATH: `${join(folder, "bin")}:/usr/sbin:/usr/bin:/sbin:/bin`,
      FAKE: folder,
      DIVISI_ROOT: join(folder, "root"),
      DIVISI_STATE_DIR: join(folder, "run"),
      ...env,
    },
  });
}

function script(
  lab: Lab,
  text: string,
  words: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  const path = join(lab.folder, "script.sh");
  writeFileSync(path, text);
  return run(lab, "bash", [path, ...words], env);
}

/** All settings of all interfaces; interrupts by queue, not by number. */
function settings({ folder, ifaces }: Lab): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  const read = (...parts: string[]): string =>
    readFileSync(join(folder, ...parts), "utf8").trim();
  for (const iface of ifaces) {
    for (const name of readdirSync(join(folder, "nic", iface)))
      if (name !== "irq_base")
        found[`${iface} ${name}`] = read("nic", iface, name);
    const base = read("nic", iface, "irq_base");
    for (let queue = 0; queue < Number(found[`${iface} channels`]); queue++)
      found[`${iface} irq ${queue}`] = read(
        "root/proc/irq",
        `${base}${queue}`,
        "smp_affinity_list",
      );
  }
  return found;
}

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
  ["a table that ethtool cannot write", e810, { table: Array.from({ length: 512 }, (_, index) => (index * index) % 8).join(" ") }, /could not be restored/],
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
