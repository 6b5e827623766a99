//! Jupyter notebooks: cells joined into one module, and a map from its lines back to cells and to lines of the JSON.

use std::ops::Range;

use gauntlet_limits::{Limit, LimitHit, Limits};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A notebook that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notebook {
    /// The code cells as one text for [`crate::analyze_cells`]: each cell without its last newline, one newline between.
    pub source: String,
    /// The bytes of each code cell in `source`.
    pub cells: Vec<Range<usize>>,
    /// Where each line of `source` comes from.
    pub lines: Vec<Origin>,
    /// Every piece of text with its place: sources of all cells as they are written, outputs, metadata.
    pub texts: Vec<Text>,
    /// Pictures and other binary outputs that were left out, by MIME type.
    pub skipped: Vec<String>,
}

/// Where a line of a notebook's text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The cell, from 0, counting every cell.
    pub cell: u32,
    /// The line in the cell's source, from 1; none outside sources.
    pub cell_line: Option<u32>,
    /// The line of the JSON file, from 1.
    pub json_line: u32,
}

/// A piece of text in a notebook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text, JSON escapes resolved.
    pub text: String,
    /// What it is.
    pub kind: TextKind,
    /// Where each of its lines comes from.
    pub lines: Vec<Origin>,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextKind {
    /// The source of a code cell.
    Code,
    /// The source of a Markdown or raw cell.
    Prose,
    /// What a cell printed or showed.
    Output,
    /// Metadata, as JSON.
    Metadata,
}

/// The notebook was not read.
#[derive(Debug, thiserror::Error)]
pub enum NotebookError {
    /// It is not a notebook in JSON.
    #[error("malformed notebook")]
    Malformed(#[from] serde_json::Error),
    /// The JSON has neither cells nor worksheets.
    #[error("the notebook has no cells")]
    NoCells,
    /// It is larger than the limits allow.
    #[error(transparent)]
    Limit(#[from] LimitHit),
}

#[derive(Deserialize)]
struct RawNotebook<'a> {
    #[serde(borrow, default)]
    cells: Option<Vec<RawCell<'a>>>,
    /// Version 3.
    #[serde(borrow, default)]
    worksheets: Option<Vec<RawSheet<'a>>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawSheet<'a> {
    #[serde(borrow, default)]
    cells: Vec<RawCell<'a>>,
}

#[derive(Deserialize)]
struct RawCell<'a> {
    cell_type: String,
    #[serde(borrow, default, alias = "input")]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    outputs: Vec<RawOutput<'a>>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attachments: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawOutput<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    traceback: Option<&'a RawValue>,
    #[serde(borrow, default)]
    evalue: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: std::collections::BTreeMap<String, &'a RawValue>,
}

/// Reads a notebook.
///
/// # Errors
/// [`NotebookError`] when the text is no notebook, is nested more than 128 deep (serde_json's limit), or is larger than
/// [`Limits::header_bytes`].
pub fn read(json: &str, limits: &Limits) -> Result<Notebook, NotebookError> {
    limits.check(Limit::HeaderBytes, json.len() as u64)?;
    let raw: RawNotebook<'_> = serde_json::from_str(json)?;
    if raw.cells.is_none() && raw.worksheets.is_none() {
        return Err(NotebookError::NoCells);
    }
    let mut reader = Reader { json, starts: newlines(json), out: Notebook::default() };
    let sheets = raw.worksheets.unwrap_or_default().into_iter().flat_map(|s| s.cells);
    let mut last = 0;
    for (index, cell) in raw.cells.unwrap_or_default().into_iter().chain(sheets).enumerate() {
        last = u32::try_from(index).unwrap_or(u32::MAX);
        reader.cell(last, &cell)?;
    }
    if let Some(metadata) = raw.metadata {
        reader.verbatim(last, metadata, TextKind::Metadata);
    }
    Ok(reader.out)
}

struct Reader<'a> {
    json: &'a str,
    /// Offsets of the newlines of `json`.
    starts: Vec<usize>,
    out: Notebook,
}

