/**
 * Two network namespaces with pairs of veth between them, `near` with the interfaces
 * that programs are attached to and `far` with their peers; a state folder and a
 * folder for pins of their own. Names carry the process number; `close` removes all.
 *
 *   near: n0 (10.77.0.1) … n1      far: f0 (10.77.0.2) … f1
 */
import {
  execFileSync,
  spawn,
  spawnSync,
  type ChildProcess,
} from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { once } from "node:events";
import process from "node:process";
import { haveBpf } from "#engine";
import { root, temporaryFolder, type CliResult } from "./cli.ts";

let made = 0;

export interface NetworkOptions {
  readonly pairs?: number;
  /** Queues that each end can have; one is in use. */
  readonly queues?: number;
}

/** Why there can be no such network here, if so. */
export async function networkAbsence(): Promise<string | undefined> {
  const why = await haveBpf();
  if (why !== undefined) return why.message;
  if (!existsSync("/sys/fs/bpf/progs.debug")) return "needs /sys/fs/bpf";
  const lacking = ["ip", "ethtool", "nsenter"].filter(
    (command) => spawnSync(command, ["--version"]).error !== undefined,
  );
  return lacking.length === 0 ? undefined : `needs ${lacking.join(", ")}`;
}

export class Network {
  readonly near: string;
  readonly far: string;
  readonly state: string;
  readonly pinRoot: string;
  readonly interfaces: readonly string[];
  readonly #folder: string;

  constructor({ pairs = 1, queues = 2 }: NetworkOptions = {}) {
    const name = `divisi-control-${process.pid}-${made++}`;
    this.#folder = temporaryFolder("network");
    this.state = join(this.#folder, "state");
    this.pinRoot = `/sys/fs/bpf/${name}`;
    [this.near, this.far] = [`${name}-near`, `${name}-far`];
    mkdirSync(this.pinRoot);
    for (const namespace of [this.near, this.far])
      execFileSync("ip", ["netns", "add", namespace]);
    const many = ["numrxqueues", String(queues), "numtxqueues", String(queues)];
    this.interfaces = Array.from({ length: pairs }, (_, pair) => {
      const [own, peer] = [`n${pair}`, `f${pair}`];
      // prettier-ignore
      this.inNear("ip", "link", "add", own, ...many, "type", "veth", "peer", "name", peer, ...many, "netns", this.far);
      this.inNear("ip", "addr", "add", `10.77.${pair}.1/24`, "dev", own);
      this.inFar("ip", "addr", "add", `10.77.${pair}.2/24`, "dev", peer);
      this.inFar("ethtool", "-L", peer, "rx", "1", "tx", "1");
      this.inNear("ethtool", "-L", own, "rx", "1", "tx", "1");
      this.inNear("ip", "link", "set", own, "up");
      this.inFar("ip", "link", "set", peer, "up");
      return own;
    });
  }

  inNear(...words: readonly string[]): string {
    return output([...this.#enter(this.near), ...words]);
  }

  inFar(...words: readonly string[]): string {
    return output([...this.#enter(this.far), ...words]);
  }

  /** The command line, as a user of the near namespace would call it. */
  divisi(
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
    build = join(root, "dist"),
  ): CliResult {
    const [command = "", ...rest] = [
      ...this.#enter(this.near),
      process.execPath,
      join(build, "cli/main.js"),
      ...words,
    ];
    const run = spawnSync(command, rest, {
      cwd: root,
      env: {
        ...process.env,
        NO_COLOR: "1",
        DIVISI_STATE_DIR: this.state,
        TMPDIR: this.#folder,
        ...env,
      },
      encoding: "utf8",
      timeout: 60_000,
    });
    if (run.error !== undefined) throw run.error;
    return { status: run.status, stdout: run.stdout, stderr: run.stderr };
  }

  /** The same, while this process goes on. */
  async later(
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<CliResult> {
    const child = spawn(
      "nsenter",
      [
        `--net=/run/netns/${this.near}`,
        process.execPath,
        join(root, "dist/cli/main.js"),
        ...words,
      ],
      {
        cwd: root,
        env: {
          ...process.env,
          NO_COLOR: "1",
          DIVISI_STATE_DIR: this.state,
          ...env,
        },
      },
    );
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (text) => (stdout += String(text)));
    child.stderr.on("data", (text) => (stderr += String(text)));
    const [status] = (await once(child, "close")) as [number | null];
    return { status, stdout, stderr };
  }

  /** `attach` into this network's own pins. */
  attach(
    words: readonly string[],
    env: Readonly<Record<string, string>> = {},
    build?: string,
  ): CliResult {
    const all = ["attach", ...words, "--pin-root", this.pinRoot];
    return this.divisi(all, env, build);
  }

  /** A program of ours in a namespace, with a channel to it. */
  start(where: "near" | "far", words: readonly string[]): ChildProcess {
    const [command = "", ...rest] = [
      ...this.#enter(where === "near" ? this.near : this.far),
      process.execPath,
      ...words,
    ];
    return spawn(command, rest, {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
  }

  /** Id of the XDP program of each interface; 0: none. */
  programs(): readonly number[] {
    return this.interfaces.map((name) => {
      const found = JSON.parse(
        this.inNear("ip", "-j", "link", "show", "dev", name),
      ) as { xdp?: { prog?: { id: number } } }[];
      return found[0]?.xdp?.prog?.id ?? 0;
    });
  }

  /** Everything that a command may leave, as text. */
  snapshot(): string {
    return JSON.stringify(
      {
        programs: this.programs(),
        queues: this.interfaces.map((name) =>
          this.inNear("ethtool", "-l", name),
        ),
        pins: listed(this.pinRoot),
        mounts: readFileSync("/proc/self/mounts", "utf8")
          .split("\n")
          .filter((line) => line.includes(this.pinRoot)),
        records: listed(join(this.state, "attachments")),
        journal: existsSync(join(this.state, "journal"))
          ? readFileSync(join(this.state, "journal"), "utf8")
          : "",
      },
      null,
      1,
    );
  }

  close(): void {
    this.divisi(["detach", "--all"]);
    this.divisi(["undo"]);
    for (const namespace of [this.near, this.far])
      spawnSync("ip", ["netns", "del", namespace]);
    const divisi = join(this.pinRoot, "divisi");
    for (const name of listed(divisi)) {
      spawnSync("umount", ["-l", join(divisi, name)]);
      rmSync(join(divisi, name), { recursive: true, force: true });
    }
    rmSync(this.pinRoot, { recursive: true, force: true });
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #enter(namespace: string): readonly string[] {
    return ["nsenter", `--net=/run/netns/${namespace}`];
  }
}

function listed(folder: string): readonly string[] {
  return existsSync(folder) ? readdirSync(folder).sort() : [];
}

function output(words: readonly string[]): string {
  const [command = "", ...rest] = words;
  return execFileSync(command, rest, {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
}
