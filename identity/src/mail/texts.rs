//! What mails say: plain texts with the few values of each, compiled in. The first line is the subject.
//!
//! Nothing that a stranger has typed stands in a mail: whoever registers with somebody else's address must not be able
//! to send them words of their own.

use std::time::Duration;

use minijinja::{Environment, UndefinedBehavior, context};

use super::MailKind;

/// A subject and a text.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// One line.
    pub(crate) subject: String,
    /// What follows it.
    pub(crate) body: String,
}

impl MailKind {
    const fn template(self) -> &'static str {
        match self {
            Self::VerifyEmail => include_str!("../../templates/verify_email.txt"),
            Self::ResetPassword => include_str!("../../templates/reset_password.txt"),
            Self::AlreadyRegistered => include_str!("../../templates/already_registered.txt"),
        }
    }
}

/// The text of a mail that brings a code.
pub(crate) fn with_code(
    kind: MailKind,
    code: &str,
    lifetime: Duration,
) -> Result<Text, minijinja::Error> {
    let minutes = lifetime.as_secs().div_ceil(60);
    render(kind, context! { code, minutes })
}

/// The text of a mail that brings nothing but news.
pub(crate) fn plain(kind: MailKind) -> Result<Text, minijinja::Error> {
    render(kind, context! {})
}

fn render(kind: MailKind, values: minijinja::Value) -> Result<Text, minijinja::Error> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let text = environment.render_named_str(kind.as_str(), kind.template(), values)?;
    let (subject, body) = text.split_once('\n').unwrap_or((&text, ""));
    Ok(Text {
        subject: subject.trim().to_owned(),
        body: format!("{}\n", body.trim()),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LIFETIME: Duration = Duration::from_mins(15);

    #[test]
    fn every_kind_of_mail_has_a_subject_and_a_text() {
        for kind in MailKind::ALL {
            let text = with_code(kind, "01234567", LIFETIME).unwrap();
            assert!((10..70).contains(&text.subject.len()), "{}", text.subject);
            assert!(text.body.starts_with("Hello,\n"), "{}", text.body);
            assert!(!text.body.contains("{{") && text.body.lines().all(|line| line.len() < 79));
        }
    }

    #[test]
    fn a_code_and_how_long_it_is_good_stand_in_the_text_and_not_in_the_subject() {
        for kind in [MailKind::VerifyEmail, MailKind::ResetPassword] {
            let text = with_code(kind, "01234567", LIFETIME).unwrap();
            assert!(text.body.contains("\n    01234567\n") && text.body.contains("15 minutes"));
            assert!(
                !text.subject.contains("01234567"),
                "it shows on locked screens"
            );
        }
    }

    #[test]
    fn a_value_that_is_missing_is_a_defect_and_not_a_gap_in_the_text() {
        assert!(plain(MailKind::ResetPassword).is_err());
        assert!(plain(MailKind::AlreadyRegistered).is_ok());
    }
}
