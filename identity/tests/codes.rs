//! One-time codes and mails on a real PostgreSQL: what a code opens and how often, what a stranger can find out, what is
//! stored, and what becomes of mails.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod scene;
mod scratch_database;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use domain::{ids::UserId, text::Title};
use eventstore::{
    page::{Direction, Limits, PageRequest, Sort},
    sealing::{MasterKey, Vault},
};
use futures::future::join_all;
use identity::{
    AddressDigest, AddressDigests, AuthenticateError, ChangePasswordError, CodeError, CodeSettings,
    Codes, Email, Identity, LogInError, LoggedIn, Mail, MailSort, Mails, NewApiKey, Opened,
    Password, Permission, Purpose, RefreshError, SessionSettings, TokenError, TokenKind,
};
use scene::{QUICK, SECRET, identity_with};
use scratch_database::with_database;
use sqlx::PgPool;
use uuid::Uuid;

const MAI: &str = "mai@example.com";
const NOBODY: &str = "nobody@example.com";
const PASSWORD: &str = "souk-demo";
const NEW_PASSWORD: &str = "another one";
/// Where Mai is.
const HOME: AddressDigest = [1; 32];
/// Where strangers are.
const ELSEWHERE: AddressDigest = [2; 32];
/// Where the keys of people are kept.
const KEYS: &str = include_str!("../../migrations/0001_log.sql");

/// A process: accounts, codes and mails over one database.
#[derive(Clone)]
struct Process {
    pool: PgPool,
    identity: Identity,
    codes: Codes,
    mails: Mails,
}

impl Process {
    fn new(pool: &PgPool, settings: CodeSettings, bcrypt_cost: u32) -> Self {
        let identity = identity_with(pool, bcrypt_cost, SessionSettings::default());
        let master = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="; // the bytes from 0 to 31
        let vault = Vault::new(pool.clone(), MasterKey::from_base64(master).unwrap());
        let mails = Mails::new(pool.clone(), vault.clone());
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let codes = Codes::new(identity.clone(), mails.clone(), vault, key, settings);
        Self {
            pool: pool.clone(),
            identity,
            codes,
            mails,
        }
    }

    /// Registers Mai as a client of the simple contract would.
    async fn with_mai(&self) {
        let (name, password) = ("Mai".parse().unwrap(), PASSWORD.parse().unwrap());
        self.identity
            .register(name, email(MAI), password, &HOME.into())
            .await
            .unwrap();
    }

    async fn register(&self, address: &str, password: &str) {
        let (name, password) = ("Mai".parse().unwrap(), password.parse().unwrap());
        self.codes
            .register(name, email(address), password, &HOME.into())
            .await
            .unwrap();
    }

    async fn work_off(&self) {
        while self.codes.work_off().await.unwrap() {}
    }

    /// Asks for a code and reads it from the mail.
    async fn code_for(&self, purpose: Purpose, address: &str) -> String {
        self.code_for_asker(HOME, purpose, address).await
    }

    async fn code_for_asker(&self, from: AddressDigest, purpose: Purpose, address: &str) -> String {
        self.ask(from, purpose, address).await;
        code_in(&self.last_mail().await)
    }

    /// Asks for a code from there, and has the request worked off.
    async fn ask(&self, from: AddressDigest, purpose: Purpose, address: &str) {
        let (email, from) = (email(address), from.into());
        self.codes.request(purpose, &email, &from).await.unwrap();
        self.work_off().await;
    }

    async fn all_mails(&self) -> Vec<Mail> {
        let newest = Sort {
            key: MailSort::CreatedAt,
            direction: Direction::Desc,
        };
        let page = PageRequest::new(Limits::STANDARD, newest, None, None).unwrap();
        self.mails.list(&page).await.unwrap().items
    }

    async fn open(&self, mail: &Mail) -> Opened {
        self.mails
            .open(mail)
            .await
            .unwrap()
            .expect("the key is there")
    }

    async fn last_mail(&self) -> Opened {
        self.open(&self.all_mails().await[0]).await
    }

    async fn reset(&self, address: &str, code: &str) -> Result<UserId, CodeError> {
        self.reset_from(HOME, address, code).await
    }

    async fn reset_from(
        &self,
        from: AddressDigest,
        address: &str,
        code: &str,
    ) -> Result<UserId, CodeError> {
        let password: Password = NEW_PASSWORD.parse().unwrap();
        self.codes
            .reset_password(&email(address), code, &password, &from)
            .await
    }

