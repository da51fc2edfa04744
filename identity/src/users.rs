//! What a person is: the table `users`. Holds no log-in data and knows nothing of [`crate::credentials`].

use std::fmt;

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use sqlx::{FromRow, PgConnection, PgPool, Row, postgres::PgRow};
use uuid::Uuid;

use crate::{
    email::Email,
    person_name::PersonName,
    roles::{Role, Roles},
};

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
    /// When they registered, by the database's clock.
    pub created_at: DateTime<Utc>,
    /// When any of this last changed, by the database's clock.
    pub updated_at: DateTime<Utc>,
}

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
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }
}

/// Adds a person. The address of registration is where mail goes at first.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    id: UserId,
    name: &PersonName,
    email: &Email,
    roles: Roles,
) -> Result<User, sqlx::Error> {
    sqlx::query_as(
        "insert into users (id, name, contact_email, roles) values ($1, $2, $3, $4)
         returning id, name, contact_email, phone, address, roles, created_at, updated_at",
    )
    .bind(Uuid::from(id))
    .bind(name.as_str())
    .bind(email.as_str())
    .bind(roles.iter().map(Role::as_str).collect::<Vec<_>>())
    .fetch_one(connection)
    .await
}

/// The person with that id.
pub(crate) async fn find(pool: &PgPool, id: UserId) -> Result<Option<User>, sqlx::Error> {
    sqlx::query_as(
        "select id, name, contact_email, phone, address, roles, created_at, updated_at from users where id = $1",
    )
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
