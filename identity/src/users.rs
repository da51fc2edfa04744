//! What a person is: the table `users`. Holds nothing to log in with, and knows nothing of how people sign in.
//!
//! - [`list`] finds people, [`change`] changes them, one or many at once; [`crate::accounts`] makes them.
//! - Whoever takes the role of admin from somebody, in whatever way, asks `assure_an_admin_stays` first.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    email::Email,
    person_name::PersonName,
    phone::PhoneNumber,
    postal_address::PostalAddress,
    roles::{Role, Roles},
};

pub mod change;
pub mod list;
#[cfg(test)]
mod plans;

/// A person, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct User {
    /// Who.
    pub id: UserId,
    /// Their name.
    pub name: String,
    /// Where mail goes; need not be the address they log in with.
    pub contact_email: Option<String>,
    /// Their telephone number.
    pub phone: Option<String>,
    /// Where parcels go when an order says nothing else.
    pub address: Option<String>,
    /// What they are to the shop.
    pub roles: Roles,
    /// Counts changes of any of this, from 1.
    pub version: i64,
    /// When they registered, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When any of this last changed, by the database's clock.
    pub updated_at: DateTime<Utc>,
}

/// The columns of a [`User`].
const COLUMNS: &str =
    "id, name, contact_email, phone, address, roles, version, created_at, updated_at";

/// Ids and roles only: the rest is personal and not for logs.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("roles", &self.roles)
            .finish_non_exhaustive()
    }
}

impl FromRow<'_, PgRow> for User {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let roles: Vec<String> = row.try_get("roles")?;
        Ok(Self {
            id: UserId::from(row.try_get::<Uuid, _>("id")?),
            name: row.try_get("name")?,
            contact_email: row.try_get("contact_email")?,
            phone: row.try_get("phone")?,
            address: row.try_get("address")?,
            roles: Roles::from_names(roles.iter().map(String::as_str)),
            version: row.try_get("version")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// A person to be added.
pub(crate) struct NewPerson<'a> {
    /// Who.
    pub(crate) id: UserId,
    /// Their name.
    pub(crate) name: &'a PersonName,
    /// The address of registration, where mail goes at first.
    pub(crate) email: &'a Email,
    /// Their telephone number.
    pub(crate) phone: Option<&'a PhoneNumber>,
    /// Where parcels go.
    pub(crate) address: Option<&'a PostalAddress>,
    /// What they are to the shop.
    pub(crate) roles: Roles,
}

/// Adds a person. The address of registration is where mail goes at first.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: UserId,
    name: &PersonName,
    email: &Email,
    roles: Roles,
) -> Result<User, sqlx::Error> {
    let person = NewPerson {
        id,
        name,
        email,
        phone: None,
        address: None,
        roles,
    };
    let mut added = insert_all(connection, &[person]).await?;
    added.remove(&id).ok_or(sqlx::Error::RowNotFound)
}

/// Adds people, all by one statement.
pub(crate) async fn insert_all(
    connection: &mut PgConnection,
    people: &[NewPerson<'_>],
) -> Result<HashMap<UserId, User>, sqlx::Error> {
    let statement = format!(
        "insert into users (id, name, contact_email, phone, address, roles)
         select id, name, contact_email, phone, address, string_to_array(roles, ',')
         from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
              as new (id, name, contact_email, phone, address, roles)
         returning {COLUMNS}"
    );
    let added: Vec<User> = sqlx::query_as(&statement)
        .bind(people.iter().map(|it| it.id.0).collect::<Vec<_>>())
        .bind(people.iter().map(|it| it.name.as_str()).collect::<Vec<_>>())
        .bind(
            people
                .iter()
                .map(|it| it.email.as_str())
                .collect::<Vec<_>>(),
        )
        .bind(
            people
                .iter()
                .map(|it| it.phone.map(PhoneNumber::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(
            people
                .iter()
                .map(|it| it.address.map(PostalAddress::as_str))
                .collect::<Vec<_>>(),
        )
        .bind(people.iter().map(|it| joined(it.roles)).collect::<Vec<_>>())
        .fetch_all(connection)
        .await?;
    Ok(by_id(added))
}

/// The person with that id.
pub(crate) async fn find(pool: &PgPool, id: UserId) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(&format!("select {COLUMNS} from users where id = $1"))
        .bind(Uuid::from(id))
        .fetch_optional(pool)
        .await
}

/// The roles of a person; none where there is no such person.
pub(crate) async fn roles(pool: &PgPool, id: UserId) -> Result<Option<Roles>, sqlx::Error> {
    let names: Option<Vec<String>> = sqlx::query_scalar("select roles from users where id = $1")
        .bind(Uuid::from(id))
        .fetch_optional(pool)
        .await?;
    Ok(names.map(|names| Roles::from_names(names.iter().map(String::as_str))))
}

/// Why people cannot stop being admins.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotLeaving {
    /// Nobody would be left.
    #[error("the last admin stays")]
    LastAdmin,
    /// The database did not answer, or refused.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

/// Sees to it that there is an admin when these people are none any more, or are gone. Called in the transaction that
/// takes the role from them or deletes them, before it does. The rows of those who leave are held from now on, in the
/// order of their ids, and whoever else leaves at the same time waits until the transaction ends: a transaction that
/// holds rows of other people holds them before, in the same order, and takes no more of them after.
pub(crate) async fn assure_an_admin_stays(
    connection: &mut PgConnection,
    leaving: &[UserId],
) -> Result<(), NotLeaving> {
    let leaving: Vec<Uuid> = leaving.iter().map(|id| id.0).collect();
    // held, so that none of them becomes an admin meanwhile
    let admin_leaves: bool = sqlx::query_scalar(
        "select coalesce(bool_or(roles @> '{admin}'), false)
         from (select roles from users where id = any($1) order by id for update) held",
    )
    .bind(&leaving)
    .fetch_one(&mut *connection)
    .await?;
    if !admin_leaves {
        return Ok(());
    }
    // one after the other: of two admins who revoke each other at the same moment the second is refused
    sqlx::query("select pg_advisory_xact_lock(hashtextextended('souk: an admin stays', 0))")
        .execute(&mut *connection)
        .await?;
    // a statement of its own sees what the one before has committed
    let another_stays: bool = sqlx::query_scalar(
        "select exists (select 1 from users where roles @> '{admin}' and id <> all($1))",
    )
    .bind(&leaving)
    .fetch_one(connection)
    .await?;
    another_stays.then_some(()).ok_or(NotLeaving::LastAdmin)
}

/// Deletes people.
pub(crate) async fn delete(
    connection: &mut PgConnection,
    ids: &[UserId],
) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
    sqlx::query("delete from users where id = any($1)")
        .bind(ids)
        .execute(connection)
        .await?;
    Ok(())
}

fn by_id(users: Vec<User>) -> HashMap<UserId, User> {
    users.into_iter().map(|user| (user.id, user)).collect()
}

/// Names of roles as one text, since PostgreSQL has no arrays of arrays of different lengths.
fn joined(roles: Roles) -> String {
    let names: Vec<&str> = roles.iter().map(Role::as_str).collect();
    names.join(",")
}
