/**
 * What ethtool(8) does for us, by its ioctl: counters of a driver by name, and
 * offloads off, so that frames cross a veth pair as they are.
 *
 * A socket belongs to the namespace in which it was opened: so do the interfaces.
 *
 *   struct ifreq   | name, 16 bytes | address of the request |
 *
 * Source: include/uapi/linux/ethtool.h.
 */
import { InputError } from "../../../base/index.ts";
import { memory, type Syscalls } from "../syscalls.ts";

const AF_INET = 2;
const SOCK_DGRAM = 2;
const SIOCETHTOOL = 0x8946;
const ENODEV = 19;
// prettier-ignore
const request = {
  driver: 0x03, strings: 0x1b, statistics: 0x1d, setFlags: 0x26,
  setChannels: 0x3d, channels: 0x3c,
} as const;
// Each a request of two words: the number, and on or off.
// prettier-ignore
const offloads = { rxChecksum: 0x15, txChecksum: 0x17, scatter: 0x19, tso: 0x1f, gso: 0x24, gro: 0x2c } as const;
const statisticNames = 1;
const nameSize = 32;

export class Ethtool {
  readonly #syscalls: Syscalls;
  readonly #socket: number;
  readonly #names = new Map<string, readonly string[]>();

  /** In the calling thread's namespace. */
  constructor(syscalls: Syscalls) {
    this.#syscalls = syscalls;
    this.#socket = syscalls.call("socket", AF_INET, SOCK_DGRAM, 0);
  }

  /** Own counters of the driver; none where it has none. */
  counters(name: string): ReadonlyMap<string, number> {
    const names = this.#namesOf(name);
    const values = memory(8 + 8 * names.length);
    values.writeUInt32LE(request.statistics);
    values.writeUInt32LE(names.length, 4);
    if (this.#ask(name, values) < 0) return new Map();
    return new Map(
      names.map((counter, index) => [
        counter,
        Number(values.readBigUInt64LE(8 + 8 * index)),
      ]),
    );
  }

  /** Receive and send queues. */
  channels(name: string): { readonly rx: number; readonly tx: number } {
    const held = memory(36);
    held.writeUInt32LE(request.channels);
    if (this.#ask(name, held) < 0) return { rx: 1, tx: 1 };
    const combined = held.readUInt32LE(32);
    return {
      rx: held.readUInt32LE(20) + combined,
      tx: held.readUInt32LE(24) + combined,
    };
  }

  /** Nothing merges, cuts, checks or untags frames any more, as far as the driver lets us. */
  offloadsOff(name: string): void {
    for (const number of [...Object.values(offloads), request.setFlags]) {
      const held = memory(8);
      held.writeUInt32LE(number);
      this.#ask(name, held);
    }
  }

  close(): void {
    this.#syscalls.close(this.#socket);
  }

  /** They change with the number of queues only, and with that their own number. */
  #namesOf(name: string): readonly string[] {
    const driver = memory(196);
    driver.writeUInt32LE(request.driver);
    if (this.#ask(name, driver) < 0) return [];
    const count = driver.readUInt32LE(180);
    const known = this.#names.get(name);
    if (known?.length === count) return known;
    const strings = memory(12 + nameSize * count);
    strings.writeUInt32LE(request.strings);
    strings.writeUInt32LE(statisticNames, 4);
    strings.writeUInt32LE(count, 8);
    if (this.#ask(name, strings) < 0) return [];
    const names = Array.from({ length: count }, (_, index) => {
      const from = 12 + nameSize * index;
      const text = strings.toString("latin1", from, from + nameSize);
      return text.replace(/\0.*$/s, "");
    });
    this.#names.set(name, names);
    return names;
  }

  #ask(name: string, data: Buffer): number {
    const held = memory(40);
    held.write(name.slice(0, 15), 0, "latin1");
    held.writeBigUInt64LE(this.#syscalls.address(data), 16);
    const code = this.#syscalls.call("ioctl", this.#socket, SIOCETHTOOL, held);
    if (code === -ENODEV)
      throw new InputError(`there is no interface ${name}`, {
        code: "interface-unknown",
      });
    return code;
  }
}
