//! `hf-hub` 1.0, which reads and writes.

use hf_hub_1::{HFClientSync, HFError, HFRepositorySync, RepoTypeDataset, RepoTypeModel};

use crate::{Row, world::World};

mod reading;
mod writing;

pub const ROWS: &[Row] = &[
    ("downloads", "one file comes alone", reading::one_file),
    ("downloads", "a large file comes whole", reading::large_file),
    ("downloads", "a snapshot is byte identical", reading::snapshot),
    ("downloads", "a snapshot takes only what matches", reading::patterns),
    ("downloads", "a snapshot lands in a plain folder", reading::plain_folder),
    ("downloads", "a pinned revision stays what it was", reading::pinned),
    ("downloads", "a branch with a slash is a revision", reading::branch),
    ("downloads", "a tag is a revision", reading::tag),
    ("downloads", "a file of a dataset comes", reading::dataset_file),
    ("downloads", "an odd file name comes back", reading::odd_name),
    ("downloads", "an empty file has no bytes", reading::empty_file),
    ("downloads", "what is in the cache is not fetched again", reading::cached),
    ("downloads", "metadata of a file are its true hashes", reading::metadata),
    ("missing", "a missing repository has its exception", reading::no_repository),
    ("missing", "a missing revision has its exception", reading::no_revision),
    ("missing", "a missing file has its exception", reading::no_file),
    ("info", "a file exists or not", reading::file_exists),
    ("info", "a repository exists or not", reading::repository_exists),
    ("info", "a revision exists or not", reading::revision_exists),
    ("info", "a model tells what its card says", reading::model_info),
    ("info", "only what is asked for is expanded", reading::expanded),
    ("info", "a model of a revision is that of then", reading::model_of_then),
    ("info", "the parameters of a model are counted", reading::parameters),
    ("info", "a dataset tells what its card says", reading::dataset_info),
    ("info", "a space tells what its card says", reading::space_info),
    ("trees", "a tree is listed with all below", reading::tree),
    ("trees", "eleven hundred files are listed", reading::many_files),
    ("trees", "a folder is listed alone", reading::one_folder),
    ("trees", "paths are looked up", reading::paths),
    ("trees", "branches and tags are listed", reading::refs),
    ("trees", "commits are listed newest first", reading::commits),
    ("filesystem", "any range of a large file is right", reading::ranges),
    ("lists", "models of an author are listed", reading::list_by_author),
    ("lists", "models are found by a part of their name", reading::search),
    ("lists", "models are filtered by their task", reading::list_by_task),
    ("lists", "a list ends at its limit", reading::limit),
    ("lists", "datasets are listed", reading::datasets),
    ("lists", "spaces are listed", reading::spaces),
    ("account", "a token says who somebody is", writing::whoami),
    ("account", "an unknown token is nobody", writing::nobody),
    ("account", "nobody writes without a token", writing::anonymous),
    ("repos", "a new repository reaches the other node", writing::create),
    ("repos", "a dataset and a space are made", writing::kinds),
    ("repos", "a repository is not made twice", writing::create_twice),
    ("repos", "a deleted repository is gone", writing::delete),
    ("repos", "a private repository is invisible", writing::private),
    ("repos", "a private repository is opened and closed", writing::settings),
    ("repos", "a renamed repository answers to both names", writing::rename),
    ("uploads", "a small file goes up", writing::small_file),
    ("uploads", "twenty megabytes go up", writing::large_file),
    ("uploads", "an empty file goes up", writing::empty_file),
    ("folders", "a folder goes up", writing::folder),
    ("folders", "a folder goes up without what is ignored", writing::folder_ignored),
    ("folders", "a folder replaces what matches", writing::folder_replaced),
    ("commits", "a commit adds and deletes", writing::commit),
    ("commits", "a stale parent is refused", writing::stale),
    ("commits", "a deleted file is gone", writing::delete_file),
    ("commits", "a deleted folder is gone", writing::delete_folder),
    ("commits", "a missing file is not deleted", writing::delete_missing),
    ("commits", "a commit to what is missing is refused", writing::commit_nowhere),
    ("references", "a branch starts where main is", writing::branch),
    ("references", "a branch starts at a revision", writing::branch_at),
    ("references", "a branch is not made twice", writing::branch_twice),
    ("references", "a deleted branch is gone", writing::delete_branch),
    ("references", "main is not deleted", writing::delete_main),
    ("references", "a tag stays at its commit", writing::tag),
    ("references", "a tag is not made twice", writing::tag_twice),
    ("references", "a deleted tag is gone", writing::delete_tag),
];

pub const ABSENT: &[(&str, &str)] = &[
    ("info", "safetensors are described"),
    ("lists", "tags are listed by type"),
    ("references", "a history is squashed"),
];

fn model(client: &HFClientSync, t: &World, name: &str) -> HFRepositorySync<RepoTypeModel> {
    client.model(&t.namespace, name)
}

fn dataset(client: &HFClientSync, t: &World, name: &str) -> HFRepositorySync<RepoTypeDataset> {
    client.dataset(&t.namespace, name)
}

/// The status and the words of an error that has no variant of its own.
fn told_by_status(error: &HFError) -> (u16, String) {
    match error {
        HFError::Http { context }
        | HFError::AuthRequired { context }
        | HFError::Forbidden { context }
        | HFError::Conflict { context } => (context.status.as_u16(), format!("{error} {context:?}")),
        other => panic!("another error: {other}"),
    }
}
