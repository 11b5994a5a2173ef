//! `GET /api/{kind}s/{id}[/revision/{revision}]`: a repository in one object.

use axum::extract::State;
use serde_json::json;

use super::{expand, repo};
use crate::{
    Gateway,
    answers::{About, Answer, Question},
    error::ApiError,
    query::Query,
    target::Target,
};

/// `/api/{kind}s/{id}[/revision/{revision}]`
pub(crate) async fn info(State(gateway): State<Gateway>, target: Target, query: Query) -> Result<Answer, ApiError> {
    let wanted = expand::wanted(target.kind, &query)?;
    let (with_blobs, with_scans) = (query.flag("blobs"), query.flag("securityStatus"));
    let snapshot = target.snapshot(&gateway).await?;
    let about = About::Info { wanted: wanted.clone(), with_blobs, with_scans };
    let question = Question::new(&snapshot, about);
    if let Some(answer) = gateway.answers.get(&question) {
        return Ok(answer);
    }
    let (mut info, is_whole) = repo::describe(&gateway, &snapshot, &wanted, with_blobs).await;
    if with_scans {
        // Nobody scanned anything.
        info.insert("securityRepoStatus".into(), json!({ "scansDone": false, "filesWithIssues": [] }));
    }
    let answer = Answer::new(&info, None)?;
    if is_whole {
        gateway.answers.keep(question, answer.clone());
    }
    Ok(answer)
}
