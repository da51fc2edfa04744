//! Mail: through which server it is sent, and from whom. Used by `mailing`.

use clap::Args;

use super::Secret;

/// How mails are sent.
#[derive(Args, Clone, Debug)]
pub struct MailConfig {
    /// The mail server, as smtps://user:password@host or smtp://user:password@host:587?tls=required; without one mails
    /// are kept to be read
    #[arg(
        long,
        env = "SOUK_SMTP_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub smtp_url: Option<Secret>,

    /// Who mails come from, such as Souk <shop@example.com>; required where there is a mail server
    #[arg(long, env = "SOUK_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
}

impl MailConfig {
    /// The address of the mail server, where there is one.
    pub fn server(&self) -> Option<&str> {
        self.smtp_url
            .as_ref()
            .map(|url| url.expose().trim())
            .filter(|url| !url.is_empty())
    }
}
