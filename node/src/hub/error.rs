//! What the node's errors mean to a hub client.

use std::{fmt::Display, time::Duration};

use huddle_gateway::{HubError, WriteError};
use tracing::error;

use crate::{
    names::{NameError, domain::DomainError},
    publish::PublishError,
    resolve::ResolveError,
    store::{StoreError, TakeInError},
};

/// How long a client is told to wait before it asks again.
const RETRY: Duration = Duration::from_secs(5);

pub(super) fn hub_error(id: &str, error: &ResolveError) -> HubError {
    // What the hub would have said matters little to who cannot reach it either.
    let kind = if let ResolveError::NoWord { error, .. } = error { error } else { error };
    match kind {
        ResolveError::NotFound { .. } | ResolveError::NobodyHas { .. } | ResolveError::NoWord { .. } => {
            not_found(id, error)
        }
        ResolveError::RevisionNotFound { revision, .. } => HubError::RevisionNotFound { revision: revision.clone() },
        ResolveError::Untrusted { .. } | ResolveError::Fork { .. } | ResolveError::Invalid { .. } => {
            HubError::Untrusted { id: id.to_owned(), reason: error.to_string() }
        }
        ResolveError::Unreachable { .. } | ResolveError::Network(_) => unavailable(error),
        ResolveError::Denied { .. } => HubError::Refused { reason: error.to_string() },
        ResolveError::Store(_) => internal(error),
    }
}

pub(super) fn name_error(id: &str, error: &NameError) -> HubError {
    match error {
        NameError::Parse(error) => not_found(id, error),
        NameError::Domain(error @ DomainError::Several { .. }) => not_found(id, error),
        NameError::Domain(error) => unavailable(error),
        NameError::NoDomain { .. } | NameError::NotAsked => not_found(id, error),
        NameError::File(error) => internal(error),
    }
}

pub(super) fn not_found(id: &str, reason: &dyn Display) -> HubError {
    HubError::RepoNotFound { id: id.to_owned(), reason: reason.to_string() }
}

pub(super) fn no_revision(revision: &str) -> HubError {
    HubError::RevisionNotFound { revision: revision.to_owned() }
}

pub(super) fn unavailable(reason: &dyn Display) -> HubError {
    HubError::Unavailable { reason: reason.to_string(), retry_after: RETRY }
}

/// Our own fault: the chain goes to the log under an id the client is told.
pub(super) fn internal(failure: &dyn std::error::Error) -> HubError {
    let id = format!("{:016x}", rand::random::<u64>());
    error!(%id, chain = ?crate::failure::Failure::new(crate::failure::Code::Unexpected, failure), "internal error");
    HubError::Internal { id }
}

pub(super) fn invalid(reason: impl Display) -> WriteError {
    WriteError::Invalid { reason: reason.to_string() }
}

pub(super) fn forbidden(reason: impl Display) -> WriteError {
    WriteError::Forbidden { reason: reason.to_string() }
}

pub(super) fn write_error(failure: PublishError) -> WriteError {
    match failure {
        PublishError::Case { existing } => WriteError::RepoExists { kind: existing.kind, id: existing.hub_id() },
        PublishError::Behind { .. } => unavailable(&failure).into(),
        PublishError::Denied { .. } => forbidden(failure),
        PublishError::Resolve(error) => hub_error("", &error).into(),
        PublishError::NoRoom(error) => WriteError::NoRoom { reason: error.to_string() },
        PublishError::Store(error) => store_error(&error),
        // A file and a folder of one name, too many files or references: what was asked for cannot be.
        PublishError::Git(_) | PublishError::Manifest(_) | PublishError::Head(_) | PublishError::Signed(_) => {
            invalid(failure)
        }
        failure => internal(&failure).into(),
    }
}

pub(super) fn store_error(failure: &StoreError) -> WriteError {
    internal(failure).into()
}

pub(super) fn take_in_error(failure: TakeInError) -> WriteError {
    match failure {
        TakeInError::BrokenOff(error) => WriteError::BrokenOff { reason: error.to_string() },
        TakeInError::WrongContent { expected, actual } => WriteError::WrongContent { expected, actual },
        TakeInError::NoRoom(error) => WriteError::NoRoom { reason: error.to_string() },
        failure => internal(&failure).into(),
    }
}
