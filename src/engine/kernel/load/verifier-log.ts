/**
 * One line for a kernel verifier log: what is wrong in plain words, where, and
 * the kernel's own words behind it. Rules are tried from the most to the least
 * particular; without one the kernel's words stand alone.
 *
 * The log names instructions by slot of the loaded program and, with line
 * information, prints source lines as `; text @ file.c:12`. Its verdict are the
 * last lines, three at most, that are neither an instruction, a state, a source
 * line nor a count; the first of them is the most particular.
 *
 * Source: kernel/bpf/verifier.c; the logs under testdata/verifier are real.
 */
import { printPlace, printable, type Place } from "../../../base/index.ts";

export interface LogSummary {
  /** `lookup result used without a null check`, or the kernel's words. */
  readonly text: string;
  /** Slot of the instruction at fault, where the log tells. */
  readonly slot?: number;
  /** The deciding line of the log. */
  readonly kernel: string;
}

type Rule = readonly [
  pattern: RegExp,
  say: (parts: readonly string[]) => string,
];

const noun: Readonly<Record<string, string>> = {
  scalar: "a number",
  inv: "a number",
  pkt_end: "the packet's end",
  ctx: "the context",
  fp: "the stack",
  map_ptr: "a map",
};

const bytes = (count = "0"): string =>
  count === "1" ? "1 byte" : `${count} bytes`;

