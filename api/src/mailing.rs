//! What runs behind mail in every process: one worker makes codes and mails of what was asked for, another hands mails
//! to the mail server, where one is configured. Started by [`crate::Application`].
//!
//! A mail is sent at least once: one whose sender dies between sending it and saying so is sent again, under the same
//! `Message-ID`. What the server does not take now is tried again with growing pauses; what it will never take is given
//! up and stays to be seen (`GET /api/v1/mails`). No mail waits for another. Logs tell of a mail by its id and of what
//! the server said by its number: the words may hold addresses.

use std::time::Duration;

use identity::{Codes, Mail, Mails, Opened};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor,
    message::{
        Mailbox,
        header::{ContentType, HeaderName, HeaderValue},
    },
    transport::smtp::{self, response::Category},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    config::{ConfigError, MailConfig},
    services::Services,
};

/// How often a process looks for what other processes were asked for.
const LOOK: Duration = Duration::from_secs(1);
/// Most mails that one process sends at once.
const AT_ONCE: usize = 8;
/// How long a mail server may take for one step of the protocol.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it may take for a whole mail. Ends well before the claim of the mail does.
const SEND_TIMEOUT: Duration = Duration::from_mins(1);
/// How long mails that are being sent may take at a stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// The workers of a process.
pub(crate) struct Mailing {
    stopping: CancellationToken,
    workers: Vec<JoinHandle<()>>,
}

/// Starts the workers; without a sender mails stay where they are.
pub(crate) fn start(services: &Services, sender: Option<Sender>) -> Mailing {
    let stopping = CancellationToken::new();
    let (codes, stopped) = (services.codes.clone(), stopping.clone());
    let mut workers = vec![tokio::spawn(async move {
        stopped.run_until_cancelled(answer_requests(codes)).await;
    })];
    if let Some(sender) = sender {
        let sending = send_mails(services.mails.clone(), sender, stopping.clone());
        workers.push(tokio::spawn(sending));
    } else {
        tracing::info!("SOUK_SMTP_URL is not set: mails are kept to be read with `souk mails`");
    }
    Mailing { stopping, workers }
}

impl Mailing {
    /// Ends the workers; mails that are being sent are finished.
    pub(crate) async fn close(self) {
        self.stopping.cancel();
        for worker in self.workers {
            // a worker that panicked has ended as well
            let _ = worker.await;
        }
    }
}

async fn answer_requests(codes: Codes) {
    loop {
        match codes.work_off().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "requests for codes are not worked off"),
        }
        codes.wait(LOOK).await;
    }
}

async fn send_mails(mails: Mails, sender: Sender, stopping: CancellationToken) {
    let mut sending = JoinSet::new();
    while !stopping.is_cancelled() {
        while sending.try_join_next().is_some() {}
        let free = AT_ONCE - sending.len();
        let claimed = stopping.run_until_cancelled(claim(&mails, free)).await;
        let claimed = claimed.unwrap_or_default();
        let nothing_to_do = claimed.is_empty();
        for mail in claimed {
            sending.spawn(send(mails.clone(), sender.clone(), mail));
        }
        if nothing_to_do {
            tokio::select! {
                () = stopping.cancelled() => {}
                () = mails.wait(LOOK) => {}
                Some(_) = sending.join_next(), if free == 0 => {}
            }
        }
    }
    let finished = async { while sending.join_next().await.is_some() {} };
    if timeout(STOP_PATIENCE, finished).await.is_err() {
        tracing::warn!("mails that are being sent are cut off; they are sent again");
    }
}

async fn claim(mails: &Mails, limit: usize) -> Vec<Mail> {
    if limit == 0 {
        return Vec::new();
    }
    mails.claim(limit).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "mails are not sent");
        Vec::new()
    })
}

/// Sends one mail that was claimed, and notes what came of it.
async fn send(mails: Mails, sender: Sender, mail: Mail) {
    let outcome = match mails.open(&mail).await {
        Ok(Some(_)) if mail.useless => Err(Refusal::Final("too-late".into())),
        Ok(Some(opened)) => sender.send(mail.id, opened).await,
        Ok(None) => Err(Refusal::Final("erased".into())),
        Err(error) => {
            tracing::error!(mail = %mail.id, %error, "a mail cannot be opened");
            Err(Refusal::Passing("sealed".into()))
        }
    };
    let noted = match &outcome {
        Ok(()) => mails.sent(&mail).await,
        Err(Refusal::Passing(code)) => mails.postpone(&mail, code).await,
        Err(Refusal::Final(code)) => mails.give_up(&mail, code).await,
    };
    if let Err(refusal) = outcome {
        tracing::warn!(mail = %mail.id, %refusal, "a mail was not sent");
    }
    if let Err(error) = noted {
        tracing::warn!(mail = %mail.id, %error, "what came of a mail is not noted: it is tried again");
    }
}

/// Why a mail was not sent: a short code, without anything personal.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Refusal {
    /// Another time it may go.
    #[error("{0}, tried again")]
    Passing(String),
    /// It never will.
    #[error("{0}, given up")]
    Final(String),
}

