//! The story of an order: every event of its order, payment and stock that names it, each with its cause.

use axum::{extract::State, http::Uri};
use domain::{ids::OrderId, order::Order};
use identity::Permission;
use projections::{
    View,
    page::{Direction, Limits, Page, Sort},
    timeline::TimelineSort,
};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    event_body::EventBody,
    list::{self, PageBody},
};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadTimelines},
    error::ApiError,
    extract::{Id, MinPosition, Query},
    openapi::parts::{Behind, ById, Missing, NotBefore, Unplaced},
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(read))
}

/// Which part of the story.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TimelineQuery {
    /// How many events: 1 to 200, 50 when absent.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Read the timeline of an order
///
/// In the order of the log. Personal fields are sealed, unless the permission to read personal data in history is
/// there. For the customer of the order until it is deleted, and for whoever may read any order or the history.
#[utoipa::path(get, path = "/api/v1/orders/{id}/timeline", operation_id = "readTimeline", tag = "orders", security(("bearer" = [])),
    params(ById, TimelineQuery, NotBefore),
    responses((status = 200, body = PageBody<EventBody>, headers(("Link"))), Missing, Unplaced, Behind))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadTimelines>,
    Id(id): Id<OrderId>,
    Query(query): Query<TimelineQuery>,
    position: MinPosition,
    uri: Uri,
) -> Result<Answer<PageBody<EventBody>>, ApiError> {
    let oldest = Sort {
        key: TimelineSort::Position,
        direction: Direction::Asc,
    };
    let page = list::request(
        Limits::STANDARD,
        oldest,
        None,
        query.limit,
        query.cursor.as_deref(),
    )?;
    // whose order it is never changes: the log knows at once
    let (order, _) = app.log.load::<Order>(id).await?;
    let order = order.placed().ok_or(Kind::NotFound)?;
    let own =
        who.can(Permission::ReadOwnOrders) && order.customer_id == who.user_id && !order.hidden;
    if !own && !who.can(Permission::ReadAnyOrder) && !who.can(Permission::ReadHistory) {
        return Err(Kind::NotFound.into());
    }
    app.caught_up_on(View::Timeline, id, position).await?;
    let Page { items, next } = app.read_models.timeline(id, &page).await?;
    let opened = who.can(Permission::ReadPersonalDataInHistory);
    let mut events = Vec::with_capacity(items.len());
    for entry in items {
        let mut event = EventBody::of_entry(entry);
        if opened {
            event.open(&app.vault).await?;
        }
        events.push(event);
    }
    Ok(list::page(
        &uri,
        Page {
            items: events,
            next,
        },
    ))
}
