//! The engine's REST interface: only what OpenSearch 2 and Elasticsearch 7.10 and later have in common.

use std::{error::Error, time::Duration};

use eventstore::position::{Head, Position};
use reqwest::{Method, StatusCode, Url, header::CONTENT_TYPE, redirect::Policy};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{
    SearchSettings,
    index::{self, Names},
};

/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(2);
/// How long what no request waits for may take.
const BACKGROUND_PATIENCE: Duration = Duration::from_secs(10);
/// The same for a look at whether the engine is there.
const LOOK_PATIENCE: Duration = Duration::from_secs(2);
/// Most of what an engine says of a refusal, in characters: there may be a stack trace in it.
const MAX_REASON_CHARS: usize = 300;

const JSON: &str = "application/json";
const LINES: &str = "application/x-ndjson";

/// Why the engine did not do something.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// It does not answer, not in time, or not now.
    #[error("{0}")]
    Away(String),
    /// The index, or the alias that stands for it, is not there.
    #[error("the index is not there")]
    NoIndex,
    /// Somebody else has written what is later.
    #[error("a later version is there")]
    Conflict,
    /// It does not do that, however often it is asked.
    #[error("{0}")]
    Refused(String),
}

/// A product that was found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Hit {
    pub(super) id: Uuid,
    /// What it is sorted by.
    pub(super) sort: Vec<Value>,
}

/// How far the index is, as a document of its own beside the products; see [`super::follower`].
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Progress {
    position: Position,
    event_id: Uuid,
}

/// See the module.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    names: Names,
    /// How long a search may take.
    patience: Duration,
}

/// A body with its type.
type Content = (&'static str, Vec<u8>);

impl Client {
    pub(super) fn new(settings: &SearchSettings) -> Result<Self, reqwest::Error> {
        let mut http = reqwest::Client::builder()
            .user_agent("souk")
            .connect_timeout(CONNECT_PATIENCE)
            .redirect(Policy::none())
            .no_proxy();
        if settings.base.scheme() == "http" {
            // no certificates are looked for on a machine that may have none
            http = http.tls_certs_only([]);
        }
        Ok(Self {
            http: http.build()?,
            base: settings.base.clone(),
            names: Names::new(&settings.prefix),
            patience: settings.timeout,
        })
    }

    pub(super) const fn names(&self) -> &Names {
        &self.names
    }

    /// The products that a query finds, in its order; all of those or a fault.
    pub(super) async fn search(&self, query: &Value) -> Result<Vec<Hit>, Fault> {
        let path = format!("/{}/_search", self.names.alias);
        let parameters = "allow_partial_search_results=false&filter_path=timed_out,_shards.failed,hits.hits._id,hits.hits.sort";
        let content = (JSON, query.to_string().into_bytes());
        let told = self
            .call(
                Method::POST,
                &path,
                parameters,
                Some(content),
                self.patience,
            )
            .await?;
        if told["timed_out"] == true || told["_shards"]["failed"].as_u64().unwrap_or(0) > 0 {
            return Err(Fault::Away("only a part of the index was searched".into()));
        }
        let hits = told["hits"]["hits"].as_array();
        let hits = hits.into_iter().flatten().map(hit);
        hits.collect::<Option<_>>()
            .ok_or_else(|| Fault::Away("a hit is not one of ours".into()))
    }

    /// Up to which event the index holds what has happened. None where it does not say.
    pub(super) async fn progress(&self) -> Result<Option<Head>, Fault> {
        let path = format!("/{}/_doc/{}", self.names.alias, index::PROGRESS);
        let asked = self.exchange(Method::GET, &path, "", None, LOOK_PATIENCE);
        let (status, told) = asked.await?;
        if status == StatusCode::NOT_FOUND && told["found"] == false {
            return Ok(None);
        }
        let told = done(status, told)?;
        let progress = Progress::deserialize(&told["_source"]).ok();
        Ok(progress.map(|progress| Head {
            position: progress.position,
            event_id: progress.event_id,
        }))
    }

    /// Notes down how far the index is. Loses against a later version, with [`Fault::Conflict`].
    pub(super) async fn note(&self, head: Head, version: i64) -> Result<(), Fault> {
        let path = format!("/{}/_doc/{}", self.names.alias, index::PROGRESS);
        let parameters = format!("version={version}&version_type=external_gte&require_alias=true");
        let progress = Progress {
            position: head.position,
            event_id: head.event_id,
        };
        // a number and an id: cannot fail
        let body = serde_json::to_vec(&progress).unwrap_or_default();
        let content = Some((JSON, body));
        self.call(
            Method::PUT,
            &path,
            &parameters,
            content,
            BACKGROUND_PATIENCE,
        )
        .await?;
        Ok(())
    }

    /// Makes the index anew, empty.
    pub(super) async fn create(&self) -> Result<(), Fault> {
        let path = format!("/{}", self.names.index);
        let removed = self.call(
            Method::DELETE,
            &path,
            "ignore_unavailable=true",
            None,
            BACKGROUND_PATIENCE,
        );
        match removed.await {
            Ok(_) | Err(Fault::NoIndex) => {}
            Err(fault) => return Err(fault),
        }
        let definition = index::definition(&self.names).to_string();
        let content = Some((JSON, definition.into_bytes()));
        self.call(Method::PUT, &path, "", content, BACKGROUND_PATIENCE)
            .await?;
        Ok(())
    }

    /// Writes some documents. Returns which of them are refused for what they are, by their number, and why. One that is
    /// there in a later version stays as it is.
    pub(super) async fn write(&self, lines: Vec<u8>) -> Result<Vec<(usize, String)>, Fault> {
        let path = format!("/{}/_bulk", self.names.alias);
        let parameters = "require_alias=true&filter_path=errors,items.*.status,items.*.error";
        let content = Some((LINES, lines));
        let told = self
            .call(
                Method::POST,
                &path,
                parameters,
                content,
                BACKGROUND_PATIENCE,
            )
            .await?;
        if told["errors"] == false {
            return Ok(Vec::new());
        }
        let mut refused = Vec::new();
        let items = told["items"].as_array().into_iter().flatten();
        for (number, item) in items.enumerate() {
            let item = &item["index"];
            let status = item["status"]
                .as_u64()
                .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
            let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if status.is_success() {
                continue;
            }
            match fault(status, item) {
                Fault::Conflict => {}
                Fault::Refused(reason) => refused.push((number, reason)),
                passing => return Err(passing),
            }
        }
        Ok(refused)
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        parameters: &str,
        content: Option<Content>,
        patience: Duration,
    ) -> Result<Value, Fault> {
        let (status, told) = self
            .exchange(method, path, parameters, content, patience)
            .await?;
        done(status, told)
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        parameters: &str,
        content: Option<Content>,
        patience: Duration,
    ) -> Result<(StatusCode, Value), Fault> {
        let url = self.url(path, parameters);
        let mut request = self.http.request(method, url).timeout(patience);
        if let Some((kind, body)) = content {
            request = request.header(CONTENT_TYPE, kind).body(body);
        }
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let body = response.bytes().await.map_err(no_answer)?;
        // a proxy in front may answer in its own words
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    /// Names and parameters are of letters, digits and marks that stand for themselves in an address.
    fn url(&self, path: &str, parameters: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}{path}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.set_query((!parameters.is_empty()).then_some(parameters));
        url
    }
}

fn done(status: StatusCode, told: Value) -> Result<Value, Fault> {
    if status.is_success() && told.is_object() {
        return Ok(told);
    }
    Err(fault(status, &told))
}

fn fault(status: StatusCode, told: &Value) -> Fault {
    let error = &told["error"];
    match status {
        StatusCode::NOT_FOUND if error["type"] == "index_not_found_exception" => Fault::NoIndex,
        StatusCode::CONFLICT => Fault::Conflict,
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {
            Fault::Refused(reason(status, error))
        }
        _ => Fault::Away(reason(status, error)),
    }
}

fn reason(status: StatusCode, error: &Value) -> String {
    let reason = error["reason"].as_str().or_else(|| error["type"].as_str());
    let reason = reason.unwrap_or("no reason given");
    let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
    format!("{}: {reason}", status.as_u16())
}

/// What stands in the way, down to its cause; not the address, in which there may be a password.
fn no_answer(error: reqwest::Error) -> Fault {
    if error.is_timeout() {
        return Fault::Away("no answer in time".into());
    }
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        reason = format!("{reason}: {deeper}");
        cause = deeper.source();
    }
    Fault::Away(reason)
}

