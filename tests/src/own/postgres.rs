//! A PostgreSQL that a test stops, kills, fills up or replaces.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use eventstore::testing::eventually;
use sqlx::{ConnectOptions, PgConnection, postgres::PgConnectOptions};
use tokio::process::Command;

use super::{Data, PATIENCE, Process, free_port, new_name, script};

/// How a server is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Sessions are ended, a checkpoint is written.
    Fast,
    /// At once; the next start recovers.
    Immediate,
    /// SIGKILL of the postmaster; its children leave when they notice.
    Kill,
}

impl End {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::Fast, Self::Immediate, Self::Kill];

    const fn signal(self) -> &'static str {
        match self {
            Self::Fast => "INT",
            Self::Immediate => "QUIT",
            Self::Kill => "KILL",
        }
    }
}

/// See the module. Comes back on the same port.
pub struct OwnPostgres {
    process: Option<Process>,
    name: String,
    folder: PathBuf,
    port: u16,
    settings: Vec<String>,
    _data: Data,
}

impl OwnPostgres {
    /// An empty one that runs.
    pub async fn start() -> Self {
        let mut this = Self::prepare().await;
        this.go_on().await;
        this
    }

    /// An empty one that does not run yet.
    pub async fn prepare() -> Self {
        let name = new_name("postgres");
        let folder = PathBuf::from(script(&["create", &name, "postgres"]).await);
        Self {
            process: None,
            folder,
            port: free_port(),
            settings: Vec::new(),
            _data: Data(name.clone()),
            name,
        }
    }

    /// With this setting from the next start on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.settings.push(format!("{name}={value}"));
    }

    /// Starts it, and waits until it answers.
    pub async fn go_on(&mut self) {
        assert!(self.process.is_none(), "it runs");
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut process = self.launch();
        // by TCP as its clients do; the children of one that was killed may still be there, then it ends by itself
        while self.options().connect().await.is_err() {
            assert!(
                std::time::Instant::now() < deadline,
                "PostgreSQL does not start: {}",
                self.log()
            );
            if process.has_ended() {
                process = self.launch();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.process = Some(process);
    }

    /// Waits until it answers after a crash, from which it recovers by itself, or ends: then it is started again.
    pub async fn come_back(&mut self) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.options().connect().await.is_err() {
            assert!(
                std::time::Instant::now() < deadline,
                "PostgreSQL does not come back: {}",
                self.log()
            );
            if self.process.as_mut().is_none_or(Process::has_ended) {
                self.process = None;
                self.go_on().await;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    fn launch(&self) -> Process {
        let port = self.port.to_string();
        let mut arguments = vec![self.name.as_str(), "postgres", &port];
        arguments.extend(self.settings.iter().map(String::as_str));
        Process::serve(&arguments, &self.log_file(), End::Immediate.signal())
    }

    /// Ends it, and returns when the postmaster is gone.
    pub async fn end(&mut self, how: End) {
        let process = self.process.take().expect("it runs");
        process.end(how.signal()).await;
    }

    /// How to connect to its database `souk`.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.port)
            .username("souk")
            .database("souk")
    }

    /// A connection to a database of it.
    pub async fn connect(&self, database: &str) -> PgConnection {
        let options = self.options().database(database);
        options.connect().await.expect("it answers")
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// Its data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The folder that its data folder is in, which belongs to its user.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn log_file(&self) -> PathBuf {
        self.folder.with_file_name("postgres.log")
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let log = std::fs::read(self.log_file()).unwrap_or_default();
        let from = log.len().saturating_sub(4_000);
        String::from_utf8_lossy(&log[from..]).into_owned()
    }

    /// How often its log, the whole of it, says these words.
    pub fn times_said(&self, words: &str) -> usize {
        let log = std::fs::read(self.log_file()).expect("its log is readable");
        String::from_utf8_lossy(&log).matches(words).count()
    }

    /// A copy of its data. Ends it for that moment.
    pub async fn backup(&mut self) -> Backup {
        self.end(End::Fast).await;
        let backup = Backup(self.folder.join("backup"));
        copy(&self.data(), &backup.0).await;
        self.go_on().await;
        backup
    }

    /// Takes one that does not run back to that state.
    pub fn restore(&mut self, backup: &Backup) {
        assert!(self.process.is_none(), "it runs");
        std::fs::remove_dir_all(self.data()).expect("removed");
        std::fs::rename(&backup.0, self.data()).expect("put into its place");
    }

    /// A copy of it, taken while it runs, that follows it as a standby under this name, by a way of its own where one is
    /// given. Does not run yet.
    pub async fn standby(&self, application_name: &str, way: Option<SocketAddr>) -> Self {
        let standby = Self::prepare().await;
        let mut connection = self.connect("souk").await;
        sqlx::query("select pg_backup_start('standby', true)")
            .execute(&mut connection)
            .await
            .expect("the backup begins");
        let (from, to) = (self.data(), standby.data());
        std::fs::remove_dir_all(&to).expect("removed");
        copy(&from, &to).await;
        let (label, map): (String, String) =
            sqlx::query_as("select labelfile, spcmapfile from pg_backup_stop(false)")
                .fetch_one(&mut connection)
                .await
                .expect("the backup ends");
        assert_eq!(map, "", "no tablespaces");
        let port = way.unwrap_or_else(|| self.address()).port();
        let conninfo = format!(
            "primary_conninfo = 'host=127.0.0.1 port={port} user=souk application_name={application_name}'\n"
        );
        let files = [
            ("backup_label", label),
            ("standby.signal", String::new()),
            ("postgresql.auto.conf", conninfo),
        ];
        for (file, content) in files {
            // written over one that is there or beside one, whose owner is PostgreSQL's user
            write_as_owner(&to, file, &content).await;
        }
        for stale in ["postmaster.pid", "postmaster.opts"] {
            let _ = std::fs::remove_file(to.join(stale));
        }
        standby
    }

    /// Makes a standby the primary, and waits until it takes writes.
    pub async fn promote(&self) {
        let mut connection = self.connect("souk").await;
        let promoted: bool = sqlx::query_scalar("select pg_promote(true, 60)")
            .fetch_one(&mut connection)
            .await
            .expect("it answers");
        assert!(promoted, "it is the primary");
    }

    /// Waits until a standby of this name is synchronous.
    pub async fn wait_for_standby(&self, application_name: &str) {
        eventually("the standby is synchronous", PATIENCE, || async {
            let mut connection = self.connect("souk").await;
            let state: Option<String> = sqlx::query_scalar(
                "select sync_state from pg_stat_replication where application_name = $1 and state = 'streaming'",
            )
            .bind(application_name)
            .fetch_optional(&mut connection)
            .await
            .expect("it answers");
            (state.as_deref() == Some("sync")).then_some(())
        })
        .await;
    }
}

/// Data of a PostgreSQL, as they were.
pub struct Backup(PathBuf);

/// Copies a data folder. A file may go away meanwhile, which a backup allows: the change is in the log.
async fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).output();
    let copied = copied.await.expect("cp runs");
    let complaints = String::from_utf8_lossy(&copied.stderr).into_owned();
    let vanished = |line: &str| line.contains("No such file or directory");
    assert!(complaints.lines().all(vanished), "{complaints}");
}

/// Writes a file of a folder whose owner another user may be, so that it is the owner's.
async fn write_as_owner(folder: &Path, file: &str, content: &str) {
    let path = folder.join(file);
    std::fs::write(&path, content).expect("written");
    let done = Command::new("chown")
        .arg("--reference")
        .args([folder, &path])
        .status()
        .await;
    assert!(done.expect("chown runs").success());
}
