//! Whether the processor has the instructions that the program is built for.
//!
//! Without them it would be ended by the first one that is unknown, and nobody would be told why.
//!
//! Temperature: cold.

use core::arch::x86_64::{__cpuid, __cpuid_count};

/// Bits of `cpuid` that x86-64-v3 has over its predecessors, as far as compilers make use of them:
/// leaf 1's ECX (FMA, MOVBE, OSXSAVE, AVX, F16C), leaf 7's EBX (BMI1, AVX2, BMI2), and leaf
/// 8000'0001's ECX (LZCNT).
const WANTED: [u32; 3] = [bits(&[12, 22, 27, 28, 29]), bits(&[3, 5, 8]), bits(&[5])];

const fn bits(mut places: &[u32]) -> u32 {
    let mut bits = 0;
    while let [place, rest @ ..] = places {
        bits |= 1 << *place;
        places = rest;
    }
    bits
}

/// What to tell a user whose processor lacks something; `None` if nothing is lacking.
///
/// The standard library's own question is of no use here: it takes for given what the program is
/// built for.
#[cold]
pub(crate) fn complaint() -> Option<&'static str> {
    let is_wanted = cfg!(target_feature = "avx2");
    (is_wanted && !has_all(answers())).then_some(
        "this processor lacks instructions that gannet is built for (x86-64-v3: AVX2, BMI2); \
         build it with RUSTFLAGS='-C target-cpu=x86-64'",
    )
}

fn answers() -> [u32; 3] {
    [__cpuid(1).ecx, __cpuid_count(7, 0).ebx, __cpuid(0x8000_0001).ecx]
}

fn has_all(answers: [u32; 3]) -> bool {
    answers.iter().zip(WANTED).all(|(answer, wanted)| answer & wanted == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_that_runs_this_has_what_this_is_built_for() {
        assert_eq!(complaint(), None);
    }

    #[test]
    fn one_instruction_that_is_lacking_is_noticed() {
        assert!(has_all(WANTED) && has_all([u32::MAX; 3]));
        for (place, wanted) in WANTED.into_iter().enumerate() {
            for bit in (0..u32::BITS).filter(|bit| wanted & (1 << bit) != 0) {
                let mut answers = [u32::MAX; 3];
                answers[place] &= !(1 << bit);
                assert!(!has_all(answers), "bit {bit} of answer {place}");
            }
        }
    }
}
