//! A failed command, as the user and scripts see it: one line, its causes, and a stable exit code.

use std::error::Error;

use serde::{Deserialize, Serialize};

use crate::{
    checkout::CheckoutError,
    endpoint::BindError,
    get::GetError,
    home::file::FileError,
    names::{NameError, domain::DomainError},
    node::StartError,
    private::PrivateError,
    publish::{AttestError, PublishError},
    resolve::{ResolveError, fraud::FraudError},
    transfer::FetchError,
};

/// Exit codes; scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 1: something unexpected.
    Unexpected,
    /// 2: the command makes no sense as given.
    Usage,
    /// 3: nobody has it.
    NotFound,
    /// 4: it was found, but is not what it claims to be, or nobody says so who is believed.
    Verification,
    /// 5: a node that is needed cannot be reached.
    Unreachable,
    /// 6: the operator does not want it here.
    Denied,
    /// 130: the user stopped it.
    Interrupted,
}

impl Code {
    /// Returns the number.
    pub fn number(self) -> u8 {
        match self {
            Self::Unexpected => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Verification => 4,
            Self::Unreachable => 5,
            Self::Denied => 6,
            Self::Interrupted => 130,
        }
    }
}

/// A failed command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What failed, and the way out.
    pub message: String,
    /// Why, from near to far.
    pub causes: Vec<String>,
}

impl Failure {
    /// Describes an error and its causes.
    pub fn new(code: Code, error: &dyn Error) -> Self {
        let causes = std::iter::successors(error.source(), |error: &&dyn Error| (*error).source());
        let mut causes: Vec<_> = causes.map(ToString::to_string).collect();
        causes.dedup();
        Self { code, message: error.to_string(), causes }
    }

    /// Describes an error without causes.
    pub fn text(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), causes: Vec::new() }
    }
}

impl From<ResolveError> for Failure {
    fn from(error: ResolveError) -> Self {
        Self::new(resolve_code(&error), &error)
    }
}

fn resolve_code(error: &ResolveError) -> Code {
    match error {
        ResolveError::NotFound { .. } | ResolveError::RevisionNotFound { .. } | ResolveError::NobodyHas { .. } => {
            Code::NotFound
        }
        ResolveError::NoWord { error, .. } => resolve_code(error),
        ResolveError::Unreachable { .. } | ResolveError::Network(_) => Code::Unreachable,
        ResolveError::Untrusted { .. } | ResolveError::Fork { .. } | ResolveError::Invalid { .. } => Code::Verification,
        ResolveError::Denied { .. } => Code::Denied,
        ResolveError::Store(_) => Code::Unexpected,
    }
}

impl From<NameError> for Failure {
    fn from(error: NameError) -> Self {
        Self::new(name_code(&error), &error)
    }
}

fn name_code(error: &NameError) -> Code {
    match error {
        NameError::Parse(_) | NameError::File(FileError::Exposed { .. }) => Code::Usage,
        NameError::File(_) | NameError::Domain(DomainError::File(_)) => Code::Unexpected,
        NameError::NoDomain { .. } | NameError::NotAsked => Code::Usage,
        NameError::Domain(DomainError::Several { .. }) => Code::Verification,
        NameError::Domain(_) => Code::Unreachable,
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        Self::new(publish_code(&error), &error)
    }
}

impl From<AttestError> for Failure {
    fn from(error: AttestError) -> Self {
        let code = match &error {
            AttestError::NotACommit { .. } => Code::Usage,
            AttestError::Unknown { .. } => Code::NotFound,
            AttestError::Differs { .. } => Code::Verification,
            AttestError::Publish(error) => publish_code(error),
        };
        Self::new(code, &error)
    }
}

fn publish_code(error: &PublishError) -> Code {
    match error {
        PublishError::Name(_) | PublishError::Branch { .. } | PublishError::Key(_) | PublishError::Case { .. } => {
            Code::Usage
        }
        PublishError::Resolve(error) => resolve_code(error),
        PublishError::Private(error) => private_code(error),
        PublishError::Public { .. } => Code::Usage,
        PublishError::Behind { .. } => Code::Unreachable,
        PublishError::Denied { .. } => Code::Denied,
        // The files are not those of the commit.
        PublishError::Manifest(_) => Code::Verification,
        _ => Code::Unexpected,
    }
}

impl From<PrivateError> for Failure {
    fn from(error: PrivateError) -> Self {
        Self::new(private_code(&error), &error)
    }
}

fn private_code(error: &PrivateError) -> Code {
    match error {
        PrivateError::Name(error) => name_code(error),
        PrivateError::NotPrivate { .. } | PrivateError::NotJoined { .. } => Code::NotFound,
        PrivateError::Random | PrivateError::Store(_) => Code::Unexpected,
        PrivateError::NotOurs { .. } | PrivateError::Own { .. } | PrivateError::TooMany => Code::Usage,
    }
}

impl From<FraudError> for Failure {
    fn from(error: FraudError) -> Self {
        let code = match &error {
            FraudError::Fetch { .. } => Code::Unreachable,
            FraudError::NoFile { .. } | FraudError::NoManifest { .. } => Code::NotFound,
            FraudError::Book(_) | FraudError::Store(_) => Code::Unexpected,
        };
        Self::new(code, &error)
    }
}

impl From<GetError> for Failure {
    fn from(error: GetError) -> Self {
        let code = match &error {
            GetError::Name(error) => name_code(error),
            GetError::Pattern { .. } => Code::Usage,
            GetError::NothingMatches { .. } => Code::NotFound,
            GetError::Denied { .. } => Code::Denied,
            GetError::Resolve(error) => resolve_code(error),
            GetError::Fetch { source, .. } => match **source {
                FetchError::Lies { .. } | FetchError::TooLarge { .. } | FetchError::WrongSize { .. } => {
                    Code::Verification
                }
                FetchError::NoProvider { .. } | FetchError::Failed { .. } => Code::Unreachable,
                _ => Code::Unexpected,
            },
            GetError::FalseManifest { .. }
            | GetError::Unsafe { .. }
            | GetError::Checkout(CheckoutError::Escape { .. }) => Code::Verification,
            GetError::Fraud(_) | GetError::Checkout(_) | GetError::NoRoom(_) | GetError::Store(_) => Code::Unexpected,
        };
        Self::new(code, &error)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        let code = match &error {
            StartError::Bootstrap { .. }
            | StartError::Trust(_)
            | StartError::Upstream(_)
            | StartError::TrustBook(_)
            | StartError::SwarmKey(_)
            | StartError::WellKnown { .. }
            | StartError::Endpoint(BindError::Relay { .. })
            | StartError::Key(_) => Code::Usage,
            _ => Code::Unexpected,
        };
        Self::new(code, &error)
    }
}
