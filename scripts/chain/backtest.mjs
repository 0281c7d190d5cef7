// Whether a backtest of what the bot heard makes the plans that the bot made.

import { spawnSync } from 'node:child_process';

/** The plans of a journal as those of a backtest are: each as one line of text, in order. */
const linesOf = (journal) =>
  journal
    .filter(({ kind }) => kind === 'submitted')
    .map(({ plan, net_wei }) => line({ ...plan, net_wei, follows: plan.target }));

function line({ strategy, legs, profit, net_wei, follows, liquidation }) {
  const swaps = legs.map(({ pool, zero_for_one, amount_in, amount_out }) => [pool.toLowerCase(), zero_for_one, amount_in, amount_out]);
  return JSON.stringify([strategy, swaps, profit, net_wei, follows ?? null, liquidation ? order(liquidation) : null]);
}

/** Whom a plan liquidates, by the number that both count borrowers with, and how. */
function order({ loan, debt, collateral, size, paid_most, funding, premium, exit_legs }) {
  const lender = funding.lender?.toLowerCase() ?? null;
  const tokens = [debt, collateral].map((token) => token.toLowerCase());
  return [loan, ...tokens, size.unit, size.amount, paid_most, funding.kind, lender, premium, exit_legs];
}

/** What differs between the bot's journal and a backtest of its recording, under the same settings; both must have some plan. */
export function compareBacktest({ bot, config, settings, recording, journal }) {
  const args = ['backtest', recording, '--config', config, '--json', ...settings.flatMap((setting) => ['--set', setting])];
  const ran = spawnSync(bot, args, { encoding: 'utf8', maxBuffer: 1 << 30 });
  if (ran.status !== 0) return [`the backtest ended with ${ran.status}: ${ran.stderr}`];
  const { planned } = JSON.parse(ran.stdout);
  const [live, again] = [linesOf(journal), planned.map(line)];
  if (live.length === 0) return ['the bot made no plan that a backtest could make too'];
  const longest = Math.max(live.length, again.length);
  const differing = Array.from({ length: longest }, (_, place) => place).filter((place) => live[place] !== again[place]);
  const liquidations = planned.filter(({ liquidation }) => liquidation).length;
  const ofThese = liquidations > 0 ? ` (${liquidations} of these liquidate)` : '';
  console.error(`demo: ${live.length} plans of the bot, ${again.length} of the backtest${ofThese}, ${differing.length} differ`);
  const isLending = settings.some((setting) => setting.startsWith('strategy.liquidation.'));
  if (isLending && liquidations === 0) return ['no plan that was compared liquidates anybody'];
  if (differing.length === 0) return [];
  const [first] = differing;
  return [`plan ${first} of the bot: ${live[first]}; of the backtest: ${again[first]}`];
}
