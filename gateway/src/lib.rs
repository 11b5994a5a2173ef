//! The HTTP face of a node: the Hub's API, for unmodified hub clients.
//!
//! `routes` shows every route. Each file under `api/` is one resource: it reads the request, asks the [`Hub`] and
//! answers. Knows neither peers nor disks.

mod answers;
mod api;
mod authoring;
mod body;
mod caller;
mod conditions;
mod config;
mod date;
mod downloads;
mod error;
mod facts;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gguf;
mod guard;
mod header;
mod host;
mod hub;
mod kept;
mod links;
mod observe;
mod openapi;
mod options;
mod page;
mod query;
mod range;
mod refusal;
mod rules;
mod safetensors;
mod serve;
mod staging;
mod target;
mod why;
mod xet;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, delete, get, head, post, put},
};
use http::{HeaderName, Method};
use huddle_protocol::{BlobHash, RepoKind};
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};

use crate::{
    answers::Answers,
    api::{
        account, branches, commit, commits, compare, fallback, fetching, info, lfs, listing, paths_info, people,
        preupload, pull_requests, quicksearch, refs, registry, repos, resolve, safetensors_metadata, settings, site,
        tags, tree, validate_yaml,
    },
    downloads::Downloads,
    facts::Facts,
    guard::{Clients, asker::Askers, hub::GuardedHub},
    kept::Kept,
    links::Links,
    staging::Staging,
    xet::{Xet, download, shards, tokens, upload},
};
pub use crate::{
    authoring::{Account, Authoring, Change, Operation, Role, Settings, Staged, Visibility, WriteError},
    downloads::{Download, Path, Source},
    hub::{ByteStream, Hub, HubError, Reference, Snapshot, Standing},
    options::{ClientLimits, ConnectionLimits, Fetch, Options, Rate, XetOptions},
    serve::serve,
    why::Reason,
};

/// How much of histories is kept, in bytes.
const MAX_HISTORIES: usize = 16 << 20;

/// What every handler gets.
#[derive(Clone, Debug)]
struct Gateway {
    hub: GuardedHub,
    options: Arc<Options>,
    clients: Arc<Clients>,
    askers: Arc<Askers>,
    xet: Arc<Xet>,
    links: Arc<Links>,
    staging: Option<Arc<Staging>>,
    facts: Arc<Facts>,
    answers: Arc<Answers>,
    histories: Arc<Kept<BlobHash, commits::History>>,
    downloads: Arc<Downloads>,
}

impl Gateway {
    fn new(hub: Arc<dyn Hub>, options: Options) -> Self {
        let staging = options.staging.as_ref().map(|folder| folder.join("parts"));
        let staging = staging.map(|folder| Staging::new(folder, options.staging_limit, options.links_last));
        Self {
            hub: GuardedHub::new(hub, &options),
            clients: Arc::new(Clients::new(options.clients.clone())),
            askers: Arc::new(Askers::new()),
            xet: Arc::new(Xet::new(&options)),
            links: Arc::new(Links::new(options.links_last)),
            staging: staging.map(Arc::new),
            facts: Arc::new(Facts::new()),
            answers: Arc::new(Answers::new()),
            histories: Arc::new(Kept::new(MAX_HISTORIES)),
            downloads: Arc::new(Downloads::new()),
            options: Arc::new(options),
        }
    }
}

/// Paths and what they do, as text so that `openapi.rs` can be held against them.
#[derive(Default)]
struct Routes(Vec<(String, MethodRouter<Gateway>)>);

impl Routes {
    fn route(mut self, path: &str, methods: MethodRouter<Gateway>) -> Self {
        self.0.push((path.to_owned(), methods));
        self
    }

