//! A Kafka that a test stops and kills.

use std::path::PathBuf;

use eventstore::testing::eventually;
use tokio::net::TcpStream;

use super::{Data, PATIENCE, Process, free_port, new_name, script};

/// See the module. Comes back on the same port.
pub struct OwnKafka {
    process: Option<Process>,
    name: String,
    folder: PathBuf,
    port: u16,
    _data: Data,
}

impl OwnKafka {
    /// An empty one that runs.
    pub async fn start() -> Self {
        let (name, port, controller) = (new_name("kafka"), free_port(), free_port());
        let (broker, controller) = (port.to_string(), controller.to_string());
        let folder = script(&["create", &name, "kafka", &broker, &controller]).await;
        let mut this = Self {
            process: None,
            folder: folder.into(),
            port,
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
        let process = Process::serve(&[&self.name, "kafka"], &log, "KILL");
        self.process = Some(process);
        eventually("Kafka serves", PATIENCE, || async {
            TcpStream::connect(("127.0.0.1", self.port)).await.ok()
        })
        .await;
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(&mut self) {
        self.process.take().expect("it runs").end("TERM").await;
    }

    /// Ends it as a power cut would.
    pub async fn kill(&mut self) {
        self.process.take().expect("it runs").end("KILL").await;
    }

    /// Its address, as `KAFKA_BROKERS` wants it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}
