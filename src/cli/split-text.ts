/**
 * What `split` says to people: the plan, then what was checked; at most 30 lines
 * of 80 columns. And README.txt of the directory: what to do next.
 */
import { printable } from "../base/index.ts";
import { dispatchCpus, dispatchTable } from "../codegen/index.ts";
import { dispatcherName, queueSize } from "../dispatched.ts";
import type { ProgramSpec } from "../isa/index.ts";
import type { Analysed } from "../analysed.ts";
import type { Artifact } from "../pipeline.ts";
import type { Certificate, Tested } from "../proof/index.ts";
import { printPlan, type Plan } from "../strategy/index.ts";
import { columns, wrapped as wrapLines } from "./wrap.ts";

const mostLines = 30;

export interface SplitSummary {
  readonly directory: string;
  readonly program: ProgramSpec;
  readonly artifact: Artifact;
  readonly certificate: Certificate;
  /** Say for each object why other strategies were not taken. */
  readonly explain: boolean;
  /** Why the answer is no; empty: yes. */
  readonly no: readonly string[];
  readonly files: readonly string[];
}

export function splitText(summary: SplitSummary): string {
  const { artifact, certificate, explain, no, directory } = summary;
  const plan = printPlan(artifact.plan, { explain }).trimEnd().split("\n");
  const checked = [
    ...no.flatMap((reason) => wrapped("no", reason)),
    ...testedLines(certificate.tested, no.length > 0),
    ...guardedLines(certificate),
    ...wrapped("verifier", certificate.verifier),
    ...(no.length > 0
      ? wrapped("written", "nothing")
      : wrapped("written", `${directory}: ${summary.files.join(", ")}`)),
    ...(no.length > 0
      ? []
      : wrapped("next", `${directory}/README.txt says how to load it`)),
  ];
  const room = mostLines - checked.length - 1;
  const shown =
    explain || plan.length <= room
      ? plan
      : [
          ...plan.slice(0, room - 1),
          `… ${plan.length - room + 1} more lines with --explain`,
        ];
  return [...shown, "", ...checked].join("\n");
}

/**
 * The tested part for people: strength first, then figures. Where the answer is no,
 * strength is of the coverage alone, and a strong one is not worth a word.
 */
export function testedLines(tested: Tested, isNo: boolean): string[] {
  const count = (value: number): string => value.toLocaleString("en");
  const { branches, mutants } = tested;
  const shownReasons = tested.weaknesses.slice(0, 3);
  const more = tested.weaknesses.length - shownReasons.length;
  const verdicts = Object.entries(tested.verdicts)
    .sort(([, left], [, right]) => right - left)
    .map(([name, packets]) => `${name} ${count(packets)}`)
    .join(", ");
  const strength =
    tested.strength === "weak"
      ? `weak: ${shownReasons.join("; ")}${more > 0 ? `; ${more} more reasons` : ""}`
      : isNo
        ? undefined
        : "strong";
  return [
    ...(strength === undefined ? [] : wrapped("checked", strength)),
    ...wrapped(
      strength === undefined ? "checked" : "",
      `${count(tested.packets)} packets (${partsOf(tested)}seed ${tested.seed})`,
    ),
    ...leftOutLine(tested),
    ...wrapped(
      "",
      `${count(tested.mismatches)} mismatches, ${tested.coresUsed} ${tested.coresUsed === 1 ? "core" : "cores"} used`,
    ),
    ...wrapped(
      "",
      `${branches.hit} of ${branches.total} branch edges${excludedText(branches)}; ${count(tested.cells.contested)} cells met from several flows`,
    ),
    ...wrapped("", `verdicts: ${verdicts}`),
    ...(tested.capacityDeviation === 0
      ? []
      : wrapped(
          "",
          `${count(tested.capacityDeviation)} packets differ where cores own their tables: a share was full`,
        )),
    ...wrapped("", `mutants caught: ${mutants.killed} of ${mutants.total}`),
  ];
}

/** Edges that are not in the total, by why. */
function excludedText({ excluded }: Tested["branches"]): string {
  const said = [
    `${excluded.options} by options`,
    `${excluded.numbers} by value ranges`,
    `${excluded.allocators} by an allocator's invariant`,
  ].filter((text) => !text.startsWith("0 "));
  return said.length === 0 ? "" : ` (without ${said.join(", ")})`;
}

function guardedLines({ guarded }: Certificate): string[] {
  if (guarded === undefined) return [];
  const { packets, restarts, mismatches } = guarded;
  return wrapped(
    "guarded",
    `${packets.toLocaleString("en")} packets interleaved, ${restarts.toLocaleString("en")} run again; ${mismatches.toLocaleString("en")} differ from their order of commits`,
  );
}

