//! Rows on their way into a table, in the binary format of `COPY` (PostgreSQL documentation, "COPY", binary format).

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::types::Json;
use uuid::Uuid;

use super::writer::{Closed, Writer};
use crate::views::Schema;

/// Rows are sent once they are so many bytes.
const SEND_BYTES: usize = 1 << 20;
/// What a copy begins with: signature, no flags, no header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What a copy ends with.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// 2000-01-01 in microseconds of Unix time: where PostgreSQL's clock begins.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// Rows that one table is to take.
pub(crate) struct CopyRows {
    statement: String,
    rows: Vec<u8>,
}

impl CopyRows {
    /// For the named columns, in the order in which rows are pushed.
    pub(crate) fn new(schema: &Schema, table: &str, columns: &str) -> Self {
        Self {
            statement: format!("copy {schema}.{table} ({columns}) from stdin (format binary)"),
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub(crate) fn push(&mut self, fields: &[&dyn Field]) {
        if self.rows.is_empty() {
            self.rows.extend_from_slice(HEADER);
        }
        self.rows.extend((fields.len() as i16).to_be_bytes());
        for field in fields {
            field.put(&mut self.rows);
        }
    }

    /// Hands the rows to the writer, where they are enough to be worth it.
    pub(crate) fn send_full(&mut self, writer: &Writer) -> Result<(), Closed> {
        if self.rows.len() < SEND_BYTES {
            return Ok(());
        }
        self.send(writer)
    }

    /// Hands what there is to the writer.
    pub(crate) fn send(&mut self, writer: &Writer) -> Result<(), Closed> {
        if self.rows.is_empty() {
            return Ok(());
        }
        self.rows.extend(TRAILER);
        let capacity = self.rows.len().min(2 * SEND_BYTES);
        let rows = std::mem::replace(&mut self.rows, Vec::with_capacity(capacity));
        writer.copy(self.statement.clone(), rows)
    }
}

/// A value as a field of a row: its length and its bytes.
pub(crate) trait Field {
    fn put(&self, out: &mut Vec<u8>);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend((bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

impl Field for Uuid {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
}

impl Field for &str {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
}

impl Field for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
}

impl Field for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.to_be_bytes(), out);
    }
}

impl Field for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&self.to_be_bytes(), out);
    }
}

impl Field for bool {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(&[u8::from(*self)], out);
    }
}

impl Field for DateTime<Utc> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.timestamp_micros() - POSTGRES_EPOCH_MICROS).put(out);
    }
}

impl<T: Serialize> Field for Json<T> {
    fn put(&self, out: &mut Vec<u8>) {
        /// The version of jsonb's binary format.
        const VERSION: u8 = 1;
        // what rows hold is made of maps by text, lists and plain values: that always has a JSON text
        let text = serde_json::to_vec(&self.0).unwrap_or_else(|_| b"null".to_vec());
        out.extend((text.len() as i32 + 1).to_be_bytes());
        out.push(VERSION);
        out.extend(text);
    }
}

impl<F: Field> Field for Option<F> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.put(out),
            None => out.extend((-1_i32).to_be_bytes()),
        }
    }
}
