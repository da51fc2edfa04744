//! Closing accounts: whoever leaves cannot sign in any more from that moment on, and what is known of them goes as soon
//! as nothing needs it.
//!
//! Closing deletes all that this crate keeps of a person, in one transaction, and leaves a row of ids and times: the
//! table `account_closures`. The key that opens the person's data in events outlives it until their last open order has
//! ended. Finding that out is `api`'s: its worker takes one account after the other ([`Identity::next_closure`]),
//! destroys the key, and says so ([`Identity::finish_closure`]).

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use domain::ids::UserId;
use eventstore::page::{Page, PageRequest, SortKey, SortKind, SortValue};
use sqlx::{
    FromRow, PgConnection, PgPool, Postgres, QueryBuilder, Row, Transaction, postgres::PgRow,
};
use uuid::Uuid;

use crate::{
    accounts::{Fault, Identity},
    api_keys, codes, credentials, known_addresses,
    password::Password,
    roles::Role,
    sessions,
    users::{
        self, NotLeaving,
        change::{Refusal, UsersError, hold, positions, refuse, repeated},
    },
};

#[cfg(test)]
mod plans;

/// The one that was to be looked at first, of those that nobody else looks at.
const NEXT: &str = "select person_id from account_closures where erased_at is null and look_at <= statement_timestamp()
     order by look_at limit 1 for update skip locked";

/// An account that was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closure {
    /// Whose it was.
    pub user_id: UserId,
    /// Since when.
    pub closed_at: DateTime<Utc>,
    /// Whether open orders are cancelled rather than finished.
    pub cancel_orders: bool,
    /// When their data became unreadable; none as long as it is needed.
    pub erased_at: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "person_id, closed_at, cancel_orders, erased_at";

impl FromRow<'_, PgRow> for Closure {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user_id: UserId(row.try_get("person_id")?),
            closed_at: row.try_get("closed_at")?,
            cancel_orders: row.try_get("cancel_orders")?,
            erased_at: row.try_get("erased_at")?,
        })
    }
}

/// Why somebody's own account was not closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseOwnError {
    /// It is not the password of the account.
    #[error("the password is wrong")]
    WrongPassword,
    /// As for anybody's account.
    #[error(transparent)]
    Users(#[from] UsersError),
}

impl From<Fault> for CloseOwnError {
    fn from(fault: Fault) -> Self {
        Self::Users(fault.into())
    }
}

impl From<sqlx::Error> for CloseOwnError {
    fn from(error: sqlx::Error) -> Self {
        Self::Users(error.into())
    }
}

/// Which closed accounts are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClosureFilter {
    /// Only those whose data is erased, or only those whose data is not.
    pub erased: Option<bool>,
}

/// What closed accounts are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosureSort {
    /// When they were closed.
    ClosedAt,
}

impl SortKey for ClosureSort {
    const ALL: &'static [Self] = &[Self::ClosedAt];

    fn name(self) -> &'static str {
        "closed_at"
    }

    fn columns(self) -> [&'static str; 2] {
        ["closed_at", "person_id"]
    }

    fn kind(self) -> SortKind {
        SortKind::Time
    }
}

/// A closed account to be looked at: is its key still needed?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueClosure {
    /// The account.
    pub closure: Closure,
    /// Now, by the database's clock.
    pub now: DateTime<Utc>,
}

impl Identity {
    /// Closes the account of somebody who says so: their password proves that it is them.
    pub async fn close_own(
        &self,
        user_id: UserId,
        password: &str,
        cancel_orders: bool,
    ) -> Result<Vec<Closure>, CloseOwnError> {
        let credential = credentials::of(&self.pool, user_id).await?;
        let hash = credential
            .as_ref()
            .map(|credential| &credential.password_hash);
        let password = password.parse::<Password>().ok();
        let verified = self.hasher.verify(password.as_ref(), hash).await;
        let (true, Some(credential)) = (verified.map_err(Fault::from)?, credential) else {
            return Err(CloseOwnError::WrongPassword);
        };
        let mut transaction = self.pool.begin().await?;
        let still = credentials::hold_verified(&mut transaction, &credential).await?;
        still.ok_or(CloseOwnError::WrongPassword)?;
        let closed = close(&mut transaction, &[user_id], cancel_orders).await?;
        Ok(self.commit(transaction, closed).await?)
    }

