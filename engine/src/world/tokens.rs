//! The tokens of the universe: addresses and decimals by [`TokenId`], and which are bases.
//!
//! Decode asks for the handles of a swap's path here; the search asks how preferred a base is.
//!
//! Invariants: capacity is fixed when the table is made; a handle, once given, stays valid.
//!
//! Temperature: hot.

use alloc::vec::Vec;

use alloy_primitives::Address;
use hashbrown::HashMap;

use super::hash::FixedState;
use super::pools::Refused;
use crate::ids::TokenId;
use crate::limits::BASE_TOKENS_MAX;

/// One token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    /// The contract.
    pub address: Address,
    /// Digits after the point, for people; amounts are always in the smallest unit.
    pub decimals: u8,
    /// Its place among the base tokens, 0 being the most preferred; `None` if it is not one.
    pub base_rank: Option<u8>,
    /// What a transfer of it uses beyond a plain token's, in gas.
    pub transfer_gas: u32,
}

/// Every token of the universe.
#[derive(Debug)]
pub struct TokenTable {
    tokens: Vec<Token>,
    capacity: usize,
    by_address: HashMap<Address, TokenId, FixedState>,
}

impl TokenTable {
    /// An empty table for `capacity` tokens.
    ///
    /// # Panics
    /// When handles could not count that far: capacities are named in [`limits`](crate::limits).
    #[must_use]
    #[cold]
    pub fn new(capacity: usize) -> Self {
        assert!(u32::try_from(capacity).is_ok(), "a token id is a u32");
        Self {
            tokens: Vec::with_capacity(capacity),
            capacity,
            by_address: HashMap::with_capacity_and_hasher(capacity, FixedState),
        }
    }

    /// Adds a token that is no base and gives its handle.
    ///
    /// # Errors
    /// When the table is full or the address is known.
    #[cold]
    pub fn insert(&mut self, address: Address, decimals: u8) -> Result<TokenId, Refused> {
        if self.by_address.contains_key(&address) {
            return Err(Refused::Known);
        }
        if self.tokens.len() == self.capacity {
            return Err(Refused::Full);
        }
        let Ok(next) = u32::try_from(self.tokens.len()) else { return Err(Refused::Full) };
        let id = TokenId(next);
        self.by_address.insert(address, id);
        self.tokens.push(Token { address, decimals, base_rank: None, transfer_gas: 0 });
        Ok(id)
    }

    /// Makes `bases` the base tokens, most preferred first; those past [`BASE_TOKENS_MAX`] are not.
    #[cold]
    pub fn set_bases(&mut self, bases: &[TokenId]) {
        for token in &mut self.tokens {
            token.base_rank = None;
        }
        for (rank, base) in (0_u8..).zip(bases.iter().take(BASE_TOKENS_MAX)) {
            self.tokens[base.index()].base_rank = Some(rank);
        }
    }

    /// Says what a transfer of a token uses beyond a plain token's, in gas.
    #[cold]
    pub fn set_transfer_gas(&mut self, id: TokenId, gas: u32) {
        if let Some(token) = self.tokens.get_mut(id.index()) {
            token.transfer_gas = gas;
        }
    }

    /// The handle of the token at `address`, if it is in the universe.
    #[must_use]
    #[inline]
    pub fn id_of(&self, address: &Address) -> Option<TokenId> {
        self.by_address.get(address).copied()
    }

    /// The token of a handle that this table gave.
    #[must_use]
    #[inline]
    pub fn get(&self, id: TokenId) -> &Token {
        &self.tokens[id.index()]
    }

    /// How preferred `id` is as a base, 0 being the most; `None` if it is not one.
    #[must_use]
    #[inline]
    pub fn base_rank(&self, id: TokenId) -> Option<u8> {
        self.tokens[id.index()].base_rank
    }

    /// Every token with its handle, in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (TokenId, &Token)> {
        (0_u32..).map(TokenId).zip(&self.tokens)
    }

    /// How many tokens there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// How many there is room for.
    #[must_use]
    pub const fn capacity(&self) -> usize {
        self.capacity
    }
}

const _: () = assert!(BASE_TOKENS_MAX <= u8::MAX as usize, "a base's rank is a u8");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_by_its_address() {
        let mut table = TokenTable::new(2);
        let weth = table.insert(Address::repeat_byte(1), 18).unwrap();
        let usdc = table.insert(Address::repeat_byte(2), 6).unwrap();
        assert_eq!(table.id_of(&Address::repeat_byte(2)), Some(usdc));
        assert_eq!(table.id_of(&Address::repeat_byte(3)), None);
        assert_eq!((table.get(weth).decimals, table.get(usdc).decimals), (18, 6));
        assert_eq!(table.insert(Address::repeat_byte(1), 18), Err(Refused::Known));
        assert_eq!(table.insert(Address::repeat_byte(3), 18), Err(Refused::Full));
    }

    #[test]
    fn naming_bases_again_forgets_the_old_ones() {
        let mut table = TokenTable::new(2);
        let weth = table.insert(Address::repeat_byte(1), 18).unwrap();
        let usdc = table.insert(Address::repeat_byte(2), 6).unwrap();
        table.set_bases(&[usdc, weth]);
        assert_eq!((table.base_rank(weth), table.base_rank(usdc)), (Some(1), Some(0)));
        table.set_bases(&[weth]);
        assert_eq!((table.base_rank(weth), table.base_rank(usdc)), (Some(0), None));
    }
}
