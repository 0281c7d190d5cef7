//! `gannet run` where no node is named: the strategies fly over a recording, as fast as wanted, and
//! what they find is told as it comes.
//!
//! Temperature: cold.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use gannet_engine::strategy::StrategySet;
use tokio::runtime::Builder;

use crate::backtest::{self, Backtest, Delay, End, Job, Planned};
use crate::cli::EXIT_CUT;
use crate::config::{Replay, in_ether};
use crate::signals::Signals;

/// Where the report is written: in the folder that the command is given in.
const REPORT: &str = "gannet-report.html";
/// The last that is waited for at once, so that a signal is heard.
const NAP: Duration = Duration::from_millis(50);

/// Flies over the recording, and writes the report.
///
/// # Errors
/// When the recording cannot be read or the report not be written.
pub(crate) fn fly<S: StrategySet>(
    replay: &Replay,
    config: &str,
    set: Vec<String>,
) -> Result<Backtest> {
    let recording = replay.recording.as_path();
    tracing::info!(
        recording = %recording.display(),
        speed = replay.speed,
        "no node is named (node.url): flying over a recording, in dry-run"
    );
    let is_over = listen()?;
    let job = Job {
        recording,
        from: 0,
        to: u64::MAX,
        config,
        set,
        delay: Delay::default(),
        is_bare: false,
    };
    let mut pace = Pace {
        speed: replay.speed,
        began: Instant::now(),
        first: None,
        told: Vec::new(),
        open_from: 0,
    };
    let backtest = backtest::run_seen::<S>(&job, |at, plans| {
        pace.tell(plans);
        pace.wait(at, &is_over)
    })?;
    backtest.write_report(Path::new(REPORT))?;
    tracing::info!(report = REPORT, "the report is written: open it in a browser");
    Ok(backtest)
}

/// Becomes true at the first signal; a second one ends the process.
fn listen() -> Result<Arc<AtomicBool>> {
    let is_over = Arc::new(AtomicBool::new(false));
    let heard = Arc::clone(&is_over);
    let runtime = Builder::new_current_thread().enable_all().build().context("starting")?;
    std::thread::Builder::new()
        .name("gannet-signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                match Signals::listen() {
                    Ok(mut signals) => {
                        signals.next().await;
                        heard.store(true, Ordering::Release);
                        signals.next().await;
                        end_at_once();
                    }
                    Err(error) => tracing::warn!("signals are not heard: {error:#}"),
                }
            });
        })
        .context("starting the thread that hears signals")?;
    Ok(is_over)
}

/// What a second signal asks for; nothing is half written that would be missed.
#[expect(clippy::exit, reason = "the work is on another thread, and may take long")]
fn end_at_once() {
    std::process::exit(i32::from(EXIT_CUT));
}

/// Tells what comes, and lets no input come before its time.
struct Pace {
    speed: u32,
    began: Instant,
    /// When the first input came, by the recording's clock.
    first: Option<u64>,
    /// How each plan that was told stood then.
    told: Vec<End>,
    /// The first plan whose end is not known yet.
    open_from: usize,
}

impl Pace {
    fn tell(&mut self, plans: &[Planned]) {
        for (place, plan) in plans.iter().enumerate().skip(self.open_from) {
            if place == self.open_from && plan.end != End::Unknown {
                self.open_from += 1;
            }
            match self.told.get_mut(place) {
                None => {
                    self.told.push(plan.end);
                    let (block, strategy) = (plan.block, plan.strategy);
                    let net = i128::try_from(plan.net_wei).unwrap_or(i128::MAX);
                    let (net_eth, hops) = (in_ether(net), plan.legs.len());
                    tracing::info!(block, strategy, net_eth, hops, "found");
                }
                Some(told) if *told != plan.end => {
                    *told = plan.end;
                    let (block, strategy) = (plan.block, plan.strategy);
                    let net_eth = in_ether(plan.net_profit().unwrap_or(0));
                    tracing::info!(block, strategy, net_eth, "{}", plan.end.name());
                }
                Some(_) => {}
            }
        }
    }

    /// Waits until an input is due; false if a signal came.
    fn wait(&mut self, at: u64, is_over: &AtomicBool) -> bool {
        let first = *self.first.get_or_insert(at);
        if self.speed > 0 {
            let due = Duration::from_nanos(at.saturating_sub(first) / u64::from(self.speed));
            while let Some(left) = due.checked_sub(self.began.elapsed()) {
                if is_over.load(Ordering::Acquire) {
                    break;
                }
                std::thread::sleep(left.min(NAP));
            }
        }
        !is_over.load(Ordering::Acquire)
    }
}
