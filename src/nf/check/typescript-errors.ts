/**
 * TypeScript's own errors in our words, where they mean a rule of the subset; the
 * others are passed on as they are.
 */
import type { LoadResult, NfDiagnostic } from "../front/loaded.ts";
import { fill, rules, type RuleCode } from "./rules.ts";

interface Explained {
  readonly code: RuleCode;
  readonly details?: Readonly<Record<string, string>>;
}

export function explainTypescript(loaded: LoadResult): NfDiagnostic[] {
  return loaded.diagnostics.flatMap((one) => {
    if (one.typescript === undefined) return [one];
    // What `this` has is of no interest: it is not in the subset.
    if (one.text.slice(0, one.start.column - 1).endsWith("this.")) return [];
    const found = explain(one.typescript, one.message, underlined(one));
    if (found === undefined)
      return [{ ...one, message: one.message.split("\n")[0] ?? "" }];
    const { message, fix } = rules[found.code];
    const details = found.details ?? {};
    return [
      {
        ...one,
        code: found.code,
        message: fill(message, details),
        fix: fill(fix, details),
      },
    ];
  });
}

function underlined({ text, start, end }: NfDiagnostic): string {
  const last = end.line === start.line ? end.column - 1 : text.length;
  return text.slice(start.column - 1, last);
}

/** Names that people expect from Node.js or a browser. */
const elsewhere: Readonly<Record<string, string>> = {
  process: "ctx.config, for values from the outside",
  require: "an `import` at the top of the file",
  Buffer: "pkt.u8(i), pkt.u16(i) or pkt.u32(i)",
  fetch: "events.emit({ … }), and a program that reads the events",
  setInterval: "`expireAfter` of a declaration, or ctx.now",
};

function explain(
  number: number,
  message: string,
  text: string,
): Explained | undefined {
  switch (number) {
    case 2531:
    case 2532:
    case 2533:
    case 18047:
    case 18048:
    case 18049:
      return { code: "nf-unnarrowed", details: { what: `\`${text}\``, text } };
    case 2322:
    case 2345:
    case 2365:
    case 2367:
    case 2362:
    case 2363:
      return operands(message, text);
    case 2304:
    case 2552:
    case 2580:
    case 2584:
    case 2591:
    case 18004:
      return unknownName(message, text);
    case 2339:
    case 2551:
    case 2353:
    case 2561:
      return { code: "nf-unknown-name", details: named(message, text) };
    case 2307:
    case 2792:
      return unknownModule(text);
    case 2540:
      return {
        code: "nf-read-only",
        details: {
          name: text,
          instead: "a `let` of its own, or another field: this one is fixed",
        },
      };
    case 2588:
      return {
        code: "nf-read-only",
        details: {
          name: text,
          instead: `let ${text} = …; where it is declared`,
        },
      };
    case 2355:
    case 2366:
    case 7030:
      return { code: "nf-missing-return", details: { name: "this function" } };
    case 7005:
    case 7006:
    case 7031:
    case 7034:
      return { code: "nf-any" };
    case 7029:
      return { code: "nf-fallthrough" };
    case 7053:
      return { code: "nf-computed-property" };
    default:
      return undefined;
  }
}

/** Two types that do not go together. */
function operands(message: string, text: string): Explained | undefined {
  if (message.startsWith("Operator '>>>'")) {
    const [left = "", right = ""] = text.split(/\s*>>>\s*/);
    return { code: "nf-bigint-shift", details: { left, right } };
  }
  const line = message.split("\n")[0] ?? "";
  const types = [...line.matchAll(/'([^']+)'/g)].map((match) => match[1] ?? "");
  const isMixed =
    types.some((type) => /^(number|-?[\d.]+)$/.test(type)) &&
    types.some((type) => /^(bigint|-?\d+n)$/.test(type));
  if (isMixed) return { code: "nf-mixed" };
  if (text === "handle" && /undefined/.test(message))
    return { code: "nf-missing-return", details: { name: "handle" } };
  if (
    /Type '(?:[^']* \| )?undefined' is not assignable|'[^']*\| undefined' is not assignable/.test(
      message,
    )
  )
    return { code: "nf-unnarrowed", details: { what: `\`${text}\``, text } };
  return undefined;
}

function unknownModule(text: string): Explained {
  const name = text.slice(1, -1);
  const instead = name.startsWith("divisi")
    ? 'import { … } from "divisi/nf"'
    : 'the path of a file beside this one, such as "./shared.ts"';
  return { code: "nf-unknown-module", details: { name, instead } };
}

function unknownName(message: string, text: string): Explained {
  if (/^["']/.test(text)) return unknownModule(text);
  const instead = elsewhere[text];
  return instead === undefined
    ? { code: "nf-unknown-name", details: named(message, text) }
    : { code: "nf-global", details: { name: text, instead } };
}

function named(
  message: string,
  text: string,
): Readonly<Record<string, string>> {
  const near =
    /Did you mean (?:to write )?(?:the instance member )?'([^']+)'/.exec(
      message,
    )?.[1];
  const type = /on type '([A-Z]\w*)'|in type '([A-Z]\w*)/.exec(message);
  const owner = type?.[1] ?? type?.[2];
  return {
    name: text,
    instead:
      near ??
      (owner === undefined
        ? "a name that is declared in this file, or imported at its top"
        : `a member of ${owner}`),
  };
}
