#compdef divisi
autoload -U +X bashcompinit && bashcompinit
# bash completion for divisi; generated
_divisi() {
  local current="${COMP_WORDS[COMP_CWORD]}" previous="${COMP_WORDS[COMP_CWORD-1]}"
  local command="${COMP_WORDS[1]}" words=""
  case "$previous" in
    --type) COMPREPLY=($(compgen -W "xdp sched_cls tracepoint socket_filter" -- "$current")); return ;;
    --dispatch) COMPREPLY=($(compgen -W "nic software" -- "$current")); return ;;
    --layout) COMPREPLY=($(compgen -W "auto private shared" -- "$current")); return ;;
    --grade) COMPREPLY=($(compgen -W "exact reordered merged partitioned" -- "$current")); return ;;
    --engine) COMPREPLY=($(compgen -W "wasm kernel" -- "$current")); return ;;
    --fail-on) COMPREPLY=($(compgen -W "race" -- "$current")); return ;;
    --mode) COMPREPLY=($(compgen -W "full index" -- "$current")); return ;;
    --state) COMPREPLY=($(compgen -W "shared private" -- "$current")); return ;;
    --path) COMPREPLY=($(compgen -W "program dispatch veth" -- "$current")); return ;;
    --placement) COMPREPLY=($(compgen -W "same any" -- "$current")); return ;;
  esac
  case "$command" in map|rss|trace) command="$command ${COMP_WORDS[2]}" ;; esac
  case "$command" in
    "split") words="--output --entry --type --set --map-size --cores --nic --trace --inside --maps --port --user-writes --strategy --dispatch --rebalance --layout --no-fallback --grade --explain --force --allow-untested --seed --json --quiet --verbose" ;;
    "check") words="--trace --inside --maps --allow-untested --engine --seed --json --quiet --verbose" ;;
    "analyze") words="--entry --type --set --map-size --port --user-writes --fail-on --witness --sarif --seed --json --quiet --verbose" ;;
    "doctor") words="--iface --json --quiet --verbose" ;;
    "inspect") words="--entry --type --set --map-size --asm --ir --dot --json --quiet --verbose" ;;
    "run") words="--entry --type --set --map-size --trace --inside --maps --port --out --engine --rebalance --virtual --iface --namespace --duration --mode --apply-nic --replace --pin-root --seed --json --quiet --verbose" ;;
    "new") words="--force --json --quiet --verbose" ;;
    "build") words="--output --set --map-size --json --quiet --verbose" ;;
    "attach") words="--iface --name --mode --apply-nic --replace --pin-root --json --quiet --verbose" ;;
    "status") words="--json --quiet --verbose" ;;
    "rebalance") words="--interval --bearable --most --duration --json --quiet --verbose" ;;
    "detach") words="--iface --all --json --quiet --verbose" ;;
    "upgrade") words="--name --discard --json --quiet --verbose" ;;
    "map get") words="--json --quiet --verbose" ;;
    "map set") words="--json --quiet --verbose" ;;
    "map dump") words="--json --quiet --verbose" ;;
    "map load") words="--json --quiet --verbose" ;;
    "undo") words="--dry-run --json --quiet --verbose" ;;
    "bench") words="--entry --type --set --map-size --trace --inside --maps --port --cores --engine --state --path --fit --seconds --out --seed --json --quiet --verbose" ;;
    "compare") words="--threshold --placement --seed --json --quiet --verbose" ;;
    "rss solve") words="--fields --swap --nic --cores --mode --hash --seed --json --quiet --verbose" ;;
    "rss check") words="--key --fields --swap --nic --cores --seed --json --quiet --verbose" ;;
    "rss queue") words="--key --nic --cores --json --quiet --verbose" ;;
    "trace stats") words="--key --cores --seed --json --quiet --verbose" ;;
    "trace gen") words="--output --seed --json --quiet --verbose" ;;
    "trace cat") words="--output --seed --json --quiet --verbose" ;;
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "split check analyze doctor inspect run new build attach status rebalance detach upgrade map undo bench compare rss trace" -- "$current"))
  elif [ "$COMP_CWORD" -eq 2 ] && [ -z "$words" ]; then
    case "$previous" in
      map) COMPREPLY=($(compgen -W "get set dump load" -- "$current")) ;;
      rss) COMPREPLY=($(compgen -W "solve check queue" -- "$current")) ;;
      trace) COMPREPLY=($(compgen -W "stats gen cat" -- "$current")) ;;
    esac
  elif [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _divisi divisi
