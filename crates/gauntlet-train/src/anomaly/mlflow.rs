//! Metrics of an MLflow file store: `STORE/EXPERIMENT/RUN/metrics/NAME` holds lines of `timestamp value step`.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Monitor;
use crate::record::parameters::{files_below, mlflow_runs};

const MAX_FILE: u64 = 64 << 20;

/// Feeds the metrics of all runs to a monitor, `NAME` for a single run, else `RUN/NAME`; gives what could not be read.
pub fn mlflow_metrics(store: &Path, monitor: &mut Monitor) -> Vec<(String, String)> {
    let mut unread = Vec::new();
    let runs = mlflow_runs(store);
    let single = runs.len() == 1;
    for run in &runs {
        let folder = run.join("metrics");
        let id = run.file_name().map(|id| id.to_string_lossy().into_owned()).unwrap_or_default();
        for file in files_below(&folder) {
            let name = file.strip_prefix(&folder).unwrap_or(&file).display().to_string();
            let name = if single { name } else { format!("{id}/{name}") };
            match read(&file) {
                Ok(text) => {
                    if let Err(why) = feed(&text, &name, monitor) {
                        unread.push((name, why));
                    }
                }
                Err(why) => unread.push((name, why)),
            }
        }
    }
    unread
}

fn feed(text: &str, name: &str, monitor: &mut Monitor) -> Result<(), String> {
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let mut fields = line.split_whitespace();
        let value = fields.nth(1).and_then(|v| v.parse::<f64>().ok());
        let step = fields.next().and_then(|v| v.parse::<f64>().ok());
        let value = value.ok_or_else(|| format!("line {} is not `timestamp value step`", number + 1))?;
        monitor.push(name, step, value);
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("longer than {MAX_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "no UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::anomaly::AnomalyKind;
    use std::fs;

    #[test]
    fn a_file_store_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = dir.path().join("0/abc/metrics");
        fs::create_dir_all(metrics.join("val")).unwrap();
        fs::write(metrics.join("loss"), "1700000000000 0.5 0\n1700000001000 nan 1\n").unwrap();
        fs::write(metrics.join("val/loss"), "1700000000000 0.25 0\n").unwrap();
        fs::write(metrics.join("odd"), "x\n").unwrap();
        let mut monitor = Monitor::default();
        assert_eq!(mlflow_metrics(dir.path(), &mut monitor).len(), 1);
        assert_eq!(monitor.series().keys().collect::<Vec<_>>(), ["loss", "val/loss"]);
        assert_eq!(monitor.anomalies()[0].kind, AnomalyKind::NotANumber);
    }
}