/// A mail server, and who mails come from.
#[derive(Clone)]
pub(crate) struct Sender {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Mails that nobody has written: whoever is on holiday does not answer them (RFC 3834).
const AUTO_SUBMITTED: HeaderName = HeaderName::new_from_ascii_str("Auto-Submitted");

impl Sender {
    /// The sender of these settings; none where there is no mail server.
    pub(crate) fn new(config: &MailConfig) -> Result<Option<Self>, ConfigError> {
        let Some(url) = config.server() else {
            return Ok(None);
        };
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|_| ConfigError::SmtpUrl)?
            .timeout(Some(STEP_TIMEOUT))
            .build();
        let from = config.mail_from.as_deref().unwrap_or_default();
        let from = from.trim().parse().map_err(|_| ConfigError::MailFrom)?;
        Ok(Some(Self { server, from }))
    }

    async fn send(&self, id: Uuid, mail: Opened) -> Result<(), Refusal> {
        let message = self.message(id, mail)?;
        match timeout(SEND_TIMEOUT, self.server.send(message)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(refusal(&error)),
            Err(_) => Err(Refusal::Passing("timeout".into())),
        }
    }

    fn message(&self, id: Uuid, mail: Opened) -> Result<Message, Refusal> {
        let to: Address = mail
            .to
            .parse()
            .map_err(|_| Refusal::Final("address".into()))?;
        Message::builder()
            .message_id(Some(format!("<{id}@{}>", self.from.email.domain())))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .raw_header(HeaderValue::new(AUTO_SUBMITTED, "auto-generated".into()))
            .header(ContentType::TEXT_PLAIN)
            .body(mail.body)
            .map_err(|_| Refusal::Final("message".into()))
    }
}

/// A server that says of this very mail that it will never take it (55x) is believed. Whatever else it refuses for good,
/// a wrong password for instance, is put right by whoever runs the shop, and the mail goes then.
fn refusal(error: &smtp::Error) -> Refusal {
    match error.status() {
        Some(code) if error.is_permanent() && code.category == Category::MailSystem => {
            Refusal::Final(format!("smtp-{code}"))
        }
        Some(code) => Refusal::Passing(format!("smtp-{code}")),
        None if error.is_timeout() => Refusal::Passing("timeout".into()),
        None if error.is_tls() => Refusal::Passing("tls".into()),
        None => Refusal::Passing("connection".into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::config::Secret;

    fn config(url: Option<&str>, from: Option<&str>) -> MailConfig {
        MailConfig {
            smtp_url: url.map(|url| Secret::from(url.to_owned())),
            mail_from: from.map(ToOwned::to_owned),
        }
    }

    fn mail(to: &str) -> Opened {
        Opened {
            to: to.into(),
            subject: "Mã của bạn".into(),
            body: "Hello,\n\n    01234567\n".into(),
        }
    }

    #[tokio::test]
    async fn a_mail_server_needs_an_address_that_mails_come_from() {
        let from = Some("Souk <shop@example.com>");
        for none in [None, Some(""), Some("  ")] {
            assert!(Sender::new(&config(none, None)).unwrap().is_none());
        }
        for url in [
            "smtp://localhost:2525",
            "smtp://shop:p%40ss@example.com:587?tls=required",
            "smtps://shop:secret@example.com",
        ] {
            assert!(
                Sender::new(&config(Some(url), from)).unwrap().is_some(),
                "{url}"
            );
            for from in [None, Some(""), Some("Souk"), Some("shop@")] {
                let refusal = Sender::new(&config(Some(url), from)).err();
                assert!(matches!(refusal, Some(ConfigError::MailFrom)), "{from:?}");
            }
        }
        for url in [
            "localhost",
            "http://localhost",
            "smtp://shop:hush@host?tls=maybe",
        ] {
            let refusal = Sender::new(&config(Some(url), from)).err().expect(url);
            assert!(
                matches!(refusal, ConfigError::SmtpUrl) && !refusal.to_string().contains("hush")
            );
        }
    }

    #[tokio::test]
    async fn a_message_names_sender_recipient_and_itself() {
        let config = config(Some("smtp://localhost"), Some("Souk <shop@example.com>"));
        let sender = Sender::new(&config).unwrap().unwrap();
        let id = Uuid::from_u128(7);
        let message = sender.message(id, mail("mai@example.com")).unwrap();
        assert_eq!(message.envelope().to()[0].to_string(), "mai@example.com");
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: Souk <shop@example.com>",
            "To: mai@example.com",
            &format!("Message-ID: <{id}@example.com>"),
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
            "    01234567",
        ] {
            assert!(
                text.lines().any(|it| it.trim_end() == line),
                "{line} in {text}"
            );
        }
        assert!(text.contains("Subject: =?utf-8?"), "{text}");
        assert_eq!(
            sender.message(id, mail("not an address")).unwrap_err(),
            Refusal::Final("address".into())
        );
    }
}