// prettier-ignore
const rules: readonly Rule[] = [
  [/^R(\d+) invalid mem access '(?:map_value|mem|sock|ringbuf_mem)\w*_or_null'/, ([r]) => `r${r} may be null: it is used without a null check`],
  [/^R(\d+) invalid mem access '(\w+)'/, ([r, kind = ""]) => `r${r} is used as an address, but is ${noun[kind] ?? kind}`],
  [/^invalid access to packet, off=(-?\d+) size=(\d+)/, ([off, size]) => `${bytes(size)} of the packet at offset ${off} accessed without a check against data_end`],
  [/^R(\d+) offset is outside of the packet/, ([r]) => `r${r} points past what was checked against data_end`],
  [/^invalid access to map value, value_size=(\d+) off=(-?\d+) size=(\d+)/, ([value, off, size]) => `${bytes(size)} at offset ${off} leave the map value of ${value} bytes`],
  [/^invalid access to map key, key_size=(\d+) off=(-?\d+) size=(\d+)/, ([value, off, size]) => `${bytes(size)} at offset ${off} leave the map key of ${value} bytes`],
  [/^R(\d+) (?:unbounded memory access|min value is negative|max value is outside)/, ([r]) => `the offset in r${r} has no known bounds`],
  [/^R(\d+) !read_ok/, ([r]) => `r${r} is read before anything was written to it`],
  [/^invalid (?:indirect )?read from stack/, () => "stack bytes are read before they were written"],
  [/^invalid (?:variable-offset )?(?:write to|read from|indirect access to) stack/, () => "the stack is accessed outside its 512 bytes"],
  [/^combined stack size of (\d+) calls is (\d+)/, ([calls, size]) => `${calls} nested calls need ${size} bytes of stack; at most 512 are allowed`],
  [/^(?:back-edge|infinite loop detected)/, () => "a loop whose end the verifier cannot see"],
  [/^BPF program is too large\. Processed (\d+)/, ([count]) => `too complex: ${count} instructions were walked; at most 1,000,000 are allowed`],
  [/^The sequence of (\d+) jumps is too complex/, ([count]) => `too complex: ${count} jumps in a row`],
  [/^unreachable insn (\d+)/, ([slot]) => `instruction ${slot} can never be reached`],
  [/^jump out of range/, () => "a jump leads out of its function"],
  [/^last insn is not an exit or jmp/, () => "a function does not end with exit or a jump"],
  [/^(?:unknown func|program of this type cannot use helper) (?:bpf_)?(\w+)#\d+/, ([name]) => `helper ${name} does not exist for this program type`],
  [/^cannot call GPL-restricted function/, () => "a helper needs a GPL-compatible licence"],
  [/^cannot pass map_type (\d+) into func (?:bpf_)?(\w+)#\d+/, ([, name]) => `helper ${name} does not work on this map's type`],
  [/^R(\d+) type=\w+_or_null expected=/, ([r]) => `r${r} may be null: it is passed on without a null check`],
  [/^arg#(\d+) expects pointer to ctx/, ([index]) => `argument r${Number(index) + 1} must be the context`],
  [/^dereference of modified ctx ptr R(\d+) off=(-?\d+)/, ([r, off]) => `r${r} points ${off} bytes into the context; only its start may be given`],
  [/^Global function (\w+)\(\) doesn't return scalar/, ([name]) => `global function ${name} must return a number`],
  [/^write into map forbidden/, () => "a read-only map is written"],
  [/^the call stack of (\d+) frames is too deep/, ([frames]) => `calls are nested deeper than ${frames} frames`],
  [/^kernel function (\w+) args#(\d+) expected pointer to STRUCT (\w+) but R(\d+) has a pointer to STRUCT (\w+)/, ([name, , want, r, have]) => `argument r${r} of kernel function ${name} is ${have}, but must be ${want}`],
  [/^no write support to (\w+) at off (\d+)/, ([type, off]) => `the kernel's ${type} may not be written at offset ${off}`],
  [/^invalid func unknown#2002000000/, () => "a kernel function is called that this kernel does not have"],
  [/^R(\d+) type=(\S+) expected=(.*)/, ([r, type = "", want = ""]) => `argument r${r} is ${noun[type] ?? type}, but must be ${wanted(want)}`],
  [/^R(\d+) (?:pointer .* prohibited|.*pointer arithmetic.*prohibited)/, ([r]) => `r${r} is a pointer; this arithmetic is not allowed on it`],
  [/^At program exit the register R(\d+)/, () => "the return value is outside what the program type allows"],
  [/^R0 .*?(?:leaks addr|pointer).*$/, () => "a pointer would leave the program"],
  [/^invalid bpf_context access off=(\d+) size=(\d+)/, ([off, size]) => `the context has no ${bytes(size)} at offset ${off} for this program type`],
  [/^misaligned (\w+) access/, ([what]) => `misaligned ${what} access`],
  [/^(?:Unreleased reference|BPF_EXIT instruction.*(?:lock|reference))/, () => "a reserved record, reference or lock is not given back on some path"],
  [/^Caller passes invalid args into func#\d+ \('(\w+)'\)/, ([name]) => `function ${name} is given what it does not take`],
  [/^missing btf func_info/, () => "callbacks need BTF function information"],
  [/^invalid BTF|^.*btf.* is not supported/i, () => "the type information was refused"],
];

/** The types that an argument may have, as the kernel lists them. */
function wanted(list: string): string {
  const words = list.split(", ");
  if (words.includes("fp") && words.includes("pkt"))
    return "a pointer to readable memory";
  // `trusted_ptr_` stands for a pointer into the kernel, of any structure.
  const names = words.map((word) =>
    word.endsWith("ptr_") ? "a kernel pointer" : (noun[word] ?? word),
  );
  return [...new Set(names)].join(" or ");
}

export function summarizeLog(log: string): LogSummary | undefined {
  const lines = log.split("\n").map((line) => line.trim());
  const end = lines.findLastIndex((line) => line !== "" && !isNarration(line));
  const last = lines[end];
  if (last === undefined) return undefined;
  const slot = slotBefore(lines, end);
  const where = slot === undefined ? {} : { slot };
  const verdict: string[] = [];
  for (let index = end; index >= 0 && verdict.length < 3; index--) {
    const line = lines[index] ?? "";
    if (line === "" || isNarration(line)) break;
    verdict.unshift(line);
  }
  for (const [pattern, say] of rules)
    for (const kernel of verdict) {
      const match = pattern.exec(kernel);
      if (match !== null)
        return { text: say(match.slice(1)), kernel, ...where };
    }
  return { text: last, kernel: last, ...where };
}

/** The summary as one line, with the place in the user's program. */
export function printSummary(
  summary: LogSummary,
  placeOf: (slot: number) => Place | undefined,
): string {
  const place = summary.slot === undefined ? undefined : placeOf(summary.slot);
  const at = place === undefined ? "" : `${printPlace(place)}: `;
  const behind =
    summary.text === summary.kernel ? "" : ` (kernel: ${summary.kernel})`;
  return printable(`${at}${summary.text}${behind}`);
}

/** Lines that tell what was walked, not why it ended. */
function isNarration(line: string): boolean {
  return (
    /^\d+: /.test(line) ||
    line.startsWith(";") ||
    /^(?:from \d+ to \d+|processed \d+ insns|verification time|stack depth|(?:cur|old) state:|mark_precise|regs=|parent |last_idx|func#\d+|Func#\d+|caller:|callee:|propagating|R\d+(?:_\w+)?=|frame\d+:|returning from callee|to caller at|arg#\d+ type=|Validating|max_states|insn_idx|verifier log)/i.test(
      line,
    )
  );
}

/** Slot that the verdict names, or of the last instruction shown before it. */
function slotBefore(lines: readonly string[], end: number): number | undefined {
  const named = /^unreachable insn (\d+)/.exec(lines[end] ?? "")?.[1];
  if (named !== undefined) return Number(named);
  for (let index = end - 1; index >= 0; index--) {
    const match = /^(\d+): \([0-9a-f]{2}\)/.exec(lines[index] ?? "");
    if (match !== null) return Number(match[1]);
  }
  return undefined;
}

/** Instructions that the verifier walked, from the last line of a successful log. */
export function processedCount(log: string): number | undefined {
  const match = /^processed (\d+) insns/m.exec(log);
  return match === null ? undefined : Number(match[1]);
}
