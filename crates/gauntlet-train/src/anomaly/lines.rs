//! Finds `name=1.5`, `name: 1.5` and `"name": 1.5` in lines of output.

/// Names that a run's output is searched for.
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    names: Vec<String>,
}

impl Pattern {
    /// These names, or, without any, every name with `loss` or `agreement` in it.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        Self { names: names.to_vec() }
    }

    fn wants(&self, name: &str) -> bool {
        if self.names.is_empty() {
            let name = name.to_ascii_lowercase();
            return name.contains("loss") || name.contains("agreement");
        }
        self.names.iter().any(|wanted| wanted == name)
    }

    /// The values in a line, with their names.
    #[must_use]
    pub fn values(&self, line: &str) -> Vec<(String, f64)> {
        let mut found = Vec::new();
        let mut rest = line;
        while let Some(at) = rest.find(['=', ':']) {
            let (before, after) = rest.split_at(at);
            rest = after.get(1..).unwrap_or_default();
            let before = before.trim_end().trim_end_matches(['"', '\'']);
            let start = before
                .rfind(|c: char| !is_name(c))
                .map_or(0, |i| i + before[i..].chars().next().map_or(1, char::len_utf8));
            let name = &before[start..];
            if name.is_empty() || name.len() > 200 || !self.wants(name) {
                continue;
            }
            let value = rest.trim_start();
            let end = value.find(|c: char| !is_number(c)).unwrap_or(value.len());
            if let Ok(number) = value[..end].trim_end_matches(['.', ',']).parse::<f64>() {
                found.push((name.to_owned(), number));
            }
        }
        found
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.')
}

/// Letters too: `nan`, `inf`, exponents.
fn is_number(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_ways_to_print_a_metric_are_read() {
        let pattern = Pattern::new(&[]);
        let one = |line: &str| pattern.values(line);
        assert_eq!(
            one("Epoch 3: train_loss=0.25, val/loss: 1e-3"),
            [("train_loss".into(), 0.25), ("val/loss".into(), 0.001)]
        );
        assert_eq!(one("{'loss': 0.5, \"eval_loss\": 0.75}"), [("loss".into(), 0.5), ("eval_loss".into(), 0.75)]);
        assert_eq!(one("loss = -inf"), [("loss".into(), f64::NEG_INFINITY)]);
        assert!(one("loss=nan")[0].1.is_nan());
        assert!(one("loss: none, accuracy: 1, url: http://x").is_empty());
        assert_eq!(Pattern::new(&["acc".into()]).values("acc=0.9 loss=1"), [("acc".into(), 0.9)]);
    }

    #[test]
    fn any_line_is_read_or_passed_over() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let seeds = ["loss=0.5", "\"loss\": nan", "é=loss=:=::\"", "loss=\u{1F600}1.5"];
        for round in 0..20_000 {
            let mut bytes = seeds[round % seeds.len()].as_bytes().to_vec();
            for _ in 0..3 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = (state % bytes.len() as u64) as usize;
                bytes[at] = (state >> 32) as u8;
            }
            let _ = Pattern::new(&[]).values(&String::from_utf8_lossy(&bytes));
        }
    }
}
