//! The hot thread's core: it is pinned there, and no other thread of this process runs on it.
//!
//! Temperature: cold.

use core_affinity::CoreId;
use rustix::thread::{CpuSet, sched_setaffinity};

/// A core that is kept free until the hot thread takes it.
#[derive(Debug)]
pub(crate) struct Reserved(Option<usize>);

/// Keeps the calling thread off `core`, and with it all threads that it starts from here on: a
/// thread inherits its creator's mask. On a machine of one core there is nowhere else to go.
pub(crate) fn reserve(core: Option<usize>) -> Reserved {
    let Some(hot) = core else { return Reserved(None) };
    // An isolated core is in no mask by itself, and is the best one.
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let mut others = CpuSet::new();
    let listed = cores.iter().map(|core| core.id).filter(|core| *core != hot);
    listed.filter(|core| *core < CpuSet::MAX_CPU).for_each(|core| others.set(core));
    if others.count() == 0 {
        tracing::warn!(core, "the hot thread shares its core with all others: no other is known");
    } else if let Err(error) = sched_setaffinity(None, &others) {
        tracing::warn!(%error, "other threads cannot be kept off the hot thread's core");
    }
    Reserved(core)
}

impl Reserved {
    /// Pins the calling thread, which is the hot one from here on.
    pub(crate) fn take(self) {
        let Self(Some(core)) = self else { return };
        if core < CpuSet::MAX_CPU && core_affinity::set_for_current(CoreId { id: core }) {
            tracing::info!(core, "the hot thread is pinned");
        } else {
            tracing::warn!(
                core,
                "the hot thread cannot be pinned to this core: change runtime.core"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::spawn;

    use rustix::thread::sched_getaffinity;

    use super::*;

    fn mine() -> Vec<usize> {
        let mask = sched_getaffinity(None).unwrap();
        (0..CpuSet::MAX_CPU).filter(|core| mask.is_set(*core)).collect()
    }

    #[test]
    fn the_hot_thread_has_its_core_and_the_threads_started_before_have_the_others() {
        let all = mine();
        let core = *all.last().unwrap();
        let (cold, hot) = spawn(move || {
            let reserved = reserve(Some(core));
            let cold = spawn(mine).join().unwrap();
            reserved.take();
            (cold, mine())
        })
        .join()
        .unwrap();
        let others: Vec<usize> = all.iter().copied().filter(|other| *other != core).collect();
        assert_eq!(hot, [core]);
        assert_eq!(cold, if others.is_empty() { all } else { others });
    }

    #[test]
    fn a_core_that_is_not_there_changes_nothing() {
        let all = mine();
        reserve(Some(CpuSet::MAX_CPU)).take();
        reserve(None).take();
        assert_eq!(mine(), all);
    }
}
