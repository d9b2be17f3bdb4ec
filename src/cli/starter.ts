/**
 * What `divisi new NAME` writes: a small network function that works, its test,
 * and a project around them in which any editor shows TypeScript's errors. The
 * texts are the files of nfs/starter, which are called `limiter`.
 */
import { readFileSync } from "node:fs";
import type { OutputFile } from "./files.ts";

const folder = new URL("../../nfs/starter/", import.meta.url);

/** `version`: of divisi, which the project asks for. */
export function starter(name: string, version: string): readonly OutputFile[] {
  const file = (path: string): OutputFile => ({
    path: renamed(path, name),
    content: renamed(readFileSync(new URL(path, folder), "utf8"), name),
  });
  return [
    file("limiter.ts"),
    file("limiter.test.ts"),
    {
      path: "package.json",
      content: `${JSON.stringify(manifest(name, version), null, 2)}\n`,
    },
    file("tsconfig.json"),
    file("README.md"),
    // As a file it would not be packed.
    { path: ".gitignore", content: "node_modules/\nbuild/\nout/\n*.o\n" },
  ];
}

function renamed(text: string, name: string): string {
  return text.replaceAll(/\blimiter\b/g, name);
}

function manifest(name: string, version: string): object {
  return {
    name,
    private: true,
    type: "module",
    scripts: {
      test: "tsc && cd build && node --test",
      build: `divisi build ${name}.ts -o ${name}.o`,
      split: `divisi split ${name}.ts --trace gen:zipf -o out --force`,
    },
    devDependencies: {
      "@types/node": "^20.19.0",
      divisi: `^${version}`,
      typescript: "^6.0.3 || ^7.0.2",
    },
  };
}
