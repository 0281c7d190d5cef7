//! What the executor promises of liquidations: with the real protocols, every funding and every
//! kind of exit, profits are right to the wei, and nothing is left behind.
//!
//! What a liquidation takes and gives is what the protocol does for somebody who calls it himself.
//!
//! Temperature: cold.

use alloy::primitives::{Address, Bytes, U256};
use alloy::sol_types::{SolCall, SolEvent, SolValue};
use gannet_engine::gas::Shape;
use gannet_engine::gas::liquidations::{GasTable, Shape as LiquidationShape};
use gannet_engine::ids::{PoolId, TokenId};
use gannet_engine::loans::reread::VaultState;
use gannet_engine::loans::{Loans, Vault};
use gannet_engine::plan::Leg;
use gannet_engine::sign::liquidation::{Funding, Liquidation, Path, Protocol, Size};
use gannet_engine::units::BlockNumber;

use crate::comet::abi::Comet;
use crate::evm::abi::{Erc20, Executor};
use crate::evm::{BLOCK, COINBASE, Market, NATIVE, OPERATOR, OWNER, Receipt, STRANGER, Trade};
use crate::lenders::abi::{Aave, Morpho};
use crate::lenders::{BORROWER, COLLATERAL, DEBT, LLTV, LOW_PRICE, Lenders, PREMIUM};
use crate::mixed_pools::Kind::{self, Pair, Solidly, V3};

const ETHER: u128 = 1_000_000_000_000_000_000;
/// Of each token, what the executor holds beside what it needs.
const SPARE: u128 = 7_000_000;
/// Who calls the protocols himself.
const LIQUIDATOR: Address = Address::repeat_byte(0xa4);

/// What is liquidated, as programs number it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Aave,
    CometSold,
    CometAbsorbed,
    MorphoByShares,
    MorphoSeized,
    PreByShares,
    PreSeized,
}

use Of::{Aave as OfAave, CometAbsorbed, CometSold, MorphoByShares, MorphoSeized};
use Of::{PreByShares, PreSeized};

impl Of {
    const ALL: [Self; 7] =
        [OfAave, CometSold, CometAbsorbed, MorphoByShares, MorphoSeized, PreByShares, PreSeized];

    /// Whether its market pays before it takes.
    const fn calls_back(self) -> bool {
        matches!(self, MorphoByShares | MorphoSeized | PreByShares | PreSeized)
    }
}

/// Which token profit is taken in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Debt,
    Collateral,
    Weth,
}

/// Exits, or entries, of every make.
const STYLES: [&[Kind]; 7] =
    [&[Pair], &[V3], &[Solidly], &[Pair, V3], &[V3, Pair], &[V3, V3], &[Pair, Solidly]];

/// A program, and what is to come of it.
#[derive(Clone, Copy, Debug)]
struct Deal {
    program: Liquidation,
    /// Gain of the profit token.
    gain: u128,
    /// What is left of the debt token, where it is not the profit token.
    left: u128,
}

struct Scene {
    market: Market,
    lenders: Lenders,
    weth: TokenId,
    /// A contract that a borrower has authorised, which has collateral to give.
    pre: Address,
    /// The pools of paths that were asked for.
    paths: Vec<([TokenId; 2], Vec<Kind>, Vec<PoolId>)>,
}

impl Scene {
    fn new() -> Option<Self> {
        let mut market = Market::new();
        let lenders = Lenders::new(&mut market)?;
        let weth = market.weth;
        lenders.endow(&mut market, weth);
        for token in [lenders.debt, lenders.collateral, weth] {
            market.fund(market.address(token), market.executor, SPARE);
        }
        let [debt, collateral] = [lenders.debt, lenders.collateral].map(|t| market.address(t));
        let price = U256::from(LOW_PRICE * 950_000);
        let pre = market.contract("PreLiquidation", &(debt, collateral, price).abi_encode_params());
        market.fund(collateral, pre, COLLATERAL);
        market.fund(debt, LIQUIDATOR, 1 << 100);
        Some(Self { market, lenders, weth, pre, paths: vec![] })
    }

