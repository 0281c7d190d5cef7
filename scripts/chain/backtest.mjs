// Whether a backtest of what the bot heard makes the plans that the bot made.

import { spawnSync } from 'node:child_process';

/** The plans of a journal, and those of a backtest of the same inputs: each as one line of text, in order. */
const lines = {
  ofJournal: (journal) =>
    journal
      .filter(({ kind }) => kind === 'submitted')
      .map(({ plan, net_wei }) => line({ ...plan, net_wei, follows: plan.target })),
  ofBacktest: (backtest) => backtest.planned.map(line),
};

function line({ strategy, legs, profit, net_wei, follows }) {
  const swaps = legs.map(({ pool, zero_for_one, amount_in, amount_out }) => [pool.toLowerCase(), zero_for_one, amount_in, amount_out]);
  return JSON.stringify([strategy, swaps, profit, net_wei, follows ?? null]);
}

/** What differs between the bot's journal and a backtest of its recording; both must have some plan. */
export function compareBacktest({ bot, config, recording, journal }) {
  const ran = spawnSync(bot, ['backtest', recording, '--config', config, '--json'], { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (ran.status !== 0) return [`the backtest ended with ${ran.status}: ${ran.stderr}`];
  const [live, again] = [lines.ofJournal(journal), lines.ofBacktest(JSON.parse(ran.stdout))];
  if (live.length === 0) return ['the bot made no plan that a backtest could make too'];
  const longest = Math.max(live.length, again.length);
  const differing = Array.from({ length: longest }, (_, place) => place).filter((place) => live[place] !== again[place]);
  console.error(`demo: ${live.length} plans of the bot, ${again.length} of the backtest, ${differing.length} differ`);
  if (differing.length === 0) return [];
  const [first] = differing;
  return [`plan ${first} of the bot: ${live[first]}; of the backtest: ${again[first]}`];
}
