//! Paged lists: a whitelisted sort, a bounded number of rows, and an opaque cursor.
//!
//! A cursor names the last row of a page by its sort value and id, so that the next page begins right behind it,
//! whatever was inserted meanwhile, and is read off the index. Used by every list query of the read models and of
//! `identity`; the API hands cursors through.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

/// How many rows a page may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// When the caller does not say.
    pub default: u32,
    /// At most.
    pub max: u32,
}

impl Limits {
    /// What lists of the API go by.
    pub const STANDARD: Self = Self {
        default: 50,
        max: 200,
    };
}

/// Longest cursor that is looked at, in bytes: a title of 200 characters in JSON and base64 stays below.
const MAX_CURSOR_BYTES: usize = 4_096;
/// Times beyond this in a cursor are not ours: the end of the year 9999, in microseconds.
const MAX_MICROSECONDS: i64 = 253_402_300_799_999_999;

/// Why a page cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Not within the bounds.
    #[error("limit must be 1 to {max}")]
    LimitOutOfRange {
        /// The upper bound.
        max: u32,
    },
    /// Damaged, or of another sort.
    #[error("the cursor is not valid for this list and sort")]
    InvalidCursor,
    /// No text was given that rows could be more or less relevant to.
    #[error("relevance needs a text to search for")]
    NothingToRank,
}

/// Which way a list goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smallest or oldest first.
    Asc,
    /// Largest or newest first.
    Desc,
}

/// What a list may be sorted by.
pub trait SortKey: Copy + Send + Sync + 'static {
    /// All that a caller may sort by.
    const ALL: &'static [Self];

    /// The name that a caller uses.
    fn name(self) -> &'static str;
    /// The columns: the sort value and the unique id that decides between equals.
    fn columns(self) -> [&'static str; 2];
    /// What kind of value it sorts by.
    fn kind(self) -> SortKind;

    /// Finds the key that a caller names.
    fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|key| key.name() == name)
    }
}

/// Kinds of sort values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortKind {
    /// A moment, to the microsecond.
    Time,
    /// A whole number.
    Integer,
    /// A text.
    Text,
}

/// The sort value of a row.
#[derive(Clone, Debug, PartialEq)]
pub enum SortValue {
    /// A moment, to the microsecond.
    Time(DateTime<Utc>),
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
}

/// A sort and its direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort<K> {
    /// By what.
    pub key: K,
    /// Which way.
    pub direction: Direction,
}

/// Which page of a list is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest<K> {
    /// In which order.
    pub sort: Sort<K>,
    /// Sort value and id of the row that it begins behind; none for the first page.
    pub after: Option<(SortValue, Uuid)>,
    /// What the list has noted down at its first page.
    note: Option<serde_json::Value>,
    limit: u32,
}

/// Some rows of a list, and where the next ones begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// The cursor of the next page; none at the end of the list.
    pub next: Option<String>,
}

/// What a cursor holds. Times are microseconds since 1970.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CursorContent {
    s: String,
    d: Direction,
    v: CursorValue,
    i: Uuid,
    /// What else the list needs to go on in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CursorValue {
    Integer(i64),
    Text(String),
}

impl<K: SortKey> PageRequest<K> {
    /// A page of `limit` rows behind `cursor`, within these limits.
    pub fn new(
        limits: Limits,
        sort: Sort<K>,
        limit: Option<u32>,
        cursor: Option<&str>,
    ) -> Result<Self, PageError> {
        let limit = limit.unwrap_or(limits.default);
        if !(1..=limits.max).contains(&limit) {
            return Err(PageError::LimitOutOfRange { max: limits.max });
        }
        let after = cursor
            .map(|cursor| parse_cursor(sort, cursor))
            .transpose()?;
        let (after, note) = match after {
            Some((value, id, note)) => (Some((value, id)), note),
            None => (None, None),
        };
        Ok(Self {
            sort,
            after,
            note,
            limit,
        })
    }

    /// How many rows are wanted.
    pub fn limit(&self) -> usize {
        self.limit as usize
    }

    /// What the list has noted down at its first page; none at that one.
    pub fn note<T: DeserializeOwned>(&self) -> Result<Option<T>, PageError> {
        let note = self.note.clone().map(serde_json::from_value);
        note.transpose().map_err(|_| PageError::InvalidCursor)
    }

    /// Adds what is behind the cursor, the order, and one row more than wanted, to know whether there are any.
    /// `table` is the alias of the one that is sorted.
    pub fn push_to(&self, sql: &mut QueryBuilder<'_, Postgres>, table: &str) {
        self.push_behind_cursor(sql, table);
        let [value, id] = self.columns(table);
        let order = match self.sort.direction {
            Direction::Asc => "asc",
            Direction::Desc => "desc",
        };
        sql.push(format_args!(
            " order by {value} {order}, {id} {order} limit "
        ))
        .push_bind(i64::from(self.limit) + 1);
    }

