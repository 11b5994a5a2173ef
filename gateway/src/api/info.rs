//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::extract::State;
use http::HeaderMap;

use super::{expand, repo, security::Security};
use crate::{
    Gateway,
    answers::{About, Answer, Question},
    error::ApiError,
    query::Query,
    target::Target,
    why,
};

/// `/api/{kind}s/{id}[/revision/{revision}]`
pub(crate) async fn info(
    State(gateway): State<Gateway>,
    target: Target,
    query: Query,
) -> Result<(HeaderMap, Answer), ApiError> {
    let wanted = expand::wanted(target.kind, &query)?;
    let (with_blobs, with_scans) = (query.flag("blobs"), query.flag("securityStatus"));
    let snapshot = target.snapshot(&gateway).await?;
    let question = Question::new(&snapshot, About::Info { wanted: wanted.clone(), with_blobs });
    // What a scan finds depends on which files are here by now.
    if !with_scans && let Some(answer) = gateway.answers.get(&question) {
        return Ok((why::headers(&snapshot), answer));
    }
    let (mut info, is_whole) = repo::describe(&gateway, &snapshot, &wanted, with_blobs).await;
    if with_scans {
        let security = Security::find(&gateway, snapshot.manifest.files().to_vec()).await;
        info.insert("securityRepoStatus".into(), security.of_all(&snapshot));
    }
    let answer = Answer::new(&info, None)?;
    if is_whole && !with_scans {
        gateway.answers.keep(question, answer.clone());
    }
    Ok((why::headers(&snapshot), answer))
}
