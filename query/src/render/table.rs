//! Tables as text for other programs: CSV as in RFC 4180, and Markdown.

/// Cells by row; each row has as many as the head.
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn to_csv(&self) -> String {
        let line = |cells: &Vec<String>| cells.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",") + "\r\n";
        std::iter::once(&self.head).chain(&self.rows).map(line).collect()
    }

    pub(super) fn to_markdown(&self) -> String {
        let line = |cells: &mut dyn Iterator<Item = String>| format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "));
        let mut text = line(&mut self.head.iter().map(|cell| markdown_cell(cell)));
        text += &line(&mut self.head.iter().map(|_| "---".to_owned()));
        for row in &self.rows {
            text += &line(&mut row.iter().map(|cell| markdown_cell(cell)));
        }
        text
    }
}

/// Quoted where it has to be. What a spreadsheet would take for a formula is kept from being one: texts come from whoever
/// sends spans.
fn csv_cell(cell: &str) -> String {
    let is_number = cell.parse::<f64>().is_ok();
    let is_formula = !is_number && cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if is_formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

fn markdown_cell(cell: &str) -> String {
    let mut text = String::with_capacity(cell.len());
    for c in cell.chars() {
        match c {
            '\n' | '\r' => text.push(' '),
            '|' | '\\' | '`' | '<' | '[' | '*' | '_' => text.extend(['\\', c]),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(cells: &[&str]) -> Table {
        let rows = vec![cells.iter().map(|cell| (*cell).to_owned()).collect()];
        Table { head: cells.iter().map(|_| "a".to_owned()).collect(), rows }
    }

    #[test]
    fn cells_that_would_break_a_line_of_csv_are_quoted() {
        let csv = table(&["plain", "a,b", "say \"no\"", "two\nlines", "", "-1.5"]).to_csv();
        assert_eq!(csv, "a,a,a,a,a,a\r\nplain,\"a,b\",\"say \"\"no\"\"\",\"two\nlines\",,-1.5\r\n");
    }

    #[test]
    fn texts_are_no_formulas() {
        assert_eq!(table(&["=1+1", "@x", "+cmd"]).to_csv(), "a,a,a\r\n'=1+1,'@x,'+cmd\r\n");
    }

    #[test]
    fn cells_cannot_leave_a_markdown_table() {
        let markdown = table(&["a|b", "two\nlines", "<b>"]).to_markdown();
        assert_eq!(markdown, "| a | a | a |\n| --- | --- | --- |\n| a\\|b | two lines | \\<b> |\n");
    }
}
