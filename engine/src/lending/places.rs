//! A set of places in a table, a bit for each: what has to be read anew is found among a hundred
//! thousand in a microsecond, without a look at any that has not.
//!
//! Temperature: hot.

use alloc::vec;
use alloc::vec::Vec;

/// Some places of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Places(Vec<u64>);

impl Places {
    /// None of so many.
    #[cold]
    pub(crate) fn new(room: usize) -> Self {
        Self(vec![0; room.div_ceil(64)])
    }

    /// Puts a place in, or takes it out. One that there is no room for is in no table.
    pub(crate) fn set(&mut self, place: u32, is_in: bool) {
        if let Some(word) = self.0.get_mut((place / 64) as usize) {
            let bit = 1 << (place % 64);
            *word = if is_in { *word | bit } else { *word & !bit };
        }
    }

    /// Whether a place is in.
    pub(crate) fn has(&self, place: u32) -> bool {
        self.0.get((place / 64) as usize).is_some_and(|word| (word >> (place % 64)) & 1 == 1)
    }

    /// Those that are in, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0_u32..).step_by(64).zip(&self.0).flat_map(|(first, word)| {
            let bits =
                core::iter::successors(Some(*word), |left| Some(left & left.wrapping_sub(1)));
            bits.take_while(|left| *left != 0).map(move |left| first | left.trailing_zeros())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_a_set(changes in proptest::collection::vec((0_u32..200, any::<bool>()), 0..400)) {
            let (mut places, mut expected) = (Places::new(200), BTreeSet::new());
            for (place, is_in) in changes {
                places.set(place, is_in);
                if is_in { expected.insert(place) } else { expected.remove(&place) };
            }
            prop_assert!((0..300).all(|place| places.has(place) == expected.contains(&place)));
            prop_assert!(places.iter().eq(expected));
        }
    }

    #[test]
    fn a_place_that_there_is_no_room_for_is_left_out() {
        let mut places = Places::new(64);
        places.set(64, true);
        assert_eq!(places.iter().count(), 0);
        places.set(63, true);
        assert!(places.iter().eq([63]));
    }
}