    fn merge(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    fn router(self) -> Router<Gateway> {
        self.0.into_iter().fold(Router::new(), |router, (path, methods)| router.route(&path, methods))
    }
}

/// Returns the routes. Serve them with [`serve`], which tells apart connections that arrive on loopback; served
/// otherwise, every connection counts as such.
///
/// What an earlier process left in the staging folder is removed.
pub fn router(hub: Arc<dyn Hub>, options: Options) -> Router {
    let gateway = Gateway::new(hub, options);
    let reading = reading().merge(lists()).merge(registry()).merge(xet()).router();
    let writing = writing().merge(xet_uploads()).router();
    reading
        .layer(from_fn_with_state(gateway.clone(), observe::reading))
        .merge(writing.layer(from_fn_with_state(gateway.clone(), observe::writing)))
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::wrong_method)
        .layer(from_fn_with_state(gateway.clone(), guard::admit))
        .layer(from_fn_with_state(gateway.clone(), caller::identify))
        .layer(from_fn_with_state(gateway.clone(), host::guard))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(cors())
        .layer(from_fn_with_state(observe::RequestIds::new(), observe::observe))
        .with_state(gateway)
}

fn reading() -> Routes {
    let mut routes = Routes::default()
        .route("/healthz", get(site::healthz))
        .route("/robots.txt", get(site::robots))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/huddle/downloads", get(fetching::list))
        .route("/api/huddle/downloads/events", get(fetching::events))
        .route("/api/whoami-v2", get(account::whoami))
        .route("/api/agent-harnesses", get(site::agent_harnesses))
        .route("/api/telemetry/{*topic}", get(site::telemetry))
        .route("/api/validate-yaml", post(validate_yaml::validate))
        .route("/_lfs/get/{oid}", get(lfs::transfer::get));
    for (files, api) in patterns() {
        routes = routes
            .route(&format!("{files}/resolve/{{*place}}"), get(resolve::file))
            .route(&format!("{files}/raw/{{*place}}"), get(resolve::raw))
            .route(&api, get(info::info))
            .route(&format!("{api}/revision/{{*place}}"), get(info::info))
            .route(&format!("{api}/tree/{{*place}}"), get(tree::list))
            .route(&format!("{api}/paths-info/{{*place}}"), post(paths_info::look_up))
            .route(&format!("{api}/refs"), get(refs::list))
            .route(&format!("{api}/commits/{{*place}}"), get(commits::list))
            .route(&format!("{api}/compare/{{*place}}"), get(compare::raw))
            .route(&format!("{api}/likers"), get(people::likers))
            .route(&format!("{api}/discussions"), get(pull_requests::none).post(pull_requests::open_none))
            .route(&format!("{api}/discussions/{{*number}}"), get(pull_requests::none).post(pull_requests::open_none))
            .route(&format!("{api}/safetensors-metadata/{{*place}}"), get(safetensors_metadata::headers))
            .route(&format!("{api}/auth-check"), get(account::auth_check))
            .route(&format!("{api}/auth-check/write"), get(account::auth_check_write));
    }
    routes
}

/// Adds what is asked of all repositories, and who published them.
fn lists() -> Routes {
    let mut routes = Routes::default()
        .route("/api/quicksearch", get(quicksearch::search))
        .route("/api/settings/repositories", get(people::own_repositories))
        .route("/api/users/{user}/overview", get(people::user))
        .route("/api/users/{user}/likes", get(people::nobody))
        .route("/api/users/{user}/followers", get(people::nobody))
        .route("/api/users/{user}/following", get(people::nobody))
        .route("/api/organizations/{organization}/overview", get(people::organization))
        .route("/api/organizations/{organization}/members", get(people::nobody))
        .route("/api/organizations/{organization}/followers", get(people::nobody))
        .route("/api/organizations/{organization}/settings/repositories", get(people::repositories_of));
    for kind in RepoKind::ALL {
        let (kinds, list, tags) = (kind.plural(), listing::list, tags::by_type);
        routes = routes
            .route(
                &format!("/api/{kinds}"),
                get(move |gateway, caller, at, query| list(kind, gateway, caller, at, query)),
            )
            .route(&format!("/api/{kinds}-tags-by-type"), get(move |gateway, caller| tags(kind, gateway, caller)));
    }
    routes
}

/// A registry of models, for Ollama and older llama.cpp.
fn registry() -> Routes {
    Routes::default()
        .route("/v2", get(registry::is_here))
        .route("/v2/", get(registry::is_here))
        .route("/v2/{namespace}/{name}/manifests/{*place}", get(registry::manifest))
        .route("/v2/{namespace}/{name}/blobs/{*place}", get(registry::blob))
}