/** What of the packets is the user's, and what was added to reach branches. */
function partsOf({ episodes }: Tested): string {
  const words = [
    ["of the trace", /^trace$/],
    ["covering", /^coverage$/],
    ["guided", /^guided$/],
    ["answers", /^answers$/],
    ["to fill tables", /^full /],
  ] as const;
  const parts = words.flatMap(([word, name], index) => {
    const packets = episodes
      .filter((episode) => name.test(episode.name))
      .reduce((sum, episode) => sum + episode.packets, 0);
    return packets === 0 && index > 1
      ? []
      : [`${packets.toLocaleString("en")} ${word}`];
  });
  return `${parts.join(", ")}; `;
}

function leftOutLine({ episodes }: Tested): string[] {
  const sum = (why: "frames" | "ports"): number =>
    episodes.reduce((total, { leftOut }) => total + leftOut[why], 0);
  const reasons = [
    [sum("frames"), "that a test run does not take"],
    [sum("ports"), "of interfaces that are no port"],
  ] as const;
  const said = reasons.flatMap(([frames, why]) =>
    frames === 0
      ? []
      : [
          `${frames.toLocaleString("en")} ${frames === 1 ? "frame" : "frames"} ${why}`,
        ],
  );
  return said.length === 0 ? [] : wrapped("", `left out: ${said.join(", ")}`);
}

/** Lines behind a title of ten columns, which only the first one has. */
function wrapped(title: string, text: string): string[] {
  return wrapLines(text, 0, columns() - 10).map(
    (line, index) => `${(index === 0 ? title : "").padEnd(10)}${line}`,
  );
}

/** What a loader of one's own has to do. */
function dispatchSteps(
  program: ProgramSpec,
  { cores, dispatch }: Pick<Plan, "cores" | "dispatch">,
): string[] {
  const isBalanced =
    dispatch.kind === "software" && dispatch.table !== undefined;
  return [
    `2. Load core.o with any loader (bpftool prog loadall core.o DIR). Program`,
    `   ${dispatcherName} is for the interfaces; it drops all until it is ready:`,
    `     ${dispatchCpus}   element i, for CPU 0 to ${cores - 1}: struct bpf_cpumap_val with`,
    `                    qsize ${queueSize} and the descriptor of ${printable(program.name)}`,
    `     ${dispatchTable}  element i = ${isBalanced ? "dispatchTable[i] of plan.json" : `CPU i mod ${cores}`}`,
    "     ready          in .data.dispatch: 1, the last",
  ];
}

/** README.txt of DIR. */
export function readmeText(
  { program, ports }: Pick<Analysed, "program" | "ports">,
  artifact: Artifact,
): string {
  const { plan } = artifact;
  return [
    `${printable(program.name)}, divided over ${plan.cores} cores by divisi.`,
    "",
    ...printPlan(plan).trimEnd().split("\n"),
    "",
    ...(plan.kernel?.kind === "refused"
      ? portableSteps
      : kernelSteps(program, artifact, ports)),
    "",
    "certificate.json says what was proved and tested of these files;",
    "`divisi check .` runs the test again, with --trace FILE on your own traffic.",
    "",
  ].join("\n");
}

const portableSteps: readonly string[] = [
  "No kernel holds a lock around a packet, so no kernel may run portable.o:",
  "with several CPUs, updates would be lost. It is for the portable engine:",
  "  divisi run . --trace FILE",
  "`divisi attach` and `--engine kernel` refuse this directory.",
];

function kernelSteps(
  program: ProgramSpec,
  { plan, setup, emitted }: Artifact,
  ports: Analysed["ports"],
): readonly string[] {
  const fill = emitted.maps
    .filter(({ type }) => /map$|^prog_array$/.test(type))
    .map(({ name, type }) => `  ${name} (${type})`);
  const interfaces =
    ports.length === 1
      ? "IFACE"
      : ports.map(({ name }) => `${name}=IFACE`).join(" ");
  return [
    "As root, for good (`divisi detach` takes it off again):",
    `  divisi attach . ${setup === undefined ? "" : "--apply-nic "}--iface ${ports.length === 1 ? "IFACE" : ports.map(({ name }) => `${name}=IFACE`).join(",")}`,
    "",
    "Or by hand:",
    "1. Set the network card up (prints and checks every value):",
    setup === undefined
      ? "     nothing to set up"
      : `     nic/apply.sh ${interfaces}`,
    ...(plan.dispatch.kind === "software"
      ? dispatchSteps(program, plan)
      : [
          "2. Load and attach the program with any loader, for example:",
          "     bpftool prog load core.o /sys/fs/bpf/divided",
          "     bpftool net attach xdp pinned /sys/fs/bpf/divided dev IFACE",
        ]),
    ...(fill.length === 0
      ? []
      : ["   and fill what user space fills:", ...fill]),
    "3. To go back: detach the program, then",
    setup === undefined ? "     nothing to undo" : "     nic/undo.sh",
  ];
}
