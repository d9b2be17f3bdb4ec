/**
 * `nf(…)`: a network function. `config` is resolved first, then `state`, then
 * `handle`, and TypeScript infers in that order: write them in that order.
 */
import { InputError } from "../../base/index.ts";
import type { Declaration } from "./declaration.ts";
import type { Packet } from "./headers.ts";
import type { Verdict } from "./verdict.ts";

/** Named compile-time constants that `--set NAME=VALUE` overrides. */
export interface Config {
  readonly [name: string]: number | bigint | boolean;
}

/** Declarations by name; the names are the maps' names. */
export interface State {
  readonly [name: string]: Declaration;
}

/** What `handle` is given besides the packet. */
export interface Context<C, S> {
  /** Nanoseconds of a clock that does not stop; one value per packet. */
  readonly now: bigint;
  /** Index of the port on which the frame came, into `ports`. */
  readonly port: number;
  /** A random u32; a new draw at each reading. */
  readonly random: number;
  readonly config: Readonly<C>;
  readonly state: Readonly<S>;
}

export interface NfOptions<C extends Config, S extends State> {
  /** Of the BPF program; "-" becomes "_". */
  readonly name: string;
  /** Names of the ports; `ctx.port` and `out(port)` speak of their indices. */
  readonly ports?: readonly string[];
  readonly config?: C;
  /** Declarations, or a function of the configuration that answers them. */
  readonly state?: S | ((config: Readonly<C>) => S);
  /** Handles one packet, start to end, with nothing in between. */
  handle(this: void, pkt: Packet, ctx: Context<C, S>): Verdict;
}

/** A network function as it is declared. `open` runs it, `divisi` compiles it. */
export interface Nf<C extends Config, S extends State> {
  readonly kind: "nf";
  readonly name: string;
  readonly ports: readonly string[];
  readonly config: Readonly<C>;
  /** Fresh declarations at each call. */
  state(this: void, config: Readonly<C>): S;
  handle(this: void, pkt: Packet, ctx: Context<C, S>): Verdict;
}

/** Any network function. */
export type AnyNf = Nf<Config, State>;

type Nothing = { readonly [Name in never]: never };

/** Declares a network function: the default export of its file. */
export function nf<C extends Config = Nothing, S extends State = Nothing>(
  options: NfOptions<C, S>,
): Nf<C, S> {
  const { name, ports = [], config, state } = options;
  if (!/^[A-Za-z][\w-]*$/.test(name))
    throw new InputError(
      `${JSON.stringify(name)} is no name for a network function`,
      {
        code: "nf-name",
        fix: "use letters, digits, - and _",
      },
    );
  for (const port of ports)
    if (
      !/^[A-Za-z]\w*$/.test(port) ||
      ports.indexOf(port) !== ports.lastIndexOf(port)
    )
      throw new InputError(`${JSON.stringify(port)} is no name for a port`, {
        code: "nf-port",
        fix: "use letters, digits and _, each name once",
      });
  return Object.freeze({
    kind: "nf",
    name,
    ports: Object.freeze([...ports]),
    config: Object.freeze({ ...config }) as Readonly<C>,
    state: resolver(state),
    handle: options.handle,
  });
}

/** Fresh declarations at each call. */
function resolver<C, S extends State>(
  state: S | ((config: Readonly<C>) => S) | undefined,
): (config: Readonly<C>) => S {
  if (typeof state === "function") return state;
  const declared = Object.entries<Declaration>(state ?? {});
  return () =>
    Object.fromEntries(
      declared.map(([name, declaration]) => [name, declaration.renew()]),
    ) as unknown as S;
}
