//! Near misses: the known word that a misspelt one most likely stands for.
//!
//! Temperature: cold.

/// The known word that is a slip of the finger away from `found`, if there is one.
pub(super) fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let scored = known.iter().map(|word| (distance(found, word), *word));
    let (best, word) = scored.min()?;
    // One slip in three letters; more is another word.
    (best <= (word.len().max(found.len()) / 3).min(3)).then_some(word)
}

/// Insertions, deletions, replacements and swaps of neighbours that lead from one word to the
/// other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    for i in 0..=from.len() {
        for j in 0..=to.len() {
            if i == 0 || j == 0 {
                rows[i][j] = i + j;
                continue;
            }
            let replaced = rows[i - 1][j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            let is_swap = i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1];
            if is_swap {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let keys = ["url", "connect_timeout_s", "silent_after_ms"];
        assert_eq!(nearest("ulr", &keys), Some("url"));
        assert_eq!(nearest("silent_after", &keys), Some("silent_after_ms"));
        assert_eq!(nearest("conect_timeout_s", &keys), Some("connect_timeout_s"));
        assert_eq!(nearest("colour", &keys), None);
        assert_eq!(nearest("", &keys), None);
        assert_eq!(nearest("url", &[]), None);
    }
}