    /// Closes accounts, all of them or none, and returns them in the same order.
    pub async fn close_accounts(
        &self,
        user_ids: &[UserId],
        cancel_orders: bool,
    ) -> Result<Vec<Closure>, UsersError> {
        let mut transaction = self.pool.begin().await?;
        let closed = close(&mut transaction, user_ids, cancel_orders).await?;
        Ok(self.commit(transaction, closed).await?)
    }

    /// From here on nobody of them is let in: here at once, in other processes within [`crate::standing::MAX_AGE`].
    async fn commit(
        &self,
        transaction: Transaction<'static, Postgres>,
        closed: Vec<Closure>,
    ) -> Result<Vec<Closure>, Fault> {
        let committed = transaction.commit().await;
        // also where it is not known whether it was committed
        for closure in &closed {
            self.standings.forget(closure.user_id);
        }
        committed?;
        for closure in &closed {
            tracing::info!(user_id = %closure.user_id, "an account was closed");
        }
        Ok(closed)
    }

    /// A page of the accounts that were closed.
    pub async fn closures(
        &self,
        filter: ClosureFilter,
        page: &PageRequest<ClosureSort>,
    ) -> Result<Page<Closure>, Fault> {
        let closures = list(filter, page)
            .build_query_as()
            .fetch_all(&self.pool)
            .await?;
        Ok(page.page(closures, |closure: &Closure| {
            (SortValue::Time(closure.closed_at), closure.user_id.0)
        }))
    }

    /// Takes the closed account that was to be looked at first, where one is due. Of several processes one gets it; it
    /// is due again after a tenth of the time since it was closed, after `pause` at the least and an hour at the most.
    pub async fn next_closure(&self, pause: Duration) -> Result<Option<DueClosure>, Fault> {
        let row = sqlx::query(&format!(
            "update account_closures c set look_at = clock_timestamp() + least(
                 greatest((clock_timestamp() - c.closed_at) / 10, make_interval(secs => $1)), interval '1 hour')
             from ({NEXT}) due where c.person_id = due.person_id
             returning c.person_id, c.closed_at, c.cancel_orders, c.erased_at, clock_timestamp() as now"
        ))
        .bind(pause.as_secs_f64())
        .fetch_optional(&self.pool)
        .await?;
        let due = |row: PgRow| {
            Ok::<_, sqlx::Error>(DueClosure {
                closure: Closure::from_row(&row)?,
                now: row.try_get("now")?,
            })
        };
        Ok(row.map(due).transpose()?)
    }

    /// Notes that somebody's data is erased. What came in of them while the account was being closed (a code that was
    /// just being sent) goes as well, and what the database keeps of them to plan by.
    pub async fn finish_closure(&self, user_id: UserId) -> Result<(), Fault> {
        renew_statistics(&self.pool).await?;
        let mut transaction = self.pool.begin().await?;
        forget(&mut transaction, user_id).await?;
        sqlx::query(
            "update account_closures set erased_at = clock_timestamp() where person_id = $1 and erased_at is null",
        )
        .bind(user_id.0)
        .execute(&mut *transaction)
        .await?;
        Ok(transaction.commit().await?)
    }
}

/// Has the database look anew at what its plans go by: values of rows that are gone stand there until then.
pub async fn renew_statistics(pool: &PgPool) -> Result<(), sqlx::Error> {
    sqlx::query("select renew_statistics_of_people()")
        .execute(pool)
        .await?;
    Ok(())
}

