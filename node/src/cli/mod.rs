//! The command line: one file per group of commands. Standard output carries results and nothing else; prompts and
//! hints go to standard error, hints not where JSON was asked for and no terminal is there.

mod context;
mod debug;
mod envelope;
mod genesis;
mod grants;
mod init;
mod keys;
mod query;
mod sdl;
mod sign;
mod start;
mod statement;
mod status;
mod tx;
mod usage;

pub use context::{Context, Global, Output};

use clap::{CommandFactory, Parser, Subcommand};
use context::{say, tell};
use std::process::ExitCode;

/// An open marketplace for compute: the node and its command line.
#[derive(Parser)]
#[command(name = "virtengine", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write the files of a new node: keys, configuration and an empty genesis
    Init(init::Init),
    /// Run the node
    Start(start::Start),
    /// Keys and addresses
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Make, sign and send a transaction
    #[command(subcommand)]
    Tx(tx::Tx),
    /// Ask a node about the chain
    #[command(visible_alias = "q")]
    Query(query::AtHeight),
    /// Deployment files: check them and see what they become
    #[command(subcommand)]
    Sdl(sdl::Sdl),
    /// Seal what only a lease's parties may read, and open it
    #[command(subcommand)]
    Encryption(envelope::Encryption),
    /// Make and check the genesis document
    #[command(subcommand)]
    Genesis(genesis::Genesis),
    /// What the node says of itself
    Status,
    /// Look into a stopped node's state
    #[command(subcommand)]
    Debug(debug::Debug),
    /// The state of a stopped node as a genesis document
    Export(debug::Export),
    /// The version of this program
    Version {
        /// With what it was built from
        #[arg(long)]
        long: bool,
    },
    /// A completion script for a shell
    Completion { shell: clap_complete::Shell },
}

impl Cli {
    /// Reads the command line and runs it; a mistake in it is told as JSON where JSON was asked for.
    pub fn start() -> ExitCode {
        let error = match Cli::try_parse() {
            Ok(cli) => return cli.run(),
            Err(error) => error,
        };
        let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
        if error.use_stderr() && context::wants_json(&args) {
            let text = error.to_string();
            tell(serde_json::json!({ "error": text.trim_start_matches("error: ").trim_end() }));
            return ExitCode::from(2);
        }
        error.exit()
    }

    /// Runs the command and reports what went wrong, as JSON where JSON was asked for.
    pub fn run(self) -> ExitCode {
        let context = Context::load(self.global.clone());
        let output = context.as_ref().map_or(self.global.output, |c| Some(c.output));
        match context.and_then(|context| self.dispatch(context)) {
            Ok(code) => code,
            Err(e) => {
                match output {
                    Some(Output::Json) => tell(serde_json::json!({ "error": format!("{e:#}") })),
                    _ => tell(format_args!("Error: {e:#}")),
                }
                ExitCode::FAILURE
            }
        }
    }

    fn dispatch(self, context: Context) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Init(x) => x.run(&context)?,
            Command::Start(x) => return x.run(context),
            Command::Keys(x) => x.run(&context)?,
            Command::Tx(x) => block_on(x.run(&context))?,
            Command::Query(x) => block_on(x.run(&context))?,
            Command::Sdl(x) => x.run(&context)?,
            Command::Encryption(x) => block_on(x.run(&context))?,
            Command::Genesis(x) => x.run(&context)?,
            Command::Status => block_on(status::run(&context))?,
            Command::Debug(x) => return x.run(&context),
            Command::Export(x) => x.run(&context)?,
            Command::Version { long } => status::version(&context, long),
            Command::Completion { shell } => {
                let mut script = Vec::new();
                clap_complete::generate(shell, &mut Cli::command(), "virtengine", &mut script);
                say(String::from_utf8(script)?);
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Commands that talk to a node need no more than one thread.
fn block_on<T>(future: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Args;
    use clap::Command as Shown;

    /// Names of what `command` and all below it leave unexplained, or explain with the words of a group of options.
    fn unexplained(command: &Shown, path: &str, borrowed: &[String], found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name());
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            if about.is_empty() || borrowed.contains(&about) {
                found.push(format!("{path}: {about:?}"));
            }
            // The market's commands have many numbers and addresses that would not explain themselves.
            let market = [" provider", " encryption", " deployment", " market", " escrow"].iter().any(|part| path.contains(part));
            let silent = sub.get_arguments().filter(|arg| market && arg.get_help().is_none());
            found.extend(silent.map(|arg| format!("{path} {}", arg.get_id())));
            unexplained(sub, &path, borrowed, found);
        }
    }

    #[test]
    fn every_command_and_every_option_of_the_market_says_what_it_is_for() {
        let groups: [fn(Shown) -> Shown; 9] = [
            tx::TxFlags::augment_args,
            tx::Id::augment_args,
            tx::GroupRef::augment_args,
            query::Pages::augment_args,
            query::Filter::augment_args,
            query::OrderId::augment_args,
            query::BidId::augment_args,
            query::GroupFilter::augment_args,
            statement::Heights::augment_args,
        ];
        let borrowed: Vec<String> = groups.iter().filter_map(|group| group(Shown::new("")).get_about().map(ToString::to_string)).collect();
        assert_eq!(borrowed.len(), groups.len());
        let mut found = Vec::new();
        unexplained(&Cli::command(), "virtengine", &borrowed, &mut found);
        assert!(found.is_empty(), "{found:#?}");
    }
}