    /// A path between two tokens, made when it is first asked for, with fair and deep pools.
    fn path(&mut self, [from, to]: [TokenId; 2], kinds: &[Kind]) -> Vec<PoolId> {
        let held = self.paths.iter().find(|(ends, of, _)| *ends == [from, to] && of == kinds);
        if let Some((_, _, pools)) = held {
            return pools.clone();
        }
        let mut tokens = vec![from];
        tokens.extend((1..kinds.len()).map(|_| self.market.token(18)));
        tokens.push(to);
        let mut pools = vec![];
        for (kind, pair) in kinds.iter().zip(tokens.windows(2)) {
            pools.push(self.pool(*kind, [pair[0], pair[1]]));
        }
        self.paths.push(([from, to], kinds.to_vec(), pools.clone()));
        pools
    }

    /// Makes the pools that these programs need, so that they stay when all else is taken back.
    fn prepare(&mut self, profit: In, kinds: &[Kind]) {
        let token = self.profit_token(profit);
        if profit != In::Debt {
            self.path([token, self.lenders.debt], kinds);
        }
        if profit != In::Collateral {
            self.path([self.lenders.collateral, token], kinds);
        }
    }

    fn pool(&mut self, kind: Kind, tokens: [TokenId; 2]) -> PoolId {
        let reserves = tokens.map(|token| {
            let is_debt = token == self.lenders.debt;
            4_000 * if is_debt { u128::from(LOW_PRICE) * 1_000_000 } else { ETHER }
        });
        let market = &mut self.market;
        let is_sorted = market.address(tokens[0]) < market.address(tokens[1]);
        let sorted = if is_sorted { reserves } else { [reserves[1], reserves[0]] };
        match kind {
            Pair => market.pool(tokens, reserves),
            V3 => {
                let pool = market.v3_pool(tokens, 500);
                market.set_v3_flat(pool, sorted).expect("a price");
                pool
            }
            Solidly => {
                let pool = market.solidly_pool(tokens, false, 3_000);
                market.set_solidly(pool, sorted);
                pool
            }
        }
    }

    const fn profit_token(&self, profit: In) -> TokenId {
        match profit {
            In::Debt => self.lenders.debt,
            In::Collateral => self.lenders.collateral,
            In::Weth => self.weth,
        }
    }

    /// Every funding that there is for this.
    fn fundings(&self, of: Of, profit: In) -> Vec<Funding> {
        let Lenders { morpho, vault, aave, .. } = self.lenders;
        let mut all = vec![Funding::Own, Funding::Morpho(morpho), Funding::Balancer(vault)];
        // WETH is no reserve of the pool's.
        all.extend((profit != In::Weth).then_some(Funding::Aave(aave)));
        all.extend(of.calls_back().then_some(Funding::Market));
        all
    }

    /// The market, how it is called, and the most that is paid.
    fn protocol(&mut self, of: Of) -> (Address, Protocol, u128) {
        let (oracle, rate_model, lltv) = (self.lenders.oracle, Address::ZERO, LLTV);
        let morpho = |size| Protocol::Morpho { oracle, rate_model, lltv, size };
        let seized = 5 * ETHER;
        let comet = self.lenders.comet;
        match of {
            // More than there is to pay.
            OfAave => (self.lenders.aave, Protocol::Aave, DEBT + 77),
            CometSold | CometAbsorbed => {
                let absorbs = of == CometAbsorbed;
                (comet, Protocol::Comet { absorbs, least: self.bought() }, DEBT)
            }
            MorphoByShares => {
                let shares = Size::Shares(self.lenders.shares(&mut self.market));
                (self.lenders.morpho, morpho(shares), DEBT + 77)
            }
            MorphoSeized => (self.lenders.morpho, morpho(Size::Seized(seized)), DEBT),
            PreByShares => (self.pre, Protocol::PreLiquidation(Size::Shares(seized)), DEBT),
            PreSeized => (self.pre, Protocol::PreLiquidation(Size::Seized(seized)), DEBT),
        }
    }

