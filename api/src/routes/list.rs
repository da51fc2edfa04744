//! Lists: whitelisted sorts, opaque cursors, and a link to the next page.

use axum::http::{Uri, header};
use projections::page::{Direction, Limits, Page, PageRequest, Sort, SortKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    answer::Answer,
    error::ApiError,
    problem::{FieldError, Kind, Problem},
};

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageBody<T> {
    /// What is on it.
    items: Vec<T>,
    /// The `cursor` of the next page; null at the end. The `Link` header holds the whole address.
    next_cursor: Option<String>,
}

/// The page as an answer to the request with this address.
pub fn page<T>(uri: &Uri, page: Page<T>) -> Answer<PageBody<T>> {
    let link = page
        .next
        .as_deref()
        .map(|cursor| next_link(uri, "cursor", cursor));
    let answer = Answer::ok(PageBody {
        items: page.items,
        next_cursor: page.next,
    });
    match link {
        Some(link) => answer.header(header::LINK, &link),
        None => answer,
    }
}

/// The address with another value of one parameter, as a `Link` to what comes next (RFC 8288).
pub fn next_link(uri: &Uri, parameter: &str, value: &str) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, kept) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
        if name != parameter {
            query.append_pair(&name, &kept);
        }
    }
    query.append_pair(parameter, value);
    format!("<{}?{}>; rel=\"next\"", uri.path(), query.finish())
}

/// What a list of the standard size is asked for: the newest first, unless it says otherwise.
pub fn newest_first<K: SortKey>(
    created_at: K,
    sort: Option<&str>,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<PageRequest<K>, ApiError> {
    let newest = Sort {
        key: created_at,
        direction: Direction::Desc,
    };
    request(Limits::STANDARD, newest, sort, limit, cursor)
}

/// What a list is asked for.
pub fn request<K: SortKey>(
    limits: Limits,
    default: Sort<K>,
    sort: Option<&str>,
    limit: Option<u32>,
    cursor: Option<&str>,
) -> Result<PageRequest<K>, ApiError> {
    let sort = sort.map_or(Ok(default), parse_sort)?;
    PageRequest::new(limits, sort, limit, cursor)
        .map_err(|error| projections::QueryError::from(error).into())
}

/// The name of a sort key; behind a `-` it means largest or newest first.
fn parse_sort<K: SortKey>(text: &str) -> Result<Sort<K>, ApiError> {
    let (name, direction) = match text.strip_prefix('-') {
        Some(name) => (name, Direction::Desc),
        None => (text, Direction::Asc),
    };
    let key = K::parse(name).ok_or_else(|| {
        let names: Vec<&str> = K::ALL.iter().map(|key| key.name()).collect();
        let detail = format!(
            "must be one of {}, with a - in front for the other direction",
            names.join(", ")
        );
        bad_parameter("sort", detail)
    })?;
    Ok(Sort { key, direction })
}

/// A parameter of the query that is wrong.
pub fn bad_parameter(name: &str, detail: impl Into<String>) -> ApiError {
    Problem::new(Kind::InvalidParameter)
        .errors(vec![FieldError::parameter(name, detail)])
        .into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use projections::orders::OrderSort;

    use super::*;

    #[test]
    fn the_link_to_the_next_page_keeps_the_filters() {
        let uri: Uri = "/api/v1/orders?total%5Bgte%5D=5&cursor=old&limit=2"
            .parse()
            .unwrap();
        assert_eq!(
            next_link(&uri, "cursor", "n+w"),
            "</api/v1/orders?total%5Bgte%5D=5&limit=2&cursor=n%2Bw>; rel=\"next\""
        );
    }

    #[test]
    fn a_sort_is_one_of_the_list() {
        let sort = parse_sort::<OrderSort>("-total").unwrap();
        assert_eq!(
            (sort.key, sort.direction),
            (OrderSort::Total, Direction::Desc)
        );
        assert_eq!(
            parse_sort::<OrderSort>("created_at").unwrap().direction,
            Direction::Asc
        );
        for bad in [
            "",
            "-",
            "--total",
            "customer_name",
            "total desc",
            "total;drop",
        ] {
            assert_eq!(
                parse_sort::<OrderSort>(bad).unwrap_err().problem().kind(),
                Kind::InvalidParameter
            );
        }
    }
}
