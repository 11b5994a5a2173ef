//! What all clients of web servers here do.

use reqwest::{Response, redirect};

/// The most redirects that are followed.
const REDIRECTS: usize = 4;

/// Follows a server to itself: to another host nobody may send us, nor to another service of the same one.
pub(crate) fn same_origin() -> redirect::Policy {
    redirect::Policy::custom(|attempt| {
        let is_here = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
        if is_here && attempt.previous().len() < REDIRECTS { attempt.follow() } else { attempt.stop() }
    })
}

/// Reads an answer, unless it has more than `most` bytes.
pub(crate) async fn body(mut answer: Response, most: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if bytes.len() + piece.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Some(bytes))
}
