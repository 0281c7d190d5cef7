// What scripts/bench makes of its figures: who measured what and when, and the table in benches/README.md.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";

const README = "benches/README.md";
const [BEGIN, END] = ["<!-- scripts/bench writes from here -->", "<!-- to here -->"];
const [what, file] = process.argv.slice(2);
const figures = JSON.parse(readFileSync(file, "utf8"));

const time = (ns) => (ns < 1_000 ? `${ns} ns` : ns < 1e6 ? `${(ns / 1e3).toPrecision(3)} µs` : `${(ns / 1e6).toPrecision(3)} ms`);
const row = (cells) => `| ${cells.join(" | ")} |`;
const table = (head, rows) => [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

function about() {
  const git = (...args) => execFileSync("git", args, { encoding: "utf8" }).trim();
  const changed = git("status", "--porcelain") === "" ? "" : ", changed";
  const [{ model }] = cpus();
  const { allocations = 0, ...rest } = figures;
  const head = { machine: `${cpus().length} cores, ${model}`, commit: git("rev-parse", "--short", "HEAD") + changed };
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(file, JSON.stringify({ ...head, date, allocations, ...rest }, null, 2) + "\n");
}

function write() {
  const { machine, commit, date, allocations, pipeline, wire_to_wire: wire, flood, scaling, sign, loans } = figures;
  const times = (entry) => ["p50_ns", "p99_ns", "p999_ns"].filter((key) => key in entry).map((key) => time(entry[key]));
  const against = (name, base) => (wire[name].p50_ns / wire[base].p50_ns).toFixed(2);
  const parts = [
    `${machine}; ${date}, commit ${commit}; \`scripts/bench\`. Allocations on the path: ${allocations}.`,
    table(["in process, 10,000 pools", "p50", "p99"], Object.entries(pipeline).map(([name, entry]) => [`\`${name}\``, ...times(entry)])),
    table(
      ["wire to wire", "p50", "p99", "p99.9", "p50 to `echo_spin`", "p50 to `gannet_spin`"],
      Object.entries(wire).map(([name, entry]) => [`\`${name}\``, ...times(entry), against(name, "echo_spin"), against(name, "gannet_spin")]),
    ),
    table(
      ["pending transactions a second", "p50", "p99", "p99.9", "dropped"],
      Object.entries(flood).map(([rate, entry]) => [Number(rate).toLocaleString("en"), ...times(entry), entry.dropped]),
    ),
    table(["`pending_2hop` at", "p50"], Object.entries(scaling).map(([pools, entry]) => [`${Number(pools).toLocaleString("en")} pools`, ...times(entry)])),
    table(
      [`${loans.borrowers.toLocaleString("en")} borrowers, ${(loans.bytes / 1e6).toFixed(0)} MB`, "p50", "p99"],
      Object.entries(loans.cases).map(([name, entry]) => [`\`${name}\``, ...times(entry)]),
    ),
    table(["signature", "p50"], Object.entries(sign).map(([name, entry]) => [name, ...times(entry)])),
  ];
  const readme = readFileSync(README, "utf8");
  const [from, to] = [readme.indexOf(BEGIN), readme.indexOf(END)];
  if (from < 0 || to < from) throw new Error(`${README} has no place for the table`);
  writeFileSync(README, `${readme.slice(0, from)}${BEGIN}\n\n${parts.join("\n\n")}\n\n${readme.slice(to)}`);
}

({ about, write })[what]();
