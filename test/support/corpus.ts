/**
 * The corpus of testdata/corpus.txt as object files: those that a Debian package
 * installs, and the kernel's XDP samples, unpacked and compiled here once per
 * version of their packages into a folder below the system's temporary one.
 */
import { execFileSync, spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createHash } from "node:crypto";

export interface CorpusObject {
  readonly name: string;
  readonly path: string;
}

interface ObjectLine {
  readonly name: string;
  readonly flags: string;
  readonly sources: readonly string[];
}

interface DeadLine {
  readonly object: string;
  readonly lines: readonly number[];
}

interface Corpus {
  readonly packages: readonly string[];
  readonly flags: ReadonlyMap<string, string>;
  readonly objects: readonly ObjectLine[];
  readonly dead: readonly DeadLine[];
}

const root = join(import.meta.dirname, "../../..");
const here = join(root, "testdata/corpus");
const sourcePackage = "linux-source-6.1";
const headerPackages = ["linux-libc-dev", "libbpf-dev"];

/** Why the corpus cannot be had on this machine, if so. */
export function corpusAbsence(): string | undefined {
  const commands = ["dpkg", "tar", "xz", "clang", "bpftool"];
  const lacking = commands.filter(
    (command) => spawnSync(command, ["--version"]).error !== undefined,
  );
  if (lacking.length > 0) return `needs ${lacking.join(", ")}`;
  const packages = [...readCorpus().packages, ...headerPackages, sourcePackage];
  const absent = packages.filter(
    (name) => spawnSync("dpkg", ["-s", name]).status !== 0,
  );
  return absent.length === 0
    ? undefined
    : `needs the packages ${absent.join(", ")}`;
}

/** Every object of the corpus; a missing package or tool is an error that names it. */
export function corpusObjects(): readonly CorpusObject[] {
  const corpus = readCorpus();
  const installed = installedObjects();
  const folder = compiled(corpus);
  const built = corpus.objects.map(({ name }) => ({
    name,
    path: join(folder, name),
  }));
  return [...installed, ...built];
}

/** Those that packages install. */
export function installedObjects(): readonly CorpusObject[] {
  return readCorpus().packages.flatMap(packageObjects);
}

/** Source lines of an object whose tests have an edge that nothing takes. */
export function deadLines(name: string): readonly number[] {
  return readCorpus()
    .dead.filter(({ object }) => object === name)
    .flatMap(({ lines }) => lines);
}

/** XDP samples of the source tree that the list does not name. */
export function unlistedSamples(): readonly string[] {
  const corpus = readCorpus();
  const samples = join(compiled(corpus), "samples");
  const listed = new Set(corpus.objects.flatMap(({ sources }) => sources));
  return readdirSync(samples)
    .filter((file) => /(_kern|\.bpf)\.c$/.test(file))
    .filter((file) =>
      /SEC\("xdp/.test(readFileSync(join(samples, file), "utf8")),
    )
    .filter((file) => !listed.has(file));
}

function readCorpus(): Corpus {
  const packages: string[] = [];
  const flags = new Map<string, string>();
  const objects: ObjectLine[] = [];
  const dead: DeadLine[] = [];
  const text = readFileSync(join(root, "testdata/corpus.txt"), "utf8");
  for (const line of text.split("\n")) {
    const [, kind, name = "", rest = ""] =
      /^(package|flags|object|dead) ([\w.-]+)(?: = |: |$)(.*)$/.exec(line) ??
      [];
    if (kind === "package") packages.push(name);
    if (kind === "flags") flags.set(name, rest);
    if (kind === "object") {
      const [set = "", ...sources] = rest.split(" ");
      objects.push({ name, flags: set, sources });
    }
    if (kind === "dead") {
      const [lines = ""] = rest.split(" ");
      dead.push({ object: name, lines: lines.split(",").map(Number) });
    }
    if (kind === undefined && line !== "" && !line.startsWith("#"))
      throw new Error(`testdata/corpus.txt: cannot read ${line}`);
  }
  return { packages, flags, objects, dead };
}

function packageObjects(name: string): CorpusObject[] {
  const files = output("dpkg", ["-L", name]).split("\n");
  const objects = files.filter((file) => /\/bpf\/[^/]+\.o$/.test(file));
  if (objects.length === 0) throw new Error(`${name} installs no objects`);
  return objects.map((path) => ({ name: basename(path), path }));
}

/** Folder of the compiled samples; `samples` in it holds their sources. */
function compiled(corpus: Corpus): string {
  const folder = join(tmpdir(), `divisi-corpus-${fingerprint()}`);
  if (existsSync(folder)) return folder;
  const archive = `/usr/src/${sourcePackage}.tar.xz`;
  if (!existsSync(archive))
    throw new Error(`${archive} is missing: apt-get install ${sourcePackage}`);
  // Made beside and renamed, so that two test runs cannot see half of it.
  const work = mkdtempSync(`${folder}-`);
  const samples = join(work, "samples");
  mkdirSync(samples);
  // prettier-ignore
  output("tar", ["-xJf", archive, "-C", samples, "--strip-components=3",
    "--wildcards", `${sourcePackage}/samples/bpf/*.[ch]`]);
  const include = join(work, "include");
  mkdirSync(include);
  symlinkSync("/usr/include", join(include, "uapi"));
  for (const object of corpus.objects) build(corpus, object, work);
  try {
    renameSync(work, folder);
  } catch (error) {
    rmSync(work, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

function build(corpus: Corpus, object: ObjectLine, work: string): void {
  const words = corpus.flags.get(object.flags);
  if (words === undefined) throw new Error(`no flags ${object.flags}`);
  const flags = words
    .replaceAll("$include", join(work, "include"))
    .replaceAll("$system", systemHeaders())
    .replaceAll("$here", here)
    .split(" ");
  const parts = object.sources.map((source) => {
    const part = join(work, `${object.name}.${source}.part`);
    const from = join(work, "samples", source);
    output("clang", [...flags, "-c", from, "-o", part]);
    return part;
  });
  const path = join(work, object.name);
  const [only = ""] = parts;
  if (parts.length === 1) renameSync(only, path);
  else output("bpftool", ["gen", "object", path, ...parts]);
}

/** The folder that holds asm/ where a distribution keeps one per architecture. */
function systemHeaders(): string {
  const found = readdirSync("/usr/include").find((name) =>
    existsSync(join("/usr/include", name, "asm/types.h")),
  );
  return join("/usr/include", found ?? "");
}

/** Changes with the packages, the list and our headers. */
function fingerprint(): string {
  const hash = createHash("sha256");
  hash.update(output("dpkg-query", ["-W", sourcePackage, ...headerPackages]));
  hash.update(output("clang", ["--version"]));
  hash.update(readFileSync(join(root, "testdata/corpus.txt")));
  for (const file of readdirSync(here).sort())
    hash.update(readFileSync(join(here, file)));
  return hash.digest("hex").slice(0, 16);
}

function output(command: string, words: readonly string[]): string {
  try {
    return execFileSync(command, words, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "pipe"],
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${command} failed: ${stderr ?? message}`, {
      cause: error,
    });
  }
}
