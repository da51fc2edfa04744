//! Categories as a read model. Few rows, so the list is whole.

use chrono::{DateTime, Utc};
use domain::{
    category::{Category, CategoryDetails, CategoryEvent},
    ids::CategoryId,
    text::Title,
};
use sqlx::{PgConnection, Row, postgres::PgRow};

use crate::{
    decode::Decoded,
    one_row_each::{AggregateRow, unreadable},
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

impl ReadModels {
    /// A category, also when it was deleted.
    pub async fn category(&self, id: CategoryId) -> Result<Option<CategoryView>, QueryError> {
        self.row(id.0).await
    }

    /// All categories by title, without the deleted ones.
    pub async fn categories(&self) -> Result<Vec<CategoryView>, QueryError> {
        self.rows_by_title("not deleted").await
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
