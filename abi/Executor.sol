// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @notice What the executor needs of an ERC-20 token; `transfer` and `approve` are called by hand
/// (`_demand`).
interface IERC20 {
    function balanceOf(address account) external view returns (uint256);
    function allowance(address owner, address spender) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function approve(address spender, uint256 amount) external returns (bool);
}

/// @notice What the executor needs of the wrapped native token (WETH9 and its copies).
interface IWrappedNative {
    function withdraw(uint256 amount) external;
}

/// @notice What the executor needs of a pool that is paid in advance: a Uniswap V2 shaped pair, of
/// which only the first two words of `getReserves` are read (the third is missing or different on
/// some forks), or a Solidly-style pool, which quotes by itself.
interface IPair {
    function getReserves() external view returns (uint256 reserve0, uint256 reserve1);
    function getAmountOut(uint256 amountIn, address tokenIn) external view returns (uint256);
    function swap(uint256 amount0Out, uint256 amount1Out, address to, bytes calldata data) external;
}

/// @notice What the executor needs of a Uniswap V3 shaped pool. It pays out, and then asks for its
/// input in a callback. What `swap` returns is not read.
interface IV3Pool {
    function swap(
        address recipient,
        bool zeroForOne,
        int256 amountSpecified,
        uint160 sqrtPriceLimitX96,
        bytes calldata data
    ) external;
}

/// @notice What the executor needs of who lends for the length of one call: Morpho Blue and Aave V3
/// take back what they are approved to, Balancer V2's vault counts what it has been paid.
interface ILender {
    function flashLoan(address token, uint256 assets, bytes calldata data) external;
    function flashLoan(
        address recipient,
        address[] calldata tokens,
        uint256[] calldata amounts,
        bytes calldata data
    ) external;
    function flashLoanSimple(
        address receiver,
        address asset,
        uint256 amount,
        bytes calldata data,
        uint16 referralCode
    ) external;
}

/// @notice What names a market of Morpho Blue.
struct MarketParams {
    address loanToken;
    address collateralToken;
    address oracle;
    address irm;
    uint256 lltv;
}

/// @notice What the executor needs of a contract that liquidates: Aave V3's pool, a Comet, Morpho
/// Blue, a pre-liquidation contract of Morpho's. Each takes its payment by an approval, and pays in
/// collateral. What they return is not read.
interface IMarket {
    function liquidationCall(
        address collateral,
        address debt,
        address user,
        uint256 debtToCover,
        bool receiveAToken
    ) external;
    function absorb(address absorber, address[] calldata accounts) external;
    function buyCollateral(address asset, uint256 least, uint256 baseAmount, address recipient)
        external;
    function liquidate(
        MarketParams calldata market,
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes calldata data
    ) external;
    function preLiquidate(
        address borrower,
        uint256 seizedAssets,
        uint256 repaidShares,
        bytes calldata data
    ) external;
}