    async fn verify(&self, address: &str, code: &str) -> Result<UserId, CodeError> {
        self.verify_from(HOME, address, code).await
    }

    async fn verify_from(
        &self,
        from: AddressDigest,
        address: &str,
        code: &str,
    ) -> Result<UserId, CodeError> {
        self.codes.verify_email(&email(address), code, &from).await
    }

    /// How many mails of that kind there are.
    async fn mails_about(&self, kind: &str) -> usize {
        let mails = self.all_mails().await;
        mails.iter().filter(|mail| mail.kind == kind).count()
    }

    async fn log_in(&self, password: &str) -> Result<LoggedIn, LogInError> {
        self.identity.log_in(MAI, password, TokenKind::Api).await
    }

    async fn is_verified(&self) -> bool {
        let logged_in = self.log_in(PASSWORD).await.unwrap();
        let token = logged_in.access_token;
        let principal = self.identity.authenticate(token.as_str()).await.unwrap();
        principal.verified
    }

    async fn count(&self, table: &str) -> i64 {
        sqlx::query_scalar(&format!("select count(*) from {table}"))
            .fetch_one(&self.pool)
            .await
            .unwrap()
    }
}

fn email(address: &str) -> Email {
    address.parse().unwrap()
}

/// The line of a mail that is a code.
fn code_in(mail: &Opened) -> String {
    let is_code = |line: &&str| line.len() == 8 && line.chars().all(|c| c.is_ascii_digit());
    let code = mail.body.lines().map(str::trim).find(is_code);
    code.expect("a code").to_owned()
}

/// Another code than this one.
fn other_than(code: &str) -> String {
    let last = if code.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &code[..7])
}

fn assert_refused(outcome: &Result<UserId, CodeError>, why: &str) {
    assert!(
        matches!(outcome, Err(CodeError::Refused)),
        "{why}: {outcome:?}"
    );
}

/// Runs the test in a process on a fresh database.
async fn with_process<F: Future<Output = ()>>(
    settings: CodeSettings,
    test: impl FnOnce(Process) -> F,
) {
    with_database(8, |pool| async move {
        sqlx::raw_sql(KEYS).execute(&pool).await.unwrap();
        test(Process::new(&pool, settings, QUICK)).await;
    })
    .await;
}

fn usual() -> CodeSettings {
    CodeSettings::default()
}

