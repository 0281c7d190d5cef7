//! Tables for people: columns of text, aligned, on the screen and in a file.
//!
//! Temperature: cold.

use std::fmt::Write as _;
use std::fs;

use super::blocks::target;

/// A table and what is said below it.
pub(super) struct Table {
    columns: &'static [&'static str],
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
}

impl Table {
    pub(super) const fn new(columns: &'static [&'static str]) -> Self {
        Self { columns, rows: vec![], notes: vec![] }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        assert_eq!(N, self.columns.len(), "a row has a cell per column");
        self.rows.push(cells.into());
    }

    /// A line below the table.
    pub(super) fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Prints it, and leaves it in `target/test/mainnet-NAME.txt`.
    pub(super) fn show(&self, name: &str) {
        let text = self.text();
        println!("{text}");
        leave(name, &text);
    }

    fn text(&self) -> String {
        let heads: Vec<String> = self.columns.iter().copied().map(String::from).collect();
        let lines = || std::iter::once(&heads).chain(&self.rows);
        let width = |column: usize| lines().map(|line| line[column].chars().count()).max();
        let widths: Vec<usize> = (0..heads.len()).filter_map(width).collect();
        let mut text = String::new();
        for line in lines() {
            let mut cells = String::new();
            for (cell, width) in line.iter().zip(&widths) {
                // Figures to the right, words to the left.
                match cell.parse::<f64>() {
                    Ok(_) => write!(cells, "{cell:>width$}  "),
                    Err(_) => write!(cells, "{cell:<width$}  "),
                }
                .expect("text grows");
            }
            text.push_str(cells.trim_end());
            text.push('\n');
        }
        for note in &self.notes {
            text.push_str(note);
            text.push('\n');
        }
        text
    }
}

/// Leaves a text in `target/test/mainnet-NAME.txt`.
pub(super) fn leave(name: &str, text: &str) {
    let target = target();
    fs::create_dir_all(&target).expect("the build's folder is writable");
    let file = target.join(format!("mainnet-{name}.txt"));
    fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
