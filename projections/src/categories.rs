//! Categories as a read model.

use chrono::{DateTime, Utc};
use domain::{
    category::{Category, CategoryDetails, CategoryEvent},
    ids::CategoryId,
    text::Title,
};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row, postgres::PgRow};

use crate::{
    decode::Decoded,
    one_row_each::{AggregateRow, unreadable},
    page::{Page, PageRequest, SortKey, SortKind, SortValue},
    read_models::{QueryError, ReadModels},
    views::{Schema, View},
};

/// A category.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryView {
    /// What it is now.
    pub details: CategoryDetails,
    /// How many events it has: its ETag.
    pub sequence: i64,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Which categories are listed: none that was deleted, and of the others those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CategoryFilter {
    /// Of exactly this title.
    pub title: Option<Title>,
}

/// What categories are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategorySort {
    /// Title, by the collation of the database.
    Title,
    /// When they were made.
    CreatedAt,
}

impl SortKey for CategorySort {
    const ALL: &'static [Self] = &[Self::Title, Self::CreatedAt];

    fn name(self) -> &'static str {
        match self {
            Self::Title => "title",
            Self::CreatedAt => "created_at",
        }
    }

    fn columns(self) -> [&'static str; 2] {
        match self {
            Self::Title => ["title", "category_id"],
            Self::CreatedAt => ["created_at", "category_id"],
        }
    }

    fn kind(self) -> SortKind {
        match self {
            Self::Title => SortKind::Text,
            Self::CreatedAt => SortKind::Time,
        }
    }
}

impl ReadModels {
    /// A category, also when it was deleted.
    pub async fn category(&self, id: CategoryId) -> Result<Option<CategoryView>, QueryError> {
        self.row(id.0).await
    }

    /// A page of categories.
    pub async fn categories(
        &self,
        filter: &CategoryFilter,
        page: &PageRequest<CategorySort>,
    ) -> Result<Page<CategoryView>, QueryError> {
        let schema = self.schema(View::Categories).await?;
        let rows = list(&schema, filter, page)
            .build()
            .fetch_all(self.pool())
            .await?;
        let categories = rows
            .iter()
            .map(CategoryView::from_row)
            .collect::<Result<Vec<_>, _>>()?;
        Ok(page.page(categories, |category| {
            (
                category.sort_value(page.sort.key),
                category.details.category_id.0,
            )
        }))
    }
}

pub(crate) fn list<'q>(
    schema: &Schema,
    filter: &CategoryFilter,
    page: &PageRequest<CategorySort>,
) -> QueryBuilder<'q, Postgres> {
    let sql = "select * from {schema}.categories c where not c.deleted";
    let mut sql = QueryBuilder::new(schema.sql(sql));
    if let Some(title) = &filter.title {
        sql.push(" and c.title = ").push_bind(title.to_string());
    }
    page.push_to(&mut sql, "c");
    sql
}

impl CategoryView {
    fn sort_value(&self, key: CategorySort) -> SortValue {
        match key {
            CategorySort::Title => SortValue::Text(self.details.title.to_string()),
            CategorySort::CreatedAt => SortValue::Time(self.created_at),
        }
    }
}

impl AggregateRow for CategoryView {
    type Aggregate = Category;
    const VIEW: View = View::Categories;
    const KEY: &'static str = "category_id";

    fn begun(decoded: &Decoded<CategoryEvent>) -> Option<Self> {
        let CategoryEvent::CategoryCreated {
            category_id: _,
            title,
        } = &decoded.event
        else {
            return None;
        };
        Some(Self {
            details: CategoryDetails {
                category_id: CategoryId(decoded.id),
                title: title.clone(),
                deleted: false,
            },
            sequence: decoded.sequence,
            created_at: decoded.at,
            updated_at: decoded.at,
        })
    }

    fn change(&mut self, decoded: &Decoded<CategoryEvent>) {
        match &decoded.event {
            CategoryEvent::CategoryCreated { .. } => {}
            CategoryEvent::CategoryRenamed { title, previous: _ } => {
                self.details.title = title.clone();
            }
            CategoryEvent::CategoryDeleted {} => self.details.deleted = true,
        }
        self.sequence = decoded.sequence;
        self.updated_at = decoded.at;
    }

    fn sequence(&self) -> i64 {
        self.sequence
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            details: CategoryDetails {
                category_id: CategoryId(row.try_get("category_id")?),
                title: Title::parse(row.try_get("title")?).map_err(unreadable)?,
                deleted: row.try_get("deleted")?,
            },
            sequence: row.try_get("sequence")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        })
    }

    async fn store(
        &self,
        schema: &Schema,
        connection: &mut PgConnection,
    ) -> Result<(), sqlx::Error> {
        let sql = schema.sql(
            "insert into {schema}.categories (category_id, title, deleted, sequence, created_at, updated_at) \
             values ($1, $2, $3, $4, $5, $6) \
             on conflict (category_id) do update set title = excluded.title, deleted = excluded.deleted, \
             sequence = excluded.sequence, updated_at = excluded.updated_at",
        );
        sqlx::query(&sql)
            .bind(self.details.category_id.0)
            .bind(self.details.title.as_str())
            .bind(self.details.deleted)
            .bind(self.sequence)
            .bind(self.created_at)
            .bind(self.updated_at)
            .execute(connection)
            .await?;
        Ok(())
    }
}
