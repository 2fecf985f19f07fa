//! Commands: changes to one stream, as values. A command names its action and what it reads, and computes the next state from the
//! present one and the time. The executor does everything else.

use super::{image_source::ImageAnswers, refusal::Refusal, request::Action, upstream::UpstreamDocument};
use crate::{
    auth::Role,
    domain::{
        admission::emergency_stop::EmergencyStop,
        base::Base,
        description::Description,
        epoch::Epoch,
        finding::Finding,
        ids::{ProductName, ProtocolName, StreamId},
        policy::graph_rules::GraphRules,
        product_preset::ProductPresets,
        stream::{Revision, Stream},
    },
    store::audit::AuditEntry,
};
use std::sync::Arc;

/// A change to a stream.
pub trait Command: Send + Sync {
    /// Returns its name in the audit log, the base role that it requires, and whether it is restrictive.
    fn action(&self) -> Action;

    /// Returns the stream that it changes.
    fn target(&self) -> &StreamId;

    /// Returns the source of the next state, which decides how strictly it is checked.
    fn provenance(&self) -> Provenance<'_> {
        Provenance::Local
    }

    /// Returns what it reads in addition to the present state of its stream.
    fn reads(&self) -> Reads {
        Reads::default()
    }

    /// Returns true if it lifts the stream's emergency stop. All other commands leave a stop in force.
    fn lifts_stop(&self) -> bool {
        false
    }

    /// Returns true if it deletes its stream. Its next state is then that of a stream that does not exist.
    fn deletes(&self) -> bool {
        false
    }

    /// Returns the role that it requires because of its content, if it is more than that of its action.
    fn needs(&self, _present: &Present<'_>) -> Option<Need> {
        None
    }

    /// Returns true if it uses the presets of its stream's product: they are read in the transaction that writes.
    fn uses_presets(&self) -> bool {
        false
    }

    /// Computes the next state. This is a pure function, and it is called again if the transaction has to be repeated after a race.
    ///
    /// # Errors
    /// The present state does not allow the command.
    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal>;
}

/// The source of a stream's next state.
#[derive(Debug, Clone, Copy)]
pub enum Provenance<'a> {
    /// A change that was made here. What differs from the present state gets the origin `local`, and new lint errors refuse it.
    Local,
    /// A state whose origins stay as they are: the first documents of a store, or the pauses of a lifted stop.
    Recorded,
    /// An import, with the upstream documents to keep. The command reports its findings itself, and lint does not refuse it.
    Upstream(&'a [UpstreamDocument]),
}

/// What a command reads in addition to its stream.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reads {
    /// Another stream. The caller needs the role `viewer` on it.
    pub stream: Option<StreamId>,
    /// A past revision of its own stream.
    pub revision: Option<Revision>,
    /// What made a revision of its own stream.
    pub change: Option<Revision>,
    /// The stream that its own is to have as its base, if the command sets one. The caller needs the role `viewer` on it.
    pub base: Option<StreamId>,
}

impl Reads {
    /// Returns what a command reads that sets this base.
    #[must_use]
    pub fn for_base(base: Option<&Base>) -> Self {
        Self { base: base.map(|base| base.stream.clone()), ..Self::default() }
    }
}

/// What was read for a command.
#[derive(Debug, Clone, Default)]
pub struct LoadedReads {
    /// The other stream.
    pub stream: Option<Arc<Stream>>,
    /// The stream at the past revision.
    pub revision: Option<Arc<Stream>>,
    /// What made the revision.
    pub change: Option<AuditEntry>,
    /// The base of the stream, unless the command is restrictive.
    pub base: Option<Arc<Stream>>,
    /// The presets of the stream's product, for a command that uses them.
    pub presets: ProductPresets,
    /// What registries said about the images that it publishes.
    pub images: ImageAnswers,
}

/// What a command is applied to.
#[derive(Debug, Clone, Copy)]
pub struct Present<'a> {
    /// The stream's name.
    pub id: &'a StreamId,
    /// Its present state; `None` if it does not exist.
    pub stream: Option<&'a Stream>,
    /// What was read in addition.
    pub read: &'a LoadedReads,
    /// The rules of a new stream, as the protocol of its product sets them.
    pub rules: GraphRules,
    /// The time.
    pub now: Epoch,
}

impl<'a> Present<'a> {
    /// Returns the present state.
    ///
    /// # Errors
    /// The stream does not exist.
    pub fn existing(&self) -> Result<&'a Stream, Refusal> {
        self.stream.ok_or_else(|| Refusal::no_such("stream", self.id))
    }
}

/// A role that a command requires because of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The role on the command's stream.
    pub role: Role,
    /// The reason, for the error message.
    pub why: Option<String>,
}

/// The next state of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    /// The state.
    pub stream: Stream,
    /// The name of what the command creates.
    pub created: Option<String>,
    /// The name of what the command would create, but exists already: then nothing changes.
    pub existing: Option<String>,
    /// What the command found.
    pub findings: Vec<Finding>,
}

impl Next {
    /// Sets the name of what the command creates.
    #[must_use]
    pub fn creates(self, name: &impl ToString) -> Self {
        Self { created: Some(name.to_string()), ..self }
    }
}

impl From<Stream> for Next {
    fn from(stream: Stream) -> Self {
        Self { stream, created: None, existing: None, findings: Vec::new() }
    }
}

/// A change to a product, and what follows from it in each of its streams.
pub trait ProductCommand: Send + Sync {
    /// Returns its name in the audit log, and the role that it requires on all streams of the product.
    fn action(&self) -> Action;

    /// Returns the product that it changes.
    fn product(&self) -> &ProductName;

    /// Computes the next state of the product. Without a protocol, the product is deleted.
    ///
    /// # Errors
    /// The present state does not allow the command.
    fn apply(&self, present: &ProductState, now: Epoch) -> Result<ProductState, Refusal>;

    /// Returns what it is about within the product, for the audit log.
    fn subject(&self) -> Option<String> {
        None
    }

    /// Returns true if it uses the description and the presets of the product. Others do not read them: a stop must not fail because of them.
    fn uses_settings(&self) -> bool {
        false
    }

    /// Returns true if it creates the product if that does not exist.
    fn can_create(&self) -> bool {
        false
    }

    /// Returns true if it creates or deletes the product. Until it is done, no stream of the product is created.
    fn changes_existence(&self) -> bool {
        self.can_create()
    }

    /// Returns what is done in a stream of the product, in the same transaction.
    fn in_stream(&self, _stream: &StreamId) -> Option<Box<dyn Command>> {
        None
    }
}

/// The state of a product.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ProductState {
    /// The protocol that its nodes speak; `None` if the product does not exist.
    pub protocol: Option<ProtocolName>,
    /// True if it has a stream.
    pub has_streams: bool,
    /// Its emergency stop, if one is in force.
    pub stop: Option<EmergencyStop>,
    /// Its description, for a command that uses its settings.
    pub description: Option<Description>,
    /// Its presets, for a command that uses its settings.
    pub presets: ProductPresets,
}
