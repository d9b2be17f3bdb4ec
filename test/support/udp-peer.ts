/**
 * Numbered datagrams of many flows from one process to another; what came is counted
 * by flow. Speaks with its parent over the channel of child processes.
 *
 *   udp-peer.js receive                 → { ready }, then on "stop" { received: [per flow] }
 *   udp-peer.js send HOST FLOWS         sends until "stop" → { sent: [per flow] }
 */
import { createSocket, type Socket } from "node:dgram";
import process from "node:process";

const port = 7777;
const [what, host = "", flows = "1"] = process.argv.slice(2);

function onStop(work: () => void): void {
  process.on("message", (message) => {
    if (message === "stop") work();
  });
}

function receive(): void {
  const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 22 });
  const received: number[] = [];
  socket.on("message", (bytes) => {
    const flow = bytes.readUInt32LE(0);
    received[flow] = (received[flow] ?? 0) + 1;
  });
  socket.bind(port, () => process.send?.({ ready: true }));
  onStop(() => {
    process.send?.({ received }, () => process.exit(0));
  });
}

function send(): void {
  const sockets = Array.from({ length: Number(flows) }, () =>
    createSocket("udp4"),
  );
  const sent = sockets.map(() => 0);
  let isOver = false;
  const one = (socket: Socket, flow: number): void => {
    const bytes = Buffer.alloc(32);
    bytes.writeUInt32LE(flow);
    socket.send(bytes, port, host, (error) => {
      if (error === null) sent[flow] = (sent[flow] ?? 0) + 1;
    });
  };
  const round = setInterval(() => {
    if (isOver) return;
    for (const [flow, socket] of sockets.entries()) one(socket, flow);
  }, 2);
  onStop(() => {
    isOver = true;
    clearInterval(round);
    // What is on its way arrives.
    setTimeout(() => process.send?.({ sent }, () => process.exit(0)), 300);
  });
  process.send?.({ ready: true });
}

if (what === "send") send();
else receive();
