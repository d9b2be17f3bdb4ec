// What the dispatcher costs as a program: BPF_PROG_TEST_RUN, which does not act on the
// redirect, beside a program that does nothing. Median and range of nine runs.
//   node scripts/dispatch-cost.mjs [--packets 1000000]
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = new URL("..", import.meta.url).pathname;
const dist = (file) => import(join(root, "dist", file));
const divisi = await dist("index.js");
const { emptyProgram, loadFilled, openKernel } = await dist("engine/index.js");
const { boundDispatcher } = await dist("dispatched.js");
const { buildFrame } = await dist("packet/index.js");
const { values } = parseArgs({
  options: { packets: { type: "string", default: "1000000" } },
});
const repeat = Number(values.packets);

const plain = buildFrame({
  ipv4: { src: "10.0.0.1", dst: "10.0.0.2" },
  udp: { sport: 1000, dport: 2000 },
  size: 64,
});
const six = buildFrame({
  ipv6: { src: "2001:db8::1", dst: "2001:db8::2" },
  udp: { sport: 1000, dport: 2000 },
  size: 74,
});
const rows = [
  ["testdata/dispatch/mac-meter.o", "eth.src", plain],
  ["nfs/c/policer.o", "ipv4.dst on wan", plain],
  ["nfs/c/firewall.o", "5-tuple", plain],
  ["testdata/dispatch/policer6.o", "ipv6.dst", six],
];
const kernel = await openKernel();
function report(name, program, frame) {
  const samples = Array.from(
    { length: 9 },
    () => program.testRun(frame, { repeat }).durationNs,
  ).sort((a, b) => a - b);
  console.log(
    name.padEnd(18),
    `${samples[4]} ns [${samples[0]}..${samples[8]}]`,
  );
}

const empty = kernel.load([emptyProgram]);
report("nothing", empty.program(), plain);
empty.close();
for (const [object, key, frame] of rows) {
  const options = {
    file: object,
    set: [],
    ports: [],
    userWrites: [],
    kernelBtf: () => undefined,
  };
  const bytes = readFileSync(join(root, object));
  const first = divisi.analyseLoaded(divisi.load(bytes, options), options);
  // Test runs come in on loopback, interface 1.
  const ports = first.ports.map(({ name }, at) => ({
    name,
    ifindex: first.ports.length - at,
  }));
  const bound = { ...options, ports };
  const subject = divisi.analyseLoaded(divisi.load(bytes, bound), bound);
  const artifact = divisi.generate(subject, divisi.nicProfile("generic"), {
    cores: 2,
    ports,
    dispatch: "software",
  });
  const emitted = divisi.readObject(artifact.bytes, "core.o");
  const loaded = loadFilled(kernel, {
    program: artifact.emitted,
    ...(emitted.btf === undefined ? {} : { btf: emitted.btf }),
    contents: {},
    dispatcher: boundDispatcher(emitted, 2),
  });
  report(key, loaded.program("dispatch"), frame);
  loaded.close();
}
kernel.close();
