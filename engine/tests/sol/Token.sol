// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity =0.8.30;

/// @notice A plain ERC-20. Tests write balances into its storage: slot 0 holds the mapping.
contract Token {
    mapping(address account => uint256 amount) public balanceOf;
    mapping(address owner => mapping(address spender => uint256 amount)) public allowance;
    uint8 public immutable decimals;

    event Transfer(address indexed from, address indexed to, uint256 amount);

    constructor(uint8 decimals_) {
        decimals = decimals_;
    }

    function approve(address spender, uint256 amount) external virtual returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external virtual returns (bool) {
        _move(msg.sender, to, amount);
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) allowance[from][msg.sender] = allowed - amount;
        _move(from, to, amount);
        return true;
    }

    function _move(address from, address to, uint256 amount) internal virtual {
        balanceOf[from] -= amount;
        balanceOf[to] += amount;
        emit Transfer(from, to, amount);
    }
}

/// @notice Keeps 1 % of every transfer: less arrives than was sent.
contract FeeToken is Token(18) {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        balanceOf[to] -= amount / 100;
    }
}

/// @notice Takes 1 % more from the sender of a transfer than arrives.
contract TaxToken is Token(18) {
    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        balanceOf[from] -= amount / 100;
    }
}

/// @notice Returns nothing from `transfer`, as USDT does.
contract SilentToken is Token(6) {
    function transfer(address to, uint256 amount) external override returns (bool) {
        _move(msg.sender, to, amount);
        assembly {
            return(0, 0)
        }
    }
}

/// @notice Returns nothing, and takes an approval only where there is none, as USDT does.
contract StrictToken is Token(6) {
    function approve(address spender, uint256 amount) external override returns (bool) {
        require(amount == 0 || allowance[msg.sender][spender] == 0, "not from zero");
        allowance[msg.sender][spender] = amount;
        assembly {
            return(0, 0)
        }
    }
}

/// @notice Moves nothing and returns false instead of reverting.
contract FalseToken is Token(18) {
    function transfer(address, uint256) external pure override returns (bool) {
        return false;
    }
}

/// @notice Calls somebody during every transfer, and keeps the answer if the call failed.
contract ReentrantToken is Token(18) {
    address private target;
    bytes private message;
    /// @notice What the last call reverted with.
    bytes public refusal;

    function aim(address target_, bytes calldata message_) external {
        (target, message) = (target_, message_);
    }

    function _move(address from, address to, uint256 amount) internal override {
        (bool entered, bytes memory answer) = target.call(message);
        require(!entered, "entered");
        refusal = answer;
        super._move(from, to, amount);
    }
}

/// @notice Whoever is on its list can neither send nor receive; a list that has the zero address stops all.
contract ListToken is Token(6) {
    mapping(address account => bool) public isListed;

    function list(address account) external {
        isListed[account] = true;
    }

    function _move(address from, address to, uint256 amount) internal override {
        require(!isListed[from] && !isListed[to] && !isListed[address(0)], "listed");
        super._move(from, to, amount);
    }
}

/// @notice Balances are shares of what there is, which changes by itself. Slot 0 holds the shares.
contract ShareToken {
    mapping(address account => uint256) private shares;
    uint256 private perMille = 1000;

    function rebase(uint256 perMille_) external {
        perMille = perMille_;
    }

    function balanceOf(address account) external view returns (uint256) {
        return shares[account] * perMille / 1000;
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        uint256 moved = amount * 1000 / perMille;
        shares[msg.sender] -= moved;
        shares[to] += moved;
        return true;
    }
}

/// @notice Writes down every transfer, at length.
contract HeavyToken is Token(18) {
    uint256[] private log;

    function _move(address from, address to, uint256 amount) internal override {
        super._move(from, to, amount);
        for (uint256 i = 0; i < 4; ++i) log.push(amount);
    }
}
