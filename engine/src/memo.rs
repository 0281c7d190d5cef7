//! The last answer beside its question, for what is asked of many in a row and is the same for all.
//!
//! Invariant: an answer follows from its question alone, so that nobody has to say when what is
//! remembered no longer holds.
//!
//! Temperature: hot.

use core::cell::RefCell;

/// Remembers one answer.
#[derive(Clone, Debug)]
pub(crate) struct Memo<Q, A>(RefCell<Option<(Q, A)>>);

impl<Q, A> Default for Memo<Q, A> {
    fn default() -> Self {
        Self(RefCell::new(None))
    }
}

impl<Q: PartialEq, A: Copy> Memo<Q, A> {
    /// The answer to a question: `reckon` is called if it is another one than the last.
    #[inline]
    pub(crate) fn ask(&self, question: Q, reckon: impl FnOnce() -> A) -> A {
        if let Some((last, answer)) = &*self.0.borrow()
            && *last == question
        {
            return *answer;
        }
        let answer = reckon();
        *self.0.borrow_mut() = Some((question, answer));
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_question_is_reckoned_once() {
        let memo = Memo::default();
        assert_eq!(memo.ask(1, || 10), 10);
        assert_eq!(memo.ask(1, || unreachable!("it is remembered")), 10);
        assert_eq!(memo.ask(2, || 20), 20);
        assert_eq!(memo.ask(1, || 11), 11, "only the last is remembered");
    }
}