    /// The collateral that a Comet sells for the debt.
    fn bought(&mut self) -> u128 {
        let asset = self.market.address(self.lenders.collateral);
        let call = Comet::quoteCollateralCall { asset, amount: U256::from(DEBT) };
        self.market.chain.read(self.lenders.comet, &call).expect("a view").to()
    }

    /// What the protocol takes of the debt token and gives of the collateral.
    fn terms(&mut self, of: Of) -> [u128; 2] {
        let [debt, collateral] =
            [self.lenders.debt, self.lenders.collateral].map(|token| self.market.address(token));
        let (to, _, paid) = self.protocol(of);
        let morpho = |seized, shares, scene: &Self| Morpho::liquidateCall {
            market: scene.lenders.params(&scene.market),
            borrower: BORROWER,
            seized: U256::from(seized),
            shares: U256::from(shares),
            data: Bytes::new(),
        };
        let call = match of {
            OfAave => Aave::liquidationCallCall {
                collateral,
                debt,
                user: BORROWER,
                amount: U256::from(paid),
                takesShares: false,
            }
            .abi_encode(),
            CometSold | CometAbsorbed => return [DEBT, self.bought()],
            PreByShares | PreSeized => return [5 * u128::from(LOW_PRICE) * 950_000, 5 * ETHER],
            MorphoSeized => morpho(5 * ETHER, 0, self).abi_encode(),
            MorphoByShares => {
                let shares = self.lenders.shares(&mut self.market);
                morpho(0, shares, self).abi_encode()
            }
        };
        let approval = Erc20::approveCall { spender: to, amount: U256::MAX };
        self.market.chain.send(LIQUIDATOR, debt, approval.abi_encode()).lands();
        let receipt = self.market.chain.peek(LIQUIDATOR, to, call).lands();
        let moved = receipt.logs.iter().filter_map(|log| {
            let event = Erc20::Transfer::decode_log(log).ok()?;
            Some((log.address, event.from, event.to, event.amount.to::<u128>()))
        });
        let moved: Vec<_> = moved.collect();
        let sum = |is_meant: &dyn Fn(Address, Address, Address) -> bool| {
            let of = moved.iter().filter(|(token, from, to, _)| is_meant(*token, *from, *to));
            of.map(|(.., amount)| amount).sum()
        };
        [
            sum(&|token, from, _| token == debt && from == LIQUIDATOR),
            sum(&|token, _, to| token == collateral && to == LIQUIDATOR),
        ]
    }

    /// What comes out of a path, as the contracts say.
    fn out(&mut self, token: TokenId, pools: &[PoolId], amount: u128) -> u128 {
        let trade = Trade::new(token, pools, amount);
        *self.market.flow(&trade).expect("the pools trade").last().expect("at least the input")
    }

    /// The least that must go into a path so that this comes out.
    fn least_in(&mut self, token: TokenId, pools: &[PoolId], wanted: u128) -> u128 {
        let (mut low, mut high) = (0, 100 * ETHER);
        while high - low > 1 {
            let middle = low.midpoint(high);
            let legs = self.market.legs(&Trade::new(token, pools, middle));
            let out = legs.last().expect("a leg").amount_out;
            if out >= wanted { high = middle } else { low = middle }
        }
        high
    }

