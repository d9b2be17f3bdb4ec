/** `divisi attach`: a split directory on its interfaces, for good. */
import { basename, resolve } from "node:path";
import process from "node:process";
import { attach as attachNow, findPinRoot } from "../control/index.ts";
import {
  bindDirectory,
  certifiedDirectory,
  originOf,
} from "./bound-directory.ts";
import type { Words } from "./command.ts";
import { withControl } from "./control-context.ts";
import { interfacesOf } from "./interfaces.ts";
import { say, type Answer, type Rendering } from "./render.ts";
import { choiceOf, isSet, usage, valueOf } from "./words.ts";

export async function attach(
  words: Words,
  rendering: Rendering,
): Promise<Answer> {
  const [path = ""] = words.args;
  const directory = certifiedDirectory(path);
  const name = nameFor(words, path);
  return withControl((context) => {
    const interfaces = interfacesOf(
      words,
      directory.plan.ports,
      context.kernel,
    );
    const bound = bindDirectory(directory, interfaces);
    const { record, notes } = attachNow(
      {
        record: { name, ...originOf(bound, process.argv.slice(2)) },
        pinRoot: findPinRoot(valueOf(words, "pin-root")),
        interfaces,
        load: () => bound.loadInto(context.kernel),
        nic: bound.nic,
        applyNic: isSet(words, "apply-nic"),
        mode: choiceOf(words, "mode", ["native", "skb", "hw"] as const),
        replace: isSet(words, "replace"),
      },
      context,
    );
    const said = [...notes, ...bound.notes];
    if (!rendering.quiet) for (const note of said) say(`divisi: ${note}`);
    return {
      exit: 0,
      json: {
        schema: "divisi.attach/1",
        name,
        directory: record.directory,
        pins: record.pins,
        interfaces: record.interfaces,
        strategy: record.strategy,
        cores: record.cores,
        notes: said,
      },
      text: [
        `attached as ${name}: ${record.interfaces.map(({ name: iface, mode }) => `${iface} (${mode})`).join(", ")}`,
        `pins   ${record.pins}`,
        `next   divisi status; divisi detach ${name}`,
      ].join("\n"),
    };
  });
}

/** `--name`, or the directory's own. */
export function nameFor(words: Words, path: string): string {
  const given = valueOf(words, "name");
  const name =
    given ??
    basename(resolve(path))
      .replace(/[^\w-]/g, "-")
      .slice(0, 60);
  if (/^[A-Za-z0-9_][\w-]{0,59}$/.test(name)) return name;
  throw usage(
    `--name takes letters, digits, _ and -; not ${name}`,
    "give one with --name",
  );
}
