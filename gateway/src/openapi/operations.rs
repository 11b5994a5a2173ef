//! The operations, one a line or two. The parameters of a path are named in it.

/// A method of a path.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    /// `{files}` is the start of the path of a repository's files, nothing for models; `{each}` is a kind, where the
    /// kinds differ.
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [&'static str],
    pub(super) body: Option<Body>,
    pub(super) gives: Gives,
}

/// What a request carries.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) is_required: bool,
    pub(super) types: &'static [&'static str],
    pub(super) schema: &'static str,
}

/// What an answer carries.
#[derive(Debug)]
pub(super) enum Gives {
    /// An object of a schema.
    One(&'static str),
    /// A list of such objects, page by page.
    Many(&'static str),
    Bytes,
    Text,
    /// Server-Sent Events, the data of each an object of a schema.
    Events(&'static str),
    /// What a registry says of a model.
    Manifest,
    /// An object of a schema, as the API of Git LFS has it.
    Lfs(&'static str),
    /// Such objects, one a line.
    Lines(&'static str),
    /// That something was made.
    Created,
    Nothing,
}

use Gives::{Bytes, Created, Events, Lfs, Lines, Manifest, Many, Nothing, One, Text};

const fn get(path: &'static str, summary: &'static str, query: &'static [&'static str], gives: Gives) -> Operation {
    Operation { method: "get", path, summary, query, body: None, gives }
}

const fn send(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    takes: Takes,
    gives: Gives,
) -> Operation {
    Operation { method, path, summary, query: &[], body: takes, gives }
}

/// What requests that write carry.
type Takes = Option<Body>;

const NO_BODY: Takes = None;
const BINARY: Takes = required(&["application/octet-stream"], "Bytes");
const PATHS: Takes = required(&["application/json", "application/x-www-form-urlencoded"], "Paths");

const fn required(types: &'static [&'static str], schema: &'static str) -> Takes {
    Some(Body { is_required: true, types, schema })
}

const fn json(schema: &'static str) -> Takes {
    required(&["application/json"], schema)
}

/// JSON that may be left out.
const fn may_be(schema: &'static str) -> Takes {
    Some(Body { is_required: false, types: &["application/json"], schema })
}

const fn lines(schema: &'static str) -> Takes {
    required(&["application/x-ndjson"], schema)
}

const fn lfs(schema: &'static str) -> Takes {
    required(&["application/vnd.git-lfs+json"], schema)
}

const LIST: &[&str] = &[
    "search",
    "author",
    "filter",
    "pipeline_tag",
    "library",
    "apps",
    "gated",
    "sort",
    "direction",
    "limit",
    "cursor",
    "full",
    "cardData",
    "config",
    "expand",
];
const INFO: &[&str] = &["expand", "blobs", "securityStatus"];
const TREE: &[&str] = &["recursive", "details", "limit", "offset"];

pub(super) const OPERATIONS: &[Operation] = &[
    // Of the gateway
    get("/healthz", "Is it alive?", &[], Text),
    get("/robots.txt", "May it be indexed?", &[], Text),
    get("/api/openapi.json", "This document", &[], One("Object")),
    get("/api/huddle/downloads", "What the node is fetching", &[], One("Downloads")),
    get(
        "/api/huddle/downloads/events",
        "The same whenever it changes, at most twice a second: events `downloads`",
        &[],
        Events("Downloads"),
    ),
    get("/api/agent-harnesses", "What the command `hf` asks at its start", &[], One("Object")),
    get("/api/telemetry/{topic}", "Takes note of nothing", &[], Nothing),
    // Of who asks
    get("/api/whoami-v2", "Whom a token speaks for", &[], One("Object")),
    get("/api/settings/repositories", "What the account published", &[], Many("OwnRepository")),
    get(
        "/api/organizations/{organization}/settings/repositories",
        "The same, named by its namespace",
        &[],
        Many("OwnRepository"),
    ),
    // Of all repositories
    get("/api/{each}", "Lists and searches what this node holds", LIST, Many("Repository")),
    get("/api/{kinds}-tags-by-type", "Which tags there are", &[], One("Object")),
    get("/api/quicksearch", "The first few of everything", &["q", "type", "limit"], One("Object")),
    get("/api/users/{user}/overview", "A publisher", &[], One("Person")),
    get("/api/users/{user}/likes", "Nothing", &[], Many("Object")),
    get("/api/users/{user}/followers", "Nobody", &[], Many("Person")),
    get("/api/users/{user}/following", "Nobody", &[], Many("Person")),
    get("/api/organizations/{organization}/overview", "An organisation of a mirrored hub", &[], One("Person")),
    get("/api/organizations/{organization}/members", "Nobody", &[], Many("Person")),
    get("/api/organizations/{organization}/followers", "Nobody", &[], Many("Person")),
    // Of one repository
    get("/api/{each}/{namespace}/{name}", "A repository at `main`", INFO, One("Repository")),
    get("/api/{each}/{namespace}/{name}/revision/{revision}", "At a revision", INFO, One("Repository")),
    get("/api/{kinds}/{namespace}/{name}/tree/{revision}", "Its files and folders", TREE, Many("Entry")),
    get("/api/{kinds}/{namespace}/{name}/tree/{revision}/{path}", "Those of a folder", TREE, Many("Entry")),
    Operation {
        method: "post",
        path: "/api/{kinds}/{namespace}/{name}/paths-info/{revision}",
        summary: "What is at these paths",
        query: &[],
        body: PATHS,
        gives: Many("Entry"),
    },
    get("/api/{kinds}/{namespace}/{name}/refs", "Its branches and tags", &["include_prs"], One("References")),
    get(
        "/api/{kinds}/{namespace}/{name}/commits/{revision}",
        "Its history, the newest first",
        &["limit", "offset", "p", "formatted"],
        Many("Commit"),
    ),
    get("/api/{kinds}/{namespace}/{name}/compare/{comparison}", "Files that differ, `base..head`", &["raw"], Text),
    get("/api/{kinds}/{namespace}/{name}/likers", "Nobody", &[], Many("Person")),
    get("/api/{kinds}/{namespace}/{name}/auth-check", "Whether the client may read it", &[], Nothing),
    get(
        "/api/{kinds}/{namespace}/{name}/safetensors-metadata/{path}",
        "The headers of all files that an index names",
        &[],
        One("Object"),
    ),
    // Of files
    get("{files}/{namespace}/{name}/resolve/{revision}/{path}", "A file", &["download"], Bytes),
    get("{files}/{namespace}/{name}/raw/{revision}/{path}", "As git has it: of a large file a pointer", &[], Bytes),
    // As a registry of models
    get("/v2", "There is one", &[], One("Object")),
    get("/v2/", "There is one", &[], One("Object")),
    get("/v2/{namespace}/{name}/manifests/{tag}", "What makes a model", &[], Manifest),
    get("/v2/{namespace}/{name}/blobs/{digest}", "A part of it", &[], Bytes),
    // Writing
    send("post", "/api/validate-yaml", "Checks the front matter of a card", json("Readme"), One("Checked")),
    get("/api/{kinds}/{namespace}/{name}/auth-check/write", "Whether the client may write to it", &[], Nothing),
    send("post", "/api/repos/create", "Makes a repository", json("NewRepository"), One("MadeRepository")),
    send("delete", "/api/repos/delete", "Takes a repository back", json("NamedRepository"), One("Done")),
    send("post", "/api/repos/move", "Renames a repository", json("Rename"), One("Renamed")),
    send("put", "/api/{kinds}/{namespace}/{name}/settings", "Says who may see it", json("Settings"), One("Set")),
    send(
        "post",
        "/api/{kinds}/{namespace}/{name}/preupload/{revision}",
        "How to send files",
        json("Announced"),
        One("Routes"),
    ),
    send(
        "post",
        "/api/{kinds}/{namespace}/{name}/commit/{revision}",
        "Adds a commit to a branch",
        lines("Steps"),
        One("Committed"),
    ),
    send("post", "/api/{kinds}/{namespace}/{name}/branch/{revision}", "Makes a branch", may_be("NewBranch"), Created),
    send("delete", "/api/{kinds}/{namespace}/{name}/branch/{revision}", "Removes a branch", NO_BODY, One("Done")),
    send("post", "/api/{kinds}/{namespace}/{name}/tag/{revision}", "Tags a revision", json("NewTag"), Created),
    send("delete", "/api/{kinds}/{namespace}/{name}/tag/{revision}", "Removes a tag", NO_BODY, One("Done")),
    send(
        "post",
        "/api/{kinds}/{namespace}/{name}/super-squash/{revision}",
        "Forgets the history of a branch",
        may_be("Squash"),
        One("Squashed"),
    ),
    get("/api/{kinds}/{namespace}/{name}/discussions", "Refused: none are kept", &[], Nothing),
    send("post", "/api/{kinds}/{namespace}/{name}/discussions", "Refused: none are kept", NO_BODY, Nothing),
    get("/api/{kinds}/{namespace}/{name}/discussions/{number}", "Refused: none are kept", &[], Nothing),
    send("post", "/api/{kinds}/{namespace}/{name}/discussions/{number}", "Refused: none are kept", NO_BODY, Nothing),
    // Git LFS; what `/_lfs/` has, answers link to
    send(
        "post",
        "{files}/{namespace}/{name}/info/lfs/objects/batch",
        "Where large files go",
        lfs("Batch"),
        Lfs("Places"),
    ),
    get("/_lfs/get/{oid}", "A large file", &[], Bytes),
    send("put", "/_lfs/put/{oid}", "Takes a large file", BINARY, One("Done")),
    send("put", "/_lfs/part/{oid}", "Takes a part of one", BINARY, One("Done")),
    send("post", "/_lfs/complete/{oid}", "Puts the parts together", json("Parts"), One("Done")),
    send("post", "/_lfs/verify/{oid}", "Whether it has arrived", lfs("LargeFile"), One("Done")),
    // Xet; what `/cas/` has, answers link to
    get("/api/{kinds}/{namespace}/{name}/xet-read-token/{revision}", "Where to download", &[], One("XetToken")),
    get("/api/{kinds}/{namespace}/{name}/xet-write-token/{revision}", "Where to upload", &[], One("XetToken")),
    get("/cas/down/{kind}/{id}/{revision}/v1/reconstructions/{file}", "What makes a file", &[], One("Reconstruction")),
    get("/cas/down/{kind}/{id}/{revision}/v2/reconstructions/{file}", "What makes a file", &[], One("Reconstruction")),
    get("/cas/down/{kind}/{id}/{revision}/xorbs/{file}/{index}", "A part of it", &[], Bytes),
    send("post", "/cas/down/{kind}/{id}/{revision}/v1/telemetry", "Takes note of nothing", json("Object"), Nothing),
    send("head", "/cas/up/{generation}/v1/xorbs/default/{xorb}", "Whether a xorb is here", NO_BODY, Nothing),
    send("post", "/cas/up/{generation}/v1/xorbs/default/{xorb}", "Takes a xorb", BINARY, One("XorbTaken")),
    send("post", "/cas/up/{generation}/v1/shards", "Takes files made of xorbs", BINARY, One("ShardTaken")),
    send("post", "/cas/up/{generation}/v2/shards", "The same, telling how far it is", BINARY, Lines("Progress")),
    get("/cas/up/{generation}/v1/chunks/{chunk}", "Not found", &[], Nothing),
    send("post", "/cas/up/{generation}/v1/chunks/{chunk}", "Not found", NO_BODY, Nothing),
    get("/cas/up/{generation}/v1/xorb-grants/{grant}", "Not found", &[], Nothing),
    send("post", "/cas/up/{generation}/v1/xorb-grants/{grant}", "Not found", NO_BODY, Nothing),
    send("post", "/cas/up/{generation}/v1/telemetry", "Takes note of nothing", json("Object"), Nothing),
];