    /// A liquidation with exactly what it gains as its minimum, and the executor given what it
    /// needs.
    fn deal(&mut self, of: Of, funding: Funding, profit: In, kinds: &[Kind]) -> Deal {
        let (debt, collateral, token) =
            (self.lenders.debt, self.lenders.collateral, self.profit_token(profit));
        if of == CometSold {
            let call = Comet::absorbCall { absorber: STRANGER, accounts: vec![BORROWER] };
            self.market.chain.send(STRANGER, self.lenders.comet, call.abi_encode()).lands();
        }
        let (contract, protocol, paid) = self.protocol(of);
        let [repaid, came] = self.terms(of);
        let (mut entry, mut exit) = (Path::NONE, Path::NONE);
        let (mut amount_in, mut left, mut out) = (0, 0, came);
        if profit != In::Debt {
            let pools = self.path([token, debt], kinds);
            amount_in = self.least_in(token, &pools, repaid);
            let bought = self.out(token, &pools, amount_in);
            left = bought - repaid;
            entry = self.swaps(token, &pools, amount_in, bought);
        } else if !matches!(funding, Funding::Own | Funding::Market) {
            amount_in = repaid;
        }
        if profit != In::Collateral {
            let pools = self.path([collateral, token], kinds);
            out = self.out(collateral, &pools, came);
            exit = self.swaps(collateral, &pools, came, out);
        }
        let fee = match funding {
            Funding::Aave(_) => (amount_in * PREMIUM + 5_000) / 10_000,
            Funding::Own | Funding::Morpho(_) | Funding::Balancer(_) | Funding::Market => 0,
        };
        let spent = if profit == In::Debt { repaid } else { amount_in };
        let gain = out.checked_sub(spent + fee).expect("it pays");
        let own = if funding == Funding::Own { spent } else { 0 };
        self.market.fund(self.market.address(token), self.market.executor, SPARE + own);
        let program = Liquidation {
            funding,
            last_block: BlockNumber(BLOCK),
            profit_token: self.market.address(token),
            amount_in,
            least_profit: gain,
            tip: 0,
            protocol,
            market: contract,
            borrower: BORROWER,
            debt_token: self.market.address(debt),
            collateral: self.market.address(collateral),
            paid,
            exit,
            entry,
        };
        Deal { program, gain, left }
    }

    fn swaps(&self, token: TokenId, pools: &[PoolId], amount: u128, least_out: u128) -> Path {
        let legs = self.market.legs(&Trade::new(token, pools, amount));
        Path::new(&legs, least_out).expect("few legs")
    }

    fn calldata(&self, program: &Liquidation) -> Vec<u8> {
        let mut input = vec![0; program.packed_bytes()];
        program.write(&self.market.world, &mut input).expect("it is as long as it says");
        input
    }

    fn run(&mut self, program: &Liquidation) -> Receipt {
        let data = self.calldata(program);
        self.market.chain.send(OPERATOR, self.market.executor, data)
    }

    fn peek(&mut self, program: &Liquidation) -> Receipt {
        let data = self.calldata(program);
        self.market.chain.peek(OPERATOR, self.market.executor, data)
    }

    /// What the executor holds of the debt token, the collateral and WETH.
    fn held(&mut self) -> [u128; 3] {
        [self.lenders.debt, self.lenders.collateral, self.weth].map(|token| self.market.held(token))
    }

    /// Nobody may take anything from the executor.
    fn assert_no_allowance(&mut self, program: &Liquidation) {
        let executor = self.market.executor;
        let Lenders { morpho, vault, aave, comet, .. } = self.lenders;
        for token in [program.debt_token, program.profit_token, program.collateral] {
            for spender in [morpho, vault, aave, comet, self.pre, program.market] {
                let call = Erc20::allowanceCall { owner: executor, spender };
                assert_eq!(self.market.chain.read(token, &call), Some(U256::ZERO));
            }
        }
    }
}

/// Every case of these, each from the same state.
fn each_case(of: &[Of], styles: &[&[Kind]], mut judge: impl FnMut(&mut Scene, &Deal, &str)) -> u32 {
    let Some(mut scene) = Scene::new() else { return 0 };
    let mut cases = 0;
    for &of in of {
        for profit in [In::Debt, In::Collateral, In::Weth] {
            for funding in scene.fundings(of, profit) {
                for kinds in styles {
                    let name = format!("{of:?}, {funding:?}, in {profit:?}, {kinds:?}");
                    scene.prepare(profit, kinds);
                    let before = scene.market.chain.snapshot();
                    let deal = scene.deal(of, funding, profit, kinds);
                    judge(&mut scene, &deal, &name);
                    scene.market.chain.restore(&before);
                    cases += 1;
                }
            }
        }
    }
    cases
}

// --- What it gains ---------------------------------------------------------------------------

