//! Folders of pictures: a row each, with its path, the folder as label, its size and the digest of its bytes. Pixels are
//! for those who look at them.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::DataType;
use gauntlet_core::SkipCode;

use super::Column;
use super::format::{Entry, Opened, Reader, Stop, Wanted};
use super::provider::Sink;
use super::source::{Refusal, Source};
use crate::facts::Format;

pub(super) const FORMAT: Entry = Entry {
    format: Format::Picture,
    extensions: &["png", "jpg", "jpeg", "gif", "bmp", "webp", "tif", "tiff"],
    open,
};

#[derive(Debug)]
struct Picture {
    source: Source,
}

fn open(source: &Source) -> Result<Opened, Refusal> {
    // Whether it is a picture at all is asked by `data/ingest`; an empty one has no row to give.
    if source.size() == 0 {
        return Err((SkipCode::Malformed, "an empty file".to_owned()));
    }
    let column = |name: &str, stored: DataType| {
        let scanned = stored.clone();
        Column { name: name.to_owned(), stored, scanned, typed: None, text_file: false }
    };
    let columns = vec![
        column("path", DataType::Utf8),
        column("label", DataType::Utf8),
        column("size", DataType::Int64),
        column("sha256", DataType::Utf8),
    ];
    Ok(Opened { reader: Arc::new(Picture { source: source.clone() }), columns, open_ended: false })
}

impl Reader for Picture {
    fn read(&self, _: usize, wanted: &[Wanted<'_>], sink: &Sink<'_>) -> Result<(), Stop> {
        let text = |text: Option<String>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
        let mut arrays = Vec::with_capacity(wanted.len());
        for column in wanted {
            arrays.push(match column.name {
                "path" => text(Some(self.source.path.clone())),
                "label" => text(label(&self.source.path)),
                "size" => Arc::new(Int64Array::from(vec![i64::try_from(self.source.size()).ok()])) as ArrayRef,
                _ => text(Some(hex::encode(self.source.sha256()?))),
            });
        }
        sink.rows([0], arrays)?;
        sink.count(1);
        Ok(())
    }
}

/// The folder that a picture lies in; in `label=cat` the part behind the sign.
fn label(path: &str) -> Option<String> {
    let folder = Path::new(path).parent()?.file_name()?.to_str()?;
    Some(folder.rsplit_once('=').map_or(folder, |(_, value)| value).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_the_label() {
        assert_eq!(label("data/cat/1.png").as_deref(), Some("cat"));
        assert_eq!(label("data/label=dog/1.png").as_deref(), Some("dog"));
        assert_eq!(label("1.png"), None);
    }
}
