//! What is told of arguments that cannot be read, beyond what their parser says.
//!
//! Temperature: cold.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// The same error, and where a flag of `run` belongs that came without a command: a start that
/// names none is a `run`, but its flags are not read.
pub(crate) fn with_tip(mut error: clap::Error, command: &Command) -> clap::Error {
    let flag = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::UnknownArgument, Some(ContextValue::String(flag))) => flag.clone(),
        _ => return error,
    };
    let is_command = |argument: OsString| {
        argument.to_str().is_some_and(|name| command.find_subcommand(name).is_some())
    };
    let is_of_run = |run: &Command| {
        let mut flags = run.get_arguments().filter_map(clap::Arg::get_long);
        flags.any(|long| flag.strip_prefix("--") == Some(long))
    };
    let has_command = std::env::args_os().skip(1).any(is_command);
    if !has_command && command.find_subcommand("run").is_some_and(is_of_run) {
        let tip = format!("to fly with it, name the command: gannet run {flag} …");
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}