    /// Adds only the condition that a row is behind the cursor, where there is one.
    pub fn push_behind_cursor(&self, sql: &mut QueryBuilder<'_, Postgres>, table: &str) {
        let Some((last, last_id)) = &self.after else {
            return;
        };
        let [value, id] = self.columns(table);
        let beyond = match self.sort.direction {
            Direction::Asc => ">",
            Direction::Desc => "<",
        };
        sql.push(format_args!(" and ({value}, {id}) {beyond} ("));
        match last {
            SortValue::Time(time) => sql.push_bind(*time),
            SortValue::Integer(number) => sql.push_bind(*number),
            SortValue::Text(text) => sql.push_bind(text.clone()),
        };
        sql.push(", ").push_bind(*last_id).push(")");
    }

    fn columns(&self, table: &str) -> [String; 2] {
        let columns = self.sort.key.columns();
        columns.map(|column| format!("{table}.{column}"))
    }

    /// The page of these rows, of which there may be one more than wanted.
    pub fn page<T>(&self, rows: Vec<T>, last: impl Fn(&T) -> (SortValue, Uuid)) -> Page<T> {
        self.page_noting(rows, last, self.note.clone())
    }

    /// The same for a list that goes on by more than the last row: the note comes back with the cursor.
    pub fn page_noting<T>(
        &self,
        mut rows: Vec<T>,
        last: impl Fn(&T) -> (SortValue, Uuid),
        note: Option<serde_json::Value>,
    ) -> Page<T> {
        let wanted = self.limit();
        let more = rows.len() > wanted;
        rows.truncate(wanted);
        let next = rows
            .last()
            .filter(|_| more)
            .map(|row| self.cursor(last(row), note));
        Page { items: rows, next }
    }

    /// The cursor of what is behind this place.
    pub fn cursor(
        &self,
        (value, id): (SortValue, Uuid),
        note: Option<serde_json::Value>,
    ) -> String {
        let content = CursorContent {
            s: self.sort.key.name().to_owned(),
            d: self.sort.direction,
            v: match value {
                SortValue::Time(time) => CursorValue::Integer(time.timestamp_micros()),
                SortValue::Integer(number) => CursorValue::Integer(number),
                SortValue::Text(text) => CursorValue::Text(text),
            },
            i: id,
            n: note,
        };
        // cannot fail: strings and numbers only; an empty cursor would be refused when it comes back
        URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).unwrap_or_default())
    }
}

/// The row that a cursor names, and what is noted down in it.
type Place = (SortValue, Uuid, Option<serde_json::Value>);

fn parse_cursor<K: SortKey>(sort: Sort<K>, cursor: &str) -> Result<Place, PageError> {
    parse(sort, cursor).ok_or(PageError::InvalidCursor)
}

fn parse<K: SortKey>(sort: Sort<K>, cursor: &str) -> Option<Place> {
    if cursor.len() > MAX_CURSOR_BYTES {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let content: CursorContent = serde_json::from_slice(&bytes).ok()?;
    if content.s != sort.key.name() || content.d != sort.direction {
        return None;
    }
    let value = match (sort.key.kind(), content.v) {
        (SortKind::Time, CursorValue::Integer(micros)) => SortValue::Time(time_of(micros)?),
        (SortKind::Integer, CursorValue::Integer(number)) => SortValue::Integer(number),
        // PostgreSQL takes no NUL in a text
        (SortKind::Text, CursorValue::Text(text)) if !text.contains('\0') => SortValue::Text(text),
        _ => return None,
    };
    Some((value, content.i, content.n))
}

/// The moment so many microseconds after 1970, where it can be one of ours.
pub fn time_of(micros: i64) -> Option<DateTime<Utc>> {
    let ours = (0..=MAX_MICROSECONDS).contains(&micros);
    DateTime::from_timestamp_micros(micros).filter(|_| ours)
}

/// From one value to another, each end included; open where none is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<T> {
    /// At least.
    pub gte: Option<T>,
    /// At most.
    pub lte: Option<T>,
}

impl<T> Default for Span<T> {
    fn default() -> Self {
        Self {
            gte: None,
            lte: None,
        }
    }
}

