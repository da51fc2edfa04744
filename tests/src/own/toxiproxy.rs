//! Shopify's toxiproxy between a server and what it depends on: for slow networks and connections of which only one
//! half is open.

use std::{net::SocketAddr, path::Path};

use eventstore::testing::eventually;
use serde_json::{Value, json};
use tokio::process::Command;

use super::{PATIENCE, Process, free_port, script};

/// A toxiproxy with one way through it.
pub struct Toxiproxy {
    _process: Process,
    http: reqwest::Client,
    api: String,
    address: SocketAddr,
}

impl Toxiproxy {
    /// A way to `target`, with nothing in it at first. `folder` is for its output.
    pub async fn start(target: SocketAddr, folder: &Path) -> Self {
        let mut command = Command::new(script(&["toxiproxy"]).await);
        let (port, listen) = (free_port(), free_port());
        command.args(["-host", "127.0.0.1", "-port", &port.to_string()]);
        let this = Self {
            _process: Process::start(command, &folder.join("toxiproxy.txt"), "TERM"),
            http: reqwest::Client::builder()
                .no_proxy()
                .tls_certs_only([])
                .build()
                .expect("a client"),
            api: format!("http://127.0.0.1:{port}/proxies"),
            address: ([127, 0, 0, 1], listen).into(),
        };
        let way = json!({
            "name": "way", "listen": this.address.to_string(), "upstream": target.to_string(), "enabled": true,
        });
        eventually("toxiproxy answers", PATIENCE, || async {
            let made = this.post("", &way).await?;
            assert!(made.status().is_success(), "{made:?}");
            Some(())
        })
        .await;
        this
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts something into one direction: `upstream` is towards the target, `downstream` back.
    pub async fn put(&self, name: &str, kind: &str, direction: &str, attributes: &Value) {
        let toxic =
            json!({"name": name, "type": kind, "stream": direction, "attributes": attributes});
        let made = self.post("/way/toxics", &toxic).await;
        assert!(made.is_some_and(|answer| answer.status().is_success()));
    }

    /// Takes it out again.
    pub async fn take(&self, name: &str) {
        let url = format!("{}/way/toxics/{name}", self.api);
        let taken = self
            .http
            .delete(url)
            .send()
            .await
            .expect("toxiproxy answers");
        assert!(taken.status().is_success(), "{taken:?}");
    }

    async fn post(&self, path: &str, body: &Value) -> Option<reqwest::Response> {
        let url = format!("{}{path}", self.api);
        self.http.post(url).json(body).send().await.ok()
    }
}