#[tokio::test]
async fn a_registered_address_is_verified_with_the_code_from_its_mail() {
    with_process(usual(), |process| async move {
        process.register("Mai@Example.com", PASSWORD).await;
        assert!(!process.is_verified().await, "and can log in");
        process.work_off().await;
        let mail = process.last_mail().await;
        assert_eq!(mail.to, MAI);
        assert_eq!(process.all_mails().await[0].kind, "verify_email");
        assert!(!mail.subject.contains(&code_in(&mail)));
        process.verify(MAI, &code_in(&mail)).await.unwrap();
        assert!(process.is_verified().await, "and at once");
        assert_eq!(process.count("code_requests").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_registration_by_the_simple_contract_is_followed_by_a_code_as_well() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.work_off().await;
        let code = code_in(&process.last_mail().await);
        let spaced = format!(" {} {} ", &code[..4], &code[4..]);
        process.verify(MAI, &spaced).await.unwrap();
        assert!(process.is_verified().await);
    })
    .await;
}

#[tokio::test]
async fn registering_an_address_again_changes_nothing_and_tells_its_owner() {
    with_process(usual(), |process| async move {
        process.register(MAI, PASSWORD).await;
        process.work_off().await;
        let code = code_in(&process.last_mail().await);
        process.register(MAI, NEW_PASSWORD).await;
        process.work_off().await;
        assert_eq!(process.all_mails().await[0].kind, "already_registered");
        assert_eq!(process.last_mail().await.to, MAI);
        assert!(process.log_in(PASSWORD).await.is_ok());
        assert!(process.log_in(NEW_PASSWORD).await.is_err());
        for table in ["users", "credentials"] {
            assert_eq!(process.count(table).await, 1, "{table}");
        }
        process.verify(MAI, &code).await.unwrap(); // the code is still good
    })
    .await;
}

#[tokio::test]
async fn people_whom_the_shop_makes_itself_are_verified() {
    with_process(usual(), |process| async move {
        let account = identity::NewAccount {
            name: "Mai".parse().unwrap(),
            email: email(MAI),
            password: PASSWORD.parse().unwrap(),
            roles: identity::Role::Customer.into(),
        };
        process.identity.ensure_user(&account).await.unwrap();
        assert!(process.is_verified().await);
        assert_eq!(process.count("code_requests").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_once_whoever_is_first() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        let tries = join_all((0..5).map(|_| process.reset(MAI, &code))).await;
        assert_eq!(tries.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        for outcome in tries.iter().filter(|outcome| outcome.is_err()) {
            assert_refused(outcome, "used");
        }
        assert_refused(&process.reset(MAI, &code).await, "used");
    })
    .await;
}

#[tokio::test]
async fn the_fifth_try_counts_and_the_sixth_does_not() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::VerifyEmail, MAI).await;
        for _ in 0..4 {
            assert_refused(&process.verify(MAI, &other_than(&code)).await, "wrong");
        }
        process.verify(MAI, &code).await.unwrap();

        let code = process.code_for(Purpose::VerifyEmail, MAI).await;
        for wrong in [
            "",
            "nonsense",
            &"1".repeat(100_000),
            "\0",
            &other_than(&code),
        ] {
            assert_refused(&process.verify(MAI, wrong).await, "wrong");
        }
        assert_refused(&process.verify(MAI, &code).await, "tried too often");
        let code = process.code_for(Purpose::VerifyEmail, MAI).await;
        process.verify(MAI, &code).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn tries_at_once_are_all_counted() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        let wrong = other_than(&code);
        join_all((0..20).map(|_| process.reset(MAI, &wrong))).await;
        assert_refused(&process.reset(MAI, &code).await, "tried too often");
    })
    .await;
}

#[tokio::test]
async fn a_code_that_expired_is_refused_and_removed() {
    let brief = CodeSettings {
        lifetime: Duration::ZERO,
        ..usual()
    };
    with_process(brief, |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::VerifyEmail, MAI).await;
        assert_refused(&process.verify(MAI, &code).await, "expired");
        assert_eq!(process.codes.remove_expired().await.unwrap(), 1);
        assert_eq!(process.count("one_time_codes").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_code_opens_only_what_it_was_made_for() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.register("tom@example.com", PASSWORD).await;
        process.work_off().await;
        let first = process.code_for(Purpose::ResetPassword, MAI).await;
        assert_refused(&process.verify(MAI, &first).await, "another purpose");
        assert_refused(
            &process.reset("tom@example.com", &first).await,
            "another address",
        );
        let second = process.code_for(Purpose::ResetPassword, MAI).await;
        assert_refused(&process.reset(MAI, &first).await, "replaced");
        process.reset(MAI, &second).await.unwrap();
        assert_refused(&process.reset(NOBODY, &second).await, "never asked for");
    })
    .await;
}

#[tokio::test]
async fn asking_and_trying_for_an_address_that_nobody_has_leaves_the_same_traces() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.work_off().await;
        let before = process.all_mails().await.len();
        for address in [MAI, NOBODY] {
            let email = email(address);
            process.codes.request(Purpose::ResetPassword, &email, &HOME.into()).await.unwrap();
            process.work_off().await;
            assert_refused(&process.reset(address, "nonsense").await, address);
        }
        assert_eq!(process.all_mails().await.len(), before + 1, "one to Mai");
        let tries: Vec<(i16, bool)> = sqlx::query_as(
            "select tries_left, user_id is null from one_time_codes where purpose = 'reset_password' order by 2",
        )
        .fetch_all(&process.pool)
        .await
        .unwrap();
        assert_eq!(tries, [(4, false), (4, true)]);
    })
    .await;
}

#[tokio::test]
async fn trying_a_code_after_registering_leaves_the_same_traces_whether_or_not_the_address_was_taken()
 {
    with_process(usual(), |process| async move {
        process.with_mai().await; // verified, with a code of no kind
        let tries = "select tries_left from one_time_codes where purpose = 'verify_email'";
        for address in [MAI, NOBODY] {
            sqlx::query("delete from one_time_codes")
                .execute(&process.pool)
                .await
                .unwrap();
            process.register(address, NEW_PASSWORD).await;
            process.work_off().await;
            assert_refused(&process.verify(address, "nonsense").await, address);
            let left: Vec<i16> = sqlx::query_scalar(tries)
                .fetch_all(&process.pool)
                .await
                .unwrap();
            assert_eq!(left, [4], "{address}");
        }
    })
    .await;
}