impl<'a> Reader<'a> {
    fn json_line(&self, part: &'a RawValue) -> u32 {
        // The part is a slice of the file's text, so its distance from the start is its offset.
        let offset = (part.get().as_ptr() as usize).saturating_sub(self.json.as_ptr() as usize);
        u32::try_from(self.starts.partition_point(|&newline| newline < offset) + 1).unwrap_or(u32::MAX)
    }

    fn cell(&mut self, index: u32, cell: &RawCell<'a>) -> Result<(), NotebookError> {
        let kind = if cell.cell_type == "code" { TextKind::Code } else { TextKind::Prose };
        if let Some(source) = cell.source {
            let mut text = self.text(index, source, kind)?;
            text.lines.iter_mut().zip(1..).for_each(|(origin, n)| origin.cell_line = Some(n));
            if kind == TextKind::Code {
                self.code(&text);
            }
            self.out.texts.push(text);
        }
        for output in &cell.outputs {
            for part in [output.text, output.evalue, output.traceback].into_iter().flatten() {
                let text = self.text(index, part, TextKind::Output)?;
                self.out.texts.push(text);
            }
            for (mime, part) in &output.data {
                if is_picture(mime) {
                    self.out.skipped.push(mime.clone());
                } else if mime.starts_with("text/") || mime == "image/svg+xml" || mime == "application/javascript" {
                    let text = self.text(index, part, TextKind::Output)?;
                    self.out.texts.push(text);
                } else {
                    self.verbatim(index, part, TextKind::Output);
                }
            }
        }
        if let Some(metadata) = cell.metadata {
            self.verbatim(index, metadata, TextKind::Metadata);
        }
        if cell.attachments.is_some() {
            self.out.skipped.push("attachment".to_owned());
        }
        Ok(())
    }

    /// Adds a code cell to the module. Cells in another language become blank lines, so that line numbers hold.
    fn code(&mut self, text: &Text) {
        let start = self.out.source.len() + usize::from(!self.out.cells.is_empty());
        if !self.out.cells.is_empty() {
            self.out.source.push('\n');
        }
        let body = text.text.trim_end_matches(['\n', '\r']);
        let foreign = is_foreign(body);
        let lines: Vec<&str> = body.split('\n').collect();
        for (n, line) in lines.iter().enumerate() {
            if n > 0 {
                self.out.source.push('\n');
            }
            // A lone carriage return would be a line for the parser and none for the map.
            if !foreign {
                self.out.source.push_str(&line.replace('\r', " "));
            }
            let origin = text.lines.get(n).or(text.lines.last()).copied();
            self.out.lines.push(origin.unwrap_or(Origin { cell: 0, cell_line: None, json_line: 1 }));
        }
        self.out.cells.push(start..self.out.source.len());
    }

    /// A string, or a list of strings, with the JSON line of each line.
    fn text(&self, cell: u32, part: &'a RawValue, kind: TextKind) -> Result<Text, NotebookError> {
        let pieces: Vec<&'a RawValue> =
            if part.get().starts_with('[') { serde_json::from_str(part.get())? } else { vec![part] };
        let mut out = Text { text: String::new(), kind, lines: Vec::new() };
        let mut open = false;
        for piece in pieces {
            let line = self.json_line(piece);
            let text: String = serde_json::from_str(piece.get())?;
            let origin = Origin { cell, cell_line: None, json_line: line };
            let newlines = text.bytes().filter(|&b| b == b'\n').count();
            // The first line of a piece goes on with the line that the piece before left open.
            let fresh = newlines + usize::from(!text.ends_with('\n') && !text.is_empty())
                - usize::from(open && !text.is_empty());
            out.lines.extend(std::iter::repeat_n(origin, fresh));
            open = if text.is_empty() { open } else { !text.ends_with('\n') };
            out.text.push_str(&text);
        }
        if out.lines.is_empty() {
            out.lines.push(Origin { cell, cell_line: None, json_line: self.json_line(part) });
        }
        Ok(out)
    }

