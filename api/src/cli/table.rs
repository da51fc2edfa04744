//! Tables for terminals: columns as wide as their widest cell, two spaces between them. Used by the operators'
//! commands.

use std::fmt::Write;

/// Renders rows under a header; columns of whole numbers stand to the right.
pub(super) fn render(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells
            .chain(header.get(column).map(|title| title.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let numeric: Vec<bool> = (0..header.len())
        .map(|column| {
            let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
            cells.peek().is_some() && cells.all(|cell| cell.chars().all(|c| c.is_ascii_digit()))
        })
        .collect();
    let mut text = String::new();
    let titles: Vec<String> = header.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), numeric) in row.iter().zip(&widths).zip(&numeric) {
            // writing into a String cannot fail
            let _ = if *numeric {
                write!(line, "{cell:>width$}  ")
            } else {
                write!(line, "{cell:<width$}  ")
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_numbers_stand_right() {
        let rows = vec![
            vec!["orders_v1".into(), "7".into()],
            vec!["đơn".into(), "1234".into()],
        ];
        assert_eq!(
            render(&["NAME", "POSITION"], &rows),
            "NAME       POSITION\norders_v1         7\nđơn            1234\n"
        );
    }

    #[test]
    fn a_table_without_rows_is_its_header() {
        assert_eq!(render(&["NAME", "LAG"], &[]), "NAME  LAG\n");
    }
}
