//! `scripted-node`: plays one scenario file, and prints what it does.
//!
//! Temperature: cold.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gannet_scripted_node::{Bot, Node, Player, Script, Setup};
use serde_json::{Value, json};

const USAGE: &str = "\
scripted-node FILE: a node that does what a scenario file says

  --listen ADDRESS  where it listens (127.0.0.1:0)
  --config FILE     writes a configuration with which gannet flies on it; the keys that it names
                    come on stderr, and are worth nothing anywhere else
  --journal FILE    the bot's journal, so that its state can be judged
  --json            one JSON object at the end, and nothing else on stdout
";

#[derive(Debug, Default)]
struct Options {
    file: PathBuf,
    listen: Option<String>,
    config: Option<PathBuf>,
    journal: Option<PathBuf>,
    is_json: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next() {
            match &*argument {
                "--listen" => options.listen = Some(arguments.next()?),
                "--config" => options.config = Some(arguments.next()?.into()),
                "--journal" => options.journal = Some(arguments.next()?.into()),
                "--json" => options.is_json = true,
                file if !file.starts_with('-') => options.file = file.into(),
                _ => return None,
            }
        }
        options.file.is_file().then_some(options)
    }
}

/// A bot that somebody else starts.
struct Stranger {
    config: Option<PathBuf>,
    journal: Option<PathBuf>,
}

impl Bot for Stranger {
    fn start(&mut self, node: &Node, second: Option<&Node>) {
        eprintln!("listening at {}", node.url());
        for (name, key) in node.chain().market.keys() {
            eprintln!("export {name}={key}");
        }
        if let Some(path) = &self.config
            && let Err(error) = std::fs::write(path, node.config(second))
        {
            eprintln!("cannot write {}: {error}", path.display());
        }
    }

    fn journal(&mut self) -> Option<Vec<Value>> {
        let text = std::fs::read_to_string(self.journal.as_deref()?).unwrap_or_default();
        Some(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect())
    }

    fn log(&mut self) -> String {
        String::new()
    }
}

fn play(options: Options) -> Result<(), String> {
    let script = Script::read(Path::new(&options.file)).map_err(|error| error.to_string())?;
    let mut setup = Setup::default();
    setup.listen = options.listen.unwrap_or(setup.listen);
    let mut bot = Stranger { config: options.config, journal: options.journal };
    let mut player = Player::new(&mut bot, setup);
    let played = player.play(&script, |line| {
        if !options.is_json {
            println!("{:>4}  {}", line.number, line.text);
        }
    });
    if options.is_json {
        let node = player.node().map_or(Value::Null, |node| node.to_json());
        let failed = played.as_ref().err().map(ToString::to_string);
        let (scenario, title) = (script.name(), &script.title);
        println!(
            "{}",
            json!({ "scenario": scenario, "title": title, "failed": failed, "node": node })
        );
    }
    played.map_err(|error| error.to_string())
}

fn main() -> ExitCode {
    let Some(options) = Options::read(std::env::args().skip(1)) else {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    };
    match play(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
