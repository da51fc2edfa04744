//! Whether the process lives, and whether it is fit to serve. For orchestrators and operators; served by every
//! process, whatever parts it runs, without a token.
//!
//! Red (503): the database does not answer, commands can no longer be decided here, or a subscription of this process has stopped and needs an operator. One
//! that tries again, follows another process or has handed over is reported and not red, since orders can be placed.
//! Neither are Redis and the search engine: nothing depends on them.

use std::time::Duration;

use axum::{extract::State, http::StatusCode};
use eventstore::{
    position::Head,
    subscription::{Checkpoint, State as Running, Status, checkpoints},
};
use identity::Permission;
use projections::products::engine::{EngineState, SearchEngine};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{answer::Answer, auth::Anyone, config::Part, state::App};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(live))
        .routes(routes!(ready))
}

/// How long the database may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// That the process lives.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process is fit to serve.
#[derive(Serialize, ToSchema)]
pub struct Readiness {
    /// `ready` or `not_ready`.
    #[schema(example = "ready")]
    status: &'static str,
    /// `ok` or `unavailable`.
    #[schema(example = "ok")]
    database: &'static str,
    /// Last position of the log.
    #[schema(example = 1042)]
    position: Option<i64>,
    /// `configured`, `not_configured`, or `elsewhere` where this process does not publish.
    #[schema(example = "configured")]
    kafka: &'static str,
    /// `ok`, `away`, or `not_configured`.
    #[schema(example = "not_configured")]
    redis: &'static str,
    /// What searches products where it is not PostgreSQL: `ok`, `behind` or `away`, when PostgreSQL does, or
    /// `not_configured`.
    #[schema(example = "not_configured")]
    search: &'static str,
    /// What follows the log.
    subscriptions: Vec<SubscriptionState>,
}

/// How far a subscription is.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionState {
    /// Its name.
    #[schema(example = "orders_v3")]
    pub name: String,
    /// `leading`, `standby`, `retrying`, `handed_over` or `stopped` in this process; `elsewhere` where it does not run
    /// here.
    #[schema(example = "leading")]
    pub state: &'static str,
    /// Whether some process leads it.
    pub led: bool,
    /// The last position that it has handled.
    pub position: i64,
    /// How many events it is behind.
    #[schema(example = 0)]
    pub lag: i64,
    /// Why it does not go on; only for those who may read operations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Whether the process lives
#[utoipa::path(get, path = "/health/live", operation_id = "checkLiveness", tag = "operations", responses((status = 200, body = Alive)))]
async fn live() -> Answer<Alive> {
    Answer::ok(Alive { status: "ok" })
}

/// Whether the process is fit to serve
///
/// 503 when the database does not answer or a subscription of this process has stopped.
#[utoipa::path(get, path = "/health/ready", operation_id = "checkReadiness", tag = "operations",
    responses((status = 200, body = Readiness), (status = 503, body = Readiness, description = "Not fit to serve")))]
async fn ready(
    State(app): State<App>,
    anyone: Result<Anyone, crate::error::ApiError>,
) -> Answer<Readiness> {
    // a probe with a token that has expired is still a probe
    let operator = anyone.is_ok_and(|anyone| anyone.can(Permission::ReadOperations));
    let statuses = app.subscriptions.statuses();
    let asked = tokio::time::timeout(PATIENCE, look(&app)).await;
    let (database, head, checkpoints) = match asked {
        Ok(Ok((head, checkpoints))) => ("ok", Some(head), checkpoints),
        Ok(Err(_)) | Err(_) => ("unavailable", None, Vec::new()),
    };
    let stopped = statuses
        .iter()
        .any(|(_, status)| matches!(status.state, Running::Stopped(_)));
    let fit = head.is_some() && app.log.accepts_commands() && !stopped;
    let readiness = Readiness {
        status: if fit { "ready" } else { "not_ready" },
        database,
        position: head.map(|head| head.position.0),
        kafka: kafka(&app),
        redis: redis(&app),
        search: search(&app),
        subscriptions: subscriptions(head, &checkpoints, &statuses, operator),
    };
    Answer::ok(readiness).status(if fit {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    })
}

fn kafka(app: &App) -> &'static str {
    match (
        app.config.parts.runs(Part::Publisher),
        app.config.kafka.brokers(),
    ) {
        (false, _) => "elsewhere",
        (true, None) => "not_configured",
        (true, Some(_)) => "configured",
    }
}

fn redis(app: &App) -> &'static str {
    match &app.shared {
        None => "not_configured",
        Some(shared) if shared.is_there() => "ok",
        Some(_) => "away",
    }
}

fn search(app: &App) -> &'static str {
    match app.search.as_ref().map(SearchEngine::state) {
        None => "not_configured",
        Some(EngineState::Serving) => "ok",
        Some(EngineState::Behind) => "behind",
        Some(EngineState::Away) => "away",
    }
}

/// What only the database knows.
pub(crate) async fn look(app: &App) -> Result<(Head, Vec<Checkpoint>), sqlx::Error> {
    let checkpoints = checkpoints(app.log.pool()).await?;
    // the head last, so that no subscription seems to be ahead of it
    Ok((app.log.head().await?, checkpoints))
}

/// All subscriptions that the database or this process knows, by name.
pub(crate) fn subscriptions(
    head: Option<Head>,
    checkpoints: &[Checkpoint],
    statuses: &[(String, Status)],
    with_reasons: bool,
) -> Vec<SubscriptionState> {
    let mut names: Vec<&String> = checkpoints
        .iter()
        .map(|known| &known.name)
        .chain(statuses.iter().map(|(name, _)| name))
        .collect();
    names.sort_unstable();
    names.dedup();
    let describe = |name: &String| {
        let checkpoint = checkpoints.iter().find(|known| known.name == *name);
        let local = statuses
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, status)| status);
        let (state, reason) = local.map_or(("elsewhere", None), |status| described(&status.state));
        // whoever leads writes its checkpoint with what it did; before the first one nothing was done
        let position = checkpoint.map_or(0, |known| known.position);
        SubscriptionState {
            name: name.clone(),
            state,
            led: checkpoint.is_some_and(|known| known.led),
            position,
            lag: head.map_or(0, |head| (head.position.0 - position).max(0)),
            reason: reason.filter(|_| with_reasons).cloned(),
        }
    };
    names.into_iter().map(describe).collect()
}

fn described(state: &Running) -> (&'static str, Option<&String>) {
    match state {
        Running::Standby => ("standby", None),
        Running::Leading => ("leading", None),
        Running::Retrying(reason) => ("retrying", Some(reason)),
        Running::HandedOver(reason) => ("handed_over", Some(reason)),
        Running::Stopped(reason) => ("stopped", Some(reason)),
    }
}
