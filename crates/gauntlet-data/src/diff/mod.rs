//! What changed between two tables: columns, distributions, rows.

mod columns;
mod rows;

use std::path::Path;

use gauntlet_sketch::{Profile, SketchOptions};
use serde::Serialize;

use crate::profiling::{ProfileError, ReadOptions, is_profile, open_table, profile_of, read_profile, sketch_sha256};
use crate::table::Location;
pub use columns::ColumnChange;
pub use rows::{RowChange, RowPlace};

/// How to compare.
#[derive(Debug, Default)]
pub struct DiffOptions {
    /// Columns whose values together identify a row. Without them rows are compared as a whole: a row that changed is one
    /// that is gone and one that is new.
    pub key: Vec<String>,
}

/// One of the two tables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Rows.
    pub rows: u64,
    /// Identity of the content.
    pub content_hash: String,
    /// SHA-256 of the canonical profile.
    pub sketch_sha256: String,
}

/// What changed from one table to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diff {
    /// Whether the content is the same, whatever files, order of rows and format.
    pub same: bool,
    /// The first table.
    pub from: Side,
    /// The second table.
    pub to: Side,
    /// Whether the columns that both have stand in another order.
    pub reordered: bool,
    /// Columns that are new, gone, of another type, or distributed otherwise.
    pub columns: Vec<ColumnChange>,
    /// What became of the rows; `None` when the content is the same or the tables share no column of one type.
    pub rows: Option<RowChange>,
}

/// Compares the table at some locations with that at others, or two stored profiles.
///
/// # Errors
/// When a table cannot be read to its end, or a key column is missing or has another type on the other side.
pub fn diff(
    from: &[Location],
    to: &[Location],
    read: &ReadOptions<'_>,
    options: &DiffOptions,
) -> Result<Diff, ProfileError> {
    if let (Some(from), Some(to)) = (stored(from), stored(to)) {
        if !options.key.is_empty() {
            return Err(ProfileError::Question(
                "stored profiles hold no rows, so there is nothing to match by key".into(),
            ));
        }
        return Ok(summary(&read_profile(from)?, &read_profile(to)?));
    }
    if let Some(stored) = stored(from).or_else(|| stored(to)) {
        let what =
            "is a stored profile; compare it with another one: make that with `gauntlet data profile --output FILE`";
        return Err(ProfileError::Question(format!("{} {what}", stored.display())));
    }
    let tables = (open_table(from, read)?, open_table(to, read)?);
    let usual = SketchOptions::default();
    let common = rows::common(&tables.0, &tables.1);
    let key = rows::key(&tables.0, &tables.1, &common, &options.key)?;
    let profiles = (profile_of(&tables.0, read, &usual)?, profile_of(&tables.1, read, &usual)?);
    let mut diff = summary(&profiles.0, &profiles.1);
    if !diff.same && !common.is_empty() {
        let (rows, cells) = rows::compare(&tables.0, &tables.1, &common, &key, options, read.partitions())?;
        for (name, changed) in cells {
            columns::note_cells(&mut diff.columns, &name, changed);
        }
        diff.rows = Some(rows);
    }
    Ok(diff)
}

/// The one location that is a stored profile.
fn stored(locations: &[Location]) -> Option<&Path> {
    match locations {
        [only] => only.path().filter(|path| is_profile(path)),
        _ => None,
    }
}

