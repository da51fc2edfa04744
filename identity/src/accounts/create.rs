//! Making accounts: the one place where what a person is ([`crate::users`]) and how they sign in
//! ([`crate::credentials`]) come into being, in one transaction. Where the two are served apart, this is what is left
//! between them. Used by both registrations ([`super`], [`crate::codes`]), by seeding ([`super::many`] too), and by admins who make many.

use std::time::Instant;

use domain::ids::UserId;
use sqlx::{Acquire, Postgres, Transaction};
use uuid::Uuid;

use super::{Fault, Identity, NewAccount};
use crate::{
    codes, credentials,
    email::Email,
    hashing::PasswordHash,
    known_addresses::AddressDigests,
    mail::MailKind,
    password::Password,
    phone::PhoneNumber,
    postal_address::PostalAddress,
    users::{
        self, NewPerson, User,
        change::{Refusal, UsersError, in_order, positions, refuse, repeated},
    },
};

/// An account to be made by an admin, with all that a person is.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// What every account has.
    pub account: NewAccount,
    /// Their telephone number.
    pub phone: Option<PhoneNumber>,
    /// Where parcels go.
    pub address: Option<PostalAddress>,
}

/// Where an account comes from.
#[derive(Clone, Copy)]
pub(super) enum Origin<'a> {
    /// Its owner made it, from there: whether the address is theirs is to be shown.
    Registered(&'a AddressDigests),
    /// Whoever runs the shop made it, with an address that they know.
    Ours,
}

impl Identity {
    /// Makes user and credential in one transaction; none when the address is taken.
    pub(super) async fn create(
        &self,
        account: &NewAccount,
        origin: Origin<'_>,
    ) -> Result<Option<User>, Fault> {
        // before the transaction, so that no connection waits for it; also for a taken address, so that time tells
        // nothing
        let hash = self.hasher.hash(&account.password).await?;
        let mut transaction = self.pool.begin().await?;
        let Some(user) = insert(&mut transaction, account, &hash).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        match origin {
            Origin::Registered(from) => {
                let kind = MailKind::VerifyEmail;
                codes::request(&mut transaction, &account.email, kind, from).await?;
            }
            Origin::Ours => {
                credentials::verify(&mut transaction, user.id, &account.email).await?;
            }
        }
        transaction.commit().await?;
        Ok(Some(user))
    }

    /// Makes accounts, all or none, and returns them in the same order. Passwords are hashed until `deadline` at the
    /// latest.
    pub async fn create_users(
        &self,
        users: &[NewUser],
        deadline: Instant,
    ) -> Result<Vec<User>, UsersError> {
        let emails: Vec<&Email> = users.iter().map(|user| &user.account.email).collect();
        refuse(repeated(emails.iter().copied()))?;
        // looked at before minutes of work are begun; what decides is the insertion
        let taken = credentials::taken(&self.pool, &emails).await?;
        let is_taken = |email: &&Email| taken.contains(email.as_str());
        refuse(positions(emails.iter(), is_taken, Refusal::EmailTaken))?;
        let passwords = users.iter().map(|user| user.account.password.clone());
        let hashes = self.hashes(passwords.collect(), deadline).await?;

        let people: Vec<NewPerson<'_>> = users.iter().map(person).collect();
        let mut transaction = self.pool.begin().await?;
        let logins = people.iter().zip(&hashes);
        let logins = logins.map(|(person, hash)| (person.id, person.email, hash));
        let logins: Vec<_> = logins.collect();
        let free = credentials::insert_all(&mut transaction, &logins).await?;
        let ids = || people.iter().map(|person| person.id);
        refuse(positions(
            ids(),
            |id| !free.contains(&id),
            Refusal::EmailTaken,
        ))?;
        let added = users::insert_all(&mut transaction, &people).await?;
        transaction.commit().await?;
        in_order(ids(), added)
    }

    /// Hashes passwords, as many at a time as are hashed at once: whoever logs in meanwhile waits for one of them and not
    /// for all.
    async fn hashes(
        &self,
        passwords: Vec<Password>,
        deadline: Instant,
    ) -> Result<Vec<PasswordHash>, UsersError> {
        let hashing = self.hasher.hash_all(passwords);
        match tokio::time::timeout_at(deadline.into(), hashing).await {
            Ok(hashes) => Ok(hashes.map_err(Fault::from)?),
            Err(_) => Err(UsersError::DeadlinePassed),
        }
    }
}

/// Adds user and credential of an account; none, and neither of them, where the address is taken. The statements are the
/// same either way, so that time does not tell which it was: where it is taken they are undone.
pub(crate) async fn insert(
    transaction: &mut Transaction<'_, Postgres>,
    account: &NewAccount,
    hash: &PasswordHash,
) -> Result<Option<User>, sqlx::Error> {
    let NewAccount {
        name, email, roles, ..
    } = account;
    let id = UserId::from(Uuid::now_v7());
    let is_free = credentials::insert(transaction, id, email, hash).await?;
    let mut added = transaction.begin().await?;
    let user = users::insert(&mut added, id, name, email, *roles).await?;
    if is_free {
        added.commit().await?;
        Ok(Some(user))
    } else {
        added.rollback().await?;
        Ok(None)
    }
}

fn person(user: &NewUser) -> NewPerson<'_> {
    NewPerson {
        id: UserId(Uuid::now_v7()),
        name: &user.account.name,
        email: &user.account.email,
        phone: user.phone.as_ref(),
        address: user.address.as_ref(),
        roles: user.account.roles,
    }
}
