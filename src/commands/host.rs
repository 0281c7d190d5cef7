//! What of this machine makes the hot thread late now and then, and how to mend it.
//!
//! Read from the kernel's own files (`Documentation/admin-guide` of the kernel names them).
//!
//! Temperature: cold.

use std::path::Path;

use super::check::Found;

/// Everything that was looked at; `core` is the hot thread's.
pub(super) fn look(root: &Path, core: Option<usize>) -> Vec<(&'static str, Found)> {
    let read = |path: &str| {
        let text = std::fs::read_to_string(root.join(path)).ok()?;
        Some(text.trim().to_owned())
    };
    let mut found = Vec::new();
    if let Some(core) = core {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        found.push(("governor", governor(read(&path).as_deref())));
        let isolated = read("sys/devices/system/cpu/isolated").unwrap_or_default();
        found.push(("isolation", isolation(core, &isolated)));
        found.push(("interrupts", interrupts(root, core)));
    }
    let enabled = read("sys/kernel/mm/transparent_hugepage/enabled");
    found.push(("huge pages", huge_pages(enabled.as_deref())));
    let source = read("sys/devices/system/clocksource/clocksource0/current_clocksource");
    found.push(("clock source", clock_source(source.as_deref())));
    found
}

fn governor(governor: Option<&str>) -> Found {
    match governor {
        Some("performance") => Found::ok("the core keeps its highest frequency"),
        Some(other) => Found::warn(format!(
            "{other}: the core slows down when it rests; `cpupower frequency-set -g performance`"
        )),
        None => Found::ok("not ours to set: a virtual machine, or firmware decides"),
    }
}

fn isolation(core: usize, isolated: &str) -> Found {
    if has(isolated, core) {
        return Found::ok(format!("core {core} is isolated: nothing else is scheduled on it"));
    }
    Found::warn(format!(
        "core {core} is shared with everything else: boot with isolcpus={core} nohz_full={core} \
         rcu_nocbs={core}"
    ))
}

/// Interrupts that the kernel may handle on a core.
fn interrupts(root: &Path, core: usize) -> Found {
    let Ok(folders) = std::fs::read_dir(root.join("proc/irq")) else {
        return Found::ok("not told here");
    };
    let lists = folders
        .flatten()
        .filter_map(|folder| std::fs::read_to_string(folder.path().join("smp_affinity_list")).ok());
    match lists.filter(|list| has(list.trim(), core)).count() {
        0 => Found::ok(format!("none is handled on core {core}")),
        count => Found::warn(format!(
            "{count} may be handled on core {core}: write other cores to their \
             /proc/irq/*/smp_affinity_list, and keep irqbalance off it"
        )),
    }
}

fn huge_pages(enabled: Option<&str>) -> Found {
    match enabled {
        Some(modes) if modes.contains("[always]") => Found::warn(
            "always: the kernel may stop a thread to make one; write madvise to \
             /sys/kernel/mm/transparent_hugepage/enabled",
        ),
        Some(_) => Found::ok("made only for those who ask"),
        None => Found::ok("not told here"),
    }
}

fn clock_source(source: Option<&str>) -> Found {
    match source {
        Some(fast @ ("tsc" | "arch_sys_counter" | "kvm-clock")) => {
            Found::ok(format!("{fast}: read without a system call"))
        }
        Some(slow) => Found::warn(format!(
            "{slow}: each time stamp is a system call; boot with clocksource=tsc if the machine's \
             is stable"
        )),
        None => Found::ok("not told here"),
    }
}

/// Whether a list such as `0-3,6` has a number.
fn has(list: &str, number: usize) -> bool {
    list.split(',').any(|part| match part.split_once('-') {
        Some((from, to)) => from
            .parse()
            .ok()
            .zip(to.parse().ok())
            .is_some_and(|(from, to): (usize, usize)| (from..=to).contains(&number)),
        None => part.parse() == Ok(number),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::check::Level;
    use super::*;

    #[test]
    fn a_list_of_cores_is_read_as_the_kernel_writes_it() {
        for (list, number, is_there) in
            [("0-3,6", 2, true), ("0-3,6", 6, true), ("0-3,6", 4, false), ("", 0, false)]
        {
            assert_eq!(has(list, number), is_there, "{list} {number}");
        }
        assert!(!has("x-y,?", 0));
    }

    #[test]
    fn what_makes_a_thread_late_is_told_with_its_remedy() {
        let name = format!("gannet-host-{}", std::process::id());
        let root = std::env::temp_dir().join(name);
        let write = |path: &str, text: &str| {
            let file = root.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let levels = |core| -> Vec<(&str, Level)> {
            look(&root, core).into_iter().map(|(name, Found(level, _))| (name, level)).collect()
        };
        assert!(levels(None).iter().all(|(_, level)| *level == Level::Ok), "nothing is told");
        write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n");
        write("sys/devices/system/cpu/isolated", "2-3\n");
        write("sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
        write("sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n");
        write("proc/irq/24/smp_affinity_list", "0-1\n");
        assert!(levels(Some(1)).iter().all(|(_, level)| *level == Level::Warn));
        assert_eq!(levels(Some(1)).len(), 5);
        let text: Vec<String> =
            look(&root, Some(1)).into_iter().map(|(_, found)| found.1).collect();
        assert!(text[0].contains("cpupower") && text[1].contains("isolcpus=1"), "{text:?}");
        write("sys/devices/system/cpu/cpu2/cpufreq/scaling_governor", "performance\n");
        write("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
        write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
        assert!(levels(Some(2)).iter().all(|(_, level)| *level == Level::Ok));
        fs::remove_dir_all(&root).unwrap();
    }
}