/// Somebody names an address that is not theirs, and waits for its owner.
#[tokio::test]
async fn whoever_takes_over_an_account_by_its_address_shares_it_with_nobody() {
    with_process(usual(), |process| async move {
        for (verified, left) in [(false, 0), (true, 1)] {
            let address = format!("{verified}@example.com");
            process.register(&address, PASSWORD).await;
            process.work_off().await;
            if verified {
                let code = code_in(&process.last_mail().await);
                process.verify(&address, &code).await.unwrap();
            }
            let stranger = process
                .identity
                .log_in(&address, PASSWORD, TokenKind::Api)
                .await
                .unwrap();
            let id = stranger.user.id;
            let key = NewApiKey {
                name: Title::parse("a back door").unwrap(),
                scopes: [Permission::ReadOwnOrders].into_iter().collect(),
                lifetime: None,
            };
            let _ = process.identity.api_keys().create(id, &key).await.unwrap();
            process
                .identity
                .remember_address(id, &ELSEWHERE)
                .await
                .unwrap();
            let code = process.code_for(Purpose::ResetPassword, &address).await;
            process.reset(&address, &code).await.unwrap();
            for table in ["api_keys", "known_addresses"] {
                assert_eq!(
                    process.count(table).await,
                    left,
                    "{table}, verified: {verified}"
                );
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nobody_replaces_or_uses_up_a_code_that_was_asked_for_from_elsewhere() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        let wrong = other_than(&code);
        process.ask(ELSEWHERE, Purpose::ResetPassword, MAI).await;
        for stranger in 2..12 {
            let tried = process.reset_from([stranger; 32], MAI, &wrong).await;
            assert_refused(&tried, "wrong");
        }
        process.reset(MAI, &code).await.unwrap();
        assert_eq!(
            process
                .count("one_time_codes where purpose = 'reset_password'")
                .await,
            0,
            "and no other opens anything any more"
        );
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_from_another_network_and_for_as_many_tries_from_all_others_together() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::VerifyEmail, MAI).await;
        let wrong = other_than(&code);
        for stranger in 2..6 {
            let tried = process.verify_from([stranger; 32], MAI, &wrong).await;
            assert_refused(&tried, "wrong");
        }
        process.verify_from([7; 32], MAI, &code).await.unwrap();

        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        join_all((2..12).map(|stranger| process.reset_from([stranger; 32], MAI, &wrong))).await;
        let tried = process.reset_from([7; 32], MAI, &code).await;
        assert_refused(&tried, "tried too often by others");
        process.reset(MAI, &code).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn the_code_of_each_asker_opens_and_counts_its_own_tries() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let first = process.code_for(Purpose::VerifyEmail, MAI).await;
        let second = process
            .code_for_asker(ELSEWHERE, Purpose::VerifyEmail, MAI)
            .await;
        for _ in 0..5 {
            assert_refused(&process.verify(MAI, "nonsense").await, "wrong");
        }
        assert_refused(&process.verify(MAI, &first).await, "used up");
        assert_refused(&process.verify(MAI, &second).await, "tried by others");
        process.verify_from(ELSEWHERE, MAI, &second).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn tries_from_everywhere_at_once_wait_for_each_other_and_are_all_counted() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        for address in [MAI, NOBODY] {
            for from in 1..6 {
                process.ask([from; 32], Purpose::VerifyEmail, address).await;
            }
        }
        let tries = (0..40).map(|number| {
            let address = if number % 2 == 0 { MAI } else { NOBODY };
            process.verify_from([1 + number % 5; 32], address, "nonsense")
        });
        for outcome in join_all(tries).await {
            assert_refused(&outcome, "wrong");
        }
        let left = "one_time_codes where tries_left > 1 or others_tries_left > 0";
        assert_eq!(process.count(left).await, 0);
    })
    .await;
}

#[tokio::test]
async fn strangers_have_so_many_mails_sent_and_an_address_that_was_used_always_gets_its_code() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.work_off().await;
        let user_id = process.log_in(PASSWORD).await.unwrap().user.id;
        process
            .identity
            .remember_address(user_id, &HOME)
            .await
            .unwrap();
        for stranger in 2..20 {
            process
                .ask([stranger; 32], Purpose::ResetPassword, MAI)
                .await;
        }
        assert_eq!(process.mails_about("reset_password").await, 5);
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        assert_eq!(process.mails_about("reset_password").await, 6);
        process.reset(MAI, &code).await.unwrap();
        let remembered = process.identity.remember_address(user_id, &HOME).await;
        remembered.unwrap(); // forgotten with the reset, since the e-mail address was not verified before
        // of a network address that is known under the keys of before
        for stranger in 2..20 {
            process
                .ask([stranger; 32], Purpose::ResetPassword, MAI)
                .await;
        }
        let exchanged = AddressDigests {
            present: [99; 32],
            earlier: vec![[98; 32], HOME],
        };
        let before = process.mails_about("reset_password").await;
        let mai = email(MAI);
        let asked = process
            .codes
            .request(Purpose::ResetPassword, &mai, &exchanged);
        asked.await.unwrap();
        process.work_off().await;
        assert_eq!(process.mails_about("reset_password").await, before + 1);
        assert!(
            process
                .identity
                .knows_address(MAI, &exchanged)
                .await
                .unwrap()
        );
        let stranger = AddressDigests::from([99; 32]);
        assert!(
            !process
                .identity
                .knows_address(MAI, &stranger)
                .await
                .unwrap()
        );
    })
    .await;
}

