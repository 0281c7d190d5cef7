// What `scripts/bench-backtest` measured, as a table and as JSON: bench-backtest.mjs FIGURES FOLDER ROUNDS
//
// The quickest round of each kind counts: others use the machine, too, and nothing makes a flight quicker than it is.
import { readFileSync, writeFileSync } from "node:fs";

const STAGES = ["read", "rows", "world", "strategies", "trade", "start"];
const KINDS = ["bare", "arbitrage-3", "arbitrage-4"];
const CORES = [1, 2];

const [figures, folder, count] = process.argv.slice(2);
const rounds = Array.from({ length: Number(count) }, (_, round) => round + 1);

/** What one flight took. */
function readFlight(name) {
  const { blocks, spent, digest, contradicted, plans } = JSON.parse(readFileSync(`${folder}/${name}.json`, "utf8"));
  const [user, system] = readFileSync(`${folder}/${name}.cpu`, "utf8").trim().split("\n").at(-1).split(" ").map(Number);
  return {
    blocks,
    blocks_per_s: blocks / spent.wall,
    blocks_per_cpu_s: blocks / (user + system),
    rss_mb: spent.peak_rss_kb / 1024,
    micros: Object.fromEntries(STAGES.map((stage) => [stage, (spent[stage] * 1e6) / blocks])),
    digest,
    contradicted: contradicted ?? 0,
    plans,
  };
}

/** The quickest of the rounds, the most memory of any, and how fast all of them were. */
function readRounds(name) {
  const flights = rounds.map((round) => readFlight(`${name}-${round}`));
  const best = flights.reduce((one, other) => (other.blocks_per_s > one.blocks_per_s ? other : one));
  const digests = new Set(flights.map(({ digest }) => digest));
  if (digests.size > 1) throw new Error(`${name}: two rounds differ: ${[...digests].join(", ")}`);
  const wrong = flights.find(({ contradicted }) => contradicted > 0);
  if (wrong) throw new Error(`${name}: ${wrong.contradicted} logs contradict the pools`);
  const rss_mb = Math.max(...flights.map((flight) => flight.rss_mb));
  return { ...best, rss_mb, rounds: flights.map(({ blocks_per_s }) => Math.round(blocks_per_s)) };
}

const runs = {};
for (const kind of KINDS) for (const cores of CORES) runs[`${kind}-${cores}`] = readRounds(`${kind}-${cores}`);

console.log(`| run | blocks/s | each round | blocks/s of processor | RSS, MB | ${STAGES.map((stage) => `${stage}, µs`).join(" | ")} |`);
console.log(`| --- | --- | --- | --- | --- | ${STAGES.map(() => "---").join(" | ")} |`);
for (const [name, { blocks_per_s, rounds: all, blocks_per_cpu_s, rss_mb, micros }] of Object.entries(runs)) {
  const numbers = [blocks_per_s.toFixed(0), all.join(", "), blocks_per_cpu_s.toFixed(0), rss_mb.toFixed(0)];
  console.log(`| ${[name, ...numbers, ...STAGES.map((stage) => micros[stage].toFixed(1))].join(" | ")} |`);
}
const out = { runs };
for (const kind of KINDS) {
  const [one, two] = CORES.map((cores) => runs[`${kind}-${cores}`]);
  if (one.digest !== two.digest) throw new Error(`${kind}: one core and two differ: ${one.digest}, ${two.digest}`);
  const times = two.blocks_per_s / one.blocks_per_s;
  out[`${kind}_two_cores`] = times;
  console.log(`${kind}: two cores are ${times.toFixed(2)} times as fast as one; digest ${one.digest}`);
}
writeFileSync(figures, `${JSON.stringify(out, null, 2)}\n`);
