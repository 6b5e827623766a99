//! Seeded mutations of gauntlet.yaml: always an answer, and what is read is the same after writing and reading it again.

use gauntlet_core::{Project, canonical};

const SEEDS: &[&[u8]] = &[
    include_bytes!("../../../testdata/project/full.yaml"),
    include_bytes!("../../../testdata/project/minimal.yaml"),
    b"{\"version\": 1, \"project\": \"p\", \"kind\": \"vision\", \"risk\": \"limited\", \"models\": {\"m\": {\"path\": \"m.onnx\"}}}",
];

struct Xorshift(u64);

impl Xorshift {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    /// Truncates, flips, replaces by a character that means something in YAML, splices, or doubles a part.
    fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let to = (at + self.below(40)).min(bytes.len());
            match self.below(6) {
                0 => bytes.truncate(at),
                1 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                2 | 3 if !bytes.is_empty() => {
                    let meaningful = b":-?[]{},#&*!|>'\"%@`\n\t \\~<=.0";
                    bytes[at] = meaningful[self.below(meaningful.len())];
                }
                4 => {
                    let other = SEEDS[self.below(SEEDS.len())];
                    let from = self.below(other.len());
                    let part = other[from..(from + self.below(60)).min(other.len())].to_vec();
                    bytes.splice(at..to, part);
                }
                _ => {
                    let part = bytes[at..to].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        bytes
    }
}

#[test]
fn mutated_projects_end_in_an_answer_that_survives_writing() {
    let mut random = Xorshift(0x9e37_79b9_7f4a_7c15);
    let mut read = 0;
    for round in 0..10_000 {
        let bytes = random.mutate(SEEDS[round % SEEDS.len()]);
        match Project::parse("gauntlet.yaml", &bytes) {
            Ok(project) => {
                read += 1;
                let written = canonical::to_vec(&project).unwrap();
                let again = Project::parse("gauntlet.yaml", &written);
                let again = again.unwrap_or_else(|errors| panic!("round {round}: {errors:?}"));
                assert_eq!(canonical::to_vec(&again).unwrap(), written, "round {round}");
            }
            Err(errors) => {
                assert!(
                    !errors.is_empty() && errors.iter().all(|error| !error.to_string().is_empty()),
                    "round {round}"
                );
            }
        }
    }
    // Mutations that never leave a valid file would test only the first lines of the parser.
    assert!(read > 100, "only {read} mutated projects were valid");
}

#[test]
fn every_seed_is_read() {
    for seed in SEEDS {
        Project::parse("gauntlet.yaml", seed).unwrap();
    }
}