impl<T> Span<T>
where
    T: Copy + Send + for<'q> sqlx::Encode<'q, Postgres> + sqlx::Type<Postgres> + 'static,
{
    /// Adds the condition on a column.
    pub fn push_to(&self, sql: &mut QueryBuilder<'_, Postgres>, column: impl fmt::Display) {
        if let Some(least) = self.gte {
            sql.push(format_args!(" and {column} >= ")).push_bind(least);
        }
        if let Some(most) = self.lte {
            sql.push(format_args!(" and {column} <= ")).push_bind(most);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Key {
        Created,
        Title,
    }

    impl SortKey for Key {
        const ALL: &'static [Self] = &[Self::Created, Self::Title];

        fn name(self) -> &'static str {
            match self {
                Self::Created => "created_at",
                Self::Title => "title",
            }
        }

        fn columns(self) -> [&'static str; 2] {
            [self.name(), "id"]
        }

        fn kind(self) -> SortKind {
            match self {
                Self::Created => SortKind::Time,
                Self::Title => SortKind::Text,
            }
        }
    }

    const NEWEST: Sort<Key> = Sort {
        key: Key::Created,
        direction: Direction::Desc,
    };
    const BY_TITLE: Sort<Key> = Sort {
        key: Key::Title,
        direction: Direction::Asc,
    };

    fn request(sort: Sort<Key>, cursor: Option<&str>) -> Result<PageRequest<Key>, PageError> {
        PageRequest::new(Limits::STANDARD, sort, None, cursor)
    }

    fn encode(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn a_cursor_reads_back_as_the_row_it_names() {
        let id = Uuid::from_u128(7);
        let time = DateTime::from_timestamp_micros(1_700_000_000_123_456).unwrap();
        for (sort, value) in [
            (NEWEST, SortValue::Time(time)),
            (BY_TITLE, SortValue::Text("Áo dài \"đỏ\" 👘".into())),
        ] {
            let cursor = request(sort, None)
                .unwrap()
                .cursor((value.clone(), id), None);
            assert_eq!(
                request(sort, Some(&cursor)).unwrap().after,
                Some((value, id))
            );
        }
    }

    #[test]
    fn a_cursor_of_another_sort_or_a_damaged_one_is_refused() {
        let id = "00000000-0000-0000-0000-000000000007";
        let title = |value: &str| {
            encode(&format!(
                r#"{{"s":"title","d":"asc","v":{value},"i":"{id}"}}"#
            ))
        };
        let created = |value: &str| {
            encode(&format!(
                r#"{{"s":"created_at","d":"desc","v":{value},"i":"{id}"}}"#
            ))
        };
        assert!(request(BY_TITLE, Some(&title("\"a\""))).is_ok());
        assert!(request(NEWEST, Some(&created("5"))).is_ok());
        let bad = [
            (NEWEST, title("\"a\"")),
            (BY_TITLE, created("5")),
            (BY_TITLE, title("5")),
            (BY_TITLE, title("\"a\\u0000\"")),
            (NEWEST, created("-1")),
            (NEWEST, created("9223372036854775807")),
            (NEWEST, created("5")[1..].to_owned()),
            (NEWEST, String::new()),
            (NEWEST, "%%%".to_owned()),
            (NEWEST, "A".repeat(10_000)),
            (
                Sort {
                    direction: Direction::Asc,
                    ..NEWEST
                },
                created("5"),
            ),
        ];
        for (sort, cursor) in bad {
            assert_eq!(
                request(sort, Some(&cursor)),
                Err(PageError::InvalidCursor),
                "{cursor}"
            );
        }
    }

    #[test]
    fn a_page_has_one_to_two_hundred_rows() {
        let with =
            |limit| PageRequest::new(Limits::STANDARD, NEWEST, limit, None).map(|page| page.limit);
        assert_eq!(with(None), Ok(50));
        assert_eq!(with(Some(200)), Ok(200));
        for bad in [0, 201, u32::MAX] {
            assert_eq!(
                with(Some(bad)),
                Err(PageError::LimitOutOfRange { max: 200 })
            );
        }
    }

    #[test]
    fn the_last_page_has_no_next_one() {
        let request = PageRequest::new(Limits::STANDARD, BY_TITLE, Some(2), None).unwrap();
        let last = |row: &u128| (SortValue::Text(row.to_string()), Uuid::from_u128(*row));
        assert_eq!(request.page(vec![1, 2], last).next, None);
        let page = request.page(vec![1, 2, 3], last);
        assert_eq!(page.items, [1, 2]);
        assert_eq!(page.next, Some(request.cursor(last(&2), None)));
    }

    #[test]
    fn what_a_list_notes_down_comes_back_with_every_cursor() {
        let first = PageRequest::new(Limits::STANDARD, BY_TITLE, Some(1), None).unwrap();
        let last = |row: &u128| (SortValue::Text(row.to_string()), Uuid::from_u128(*row));
        assert_eq!(first.note::<[u8; 2]>(), Ok(None));
        let page = first.page_noting(vec![1, 2], last, Some([4, 2].into_iter().collect()));
        let second = request(BY_TITLE, page.next.as_deref()).unwrap();
        assert_eq!(second.note(), Ok(Some([4, 2])));
        let rows = (0..60).collect();
        let third = request(BY_TITLE, second.page(rows, last).next.as_deref()).unwrap();
        assert_eq!(third.note(), Ok(Some([4, 2])));
        assert_eq!(third.note::<String>(), Err(PageError::InvalidCursor));
    }
}