/// Each takes a `Writer`, or a link that was given to one.
fn writing() -> Routes {
    let mut routes = Routes::default()
        .route("/api/repos/create", post(repos::create))
        .route("/api/repos/delete", delete(repos::delete))
        .route("/api/repos/move", post(repos::rename))
        .route("/_lfs/put/{oid}", put(lfs::transfer::put))
        .route("/_lfs/part/{oid}", put(lfs::transfer::part))
        .route("/_lfs/complete/{oid}", post(lfs::transfer::complete))
        .route("/_lfs/verify/{oid}", post(lfs::transfer::verify));
    for (files, api) in patterns() {
        routes = routes
            .route(&format!("{files}/info/lfs/objects/batch"), post(lfs::batch))
            .route(&format!("{api}/settings"), put(settings::change))
            .route(&format!("{api}/preupload/{{*place}}"), post(preupload::check))
            .route(&format!("{api}/commit/{{*place}}"), post(commit::commit))
            .route(&format!("{api}/branch/{{*place}}"), post(branches::create).delete(branches::delete))
            .route(&format!("{api}/tag/{{*place}}"), post(branches::create_tag).delete(branches::delete_tag))
            .route(&format!("{api}/super-squash/{{*place}}"), post(branches::squash));
    }
    routes
}

/// Adds the routes of Xet, which today's uploads need and downloads of very large files. `xet.rs` says how they belong
/// together.
fn xet() -> Routes {
    let mut routes = Routes::default();
    for (_, api) in patterns() {
        routes = routes
            .route(&format!("{api}/xet-read-token/{{*place}}"), get(tokens::read))
            .route(&format!("{api}/xet-write-token/{{*place}}"), get(tokens::write));
    }
    let down = "/cas/down/{kind}/{id}/{revision}";
    routes
        .route(&format!("{down}/v1/reconstructions/{{file}}"), get(download::v1))
        .route(&format!("{down}/v2/reconstructions/{{file}}"), get(download::v2))
        .route(&format!("{down}/xorbs/{{file}}/{{index}}"), get(download::xorb))
        .route(&format!("{down}/v1/telemetry"), post(site::telemetry))
}

fn xet_uploads() -> Routes {
    let none = || get(fallback::not_found).post(fallback::not_found);
    let up = "/cas/up/{generation}";
    Routes::default()
        .route(&format!("{up}/v1/xorbs/default/{{xorb}}"), head(upload::has).post(upload::xorb))
        .route(&format!("{up}/v1/shards"), post(shards::v1))
        .route(&format!("{up}/v2/shards"), post(shards::v2))
        // Chunks that somebody has already, and uploads past the server: clients go on without.
        .route(&format!("{up}/v1/chunks/{{*chunk}}"), none())
        .route(&format!("{up}/v1/xorb-grants/{{*grant}}"), none())
        .route(&format!("{up}/v1/telemetry"), post(site::telemetry))
}

/// Returns where the files of a repository are and where the API speaks of it, for every kind and form of a name.
/// `target.rs` reads these patterns. The single name is that of old repositories such as `gpt2`.
fn patterns() -> impl Iterator<Item = (String, String)> {
    RepoKind::ALL.into_iter().flat_map(|kind| {
        ["{name}", "{namespace}/{name}"]
            .map(|id| (format!("/{}{id}", kind.prefix()), format!("/api/{}/{id}", kind.plural())))
    })
}

/// Lets pages of any origin read: nothing here depends on who they are. Writing needs a token, which a page has to be
/// given by its user: no browser adds it by itself. A page on the public web may reach a gateway on
/// loopback too, which browsers ask about.
fn cors() -> CorsLayer {
    let exposed = [
        "x-repo-commit",
        "x-huddle-name",
        "x-huddle-trust",
        "x-request-id",
        "x-error-code",
        "x-error-message",
        "x-hf-warning",
        "x-total-count",
        "etag",
        "link",
        "accept-ranges",
        "content-range",
        "content-length",
        "content-disposition",
        "retry-after",
        "ratelimit",
        "ratelimit-policy",
        "x-linked-size",
        "x-linked-etag",
        "x-xet-hash",
        "x-xet-cas-url",
        "x-xet-access-token",
        "x-xet-token-expiration",
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.map(HeaderName::from_static))
        .allow_private_network(true)
        .max_age(Duration::from_secs(86_400))
}
