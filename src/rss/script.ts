/**
 * nic/apply.sh and nic/undo.sh.
 *
 * apply.sh reads everything it will touch, writes it to a state file, then sets
 * and reads back channels, hash fields, function, key, table, and the CPU of each
 * queue's interrupt; at the first failure it restores all. It refuses, before
 * touching anything, where the present values could not be restored. A second run
 * changes nothing. undo.sh restores from the state file; without one it does
 * nothing. Interrupts are found by name each time: their numbers change.
 *
 *   apply.sh [--check] [PORT=INTERFACE …]     exit 0 done, 1 refused, 2 usage
 *   undo.sh                                   exit 0 restored, 1 not all of it
 *
 * Where there is one port its name may be left out: apply.sh INTERFACE.
 */
import type { NicSetup, PortSetup } from "./nic-setup.ts";
import { scriptLibrary } from "./script-library.ts";
import { quote } from "./shell.ts";

export function applyScript(setup: NicSetup): string {
  return [
    head("Sets up receive-side scaling; undo.sh restores what was there."),
    data(setup),
    scriptLibrary,
    applyBody,
  ].join("\n");
}

export function undoScript(setup: NicSetup): string {
  return [
    head("Restores what apply.sh found."),
    `id=${setup.id}`,
    array("irq_names", setup.profile.irqNames),
    scriptLibrary,
    undoBody,
  ].join("\n");
}

function head(title: string): string {
  return `#!/usr/bin/env bash
# ${title} Written by divisi.
set -u
LC_ALL=C
export LC_ALL
umask 077
`;
}

function data({ id, profile, cores, ports }: NicSetup): string {
  const each = (value: (port: PortSetup) => string): readonly string[] =>
    ports.map(value);
  return [
    `id=${id}`,
    `cores=${cores}`,
    `table_entries=${profile.tableEntries}`,
    `key_bytes=${profile.keyBytes}`,
    `transform=${profile.transform}`,
    array("irq_names", profile.irqNames),
    array(
      "ports",
      each(({ name }) => name),
    ),
    array(
      "ifaces",
      each(({ iface }) => iface ?? ""),
    ),
    array(
      "keys",
      each(({ key }) => key.replace(/(?<=.)(?=(..)+$)/g, ":")),
    ),
    array(
      "fields",
      each(({ set }) =>
        set.map((one) => `${one.class}=${one.fields}`).join(" "),
      ),
    ),
    array(
      "tables",
      each(({ table }) => table.entries.join(" ")),
    ),
    "",
  ].join("\n");
}

function array(name: string, values: readonly string[]): string {
  return `${name}=(${values.map(quote).join(" ")})`;
}

