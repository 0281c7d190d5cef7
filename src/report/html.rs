//! The few pieces of HTML that the report is made of, and the one place where text is escaped.
//!
//! Temperature: cold.

use std::fmt::{self, Display, Formatter, Write as _};

/// Text as it can stand between tags and in quoted attributes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        for part in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let (plain, entity) = match part.as_bytes().last() {
                Some(b'&') => (&part[..part.len() - 1], "&amp;"),
                Some(b'<') => (&part[..part.len() - 1], "&lt;"),
                Some(b'>') => (&part[..part.len() - 1], "&gt;"),
                Some(b'"') => (&part[..part.len() - 1], "&quot;"),
                Some(b'\'') => (&part[..part.len() - 1], "&#39;"),
                _ => (part, ""),
            };
            out.write_str(plain)?;
            out.write_str(entity)?;
        }
        Ok(())
    }
}

/// A cell of a table: a line, and perhaps a second one in small print.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    class: &'static str,
    title: Option<String>,
    first: String,
    second: Option<String>,
}

impl Cell {
    /// Text, or a dash when there is none.
    pub(super) fn text(text: &str) -> Self {
        let first = Escaped(if text.is_empty() { "–" } else { text }).to_string();
        Self { class: "", title: None, first, second: None }
    }

    /// Text that may be missing.
    pub(super) fn maybe(text: Option<&String>) -> Self {
        Self::text(text.map_or("", String::as_str))
    }

    /// Steps of a way, each kept in one piece.
    pub(super) fn way<'a>(steps: impl Iterator<Item = &'a str>) -> Self {
        let mut first = String::new();
        for step in steps {
            let opening = if first.is_empty() { "<span>" } else { " <span>→ " };
            first.extend([opening, &Escaped(step).to_string(), "</span>"]);
        }
        Self { first, ..Self::text("") }
    }

    /// Something with a length of its own, such as a hash: shown in part, there in full.
    pub(super) fn hash(text: &str) -> Self {
        let plain = Self::text(text);
        Self { first: hash(text).unwrap_or(plain.first), ..plain }
    }

    /// With this look.
    pub(super) fn class(self, class: &'static str) -> Self {
        Self { class, ..self }
    }

    /// With this said when the pointer rests on it.
    pub(super) fn titled(self, title: &str) -> Self {
        Self { title: Some(Escaped(title).to_string()), ..self }
    }

    /// With a second line, unless it is empty.
    pub(super) fn below(self, text: &str) -> Self {
        let second = (!text.is_empty()).then(|| Escaped(text).to_string());
        Self { second, ..self }
    }

    /// With a second line of a word and a hash, unless there is none.
    pub(super) fn hash_below(self, word: &str, text: Option<&String>) -> Self {
        let hash = text.and_then(|text| hash(text));
        Self { second: hash.map(|hash| format!("{} {hash}", Escaped(word))), ..self }
    }
}

fn hash(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| format!("<code class=\"hash\">{}</code>", Escaped(text)))
}

impl Cell {
    fn write(&self, kind: Kind, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { class, title, first, second } = self;
        out.write_str("<td")?;
        match (kind, *class) {
            (Kind::Number | Kind::Rank, "") => out.write_str(" class=\"number\"")?,
            (Kind::Number | Kind::Rank, class) => write!(out, " class=\"number {class}\"")?,
            (Kind::Text | Kind::Choice, "") => (),
            (Kind::Text | Kind::Choice, class) => write!(out, " class=\"{class}\"")?,
        }
        if let Some(title) = title {
            write!(out, " title=\"{title}\"")?;
        }
        write!(out, "><span>{first}</span>")?;
        if let Some(second) = second {
            write!(out, "<small>{second}</small>")?;
        }
        out.write_str("</td>")
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Text,
    /// A number, or a text that begins with one: it stands to the right.
    Number,
    /// The number by which the rows stand, the largest first.
    Rank,
    /// One of a few texts: the table can be filtered by it.
    Choice,
}

/// A table that scrolls within itself. The script adds sorting, and filters where they help.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) label: &'static str,
    pub(super) columns: &'a [(&'static str, Kind)],
    pub(super) rows: Vec<Vec<Cell>>,
}

impl Display for Table<'_> {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let Self { label, columns, rows } = self;
        write!(
            out,
            "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">\n\
             <table><thead><tr>"
        )?;
        for (name, kind) in *columns {
            let mark = match kind {
                Kind::Text => "",
                Kind::Number => " class=\"number\"",
                Kind::Rank => " class=\"number\" aria-sort=\"descending\"",
                Kind::Choice => " data-choice",
            };
            write!(out, "<th scope=\"col\"{mark}>{name}</th>")?;
        }
        out.write_str("</tr></thead>\n<tbody>\n")?;
        for row in rows {
            out.write_str("<tr>")?;
            for (cell, (_, kind)) in row.iter().zip(*columns) {
                cell.write(*kind, out)?;
            }
            out.write_str("</tr>\n")?;
        }
        out.write_str("</tbody></table></div>\n")
    }
}

/// A table of names and values.
pub(super) fn pairs(pairs: &[(String, String)]) -> Result<String, fmt::Error> {
    let mut out = String::from("<dl class=\"pairs\">\n");
    for (name, value) in pairs {
        writeln!(out, "<div><dt>{}</dt><dd>{}</dd></div>", Escaped(name), Escaped(value))?;
    }
    out.push_str("</dl>\n");
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_inert_between_tags_and_in_attributes() {
        let text = "<script>alert(\"1\" & '2')</script>é";
        let escaped = "&lt;script&gt;alert(&quot;1&quot; &amp; &#39;2&#39;)&lt;/script&gt;é";
        assert_eq!(Escaped(text).to_string(), escaped);
        assert_eq!(Escaped("").to_string(), "");
        let cell = Cell::text("<b>").titled("\"").below("<i>");
        let wanted = "<td title=\"&quot;\"><span>&lt;b&gt;</span><small>&lt;i&gt;</small></td>";
        assert_eq!(drawn(Kind::Text, cell), wanted);
    }

    fn drawn(kind: Kind, cell: Cell) -> String {
        let table = Table { label: "", columns: &[("", kind)], rows: vec![vec![cell]] }.to_string();
        let cell = table.split("<tr>").nth(2).and_then(|row| row.split("</tr>").next());
        cell.expect("a row").to_owned()
    }

    #[test]
    fn a_cell_without_text_has_a_dash_and_no_empty_lines() {
        assert_eq!(drawn(Kind::Text, Cell::hash("").below("")), "<td><span>–</span></td>");
        let cell = Cell::text("1").hash_below("follows", Some(&String::new()));
        assert_eq!(drawn(Kind::Number, cell), "<td class=\"number\"><span>1</span></td>");
    }
}
