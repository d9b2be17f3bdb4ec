/**
 * The corpus of testdata/corpus.txt as object files: those that a Debian package
 * installs, and the kernel's XDP and TC programs, unpacked and compiled here once per
 * version of their packages and kernel, into a folder below the system's temporary one.
 *
 *   FOLDER/NAME.o   FOLDER/tree/samples/bpf, FOLDER/tree/tools/testing/selftests/bpf
 *   FOLDER/include/uapi → /usr/include         FOLDER/vmlinux/vmlinux.h
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
  writeFileSync,
} from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { createHash } from "node:crypto";

export interface CorpusObject {
  readonly name: string;
  readonly path: string;
  /** Runs of it are compared, on packets that cover its edges. */
  readonly isRun: boolean;
  /** Of programs whose section does not tell, or tells another type. */
  readonly type?: string;
  /** Programs that were written to be rejected. */
  readonly rejected: readonly string[];
  /** Why it does not load. */
  readonly refused?: string;
  /** The kernel module whose functions it names. */
  readonly module?: string;
}

interface ObjectLine {
  readonly name: string;
  readonly isRun: boolean;
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
  readonly types: ReadonlyMap<string, string>;
  readonly rejected: ReadonlyMap<string, readonly string[]>;
  readonly refused: ReadonlyMap<string, string>;
  readonly modules: ReadonlyMap<string, string>;
  /** Sources that are left out. */
  readonly without: readonly string[];
}

const root = join(import.meta.dirname, "../../..");
const here = join(root, "testdata/corpus");
const sourcePackage = "linux-source-6.1";
const kernelTypes = "/sys/kernel/btf/vmlinux";
const selftests = "tools/testing/selftests/bpf";
/** Where the first word of a source's name lies in the tree. */
const folders: Readonly<Record<string, string>> = {
  samples: "samples/bpf",
  "selftests/progs": `${selftests}/progs`,
};
const headerPackages = ["linux-libc-dev", "libbpf-dev"];

/** Why the corpus cannot be had on this machine, if so. */
export function corpusAbsence(): string | undefined {
  const commands = ["dpkg", "tar", "xz", "xargs", "clang", "bpftool"];
  const lacking = commands.filter(
    (command) => spawnSync(command, ["--version"]).error !== undefined,
  );
  if (lacking.length > 0) return `needs ${lacking.join(", ")}`;
  const packages = [...readCorpus().packages, ...headerPackages, sourcePackage];
  const absent = packages.filter(
    (name) => spawnSync("dpkg", ["-s", name]).status !== 0,
  );
  if (absent.length > 0) return `needs the packages ${absent.join(", ")}`;
  return existsSync(kernelTypes) ? undefined : `needs ${kernelTypes}`;
}

/** Every object of the corpus; a missing package or tool is an error that names it. */
export function corpusObjects(): readonly CorpusObject[] {
  const corpus = readCorpus();
  const folder = compiled(corpus);
  const built = corpus.objects.map(({ name, isRun }) =>
    described(corpus, { name, path: join(folder, name), isRun }),
  );
  return [...installedObjects(), ...built];
}

/** Those that packages install. */
export function installedObjects(): readonly CorpusObject[] {
  const corpus = readCorpus();
  return corpus.packages
    .flatMap(packageObjects)
    .map((object) => described(corpus, { ...object, isRun: true }));
}

function described(
  corpus: Corpus,
  object: Pick<CorpusObject, "name" | "path" | "isRun">,
): CorpusObject {
  const type = corpus.types.get(object.name);
  const refused = corpus.refused.get(object.name);
  const module = corpus.modules.get(object.name);
  return {
    ...object,
    ...(type === undefined ? {} : { type }),
    rejected: corpus.rejected.get(object.name) ?? [],
    ...(refused === undefined ? {} : { refused }),
    ...(module === undefined ? {} : { module }),
  };
}

/** Source lines of an object whose tests have an edge that nothing takes. */
export function deadLines(name: string): readonly number[] {
  return readCorpus()
    .dead.filter(({ object }) => object === name)
    .flatMap(({ lines }) => lines);
}

/** XDP and TC programs of the source tree that the list does not name. */
export function unlistedSources(): readonly string[] {
  const corpus = readCorpus();
  const folder = compiled(corpus);
  const listed = new Set([
    ...corpus.objects.flatMap(({ sources }) => sources),
    ...corpus.without,
  ]);
  return Object.keys(folders)
    .flatMap((from) =>
      readdirSync(join(folder, "tree", folders[from] ?? "")).map(
        (file) => `${from}/${file}`,
      ),
    )
    .filter((source) => source.endsWith(".c") && !listed.has(source))
    .filter((source) =>
      /SEC\("\??(xdp|tc|classifier)\b/.test(
        readFileSync(sourcePath(folder, source), "utf8"),
      ),
    );
}

function readCorpus(): Corpus {
  const packages: string[] = [];
  const flags = new Map<string, string>();
  const objects: ObjectLine[] = [];
  const dead: DeadLine[] = [];
  const types = new Map<string, string>();
  const rejected = new Map<string, readonly string[]>();
  const refused = new Map<string, string>();
  const modules = new Map<string, string>();
  const without: string[] = [];
  const text = readFileSync(join(root, "testdata/corpus.txt"), "utf8");
  for (const line of text.split("\n")) {
    const [, kind, name = "", rest = ""] =
      /^(package|flags|object|more|dead|type|rejected|refused|module|without) ([\w./-]+)(?: = |: |$)(.*)$/.exec(
        line,
      ) ?? [];
    const [first = "", ...others] = rest.split(" ");
    if (kind === "package") packages.push(name);
    if (kind === "flags") flags.set(name, rest);
    if (kind === "object" || kind === "more")
      objects.push({
        name,
        isRun: kind === "object",
        flags: first,
        sources: others,
      });
    if (kind === "dead")
      dead.push({ object: name, lines: first.split(",").map(Number) });
    if (kind === "type") types.set(name, rest);
    if (kind === "rejected")
      rejected.set(name, [...(rejected.get(name) ?? []), ...first.split(",")]);
    if (kind === "refused") refused.set(name, rest);
    if (kind === "module") modules.set(name, rest);
    if (kind === "without") without.push(name);
    if (kind === undefined && line !== "" && !line.startsWith("#"))
      throw new Error(`testdata/corpus.txt: cannot read ${line}`);
  }
  // prettier-ignore
  return { packages, flags, objects, dead, types, rejected, refused, modules, without };
}