#[tokio::test]
async fn what_was_asked_for_before_somebody_registered_keeps_no_code_from_them() {
    with_process(usual(), |process| async move {
        for stranger in 2..20 {
            process.ask([stranger; 32], Purpose::VerifyEmail, MAI).await;
        }
        assert_eq!(process.count("one_time_codes").await, 5);
        process.with_mai().await;
        process.work_off().await;
        let code = code_in(&process.last_mail().await);
        process.verify(MAI, &code).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_owner_is_told_of_registrations_three_times_an_hour() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        for _ in 0..5 {
            process.register(MAI, NEW_PASSWORD).await;
            process.work_off().await;
        }
        assert_eq!(process.mails_about("already_registered").await, 3);
        sqlx::raw_sql("update mails set created_at = created_at - interval '1 hour'")
            .execute(&process.pool)
            .await
            .unwrap();
        process.register(MAI, NEW_PASSWORD).await;
        process.work_off().await;
        assert_eq!(process.mails_about("already_registered").await, 4);
    })
    .await;
}

/// How long each takes at the least: what else the machine does falls on all alike.
async fn least<const N: usize>(rounds: usize, mut ask: impl AsyncFnMut(usize)) -> [Duration; N] {
    let mut least = [Duration::MAX; N];
    for _ in 0..rounds {
        for (which, least) in least.iter_mut().enumerate() {
            let begun = Instant::now();
            ask(which).await;
            *least = begun.elapsed().min(*least);
        }
    }
    least
}

