//! A client of the stock feed: server-sent events as they come, and the id to come back with.

use std::time::Duration;

use serde_json::Value;

use crate::client::PATIENCE;

/// Where the feed is.
pub const PATH: &str = "/api/v1/stock/feed";

/// A feed that is open.
pub struct Feed {
    response: reqwest::Response,
    /// What came and is no whole event yet.
    rest: String,
    last_id: Option<String>,
}

/// An event of a feed.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What it is: `stock`, or `reconnect` as the last one.
    pub event: String,
    /// What to come back with.
    pub id: Option<String>,
    /// What it tells.
    pub data: Value,
}

impl Feed {
    /// Opens it at the server of this address, with a query such as `?product_id=…` or none, behind the event of that
    /// id where there is one. Returns once the server has said where it begins.
    pub async fn open(address: &str, query: &str, last_id: Option<&str>) -> Self {
        // without a bound on the whole: a feed has no end
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([]) // our servers speak plain HTTP
            .build();
        let mut ask = http
            .expect("a client")
            .get(format!("{address}{PATH}{query}"));
        if let Some(id) = last_id {
            ask = ask.header("last-event-id", id);
        }
        let response = ask.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{query} {last_id:?}");
        let kind = response.headers().get("content-type");
        assert_eq!(kind.expect("a content type"), "text/event-stream");
        let mut feed = Self {
            response,
            rest: String::new(),
            last_id: None,
        };
        let hello = feed.block(PATIENCE).await.expect("a first word");
        assert_eq!(feed.take(&hello), None, "nothing has happened yet");
        assert!(feed.last_id.is_some(), "{hello:?} says where it begins");
        feed
    }

    /// The next event; none where the feed is over.
    pub async fn next(&mut self) -> Option<Told> {
        self.next_within(PATIENCE).await
    }

    /// The same, with so much patience.
    pub async fn next_within(&mut self, patience: Duration) -> Option<Told> {
        loop {
            let block = self.block(patience).await?;
            if let Some(told) = self.take(&block) {
                return Some(told);
            }
        }
    }

    /// The next changes of stock, so many.
    pub async fn changes(&mut self, count: usize) -> Vec<Told> {
        let mut changes = Vec::with_capacity(count);
        while changes.len() < count {
            let told = self.next().await.expect("the feed goes on");
            assert_eq!(told.event, "stock", "{told:?}");
            changes.push(told);
        }
        changes
    }

    /// The id to come back with.
    pub fn last_id(&self) -> &str {
        self.last_id.as_deref().expect("an id")
    }

    /// The lines up to the next empty one.
    async fn block(&mut self, patience: Duration) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.rest.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.rest = rest;
                return Some(block);
            }
            let chunk = tokio::time::timeout(patience, self.response.chunk());
            let chunk = chunk.await.expect("in time").expect("the feed is read")?;
            self.rest
                .push_str(std::str::from_utf8(&chunk).expect("ids and numbers are ASCII"));
        }
    }

    /// An event where these lines are one; what has no data just moves the id.
    fn take(&mut self, block: &str) -> Option<Told> {
        let field = |name: &str| {
            let mut values = block.lines().filter_map(|line| line.strip_prefix(name));
            values.next().map(|value| value.trim().to_owned())
        };
        let id = field("id:");
        if id.is_some() {
            self.last_id.clone_from(&id);
        }
        let data = serde_json::from_str(&field("data:")?).expect("JSON");
        Some(Told {
            event: field("event:").expect("a name"),
            id,
            data,
        })
    }
}