fn judge_gain(scene: &mut Scene, deal: &Deal, name: &str) {
    let Deal { program, gain, left } = *deal;
    let before = scene.held();
    let over = Liquidation { least_profit: gain + 1, ..program };
    let answer = scene.peek(&over).answer;
    assert_eq!(answer, Err("BelowMinimumProfit".into()), "{name}");
    let landed = scene.run(&program).answer;
    assert!(landed.is_ok(), "{name}: {landed:?}");
    let after = scene.held();
    let tokens = [program.debt_token, program.collateral, scene.market.address(scene.weth)];
    for (token, (before, after)) in tokens.into_iter().zip(before.into_iter().zip(after)) {
        let mut wanted = before;
        if token == program.profit_token {
            wanted += gain;
        } else if token == program.debt_token {
            wanted += left;
        }
        assert_eq!(after, wanted, "{name}: balance of {token}");
    }
    scene.assert_no_allowance(&program);
}

#[test]
fn liquidations_of_aave_gain_what_is_left_to_the_wei_however_they_are_funded() {
    let cases = each_case(&[OfAave], &STYLES, judge_gain);
    println!("liquidations of Aave: {cases} cases");
}

#[test]
fn liquidations_of_a_comet_gain_what_is_left_to_the_wei_however_they_are_funded() {
    let cases = each_case(&[CometSold, CometAbsorbed], &STYLES, judge_gain);
    println!("liquidations of a Comet: {cases} cases");
}

#[test]
fn liquidations_of_morpho_gain_what_is_left_to_the_wei_however_they_are_funded() {
    let cases = each_case(&[MorphoByShares, MorphoSeized], &STYLES, judge_gain);
    println!("liquidations of Morpho Blue: {cases} cases");
}

#[test]
fn pre_liquidations_gain_what_is_left_to_the_wei_however_they_are_funded() {
    let cases = each_case(&[PreByShares, PreSeized], &STYLES, judge_gain);
    println!("pre-liquidations: {cases} cases");
}

#[test]
fn a_loan_s_fee_is_paid_and_no_more() {
    let Some(mut scene) = Scene::new() else { return };
    let funding = Funding::Balancer(scene.lenders.vault);
    // 0.3 %, of which the collector gets all.
    let fee = 3_000_000_000_000_000;
    Lenders::set_vault_fee(&mut scene.market, fee);
    for profit in [In::Collateral, In::Weth] {
        scene.prepare(profit, &[Pair]);
        let before = scene.market.chain.snapshot();
        let Deal { program, gain, .. } = scene.deal(MorphoByShares, funding, profit, &[Pair]);
        let due = (program.amount_in * u128::from(fee)).div_ceil(ETHER);
        let gain = gain - due;
        let token = scene.profit_token(profit);
        let held = scene.market.held(token);
        let program = Liquidation { least_profit: gain + 1, ..program };
        scene.peek(&program).reverts("BelowMinimumProfit");
        scene.run(&Liquidation { least_profit: gain, ..program }).lands();
        assert_eq!(scene.market.held(token), held + gain);
        scene.market.chain.restore(&before);
    }
}

#[test]
fn a_vault_that_is_chosen_takes_the_premium_that_was_counted_to_the_wei() {
    let Some(mut scene) = Scene::new() else { return };
    let vault = scene.lenders.vault;
    // The most that a collector takes is one per cent.
    for fee in [0, 1, 3_000_000_000_000_000, 9_999_999_999_999_999] {
        Lenders::set_vault_fee(&mut scene.market, fee);
        for profit in [In::Debt, In::Collateral, In::Weth] {
            scene.prepare(profit, &[Pair]);
            let before = scene.market.chain.snapshot();
            let token = scene.profit_token(profit);
            let holds = vec![scene.market.balance(scene.market.address(token), vault)];
            let state = VaultState { fee, holds };
            let vaults = vec![Vault::new(vault, &[token], &state)];
            drop(scene.market.world.lend(Loans::none().with_vaults(vaults)));
            let Deal { program, gain, .. } =
                scene.deal(MorphoByShares, Funding::Balancer(vault), profit, &[Pair]);
            let lender = scene.market.world.loans.lender(token, program.amount_in);
            let lender = lender.expect("it has enough");
            assert_eq!(lender.funding, program.funding);
            let gain = gain - lender.premium(program.amount_in).expect("a small fee");
            let held = scene.market.held(token);
            let over = Liquidation { least_profit: gain + 1, ..program };
            scene.peek(&over).reverts("BelowMinimumProfit");
            scene.run(&Liquidation { least_profit: gain, ..program }).lands();
            assert_eq!(scene.market.held(token), held + gain, "{fee} in {profit:?}");
            scene.market.chain.restore(&before);
        }
    }
}

