//! Columns that are written in the names of folders: `year=2026/month=11/part-0.parquet`.

use std::path::{Component, Path};

/// What writers put where a value is null.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// Names and values of the folders `k=v` in the path of a file below its dataset; `None` is a null.
pub(crate) fn keys(below: &Path) -> Vec<(String, Option<String>)> {
    let folders = below.parent().into_iter().flat_map(Path::components);
    folders
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str()?.split_once('='),
            _ => None,
        })
        .filter(|(key, _)| !key.is_empty())
        .map(|(key, value)| (decode(key), (value != NULL).then(|| decode(value))))
        .collect()
}

/// `%3A` as a colon; what is no such code stays as it is.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|d| byte == b'%' && d.iter().all(u8::is_ascii_hexdigit));
        let code = digits.and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| u8::from_str_radix(d, 16).ok());
        match code {
            Some(code) => {
                bytes.push(code);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(byte);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_columns_and_the_file_is_none() {
        let keys = |path: &str| keys(Path::new(path));
        let pair = |k: &str, v: &str| (k.to_owned(), Some(v.to_owned()));
        assert_eq!(keys("year=2026/country=DE/a=b.parquet"), [pair("year", "2026"), pair("country", "DE")]);
        assert_eq!(keys("k=a%3Ab%2f%zz/x.csv"), [pair("k", "a:b/%zz")]);
        assert_eq!(keys("k=__HIVE_DEFAULT_PARTITION__/x.csv"), [("k".to_owned(), None)]);
        assert_eq!(keys("plain/=x/x.csv"), []);
    }
}
