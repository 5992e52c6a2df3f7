//! Which path leads where.

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};

use super::access;
use super::answer::Answer;
use super::command::Command;
use super::listener::Peer;
use super::run::{Arguments, run, wrong_method};
use super::shed::shed;
use crate::admin::NodeView;
use crate::admin::reading;
use crate::telemetry::prometheus;

/// The page for people: one file that asks the commands.
const PAGE: &str = include_str!("page.html");
/// Where the page has the path of the commands.
const PAGE_COMMANDS: &str = "{{commands}}";
/// The page loads nothing from elsewhere, and may not be made to.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'";

/// What a command gets to see.
#[derive(Clone)]
struct Context {
    view: Arc<NodeView>,
    initial_config: Arc<str>,
}

/// The administration server: the page at `/`, the commands below `admin.commandURL`.
pub(super) fn admin(view: Arc<NodeView>, initial_config: String) -> Router {
    let commands = format!("/{}", view.config.admin.command_url.trim_matches('/'));
    let page = PAGE.replace(PAGE_COMMANDS, &commands);
    let list = command_list(&commands);
    let show_page = move || {
        let page = page.clone();
        async move { ([(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(page)) }
    };
    let show_list = move || {
        let list = list.clone();
        async move { Html(list) }
    };
    let mut router = Router::new()
        .route(&format!("{}/{{name}}", commands.trim_end_matches('/')), any(command))
        .with_state(Context { view, initial_config: initial_config.into() });
    if commands == "/" {
        // The commands took the root: there is no place for the page.
        return router.route("/", get(show_list)).layer(from_fn(refuse_trace));
    }
    for path in [commands.clone(), format!("{commands}/")] {
        router = router.route(&path, get(show_list.clone()));
    }
    router.route("/", get(show_page)).layer(from_fn(refuse_trace))
}

/// The Prometheus endpoint.
pub(super) fn prometheus(view: Arc<NodeView>) -> Router {
    let metrics = move || {
        let text = prometheus::text(&reading::metrics(&view));
        async move { ([(header::CONTENT_TYPE, prometheus::CONTENT_TYPE)], text) }
    };
    Router::new().route("/metrics", get(metrics)).layer(from_fn(refuse_trace))
}

/// `TRACE` would send back what a proxy added to the request.
async fn refuse_trace(request: Request, next: Next) -> Response {
    if request.method() == Method::TRACE {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

fn command_list(commands: &str) -> String {
    let mut html = String::new();
    for command in Command::ALL {
        let name = command.name();
        let _ = writeln!(html, "<a href=\"{commands}/{name}\">{name}</a>\n<br/>");
    }
    html
}

async fn command(
    State(context): State<Context>,
    Extension(peer): Extension<Peer>,
    Path(name): Path<String>,
    Query(arguments): Query<Arguments>,
    method: Method,
    headers: HeaderMap,
    body: Body,
) -> Answer {
    let Some(command) = Command::find(&name) else {
        return Answer::error(&name, StatusCode::OK, format!("Unknown command: {name}"));
    };
    let view = &context.view;
    if !command.needs_no_service() && !view.core.is_serving() {
        let text = "This ZooKeeper instance is not currently serving requests";
        return Answer::error(command.name(), StatusCode::OK, text);
    }
    if command.is_privileged()
        && let Err(denied) = access::check(view, &headers, peer.0.ip()).await
    {
        return denied.answer(command.name());
    }
    if (method == Method::POST) != command.is_post() {
        return wrong_method(command);
    }
    if command == Command::ShedConnections {
        return shed(view, body).await;
    }
    run(view, &context.initial_config, command, &arguments).await
}