#[test]
fn a_liquidation_tips_and_sweeps_to_the_wei() {
    let Some(mut scene) = Scene::new() else { return };
    let weth = scene.market.address(scene.weth);
    scene.prepare(In::Weth, &[V3]);
    for funding in scene.fundings(MorphoByShares, In::Weth) {
        let before = scene.market.chain.snapshot();
        let Deal { program, gain, .. } = scene.deal(MorphoByShares, funding, In::Weth, &[V3]);
        let held = scene.market.held(scene.weth);
        let program = Liquidation { tip: gain - 5, least_profit: 5, ..program };
        scene.peek(&Liquidation { least_profit: 6, ..program }).reverts("BelowMinimumProfit");
        let limit = Executor::setSweepAboveCall { token: weth, limit: U256::from(held + 2) };
        scene.market.call(OWNER, &limit).lands();
        scene.run(&program).lands();
        assert_eq!(scene.market.balance(NATIVE, COINBASE), gain - 5);
        assert_eq!(scene.market.balance(weth, OWNER), 3);
        assert_eq!(scene.market.held(scene.weth), held + 2);
        scene.market.chain.restore(&before);
    }
}

#[test]
fn a_tip_needs_a_liquidation_s_profit_in_the_wrapped_native_token() {
    let Some(mut scene) = Scene::new() else { return };
    let Deal { program, .. } = scene.deal(MorphoByShares, Funding::Market, In::Debt, &[Pair]);
    let program = Liquidation { tip: 1, least_profit: 0, ..program };
    scene.run(&program).reverts("TipNeedsWrappedNative");
}

// --- What stops it ---------------------------------------------------------------------------

#[test]
fn only_operators_liquidate_and_only_in_time() {
    let Some(mut scene) = Scene::new() else { return };
    let Deal { program, .. } = scene.deal(MorphoByShares, Funding::Market, In::Debt, &[Pair]);
    let data = scene.calldata(&program);
    for caller in [STRANGER, OWNER] {
        scene.market.chain.send(caller, scene.market.executor, data.clone()).reverts("NotOperator");
    }
    let late = Liquidation { last_block: BlockNumber(BLOCK - 1), ..program };
    scene.run(&late).reverts("Expired");
    scene.run(&program).lands();
}

#[test]
fn a_position_that_was_repaired_or_taken_reverts_and_moves_nothing() {
    let mut judge = |scene: &mut Scene, deal: &Deal, name: &str| {
        let held = scene.held();
        let before = scene.market.chain.snapshot();
        // The price comes back; a Comet's collateral is dearer then than what is bid.
        scene.lenders.set_price(&mut scene.market, 2_000);
        let is_pre = matches!(deal.program.protocol, Protocol::PreLiquidation(_));
        let receipt = scene.run(&deal.program);
        assert!(is_pre || receipt.answer.is_err(), "{name}");
        if !is_pre {
            assert_eq!(scene.held(), held, "{name}");
        }
        scene.market.chain.restore(&before);
        // Somebody else was first.
        scene.run(&deal.program).lands();
        let token = scene.market.world.tokens.id_of(&deal.program.profit_token).expect("listed");
        if deal.program.funding == Funding::Own {
            scene.market.fund(deal.program.profit_token, scene.market.executor, 1 << 90);
        }
        let held = (scene.held(), scene.market.held(token));
        let again = scene.run(&deal.program);
        let is_sold_twice = matches!(deal.program.protocol, Protocol::Comet { .. }) || is_pre;
        assert!(is_sold_twice || again.answer.is_err(), "{name}");
        if again.answer.is_err() {
            assert_eq!((scene.held(), scene.market.held(token)), held, "{name}");
        }
        println!("{name}: vanished for {} gas ({:?})", receipt.gas, receipt.answer.err());
    };
    each_case(&Of::ALL, &[&[Pair]], &mut judge);
}

