//! Keeps keys in this process: it leaves no core dump, and no other process reads its memory.
//!
//! Temperature: cold.

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// Closes this process's memory to core dumps and debuggers, its environment among it, for as long
/// as it lives. Only root can still look.
pub(crate) fn close_memory() -> Result<(), String> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // The limit alone would not do: a core that is piped to a collector ignores it.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .and_then(|()| setrlimit(Resource::Core, none))
        .map_err(|error| format!("cannot be kept from core dumps and debuggers: {error}"))
}

#[cfg(test)]
mod tests {
    use rustix::process::{dumpable_behavior, getrlimit};

    use super::*;

    #[test]
    fn a_process_with_keys_leaves_no_core_and_lets_nobody_look() {
        close_memory().unwrap();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        let Rlimit { current, maximum } = getrlimit(Resource::Core);
        assert_eq!((current, maximum), (Some(0), Some(0)));
        // Once it is closed it stays so, and closing it again is no error.
        close_memory().unwrap();
    }
}