#[tokio::test]
async fn an_unknown_address_takes_as_long_as_a_known_one() {
    with_process(usual(), |process| async move {
        let process = Process::new(&process.pool, usual(), 9);
        process.with_mai().await;
        let addresses = [MAI, NOBODY, "never-asked@example.com"];
        for address in &addresses[..2] {
            let email = email(address);
            process
                .codes
                .request(Purpose::ResetPassword, &email, &HOME.into())
                .await
                .unwrap();
        }
        process.work_off().await;
        let requests = least::<2>(30, async |which| {
            let email = email(addresses[which]);
            process
                .codes
                .request(Purpose::ResetPassword, &email, &HOME.into())
                .await
                .unwrap();
        })
        .await;
        let resets = least::<3>(7, async |which| {
            let _ = process.reset(addresses[which], "nonsense").await;
        })
        .await;
        let registrations = least::<2>(7, async |which| {
            let unknown = format!("{}@example.com", Uuid::new_v4().simple());
            let address = if which == 0 { MAI } else { &unknown };
            process.register(address, PASSWORD).await;
        })
        .await;
        for times in [&requests[..], &resets[..], &registrations[..]] {
            let known = times[0];
            assert!(
                times
                    .iter()
                    .all(|time| *time > known / 2 && *time < known * 2),
                "{times:?}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn a_reset_ends_all_sessions_and_access_tokens() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let sessions = join_all((0..2).map(|_| process.log_in(PASSWORD))).await;
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        process.reset(MAI, &code).await.unwrap();
        for session in sessions {
            let session = session.unwrap();
            let refresh_token = session.refresh_token.unwrap().text();
            let refreshed = process
                .identity
                .refresh(&refresh_token, |_| {
                    std::future::ready(Ok::<_, RefreshError>(()))
                })
                .await;
            assert!(
                matches!(refreshed, Err(RefreshError::Refused)),
                "{refreshed:?}"
            );
            let token = session.access_token.as_str();
            let authenticated = process.identity.authenticate(token).await;
            let revoked = matches!(
                authenticated,
                Err(AuthenticateError::Token(TokenError::Revoked))
            );
            assert!(revoked, "{authenticated:?}");
        }
        let old = process.log_in(PASSWORD).await;
        assert!(matches!(old, Err(LogInError::WrongCredentials)), "{old:?}");
        let session = process.log_in(NEW_PASSWORD).await.unwrap();
        let token = session.access_token.as_str();
        let principal = process.identity.authenticate(token).await.unwrap();
        assert!(principal.verified, "the mail has reached its owner");
    })
    .await;
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_the_old_one() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let session = process.log_in(PASSWORD).await.unwrap();
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        let user_id = session.user.id;
        let new = NEW_PASSWORD.parse().unwrap();
        for wrong in ["", "a wrong one", NEW_PASSWORD] {
            let outcome = process.identity.change_password(user_id, wrong, &new).await;
            assert!(
                matches!(outcome, Err(ChangePasswordError::WrongPassword)),
                "{outcome:?}"
            );
        }
        let change = process.identity.change_password(user_id, PASSWORD, &new);
        change.await.unwrap();
        assert!(process.log_in(PASSWORD).await.is_err());
        assert!(process.log_in(NEW_PASSWORD).await.is_ok());
        let token = session.access_token.as_str();
        assert!(process.identity.authenticate(token).await.is_err());
        assert_refused(&process.reset(MAI, &code).await, "a code of before");
    })
    .await;
}

#[tokio::test]
async fn a_password_that_is_changed_twice_at_once_is_changed_once() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let user_id = process.log_in(PASSWORD).await.unwrap().user.id;
        let passwords: Vec<Password> = (0..4)
            .map(|number| format!("password {number}").parse().unwrap())
            .collect();
        let changes = passwords
            .iter()
            .map(|new| process.identity.change_password(user_id, PASSWORD, new));
        let outcomes = join_all(changes).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    })
    .await;
}

#[tokio::test]
async fn requests_are_worked_off_once_by_however_many_processes() {
    with_process(usual(), |process| async move {
        let addresses: Vec<String> = (0..40).map(|n| format!("person{n}@example.com")).collect();
        for address in &addresses {
            process.register(address, PASSWORD).await;
            // impatient people
            let email = email(address);
            process
                .codes
                .request(Purpose::VerifyEmail, &email, &HOME.into())
                .await
                .unwrap();
        }
        let other = Process::new(&process.pool, usual(), QUICK);
        tokio::join!(process.work_off(), other.work_off());
        process.work_off().await;
        assert_eq!(process.count("code_requests").await, 0);
        let mut newest = BTreeSet::new();
        for mail in process.all_mails().await {
            let mail = process.open(&mail).await;
            // the newest comes first, and it is the one that is good
            if newest.insert(mail.to.clone()) {
                process.verify(&mail.to, &code_in(&mail)).await.unwrap();
            }
        }
        assert_eq!(newest.len(), addresses.len());
        assert_eq!(process.all_mails().await.len(), addresses.len(), "one each");
    })
    .await;
}

#[tokio::test]
async fn a_request_that_cannot_be_worked_off_keeps_no_other_from_it() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        sqlx::raw_sql(
            "insert into code_requests (id, user_name, wish, due_at)
             select gen_random_uuid(), 'not an address', 'verify_email', now() - interval '1 hour' from generate_series(1, 40)",
        )
        .execute(&process.pool)
        .await
        .unwrap();
        process.work_off().await;
        assert_eq!(process.last_mail().await.to, MAI);
        assert_eq!(process.count("code_requests where due_at > now()").await, 40);
    })
    .await;
}

