//! The HTTP face of a node: the Hub's API, for unmodified hub clients.
//!
//! `routes` shows every route. Each file under `api/` is one resource: it reads the request, asks the [`Hub`] and
//! answers. Knows neither peers nor disks.

mod api;
mod asker;
mod authoring;
mod conditions;
mod config;
mod date;
mod error;
mod facts;
mod gguf;
mod header;
mod host;
mod hub;
mod observe;
mod openapi;
mod options;
mod page;
mod query;
mod range;
mod safetensors;
mod serve;
mod target;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{MethodRouter, get, post},
};
use http::{HeaderName, Method};
use huddle_protocol::RepoKind;
use tower_http::{
    catch_panic::CatchPanicLayer,
    cors::{AllowHeaders, Any, CorsLayer},
};

use crate::{
    api::{
        account, commits, compare, fallback, info, listing, paths_info, people, quicksearch, refs, registry, resolve,
        safetensors_metadata, site, tags, tree,
    },
    facts::Facts,
};
pub use crate::{
    authoring::{Account, Authoring, Change, Operation, Role, Settings, Staged, Visibility, WriteError},
    hub::{ByteStream, Hub, HubError, Reference, Snapshot},
    options::Options,
    serve::serve,
};

/// What every handler gets.
#[derive(Clone, Debug)]
struct Gateway {
    hub: Arc<dyn Hub>,
    options: Arc<Options>,
    facts: Arc<Facts>,
}

/// Paths and what they do, as text so that `openapi.rs` can be held against them.
#[derive(Default)]
struct Routes(Vec<(String, MethodRouter<Gateway>)>);

impl Routes {
    fn route(mut self, path: &str, methods: MethodRouter<Gateway>) -> Self {
        self.0.push((path.to_owned(), methods));
        self
    }
}

/// Returns every route. `target.rs` reads the patterns.
fn routes() -> Routes {
    let mut routes = about_the_hub(Routes::default());
    for kind in RepoKind::ALL {
        let (kinds, list, tags) = (kind.plural(), listing::list, tags::by_type);
        routes = routes
            .route(
                &format!("/api/{kinds}"),
                get(move |gateway, asker, at, query| list(kind, gateway, asker, at, query)),
            )
            .route(&format!("/api/{kinds}-tags-by-type"), get(move |gateway, asker| tags(kind, gateway, asker)));
        // The single name is that of old repositories such as `gpt2`.
        for id in ["{name}", "{namespace}/{name}"] {
            routes = of_a_repository(routes, &format!("/{}{id}", kind.prefix()), &format!("/api/{kinds}/{id}"));
        }
    }
    routes
}

fn about_the_hub(routes: Routes) -> Routes {
    routes
        .route("/healthz", get(site::healthz))
        .route("/robots.txt", get(site::robots))
        .route("/api/openapi.json", get(openapi::serve))
        .route("/api/whoami-v2", get(account::whoami))
        .route("/api/agent-harnesses", get(site::agent_harnesses))
        .route("/api/telemetry/{*topic}", get(site::telemetry))
        .route("/v2", get(registry::is_here))
        .route("/v2/", get(registry::is_here))
        .route("/v2/{namespace}/{name}/manifests/{*place}", get(registry::manifest))
        .route("/v2/{namespace}/{name}/blobs/{*place}", get(registry::blob))
        .route("/api/quicksearch", get(quicksearch::search))
        .route("/api/settings/repositories", get(people::own_repositories))
        .route("/api/users/{user}/overview", get(people::user))
        .route("/api/users/{user}/likes", get(people::nobody))
        .route("/api/users/{user}/followers", get(people::nobody))
        .route("/api/users/{user}/following", get(people::nobody))
        .route("/api/organizations/{organization}/overview", get(people::organization))
        .route("/api/organizations/{organization}/members", get(people::nobody))
        .route("/api/organizations/{organization}/followers", get(people::nobody))
        .route("/api/organizations/{organization}/settings/repositories", get(people::repositories_of))
}

/// Adds what there is for each repository, below the path of its files and that of its API.
fn of_a_repository(routes: Routes, files: &str, api: &str) -> Routes {
    routes
        .route(&format!("{files}/resolve/{{*place}}"), get(resolve::file))
        .route(&format!("{files}/raw/{{*place}}"), get(resolve::raw))
        .route(api, get(info::info))
        .route(&format!("{api}/revision/{{*place}}"), get(info::info))
        .route(&format!("{api}/tree/{{*place}}"), get(tree::list))
        .route(&format!("{api}/paths-info/{{*place}}"), post(paths_info::look_up))
        .route(&format!("{api}/refs"), get(refs::list))
        .route(&format!("{api}/commits/{{*place}}"), get(commits::list))
        .route(&format!("{api}/compare/{{*place}}"), get(compare::raw))
        .route(&format!("{api}/likers"), get(people::likers))
        .route(&format!("{api}/safetensors-metadata/{{*place}}"), get(safetensors_metadata::headers))
        .route(&format!("{api}/auth-check"), get(account::auth_check))
}

/// Returns the router. Serve it with [`serve`], which tells apart connections that arrive on loopback; served
/// otherwise, every connection counts as such.
pub fn router(hub: Arc<dyn Hub>, options: Options) -> Router {
    let gateway = Gateway { hub, options: Arc::new(options), facts: Arc::new(Facts::new()) };
    let router = Router::new();
    let router = routes().0.into_iter().fold(router, |router, (path, methods)| router.route(&path, methods));
    router
        .fallback(fallback::not_found)
        .method_not_allowed_fallback(fallback::wrong_method)
        .layer(from_fn_with_state(gateway.clone(), observe::deadline))
        .layer(from_fn_with_state(gateway.clone(), host::guard))
        .layer(CatchPanicLayer::custom(observe::panicked))
        .layer(cors())
        .layer(from_fn_with_state(observe::RequestIds::new(), observe::observe))
        .with_state(gateway)
}

/// Lets pages of any origin read: nothing here depends on who they are. A page on the public web may reach a gateway on
/// loopback too, which browsers ask about.
fn cors() -> CorsLayer {
    let exposed = [
        "x-repo-commit",
        "x-request-id",
        "x-error-code",
        "x-error-message",
        "x-total-count",
        "etag",
        "link",
        "accept-ranges",
        "content-range",
        "content-length",
        "content-disposition",
        "retry-after",
        "x-linked-size",
        "x-linked-etag",
    ];
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::HEAD, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers(exposed.map(HeaderName::from_static))
        .allow_private_network(true)
        .max_age(Duration::from_secs(86_400))
}
