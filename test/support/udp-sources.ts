/**
 * Datagrams from many addresses of this machine, the first ones most often:
 *
 *   udp-sources.js HOST FIRST COUNT    from FIRST.10 on; { ready }, then until killed
 *
 * FIRST are three bytes of an address: `10.77.0`.
 */
import { createSocket } from "node:dgram";
import process from "node:process";

const [host = "", first = "", count = "1"] = process.argv.slice(2);
const sockets = Array.from({ length: Number(count) }, (_, at) => {
  const socket = createSocket("udp4");
  socket.bind({ address: `${first}.${10 + at}`, port: 5000 });
  return socket;
});
setInterval(() => {
  for (const [at, socket] of sockets.entries())
    for (let copies = 0; copies < Math.ceil(24 / (at + 1)); copies++)
      socket.send(Buffer.alloc(32), 7777, host);
}, 2);
process.send?.({ ready: true });
process.on("disconnect", () => process.exit(0));