#[test]
fn an_exit_that_pays_too_little_reverts_before_it_swaps() {
    let Some(mut scene) = Scene::new() else { return };
    let Deal { program, .. } = scene.deal(OfAave, Funding::Own, In::Debt, &[Pair]);
    let mut exit = program.exit;
    exit.least_out += 1;
    scene.run(&Liquidation { exit, ..program }).reverts("BelowMinimumProfit");
    let Deal { program, .. } = scene.deal(OfAave, Funding::Own, In::Weth, &[Pair]);
    let mut entry = program.entry;
    entry.least_out += 1;
    scene.run(&Liquidation { entry, ..program }).reverts("BelowMinimumProfit");
}

#[test]
fn malformed_liquidations_are_refused() {
    const EXIT_LEGS: usize = 242;
    const FIRST_LEG: usize = 243 + 68;
    const ENTRY: usize = FIRST_LEG + 45;
    let Some(mut scene) = Scene::new() else { return };
    let Deal { program, .. } = scene.deal(MorphoByShares, Funding::Own, In::Weth, &[Pair]);
    let whole = scene.calldata(&program);
    assert_eq!(whole.len(), ENTRY + 68 + 45);
    let with = |at: usize, byte: u8| {
        let mut data = whole.clone();
        data[at] = byte;
        data
    };
    let cut = |len: usize| whole[..len].to_vec();
    let leg = &whole[ENTRY + 68..];
    for (data, error) in [
        (with(4, 5), "BadProgram"),
        (with(101, 7), "BadProgram"),
        (with(EXIT_LEGS, 0), "BadProgram"),
        (with(EXIT_LEGS, 2), "BadProgram"),
        (with(EXIT_LEGS, 255), "BadProgram"),
        (with(FIRST_LEG, 3), "UnknownLeg"),
        (with(FIRST_LEG + 24, 2), "BadProgram"),
        (with(ENTRY + 68, 3), "UnknownLeg"),
        // The entry would begin with another token that is held here.
        (with(ENTRY, whole[ENTRY] ^ 1), "BadProgram"),
        (cut(ENTRY + 68), "BadProgram"),
        (cut(whole.len() - 1), "BadProgram"),
        (cut(FIRST_LEG), "BadProgram"),
        (cut(5), "Expired"),
        ([&whole[..], &[0]].concat(), "BadProgram"),
        ([&whole[..], &leg.repeat(255)].concat(), "BadProgram"),
        // Without its entry there is nothing to pay the debt with.
        (cut(ENTRY), "transferFrom reverted"),
    ] {
        let held = scene.held();
        scene.market.chain.send(OPERATOR, scene.market.executor, data).reverts(error);
        assert_eq!(scene.held(), held);
    }
}

#[test]
fn a_protocol_that_cannot_call_back_lends_nothing() {
    let Some(mut scene) = Scene::new() else { return };
    for of in [OfAave, CometAbsorbed] {
        let Deal { program, .. } = scene.deal(of, Funding::Own, In::Debt, &[Pair]);
        let answer = scene.run(&Liquidation { funding: Funding::Market, ..program }).answer;
        assert!(answer.is_err(), "there is no approval: {answer:?}");
    }
}

// --- Layout ----------------------------------------------------------------------------------

