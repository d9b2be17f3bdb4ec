/**
 * The command line itself: builds the parser from the table of commands, runs
 * the one that was named, renders its answer. Started by main.ts.
 */
import process from "node:process";
import { Command as Parser, CommanderError, Option } from "commander";
import { InputError, nearest } from "../base/index.ts";
import { flagText, type Command, type Flag } from "./command.ts";
import { commands } from "./commands.ts";
import { encodeExit } from "./exit-code.ts";
import { commonFlags } from "./flags.ts";
import { crashCapture } from "./crash-capture.ts";
import { renderFailure } from "./failure.ts";
import { renderAnswer, type Rendering } from "./render.ts";
import { version } from "./version.ts";
import { wrapped } from "./wrap.ts";

const words = process.argv.slice(2);
const rendering = renderingOf(words);

process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
// A reader that closed its pipe has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(encodeExit(0));
  fail(error);
});

process.exitCode = encodeExit(0);
try {
  await build().parseAsync(commandless(words), { from: "user" });
} catch (error) {
  if (!(error instanceof CommanderError && error.exitCode === 0))
    process.exitCode = encodeExit(
      renderFailure(
        error instanceof CommanderError ? usageError(error) : error,
        rendering,
        await crashCapture(error),
      ),
    );
}

function fail(error: unknown): never {
  process.exit(encodeExit(renderFailure(error, rendering)));
}

/** Known before parsing, so that a usage error is rendered as was asked. */
function renderingOf(given: readonly string[]): Rendering {
  const has = (...names: readonly string[]): boolean =>
    given.some((word) => names.includes(word));
  return {
    json: has("--json", "-j"),
    quiet: has("--quiet", "-q"),
    verbosity: has("-vv") ? 2 : has("--verbose", "-v") ? 1 : 0,
  };
}

/** Flags of every command alone are no command; the parser does not know them there. */
function commandless(given: readonly string[]): string[] {
  const known = commonFlags.flatMap(({ name, short }) => [
    `--${name}`,
    `-${short ?? ""}`,
  ]);
  const rest = given.filter((word) => ![...known, "-vv"].includes(word));
  return rest.length === 0 || (rest.length === 1 && isGroup(rest[0] ?? ""))
    ? rest
    : [...given];
}

function build(): Parser {
  const parser = configured(new Parser("divisi"))
    .description(
      "Makes one sequential packet program parallel, and checks that it still behaves like the sequential one.",
    )
    .version(version(), "-V, --version")
    .addHelpText(
      "after",
      `\n${wrapped("Exit codes: 0 yes, 1 no, 2 usage, 3 bad input, 4 not possible here, 5 verifier rejected, 70 our bug, 128+N ended by signal N.", 2).join("\n")}`,
    );
  const groups = new Map<string, Parser>();
  for (const command of commands) {
    const [first = "", second] = command.name.split(" ");
    let parent = parser;
    if (second !== undefined) {
      parent =
        groups.get(first) ??
        configured(parser.command(first)).description(groupSummary(first));
      groups.set(first, parent);
    }
    addCommand(configured(parent.command(second ?? first)), command);
  }
  return parser;
}

function configured(parser: Parser): Parser {
  return parser
    .exitOverride()
    .showSuggestionAfterError(true)
    .configureOutput({ writeErr: () => undefined })
    .configureHelp({ minWidthToWrap: 20 })
    .helpCommand(false);
}

function groupSummary(name: string): string {
  return commands
    .filter((command) => command.name.startsWith(`${name} `))
    .map((command) => command.name.slice(name.length + 1))
    .join(", ");
}

function isGroup(word: string): boolean {
  return commands.some(({ name }) => name.startsWith(`${word} `));
}

function addCommand(parser: Parser, command: Command): void {
  parser.description(command.summary);
  for (const argument of command.args) {
    const dots = argument.rest === true ? "..." : "";
    parser.argument(
      argument.optional === true
        ? `[${argument.name}${dots}]`
        : `<${argument.name}${dots}>`,
      argument.text,
    );
  }
  for (const flag of [...command.flags, ...commonFlags])
    parser.addOption(optionOf(flag));
  parser.addHelpText(
    "after",
    `${tablesText(command)}\nExamples:\n${command.examples.map(([line, what]) => `  ${line}\n      ${what}`).join("\n")}`,
  );
  parser.action(async () => {
    const given = parser.opts<Record<string, unknown>>();
    const flags = new Map<string, readonly string[]>();
    for (const flag of [...command.flags, ...commonFlags]) {
      // Commander reads `--no-x` as the negation of a flag `x`.
      if (flag.name.startsWith("no-")) {
        if (given[camelCase(flag.name.slice(3))] === false)
          flags.set(flag.name, [""]);
        continue;
      }
      const value = given[camelCase(flag.name)];
      if (value === undefined || value === false) continue;
      flags.set(flag.name, Array.isArray(value) ? (value as string[]) : [""]);
    }
    const answer = await command.run({ args: parser.args, flags }, rendering);
    renderAnswer(answer, rendering);
    process.exitCode = encodeExit(answer.exit);
  });
}

function tablesText({ tables = [] }: Command): string {
  return tables
    .map(({ title, rows }) => {
      const width = Math.max(...rows.map(([word]) => word.length)) + 4;
      const lines = rows.flatMap(([word, text]) =>
        wrapped(`  ${word}`.padEnd(width) + text, width),
      );
      return `\n${title}:\n${lines.join("\n")}\n`;
    })
    .join("");
}

function optionOf(flag: Flag): Option {
  const names =
    flag.short === undefined
      ? `--${flag.name}`
      : `-${flag.short}, --${flag.name}`;
  const option = new Option(
    flag.value === undefined ? names : `${names} <${flag.value}>`,
    flagText(flag),
  );
  if (flag.value !== undefined || flag.repeatable === true)
    option.argParser((word: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      word,
    ]);
  if (flag.choices !== undefined) {
    const { choices } = flag;
    option.argParser((word: string, before: readonly string[] | undefined) => {
      if (!choices.includes(word)) {
        const near = nearest(word, choices);
        throw new InputError(
          `--${flag.name} takes ${choices.join(", ")}; not ${word}`,
          {
            code: "usage",
            kind: "usage",
            ...(near === undefined ? {} : { fix: `did you mean ${near}?` }),
          },
        );
      }
      return [...(before ?? []), word];
    });
  }
  return option;
}

function camelCase(name: string): string {
  return name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

function usageError(error: CommanderError): InputError {
  const [first = "", ...rest] = error.message
    .replace(/^error: /, "")
    .split("\n");
  const hint = rest
    .join(" ")
    .trim()
    .replace(/^\(|\)$/g, "");
  if (error.code === "commander.help")
    return new InputError("a command is missing", {
      code: "usage",
      kind: "usage",
      fix: `${["divisi", ...words.filter(isGroup).slice(0, 1)].join(" ")} --help lists them`,
    });
  return new InputError(first, {
    code: "usage",
    kind: "usage",
    fix: hint === "" ? "--help shows what it takes" : hint,
  });
}
