//! The event log, for those who replay it: all events in order, by type and by aggregate.
//!
//! Every page looks at a bounded stretch of the log, whatever the filter: `scanned_to` says how far it looked, and the
//! next page goes on from there. Positions have no gaps and never change, so a reader misses nothing.

use axum::{
    extract::State,
    http::{Uri, header},
};
use eventstore::{
    event::{EVENT_COLUMNS, RecordedEvent},
    position::Position,
};
use identity::Permission;
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, Postgres, QueryBuilder};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{event_body::EventBody, list};
use crate::{
    answer::Answer,
    auth::{Allowed, ReadHistory},
    error::ApiError,
    extract::{Id, Query},
    openapi::parts::Missing,
    problem::Kind,
    state::App,
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default()
        .routes(routes!(list_events))
        .routes(routes!(read))
}

/// Most events of a page.
const MAX_LIMIT: u32 = 1_000;
/// Events of a page when the client does not say.
const DEFAULT_LIMIT: u32 = 100;
/// Positions that one page looks at when it is filtered by type: a filter that nothing fits costs no more than this.
const WINDOW: i64 = 10_000;

/// Which events. All filters must fit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Behind this position; from the first event when absent.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Of this type, for instance `OrderPlaced`.
    #[serde(rename = "type")]
    event_type: Option<String>,
    /// Of this kind of aggregate or of one aggregate: `order` or `order/<id>`.
    aggregate: Option<String>,
    /// How many: 1 to 1000, 100 when absent.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

/// Some events, in the order of the log.
#[derive(Serialize, ToSchema)]
pub struct EventPage {
    /// The events.
    items: Vec<EventBody>,
    /// The position up to which the log was looked through: the `after` of the next page.
    #[schema(example = 142)]
    scanned_to: i64,
    /// Whether the log goes on beyond. The `Link` header then holds the address of the next page.
    more: bool,
}

/// List events
///
/// Personal fields are sealed, unless the permission to read personal data in history is there. Demands the permission
/// to read the history.
#[utoipa::path(get, path = "/api/v1/events", operation_id = "listEvents", tag = "history", security(("bearer" = [])), params(EventQuery),
    responses((status = 200, body = EventPage, headers(("Link")))))]
async fn list_events(
    State(app): State<App>,
    who: Allowed<ReadHistory>,
    Query(query): Query<EventQuery>,
    uri: Uri,
) -> Result<Answer<EventPage>, ApiError> {
    let (after, limit) = bounds(&query)?;
    // the head first: what is committed meanwhile belongs to the next page
    let head = app.log.head().await?.position.0;
    let to = reach(&query, after, head);
    let events = select(app.log.pool(), &query, (after, to), limit).await?;
    let full = events.len() == limit as usize;
    let scanned_to = events
        .last()
        .filter(|_| full)
        .map_or(to.max(after), |last| last.position.0);
    let opened = who.can(Permission::ReadPersonalDataInHistory);
    let mut items = Vec::with_capacity(events.len());
    for event in &events {
        items.push(shown(&app, event, opened).await?);
    }
    let more = scanned_to < head;
    let answer = Answer::ok(EventPage {
        items,
        scanned_to,
        more,
    });
    Ok(if more {
        answer.header(
            header::LINK,
            &list::next_link(&uri, "after", &scanned_to.to_string()),
        )
    } else {
        answer
    })
}

fn bounds(query: &EventQuery) -> Result<(i64, u32), ApiError> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(list::bad_parameter(
            "limit",
            format!("must be 1 to {MAX_LIMIT}"),
        ));
    }
    let after = query.after.unwrap_or(0);
    if after < 0 {
        return Err(list::bad_parameter("after", "must not be negative"));
    }
    let texts = [("type", &query.event_type), ("aggregate", &query.aggregate)];
    for (name, text) in texts {
        if text
            .as_ref()
            .is_some_and(|text| text.is_empty() || text.contains('\0'))
        {
            return Err(list::bad_parameter(
                name,
                "must be a text without the character NUL",
            ));
        }
    }
    Ok((after, limit))
}

/// The last position that a page looks at.
fn reach(query: &EventQuery, after: i64, head: i64) -> i64 {
    let one_stream = query
        .aggregate
        .as_ref()
        .is_some_and(|aggregate| aggregate.contains('/'));
    let filtered = query.event_type.is_some() || query.aggregate.is_some();
    if filtered && !one_stream {
        head.min(after.saturating_add(WINDOW))
    } else {
        head
    }
}

/// Along the index of positions, or that of a single stream.
async fn select(
    pool: &PgPool,
    query: &EventQuery,
    (after, to): (i64, i64),
    limit: u32,
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let mut sql = QueryBuilder::<Postgres>::new(format!(
        "select {EVENT_COLUMNS} from events where position > "
    ));
    sql.push_bind(after).push(" and position <= ").push_bind(to);
    if let Some(event_type) = &query.event_type {
        sql.push(" and event_type = ").push_bind(event_type);
    }
    let order = match query
        .aggregate
        .as_deref()
        .map(|aggregate| aggregate.split_once('/').ok_or(aggregate))
    {
        None => "position",
        Some(Err(aggregate_type)) => {
            sql.push(" and aggregate_type = ").push_bind(aggregate_type);
            "position"
        }
        Some(Ok((aggregate_type, aggregate_id))) => {
            sql.push(" and aggregate_type = ").push_bind(aggregate_type);
            sql.push(" and aggregate_id = ").push_bind(aggregate_id);
            // the same order as by position, and that of the primary key
            "sequence"
        }
    };
    sql.push(format_args!(" order by {order} limit "))
        .push_bind(i64::from(limit));
    let rows = sql.build().fetch_all(pool).await?;
    rows.iter().map(RecordedEvent::from_row).collect()
}

async fn shown(app: &App, event: &RecordedEvent, opened: bool) -> Result<EventBody, ApiError> {
    let mut body = EventBody::of_recorded(event)?;
    if opened {
        body.open(&app.vault).await?;
    }
    Ok(body)
}

/// Read an event
///
/// Demands the permission to read the history.
#[utoipa::path(get, path = "/api/v1/events/{position}", operation_id = "readEvent", tag = "history", security(("bearer" = [])),
    params(("position" = i64, Path, description = "Place in the log, from 1.", minimum = 1)),
    responses((status = 200, body = EventBody), Missing))]
async fn read(
    State(app): State<App>,
    who: Allowed<ReadHistory>,
    Id(position): Id<i64>,
) -> Result<Answer<EventBody>, ApiError> {
    let event = app
        .log
        .event_at(Position(position))
        .await?
        .ok_or(Kind::NotFound)?;
    let opened = who.can(Permission::ReadPersonalDataInHistory);
    Ok(Answer::ok(shown(&app, &event, opened).await?))
}
