// Draws docs/strategies.svg from bench/results/strategies.json alone: one panel per
// network function, million packets per second by churn, a line per strategy and cores.
//   node scripts/plot-strategies.mjs [RESULTS [SVG]]
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

const root = new URL("..", import.meta.url).pathname;
const [
  source = join(root, "bench/results/strategies.json"),
  target = join(root, "docs/strategies.svg"),
] = process.argv.slice(2);
const { rows, machine, date, passes, traffic, seconds } = JSON.parse(
  readFileSync(source, "utf8"),
);
const escape = (text) =>
  String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;");

const churns = [...new Set(rows.map(({ churn }) => churn))].sort(
  (a, b) => a - b,
);
const counts = [...new Set(rows.map(({ cores }) => cores))].sort(
  (a, b) => a - b,
);
const most = counts.at(-1);
const programs = [...new Set(rows.map(({ program }) => program))].sort(
  (left, right) => (left < right ? -1 : 1),
);

// Colours that are told apart without red and green; dashes tell cores apart.
const colours = {
  "shared-nothing": "#0072b2",
  lock: "#d55e00",
  transaction: "#cc79a7",
  merge: "#009e73",
};
const oneCore = "#6b7280";
const dashes = ["", "5 3", "2 2"];
const series = [
  {
    strategy: "shared-nothing",
    cores: 1,
    name: "one core, sequential",
    colour: oneCore,
    dash: "4 3",
  },
  ...counts
    .filter((cores) => cores > 1)
    .toReversed()
    .flatMap((cores, at) =>
      Object.entries(colours).map(([strategy, colour]) => ({
        strategy,
        cores,
        colour,
        dash: dashes[at] ?? "2 2",
        name: `${strategy}, ${cores} cores`,
      })),
    ),
].filter(({ strategy, cores }) =>
  rows.some((row) => row.strategy === strategy && row.cores === cores),
);

const columns = 5;
const panel = { width: 236, height: 168 };
const plot = { left: 36, top: 26, width: 186, height: 104 };
const lines = Math.ceil(programs.length / columns);
const top = 84;
const legendRows = Math.ceil(series.length / 5);
const size = {
  width: columns * panel.width + 24,
  height: top + 18 * legendRows + lines * panel.height + 40,
};

/** 0 stands beside the powers of ten. */
const x = (churn) =>
  plot.left +
  (plot.width * churns.indexOf(churn)) / Math.max(1, churns.length - 1);
const power = (churn) =>
  churn === 0
    ? "0"
    : `10<tspan dy="-4" font-size="8">${Math.round(Math.log10(churn))}</tspan>`;

/** A round step with at most four ticks. */
function ticksOf(top) {
  const raw = top / 3;
  const unit = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10]
    .map((each) => each * unit)
    .find((each) => each >= raw);
  return Array.from(
    { length: Math.floor(top / step) + 1 },
    (_, at) => at * step,
  );
}

function drawPanel(program, at) {
  const own = rows.filter((row) => row.program === program);
  const high =
    1.08 *
    Math.max(...own.map(({ mpps, interval }) => Math.max(mpps, interval[1])));
  const y = (mpps) => plot.top + plot.height * (1 - mpps / high);
  const left = 12 + (at % columns) * panel.width;
  const down = top + 18 * legendRows + Math.floor(at / columns) * panel.height;
  const number = (value) => value.toFixed(1);
  const grid = ticksOf(high).map(
    (tick) =>
      `<line x1="${plot.left}" x2="${plot.left + plot.width}" y1="${number(y(tick))}" y2="${number(y(tick))}" stroke="#e5e7eb"/><text x="${plot.left - 5}" y="${number(y(tick) + 3)}" text-anchor="end" font-size="9" fill="#4b5563">${tick}</text>`,
  );
  const labels = churns.map(
    (churn) =>
      `<text x="${number(x(churn))}" y="${plot.top + plot.height + 14}" text-anchor="middle" font-size="9" fill="#4b5563">${power(churn)}</text>`,
  );
  const drawn = series.flatMap(({ strategy, cores, colour, dash }) => {
    const points = churns.flatMap((churn) =>
      own.filter(
        (row) =>
          row.strategy === strategy &&
          row.cores === cores &&
          row.churn === churn,
      ),
    );
    if (points.length === 0) return [];
    const path = points
      .map(
        ({ churn, mpps }, index) =>
          `${index === 0 ? "M" : "L"}${number(x(churn))} ${number(y(mpps))}`,
      )
      .join("");
    return [
      `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.6"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}/>`,
      ...points.flatMap(({ churn, mpps, interval: [low, upper] }) => [
        `<line x1="${number(x(churn))}" x2="${number(x(churn))}" y1="${number(y(low))}" y2="${number(y(upper))}" stroke="${colour}" stroke-width="1" opacity="0.5"/>`,
        `<circle cx="${number(x(churn))}" cy="${number(y(mpps))}" r="2" fill="${colour}"/>`,
      ]),
    ];
  });
  return `<g transform="translate(${left} ${down})">
<text x="${plot.left}" y="16" font-size="12" font-weight="600" fill="#111827">${escape(program)}</text>
${[...grid, ...labels, ...drawn].join("\n")}
</g>`;
}

const legend = series.map(({ name, colour, dash }, at) => {
  const left = 16 + (at % 5) * 236;
  const down = top + 4 + 18 * Math.floor(at / 5);
  return `<line x1="${left}" x2="${left + 26}" y1="${down - 4}" y2="${down - 4}" stroke="${colour}" stroke-width="2"${dash === "" ? "" : ` stroke-dasharray="${dash}"`}/><text x="${left + 32}" y="${down}" font-size="11" fill="#111827">${escape(name)}</text>`;
});
const [before, after] = machine.loadAverage;
const words = [
  `Million packets per second on the portable engine, over all cores, by churn (new flows per minute of the trace, one packet every ${traffic.spacingNs} ns).`,
  `${machine.cpu}, ${machine.cpus} CPUs, real threads on up to ${most} cores, load ${before} to ${after}; ${date}, ${passes} passes in ${seconds} s; median and 90 % interval. Of the program alone: no NIC, no driver.`,
];
writeFileSync(
  target,
  `<svg xmlns="http://www.w3.org/2000/svg" width="${size.width}" height="${size.height}" viewBox="0 0 ${size.width} ${size.height}" role="img" aria-label="packets per second of each network function by churn, for each strategy" font-family="system-ui, Helvetica, Arial, sans-serif">
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="16" y="28" font-size="17" font-weight="600" fill="#111827">What shared state costs, by how it is kept apart</text>
${words.map((text, at) => `<text x="16" y="${46 + 15 * at}" font-size="11" fill="#4b5563">${escape(text)}</text>`).join("\n")}
${legend.join("\n")}
${programs.map(drawPanel).join("\n")}
<text x="16" y="${size.height - 14}" font-size="10" fill="#4b5563">Shared-nothing: each core knows its own flows only; what a plan reaches that shards by these flows. Locks and transactions serve any program.</text>
</svg>
`,
);
console.log(target);