/// What the two profiles tell: everything but the rows.
fn summary(from: &Profile, to: &Profile) -> Diff {
    let side = |profile: &Profile| Side {
        rows: profile.rows(),
        content_hash: profile.content.to_string(),
        sketch_sha256: sketch_sha256(profile),
    };
    let names = |a: &Profile, b: &Profile| -> Vec<String> {
        let both = a.columns.iter().filter(|column| b.column(&column.name).is_some());
        both.map(|column| column.name.clone()).collect()
    };
    Diff {
        same: from.content == to.content,
        from: side(from),
        to: side(to),
        reordered: names(from, to) != names(to, from),
        columns: columns::changes(from, to),
        rows: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::{Project, parquet};

    fn data(project: &Project) -> [Location; 1] {
        [project.root().join("data").to_str().unwrap().parse().unwrap()]
    }

    fn csv(rows: &[&str]) -> Project {
        Project::new().file("t.csv", format!("id,plan,note\n{}\n", rows.join("\n")))
    }

    fn compare(from: &Project, to: &Project, key: &[&str]) -> Diff {
        let options = DiffOptions { key: key.iter().map(|&name| name.to_owned()).collect() };
        diff(&data(from), &data(to), &ReadOptions::default(), &options).unwrap()
    }

    #[test]
    fn rows_are_told_apart_by_key() {
        let from = csv(&["1,basic,a", "2,pro,b", "3,pro,c", "4,pro,"]);
        let to = csv(&["4,pro,", "3,pro,x", "2,basic,y", "5,pro,e", "6,pro,f"]);
        let diff = compare(&from, &to, &["id"]);
        let rows = diff.rows.unwrap();
        assert_eq!((rows.same, rows.changed, rows.removed, rows.added), (1, 2, 1, 2));
        let numbers = |places: &[RowPlace]| places.iter().map(|place| place.row).collect::<Vec<_>>();
        assert_eq!(numbers(&rows.first_changed), [1, 2]);
        assert_eq!(numbers(&rows.first_added), [3, 4]);
        assert_eq!(numbers(&rows.first_removed), [0]);
        let cells = |name: &str| diff.columns.iter().find(|c| c.column == name).and_then(|c| c.changed_cells);
        assert_eq!((cells("plan"), cells("note")), (Some(1), Some(2)));
        // As whole rows, a change is a loss and a gain.
        let rows = compare(&from, &to, &[]).rows.unwrap();
        assert_eq!((rows.same, rows.changed, rows.removed, rows.added), (1, 0, 3, 4));
    }

    #[test]
    fn order_and_layout_are_no_difference() {
        let diff = compare(&csv(&["1,a,b", "2,c,d"]), &csv(&["2,c,d", "1,a,b"]), &["id"]);
        assert!(diff.same && diff.rows.is_none() && diff.columns.is_empty());
        let one = Project::new().file("a.parquet", parquet(3_000, 100));
        let other = Project::new().file("a.parquet", parquet(3_000, 3_000));
        assert!(compare(&one, &other, &[]).same);
    }

    #[test]
    fn repeated_keys_are_compared_as_groups() {
        let diff = compare(&csv(&["1,a,b", "1,a,b", "2,a,b"]), &csv(&["1,a,b", "1,a,c", "1,a,b", "2,a,b"]), &["id"]);
        let rows = diff.rows.unwrap();
        assert_eq!((rows.repeated_keys, rows.added, rows.removed, rows.changed), (1, 1, 0, 0));
        let twice = compare(&csv(&["1,a,b", "1,c,d"]), &csv(&["1,a,b", "1,c,e"]), &["id"]).rows.unwrap();
        assert_eq!((twice.changed, twice.same, twice.repeated_keys), (1, 1, 1));
    }

    #[test]
    fn columns_come_and_go_and_move() {
        let from = Project::new().file("t.csv", "id,old,x\n1,a,1\n2,a,2\n");
        let to = Project::new().file("t.csv", "x,id,new\n1,1,a\n1,2,a\n");
        let diff = compare(&from, &to, &["id"]);
        let names: Vec<&str> = diff.columns.iter().map(|c| c.column.as_str()).collect();
        assert_eq!(names, ["old", "x", "new"]);
        assert!(diff.reordered);
        assert_eq!(diff.columns[1].moved, Some(0.5));
        assert_eq!(diff.rows.unwrap().changed, 1);
    }

    #[test]
    fn stored_profiles_tell_what_their_tables_do_but_for_the_rows() {
        let (from, to) = (csv(&["1,a,b", "2,a,b", "3,a,b"]), csv(&["1,a,b", "2,a,b", "3,z,b"]));
        let whole = compare(&from, &to, &[]);
        let store = |project: &Project| -> [Location; 1] {
            let profile = crate::profile(&data(project), &ReadOptions::default(), &SketchOptions::default()).unwrap();
            let path = project.root().join("t.profile");
            crate::write_profile(&path, &profile).unwrap();
            [path.to_str().unwrap().parse().unwrap()]
        };
        let (a, b) = (store(&from), store(&to));
        let diff = super::diff(&a, &b, &ReadOptions::default(), &DiffOptions::default()).unwrap();
        assert_eq!((diff.same, diff.rows), (false, None));
        assert_eq!(diff.columns[0].column, "plan");
        assert_eq!((diff.from, diff.to), (whole.from, whole.to));
        let wrong = super::diff(&a, &data(&to), &ReadOptions::default(), &DiffOptions::default()).unwrap_err();
        assert!(wrong.to_string().contains("stored profile"), "{wrong}");
    }

    #[test]
    fn a_key_that_is_not_there_is_an_error_with_a_hint() {
        let project = csv(&["1,a,b"]);
        let options = DiffOptions { key: vec!["ids".to_owned()] };
        let path = data(&project);
        let error = super::diff(&path, &path, &ReadOptions::default(), &options).unwrap_err();
        assert!(error.to_string().contains("did you mean `id`?"), "{error}");
    }
}
