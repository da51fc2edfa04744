//! One server process: started with its own settings, and ended in every way that processes end.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use eventstore::testing::eventually;
use tokio::process::{Child, Command};

/// How long a process may take to listen, or to end when it is asked to: debug builds on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Most bytes of a failed server's output that are shown, from its end.
const SHOWN_BYTES: usize = 8_000;

/// The server's executable. Cargo puts the binaries of a package beside its test executables' folder.
pub fn executable() -> PathBuf {
    let this = std::env::current_exe().expect("a test is a file");
    let beside = this
        .parent()
        .and_then(Path::parent)
        .expect("in target/<profile>/deps");
    let path = beside.join("souk-under-test");
    assert!(
        path.exists(),
        "{} is not there: run the tests by cargo",
        path.display()
    );
    path
}

/// A command of the server's executable that sees these settings and nothing else of our environment.
pub fn command(settings: &[(String, String)], arguments: &[&str]) -> Command {
    let mut command = Command::new(executable());
    command
        .args(arguments)
        .env_clear()
        .envs(settings.iter().cloned());
    command
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("RUST_BACKTRACE", "1");
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// A running server. Killed when dropped; its output is shown when the test fails.
pub struct Server {
    child: Child,
    pid: u32,
    output: PathBuf,
    /// Where it serves HTTP, such as `http://127.0.0.1:41234`.
    pub address: String,
}

impl Server {
    /// Starts `souk serve` and waits until it says where it listens. Its output goes to the file `output`.
    pub async fn start(settings: &[(String, String)], output: PathBuf) -> Self {
        let file = File::create(&output).expect("a file for the output");
        let mut command = command(settings, &["serve"]);
        command
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(file);
        let child = command.spawn().expect("the server starts");
        let pid = child.id().expect("just started");
        let mut server = Self {
            child,
            pid,
            output,
            address: String::new(),
        };
        let deadline = std::time::Instant::now() + PATIENCE;
        server.address = loop {
            if let Some(address) = listening_on(&server.output()) {
                break address;
            }
            if let Some(status) = server.child.try_wait().expect("our child") {
                panic!("the server ended with {status} instead of listening");
            }
            assert!(
                std::time::Instant::now() < deadline,
                "the server does not say that it listens"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        server
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// All that it has printed so far.
    pub fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.output).unwrap_or_default()).into_owned()
    }

    /// Ends it as a power cut would. Returns when it is gone.
    pub async fn kill_9(mut self) {
        self.child.kill().await.expect("our child");
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        self.ask_to_stop().await;
        self.ended().await
    }

    /// Asks it to end, and does not wait.
    pub async fn ask_to_stop(&self) {
        self.signal("TERM").await;
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .expect("ends in time")
            .expect("our child")
    }

    /// Stops the process in its tracks (SIGSTOP): connections stay open, nothing moves.
    pub async fn pause(&self) {
        self.signal("STOP").await;
        // the signal is delivered to one thread after the other
        let stat = format!("/proc/{}/stat", self.pid);
        eventually("the process is stopped", PATIENCE, || async {
            let Ok(text) = std::fs::read_to_string(&stat) else {
                return Some(());
            };
            text.rsplit(')')
                .next()?
                .trim_start()
                .starts_with('T')
                .then_some(())
        })
        .await;
    }

    /// Lets a paused process go on.
    pub async fn resume(&self) {
        self.signal("CONT").await;
    }

    async fn signal(&self, name: &str) {
        // not waited for yet, so the id is still this process's
        signal(self.pid, name).await;
    }
}

/// Sends a signal, such as `TERM`, to a process that is there.
pub async fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$0\" \"$1\"", name, &pid.to_string()])
        .status()
        .await
        .expect("sh runs");
    assert!(sent.success(), "SIG{name} was not sent to {pid}");
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output = self.output();
            let from = output.len().saturating_sub(SHOWN_BYTES);
            let from = (from..output.len())
                .find(|at| output.is_char_boundary(*at))
                .unwrap_or(0);
            eprintln!(
                "--- {} ({}) said, at the end:\n{}",
                self.address,
                self.pid,
                &output[from..]
            );
        }
    }
}

/// The first address with a port in what the server has printed, once its line is complete.
fn listening_on(output: &str) -> Option<String> {
    let (_, after) = output.split_once("http://127.0.0.1:")?;
    let end = after.find(|c: char| !c.is_ascii_digit())?;
    (end > 0).then(|| format!("http://127.0.0.1:{}", &after[..end]))
}
