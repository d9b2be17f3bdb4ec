/**
 * TypeScript over files that exist only through `read`: the user's, the
 * library's, and our own small library of global types. Parsed files are kept
 * and used again while their text is the same, which makes every compile but
 * the first cheap.
 *
 * Of `divisi/nf`, files with composites are read as SOURCE, since what they have
 * written in the subset is compiled like the user's own. Of all other files of
 * ours the built declarations say enough, and are far less to parse and to check.
 */
import { libText } from "./lib-text.ts";
import type { ts, Ts } from "./typescript-api.ts";

const libPath = "/divisi-lib.d.ts";

export interface VirtualProgram {
  readonly program: ts.Program;
  readonly checker: ts.TypeChecker;
  readonly file: ts.SourceFile | undefined;
  readonly library: ts.SourceFile | undefined;
  readonly userFiles: readonly ts.SourceFile[];
  readonly isLibraryFile: (file: ts.SourceFile) => boolean;
}

export interface VirtualRoots {
  readonly path: string;
  readonly libraryPath: string;
  readonly read: (path: string) => string | undefined;
}

interface Parsed {
  readonly text: string;
  readonly file: ts.SourceFile;
}
const parsed = new Map<string, Parsed>();
const most = 256;

/** What was parsed may be half bound, where a compile ended in the middle. */
export function forgetParsed(): void {
  parsed.clear();
}

/**
 * The folder that relative paths are in, for TypeScript alone: it compares paths,
 * and of two files wants to know how one is reached from the other. Deep enough
 * for `../` at the front of a path. No text and no message has it.
 */
const here = `/divisi-here${"/x".repeat(64)}`;

export function virtualProgram(ts: Ts, roots: VirtualRoots): VirtualProgram {
  const options: ts.CompilerOptions = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    // There is no package.json; with it, printing some types would look for one.
    resolvePackageJsonImports: false,
    resolvePackageJsonExports: false,
    moduleDetection: ts.ModuleDetectionKind.Force,
    strict: true,
    noImplicitReturns: true,
    noFallthroughCasesInSwitch: true,
    allowImportingTsExtensions: true,
    allowUnreachableCode: true,
    noEmit: true,
    types: [],
    skipLibCheck: true,
  };
  const texts = new Map<string, string | undefined>([[libPath, libText]]);
  const textOf = (path: string): string | undefined => {
    if (!texts.has(path)) texts.set(path, roots.read(path));
    return texts.get(path);
  };
  const libraryFolder = folderOf(roots.libraryPath);
  const rooms = /^(.*\/|)src\/nf\/library\/$/.exec(libraryFolder)?.[1];
  const inSource = `${rooms}src/`;
  const inDeclarations = `${rooms}dist/`;
  const isComposite = (path: string): boolean =>
    path.startsWith(libraryFolder) &&
    textOf(path)?.includes('kind = "composite"') === true;
  /** The one form in which a file of ours is read. */
  const own = (path: string): string => {
    const source = path
      .replace(inDeclarations, inSource)
      .replace(/\.d\.ts$/, ".ts");
    const declarations = source
      .replace(inSource, inDeclarations)
      .replace(/\.ts$/, ".d.ts");
    return rooms === undefined ||
      isComposite(source) ||
      textOf(declarations) === undefined
      ? source
      : declarations;
  };
  const isOwn = (path: string): boolean =>
    rooms === undefined
      ? path.startsWith(libraryFolder)
      : path.startsWith(libraryFolder) || path.startsWith(inDeclarations);
  const resolve = (name: string, from: string): string | undefined => {
    if (name === "divisi/nf") return roots.libraryPath;
    if (!name.startsWith(".")) return undefined;
    const path = join(folderOf(from), name);
    if (isOwn(from)) return own(path);
    return [path, path.replace(/\.js$/, ".ts"), `${path}.ts`].find(
      (candidate) =>
        candidate.endsWith(".ts") && textOf(candidate) !== undefined,
    );
  };
  const host: ts.CompilerHost = {
    fileExists: (path) => textOf(path) !== undefined,
    readFile: textOf,
    getSourceFile: (path) => parse(ts, path, textOf(path)),
    getDefaultLibFileName: () => libPath,
    writeFile: () => undefined,
    getCurrentDirectory: () => here,
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => "\n",
    resolveModuleNameLiterals: (literals, _from, _redirect, _options, file) =>
      literals.map((literal) => {
        const path = resolve(literal.text, file.fileName);
        return {
          resolvedModule:
            path === undefined
              ? undefined
              : {
                  resolvedFileName: path,
                  extension: path.endsWith(".d.ts")
                    ? ts.Extension.Dts
                    : ts.Extension.Ts,
                  isExternalLibraryImport: false,
                },
        };
      }),
  };
  const program = ts.createProgram({
    rootNames: [roots.path, roots.libraryPath],
    options,
    host,
  });
  const isLibraryFile = (file: ts.SourceFile): boolean =>
    file.fileName.startsWith(libraryFolder) && file.fileName !== roots.path;
  return {
    program,
    checker: program.getTypeChecker(),
    file: program.getSourceFile(roots.path),
    library: program.getSourceFile(roots.libraryPath),
    userFiles: program
      .getSourceFiles()
      .filter((file) => !file.isDeclarationFile && !isLibraryFile(file))
      .filter((file) => !isOurs(file.fileName, libraryFolder))
      .sort(
        (left, right) =>
          Number(right.fileName === roots.path) -
          Number(left.fileName === roots.path),
      ),
    isLibraryFile,
  };
}

/** Another room of our own, reached through the library (in a checkout). */
function isOurs(path: string, libraryFolder: string): boolean {
  const rooms = libraryFolder.replace(/nf\/library\/$/, "");
  return (
    rooms !== libraryFolder &&
    path.startsWith(rooms) &&
    !path.startsWith(`${rooms}nf/`)
  );
}

function parse(
  ts: Ts,
  path: string,
  text: string | undefined,
): ts.SourceFile | undefined {
  if (text === undefined) return undefined;
  const known = parsed.get(path);
  if (known?.text === text) return known.file;
  const file = ts.createSourceFile(
    path,
    text,
    {
      languageVersion: ts.ScriptTarget.ES2022,
      jsDocParsingMode: ts.JSDocParsingMode.ParseAll,
    },
    true,
  );
  if (parsed.size >= most) parsed.clear();
  parsed.set(path, { text, file });
  return file;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

function join(folder: string, name: string): string {
  const rooted = folder.startsWith("/");
  const parts: string[] = [];
  for (const part of `${folder}${name}`.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === ".." && parts.length > 0 && parts.at(-1) !== "..") parts.pop();
    else parts.push(part);
  }
  return (rooted ? "/" : "") + parts.join("/");
}