const applyBody = `usage() {
  if ((\${#ports[@]} == 1)); then
    say "usage: apply.sh [--check] INTERFACE"
  else
    say "usage: apply.sh [--check]$(printf ' %q=INTERFACE' "\${ports[@]}")"
  fi
  say "sets the network card up as plan.json says; undo.sh restores what was there"
  say "--check changes nothing and says (0 or 1) whether all of it is set"
  exit "$1"
}

# Is everything as wanted? Says nothing itself; WRONG is the first thing that is not.
as_wanted() {
  local index class letters queue pair name
  for index in "\${!ports[@]}"; do
    name=$(shown "\${ifaces[index]}")
    read_channels "\${ifaces[index]}" || { WRONG="$name: channels cannot be read"; return 1; }
    ((CH_NOW == cores)) || { WRONG="$name: $CH_NOW channels, wanted $cores"; return 1; }
    read_rss "\${ifaces[index]}" || { WRONG="$name: hash set-up cannot be read"; return 1; }
    [[ $RSS_TABLE == "\${tables[index]}" ]] || { WRONG="$name: another indirection table than planned"; return 1; }
    [[ $RSS_KEY == "\${keys[index]}" ]] || { WRONG="$name: another hash key than planned"; return 1; }
    [[ -z $RSS_FUNCTION || $RSS_FUNCTION == toeplitz ]] || { WRONG="$name: hash function $(shown "$RSS_FUNCTION"), wanted toeplitz"; return 1; }
    [[ $RSS_TRANSFORM == none || ( -z $RSS_TRANSFORM && $transform == none ) ]] || { WRONG="$name: source and destination are mixed before hashing"; return 1; }
    for pair in \${fields[index]}; do
      class=\${pair%%=*} letters=\${pair#*=}
      read_fields "\${ifaces[index]}" "$class" && [[ $FIELDS == "$letters" ]] || { WRONG="$name: hash fields of $class are $(shown "$FIELDS"), wanted $letters"; return 1; }
    done
    for ((queue = 0; queue < cores; queue++)); do
      read_affinity "\${ifaces[index]}" "$queue" 2>/dev/null && [[ $AFFINITY == "$queue" ]] || { WRONG="$name: queue $queue runs on CPU $(shown "\${AFFINITY:-unknown}"), wanted $queue"; return 1; }
    done
  done
}

# Prints the present values of one port, a line each; fails where they could not
# be written back, or where the NIC is not the one this was made for.
snapshot() {
  local iface=\${ifaces[$1]} name class letters pair queue
  name=$(shown "$iface")
  read_channels "$iface" || { say "$name: channels cannot be read (ethtool -l)"; return 1; }
  ((cores <= CH_MAX)) || { say "$name: $cores channels wanted, the NIC has $CH_MAX"; return 1; }
  printf '%s\\tchannels\\t%s\\n' "$iface" "$CH_NOW"
  read_rss "$iface" || { say "$name: hash set-up cannot be read (ethtool -x)"; return 1; }
  if ((RSS_SIZE != table_entries)); then
    say "$name: the table has $RSS_SIZE entries, this set-up is for $table_entries; solve with a profile of this NIC"
    return 1
  fi
  table_words "$RSS_TABLE" || command -v perl >/dev/null || { say "$name: the present table could not be restored; first: ethtool -X $name default"; return 1; }
  [[ -n $RSS_KEY ]] || { say "$name: the driver does not show its hash key"; return 1; }
  if ((\${#RSS_KEY} != 3 * key_bytes - 1)); then
    say "$name: the key has $(((\${#RSS_KEY} + 1) / 3)) bytes, this set-up is for $key_bytes; solve with a profile of this NIC"
    return 1
  fi
  if [[ $transform != none && -z $RSS_TRANSFORM ]]; then
    say "$name: this driver mixes source and destination ($transform) and shows no way to stop it; a newer kernel and ethtool have: ethtool -X $name xfrm none"
    return 1
  fi
  printf '%s\\ttable\\t%s\\n%s\\tkey\\t%s\\n' "$iface" "$RSS_TABLE" "$iface" "$RSS_KEY"
  [[ -z $RSS_FUNCTION ]] || printf '%s\\tfunction\\t%s\\n' "$iface" "$RSS_FUNCTION"
  [[ -z $RSS_TRANSFORM ]] || printf '%s\\ttransform\\t%s\\n' "$iface" "$RSS_TRANSFORM"
  for pair in \${fields[$1]}; do
    class=\${pair%%=*} letters=\${pair#*=}
    read_fields "$iface" "$class" || { say "$name: hash fields of $class cannot be read"; return 1; }
    [[ $FIELDS == "$letters" ]] && continue
    [[ -n $FIELDS ]] || { say "$name: hash fields of $class are none, which could not be restored"; return 1; }
    printf '%s\\tfields.%s\\t%s\\n' "$iface" "$class" "$FIELDS"
  done
  for ((queue = 0; queue < CH_NOW; queue++)); do
    read_affinity "$iface" "$queue" || { say "$name: interrupt of queue $queue cannot be read"; return 1; }
    printf '%s\\tirq.%s\\t%s\\n' "$iface" "$queue" "$AFFINITY"
  done
}

apply_port() {
  local iface=\${ifaces[$1]} pair
  set_channels "$iface" "$cores" || return 1
  for pair in \${fields[$1]}; do
    set_fields "$iface" "\${pair%%=*}" "\${pair#*=}" || return 1
  done
  set_function "$iface" toeplitz || return 1
  [[ -z $RSS_TRANSFORM ]] || set_transform "$iface" none || return 1
  set_key "$iface" "\${keys[$1]}" || return 1
  set_table "$iface" "\${tables[$1]}"
}

apply_all() {
  local index queue
  for index in "\${!ports[@]}"; do apply_port "$index" || return 1; done
  for index in "\${!ports[@]}"; do
    for ((queue = 0; queue < cores; queue++)); do
      set_affinity "\${ifaces[index]}" "$queue" "$queue" || return 1
    done
  done
  # A later step may have undone an earlier one.
  as_wanted || { say 'a value changed again after it was set'; return 1; }
}

give_up() {
  trap '' INT TERM HUP
  say "$1; restoring what was there"
  if restore; then
    say 'restored'
  else
    say "not all of it could be restored; run undo.sh again ($(shown "$state"))"
  fi
  exit 1
}

check_only=0
for word in "$@"; do
  case $word in
    --check) check_only=1 ;;
    -h | --help) usage 0 ;;
    -*) usage 2 ;;
    *=*)
      known=0
      for index in "\${!ports[@]}"; do
        [[ \${ports[index]} == "\${word%%=*}" ]] && { ifaces[index]=\${word#*=}; known=1; }
      done
      ((known)) || usage 2 ;;
    *)
      ((\${#ports[@]} == 1)) || usage 2
      ifaces[0]=$word ;;
  esac
done

seen=' '
for index in "\${!ports[@]}"; do
  iface=\${ifaces[index]}
  if [[ -z $iface ]]; then
    say "no interface for port $(shown "\${ports[index]}")"
    usage 2
  fi
  case $iface in
    -* | . | .. | */* | *:* | *[[:space:]]*) say "$(shown "$iface") is no interface name"; exit 2 ;;
  esac
  [[ $seen != *" $iface "* ]] || { say "$(shown "$iface") is bound to two ports"; exit 2; }
  seen+="$iface "
  [[ -d $root/sys/class/net/$iface ]] || { say "$(shown "$iface"): no such interface"; exit 1; }
done
command -v ethtool >/dev/null || { say 'ethtool is not installed'; exit 1; }

if as_wanted; then
  if [[ -f $state ]]; then say 'already applied'; else say 'already as wanted; nothing to do'; fi
  exit 0
fi
((check_only == 0)) || { say "$WRONG"; exit 1; }

for comm in "$root"/proc/[0-9]*/comm; do
  if [[ -r $comm ]] && IFS= read -r word <"$comm" && [[ $word == irqbalance ]]; then
    say 'irqbalance runs and would move the interrupts; first: systemctl stop irqbalance'
    exit 1
  fi
done

if [[ -f $state ]]; then
  while IFS=$tab read -r iface _; do
    [[ $seen == *" $iface "* ]] || { say "a former run changed $(shown "$iface"); first: undo.sh"; exit 1; }
  done <"$state"
else
  mkdir -p "$state_dir" || exit 1
  for index in "\${!ports[@]}"; do
    snapshot "$index" || { rm -f "$state.new"; exit 1; }
  done >"$state.new" || { rm -f "$state.new"; exit 1; }
  mv "$state.new" "$state" || exit 1
fi

trap 'give_up interrupted' INT TERM HUP
apply_all || give_up 'the set-up failed'
trap - INT TERM HUP
say "applied: $cores queues on each of$(printf ' %q' "\${ifaces[@]}")"
`;

const undoBody = `if (($# > 0)); then
  say 'usage: undo.sh'
  say 'restores the settings of the network card that apply.sh found'
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 2
fi
if [[ ! -f $state ]]; then
  say 'nothing to undo'
  exit 0
fi
command -v ethtool >/dev/null || { say 'ethtool is not installed'; exit 1; }
if restore; then
  say 'restored'
else
  say "not all of it could be restored ($(shown "$state"))"
  exit 1
fi
`;
