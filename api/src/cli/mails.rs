//! `souk mails`: the mails that were written, as JSON lines, the newest first: what became of each, and what it says.
//! Without a mail server this is where codes are read; with one, whoever holds the master key can read them here all the
//! same.

use std::io::{self, BufWriter, Write};

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use eventstore::{
    EventLog,
    page::{Direction, Limits, PageRequest, Sort},
    sealing::{MasterKeys, Vault},
};
use identity::{Mail, MailSort, Mails, Opened};
use serde::Serialize;
use uuid::Uuid;

use super::Failure;

/// Most mails that one statement reads.
const PAGE: Limits = Limits {
    default: 100,
    max: 100,
};

/// What to print.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct MailsArgs {
    /// Print at most so many mails
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Only mails to this address
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
}

/// One mail as a line. What was sealed is null where the person was erased, and where it does not open.
#[derive(Serialize)]
struct Line<'a> {
    mail_id: Uuid,
    user_id: UserId,
    kind: &'a str,
    to: Option<&'a str>,
    subject: Option<&'a str>,
    body: Option<&'a str>,
    created_at: DateTime<Utc>,
    sent_at: Option<DateTime<Utc>>,
    failed_at: Option<DateTime<Utc>>,
    attempts: i32,
    last_error: Option<&'a str>,
}

/// Prints the mails that `args` ask for. A reader that goes away (`| head`) ends it without an error.
pub(super) async fn run(
    log: &EventLog,
    master_keys: MasterKeys,
    args: MailsArgs,
) -> Result<(), Failure> {
    let pool = log.pool().clone();
    let mails = Mails::new(pool.clone(), Vault::new(pool, master_keys));
    match print(&mails, args, BufWriter::new(io::stdout())).await {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

async fn print(mails: &Mails, args: MailsArgs, mut out: impl Write) -> Result<(), Failure> {
    let newest = Sort {
        key: MailSort::CreatedAt,
        direction: Direction::Desc,
    };
    let mut left = args.limit;
    let mut cursor: Option<String> = None;
    while left > 0 {
        // limit and cursor are ours
        let page = PageRequest::new(PAGE, newest, None, cursor.as_deref())
            .map_err(|error| Failure::Output(io::Error::other(error)))?;
        let page = mails.list(&page).await?;
        for mail in &page.items {
            let opened = mails.show(mail).await?;
            let to = opened.as_ref().map(|opened| opened.to.as_str());
            let wanted = args.to.is_none() || args.to.as_deref() == to;
            if wanted && left > 0 {
                write_line(&mut out, mail, opened.as_ref())?;
                left -= 1;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    out.flush().map_err(Failure::Output)
}

fn write_line(out: &mut impl Write, mail: &Mail, opened: Option<&Opened>) -> Result<(), Failure> {
    let line = Line {
        mail_id: mail.id,
        user_id: mail.user_id,
        kind: &mail.kind,
        to: opened.map(|opened| opened.to.as_str()),
        subject: opened.map(|opened| opened.subject.as_str()),
        body: opened.map(|opened| opened.body.as_str()),
        created_at: mail.created_at,
        sent_at: mail.sent_at,
        failed_at: mail.failed_at,
        attempts: mail.attempts,
        last_error: mail.last_error.as_deref(),
    };
    serde_json::to_writer(&mut *out, &line).map_err(|error| Failure::Output(error.into()))?;
    out.write_all(b"\n").map_err(Failure::Output)
}