#[test]
fn a_liquidation_is_packed_as_the_executor_says() {
    let mut market = Market::new();
    let [a, b] = [6, 18].map(|decimals| market.token(decimals));
    let pair = market.pool([a, b], [ETHER; 2]);
    let pool = market.v3_pool([a, b], 3_000);
    let [a, b] = [a, b].map(|token| market.address(token));
    let legs = |token, pools: &[PoolId]| market.legs(&Trade::new(token, pools, 1_000));
    let ids = market.world.pools.get(pair).tokens;
    let first = legs(ids[0], &[pair]);
    let second = legs(ids[1], &[pool]);
    let address = Address::repeat_byte;
    let program = Liquidation {
        funding: Funding::Balancer(address(1)),
        last_block: BlockNumber(7),
        profit_token: a,
        amount_in: 8,
        least_profit: 9,
        tip: 10,
        protocol: Protocol::Morpho {
            oracle: address(2),
            rate_model: address(3),
            lltv: LLTV,
            size: Size::Seized(11),
        },
        market: address(4),
        borrower: address(5),
        debt_token: address(6),
        collateral: b,
        paid: 12,
        exit: Path::new(&[first[0], second[0]], 13).expect("two legs"),
        entry: Path::new(&second, 14).expect("a leg"),
    };
    let amount = |amount: u128| amount.to_be_bytes().to_vec();
    let header = [
        [b"\x28\xa0\x70\x25", &[2][..], &7_u64.to_be_bytes(), &a[..]].concat(),
        [8, 9, 10].map(amount).concat(),
        [&address(1)[..], &[4], &address(4)[..], &address(5)[..], &address(6)[..]].concat(),
        [12, 11].map(amount).concat(),
        [&address(2)[..], &address(3)[..], &LLTV.to_be_bytes(), &[2]].concat(),
    ]
    .concat();
    let world = &market.world;
    let token = |at: usize| world.tokens.get(ids[at]).address;
    let pair = [&[0], &world.pools.get(pair).address[..], &[0, 0x0b, 0xb8, 1], &[0; 20]].concat();
    let swap = [&[1], &world.pools.get(pool).address[..], &[0, 0, 0, 0], &token(1)[..]].concat();
    let exit = [b.to_vec(), amount(13), vec![0; 32], pair, swap.clone()].concat();
    let entry = [a.to_vec(), amount(14), vec![0; 32], swap].concat();
    let mut out = vec![0xff; program.packed_bytes()];
    program.write(world, &mut out).expect("it fits");
    assert_eq!(out, [header, exit, entry].concat());
    for wrong in [out.len() - 1, out.len() + 1] {
        assert_eq!(program.write(world, &mut vec![0; wrong]), None);
    }
}

// --- Gas -------------------------------------------------------------------------------------

/// What the engine makes of the swaps of a program.
fn shape(scene: &Scene, program: &Liquidation) -> LiquidationShape {
    let paths = [program.exit.legs(), program.entry.legs()];
    let kinds = |legs: &[Leg]| {
        let kinds = legs.iter().map(|leg| scene.market.world.pools.get(leg.pool).state.kind());
        Shape::of(kinds.collect::<Vec<_>>().into_iter(), 0, false)
    };
    let [exit, entry] = paths.map(kinds);
    LiquidationShape::of(program, exit.and(&entry))
}

#[test]
fn a_liquidation_costs_about_what_the_table_says_and_less_than_its_limit() {
    let table = GasTable::default();
    let (mut furthest, mut dearest) = (0.0_f64, 0.0_f64);
    let mut judge = |scene: &mut Scene, deal: &Deal, name: &str| {
        for token in [scene.lenders.debt, scene.lenders.collateral] {
            if scene.market.address(token) != deal.program.profit_token {
                scene.market.fund(scene.market.address(token), scene.market.executor, 0);
            }
        }
        let shape = shape(scene, &deal.program);
        let gas = scene.peek(&deal.program).lands().gas;
        let (expected, limit) = (table.expected(&shape).0, table.limit(&shape).0);
        let off = gas as f64 / expected as f64 - 1.0;
        let over = Liquidation { least_profit: deal.gain + 1, ..deal.program };
        let reverted = scene.peek(&over).gas;
        let share = reverted as f64 / shape.revert().0 as f64;
        println!("{off:+.3} {share:.3} {name}: {gas} gas, expected {expected}, reverts {reverted}");
        furthest = if off.abs() > furthest.abs() { off } else { furthest };
        dearest = dearest.max(share);
        assert!(gas <= limit, "{name}");
    };
    each_case(&Of::ALL, &STYLES, &mut judge);
    println!("gas of liquidations: at most {furthest:+.3} off, reverts {dearest:.3} of the bound");
    assert!(furthest.abs() < 0.08);
    assert!(dearest <= 1.0);
}
