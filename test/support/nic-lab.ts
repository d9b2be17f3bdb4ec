/**
 * A stateful stand-in for ethtool, and machines made of it: it keeps an interface's
 * settings in files, speaks ethtool's words, refuses what the profile's driver
 * refuses, and can fail, ignore, or be killed at the n-th change; KILL_NODE_AT kills
 * the Node process that it works for. /proc and /sys are a folder of the test's.
 */
import { equal } from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
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
import { after } from "node:test";
import type { NicProfile } from "#rss";

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
  if [[ $n == "\${KILL_NODE_AT:-}" ]]; then
    parent=$PPID
    while [[ $(readlink "/proc/$parent/exe") != */node ]]; do
      read -r _ _ _ parent _ <"/proc/$parent/stat"
    done
    kill -KILL "$parent"
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
      entries) shift; echo "$*" >"$dir/table" ;;
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

/** For `perl -e PROGRAM INTERFACE QUEUE…`, which writes a table entry by entry. */
const tableStandIn = `#!/usr/bin/env bash
exec "$FAKE/bin/ethtool" -X "$3" entries "\${@:4}"
`;

const scratch = mkdtempSync(join(tmpdir(), "nic-script-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
// Root may write anything, so as root the scripts run as nobody.
export const user = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
chmodSync(scratch, 0o755);

function give(path: string): void {
  if (user.uid !== undefined) chownSync(path, user.uid, user.gid);
  const folder = readdirSync(path, { withFileTypes: true });
  for (const entry of folder)
    if (entry.isDirectory()) give(join(path, entry.name));
    else if (user.uid !== undefined && entry.isFile())
      chownSync(join(path, entry.name), user.uid, user.gid);
}

export interface Lab {
  readonly folder: string;
  readonly ifaces: readonly string[];
}

export interface LabOptions {
  readonly channels?: number;
  readonly transform?: string | undefined;
  readonly table?: string;
  readonly tableSize?: number;
}

/** A machine with these interfaces, 8 channels each, the driver's defaults. */
export function lab(
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
  writeFileSync(at("bin/perl"), tableStandIn, { mode: 0o755 });
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

export function run(
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

export function script(
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
export function settings({
  folder,
  ifaces,
}: Lab): Readonly<Record<string, string>> {
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
