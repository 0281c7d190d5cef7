//! What a state's calls and transactions give, against what the engine says of it.
//!
//! Temperature: cold.

use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use gannet_engine::lending::comet::events::{ABSORB_DEBT, Event};
use gannet_engine::lending::comet::table::{CometTable, MarketId, Room};
use gannet_engine::lending::comet::{self, Account, Market, Totals, layout, pause};
use gannet_engine::lending::math::Fault;

use super::abi::Comet;
use super::{BORROWERS, BUYER, Bench, COMET, Position, State, both, reason};
use crate::differential::{Verdict, agree};
use crate::evm::{Receipt, STRANGER, TIME, mapping_slot};

const BUYS: usize = 2;

impl Bench {
    fn ask<C: SolCall>(&mut self, call: &C) -> Receipt {
        self.chain.peek(STRANGER, COMET, call.abi_encode())
    }

    fn same<C: SolCall>(&mut self, what: &str, ours: Result<C::Return, Fault>, call: &C) -> Verdict
    where
        C::Return: PartialEq + std::fmt::Debug,
    {
        let receipt = self.ask(call);
        let Some(ours) = both(what, ours, &receipt)? else { return Ok(()) };
        let answer = receipt.answer.expect("both agree that it has one");
        agree(what, ours, C::abi_decode_returns(&answer).expect("it returns what it says"))
    }

    /// What can be asked without changing anything.
    pub(super) fn views(&mut self, state: &State) -> Verdict {
        let State { market, assets, positions, .. } = state;
        let Market { terms, totals } = market;
        let prices = |what| state.price(what);

        let utilization = comet::utilization(totals);
        self.same("utilisation", utilization, &Comet::getUtilizationCall {})?;
        let utilization = utilization.expect("its products fit");
        let call = Comet::getSupplyRateCall { utilization };
        self.same("supply rate", terms.supply.rate(utilization), &call)?;
        let call = Comet::getBorrowRateCall { utilization };
        self.same("borrow rate", terms.borrow.rate(utilization), &call)?;
        self.count("utilisation and rates");

        let accrued = comet::accrued(market, TIME);
        let reserves = accrued.and_then(|market| comet::reserves(&market));
        self.same("reserves", reserves, &Comet::getReservesCall {})?;
        if reserves.is_ok_and(|reserves| reserves.is_negative()) {
            self.count("reserves below zero");
        }
        for (position, owner) in positions.iter().zip(BORROWERS) {
            let account = position.account();
            let ours = comet::is_liquidatable(market, assets, &account, &prices);
            self.same("is liquidatable", ours, &Comet::isLiquidatableCall { account: owner })?;
            let health = comet::health(market, assets, &account, &prices);
            agree("both ways to ask", health.map(|health| health.is_liquidatable), ours)?;
            self.count(match ours {
                Ok(true) => "liquidatable before interest",
                Ok(false) => "not liquidatable before interest",
                Err(_) => "no health before interest",
            });
            let owed = accrued.and_then(|market| {
                let debt = position.principal.min(0).unsigned_abs();
                comet::accrue::present(debt, market.totals.borrow_index)
            });
            self.same("debt", owed, &Comet::borrowBalanceOfCall { account: owner })?;
        }
        for (index, asset) in (0_u8..).zip(assets) {
            let amount = U256::from(self.random.share(1 << 70));
            let ours = comet::quote_collateral(market, (index, asset), amount, &prices);
            let call = Comet::quoteCollateralCall { asset: asset.token, amount };
            self.same("quote", ours, &call)?;
            if ours.is_ok() {
                self.count("quoted");
            }
        }
        Ok(())
    }

    /// An absorption (or a touch of the market), and purchases behind it.
    pub(super) fn transactions(&mut self, state: State) -> Verdict {
        let mut table = CometTable::new(Room { markets: 1, assets: 24, accounts: 2 });
        let id = table.insert_market(COMET).expect("there is room");
        table.set_market(id, &state.market, &state.assets, &mut |_| ()).expect("it is there");
        for (owner, position) in BORROWERS.into_iter().zip(&state.positions) {
            let account = table.add_account(id, owner, &mut |_| ()).expect("it is there");
            let account = account.expect("there is room");
            table.set_account(account, &position.account(), &mut |_| ()).expect("it is there");
        }
        let mut now = state;
        let mut seized = vec![0; now.assets.len()];
        if self.random.below(3) == 0 {
            self.touch(&mut now)?;
        } else {
            self.absorb(&mut now, &mut seized, &mut table)?;
        }
        for _ in 0..BUYS {
            self.buy(&mut now, &seized, &mut table)?;
        }
        Ok(())
    }

