//! `cold-start`: starts a bot from an archive node with tens of thousands of pools, cold and then
//! warm, and says what that cost.
//!
//! Temperature: cold.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use gannet_scripted_node::archive::{Archive, Plan, Server, Start};
use gannet_scripted_node::subject::{Verdict, folder};
use serde_json::json;

const USAGE: &str = "\
scripts/cold-start: what a start costs, cold and warm, from a node with a long history

  --blocks N   blocks of history (2000000)
  --pairs N    V2 pairs (40000)
  --v3 N       V3 pools (8000)
  --ticks N    ticks that are set in each of these (20)
  --solidly N  Solidly pools (2000)
  --seed N     what the draws start from (1)
  --bot PATH   the bot's binary (target/release/gannet)
  --json       one JSON object, and nothing else on stdout
  --help       this

Exit code 1 if a criterion is missed. What the bot said is in target/cold-start/.
";

/// A cold start may take so much of its own processor time, and so many questions.
const COLD_CPU_MAX: Duration = Duration::from_secs(20);
const QUESTIONS_MAX: u64 = 2_500;
/// A warm start is over by then.
const WARM_MAX: Duration = Duration::from_secs(2);
/// Resident memory at its most, in MiB.
const MEMORY_MIB_MAX: u64 = 256;
/// What happens between the cold start and the warm one.
const GAP_BLOCKS: u64 = 100;
const GAP_CHANGES: usize = 500;

struct Options {
    plan: Plan,
    bot: PathBuf,
    is_json: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let plan = Plan {
            seed: 1,
            chain_id: 31_337,
            blocks: 2_000_000,
            pairs: 40_000,
            concentrated: 8_000,
            ticks: 20,
            solidly: 2_000,
        };
        let mut options = Self { plan, bot: "target/release/gannet".into(), is_json: false };
        while let Some(argument) = arguments.next() {
            if argument == "--json" {
                options.is_json = true;
                continue;
            }
            let value = arguments.next()?;
            let number = || value.parse::<u64>().ok().filter(|number| *number > 0);
            let count = || number().and_then(|number| usize::try_from(number).ok());
            match &*argument {
                "--blocks" => options.plan.blocks = number().filter(|blocks| *blocks >= 10)?,
                "--pairs" => options.plan.pairs = count()?,
                "--v3" => options.plan.concentrated = count()?,
                "--ticks" => options.plan.ticks = count()?,
                "--solidly" => options.plan.solidly = count()?,
                "--seed" => options.plan.seed = number()?,
                "--bot" => options.bot = value.into(),
                _ => return None,
            }
        }
        Some(options)
    }
}

const TITLE: &str = "start    ready s     CPU s   questions  for logs   refused  memory MiB    \
     pools   wrong";

fn judge(plan: &Plan, cold: &Start, warm: &Start) -> Vec<Verdict> {
    let all = plan.pairs + plan.concentrated + plan.solidly;
    let verdict = |name: String, is_met, why: String| Verdict { name, is_met, why };
    let memory_mib = cold.memory_kib.max(warm.memory_kib).div_ceil(1_024);
    vec![
        verdict(
            format!("all {all} pools are there, as the chain has them"),
            [cold, warm].iter().all(|start| start.pools == all && start.wrong == 0),
            format!("{} and {}, wrong {} and {}", cold.pools, warm.pools, cold.wrong, warm.wrong),
        ),
        verdict(
            format!("a cold start takes at most {} s of processor time", COLD_CPU_MAX.as_secs()),
            cold.cpu <= COLD_CPU_MAX,
            format!("{:.2} s", cold.cpu.as_secs_f64()),
        ),
        verdict(
            format!("and at most {QUESTIONS_MAX} questions"),
            cold.asked.all <= QUESTIONS_MAX,
            cold.asked.all.to_string(),
        ),
        verdict(
            format!("a warm start is over after {} s", WARM_MAX.as_secs()),
            warm.took <= WARM_MAX,
            format!("{:.2} s", warm.took.as_secs_f64()),
        ),
        verdict(
            format!("memory stays below {MEMORY_MIB_MAX} MiB"),
            memory_mib <= MEMORY_MIB_MAX,
            format!("{memory_mib} MiB"),
        ),
    ]
}

fn run(options: &Options) -> Result<bool, String> {
    let folder = folder("cold-start")?;
    let node = Server::start(Archive::new(options.plan)).map_err(|error| error.to_string())?;
    let cold = Start::of(&options.bot, &folder, "cold", &node)?;
    node.archive().go_on(GAP_BLOCKS, GAP_CHANGES);
    let warm = Start::of(&options.bot, &folder, "warm", &node)?;
    let verdicts = judge(&options.plan, &cold, &warm);
    if options.is_json {
        let starts = [&cold, &warm].map(Start::to_json);
        let verdicts: Vec<_> = verdicts.iter().map(Verdict::to_json).collect();
        println!("{}", json!({ "starts": starts, "verdicts": verdicts }));
    } else {
        println!("{TITLE}\n{}\n{}\n", cold.line(), warm.line());
        verdicts.iter().for_each(|verdict| println!("{verdict}"));
    }
    Ok(verdicts.iter().all(|verdict| verdict.is_met))
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let Some(options) = Options::read(arguments.into_iter()) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
