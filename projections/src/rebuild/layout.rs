//! The tables of a view apart from their keys and indexes, which a rebuild makes last.

use sqlx::{Connection, PgConnection, postgres::PgConnectOptions};

use crate::views::{Schema, View};

/// Where in the definition of a view the tables end.
const LAST: &str = "-- # Keys and indexes";
/// Keys and indexes are made on so many connections; two on one table are never made at once.
const CONNECTIONS: usize = 2;
/// How each connection of a rebuild works: nothing is waited for that can be done again, and indexes are sorted in
/// memory.
pub(super) const SESSION: &str = "set synchronous_commit = off; set maintenance_work_mem = '128MB'; set client_min_messages = warning";

/// The statements that make keys and indexes, by table.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    tables: Vec<(String, Vec<String>)>,
}

impl Layout {
    /// Makes the schema with its tables, and returns what is to be made last.
    pub(super) async fn create(
        view: View,
        schema: &Schema,
        connection: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        let (tables, last) = split(view);
        let definition = schema.sql(&format!("create schema {{schema}};\n{tables}"));
        let mut tx = connection.begin().await?;
        sqlx::raw_sql(&definition).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(Self::parse(&schema.sql(last), schema))
    }

    fn parse(last: &str, schema: &Schema) -> Self {
        let mut layout = Self::default();
        let code: String = last
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect();
        for statement in code.split(';').filter(|text| !text.trim().is_empty()) {
            let table = table_of(statement, schema).to_owned();
            match layout.tables.iter_mut().find(|(name, _)| *name == table) {
                Some((_, statements)) => statements.push(statement.to_owned()),
                None => layout.tables.push((table, vec![statement.to_owned()])),
            }
        }
        layout
    }

    /// The statement that makes the primary key of a table; once.
    pub(super) fn take_key(&mut self, table: &str) -> Option<String> {
        let (_, statements) = self.tables.iter_mut().find(|(name, _)| name == table)?;
        let index = statements
            .iter()
            .position(|text| text.contains("primary key"))?;
        Some(statements.remove(index))
    }

    /// Makes all that was not made yet, and has the planner learn what is in the tables.
    pub(super) async fn finish(
        self,
        schema: &Schema,
        options: &PgConnectOptions,
    ) -> Result<(), sqlx::Error> {
        let queue = std::sync::Mutex::new(self.tables);
        let next = || {
            let mut queue = queue
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            // the table with most indexes first, so that both connections end at about the same time
            let longest = (0..queue.len()).max_by_key(|index| queue[*index].1.len())?;
            Some(queue.swap_remove(longest))
        };
        let builders = (0..CONNECTIONS).map(|_| async {
            let mut connection = connect(options).await?;
            while let Some((table, statements)) = next() {
                for statement in statements {
                    sqlx::raw_sql(&statement).execute(&mut connection).await?;
                }
                let analyze = format!("analyze {schema}.{table}");
                sqlx::raw_sql(&analyze).execute(&mut connection).await?;
            }
            connection.close().await
        });
        futures::future::try_join_all(builders).await?;
        Ok(())
    }
}

/// A connection as a rebuild uses it.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut connection = PgConnection::connect_with(options).await?;
    sqlx::raw_sql(SESSION).execute(&mut connection).await?;
    Ok(connection)
}

/// The tables, and the keys and indexes.
fn split(view: View) -> (&'static str, &'static str) {
    let definition = view.definition();
    // a test sees to it that the line is there
    definition.split_at(definition.find(LAST).unwrap_or(definition.len()))
}

/// The table that a statement is about: the name behind the schema's.
fn table_of<'s>(statement: &'s str, schema: &Schema) -> &'s str {
    let named = statement.split_once(&format!(" {schema}."));
    let rest = named.map_or("", |(_, rest)| rest);
    rest.split(' ').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_table_gets_its_key_last() {
        for view in View::ALL {
            let (tables, last) = split(view);
            assert!(
                !tables.contains("primary key") && !tables.contains("create index"),
                "{view}"
            );
            let schema = view.schema();
            let mut layout = Layout::parse(&schema.sql(last), &schema);
            let names: Vec<_> = layout.tables.iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(
                tables.matches("create table").count(),
                names.len(),
                "{view}"
            );
            for name in names {
                assert!(
                    tables.contains(&format!("create table {{schema}}.{name} (")),
                    "{name}"
                );
                assert!(layout.take_key(&name).unwrap().contains("add primary key"));
                assert_eq!(layout.take_key(&name), None);
            }
        }
    }
}
