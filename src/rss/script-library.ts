/**
 * The bash that apply.sh and undo.sh share: reading, setting and reading back.
 *
 * Laws: a name reaches a command as one quoted word and a terminal through %q;
 * nothing read from a file or a tool is evaluated; every setter first reads,
 * changes only what differs, and reads back. DIVISI_ROOT (before /proc and /sys)
 * and DIVISI_STATE_DIR are for tests.
 *
 * Source: output of ethtool 6.1 (-l, -x, -n … rx-flow-hash) and, for the input
 * transformation, 6.7 and later.
 */

/**
 * Perl that writes a whole table: `perl -e … INTERFACE QUEUE…`. The request is
 * SIOCETHTOOL (0x8946) with struct ethtool_rxfh_indir: command ETHTOOL_SRXFHINDIR
 * (0x39), size, entries.
 */
export const tableWriter = `use Socket; my ($name, @table) = @ARGV; socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die "$!\\n"; my $table = pack("L2 L*", 0x39, scalar @table, @table); my $request = pack("a16 P", $name, $table); ioctl($socket, 0x8946, $request) or die "$!\\n";`;

export const scriptLibrary = `table_writer='${tableWriter}'
root="\${DIVISI_ROOT:-}"
state_dir="\${DIVISI_STATE_DIR:-/run/divisi}"
state="$state_dir/nic-$id.state"
tab=$'\\t'

say() { printf '%s\\n' "$*" >&2; }
shown() { printf '%q' "$1"; }

# Runs ethtool; on failure says what it said.
tool() {
  local message
  message=$(ethtool "$@" 2>&1) && return 0
  say "ethtool$(printf ' %q' "$@"): $(shown "$message")"
  return 1
}

# CH_KIND (combined or rx), CH_NOW, CH_MAX of an interface.
read_channels() {
  local text line word part='' max_rx='' max_combined='' now_rx='' now_combined=''
  CH_KIND='' CH_NOW=0 CH_MAX=0
  text=$(ethtool -l "$1" 2>/dev/null) || return 1
  while IFS= read -r line; do
    word=\${line#*:}
    word=\${word//[!0-9]/}
    case $line in
      'Pre-set maximums:'*) part=max ;;
      'Current hardware settings:'*) part=now ;;
      RX:*) if [[ $part == max ]]; then max_rx=$word; else now_rx=$word; fi ;;
      Combined:*) if [[ $part == max ]]; then max_combined=$word; else now_combined=$word; fi ;;
    esac
  done <<<"$text"
  if ((\${max_combined:-0} > 0)); then
    CH_KIND=combined CH_NOW=\${now_combined:-0} CH_MAX=$max_combined
  elif ((\${max_rx:-0} > 0)); then
    CH_KIND=rx CH_NOW=\${now_rx:-0} CH_MAX=$max_rx
  else
    return 1
  fi
}

# RSS_TABLE (queues, blank-separated), RSS_SIZE, RSS_KEY, RSS_FUNCTION,
# RSS_TRANSFORM (empty where ethtool or the driver does not tell).
read_rss() {
  local text line word part=''
  local -a words
  RSS_TABLE='' RSS_SIZE=0 RSS_KEY='' RSS_FUNCTION='' RSS_TRANSFORM=''
  text=$(ethtool -x "$1" 2>/dev/null) || return 1
  while IFS= read -r line; do
    case $line in
      'RX flow hash indirection table'*) part=table; continue ;;
      'RSS hash key:'*) part=key; continue ;;
      'RSS hash function:'*) part=function; continue ;;
      'RSS input transformation:'*) part=transform RSS_TRANSFORM=none; continue ;;
    esac
    case $part in
      table)
        [[ $line =~ ^[[:space:]]*[0-9]+:([[:space:]0-9]+)$ ]] || continue
        read -r -a words <<<"\${BASH_REMATCH[1]}"
        for word in "\${words[@]}"; do
          RSS_TABLE+="\${RSS_TABLE:+ }$word"
          RSS_SIZE=$((RSS_SIZE + 1))
        done ;;
      key) [[ $line =~ ^[0-9a-f]{2}(:[0-9a-f]{2})+$ ]] && RSS_KEY=$line ;;
      function) [[ $line =~ ^[[:space:]]+([a-z0-9]+):[[:space:]]*on$ ]] && RSS_FUNCTION=\${BASH_REMATCH[1]} ;;
      transform) [[ $line =~ ^[[:space:]]+([a-z-]+):[[:space:]]*on$ ]] && RSS_TRANSFORM=\${BASH_REMATCH[1]} ;;
    esac
  done <<<"$text"
  return 0
}

# FIELDS: the letters of a class's hash fields, in ethtool's order.
read_fields() {
  local text line
  FIELDS=''
  text=$(ethtool -n "$1" rx-flow-hash "$2" 2>/dev/null) || return 1
  while IFS= read -r line; do
    case $line in
      L2DA*) FIELDS+=m ;;
      'VLAN tag'*) FIELDS+=v ;;
      'L3 proto'*) FIELDS+=t ;;
      'IP SA'*) FIELDS+=s ;;
      'IP DA'*) FIELDS+=d ;;
      'L4 bytes 0 & 1'*) FIELDS+=f ;;
      'L4 bytes 2 & 3'*) FIELDS+=n ;;
    esac
  done <<<"$text"
}

# TABLE_WORDS: what to give ethtool -X to write this table. Fails for a table that
# ethtool has no words for.
table_words() {
  local -a queues counts=()
  local queue index low top=0 previous=0 rising=1 equal=1
  read -r -a queues <<<"$1"
  ((\${#queues[@]} > 0)) || return 1
  low=\${queues[0]}
  for queue in "\${queues[@]}"; do ((queue > top)) && top=$queue; done
  for ((index = 0; index <= top; index++)); do counts[index]=0; done
  for index in "\${!queues[@]}"; do
    queue=\${queues[index]}
    ((queue == low + index % (top - low + 1))) || equal=0
    ((queue >= previous)) || rising=0
    previous=$queue
    counts[queue]=$((counts[queue] + 1))
  done
  if ((equal)); then
    TABLE_WORDS=(equal "$((top - low + 1))")
    ((low == 0)) || TABLE_WORDS+=(start "$low")
  elif ((rising)); then
    TABLE_WORDS=(weight "\${counts[@]}")
  else
    return 1
  fi
}

# Writes a table that ethtool has no words for, entry by entry.
write_table() {
  local -a queues
  local message
  read -r -a queues <<<"$2"
  command -v perl >/dev/null || { say "$(shown "$1"): ethtool has no words for this table, and perl is not installed"; return 1; }
  message=$(perl -e "$table_writer" "$1" "\${queues[@]}" 2>&1) && return 0
  say "$(shown "$1"): the table cannot be written: $(shown "$message")"
  return 1
}

# IRQ: the interrupt of a queue, by the names that drivers give it.
irq_of() {
  local iface=$1 queue=$2 device line name template
  local -A numbers=()
  IRQ=''
  device=$(readlink "$root/sys/class/net/$iface/device" 2>/dev/null)
  device=\${device##*/}
  while IFS= read -r line; do
    [[ $line =~ ^[[:space:]]*([0-9]+): ]] && numbers["\${line##*[[:space:]]}"]=\${BASH_REMATCH[1]}
  done <"$root/proc/interrupts"
  for template in "\${irq_names[@]}"; do
    name=\${template//'{queue}'/"$queue"}
    name=\${name//'{device}'/"$device"}
    name=\${name//'{iface}'/"$iface"}
    if [[ -n \${numbers["$name"]:-} ]]; then
      IRQ=\${numbers["$name"]}
      return 0
    fi
  done
  say "$(shown "$iface"): no interrupt of queue $queue in /proc/interrupts"
  return 1
}

read_affinity() {
  AFFINITY=''
  irq_of "$1" "$2" || return 1
  { IFS= read -r AFFINITY <"$root/proc/irq/$IRQ/smp_affinity_list"; } 2>/dev/null
  [[ -n $AFFINITY ]]
}

differs() {
  say "$(shown "$1"): $2 is $(shown "$3"), wanted $(shown "$4")"
  return 1
}

# Setters: INTERFACE VALUE. They change what differs and read it back.
set_channels() {
  read_channels "$1" || { say "$(shown "$1"): channels cannot be read"; return 1; }
  ((CH_NOW == $2)) && return 0
  if (($2 > CH_MAX)); then
    say "$(shown "$1"): $2 channels wanted, the NIC has $CH_MAX"
    return 1
  fi
  # Queues that go must be out of the table first.
  if (($2 < CH_NOW)); then tool -X "$1" equal "$2" || return 1; fi
  tool -L "$1" "$CH_KIND" "$2" || return 1
  read_channels "$1" || return 1
  ((CH_NOW == $2)) || differs "$1" channels "$CH_NOW" "$2"
}

set_function() {
  read_rss "$1" || return 1
  [[ -z $RSS_FUNCTION || $RSS_FUNCTION == "$2" ]] && return 0
  tool -X "$1" hfunc "$2" || return 1
  read_rss "$1" || return 1
  [[ $RSS_FUNCTION == "$2" ]] || differs "$1" 'hash function' "$RSS_FUNCTION" "$2"
}

set_transform() {
  read_rss "$1" || return 1
  [[ $RSS_TRANSFORM == "$2" ]] && return 0
  tool -X "$1" xfrm "$2" || return 1
  read_rss "$1" || return 1
  [[ $RSS_TRANSFORM == "$2" ]] || differs "$1" 'input transformation' "$RSS_TRANSFORM" "$2"
}

set_key() {
  read_rss "$1" || return 1
  [[ $RSS_KEY == "$2" ]] && return 0
  tool -X "$1" hkey "$2" || return 1
  read_rss "$1" || return 1
  [[ $RSS_KEY == "$2" ]] || differs "$1" 'hash key' "$RSS_KEY" "$2"
}

set_table() {
  read_rss "$1" || return 1
  [[ $RSS_TABLE == "$2" ]] && return 0
  if table_words "$2"; then
    tool -X "$1" "\${TABLE_WORDS[@]}" || return 1
  else
    write_table "$1" "$2" || return 1
  fi
  read_rss "$1" || return 1
  [[ $RSS_TABLE == "$2" ]] || differs "$1" 'indirection table' "$RSS_TABLE" "$2"
}

# INTERFACE CLASS LETTERS
set_fields() {
  read_fields "$1" "$2" || { say "$(shown "$1"): hash fields of $2 cannot be read"; return 1; }
  [[ $FIELDS == "$3" ]] && return 0
  tool -N "$1" rx-flow-hash "$2" "$3" || return 1
  read_fields "$1" "$2" || return 1
  [[ $FIELDS == "$3" ]] || differs "$1" "hash fields of $2" "$FIELDS" "$3"
}

# INTERFACE QUEUE CPUS
set_affinity() {
  read_affinity "$1" "$2" || { say "$(shown "$1"): interrupt of queue $2 cannot be read"; return 1; }
  [[ $AFFINITY == "$3" ]] && return 0
  if ! { printf '%s\\n' "$3" >"$root/proc/irq/$IRQ/smp_affinity_list"; } 2>/dev/null; then
    say "$(shown "$1"): interrupt $IRQ of queue $2 cannot be bound to CPU $3"
    return 1
  fi
  read_affinity "$1" "$2" || return 1
  [[ $AFFINITY == "$3" ]] || differs "$1" "CPU of queue $2" "$AFFINITY" "$3"
}

# Brings everything back to what the state file says; goes on after a failure.
restore() {
  local iface item value kind failed=0 pass
  [[ -f $state ]] || return 0
  for pass in channels rest table irq; do
    while IFS=$tab read -r iface item value; do
      [[ -n $item ]] || continue
      if [[ ! -d $root/sys/class/net/$iface ]]; then
        [[ $pass == channels ]] && say "$(shown "$iface"): no such interface"
        failed=1
        continue
      fi
      kind=\${item%%.*}
      case $pass:$kind in
        channels:channels) set_channels "$iface" "$value" || failed=1 ;;
        rest:function) set_function "$iface" "$value" || failed=1 ;;
        rest:transform) set_transform "$iface" "$value" || failed=1 ;;
        rest:fields) set_fields "$iface" "\${item#fields.}" "$value" || failed=1 ;;
        rest:key) set_key "$iface" "$value" || failed=1 ;;
        table:table) set_table "$iface" "$value" || failed=1 ;;
        irq:irq) set_affinity "$iface" "\${item#irq.}" "$value" || failed=1 ;;
      esac
    done <"$state"
  done
  ((failed == 0)) || return 1
  rm -f "$state"
}
`;
