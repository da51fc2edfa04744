//! Finding people: by id, and as a list with filters, sorts and cursors, for those who may see all of them.

use domain::ids::UserId;
use eventstore::page::{Page, PageRequest, SortKey, SortKind, SortValue};
use sqlx::{FromRow, Postgres, QueryBuilder, Row, postgres::PgRow};
use uuid::Uuid;

use super::{
    COLUMNS, User, by_id,
    change::{UsersError, refuse, repeated},
};
use crate::{
    accounts::{Fault, Identity},
    email::Email,
    person_name::PersonName,
    roles::Role,
};

/// Which people are listed; all of what is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// Reached at this address.
    pub contact_email: Option<Email>,
    /// With this role, whatever others they have.
    pub role: Option<Role>,
    /// Whose name begins so, in small letters or capitals.
    pub name: Option<PersonName>,
}

/// What people are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserSort {
    /// When they registered.
    CreatedAt,
    /// Their name, small letters and capitals alike.
    Name,
}

impl SortKey for UserSort {
    const ALL: &'static [Self] = &[Self::CreatedAt, Self::Name];

    fn name(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::Name => "name",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::CreatedAt => ["created_at", "id"],
            Self::Name => ["name_key", "id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::CreatedAt => SortKind::Time,
            Self::Name => SortKind::Text,
        }
    }
}

impl Identity {
    /// The people with these ids, in the same order; none where there is no such person. An id that comes twice is
    /// refused.
    pub async fn read_users(&self, ids: &[UserId]) -> Result<Vec<Option<User>>, UsersError> {
        refuse(repeated(ids.iter()))?;
        let statement = format!("select {COLUMNS} from users where id = any($1)");
        let users = sqlx::query_as(&statement)
            .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
            .fetch_all(&self.pool)
            .await?;
        let mut users = by_id(users);
        Ok(ids.iter().map(|id| users.remove(id)).collect())
    }

    /// A page of people.
    pub async fn users(
        &self,
        filter: &UserFilter,
        page: &PageRequest<UserSort>,
    ) -> Result<Page<User>, Fault> {
        let rows: Vec<Listed> = list(filter, page)
            .build_query_as()
            .fetch_all(&self.pool)
            .await?;
        let Page { items, next } = page.page(rows, |row| row.sort_value(page.sort.key));
        Ok(Page {
            items: items.into_iter().map(|row| row.user).collect(),
            next,
        })
    }
}

/// A person on a list, with what they are sorted by.
struct Listed {
    user: User,
    name_key: String,
}

impl FromRow<'_, PgRow> for Listed {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            user: User::from_row(row)?,
            name_key: row.try_get("name_key")?,
        })
    }
}

impl Listed {
    fn sort_value(&self, key: UserSort) -> (SortValue, Uuid) {
        let value = match key {
            UserSort::CreatedAt => SortValue::Time(self.user.created_at),
            UserSort::Name => SortValue::Text(self.name_key.clone()),
        };
        (value, self.user.id.0)
    }
}

/// The list as a query. Names that begin with a text are those from the text itself to the text followed by nothing but
/// the last of all characters, more of them than a name has: a range, for which the index serves whatever the text is.
pub(super) fn list<'q>(
    filter: &UserFilter,
    page: &PageRequest<UserSort>,
) -> QueryBuilder<'q, Postgres> {
    let mut sql = QueryBuilder::new(format!(
        "select {COLUMNS}, name_key from users u where true"
    ));
    if let Some(address) = &filter.contact_email {
        sql.push(" and u.contact_email = ")
            .push_bind(address.as_str().to_owned());
    }
    if let Some(role) = filter.role {
        // spelled out, so that it is the condition of an index
        sql.push(format_args!(" and u.roles @> '{{{role}}}'"));
    }
    if let Some(name) = &filter.name {
        let name = name.as_str().to_owned();
        sql.push(" and u.name_key >= lower(")
            .push_bind(name.clone())
            .push(") and u.name_key <= lower(")
            .push_bind(name)
            .push(") || repeat(chr(1114111), 1000)");
    }
    page.push_to(&mut sql, "u");
    sql
}
