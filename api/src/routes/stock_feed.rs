//! The stock feed: changes of stock as they are committed, as server-sent events.
//!
//! Open to everybody, as the products are. How it works, and what bounds it, is in [`crate::stock_feed`].

use std::convert::Infallible;

use axum::{
    extract::{RawQuery, State},
    http::HeaderName,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
};
use domain::ids::{ProductId, RegionId};
use eventstore::position::Head;
use futures::Stream;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{list::bad_parameter, stock::StockBody};
use crate::{
    error::ApiError,
    extract::LastEventId,
    openapi::parts::{FollowOn, NotFollowed, TooOld, Unplaced},
    problem::{Kind, Problem},
    state::App,
    stock_feed::{Filter, NotFollowing},
};

/// The routes.
pub fn router() -> OpenApiRouter<App> {
    OpenApiRouter::default().routes(routes!(follow))
}

/// How far back a client may go on from: some minutes of a busy shop. Whoever was away longer reads the stock afresh.
const MOST_BEHIND: i64 = 100_000;
/// Most products that one client may name.
const MAX_PRODUCTS: usize = 100;
/// Proxies that gather what they pass on would keep changes back.
const NO_BUFFERING: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// The stock of a product after a change: the data of an event of the feed.
#[derive(Serialize, ToSchema)]
pub struct StockNews {
    /// How much there is.
    #[serde(flatten)]
    pub(crate) stock: StockBody,
    /// Which change of this product's stock it is, counted from 1: none is left out. It is the `ETag` of the stock.
    #[schema(example = 7)]
    pub(crate) sequence: i64,
}

/// Which changes. All of what is given must fit.
#[derive(Debug, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StockFeedQuery {
    /// Of this product; may come up to 100 times.
    #[param(value_type = Option<Vec<Uuid>>)]
    product_id: Vec<ProductId>,
    /// Of products of this region.
    #[param(value_type = Option<Uuid>)]
    region_id: Option<RegionId>,
}

impl StockFeedQuery {
    /// By hand, because a parameter may come more than once.
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut parsed = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let id = || Uuid::parse_str(&value).map_err(|_| bad_parameter(&name, "must be a UUID"));
            match &*name {
                "product_id" => parsed.product_id.push(ProductId(id()?)),
                "region_id" if parsed.region_id.is_some() => {
                    return Err(bad_parameter("region_id", "must not come twice"));
                }
                "region_id" => parsed.region_id = Some(RegionId(id()?)),
                other => return Err(bad_parameter(other, "is not known")),
            }
        }
        if parsed.product_id.len() > MAX_PRODUCTS {
            let detail = format!("must not come more than {MAX_PRODUCTS} times");
            return Err(bad_parameter("product_id", detail));
        }
        Ok(parsed)
    }

    fn filter(self) -> Filter {
        let mut product_ids = self.product_id;
        product_ids.sort_unstable();
        Filter {
            product_ids,
            region_id: self.region_id,
        }
    }
}

/// Follow the stock
///
/// Server-sent events: each change of stock, in the order in which they were committed, as an event `stock` with the stock
/// after it. From now on, or behind the event that `Last-Event-ID` names, as browsers send it when they come back by
/// themselves: nothing in between is missed. Every 15 s without a change there is a comment with an `id`. An event
/// `reconnect` is the last one: the server stops, its database did not answer, or the client was too slow.
#[utoipa::path(get, path = "/api/v1/stock/feed", operation_id = "followStock", tag = "stock", params(StockFeedQuery, FollowOn),
    responses((status = 200, body = StockNews, content_type = "text/event-stream"), Unplaced, TooOld, NotFollowed))]
async fn follow(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    LastEventId(after): LastEventId,
) -> Result<impl IntoResponse, ApiError> {
    let filter = StockFeedQuery::parse(query.as_deref().unwrap_or_default())?.filter();
    if let Some(after) = after {
        assure_near(&app, after).await?;
    }
    let following = app.stock_feed.follow(after, filter).await?;
    Ok(([NO_BUFFERING], events(following.into_stream())))
}

fn events<S>(stream: S) -> Sse<S>
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    Sse::new(stream)
}

/// Refuses a position that the log does not hold, and one from which it would take long to come here.
async fn assure_near(app: &App, after: Head) -> Result<(), ApiError> {
    if !app.log.holds(after).await? {
        return Err(Kind::PositionUnknown.into());
    }
    if is_too_old(after, app.log.head().await?) {
        return Err(Kind::PositionTooOld.into());
    }
    Ok(())
}

fn is_too_old(after: Head, head: Head) -> bool {
    head.position.0 - after.position.0 > MOST_BEHIND
}

impl From<NotFollowing> for ApiError {
    fn from(reason: NotFollowing) -> Self {
        let kind = match reason {
            NotFollowing::Full => Kind::Overloaded,
            NotFollowing::Unavailable => Kind::Unavailable,
        };
        Problem::new(kind).detail(reason.to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use eventstore::position::Position;

    use super::*;

    fn wrong(query: &str) -> String {
        let problem = StockFeedQuery::parse(query).unwrap_err().problem();
        assert_eq!(problem.kind(), Kind::InvalidParameter, "{query}");
        format!("{problem:?}")
    }

    #[test]
    fn a_place_is_too_old_when_more_has_happened_since_than_may_be_read_again() {
        let at = |position| Head {
            position: Position(position),
            event_id: Uuid::nil(),
        };
        assert!(!is_too_old(at(7), at(7 + MOST_BEHIND)));
        assert!(is_too_old(at(7), at(8 + MOST_BEHIND)));
        // another process may know more than this one
        assert!(!is_too_old(at(8), at(7)));
    }

    #[test]
    fn products_may_be_many_and_everything_else_comes_once() {
        let [one, two] = [1, 2].map(Uuid::from_u128);
        let query = format!("product_id={two}&region_id={one}&product_id={one}");
        let filter = StockFeedQuery::parse(&query).unwrap().filter();
        assert_eq!(filter.product_ids, [ProductId(one), ProductId(two)]);
        assert_eq!(filter.region_id, Some(RegionId(one)));
        assert_eq!(
            StockFeedQuery::parse("").unwrap().filter(),
            Filter::default()
        );
        assert!(wrong("product_id=7").contains("must be a UUID"));
        assert!(wrong("region=7").contains("is not known"));
        assert!(wrong(&format!("region_id={one}&region_id={one}")).contains("twice"));
        let hundred = vec![format!("product_id={one}"); 100].join("&");
        assert!(StockFeedQuery::parse(&hundred).is_ok());
        assert!(wrong(&format!("{hundred}&product_id={two}")).contains("100"));
    }
}