fn hit(told: &Value) -> Option<Hit> {
    Some(Hit {
        id: told["_id"].as_str()?.parse().ok()?,
        sort: told["sort"].as_array()?.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn client(url: &str) -> Client {
        let settings = SearchSettings::new(url, "souk", Duration::from_millis(500));
        Client::new(&settings.unwrap()).unwrap()
    }

    #[test]
    fn an_engine_may_stand_below_a_path() {
        let plain = client("http://search:9200");
        assert_eq!(
            plain.url("/a/_bulk", "").as_str(),
            "http://search:9200/a/_bulk"
        );
        let below = client("http://search/engine/");
        assert_eq!(
            below.url("/a/_search", "x=y&f=a.b,c.*.d").as_str(),
            "http://search/engine/a/_search?x=y&f=a.b,c.*.d"
        );
    }

    #[test]
    fn what_passes_is_told_from_what_is_refused() {
        let error =
            json!({"error": {"type": "mapper_parsing_exception", "reason": "x".repeat(900)}});
        for (status, expected) in [(400, "400: xxx"), (413, "413: xxx")] {
            let status = StatusCode::from_u16(status).unwrap();
            let Fault::Refused(reason) = fault(status, &error) else {
                panic!("{status}");
            };
            assert!(reason.starts_with(expected), "{reason}");
            assert!(reason.len() < 400, "{reason}");
        }
        for status in [401, 403, 404, 408, 429, 500, 502, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            assert!(matches!(fault(status, &error), Fault::Away(_)), "{status}");
        }
        let gone = json!({"error": {"type": "index_not_found_exception"}});
        assert!(matches!(
            fault(StatusCode::NOT_FOUND, &gone),
            Fault::NoIndex
        ));
        assert!(matches!(
            fault(StatusCode::CONFLICT, &gone),
            Fault::Conflict
        ));
        assert!(matches!(
            done(StatusCode::OK, Value::Null),
            Err(Fault::Away(_))
        ));
    }

    #[tokio::test]
    async fn no_password_stands_in_what_is_told_of_a_fault() {
        let client = client("http://somebody:a-password@127.0.0.1:9");
        let fault = client.progress().await.unwrap_err().to_string();
        assert!(
            !fault.contains("password") && !fault.contains("somebody"),
            "{fault}"
        );
    }
}