    /// A part as it is written in the file.
    fn verbatim(&mut self, cell: u32, part: &'a RawValue, kind: TextKind) {
        let first = self.json_line(part);
        let lines = (first..).take(part.get().bytes().filter(|&b| b == b'\n').count() + 1);
        let lines = lines.map(|json_line| Origin { cell, cell_line: None, json_line }).collect();
        self.out.texts.push(Text { text: part.get().to_owned(), kind, lines });
    }
}

/// Types whose text is base64 of pixels or pages.
fn is_picture(mime: &str) -> bool {
    (mime.starts_with("image/") && mime != "image/svg+xml")
        || mime.starts_with("audio/")
        || mime.starts_with("video/")
        || mime == "application/pdf"
}

/// Whether a cell magic hands the cell to something else than this Python.
fn is_foreign(body: &str) -> bool {
    const STAY: &[&str] =
        &["time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "python", "python3", "debug", "heat"];
    let first = body.lines().find(|l| !l.trim().is_empty()).unwrap_or_default().trim_start();
    let Some(magic) = first.strip_prefix("%%") else { return false };
    let name = magic.split_whitespace().next().unwrap_or_default();
    !STAY.contains(&name)
}

/// Offsets of newlines.
fn newlines(text: &str) -> Vec<usize> {
    text.bytes().enumerate().filter(|&(_, b)| b == b'\n').map(|(at, _)| at).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notebook(cells: &str) -> String {
        format!("{{\n \"cells\": [\n{cells}\n ],\n \"metadata\": {{}}, \"nbformat\": 4, \"nbformat_minor\": 5\n}}\n")
    }

    #[test]
    fn lines_are_mapped_to_cells_and_to_the_file() {
        let json = notebook(
            "  {\"cell_type\": \"markdown\", \"metadata\": {}, \"source\": \"# a\\nb\"},\n  {\"cell_type\": \"code\", \"metadata\": {}, \"outputs\": [],\n   \"source\": [\n    \"import x\\n\",\n    \"x.y()\"\n   ]}",
        );
        let read = read(&json, &Limits::default()).unwrap();
        assert_eq!(read.source, "import x\nx.y()");
        assert_eq!(read.cells, std::slice::from_ref(&(0..14)));
        assert_eq!(read.lines[1], Origin { cell: 1, cell_line: Some(2), json_line: 7 });
        assert_eq!(
            read.texts[0].lines,
            [
                Origin { cell: 0, cell_line: Some(1), json_line: 3 },
                Origin { cell: 0, cell_line: Some(2), json_line: 3 }
            ]
        );
    }

    #[test]
    fn cells_in_another_language_leave_blank_lines() {
        let json = notebook(
            "{\"cell_type\":\"code\",\"source\":\"%%bash\\necho {\\n\"},{\"cell_type\":\"code\",\"source\":\"%%time\\nf()\"}",
        );
        let read = read(&json, &Limits::default()).unwrap();
        assert_eq!(read.source, "\n\n%%time\nf()");
        assert_eq!(read.cells, [0..1, 2..12]);
        assert_eq!(read.lines.len(), 4);
    }

    #[test]
    fn pictures_are_left_out_and_said() {
        let json = notebook(
            "{\"cell_type\":\"code\",\"source\":\"\",\"outputs\":[{\"output_type\":\"display_data\",\"data\":{\"image/png\":\"iVBO\",\"text/plain\":[\"a\\n\",\"b\"]}}]}",
        );
        let read = read(&json, &Limits::default()).unwrap();
        assert_eq!(read.skipped, ["image/png"]);
        assert!(read.texts.iter().any(|t| t.text == "a\nb" && t.kind == TextKind::Output));
    }

    #[test]
    fn what_is_no_notebook_is_refused() {
        for text in [
            "",
            "{}",
            "[]",
            "{\"cells\": 3}",
            "{\"cells\": [{\"cell_type\": \"code\", \"source\": 3}]}",
            &"[".repeat(100_000),
        ] {
            assert!(read(text, &Limits::default()).is_err(), "{}", &text[..text.len().min(40)]);
        }
        let small = Limits { header_bytes: 10, ..Limits::default() };
        assert!(matches!(read(&notebook(""), &small), Err(NotebookError::Limit(_))));
    }
}