/// Closes the account once more in a database that was restored to a time before it was closed, whoever is the last
/// admin then.
pub async fn close_again(pool: &PgPool, closure: &Closure) -> Result<(), sqlx::Error> {
    let user_id = closure.user_id;
    let mut transaction = pool.begin().await?;
    credentials::hold_all(&mut transaction, &[user_id]).await?;
    users::delete(&mut transaction, &[user_id]).await?;
    forget(&mut transaction, user_id).await?;
    sqlx::query(
        "insert into account_closures (person_id, closed_at, cancel_orders, erased_at) values ($1, $2, $3, $4)
         on conflict (person_id) do update
         set erased_at = coalesce(account_closures.erased_at, excluded.erased_at),
             cancel_orders = account_closures.cancel_orders or excluded.cancel_orders",
    )
    .bind(user_id.0)
    .bind(closure.closed_at)
    .bind(closure.cancel_orders)
    .bind(closure.erased_at)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await
}

fn list<'q>(filter: ClosureFilter, page: &PageRequest<ClosureSort>) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(format!(
        "select {COLUMNS} from account_closures c where true"
    ));
    match filter.erased {
        None => {}
        Some(true) => {
            sql.push(" and c.erased_at is not null");
        }
        Some(false) => {
            sql.push(" and c.erased_at is null");
        }
    }
    page.push_to(&mut sql, "c");
    sql
}

/// Credentials are held first, so that nobody of them begins a session meanwhile.
async fn close(
    connection: &mut PgConnection,
    user_ids: &[UserId],
    cancel_orders: bool,
) -> Result<Vec<Closure>, UsersError> {
    let ids = || user_ids.iter().copied();
    refuse(repeated(ids()))?;
    credentials::hold_all(connection, user_ids).await?;
    let there = hold(connection, ids()).await?;
    refuse(positions(
        ids(),
        |id| !there.contains_key(&id),
        Refusal::Missing,
    ))?;
    match users::assure_an_admin_stays(connection, user_ids).await {
        Ok(()) => {}
        Err(NotLeaving::Database(error)) => return Err(error.into()),
        Err(NotLeaving::LastAdmin) => {
            let is_admin = |id| {
                let user = there.get(&id);
                user.is_some_and(|user| user.roles.contains(Role::Admin))
            };
            refuse(positions(ids(), is_admin, Refusal::LastAdmin))?;
        }
    }
    users::delete(connection, user_ids).await?;
    for user_id in user_ids {
        forget(connection, *user_id).await?;
    }
    Ok(note(connection, user_ids, cancel_orders).await?)
}

/// Deletes what is known of somebody beside the user itself.
async fn forget(connection: &mut PgConnection, user_id: UserId) -> Result<(), sqlx::Error> {
    // requests for codes are found by the user name, so they go before it
    codes::forget(connection, user_id).await?;
    credentials::delete(connection, user_id).await?;
    sessions::forget(connection, user_id).await?;
    api_keys::forget(connection, user_id).await?;
    known_addresses::forget(connection, user_id).await
}

async fn note(
    connection: &mut PgConnection,
    user_ids: &[UserId],
    cancel_orders: bool,
) -> Result<Vec<Closure>, sqlx::Error> {
    let ids: Vec<Uuid> = user_ids.iter().map(|id| id.0).collect();
    let noted: Vec<Closure> = sqlx::query_as(&format!(
        "insert into account_closures (person_id, cancel_orders) select person_id, $2 from unnest($1::uuid[]) as closed (person_id)
         returning {COLUMNS}"
    ))
    .bind(ids)
    .bind(cancel_orders)
    .fetch_all(connection)
    .await?;
    let noted: HashMap<UserId, Closure> = noted
        .into_iter()
        .map(|closure| (closure.user_id, closure))
        .collect();
    Ok(user_ids
        .iter()
        .filter_map(|id| noted.get(id).copied())
        .collect())
}