#[tokio::test]
async fn neither_codes_nor_addresses_are_stored_in_plain() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        let code = process.code_for(Purpose::ResetPassword, MAI).await;
        process
            .codes
            .request(Purpose::ResetPassword, &email(NOBODY), &HOME.into())
            .await
            .unwrap();
        process.work_off().await;
        for table in ["one_time_codes", "mails", "code_requests"] {
            let rows: Vec<String> =
                sqlx::query_scalar(&format!("select row_to_json(t)::text from {table} t"))
                    .fetch_all(&process.pool)
                    .await
                    .unwrap();
            assert!(table == "code_requests" || rows.len() >= 2, "{table}");
            for row in rows {
                for secret in [code.as_str(), "mai@", "nobody@"] {
                    assert!(!row.contains(secret), "{secret} in {table}: {row}");
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn nothing_of_somebody_who_leaves_is_left() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.code_for(Purpose::ResetPassword, MAI).await;
        process
            .codes
            .request(Purpose::VerifyEmail, &email(MAI), &HOME.into())
            .await
            .unwrap();
        let user_id = process.log_in(PASSWORD).await.unwrap().user.id;
        process
            .identity
            .close_accounts(&[user_id], false)
            .await
            .unwrap();
        for table in ["code_requests", "one_time_codes", "mails"] {
            assert_eq!(process.count(table).await, 0, "{table}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_mail_is_claimed_by_one_sender_and_tried_again_after_a_pause() {
    with_process(usual(), |process| async move {
        for n in 0..12 {
            process
                .register(&format!("person{n}@example.com"), PASSWORD)
                .await;
        }
        process.work_off().await;
        let claims = join_all((0..4).map(|_| process.mails.claim(5))).await;
        let claimed: Vec<Mail> = claims.into_iter().flat_map(Result::unwrap).collect();
        let ids: BTreeSet<Uuid> = claimed.iter().map(|mail| mail.id).collect();
        assert_eq!((claimed.len(), ids.len()), (12, 12), "each once");
        assert!(process.mails.claim(5).await.unwrap().is_empty());

        process.mails.sent(&claimed[0]).await.unwrap();
        process
            .mails
            .give_up(&claimed[1], "smtp-550")
            .await
            .unwrap();
        process
            .mails
            .postpone(&claimed[2], "connection")
            .await
            .unwrap();
        sqlx::raw_sql("update mails set next_attempt_at = next_attempt_at - interval '3 seconds'")
            .execute(&process.pool)
            .await
            .unwrap();
        let again = process.mails.claim(5).await.unwrap();
        let ids: Vec<Uuid> = again.iter().map(|mail| mail.id).collect();
        assert_eq!(
            ids,
            [claimed[2].id],
            "the others are sent, given up or claimed"
        );
        assert_eq!(
            (again[0].attempts, again[0].last_error.as_deref()),
            (2, Some("connection"))
        );

        // the claim of a sender that died ends, and what it says afterwards of its attempt does not count
        sqlx::raw_sql("update mails set next_attempt_at = now()")
            .execute(&process.pool)
            .await
            .unwrap();
        assert_eq!(process.mails.claim(50).await.unwrap().len(), 10);
        process
            .mails
            .postpone(&claimed[3], "timeout")
            .await
            .unwrap();
        let mails = process.all_mails().await;
        let late = mails.iter().find(|mail| mail.id == claimed[3].id).unwrap();
        assert_eq!(late.last_error, None);
    })
    .await;
}

#[tokio::test]
async fn mails_are_removed_after_a_week() {
    with_process(usual(), |process| async move {
        process.with_mai().await;
        process.work_off().await;
        assert_eq!(process.mails.remove_old().await.unwrap(), 0);
        sqlx::raw_sql("update mails set created_at = now() - interval '7 days'")
            .execute(&process.pool)
            .await
            .unwrap();
        assert_eq!(process.mails.remove_old().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_code_that_came_too_late_is_known_to_be_of_no_use() {
    let brief = CodeSettings {
        lifetime: Duration::ZERO,
        ..usual()
    };
    with_process(brief, |process| async move {
        process.with_mai().await;
        process.work_off().await;
        let mails = process.mails.claim(5).await.unwrap();
        assert!(mails[0].useless);
    })
    .await;
}
