//! What follows the log, for operators: how far each is, and what is parked.

use axum::extract::State;
use chrono::{DateTime, Utc};
use eventstore::subscription::parked_keys;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::health::{SubscriptionState, look, subscriptions};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadOperations},
    error::ApiError,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(list))
}

/// All subscriptions.
#[derive(Serialize, ToSchema)]
pub struct Subscriptions {
    /// Last position of the log.
    position: i64,
    /// By name.
    items: Vec<SubscriptionState>,
    /// Keys that a poison event keeps behind, oldest first.
    parked: Vec<Parked>,
}

/// A key that a poison event keeps behind.
#[derive(Serialize, ToSchema)]
pub struct Parked {
    /// Of which subscription.
    #[schema(example = "orders_v3")]
    subscription: String,
    /// Which order, product and so on.
    key: String,
    /// Position of the poison event.
    position: i64,
    /// Why it could not be handled.
    error: String,
    /// How many events wait.
    events: i64,
    /// Since when.
    since: DateTime<Utc>,
}

/// List subscriptions and parked keys
///
/// Demands the permission to read operations.
#[utoipa::path(get, path = "/api/v1/subscriptions", operation_id = "listSubscriptions", tag = "operations", security(("bearer" = [])),
    responses((status = 200, body = Subscriptions)))]
async fn list(
    State(app): State<App>,
    _: Allowed<ReadOperations>,
) -> Result<Answer<Subscriptions>, ApiError> {
    let parked = parked_keys(app.log.pool()).await?;
    let (head, checkpoints) = look(&app).await?;
    let parked = parked
        .into_iter()
        .map(|key| Parked {
            subscription: key.subscription,
            key: key.key,
            position: key.position,
            error: key.error,
            events: key.events,
            since: key.parked_at,
        })
        .collect();
    Ok(Answer::ok(Subscriptions {
        position: head.position.0,
        items: subscriptions(
            Some(head),
            &checkpoints,
            &app.subscriptions.statuses(),
            true,
        ),
        parked,
    }))
}
