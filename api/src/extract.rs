//! What handlers take from a request, parsed once: bodies, queries, ids, headers. Whatever cannot be parsed is a
//! problem document; nothing of a request that was refused is stored or logged.

pub use self::{
    body::{Body, OptionalBody, RequestLimits},
    caller::Caller,
    headers::{
        ClientKey, IDEMPOTENCY_KEY, IfMatch, LastEventId, MIN_POSITION, MinPosition, POSITION,
        REPLAYED,
    },
    path::{Id, IdAnd},
    query::{Query, QueryAndAttributes},
};

mod body;
mod caller;
mod headers;
mod path;
mod query;

#[cfg(test)]
mod tests;