function packageObjects(name: string): { name: string; path: string }[] {
  const files = output("dpkg", ["-L", name]).split("\n");
  const objects = files.filter((file) => /\/bpf\/[^/]+\.o$/.test(file));
  if (objects.length === 0) throw new Error(`${name} installs no objects`);
  return objects.map((path) => ({ name: basename(path), path }));
}

/** Folder of the compiled sources. */
function compiled(corpus: Corpus): string {
  const folder = join(tmpdir(), `divisi-corpus-${fingerprint()}`);
  if (existsSync(folder)) return folder;
  const archive = `/usr/src/${sourcePackage}.tar.xz`;
  if (!existsSync(archive))
    throw new Error(`${archive} is missing: apt-get install ${sourcePackage}`);
  // Made beside and renamed, so that two test runs cannot see half of it.
  const work = mkdtempSync(`${folder}-`);
  try {
    fill(work, archive);
    build(corpus, work);
    renameSync(work, folder);
  } catch (error) {
    rmSync(work, { recursive: true });
    if (!existsSync(folder)) throw error;
  }
  return folder;
}

/** Sources and headers. */
function fill(work: string, archive: string): void {
  const tree = join(work, "tree");
  mkdirSync(tree);
  const wanted = [
    ...Object.values(folders).map((folder) => `${folder}/*.[ch]`),
    `${selftests}/*.h`,
  ];
  // prettier-ignore
  output("tar", ["-xJf", archive, "-C", tree, "--strip-components=1", "--wildcards",
    ...wanted.map((pattern) => `${sourcePackage}/${pattern}`)]);
  const include = join(work, "include");
  mkdirSync(include);
  symlinkSync("/usr/include", join(include, "uapi"));
  const types = join(work, "vmlinux");
  mkdirSync(types);
  writeFileSync(
    join(types, "vmlinux.h"),
    output("bpftool", ["btf", "dump", "file", kernelTypes, "format", "c"]),
  );
}

/** Compiles everything, on every core. */
function build(corpus: Corpus, work: string): void {
  const places: Readonly<Record<string, string>> = {
    $include: join(work, "include"),
    $vmlinux: join(work, "vmlinux"),
    $selftests: join(work, "tree", selftests),
    $system: systemHeaders(),
    $here: here,
  };
  const linked = new Map<string, readonly string[]>();
  const lines = corpus.objects.flatMap(({ name, flags, sources }) => {
    const words = corpus.flags.get(flags);
    if (words === undefined) throw new Error(`no flags ${flags}`);
    const filled = words.replace(/\$\w+/g, (place) => places[place] ?? place);
    const path = join(work, name);
    const parts = sources.map((source) =>
      sources.length === 1 ? path : `${path}.${basename(source)}.part`,
    );
    if (sources.length > 1) linked.set(path, parts);
    return sources.map(
      (source, index) =>
        `${filled} -c ${sourcePath(work, source)} -o ${parts[index]}`,
    );
  });
  output(
    "xargs",
    ["-P", String(availableParallelism()), "-L", "1", "clang"],
    lines.join("\n"),
  );
  for (const [path, parts] of linked) {
    output("bpftool", ["gen", "object", path, ...parts]);
    for (const part of parts) rmSync(part);
  }
}

function sourcePath(work: string, source: string): string {
  const [from = ""] =
    Object.keys(folders).filter((name) => source.startsWith(`${name}/`)) ?? [];
  return join(work, "tree", folders[from] ?? "", basename(source));
}

/** The folder that holds asm/ where a distribution keeps one per architecture. */
function systemHeaders(): string {
  const found = readdirSync("/usr/include").find((name) =>
    existsSync(join("/usr/include", name, "asm/types.h")),
  );
  return join("/usr/include", found ?? "");
}

/** What the list says of how objects are made. */
function builtLines(): string {
  const text = readFileSync(join(root, "testdata/corpus.txt"), "utf8");
  const lines = text.split("\n");
  return lines.filter((line) => /^(flags|object|more) /.test(line)).join("\n");
}

/** Changes with the packages, the kernel's types, the list and our headers. */
function fingerprint(): string {
  const hash = createHash("sha256");
  hash.update(output("dpkg-query", ["-W", sourcePackage, ...headerPackages]));
  hash.update(output("clang", ["--version"]));
  hash.update(readFileSync(kernelTypes));
  hash.update(builtLines());
  const ours = readdirSync(here, { recursive: true, encoding: "utf8" });
  for (const file of ours.sort())
    if (file.endsWith(".h")) hash.update(readFileSync(join(here, file)));
  return hash.digest("hex").slice(0, 16);
}

function output(command: string, words: readonly string[], input = ""): string {
  try {
    return execFileSync(command, words, {
      encoding: "utf8",
      input,
      maxBuffer: 1 << 26,
      stdio: ["pipe", "pipe", "pipe"],
    });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${command} failed: ${stderr ?? message}`, {
      cause: error,
    });
  }
}
