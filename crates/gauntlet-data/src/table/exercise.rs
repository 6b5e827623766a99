//! Bytes of any origin through every reader, for fuzzing and mutation tests.

use std::sync::Arc;

use gauntlet_core::Limits;

use super::source::Source;
use super::{Scan, Table};

/// Reads `bytes` as the table that `name` announces, to its end. Gives the rows that were read and what was wrong.
#[must_use]
pub fn exercise(name: &str, bytes: Vec<u8>, limits: &Limits) -> (u64, Vec<String>) {
    let (table, problems) = Table::from_sources(vec![Source::memory(name, bytes, limits)]);
    let mut said: Vec<String> = problems.into_iter().map(|problem| problem.what).collect();
    let table = Arc::new(table);
    let pass = Scan::watching(Arc::clone(&table), (0..table.columns.len()).collect());
    let mut rows = 0;
    pass.for_each(&mut |batch| rows += batch.num_rows() as u64);
    said.extend(pass.finish().1.into_iter().map(|problem| problem.what));
    (rows, said)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::parquet::arrow::ArrowWriter;
    use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use arrow::ipc::CompressionType;
    use arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
    use std::io::Write as _;

    const ROWS: u64 = 3_000;

    fn batch(from: i64, rows: i64) -> RecordBatch {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + rows));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter((from..from + rows).map(|i| (i % 7 != 0).then(|| format!("text {i}")))));
        let numbers: ArrayRef = Arc::new(Float64Array::from_iter_values((from..from + rows).map(|i| i as f64 / 8.0)));
        RecordBatch::try_from_iter([("id", ids), ("text", texts), ("number", numbers)]).unwrap()
    }

    fn parts() -> impl Iterator<Item = RecordBatch> {
        (0..3).map(|part| batch(part * 1_000, 1_000))
    }

    fn zigzag(number: i64, out: &mut Vec<u8>) {
        let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn avro(codec: &str) -> Vec<u8> {
        let schema = r#"{"type":"record","name":"r","fields":[{"name":"id","type":"long"},{"name":"text","type":["null","string"]}]}"#;
        let mut out = b"Obj\x01".to_vec();
        zigzag(2, &mut out);
        for (key, value) in [("avro.schema", schema), ("avro.codec", codec)] {
            zigzag(key.len() as i64, &mut out);
            out.extend(key.as_bytes());
            zigzag(value.len() as i64, &mut out);
            out.extend(value.as_bytes());
        }
        out.push(0);
        out.extend([7; 16]);
        for part in 0..3 {
            let mut data = Vec::new();
            for id in part * 1_000..(part + 1) * 1_000 {
                zigzag(id, &mut data);
                let text = format!("text {id}");
                zigzag(1, &mut data);
                zigzag(text.len() as i64, &mut data);
                data.extend(text.as_bytes());
            }
            if codec == "deflate" {
                let mut packed = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
                packed.write_all(&data).unwrap();
                data = packed.finish().unwrap();
            }
            zigzag(1_000, &mut out);
            zigzag(data.len() as i64, &mut out);
            out.extend(data);
            out.extend([7; 16]);
        }
        out
    }

    fn npy() -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({ROWS}, 8), }}");
        let mut out = b"\x93NUMPY\x01\0".to_vec();
        out.extend((header.len() as u16).to_le_bytes());
        out.extend(header.as_bytes());
        (0..ROWS as u32 * 8).for_each(|i| out.extend((i as f32).to_le_bytes()));
        out
    }

    /// One sound file of every format that is read, each with `ROWS` rows.
    fn seeds() -> Vec<(&'static str, Vec<u8>)> {
        let mut parquet = ArrowWriter::try_new(Vec::new(), batch(0, 1).schema(), None).unwrap();
        let mut file = FileWriter::try_new(Vec::new(), &batch(0, 1).schema()).unwrap();
        let mut stream = StreamWriter::try_new(Vec::new(), &batch(0, 1).schema()).unwrap();
        for part in parts() {
            parquet.write(&part).unwrap();
            parquet.flush().unwrap();
            file.write(&part).unwrap();
            stream.write(&part).unwrap();
        }
        let csv: String = (0..ROWS).map(|i| format!("{i},\"a \"\"b\"\"\",{}\n", i as f64 / 8.0)).collect();
        let json: String = (0..ROWS).map(|i| format!("{{\"id\": {i}, \"text\": \"a\\n\", \"x\": [1, {{}}]}}\n")).collect();
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gz.write_all(format!("id,text,number\n{csv}").as_bytes()).unwrap();
        vec![
            ("a.csv", format!("id,text,number\n{csv}").into_bytes()),
            ("a.tsv", format!("id\ttext\tnumber\n{}", csv.replace(',', "\t")).into_bytes()),
            ("a.csv.gz", gz.finish().unwrap()),
            ("a.jsonl", json.into_bytes()),
            ("a.parquet", parquet.into_inner().unwrap()),
            ("a.arrow", file.into_inner().unwrap()),
            ("a.arrows", stream.into_inner().unwrap()),
            ("a.avro", avro("null")),
            ("b.avro", avro("deflate")),
            ("a.npy", npy()),
        ]
    }

    #[test]
    fn every_format_is_read_to_its_end() {
        for (name, bytes) in seeds() {
            assert_eq!(exercise(name, bytes, &Limits::default()), (ROWS, vec![]), "{name}");
        }
        let options = IpcWriteOptions::default().try_with_compression(Some(CompressionType::LZ4_FRAME));
        if let Ok(options) = options {
            let mut file = FileWriter::try_new_with_options(Vec::new(), &batch(0, 1).schema(), options).unwrap();
            if parts().all(|part| file.write(&part).is_ok()) {
                file.finish().unwrap();
                let (rows, said) = exercise("a.feather", file.into_inner().unwrap(), &Limits::default());
                assert_eq!((rows, said), (ROWS, vec![]));
            }
        }
    }

    #[test]
    fn a_file_that_was_cut_anywhere_is_never_a_shorter_one() {
        for (name, bytes) in seeds() {
            // Lines end where they end: a text cut there is a sound text, which only the manifest's digest tells.
            let text = matches!(name, "a.csv" | "a.tsv" | "a.jsonl");
            for i in 1..40 {
                let cut = bytes.len() * i / 40;
                let (rows, said) = exercise(name, bytes[..cut].to_vec(), &Limits::default());
                let at_line = text && bytes.get(cut - 1) == Some(&b'\n');
                // A number that lost its last digits is a number.
                let last_field = matches!(name, "a.csv" | "a.tsv");
                // An Arrow stream without an end mark ends behind any message.
                let at_message = name == "a.arrows" && rows % 1_000 == 0;
                assert!(!said.is_empty() || at_line || last_field || at_message, "{name} cut at {cut}: {rows} rows");
            }
        }
    }

    #[test]
    fn mutated_files_are_answered_and_stay_within_bounds() {
        let mut state = 0x9E37_79B9_7F4A_7C15u64;
        let mut next = move |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % n.max(1) as u64) as usize
        };
        let limits = Limits { expanded_bytes: 64 << 20, ..Limits::default() };
        let seeds = seeds();
        for (name, sound) in &seeds {
            for round in 0..60 {
                let mut bytes = sound.clone();
                match round % 4 {
                    // Lengths and offsets stand at both ends.
                    0 => (0..4).for_each(|_| bytes[next(400.min(sound.len()))] ^= 1 << next(8)),
                    1 => (0..4).for_each(|_| {
                        let at = bytes.len() - 1 - next(600.min(sound.len()));
                        bytes[at] = next(256) as u8;
                    }),
                    2 => {
                        let (from, to) = (next(bytes.len()), next(bytes.len()));
                        let piece = bytes[from..(from + 64).min(sound.len())].to_vec();
                        bytes.splice(to..to, piece);
                    }
                    _ => {
                        let at = next(bytes.len());
                        bytes[at] ^= 0x80;
                        bytes.truncate(sound.len() - next(64));
                    }
                }
                let (rows, _) = exercise(name, bytes, &limits);
                assert!(rows <= 20 * ROWS, "{name}: {rows} rows");
            }
        }
    }

    #[test]
    fn zstd_text_is_read() {
        // One frame with one raw block: the simplest file of the format (RFC 8878).
        let text = b"id\n1\n2\n";
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x20, text.len() as u8];
        let block = (text.len() as u32) << 3 | 1;
        frame.extend(&block.to_le_bytes()[..3]);
        frame.extend(text);
        assert_eq!(exercise("a.csv.zst", frame.clone(), &Limits::default()), (2, vec![]));
        frame.pop();
        assert!(!exercise("a.csv.zst", frame, &Limits::default()).1.is_empty());
    }
}