    /// Somebody touches the market, which brings its indices up to date.
    fn touch(&mut self, now: &mut State) -> Verdict {
        let call = Comet::accrueAccountCall { account: STRANGER };
        let receipt = self.chain.send(STRANGER, COMET, call.abi_encode());
        let ours = comet::accrued(&now.market, TIME);
        let Some(after) = both("touch", ours, &receipt)? else { return Ok(()) };
        self.count("touched");
        agree("touched totals", after.totals, self.stored_totals())?;
        for (position, owner) in now.positions.clone().iter().zip(BORROWERS) {
            let prices = |what| now.price(what);
            let account = position.account();
            let before = comet::is_liquidatable(&now.market, &now.assets, &account, &prices);
            let ours = comet::is_liquidatable(&after, &now.assets, &account, &prices);
            self.same("after a touch", ours, &Comet::isLiquidatableCall { account: owner })?;
            if before != ours {
                self.count("liquidatable by interest alone");
            }
        }
        now.market = after;
        Ok(())
    }

    fn absorb(&mut self, now: &mut State, seized: &mut [u128], table: &mut CometTable) -> Verdict {
        // One, the other, both, or one twice.
        let whom = self.random.pick(&[&[0_usize][..], &[0], &[0], &[1], &[0, 1], &[1, 0], &[0, 0]]);
        let accounts = whom.iter().map(|number| BORROWERS[*number]).collect();
        let call = Comet::absorbCall { absorber: STRANGER, accounts };
        let receipt = self.chain.send(STRANGER, COMET, call.abi_encode());
        let mut paid = vec![];
        let ours = absorbed(now, whom, &mut paid);
        let Some(after) = both("absorb", ours, &receipt)? else {
            let error = receipt.answer.expect_err("both agree that it has none");
            self.count(&format!("absorb refused: {}", reason(&error)));
            // The market's indices are as old as before.
            now.market = comet::accrued(&now.market, TIME).unwrap_or(now.market);
            return Ok(());
        };
        for number in whom {
            for (seized, balance) in seized.iter_mut().zip(now.positions[*number].seized()) {
                *seized += balance;
            }
        }
        self.count_absorbed(now, &after, whom, &paid);
        *now = after;
        agree("absorbed totals", now.market.totals, self.stored_totals())?;
        let debts = receipt.logs.iter().filter(|log| log.topics().first() == Some(&ABSORB_DEBT));
        let words = debts.map(|log| {
            let (words, _) = log.data.data.as_chunks::<32>();
            [words[0], words[1]].map(U256::from_be_bytes)
        });
        agree("paid out", paid, words.collect())?;
        self.follow(table, now, &receipt)
    }

    fn count_absorbed(
        &mut self,
        before: &State,
        after: &State,
        whom: &[usize],
        paid: &[[U256; 2]],
    ) {
        self.count("absorbed");
        if whom.len() > 1 {
            self.count("absorbed, two at once");
        }
        let has_credit = whom.iter().any(|number| after.positions[*number].principal > 0);
        if has_credit {
            self.count("absorbed, with a credit");
        } else if whom.len() == 1 && paid.iter().all(|[paid, _]| !paid.is_zero()) {
            let [number, ..] = whom else { return };
            let had = before.positions[*number].seized().iter().any(|balance| *balance > 0);
            if had {
                self.count("absorbed, at the reserves' cost");
            }
        }
    }

    fn buy(&mut self, now: &mut State, seized: &[u128], table: &mut CometTable) -> Verdict {
        let number = self.random.below(now.assets.len());
        let index = u8::try_from(number).expect("few");
        let asset = now.assets[number];
        // Interest up to now, as the contract counts it whether somebody touched the market or not.
        let Ok(market) = comet::accrued(&now.market, TIME) else { return Ok(()) };
        let (amount, least) = {
            let prices = |what| now.price(what);
            let most = comet::most_base(&market, (index, &asset), &prices).unwrap_or(U256::ONE);
            let most = u128::try_from(most).unwrap_or(1 << 80);
            let amount = match self.random.below(8) {
                0 => most.saturating_add(1),
                1 => self.random.share(1 << 60),
                2 => most,
                _ => self.random.share(most),
            };
            let quote =
                comet::quote_collateral(&market, (index, &asset), U256::from(amount), &prices);
            let least = match self.random.below(6) {
                0 => quote.unwrap_or(U256::ZERO) + U256::ONE,
                1 => U256::ZERO,
                _ => quote.unwrap_or(U256::ZERO),
            };
            (amount, least)
        };
        let call = Comet::buyCollateralCall {
            asset: asset.token,
            minAmount: least,
            baseAmount: U256::from(amount),
            recipient: STRANGER,
        };
        self.chain.set_slot(asset.token, mapping_slot(STRANGER, 0), U256::ZERO);
        let receipt = self.chain.send(BUYER, COMET, call.abi_encode());
        let prices = |what| now.price(what);
        let ours = comet::buy(&market, (index, &asset), amount, &prices);
        let is_open = ours != Err(Fault::Forbidden);
        let quote = comet::quote_collateral(&market, (index, &asset), U256::from(amount), &prices);
        if is_open && quote.is_ok_and(|quote| quote < least) {
            self.count("buy refused: TooMuchSlippage");
            let refused = receipt.answer.as_ref().map_err(|error| reason(error).to_owned());
            return agree("slippage", Err("TooMuchSlippage".to_owned()), refused.map(|_| ()));
        }
        let Some(bought) = both("buy", ours, &receipt)? else {
            let error = receipt.answer.expect_err("both agree that it has none");
            let forbidden =
                if market.totals.is_paused(pause::BUY) { "Paused" } else { "NotForSale" };
            self.count(&format!("buy refused: {}", reason(&error)));
            return match is_open {
                true => Ok(()),
                false => agree("why it is forbidden", forbidden, reason(&error)),
            };
        };
        self.count("bought");
        if seized[number] > 0 && bought.collateral_out > 0 {
            self.count("bought what was absorbed just before");
        }
        let got = self.chain.slot(asset.token, mapping_slot(STRANGER, 0));
        agree("collateral bought", U256::from(bought.collateral_out), got)?;
        now.assets[number] = bought.asset;
        // A purchase does not touch the indices.
        now.market.totals.held = bought.market.totals.held;
        let held = self.chain.slot(self.terms.base_token, mapping_slot(COMET, 0));
        agree("base tokens held", U256::from(now.market.totals.held), held)?;
        self.follow(table, now, &receipt)
    }

