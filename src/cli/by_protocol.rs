//! Commands that have a subcommand for each protocol: the protocols describe the arguments, this command line adds its own.

use crate::exchange::{Arguments, EXCHANGES, Exchange, Export, Graph, Import, Operation};
use clap::{ArgMatches, Args, Command, FromArgMatches, Subcommand, error::ErrorKind};

/// An operation that protocols may have.
pub(super) trait Offered: Sized + 'static {
    /// Returns a protocol's operation, if it has one.
    fn operation(exchange: &Exchange) -> Option<&Operation<Self>>;
}

impl Offered for Box<dyn Import> {
    fn operation(exchange: &Exchange) -> Option<&Operation<Self>> {
        exchange.import.as_ref()
    }
}

impl Offered for Export {
    fn operation(exchange: &Exchange) -> Option<&Operation<Self>> {
        exchange.export.as_ref()
    }
}

impl Offered for Box<dyn Graph> {
    fn operation(exchange: &Exchange) -> Option<&Operation<Self>> {
        exchange.graph.as_ref()
    }
}

/// The operation of one protocol, chosen by its name, with the options `C` of this command line.
pub(super) struct ByProtocol<T, C> {
    pub(super) options: C,
    pub(super) arguments: Box<dyn Arguments<T>>,
}

/// Returns the protocols that have an operation.
fn offered<T: Offered>() -> impl Iterator<Item = (&'static str, &'static Operation<T>)> {
    EXCHANGES.iter().filter_map(|exchange| Some((exchange.name, T::operation(exchange)?)))
}

impl<T: Offered, C: Args> Subcommand for ByProtocol<T, C> {
    fn augment_subcommands(command: Command) -> Command {
        let subcommand = |(name, operation): (&'static str, &Operation<T>)| {
            operation.add_arguments(C::augment_args(Command::new(name)))
        };
        command.subcommands(offered::<T>().map(subcommand))
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        offered::<T>().any(|(offered, _)| offered == name)
    }
}

impl<T: Offered, C: Args> FromArgMatches for ByProtocol<T, C> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        let operation = offered::<T>().find(|(offered, _)| *offered == name);
        let (_, operation) = operation.ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { options: C::from_arg_matches(matches)?, arguments: operation.parse(matches)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
