/**
 * The reference page, the man page and the shell completions, from the table of
 * commands. Written to docs/reference by `npm run generate`.
 */
import { flagText, type Command, type Flag } from "./command.ts";

/** docs/reference/cli.md */
export function referencePage(
  commands: readonly Command[],
  common: readonly Flag[],
): string {
  const parts = [
    "# Command line\n\nGenerated from `src/cli/commands.ts`; do not edit.\n",
    "Data goes to stdout, words for people to stderr. With `--json` stdout holds one JSON\nvalue and nothing else, on failure too.\n",
    exitTable,
    `## Flags of every command\n\n${flagTable(common)}`,
    ...commands.map(
      (command) =>
        `## divisi ${command.name}\n\n${command.summary}\n\n    ${synopsis(command)}\n\n${argumentList(command)}${flagTable(command.flags)}\n${wordTables(command)}${command.examples.map(([line, what]) => `    ${line}\n\n${what}\n`).join("\n")}`,
    ),
  ];
  return `${parts.join("\n").trimEnd()}\n`;
}

const exitTable = `## Exit codes

| exit | meaning |
|---|---|
| 0 | done; the answer is yes |
| 1 | done; the answer is no, with an answer value on stdout |
| 2 | usage: unknown flag, missing argument or binding |
| 3 | bad input: file, offset or line, what was expected; nothing written |
| 4 | not possible here: privilege, kernel feature, tool |
| 5 | the kernel verifier rejected a program |
| 70 | our bug; a report file is written and its path printed |
| 128 + N | ended by signal N: 130 ^C, 143 SIGTERM; a file that is not whole is removed |
`;

function synopsis(command: Command): string {
  const words = command.args.map(({ name, optional, rest }) => {
    const dots = rest === true ? "..." : "";
    return optional === true ? `[${name}${dots}]` : `${name}${dots}`;
  });
  return ["divisi", command.name, ...words, "[FLAGS]"].join(" ");
}

function argumentList(command: Command): string {
  if (command.args.length === 0) return "";
  return `${command.args.map(({ name, text }) => `- \`${name}\`: ${text}`).join("\n")}\n\n`;
}

function wordTables({ tables = [] }: Command): string {
  return tables
    .map(
      ({ title, rows }) =>
        `| ${title} | |\n|---|---|\n${rows.map(([word, text]) => `| \`${escaped(word)}\` | ${escaped(text)} |`).join("\n")}\n\n`,
    )
    .join("");
}

function flagTable(flags: readonly Flag[]): string {
  if (flags.length === 0) return "";
  const rows = flags.map(
    (flag) => `| \`${flagWords(flag)}\` | ${escaped(flagText(flag))} |`,
  );
  return `| flag | meaning |\n|---|---|\n${rows.join("\n")}\n`;
}

function flagWords(flag: Flag): string {
  const long =
    flag.value === undefined
      ? `--${flag.name}`
      : `--${flag.name} ${flag.value}`;
  return escaped(flag.short === undefined ? long : `-${flag.short}, ${long}`);
}

function escaped(text: string): string {
  return text.replaceAll("|", "\\|");
}

/** docs/reference/divisi.1, in roff. */
export function manPage(
  commands: readonly Command[],
  common: readonly Flag[],
): string {
  const lines = [
    '.TH DIVISI 1 "" "divisi" "User Commands"',
    ".SH NAME",
    "divisi \\- makes one sequential packet program parallel, and checks it",
    ".SH SYNOPSIS",
    ".B divisi",
    "COMMAND [ARGS] [FLAGS]",
    ".SH COMMANDS",
    ...commands.flatMap((command) => [
      ".TP",
      `.B ${roff(synopsis(command))}`,
      roff(command.summary),
      ...command.flags.flatMap((flag) => [
        ".RS",
        ".TP",
        `.B ${roff(flag.short === undefined ? `--${flag.name}` : `-${flag.short}, --${flag.name}`)}${flag.value === undefined ? "" : ` ${roff(flag.value)}`}`,
        roff(flagText(flag)),
        ".RE",
      ]),
    ]),
    ".SH FLAGS OF EVERY COMMAND",
    ...common.flatMap((flag) => [
      ".TP",
      `.B ${roff(`--${flag.name}`)}`,
      roff(flag.text),
    ]),
    ".SH EXIT STATUS",
    "0 yes, 1 no, 2 usage, 3 bad input, 4 not possible here, 5 verifier rejected, 70 our bug, 128+N ended by signal N.",
  ];
  return `${lines.join("\n")}\n`;
}

