//! A mail server for tests: takes mails by SMTP (RFC 5321) and keeps them. It refuses what it is asked to refuse: a
//! recipient whose name begins with `refused` for good, one that begins with `later` the first time.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A mail that was taken.
#[derive(Clone, Debug)]
pub struct Received {
    /// Where it goes.
    pub to: String,
    /// Headers and text, as they came.
    pub text: String,
}

#[derive(Default)]
struct Kept {
    mails: Vec<Received>,
    /// Who was told to come again.
    put_off: BTreeSet<String>,
}

/// The server. Ends when it is dropped.
pub struct MailServer {
    address: SocketAddr,
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl MailServer {
    /// Starts it on a free port.
    pub async fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts it there.
    pub async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let kept = Arc::<Mutex<Kept>>::default();
        let shared = kept.clone();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let kept = shared.clone();
                // a client that goes away in the middle is no fault of the server
                tokio::spawn(async move { converse(connection, &kept).await.ok() });
            }
        });
        Self {
            address,
            kept,
            task,
        }
    }

    /// An address of nobody, at which one may be started later.
    pub async fn nowhere() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        listener.local_addr().expect("bound")
    }

    /// What a server is told to find it.
    pub fn url(&self) -> String {
        format!("smtp://{}", self.address)
    }

    /// The mails to that address, oldest first.
    pub fn mails_to(&self, address: &str) -> Vec<Received> {
        let kept = lock(&self.kept);
        let mails = kept.mails.iter().filter(|mail| mail.to == address);
        mails.cloned().collect()
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn lock(kept: &Mutex<Kept>) -> std::sync::MutexGuard<'_, Kept> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(mut connection: TcpStream, kept: &Mutex<Kept>) -> std::io::Result<()> {
    let (reader, mut writer) = connection.split();
    let mut lines = BufReader::new(reader).lines();
    writer.write_all(b"220 tests ESMTP\r\n").await?;
    let mut to = String::new();
    while let Some(line) = lines.next_line().await? {
        let verb = line.to_ascii_uppercase();
        let answer = if verb.starts_with("RCPT TO:") {
            to = line[8..].trim().trim_matches(['<', '>']).to_owned();
            recipient(&to, kept)
        } else if verb == "DATA" {
            writer.write_all(b"354 go ahead\r\n").await?;
            let mut text = String::new();
            while let Some(line) = lines.next_line().await? {
                if line == "." {
                    break;
                }
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push('\n');
            }
            let to = to.clone();
            lock(kept).mails.push(Received { to, text });
            "250 taken".into()
        } else if verb == "QUIT" {
            writer.write_all(b"221 bye\r\n").await?;
            return Ok(());
        } else if ["EHLO", "MAIL", "RSET", "NOOP"]
            .iter()
            .any(|known| verb.starts_with(known))
        {
            "250 fine".into()
        } else {
            "502 what?".into()
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}

/// Refusals name the recipient, as real servers do.
fn recipient(to: &str, kept: &Mutex<Kept>) -> String {
    if to.starts_with("refused") {
        format!("550 5.1.1 <{to}>: there is no such mailbox")
    } else if to.starts_with("later") && lock(kept).put_off.insert(to.to_owned()) {
        format!("451 4.7.1 <{to}>: come again")
    } else {
        "250 fine".into()
    }
}
