//! `GET /api/{models|datasets|spaces}/<repo>/revision/<revision>?blobs=true`, as the hub answers it.

use std::sync::Arc;

use huddle_protocol::{GitOid, Sha256};
use serde::Deserialize;

use crate::trust::{Content, Statement};

#[derive(Deserialize)]
struct Info {
    sha: GitOid,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    #[serde(rename = "blobId")]
    blob_id: Option<GitOid>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: Sha256,
    size: u64,
}

/// Reads an answer. Files of which it says too little agree with nothing.
pub(super) fn read(bytes: &[u8], hub: &Arc<str>, time: u64) -> Result<Statement, String> {
    let info: Info = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let of_file = |sibling: Sibling| {
        let (size, sha256) = match sibling.lfs {
            Some(Lfs { sha256, size }) => (Some(size), Some(sha256)),
            None => (sibling.size, None),
        };
        let content = size.zip(sibling.blob_id).map(|(size, git)| Content { size, git, sha256 });
        (sibling.rfilename, content)
    };
    Ok(Statement {
        hub: hub.clone(),
        time,
        revision: info.sha,
        files: info.siblings.into_iter().map(of_file).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_the_hub_are_read() {
        let text = r#"{"_id":"1","id":"org/x","sha":"2c55f972d29e113c53e4ce431c4db13c5c975ac9","private":false,"siblings":[
            {"rfilename":"README.md","size":3,"blobId":"0000000000000000000000000000000000000001"},
            {"rfilename":"sub/w.bin","size":9,"blobId":"0000000000000000000000000000000000000002",
             "lfs":{"sha256":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","size":9,"pointerSize":126}},
            {"rfilename":"bare"}]}"#;
        let said = read(text.as_bytes(), &"hub.example".into(), 7).unwrap();
        assert_eq!(said.revision.to_string(), "2c55f972d29e113c53e4ce431c4db13c5c975ac9");
        let oid = |last| {
            let mut oid = [0; 20];
            oid[19] = last;
            GitOid(oid)
        };
        assert_eq!(said.files["README.md"], Some(Content { size: 3, git: oid(1), sha256: None }));
        assert_eq!(said.files["sub/w.bin"], Some(Content { size: 9, git: oid(2), sha256: Some(Sha256([0xaa; 32])) }));
        assert_eq!(said.files["bare"], None);
        for bad in ["", "[]", "{}", r#"{"sha":"main"}"#, "<!doctype html>"] {
            assert!(read(bad.as_bytes(), &"hub.example".into(), 7).is_err(), "{bad}");
        }
    }
}
