//! The search engine of the tests, a real OpenSearch: what a shop's servers keep there, looked into and broken.

use std::net::SocketAddr;

use eventstore::testing::eventually;
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::client::PATIENCE;

/// Where it is, as `SOUK_SEARCH_URL` wants it.
pub fn engine_url() -> String {
    std::env::var("OPENSEARCH_URL")
        .expect("OPENSEARCH_URL names the search engine for tests; `make test` sets it")
}

/// The same, for a proxy in front of it.
pub async fn engine_address() -> SocketAddr {
    let url = Url::parse(&engine_url()).expect("an address");
    let host = url.host_str().expect("a host").to_owned();
    let port = url.port_or_known_default().expect("a port");
    let mut found = tokio::net::lookup_host((host, port)).await.expect("known");
    found.next().expect("an address")
}

/// The index of one shop.
pub struct Index {
    http: reqwest::Client,
    url: String,
    alias: String,
    name: String,
}

impl Index {
    /// That of the shop with this prefix.
    pub fn of(prefix: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([]) // it speaks plain HTTP
            .build()
            .expect("a client");
        let alias = format!("{prefix}-products");
        Self {
            http,
            url: engine_url(),
            name: format!("{alias}-v1"),
            alias,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self
            .http
            .request(method, format!("{}/{path}", self.url.trim_end_matches('/')));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.expect("the engine answers");
        let status = response.status().as_u16();
        (status, response.json().await.expect("JSON"))
    }

    /// What it holds of a product: the document and its version.
    pub async fn document(&self, id: &str) -> Option<(Value, i64)> {
        let path = format!("{}/_doc/{id}", self.alias);
        let (_, told) = self.call(Method::GET, &path, None).await;
        let version = told["_version"].as_i64()?;
        Some((told["_source"].clone(), version))
    }

    /// Writes a document as somebody who comes with this version. Returns the status.
    pub async fn write(&self, id: &str, version: i64, document: &Value) -> u16 {
        let path = format!(
            "{}/_doc/{id}?version={version}&version_type=external_gte",
            self.alias
        );
        self.call(Method::PUT, &path, Some(document)).await.0
    }

    /// Up to which position it is filled.
    pub async fn position(&self) -> i64 {
        let progress = self.document("progress").await;
        progress.map_or(-1, |(progress, _)| {
            progress["position"].as_i64().expect("a position")
        })
    }

    /// Waits until it is filled up to this position of the log, and all of that can be found.
    pub async fn filled(&self, position: i64) {
        eventually("the index is filled", PATIENCE, || async {
            (self.position().await >= position).then_some(())
        })
        .await;
        let path = format!("{}/_refresh", self.alias);
        let (status, told) = self.call(Method::POST, &path, None).await;
        assert_eq!(status, 200, "{told}");
    }

    /// How many searches it has answered.
    pub async fn searches(&self) -> u64 {
        let path = format!("{}/_stats/search", self.alias);
        let (_, told) = self.call(Method::GET, &path, None).await;
        let total = &told["_all"]["primaries"]["search"]["query_total"];
        total.as_u64().unwrap_or_else(|| panic!("{told}"))
    }

    /// Makes an index of that name in another way than the servers do.
    pub async fn make(&self, properties: &Value) {
        let definition = json!({
            "settings": {"index": {"number_of_shards": 1, "number_of_replicas": 0}},
            "aliases": {&self.alias: {}},
            "mappings": {"properties": properties},
        });
        let made = self.call(Method::PUT, &self.name, Some(&definition)).await;
        assert_eq!(made.0, 200, "{}", made.1);
    }

    /// Removes it, whether it is there or not.
    pub async fn remove(&self) {
        let path = format!("{}?ignore_unavailable=true", self.name);
        let (status, told) = self.call(Method::DELETE, &path, None).await;
        assert_eq!(status, 200, "{told}");
    }
}
