// What `scripts/bench-backtest` measured, as a table and as JSON: bench-backtest.mjs FIGURES RUN.json...
import { readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";

const STAGES = ["read", "rows", "world", "strategies", "trade", "start"];
const [figures, ...files] = process.argv.slice(2);
const runs = {};
for (const file of files) {
  const { blocks, spent, digest, contradicted, plans } = JSON.parse(readFileSync(file, "utf8"));
  const micros = Object.fromEntries(STAGES.map((stage) => [stage, (spent[stage] * 1e6) / blocks]));
  const blocks_per_s = blocks / spent.wall;
  const cpu = readFileSync(file.replace(/json$/, "cpu"), "utf8").trim().split("\n").at(-1).split(" ").map(Number);
  const blocks_per_cpu_s = blocks / (cpu[0] + cpu[1]);
  const rss_mb = spent.peak_rss_kb / 1024;
  runs[basename(file, ".json")] = { blocks, blocks_per_s, blocks_per_cpu_s, rss_mb, micros, digest, contradicted: contradicted ?? 0, plans };
}
console.log(`| run | blocks/s | blocks/s of processor | RSS, MB | ${STAGES.map((stage) => `${stage}, µs`).join(" | ")} |`);
console.log(`| --- | --- | --- | --- | ${STAGES.map(() => "---").join(" | ")} |`);
for (const [name, { blocks_per_s, blocks_per_cpu_s, rss_mb, micros }] of Object.entries(runs)) {
  const stages = STAGES.map((stage) => micros[stage].toFixed(1)).join(" | ");
  console.log(`| ${name} | ${blocks_per_s.toFixed(0)} | ${blocks_per_cpu_s.toFixed(0)} | ${rss_mb.toFixed(0)} | ${stages} |`);
}
const out = { runs };
for (const kind of ["arbitrage-3", "arbitrage-4", "bare"]) {
  const [one, two] = [runs[`${kind}-1`], runs[`${kind}-2`]];
  if (one.digest !== two.digest) throw new Error(`${kind}: one core and two differ: ${one.digest}, ${two.digest}`);
  out[`${kind}_two_cores`] = two.blocks_per_s / one.blocks_per_s;
  console.log(`${kind}: two cores are ${out[`${kind}_two_cores`].toFixed(2)} times as fast as one; digest ${one.digest}`);
  if (one.contradicted > 0) throw new Error(`${kind}: ${one.contradicted} logs contradict the pools`);
}
writeFileSync(figures, `${JSON.stringify(out, null, 2)}\n`);
