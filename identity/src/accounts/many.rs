//! Accounts by the thousand, for demonstrations and measurements. What an account costs is the hash of its password, so
//! these share one password and one hash: whoever knows the password of one knows that of all. Made by seeding alone,
//! which refuses outside demo mode.

use domain::ids::UserId;
use uuid::Uuid;

use super::{Fault, Identity};
use crate::{
    credentials,
    email::Email,
    hashing::PasswordHash,
    password::Password,
    person_name::PersonName,
    postal_address::PostalAddress,
    roles::Roles,
    users::{self, NewPerson},
};

/// One of many people whose accounts share a password.
#[derive(Clone, Debug)]
pub struct DemoUser {
    /// Name of the person.
    pub name: PersonName,
    /// The address to log in with; also where mail goes at first.
    pub email: Email,
    /// Where parcels go.
    pub address: PostalAddress,
    /// What the person is to the shop.
    pub roles: Roles,
}

/// Who can log in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensured {
    /// Whose account it is, in the order that was asked for.
    pub ids: Vec<UserId>,
    /// How many of them were made; the others were there.
    pub made: usize,
}

impl Identity {
    /// Hashes the password that many accounts will share.
    pub async fn hash_for_many(&self, password: &Password) -> Result<PasswordHash, Fault> {
        Ok(self.hasher.hash(password).await?)
    }

    /// Sees to it that all of these can log in: makes the accounts that are not there, in one transaction. Those that
    /// are there stay as they are, password and roles included.
    pub async fn ensure_users(
        &self,
        people: &[DemoUser],
        password: &PasswordHash,
    ) -> Result<Ensured, Fault> {
        let emails: Vec<&Email> = people.iter().map(|person| &person.email).collect();
        let mut made = 0;
        loop {
            let known = credentials::owners(&self.pool, &emails).await?;
            let owner = |person: &DemoUser| known.get(person.email.as_str()).copied();
            let absent: Vec<&DemoUser> = people
                .iter()
                .filter(|person| owner(person).is_none())
                .collect();
            if absent.is_empty() {
                let ids = people.iter().filter_map(owner).collect();
                return Ok(Ensured { ids, made });
            }
            // those that somebody else made a moment ago are found in the next round
            made += self.insert_many(&absent, password).await?;
        }
    }

    /// Returns how many were made: those whose address was free.
    async fn insert_many(
        &self,
        absent: &[&DemoUser],
        password: &PasswordHash,
    ) -> Result<usize, Fault> {
        let mut people: Vec<NewPerson<'_>> = absent.iter().map(|person| new(person)).collect();
        let logins: Vec<_> = people
            .iter()
            .map(|person| (person.id, person.email, password))
            .collect();
        let mut transaction = self.pool.begin().await?;
        let free = credentials::insert_all(&mut transaction, &logins).await?;
        people.retain(|person| free.contains(&person.id));
        users::insert_all(&mut transaction, &people).await?;
        transaction.commit().await?;
        Ok(people.len())
    }
}

fn new(person: &DemoUser) -> NewPerson<'_> {
    NewPerson {
        id: UserId(Uuid::now_v7()),
        name: &person.name,
        email: &person.email,
        phone: None,
        address: Some(&person.address),
        roles: person.roles,
    }
}
