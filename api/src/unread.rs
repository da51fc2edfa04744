//! Bodies that nobody read. A request that is refused early (no token, too large, not found) is answered while its
//! body may still be on the way. Closing the connection then would take the answer from a client that is still
//! sending, so what is left of the body is read and thrown away first, up to a bound; beyond it the answer says that
//! the connection ends.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, BodyDataStream, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use bytes::Bytes;
use futures::Stream;

/// Most bytes that are read to be thrown away.
const MAX_BYTES: usize = 16 * 1024 * 1024;
/// Longest that is waited for them.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A body, and what is known of it.
struct Source {
    stream: BodyDataStream,
    /// Whether anything was read of it.
    begun: bool,
    /// Whether it ended, well or not.
    ended: bool,
}

/// A body that is lent to a handler.
#[derive(Clone)]
struct Lent(Arc<Mutex<Source>>);

impl Lent {
    fn source(&self) -> std::sync::MutexGuard<'_, Source> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stream for Lent {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut source = self.source();
        source.begun = true;
        let chunk = ready!(Pin::new(&mut source.stream).poll_next(context));
        source.ended = !matches!(chunk, Some(Ok(_)));
        Poll::Ready(chunk)
    }
}

/// Sees to the rest of the body once the request is answered.
pub async fn discard(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    if body.is_end_stream() {
        return next.run(Request::from_parts(parts, body)).await;
    }
    // who asks whether to send at all, and is refused, does not send
    let asks_first = parts.headers.contains_key(header::EXPECT);
    let lent = Lent(Arc::new(Mutex::new(Source {
        stream: body.into_data_stream(),
        begun: false,
        ended: false,
    })));
    let mut response = next
        .run(Request::from_parts(parts, Body::from_stream(lent.clone())))
        .await;
    let (begun, ended) = {
        let source = lent.source();
        (source.begun, source.ended)
    };
    if !ended && ((asks_first && !begun) || !read_rest(lent).await) {
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the rest of the body came to its end within the bounds.
async fn read_rest(mut lent: Lent) -> bool {
    let reading = async {
        let mut read = 0;
        while let Some(Ok(chunk)) = poll_fn(|context| Pin::new(&mut lent).poll_next(context)).await
        {
            read += chunk.len();
            if read > MAX_BYTES {
                return false;
            }
        }
        true
    };
    tokio::time::timeout(MAX_TIME, reading)
        .await
        .unwrap_or(false)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::convert::Infallible;

    use axum::{Router, middleware, routing::post};
    use futures::{StreamExt, stream};
    use tower::ServiceExt;

    use super::*;

    async fn answer(path: &str, body: Body, expect: bool) -> Option<HeaderValue> {
        let routes = Router::new()
            .route("/unread", post(async || "refused"))
            .route("/read", post(async |body: Bytes| body.len().to_string()))
            .layer(middleware::from_fn(discard));
        let mut request = Request::post(path);
        if expect {
            request = request.header(header::EXPECT, "100-continue");
        }
        let mut response = routes.oneshot(request.body(body).unwrap()).await.unwrap();
        response.headers_mut().remove(header::CONNECTION)
    }

    fn chunks(count: usize) -> impl Stream<Item = Result<Vec<u8>, Infallible>> {
        stream::repeat_with(|| Ok(vec![0; 1024 * 1024])).take(count)
    }

    #[tokio::test]
    async fn what_is_left_is_read_and_the_connection_goes_on() {
        for path in ["/read", "/unread"] {
            assert_eq!(
                answer(path, Body::from_stream(chunks(1)), false).await,
                None,
                "{path}"
            );
            assert_eq!(answer(path, Body::empty(), false).await, None, "{path}");
        }
        assert_eq!(
            answer("/unread", Body::from_stream(chunks(16)), false).await,
            None
        );
    }

    #[tokio::test]
    async fn a_body_without_bounds_ends_the_connection() {
        assert_eq!(
            answer("/unread", Body::from_stream(chunks(17)), false)
                .await
                .unwrap(),
            "close"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_ends_the_connection() {
        let stalled = chunks(1).chain(stream::pending());
        assert_eq!(
            answer("/unread", Body::from_stream(stalled), false)
                .await
                .unwrap(),
            "close"
        );
    }

    #[tokio::test]
    async fn who_asks_before_sending_is_not_made_to_send() {
        assert_eq!(
            answer("/unread", Body::from_stream(chunks(1)), true)
                .await
                .unwrap(),
            "close"
        );
        assert_eq!(
            answer("/read", Body::from_stream(chunks(1)), true).await,
            None
        );
    }
}
