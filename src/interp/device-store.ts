/**
 * devmap, devmap_hash, cpumap and xskmap, which only user space writes.
 *
 * The first, third and fourth are sparse arrays: every index below the size is there
 * to be written, so BPF_NOEXIST fails on the first and third, and an element whose
 * value begins with 0 (no interface, a queue of no length) is none. Any interface,
 * CPU or socket number but 0 is taken: there are none of them here.
 *
 * Source: kernel/bpf/devmap.c, cpumap.c, net/xdp/xskmap.c.
 */
import { indexOf } from "./array-store.ts";
import { updateFlag } from "./cell-store.ts";
import { errno } from "./errno.ts";
import { HashStore } from "./hash-store.ts";

/** The longest queue of a cpumap. */
const longestQueue = 16384;

export class DeviceStore extends HashStore {
  override update(
    key: Uint8Array,
    value: Uint8Array,
    flags: number,
    cpu: number,
  ): number {
    return this.#checked(key, value, flags, (rest) =>
      super.update(key, value, rest, cpu),
    );
  }

  override updateAll(
    key: Uint8Array,
    value: Uint8Array,
    flags: number,
  ): number {
    return this.#checked(key, value, flags, (rest) =>
      super.updateAll(key, value, rest),
    );
  }

  override remove(key: Uint8Array): number {
    const answer = super.remove(key);
    if (answer === 0 || this.spec.type === "devmap_hash") return answer;
    return indexOf(key) < this.capacity ? 0 : -errno.EINVAL;
  }

  override clone(): DeviceStore {
    return this.cloneInto(
      new DeviceStore(
        this.spec,
        this.capacity,
        this.copies,
        this.cells.clone(),
      ),
    );
  }

  #checked(
    key: Uint8Array,
    value: Uint8Array,
    flags: number,
    write: (flags: number) => number,
  ): number {
    const { type } = this.spec;
    const first = indexOf(value);
    if (flags >>> 0 > updateFlag.exist) return -errno.EINVAL;
    if (type === "devmap_hash")
      return first === 0 ? -errno.EINVAL : write(flags & updateFlag.noExist);
    if (indexOf(key) >= this.capacity) return -errno.E2BIG;
    if (type === "xskmap") return write(flags);
    if (flags === updateFlag.noExist) return -errno.EEXIST;
    if (type === "cpumap" && first > longestQueue) return -errno.EOVERFLOW;
    if (first !== 0) return write(updateFlag.any);
    if (type === "devmap" && (indexOf(value.subarray(4)) | 0) > 0)
      return -errno.EINVAL;
    return this.remove(key);
  }
}