    /// The market's totals as they are in storage.
    fn stored_totals(&mut self) -> Totals {
        let [indices, sums] =
            [layout::INDICES, layout::TOTALS].map(|slot| self.chain.slot(COMET, slot));
        let held = self.chain.slot(self.terms.base_token, mapping_slot(COMET, 0));
        layout::totals(indices, sums, layout::held(held).expect("128 bits"))
    }

    /// The table applies what was logged, reads what it says is to be read, and is then what
    /// storage says and what the engine's functions say.
    fn follow(&mut self, table: &mut CometTable, now: &State, receipt: &Receipt) -> Verdict {
        const MARKET: MarketId = MarketId(0);
        for event in events(receipt)? {
            table.apply(MARKET, &event, &mut |_| ()).expect("the market is there");
        }
        for id in table.stale().collect::<Vec<_>>() {
            let (_, owner) = table.owner(id).expect("it is in the list");
            let word = self.chain.slot(COMET, layout::account_slot(owner));
            let (principal, assets_in) = layout::account(word);
            let slots = now.assets.iter().map(|asset| layout::balance_slot(owner, asset.token));
            let words = slots.map(|slot| layout::amount(self.chain.slot(COMET, slot)));
            let balances: Vec<_> = words.collect();
            let read = Account { principal, assets_in, balances: &balances };
            table.set_account(id, &read, &mut |_| ()).expect("it is in the list");
        }
        let totals = self.stored_totals();
        let (mirror, assets) = table.market(MARKET).expect("it was read");
        agree("mirrored base tokens", mirror.totals.held, totals.held)?;
        agree("mirrored collateral", assets, &now.assets[..])?;
        for (owner, position) in BORROWERS.into_iter().zip(&now.positions) {
            let id = table.account_id(MARKET, owner).expect("it is there");
            let account = table.account(id).expect("it was read");
            agree("principal", account.principal, position.principal)?;
            agree("bits", account.assets_in, position.assets_in)?;
            agree("balances", &account.balances[..now.assets.len()], &position.balances[..])?;
        }
        Ok(())
    }
}

impl Position {
    /// What an absorption takes.
    fn seized(&self) -> Vec<u128> {
        let has = |index: usize| (self.assets_in >> index) & 1 == 1;
        let balances = self.balances.iter().enumerate();
        balances.map(|(index, balance)| if has(index) { *balance } else { 0 }).collect()
    }
}

/// What the engine says that absorbing these accounts one behind the other does.
fn absorbed(now: &State, whom: &[usize], paid: &mut Vec<[U256; 2]>) -> Result<State, Fault> {
    let mut after = now.clone();
    if now.market.totals.is_paused(pause::ABSORB) {
        return Err(Fault::Forbidden);
    }
    after.market = comet::accrued(&now.market, TIME)?;
    for number in whom {
        let position = after.positions[*number].clone();
        let account = position.account();
        let prices = |what| now.price(what);
        let absorbed = comet::absorb(&after.market, &after.assets, &account, &prices)?;
        let seized = position.seized();
        for (asset, balance) in after.assets.iter_mut().zip(&seized) {
            *asset = asset.after_seizing(*balance)?;
        }
        let kept = position.balances.iter().zip(&seized).map(|(had, lost)| had - lost);
        after.positions[*number] =
            Position { principal: absorbed.principal, assets_in: 0, balances: kept.collect() };
        after.market = absorbed.market;
        paid.push([absorbed.base_paid_out, absorbed.value_paid_out]);
    }
    Ok(after)
}

/// The market's own logs of a transaction.
fn events(receipt: &Receipt) -> Result<Vec<Event>, String> {
    let ours = receipt.logs.iter().filter(|log| log.address == COMET);
    let read = ours.map(|log| Event::of_bytes(log.topics(), &log.data.data));
    read.map(|read| read.map_err(|error| format!("{error:?}"))?.ok_or_else(|| "unknown".into()))
        .collect()
}
