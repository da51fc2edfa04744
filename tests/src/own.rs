//! Servers that a test has for itself, because it breaks them: PostgreSQL, Kafka, Redis, and toxiproxy between.
//!
//! They are started by `scripts/own-server.sh`, from the same binaries and with the same settings as those that all
//! tests share, and end with the test, also when it panics.

use std::{
    net::TcpListener,
    path::Path,
    process::{Command as Blocking, Stdio},
    time::{Duration, Instant},
};

use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::server::signal;

pub mod kafka;
pub mod postgres;
pub mod redis;
pub mod toxiproxy;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long a server may take to end when its test has ended, before it is killed.
const LAST_PATIENCE: Duration = Duration::from_secs(5);

/// A name that nobody else has.
fn new_name(kind: &str) -> String {
    format!("{kind}-{}", Uuid::new_v4().simple())
}

/// A free port below those that systems hand out to outgoing connections, so that a server that comes back finds its
/// port free.
fn free_port() -> u16 {
    let mut ports = (0..100).map(|_| 20_000 + (Uuid::new_v4().as_u128() % 12_000) as u16);
    ports
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}

fn script_path() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/own-server.sh")
}

/// Runs the script to its end, and returns what it printed.
async fn script(arguments: &[&str]) -> String {
    let output = Command::new(script_path())
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("the script runs");
    assert!(
        output.status.success(),
        "own-server.sh {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let told = String::from_utf8(output.stdout).expect("UTF-8");
    told.trim_end().to_owned()
}

/// A running server.
struct Process {
    child: Child,
    pid: u32,
    /// Asks it to end at once and cleanly.
    ends_by: &'static str,
}

impl Process {
    fn start(mut command: Command, output: &Path, ends_by: &'static str) -> Self {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(output)
            .expect("a file for the output");
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file)
            .kill_on_drop(true);
        let child = command.spawn().expect("the server starts");
        let pid = child.id().expect("just started");
        Self {
            child,
            pid,
            ends_by,
        }
    }

    /// What the script serves.
    fn serve(arguments: &[&str], output: &Path, ends_by: &'static str) -> Self {
        let mut command = Command::new(script_path());
        command.arg("serve").args(arguments);
        Self::start(command, output, ends_by)
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Sends a signal and waits until it has ended.
    async fn end(mut self, name: &str) {
        signal(self.pid, name).await;
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("it ends in time")
            .expect("our child");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        // not waited for yet, so the id is still this process's
        let _ = Blocking::new("sh")
            .args([
                "-c",
                "kill -s \"$0\" \"$1\"",
                self.ends_by,
                &self.pid.to_string(),
            ])
            .status();
        let until = Instant::now() + LAST_PATIENCE;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// The data of a server, removed at the end.
struct Data(String);

impl Drop for Data {
    fn drop(&mut self) {
        let _ = Blocking::new(script_path())
            .args(["remove", &self.0])
            .status();
    }
}