function roff(text: string): string {
  return text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/, "\\&$1");
}

export type Shell = "bash" | "zsh" | "fish";

/** docs/reference/completions: one file per shell. */
export function completion(
  shell: Shell,
  commands: readonly Command[],
  common: readonly Flag[],
): string {
  switch (shell) {
    case "bash":
      return bashCompletion(commands, common);
    case "zsh":
      return `#compdef divisi\nautoload -U +X bashcompinit && bashcompinit\n${bashCompletion(commands, common)}`;
    case "fish":
      return fishCompletion(commands, common);
  }
}

function bashCompletion(
  commands: readonly Command[],
  common: readonly Flag[],
): string {
  const cases = commands.map(
    (command) =>
      `    "${command.name}") words="${[...command.flags, ...common].map(({ name }) => `--${name}`).join(" ")}" ;;`,
  );
  const choices = uniqueFlags(commands)
    .filter((flag) => flag.choices !== undefined)
    .map(
      (flag) =>
        `    --${flag.name}) COMPREPLY=($(compgen -W "${flag.choices?.join(" ")}" -- "$current")); return ;;`,
    );
  return `# bash completion for divisi; generated
_divisi() {
  local current="\${COMP_WORDS[COMP_CWORD]}" previous="\${COMP_WORDS[COMP_CWORD-1]}"
  local command="\${COMP_WORDS[1]}" words=""
  case "$previous" in
${choices.join("\n")}
  esac
  case "$command" in ${groups(commands).join("|")}) command="$command \${COMP_WORDS[2]}" ;; esac
  case "$command" in
${cases.join("\n")}
  esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${[...new Set(commands.map(({ name }) => name.split(" ")[0]))].join(" ")}" -- "$current"))
  elif [ "$COMP_CWORD" -eq 2 ] && [ -z "$words" ]; then
    case "$previous" in
${groups(commands)
  .map(
    (group) =>
      `      ${group}) COMPREPLY=($(compgen -W "${commands
        .filter(({ name }) => name.startsWith(`${group} `))
        .map(({ name }) => name.slice(group.length + 1))
        .join(" ")}" -- "$current")) ;;`,
  )
  .join("\n")}
    esac
  elif [[ "$current" == -* ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}
complete -o filenames -F _divisi divisi
`;
}

function groups(commands: readonly Command[]): string[] {
  return [
    ...new Set(
      commands
        .filter(({ name }) => name.includes(" "))
        .map(({ name }) => name.split(" ")[0] ?? ""),
    ),
  ];
}

function uniqueFlags(commands: readonly Command[]): Flag[] {
  return [
    ...new Map(
      commands.flatMap(({ flags }) => flags).map((flag) => [flag.name, flag]),
    ).values(),
  ];
}

function fishCompletion(
  commands: readonly Command[],
  common: readonly Flag[],
): string {
  const quoted = (text: string): string => `'${text.replaceAll("'", "\\'")}'`;
  const lines = commands.flatMap((command) => {
    const [first = "", second] = command.name.split(" ");
    const when =
      second === undefined
        ? `__fish_seen_subcommand_from ${first}`
        : `__fish_seen_subcommand_from ${first}; and __fish_seen_subcommand_from ${second}`;
    return [
      second === undefined
        ? `complete -c divisi -n __fish_use_subcommand -a ${first} -d ${quoted(command.summary)}`
        : `complete -c divisi -n '__fish_seen_subcommand_from ${first}' -a ${second} -d ${quoted(command.summary)}`,
      ...command.flags.map(
        (flag) =>
          `complete -c divisi -n '${when}' -l ${flag.name}${flag.short === undefined ? "" : ` -s ${flag.short}`}${flag.value === undefined ? "" : " -r"}${flag.choices === undefined ? "" : ` -a ${quoted(flag.choices.join(" "))}`} -d ${quoted(flag.text)}`,
      ),
    ];
  });
  const top = groups(commands).map(
    (group) => `complete -c divisi -n __fish_use_subcommand -a ${group}`,
  );
  return `# fish completion for divisi; generated\n${[...top, ...lines, ...common.map((flag) => `complete -c divisi -l ${flag.name} -d ${quoted(flag.text)}`)].join("\n")}\n`;
}
