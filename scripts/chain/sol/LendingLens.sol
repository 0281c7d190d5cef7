// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity 0.8.30;

struct MarketParams {
    address loanToken;
    address collateralToken;
    address oracle;
    address irm;
    uint256 lltv;
}

interface IMorpho {
    function accrueInterest(MarketParams memory params) external;
    function position(bytes32 id, address user) external view returns (uint256, uint128, uint128);
    function market(bytes32 id) external view returns (uint128, uint128, uint128, uint128, uint128, uint128);
}

interface IOracle {
    function price() external view returns (uint256);
}

interface IPool {
    function getUserAccountData(address user)
        external
        view
        returns (uint256 collateral, uint256 debt, uint256 available, uint256 threshold, uint256 ltv, uint256 health);
}

interface IBalance {
    function balanceOf(address owner) external view returns (uint256);
}

/// How borrowers stand, many at once. It is laid over an empty address for one eth_call.
contract LendingLens {
    struct Account {
        uint256 collateral;
        uint256 debt;
        uint256 threshold;
        uint256 ltv;
        uint256 health;
        uint256[] supplied;
        uint256[] owed;
    }

    struct Standing {
        uint256 shares;
        uint256 borrowed;
        uint256 collateral;
        uint256 maxBorrow;
    }

    /// What Aave says of these users, and what they have of each of its tokens.
    function accounts(IPool pool, IBalance[] calldata supplies, IBalance[] calldata debts, address[] calldata users)
        external
        view
        returns (Account[] memory all)
    {
        all = new Account[](users.length);
        for (uint256 i = 0; i < users.length; i++) {
            Account memory one = all[i];
            (one.collateral, one.debt,, one.threshold, one.ltv, one.health) = pool.getUserAccountData(users[i]);
            one.supplied = balances(supplies, users[i]);
            one.owed = balances(debts, users[i]);
        }
    }

    /// What these users owe in a Morpho market, which accrues the interest in this very call.
    function standings(IMorpho morpho, MarketParams memory params, address[] calldata users)
        external
        returns (uint256 price, Standing[] memory standing)
    {
        bytes32 id = keccak256(abi.encode(params));
        morpho.accrueInterest(params);
        price = IOracle(params.oracle).price();
        (,, uint256 assets, uint256 shares,,) = morpho.market(id);
        standing = new Standing[](users.length);
        for (uint256 i = 0; i < users.length; i++) {
            (, uint256 borrowShares, uint256 collateral) = morpho.position(id, users[i]);
            // Rounded up, over the virtual shares.
            uint256 borrowed = (borrowShares * (assets + 1) + shares + 1e6 - 1) / (shares + 1e6);
            uint256 maxBorrow = ((collateral * price) / 1e36) * params.lltv / 1e18;
            standing[i] = Standing(borrowShares, borrowed, collateral, maxBorrow);
        }
    }
    function balances(IBalance[] calldata tokens, address user) private view returns (uint256[] memory all) {
        all = new uint256[](tokens.length);
        for (uint256 i = 0; i < tokens.length; i++) all[i] = tokens[i].balanceOf(user);
    }
}