/// @title Executor
/// @notice Runs one packed program that starts and ends in the same token, and reverts as a whole
/// unless that token's balance has grown by the program's minimum: swaps only (`execute`), or a
/// liquidation with the swaps before and after it (`liquidate`).
///
/// @dev **Who may do what.** The owner (a cold key) withdraws and names operators. Operators (hot
/// keys) may only call `execute` and `liquidate`. A stolen operator key cannot lower any balance
/// held here:
/// - In `execute` the profit token goes out once, the amount in, to the first pool. Its balance is
///   read before and after the program, and the tip counts as spent.
/// - `liquidate` moves three tokens of its own: the profit token to the first pool and back to the
///   lender, the debt token to the market, the collateral to the pools that buy it. All three are
///   read before and after; the profit token must have grown by the minimum, and neither of the
///   others may be below what it was. Of the collateral, only what is here beyond what was here
///   when the program began is sold, so its check only meets tokens that take more than they move.
/// - Another token goes out only between two V3 shaped pools that follow each other, because the
///   second cannot be paid by the first: no more than arrived here while the first one swapped,
///   counted by the token itself, once, in the token that the program names. All else passes
///   straight from pool to pool.
/// - Native coin leaves only as a tip that this program unwrapped, or by the owner.
/// So a program can burn the gain that it made itself, and its sender's gas, nothing else.
///
/// **Approvals.** `execute` makes none. `liquidate` approves two things: the debt token to the
/// market, by the most that the program pays, and the profit token to a lender that pulls, by what
/// it lent and its premium. Both are of a token that is counted at the end, so it does not matter
/// who is named as market or lender: what it pulls beyond its due is missing in the count, and the
/// program reverts. An approval lasts for the one call that it is made for. After that call the
/// token is asked what is left of it, and a rest is set back to zero, before the count: nobody can
/// pull later. So each approval begins at zero, as some tokens demand. Legs never run while an
/// approval stands: it is made after the legs before the call, or, in a callback, after the legs.
///
/// **Malicious pools, markets, lenders and tokens.** They are foreign code, called while the lock
/// is held. They cannot start a program (operators only, and locked), nor withdraw (owner only).
/// One can enter `fallback` only if it is the contract that is awaited, with exactly the bytes that
/// the executor handed to it (one hash over both, and over the form of the callback), from a call
/// that the executor started, and once. To whom a callback pays, in which token and how much, is in
/// those bytes: what a pool asks for is not read. Of what a lender asks for, its fee alone is read
/// and paid, in the profit token, within the count. What a V3 shaped pool says that it paid serves
/// to ask the next pool for its output, and nothing is paid by it. A pool that lies about its
/// reserves or quotes, pays nothing, or keeps what it got ends in a revert, and so does a market
/// that takes the debt and gives no collateral, or a lender that lends nothing and asks it back:
/// the last check counts tokens, and believes nobody else. The functions that markets and lenders
/// are called by move nothing of their caller's without an approval, whatever contract is named in
/// their place: this contract has no position in any protocol.
///
/// **What remains to trust.** (1) A pool, market, lender or token that the operator names may keep
/// the gain above the program's minimum profit: the minimum is the protection, so set it close to
/// the plan. The same holds for a V3 shaped pool that runs out of liquidity, and takes less than it
/// is paid. What a liquidation leaves of the debt token or of the collateral stays here, and is not
/// part of the profit. (2) The profit token must count honestly, in a liquidation the debt token
/// and the collateral too, and so must any token held here that is named between two V3 shaped
/// pools. One that does not endangers itself only. (3) What arrives from elsewhere during a program
/// (a reward claimed for this address, a rebase) counts as that program's gain. (4) The wrapped
/// native token is honest. (5) Foreign code may burn the transaction's gas. A new kind of leg or
/// market that pays from this contract, approves, or deposits must count its own token before and
/// after, as these do; and this contract must never get a position in a protocol that it calls.
///
/// **What a vanished opportunity costs.** Gas, no tokens: every leg reverts with the transaction.
/// Past its last valid block a program stops before it calls anything. Legs that can be quoted are,
/// before the first token moves, so without a V3 shaped pool a gap that has closed costs the
/// reading of the reserves and not the swaps. With one, it costs that pool's swap: what follows the
/// last such pool is quoted in its callback, before anything else is swapped. A liquidation that
/// somebody else made costs what comes before it: the loan, and the legs to the debt token.
/// Nothing at all through a relay that drops bundles that revert.
///
/// **Program.** Calldata of `execute()`: the selector, then packed big-endian fields, no ABI
/// encoding. Offsets are in bytes from the start of calldata, ends are exclusive.
///
///     0..4    selector of execute()
///     4..5    flags u8: bit 0 = flash funding; the others must be 0
///     5..13   last valid block number u64
///     13..33  profit token, which is the input token too
///     33..49  amount in u128, in units of the profit token
///     49..65  minimum profit u128, in units of the profit token, after the tip
///     65..81  tip to block.coinbase u128, in wei; needs the wrapped native token as profit token
///     81..    legs of 45 bytes, at least one and at most 255:
///             0..1 kind u8 (0 = Uniswap V2 shaped pair, 1 = Uniswap V3 shaped pool, 2 =
///             Solidly-style pool) | 1..21 pool | 21..24 fee u24 in pips (1e-6 of the amount in;
///             kind 0 only) | 24..25 direction u8 (1 = token0 to token1, 0 = back) | 25..45 the
///             token that goes in (kinds 1 and 2 only)
///
/// A pool may occur once only: quotes are made before the first swap, so a second use is priced at
/// old reserves, and fails in the pool (V3 shaped ones are locked) or pays too little.
///
/// **Funding.** Without a V3 shaped pool. Own funds: the amount in goes to the first pool, each
/// pool pays the next one, the last pays the executor. Flash: the last pool pays first, out of its
/// reserves; in its callback the amount in goes to the first pool, and the last but one pays the
/// last pool what it is owed. It is the last pool that lends because such pools call back the
/// address that they pay: so what is borrowed is the profit token itself, and both fundings take
/// the same transfers, one per leg and one to begin. A flash program of one leg is valid and
/// pointless: it repays in the token that it started from, and fails the minimum.
///
/// With one, it lends whatever the flags say, because it pays before it asks. The legs before the
/// first such pool are quoted, which tells what goes into it; it pays the next pool, or the
/// executor. In its callback comes first all that follows it, up to the profit token. Then the
/// amount in goes to the first pool, and the legs before it swap, the last of them paying the
/// lender. The legs between two such pools do the same for the second one in its own callback,
/// inside the first. So here too there is one transfer per leg and one to begin, and one more
/// between two V3 shaped pools that follow each other, since such a pool counts only what arrives
/// during its callback.
///
/// **Liquidation.** Calldata of `liquidate()`, in the same way:
///
///     0..4    selector of liquidate()
///     4..5    funding u8: 0 = own funds, 1 = flash loan of Morpho Blue, 2 = of Balancer V2's
///             vault, 3 = of Aave V3's pool, 4 = the market's own callback (protocols 3 to 6 only)
///     5..81   as in `execute()`. The amount in is what is lent, and what goes into the legs to the
///             debt token. Without a loan and such legs it is not used
///     81..101 the lender; with funding 4 the market; not used with own funds
///     101..102 protocol u8: 0 = Aave V3, 1 = Comet (buys collateral), 2 = Comet (absorbs the
///             borrower first), 3 = Morpho Blue by shares, 4 = by seized collateral, 5 =
///             pre-liquidation of Morpho Blue by shares, 6 = by seized collateral
///     102..122 the market: the contract that is called to liquidate
///     122..142 borrower (not used by protocol 1)
///     142..162 debt token, Comet's base token
///     162..178 what is paid u128, in units of the debt token: Aave's debt to cover, Comet's base
///             amount, else the most
///     178..194 u128: shares repaid (3, 5); units of collateral seized (4, 6), or bought at least
///             (1, 2); not used by protocol 0
///     194..214 oracle of the market (3 and 4 only)
///     214..234 its interest rate model (3 and 4 only)
///     234..242 its LLTV u64, in 1e-18 (3 and 4 only)
///     242..243 number of exit legs u8
///     243..   exit: how the collateral becomes profit token; without legs if they are the same
///     then    entry: how the profit token becomes debt token; absent if they are the same
///
/// Exit and entry are paths: 0..20 the token that goes in (in the entry the profit token) | 20..36
/// what must come out at least u128 | 36..68 zeros, in the place of two fields of `execute()` |
/// 68.. legs, as there.
///
/// **Order.** With own funds: entry, liquidation, exit. With a loan the same inside its callback,
/// and the repayment. With the market's callback, which comes after it has paid the collateral and
/// before it takes the debt: exit, entry. The exit sells all collateral that is here beyond what
/// was here at the beginning, so what really arrived. Debt token that is left over stays here, and
/// is profit if it is the profit token.
contract Executor {
    // Offsets in bytes from the start of calldata, see "Program".
    uint256 private constant FLAGS_AT = 4;
    uint256 private constant LAST_BLOCK_AT = 5;
    uint256 private constant TOKEN_AT = 13;
    uint256 private constant AMOUNT_AT = 33;
    uint256 private constant MINIMUM_AT = 49;
    uint256 private constant TIP_AT = 65;
    uint256 private constant LEGS_AT = 81;
    /// @dev Size of one leg, in bytes, and the offset of its token.
    uint256 private constant LEG = 45;
    uint256 private constant LEG_TOKEN_AT = 25;
    uint256 private constant LEGS_MAX = 255;

    // The same of `liquidate`, see "Liquidation".
    uint256 private constant LENDER_AT = 81;
    uint256 private constant PROTOCOL_AT = 101;
    uint256 private constant MARKET_AT = 102;
    uint256 private constant BORROWER_AT = 122;
    uint256 private constant DEBT_AT = 142;
    uint256 private constant PAID_AT = 162;
    uint256 private constant SIZE_AT = 178;
    uint256 private constant ORACLE_AT = 194;
    uint256 private constant IRM_AT = 214;
    uint256 private constant LLTV_AT = 234;
    uint256 private constant EXIT_LEGS_AT = 242;
    uint256 private constant EXIT_AT = 243;
    /// @dev Size of a path without its legs, in bytes: that of the fields of `execute` from the
    /// profit token on, which it takes the place of.
    uint256 private constant PATH = LEGS_AT - TOKEN_AT;

    uint256 private constant OWN_FUNDS = 0;
    uint256 private constant FROM_MORPHO = 1;
    uint256 private constant FROM_BALANCER = 2;
    uint256 private constant FROM_AAVE = 3;
    uint256 private constant FROM_MARKET = 4;

    uint256 private constant AAVE = 0;
    uint256 private constant COMET = 1;
    uint256 private constant COMET_ABSORB = 2;
    uint256 private constant MORPHO_SHARES = 3;
    uint256 private constant MORPHO_SEIZED = 4;
    uint256 private constant PRE_SHARES = 5;
    uint256 private constant PRE_SEIZED = 6;

    uint256 private constant FLAG_FLASH = 1;
    uint256 private constant KIND_V2 = 0;
    uint256 private constant KIND_V3 = 1;
    uint256 private constant KIND_SOLIDLY = 2;

    /// @dev The whole of an amount, in pips.
    uint256 private constant PIPS = 1e6;
    /// @dev A V3 shaped pool's price may go to its ends, exclusive: the minimum profit is the
    /// limit.
    uint160 private constant PRICE_MIN = 4295128739 + 1;
    uint160 private constant PRICE_MAX = 1461446703485210103287273052203988822378723970342 - 1;

    /// @dev Size of an address, in bytes.
    uint256 private constant ADDRESS = 20;
    // Forms of callbacks: who lends. The last ones are a funding plus 1.
    uint256 private constant FORM_V2 = 0;
    uint256 private constant FORM_V3 = 1;
    uint256 private constant FORM_LENDER = 1;
    /// @dev The bits of a mark that are its form.
    uint256 private constant FORM = 7;
    /// @dev How many words come, in a callback's calldata, before the offset of its bytes, which
    /// are its last argument: four bits for each form, the first one lowest.
    uint256 private constant WORDS_BEFORE = 0x143123;

    /// @notice The wrapped native token, the only one that tips are paid from.
    address public immutable WETH;

    /// @notice The cold key: withdraws, names operators, receives sweeps.
    address public owner;
    /// @notice Who becomes owner by calling `acceptOwnership`; zero for nobody.
    address public pendingOwner;
    /// @notice The hot keys: they may trade, and nothing else.
    mapping(address account => bool allowed) public operators;
    /// @notice Balance, in units of the token, above which a profitable program sends the excess to
    /// the owner; 0 = never.
    mapping(address token => uint256 limit) public sweepAbove;

    /// @dev 1 while a program runs. A full word, because packing costs masks.
    uint256 private transient locked;
    /// @dev keccak256 of the bytes of the callback that is awaited, the address of who makes it
    /// first; the lowest three bits tell its form instead. 0 = none.
    uint256 private transient awaited;

    event OwnershipOffered(address indexed from, address indexed to);
    event OwnershipTaken(address indexed from, address indexed to);
    event OperatorSet(address indexed account, bool allowed);
    event SweepAboveSet(address indexed token, uint256 limit);
    event Withdrawn(address indexed token, uint256 amount, address indexed to);

    /// @notice The caller is not the owner (or, in `acceptOwnership`, not the pending one).
    error NotOwner();
    /// @notice The caller of `execute` or `liquidate` is not an operator.
    error NotOperator();
    /// @notice The address zero where an account must be named.
    error ZeroAddress();
    /// @notice `execute` or `liquidate` was entered while a program runs.
    error Locked();
    /// @notice The block number is past the program's last valid block.
    error Expired();
    /// @notice Unknown flag, funding or protocol, no leg, too many, a part of a leg, a direction
    /// other than 0 and 1, an amount that no pool can be asked for, or an entry that does not begin
    /// with the profit token.
    error BadProgram();
    /// @notice A kind of leg that this executor does not know.
    error UnknownLeg();
    /// @notice A call that is neither a function of this contract nor the awaited callback.
    error ForbiddenCallback();
    /// @notice Who lends returned without having called back.
    error MissingCallback();
    /// @notice A token or native transfer, or an approval, failed.
    error TransferFailed();
    /// @notice A tip was asked for, but profit is not taken in the wrapped native token.
    error TipNeedsWrappedNative();
    /// @notice The block's coinbase refused the tip.
    error TipFailed();
    /// @notice The profit token's balance grew by less than the minimum, after the tip.
    error BelowMinimumProfit();
    /// @notice After a liquidation there is less debt token or collateral here than before.
    error BalanceFell();

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner();
        _;
    }

    /// @param weth The wrapped native token of this chain.
    /// @param owner_ The cold key.
    /// @param operators_ The hot keys at the start; may be empty.
    constructor(address weth, address owner_, address[] memory operators_) {
        if (weth == address(0) || owner_ == address(0)) revert ZeroAddress();
        WETH = weth;
        owner = owner_;
        emit OwnershipTaken(address(0), owner_);
        for (uint256 i = 0; i < operators_.length; i++) {
            operators[operators_[i]] = true;
            emit OperatorSet(operators_[i], true);
        }
    }

    /// @notice Accepts native coin: unwrapped for a tip, or a gift. `WETH.withdraw` passes only
    /// 2,300 gas, so nothing may be written here.
    receive() external payable {}

    // --- Trading -------------------------------------------------------------------------------

    /// @notice Runs the packed program that follows the selector; see "Program" above.
    function execute() external {
        _mayRun();
        uint256 flags = _word(FLAGS_AT) >> 248;
        // The second test keeps the subtraction in the third from wrapping around.
        if (flags > FLAG_FLASH || msg.data.length < LEGS_AT + LEG) revert BadProgram();
        if ((msg.data.length - LEGS_AT) % LEG != 0) revert BadProgram();
        uint256 count = (msg.data.length - LEGS_AT) / LEG;
        if (count > LEGS_MAX) revert BadProgram();

        // A vanished gap is seen here, by view calls, before the first token moves.
        uint256[] memory flow = new uint256[](count + 1);
        flow[0] = _amount(0);
        uint256 quoted = _quoteFrom(0, flow, 0);

        locked = 1;
        address token = _token(0);
        uint256 wanted = _held(token) + _minimum(0);
        if (quoted != count) _lend(0, flow, 0, quoted);
        else if (flags == FLAG_FLASH) _lend(0, flow, 0, count - 1);
        else _repay(0, flow, 0, count);
        _settle(token, wanted);
        locked = 0;
    }

    /// @notice Runs the packed liquidation that follows the selector; see "Liquidation" above.
    function liquidate() external {
        _mayRun();
        address token = _token(0);
        uint256 funding = _word(FLAGS_AT) >> 248;
        if (funding > FROM_MARKET) revert BadProgram();
        _checkPaths(token);

        locked = 1;
        (address debt, address collateral) = (_debt(0), _collateral(0));
        uint256 wanted = _held(token) + _minimum(0);
        // Of a token that is the profit token too, nothing else is counted.
        uint256 debtHeld = debt == token ? 0 : _held(debt);
        uint256 held = collateral == token ? 0 : _held(collateral);
        if (funding == OWN_FUNDS) _runAround(0, msg.data.length, held);
        else _borrow(funding, held);

        if (debt != token && _held(debt) < debtHeld) revert BalanceFell();
        if (collateral != token && _held(collateral) < held) revert BalanceFell();
        _settle(token, wanted);
        locked = 0;
    }

    /// @notice The callback of a pool that lends, under whatever name the fork gave it, of a lender
    /// or of a market. Arguments: (address sender, uint256, uint256, bytes data); (int256, int256,
    /// bytes data) from V3 shaped pools; (uint256, bytes data) from Morpho Blue, be it a loan or a
    /// liquidation; (address[], uint256[], uint256[] fees, bytes data) from Balancer's vault;
    /// (address, uint256, uint256 fee, address, bytes data) from Aave. Runs what is to run before
    /// the repayment, if anything is, and then repays.
    /// @dev `data` is what `_lend` or `_borrow` wrote.
    fallback() external {
        uint256 expected = awaited;
        uint256 form = expected & FORM;
        if (form == FORM_V2 && address(uint160(_word(4))) != address(this)) {
            revert ForbiddenCallback();
        }
        // A false offset or length only leads to other bytes, and so to another hash. Unchecked: it
        // may wrap, with the same result.
        uint256 data;
        uint256 length;
        unchecked {
            data = 4 + _word(4 + 32 * (WORDS_BEFORE >> 4 * form & 0xf)) + 32;
            length = _word(data - 32);
        }
        // A length that cannot be is not worth the gas of its memory.
        if (length > msg.data.length) revert ForbiddenCallback();
        if (_mark(_hash(data, length), form) != expected) revert ForbiddenCallback();
        if (_word(data) >> 96 != uint160(msg.sender)) revert ForbiddenCallback();
        awaited = 0;

        // From here on, the bytes are those that this contract wrote, and so are these numbers.
        unchecked {
            uint256 end = data + length - 32;
            if (form > FORM_V3) return _serve(form, data + ADDRESS - FLAGS_AT, end);
            uint256 base = data + ADDRESS - TOKEN_AT;
            uint256 count = (end - base - LEGS_AT - 32) / (LEG + 32);
            uint256[] memory flow = _words(end - 32 * (count + 1), count + 1);
            (uint256 from, uint256 lender) = (_word(end) >> 8, _word(end) & 0xff);
            if (form == FORM_V3) _follow(base, flow, lender + 1);
            _repay(base, flow, from, lender);
        }
    }

    /// @dev Reverts unless the caller may run the program now.
    function _mayRun() private view {
        if (block.number > _word(LAST_BLOCK_AT) >> 192) revert Expired();
        if (!operators[msg.sender]) revert NotOperator();
        if (locked != 0) revert Locked();
    }

    /// @dev Tips, makes the check that counts (of tokens, whatever anybody claims), and sweeps.
    /// @param wanted The balance of `token`, the profit token, that there must be after the tip.
    function _settle(address token, uint256 wanted) private {
        uint256 tip = _tipWanted(0);
        if (tip != 0) _tip(token, tip);
        uint256 balance = _held(token);
        if (balance < wanted) revert BelowMinimumProfit();
        uint256 limit = sweepAbove[token];
        if (limit != 0 && balance > limit) _transfer(token, owner, balance - limit);
    }

    // --- Legs ----------------------------------------------------------------------------------

    // `flow[i]` is what goes into leg `i`, in units of its input token, and so what the leg before
    // it pays out; the last entry is what the last leg pays out. Where the amount is not known yet
    // it is 0, but for the note that `_lend` leaves.

    /// @dev Lets leg number `lender` pay out in advance, and hands to it what its callback needs
    /// (`_pack`). The legs from number `from` on are those that are to run for its repayment.
    /// @param base Where the program's offset 0 is in calldata.
    function _lend(uint256 base, uint256[] memory flow, uint256 from, uint256 lender) private {
        uint256 leg = _leg(base, lender);
        uint256 next = lender + 1;
        bool isV3 = _kind(leg) == KIND_V3;
        address to = address(this);
        if (isV3 && next < flow.length - 1) {
            uint256 following = _leg(base, next);
            // A V3 shaped pool counts what arrives in its callback only, so it cannot be paid now.
            // What will have arrived here is counted from this balance.
            if (_kind(following) != KIND_V3) to = _pool(following);
            else flow[next] = _held(_legToken(base, next));
        }
        bytes memory data = _pack(base, _pool(leg), flow, from << 8 | lender);
        awaited = _mark(uint256(keccak256(data)), isV3 ? FORM_V3 : FORM_V2);
        if (isV3) _swapV3(leg, flow[lender], to, data);
        else _swap(leg, flow[next], to, data);
        // Nothing that could be used later may be left behind.
        if (awaited != 0) revert MissingCallback();
    }

    /// @dev Runs the legs from number `next` on, whose predecessor, a V3 shaped pool, has just
    /// paid.
    function _follow(uint256 base, uint256[] memory flow, uint256 next) private {
        uint256 count = flow.length - 1;
        if (next < count && _kind(_leg(base, next)) == KIND_V3) {
            flow[next] = _held(_legToken(base, next)) - flow[next];
        } else {
            // What the pool says, a negative number. Unchecked: a positive one becomes an amount
            // that no pool pays.
            unchecked {
                flow[next] = 0 - _word(_leg(base, next - 1) & 0xff == 1 ? 36 : 4);
            }
        }
        uint256 quoted = _quoteFrom(base, flow, next);
        if (quoted != count) _lend(base, flow, next, quoted);
        else _run(base, flow, next, count);
    }

    /// @dev Pays leg number `stop` what goes into it, or the executor if there is none, by running
    /// the legs from number `from` on. The executor pays where no pool has: at the beginning, and
    /// between two V3 shaped pools.
    function _repay(uint256 base, uint256[] memory flow, uint256 from, uint256 stop) private {
        if (from == 0) _transfer(_token(base), _pool(_leg(base, 0)), flow[0]);
        else if (from == stop) {
            _transfer(_legToken(base, from), _pool(_leg(base, from)), flow[from]);
        }
        _run(base, flow, from, stop);
    }

    /// @dev Swaps the legs from number `i` on and before `stop`, none of which is V3 shaped and the
    /// first of which has been paid. Each pays the one that follows, the last one the executor.
    function _run(uint256 base, uint256[] memory flow, uint256 i, uint256 stop) private {
        uint256 leg = _leg(base, i);
        while (i < stop) {
            unchecked {
                i++;
            }
            uint256 next = _leg(base, i);
            _swap(leg, flow[i], i + 1 < flow.length ? _pool(next) : address(this), "");
            leg = next;
        }
    }

    /// @dev Fills in `flow` from leg number `i` on, up to the first V3 shaped pool.
    /// @return The number of that leg; that of all legs if there is none, and then they pay enough.
    function _quoteFrom(uint256 base, uint256[] memory flow, uint256 i)
        private
        view
        returns (uint256)
    {
        uint256 count = flow.length - 1;
        uint256 amount = flow[i];
        while (i < count) {
            uint256 leg = _leg(base, i);
            if (_kind(leg) == KIND_V3) return i;
            amount = _quote(base, i, leg, amount);
            unchecked {
                i++;
            }
            flow[i] = amount;
        }
        if (amount < _amount(base) + _minimum(base) + _tipWanted(base)) revert BelowMinimumProfit();
        return count;
    }

    // Kinds of legs are told apart in `_quote`, which sees each leg that is paid in advance before
    // it is paid, and in `_lend`, which calls those that are not.

    /// @dev What `leg`, number `i`, pays out for `amountIn`. Reserves are read here and not taken
    /// from the program: if a pool has moved a little, the program still pays, or fails the
    /// minimum.
    /// @param amountIn Units of the leg's input token.
    /// @return Units of the leg's output token, rounded down, so that the pool's invariant holds.
    function _quote(uint256 base, uint256 i, uint256 leg, uint256 amountIn)
        private
        view
        returns (uint256)
    {
        uint256 direction = leg & 0xff;
        if (direction > 1) revert BadProgram();
        if (_kind(leg) == KIND_V2) {
            (uint256 reserveIn, uint256 reserveOut) = IPair(_pool(leg)).getReserves();
            if (direction == 0) (reserveIn, reserveOut) = (reserveOut, reserveIn);
            uint256 net = amountIn * (PIPS - ((leg >> 8) & 0xffffff));
            return net * reserveOut / (reserveIn * PIPS + net);
        }
        if (_kind(leg) != KIND_SOLIDLY) revert UnknownLeg();
        return IPair(_pool(leg)).getAmountOut(amountIn, _legToken(base, i));
    }

    /// @dev Swaps `leg` for `amountOut` units of its output token, paid to `to`. The pool must hold
    /// its input, or, if `data` is not empty, lends and calls `to` back with it.
    function _swap(uint256 leg, uint256 amountOut, address to, bytes memory data) private {
        bool zeroForOne = leg & 0xff == 1;
        IPair(_pool(leg)).swap(zeroForOne ? 0 : amountOut, zeroForOne ? amountOut : 0, to, data);
    }

    /// @dev Swaps exactly `amountIn` units of the input token of `leg`, a V3 shaped pool, which
    /// pays `to`, and then calls this contract back with `data`.
    function _swapV3(uint256 leg, uint256 amountIn, address to, bytes memory data) private {
        uint256 direction = leg & 0xff;
        // A negative amount would stand for an output.
        if (direction > 1 || amountIn > uint256(type(int256).max)) revert BadProgram();
        bool zeroForOne = direction == 1;
        uint160 limit = zeroForOne ? PRICE_MIN : PRICE_MAX;
        IV3Pool(_pool(leg)).swap(to, zeroForOne, int256(amountIn), limit, data);
    }

    /// @dev Pays `tip` wei to the block's producer out of the wrapped native profit.
    function _tip(address token, uint256 tip) private {
        if (token != WETH) revert TipNeedsWrappedNative();
        IWrappedNative(token).withdraw(tip);
        (bool paid,) = block.coinbase.call{value: tip}("");
        if (!paid) revert TipFailed();
    }

    // --- Liquidations --------------------------------------------------------------------------

    // `held` is the collateral that was here when the program began, 0 if it is the profit token.
    // `end` is where the program ends in calldata.

    /// @dev Reverts unless the paths fill what follows the header, each with whole legs.
    function _checkPaths(address token) private pure {
        uint256 exitEnd = EXIT_AT + PATH + LEG * _exitLegs(0);
        uint256 end = msg.data.length;
        if (end == exitEnd) return;
        if (end < exitEnd + PATH + LEG || (end - exitEnd - PATH) % LEG != 0) revert BadProgram();
        if (end > exitEnd + PATH + LEG * LEGS_MAX) revert BadProgram();
        // What the entry pays is counted as profit token.
        if (_address(0, exitEnd) != token) revert BadProgram();
    }

    /// @dev Has the program run in the callback of its lender, or its legs in that of the market.
    function _borrow(uint256 funding, uint256 held) private {
        (address lender, address token) = (_lender(0), _token(0));
        bytes memory data = _packAll(lender, held);
        awaited = _mark(uint256(keccak256(data)), funding + FORM_LENDER);
        if (funding == FROM_MARKET) {
            _liquidate(0, lender, data);
            token = _debt(0);
        } else if (funding == FROM_MORPHO) {
            ILender(lender).flashLoan(token, _amount(0), data);
        } else if (funding == FROM_AAVE) {
            ILender(lender).flashLoanSimple(address(this), token, _amount(0), data, 0);
        } else {
            address[] memory tokens = new address[](1);
            uint256[] memory amounts = new uint256[](1);
            (tokens[0], amounts[0]) = (token, _amount(0));
            ILender(lender).flashLoan(address(this), tokens, amounts, data);
        }
        // Nothing that could be used later may be left behind.
        if (awaited != 0) revert MissingCallback();
        if (funding != FROM_BALANCER) _revoke(token, lender);
    }

    /// @dev Does what a callback from a lender or a market is for. Ends the call, because only Aave
    /// reads what a callback returns, and a fallback returns nothing in Solidity.
    function _serve(uint256 form, uint256 base, uint256 end) private {
        if (form == FROM_MARKET + FORM_LENDER) {
            _exit(base, _word(end));
            _enter(base, end);
            _approve(_debt(base), msg.sender, _paid(base));
        } else {
            _runAround(base, end, _word(end));
            (address token, uint256 owed) = (_token(base), _amount(base));
            if (form == FROM_AAVE + FORM_LENDER) owed += _word(4 + 2 * 32);
            if (form == FROM_BALANCER + FORM_LENDER) {
                uint256 fee;
                unchecked {
                    // Wherever a false offset leads, it is a number, and what is paid is counted.
                    fee = _word(4 + _word(4 + 2 * 32) + 32);
                }
                _transfer(token, msg.sender, owed + fee);
            } else {
                _approve(token, msg.sender, owed);
            }
        }
        assembly ("memory-safe") {
            mstore(0, 1)
            return(0, 32)
        }
    }

    /// @dev Runs a program in whose profit token the amount in is here: entry, liquidation, exit.
    function _runAround(uint256 base, uint256 end, uint256 held) private {
        _enter(base, end);
        (address debt, address market) = (_debt(base), _market(base));
        _approve(debt, market, _paid(base));
        _liquidate(base, market, "");
        _revoke(debt, market);
        _exit(base, held);
    }

    /// @dev Sells the collateral that has come.
    function _exit(uint256 base, uint256 held) private {
        address collateral = _collateral(base);
        uint256 count = _exitLegs(base);
        if (count == 0 || collateral == _token(base)) return;
        uint256 come = _held(collateral) - held;
        unchecked {
            _runPath(base + EXIT_AT, count, come);
        }
    }

    /// @dev Buys the debt token, if the program has an entry.
    function _enter(uint256 base, uint256 end) private {
        unchecked {
            uint256 path = base + EXIT_AT + PATH + LEG * _exitLegs(base);
            if (path != end) _runPath(path, (end - path - PATH) / LEG, _amount(base));
        }
    }

    /// @dev Runs the `count` legs of the path at offset `path` of calldata with this input.
    function _runPath(uint256 path, uint256 count, uint256 amount) private {
        uint256 base;
        unchecked {
            // Where the offset 0 of a program of `execute` would be.
            base = path - TOKEN_AT;
        }
        uint256[] memory flow = new uint256[](count + 1);
        flow[0] = amount;
        uint256 quoted = _quoteFrom(base, flow, 0);
        if (quoted != count) _lend(base, flow, 0, quoted);
        else _repay(base, flow, 0, count);
    }

    /// @dev Has `market` liquidate, which calls back if there is `data`, and can.
    function _liquidate(uint256 base, address market, bytes memory data) private {
        uint256 protocol = _byte(base, PROTOCOL_AT);
        (address collateral, address debt) = (_collateral(base), _debt(base));
        (address borrower, uint256 paid) = (_address(base, BORROWER_AT), _paid(base));
        uint256 size = _half(base, SIZE_AT);
        if (protocol == AAVE) {
            IMarket(market).liquidationCall(collateral, debt, borrower, paid, false);
        } else if (protocol <= COMET_ABSORB) {
            if (protocol == COMET_ABSORB) {
                address[] memory borrowers = new address[](1);
                borrowers[0] = borrower;
                IMarket(market).absorb(address(this), borrowers);
            }
            IMarket(market).buyCollateral(collateral, size, paid, address(this));
        } else {
            if (protocol > PRE_SEIZED) revert BadProgram();
            bool isBySize = protocol == MORPHO_SEIZED || protocol == PRE_SEIZED;
            (uint256 seized, uint256 shares) = isBySize ? (size, uint256(0)) : (uint256(0), size);
            if (protocol >= PRE_SHARES) {
                IMarket(market).preLiquidate(borrower, seized, shares, data);
            } else {
                MarketParams memory named = MarketParams(
                    debt,
                    collateral,
                    _address(base, ORACLE_AT),
                    _address(base, IRM_AT),
                    _lltv(base)
                );
                IMarket(market).liquidate(named, borrower, seized, shares, data);
            }
        }
    }

    // --- Packing -------------------------------------------------------------------------------

    /// @dev The 32 bytes of calldata at offset `at`; zeros past the end. Assembly, because a slice
    /// of `msg.data` costs two bounds checks for each field.
    function _word(uint256 at) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := calldataload(at)
        }
    }

    /// @dev keccak256 of `length` bytes of calldata from offset `at`. Assembly, because the offset
    /// is not one of a Solidity slice. Uses the memory past the free pointer, and leaves the
    /// pointer where it was: the bytes are not needed again.
    function _hash(uint256 at, uint256 length) private pure returns (uint256 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, at, length)
            hash := keccak256(free, length)
        }
    }

    /// @dev `count` words of calldata from offset `at`. Assembly, because a loop costs more than
    /// the words.
    function _words(uint256 at, uint256 count) private pure returns (uint256[] memory words) {
        words = new uint256[](count);
        assembly ("memory-safe") {
            calldatacopy(add(words, 32), at, mul(32, count))
        }
    }

    /// @dev What a lender hands back: its address, the program from its profit token on, `flow`,
    /// and `place`, packed. Assembly, for the same reason. The program's length is within calldata.
    function _pack(uint256 base, address pool, uint256[] memory flow, uint256 place)
        private
        pure
        returns (bytes memory data)
    {
        uint256 begin;
        uint256 length;
        unchecked {
            begin = base + TOKEN_AT;
            length = LEGS_AT - TOKEN_AT + LEG * (flow.length - 1);
        }
        assembly ("memory-safe") {
            data := mload(0x40)
            let at := add(data, 32)
            mstore(at, shl(96, pool))
            at := add(at, 20)
            calldatacopy(at, begin, length)
            at := add(at, length)
            let size := mul(32, mload(flow))
            mcopy(at, add(flow, 32), size)
            at := add(at, size)
            mstore(at, place)
            at := add(at, 32)
            mstore(data, sub(at, add(data, 32)))
            // The next object in memory begins at a whole word.
            mstore(0x40, and(add(at, 31), not(31)))
        }
    }

    /// @dev What a lender of a whole program hands back: its address, the program from its funding
    /// on, and `held`, packed.
    function _packAll(address lender, uint256 held) private pure returns (bytes memory) {
        return abi.encodePacked(lender, msg.data[FLAGS_AT:], held);
    }

    /// @dev A hash that tells the form of the callback in its lowest bits.
    function _mark(uint256 hash, uint256 form) private pure returns (uint256) {
        return hash & ~FORM | form;
    }

    // Offsets are unchecked below: `base` is 0, or where bytes lie whose hash was compared, and `i`
    // is at most the number of legs. An overflow could only lead to other bytes of calldata.

    /// @dev The profit token of the program whose offset 0 is at `base`.
    function _token(uint256 base) private pure returns (address) {
        unchecked {
            return address(uint160(_word(base + TOKEN_AT) >> 96));
        }
    }

    /// @dev The amount in, in units of the profit token.
    function _amount(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + AMOUNT_AT) >> 128;
        }
    }

    /// @dev The minimum profit, in units of the profit token.
    function _minimum(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + MINIMUM_AT) >> 128;
        }
    }

    /// @dev The tip, in wei.
    function _tipWanted(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + TIP_AT) >> 128;
        }
    }

    // Fields of liquidations.

    function _lender(uint256 base) private pure returns (address) {
        return _address(base, LENDER_AT);
    }

    function _market(uint256 base) private pure returns (address) {
        return _address(base, MARKET_AT);
    }

    function _debt(uint256 base) private pure returns (address) {
        return _address(base, DEBT_AT);
    }

    function _collateral(uint256 base) private pure returns (address) {
        return _address(base, EXIT_AT);
    }

    /// @dev What is paid to the market at most, in units of the debt token.
    function _paid(uint256 base) private pure returns (uint256) {
        return _half(base, PAID_AT);
    }

    function _lltv(uint256 base) private pure returns (uint256) {
        unchecked {
            return _word(base + LLTV_AT) >> 192;
        }
    }

    function _exitLegs(uint256 base) private pure returns (uint256) {
        return _byte(base, EXIT_LEGS_AT);
    }

    function _address(uint256 base, uint256 at) private pure returns (address) {
        unchecked {
            return address(uint160(_word(base + at) >> 96));
        }
    }

    function _half(uint256 base, uint256 at) private pure returns (uint256) {
        unchecked {
            return _word(base + at) >> 128;
        }
    }

    function _byte(uint256 base, uint256 at) private pure returns (uint256) {
        unchecked {
            return _word(base + at) >> 248;
        }
    }

    // Fields of both.

    /// @dev Leg number `i`, from 0, without its token, in the low 200 bits; meaningless past the
    /// last one.
    function _leg(uint256 base, uint256 i) private pure returns (uint256) {
        unchecked {
            return _word(base + LEGS_AT + LEG * i) >> 56;
        }
    }

    /// @dev The token that goes into leg number `i`, which is neither a V2 shaped pair nor past the
    /// last one.
    function _legToken(uint256 base, uint256 i) private pure returns (address) {
        unchecked {
            return address(uint160(_word(base + LEGS_AT + LEG * i + LEG_TOKEN_AT) >> 96));
        }
    }

    function _kind(uint256 leg) private pure returns (uint256) {
        return leg >> 192;
    }

    function _pool(uint256 leg) private pure returns (address) {
        return address(uint160(leg >> 32));
    }

    // --- Owner ---------------------------------------------------------------------------------

    /// @notice Pays out a token, or native coin.
    /// @param token The token; zero for native coin.
    /// @param amount Units of the token, or wei.
    /// @param to Who receives it.
    function withdraw(address token, uint256 amount, address to) external onlyOwner {
        if (to == address(0)) revert ZeroAddress();
        emit Withdrawn(token, amount, to);
        if (token != address(0)) return _transfer(token, to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert TransferFailed();
    }

    /// @notice Allows or forbids an account to trade.
    function setOperator(address account, bool allowed) external onlyOwner {
        operators[account] = allowed;
        emit OperatorSet(account, allowed);
    }

    /// @notice Sets the balance of `token` that profitable programs leave here.
    /// @param limit Units of the token; 0 = never sweep.
    function setSweepAbove(address token, uint256 limit) external onlyOwner {
        sweepAbove[token] = limit;
        emit SweepAboveSet(token, limit);
    }

    /// @notice Offers the ownership to `to`, who takes it by `acceptOwnership`; zero takes an offer
    /// back.
    function transferOwnership(address to) external onlyOwner {
        pendingOwner = to;
        emit OwnershipOffered(msg.sender, to);
    }

    /// @notice Takes the ownership that was offered to the caller.
    function acceptOwnership() external {
        if (msg.sender != pendingOwner) revert NotOwner();
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        pendingOwner = address(0);
    }

    // --- Tokens --------------------------------------------------------------------------------

    /// @dev What is here of `token`, in its units.
    function _held(address token) private view returns (uint256) {
        return IERC20(token).balanceOf(address(this));
    }

    /// @dev Transfers `amount` units of `token`.
    function _transfer(address token, address to, uint256 amount) private {
        _demand(token, abi.encodeCall(IERC20.transfer, (to, amount)));
    }

    /// @dev Lets `spender` take `amount` units of `token`, until `_revoke`.
    function _approve(address token, address spender, uint256 amount) private {
        _demand(token, abi.encodeCall(IERC20.approve, (spender, amount)));
    }

    /// @dev Takes back what is left of an approval. Usually nothing is, and to ask is cheaper than
    /// to approve.
    function _revoke(address token, address spender) private {
        if (IERC20(token).allowance(address(this), spender) != 0) _approve(token, spender, 0);
    }

    /// @dev Calls `token`. Nothing returned counts as success if the token has code (USDT); false,
    /// or anything else that is not true, as failure.
    function _demand(address token, bytes memory call) private {
        (bool done, bytes memory answer) = token.call(call);
        if (answer.length == 0) done = done && token.code.length != 0;
        else done = done && answer.length >= 32 && abi.decode(answer, (uint256)) == 1;
        if (!done) revert TransferFailed();
    }
}
