//! A Redis that a test kills, or looks into.

use std::{collections::BTreeMap, net::SocketAddr, path::PathBuf};

use eventstore::testing::eventually;
use redis::{Client, aio::MultiplexedConnection};
use tokio::net::TcpStream;

use super::{Data, PATIENCE, Process, free_port, new_name, script};

/// See the module. Comes back on the same port, and empty.
pub struct OwnRedis {
    process: Option<Process>,
    kind: &'static str,
    name: String,
    folder: PathBuf,
    port: u16,
    _data: Data,
}

impl OwnRedis {
    /// An empty one that runs.
    pub async fn start() -> Self {
        Self::start_as("redis").await
    }

    /// The same over TLS alone.
    pub async fn start_with_tls() -> Self {
        Self::start_as("redis-tls").await
    }

    async fn start_as(kind: &'static str) -> Self {
        let name = new_name("redis");
        let folder = script(&["create", &name, "redis"]).await;
        let mut this = Self {
            process: None,
            kind,
            folder: folder.into(),
            port: free_port(),
            _data: Data(name.clone()),
            name,
        };
        this.go_on().await;
        this
    }

    /// Starts it, and waits until it serves.
    pub async fn go_on(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let log = self.folder.join("server.log");
        let port = self.port.to_string();
        let process = Process::serve(&[&self.name, self.kind, &port], &log, "TERM");
        self.process = Some(process);
        if self.has_tls() {
            let address = self.address();
            // whether its certificate is trusted is for the test to find out
            let listens = || async { TcpStream::connect(address).await.ok() };
            eventually("Redis listens", PATIENCE, listens).await;
        } else {
            let url = self.url();
            eventually("Redis serves", PATIENCE, || async { connect(&url).await }).await;
        }
    }

    fn has_tls(&self) -> bool {
        self.kind == "redis-tls"
    }

    /// Where the certificate is of whoever vouches for it over TLS.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("authority.crt")
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").end("KILL").await;
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its address, as `SOUK_REDIS_URL` wants it.
    pub fn url(&self) -> String {
        let scheme = if self.has_tls() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address())
    }
}

/// A Redis for a test that does not break it: that of `REDIS_URL`, else one of its own.
pub struct Redis {
    url: String,
    _own: Option<OwnRedis>,
}

impl Redis {
    /// One that serves.
    pub async fn find() -> Self {
        if let Ok(url) = std::env::var("REDIS_URL") {
            return Self { url, _own: None };
        }
        let own = OwnRedis::start().await;
        Self {
            url: own.url(),
            _own: Some(own),
        }
    }

    /// Its address, as `SOUK_REDIS_URL` wants it.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All that it holds under keys that begin so: texts, and the fields of hashes in a row.
    pub async fn contents(&self, prefix: &str) -> BTreeMap<String, Vec<String>> {
        let mut connection = connect(&self.url).await.expect("Redis answers");
        let keys: Vec<String> = redis::cmd("KEYS")
            .arg(format!("{prefix}*"))
            .query_async(&mut connection)
            .await
            .expect("lists");
        let mut contents = BTreeMap::new();
        for key in keys {
            contents.insert(key.clone(), values(&mut connection, &key).await);
        }
        contents
    }
}

async fn connect(url: &str) -> Option<MultiplexedConnection> {
    let client = Client::open(url).expect("the address of a Redis");
    let mut connection = client.get_multiplexed_async_connection().await.ok()?;
    let ping = redis::cmd("PING");
    ping.query_async::<String>(&mut connection).await.ok()?;
    Some(connection)
}

/// What a key holds; nothing where it has expired since.
async fn values(connection: &mut MultiplexedConnection, key: &str) -> Vec<String> {
    let kind: String = redis::cmd("TYPE")
        .arg(key)
        .query_async(connection)
        .await
        .expect("a type");
    let read = match &*kind {
        "string" => "GET",
        "hash" => "HGETALL",
        "none" => return Vec::new(),
        other => panic!("{key} is a {other}"),
    };
    let read: redis::Value = redis::cmd(read)
        .arg(key)
        .query_async(connection)
        .await
        .expect("a value");
    match read {
        redis::Value::Nil => Vec::new(),
        redis::Value::BulkString(text) => vec![String::from_utf8_lossy(&text).into_owned()],
        fields => redis::from_redis_value(fields).expect("texts"),
    }
}
