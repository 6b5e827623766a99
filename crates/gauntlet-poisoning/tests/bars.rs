//! The figures that this crate is held to, on data that everybody knows: five seeds each, nothing tuned to a seed.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail the test and show their figures")]

use gauntlet_poisoning::stats::{auc, precision_at_n};
use gauntlet_poisoning::{
    LabelErrors, LabelOptions, Matrix, Patch, Scale, clusters, cross_validate, label_errors, patches, spectral_scores,
};

const SEEDS: u64 = 5;

struct Data {
    matrix: Matrix,
    labels: Vec<u32>,
    classes: usize,
    neighbours: usize,
    scale: Scale,
}

fn read(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testdata/data/poisoning/");
    std::fs::read_to_string(format!("{folder}{name}")).unwrap()
}

fn digits() -> Data {
    let text = read("digits.txt");
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let (label, pixels) = line.split_once(' ').unwrap();
        labels.push(label.parse().unwrap());
        data.extend(pixels.chars().map(|c| c.to_digit(17).unwrap() as f32));
    }
    Data { matrix: Matrix::new(64, data).unwrap(), labels, classes: 10, neighbours: 10, scale: Scale::Common }
}

fn breast_cancer() -> Data {
    let text = read("breast-cancer.csv");
    let (mut data, mut labels) = (Vec::new(), Vec::new());
    for line in text.lines().skip(1) {
        let cells: Vec<f32> = line.split(',').map(|c| c.parse().unwrap()).collect();
        labels.push(cells[30] as u32);
        data.extend(&cells[..30]);
    }
    Data { matrix: Matrix::new(30, data).unwrap(), labels, classes: 2, neighbours: 10, scale: Scale::Columns }
}

/// Small, but enough to choose rows with.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn some(&mut self, mut rows: Vec<usize>, n: usize) -> Vec<usize> {
        (0..n).map(|_| rows.swap_remove(self.below(rows.len()))).collect()
    }
}

fn look(data: &Data, labels: &[u32]) -> LabelErrors {
    let options = LabelOptions { neighbours: data.neighbours, predicted: None, wide: None, seed: 1 };
    label_errors(&data.matrix.scaled(data.scale), labels, data.classes, &options).unwrap()
}

fn random_flips(data: &Data, seed: u64) -> (Vec<u32>, Vec<bool>) {
    let mut dice = Dice(0x9E37_79B9 * (seed + 1));
    let mut labels = data.labels.clone();
    let n = labels.len() / 20;
    let chosen = dice.some((0..labels.len()).collect(), n);
    let mut truth = vec![false; labels.len()];
    for row in chosen {
        labels[row] = (labels[row] + 1 + dice.below(data.classes - 1) as u32) % data.classes as u32;
        truth[row] = true;
    }
    (labels, truth)
}

fn mean_of_seeds(data: &Data, flip: impl Fn(u64) -> (Vec<u32>, Vec<bool>)) -> (f64, f64, Vec<LabelErrors>) {
    let mut all = Vec::new();
    let (mut area, mut precision) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let (labels, truth) = flip(seed);
        let found = look(data, &labels);
        area += auc(&found.scores, &truth) / SEEDS as f64;
        precision += precision_at_n(&found.scores, &truth) / SEEDS as f64;
        let hits = found.flagged.iter().filter(|&&row| truth[row]).count();
        println!(
            "  flagged {} of which {hits} right, {} bad",
            found.flagged.len(),
            truth.iter().filter(|t| **t).count()
        );
        all.push(found);
    }
    (area, precision, all)
}

#[test]
fn random_flips_of_digits() {
    let data = digits();
    let (area, precision, _) = mean_of_seeds(&data, |seed| random_flips(&data, seed));
    println!("digits 5 % random: AUC {area:.4}, precision at n {precision:.4}");
    assert!(area >= 0.995 && precision >= 0.93, "{area} {precision}");
}

#[test]
fn random_flips_of_breast_cancer() {
    let data = breast_cancer();
    let (area, precision, _) = mean_of_seeds(&data, |seed| random_flips(&data, seed));
    println!("breast cancer 5 % random: AUC {area:.4}, precision at n {precision:.4}");
    assert!(area >= 0.995 && precision >= 0.85, "{area} {precision}");
}

#[test]
fn fours_made_nines() {
    let data = digits();
    let flip = |seed: u64| {
        let mut dice = Dice(0xABCD_EF01 * (seed + 1));
        let fours: Vec<usize> = (0..data.labels.len()).filter(|&i| data.labels[i] == 4).collect();
        assert_eq!(fours.len(), 181);
        let (mut labels, mut truth) = (data.labels.clone(), vec![false; data.labels.len()]);
        for row in dice.some(fours, 90) {
            labels[row] = 9;
            truth[row] = true;
        }
        (labels, truth)
    };
    let (area, precision, all) = mean_of_seeds(&data, flip);
    println!("fours made nines: AUC {area:.4}, precision at n {precision:.4}");
    for found in &all {
        println!("  {:?}", found.flow.one_way);
        let first = found.flow.one_way.first().unwrap();
        assert_eq!((first.from, first.to), (4, 9));
    }
    assert!(area >= 0.955, "{area}");
}

fn patches_of(matrix: &Matrix, labels: &[u32]) -> Vec<Patch> {
    let scaled = matrix.scaled(Scale::Common);
    let learner = cross_validate(&scaled, labels, 10, 0.01, 1).unwrap();
    let expected = |row: usize, cells: &[usize], label: u32| learner.without(&scaled, row, cells, label as usize);
    patches(matrix, 8, labels, 10, &expected).unwrap()
}

#[test]
fn a_patch_in_three_of_a_hundred_digits() {
    let data = digits();
    let (mut area, mut found) = (0.0, 0);
    for seed in 0..SEEDS {
        let mut dice = Dice(0x1234_5677 * (seed + 1));
        let others: Vec<usize> = (0..data.labels.len()).filter(|&i| data.labels[i] != 0).collect();
        let chosen = dice.some(others, 54);
        let mut labels = data.labels.clone();
        let mut pixels: Vec<f32> = data.matrix.iter().flatten().copied().collect();
        for &row in &chosen {
            labels[row] = 0;
            for cell in [54, 55, 62, 63] {
                pixels[row * 64 + cell] = 16.0;
            }
        }
        let matrix = Matrix::new(64, pixels).unwrap();
        let scores = spectral_scores(&matrix, &labels, 10, 1).unwrap();
        let members: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == 0).collect();
        let own: Vec<f64> = members.iter().map(|&i| scores[i]).collect();
        let truth: Vec<bool> = members.iter().map(|i| chosen.contains(i)).collect();
        area += auc(&own, &truth) / SEEDS as f64;
        for class in 0..10 {
            let rows: Vec<usize> = (0..labels.len()).filter(|&i| labels[i] == class).collect();
            let cut = clusters(&matrix.pick(&rows), 1).unwrap();
            println!("  class {class}: silhouette {:.3}, share {:.3}", cut.silhouette, cut.share);
            assert_eq!(cut.suspicious(), class == 0, "class {class}");
        }
        let patch = patches_of(&matrix, &labels);
        assert_eq!(patch.len(), 1, "{patch:?}");
        assert_eq!((patch[0].cells.as_slice(), patch[0].label), (&[(6, 6), (6, 7), (7, 6), (7, 7)][..], 0));
        found += patch[0].rows.iter().filter(|row| chosen.contains(row)).count();
    }
    println!("patch: AUC {area:.4} in the target class, {found} of {} rows by the patch", 54 * SEEDS);
    assert!(area >= 0.99, "{area}");
    assert!(found as f64 >= 0.98 * 54.0 * SEEDS as f64);
    let clean = patches_of(&data.matrix, &data.labels);
    assert!(clean.is_empty(), "clean digits have no patch: {clean:?}");
}

#[test]
fn clean_data_are_left_alone() {
    for (name, data) in [("digits", digits()), ("breast cancer", breast_cancer())] {
        let found = look(&data, &data.labels);
        let share = found.flagged.len() as f64 / data.labels.len() as f64;
        println!(
            "clean {name}: {} of {} flagged, flows {:?}",
            found.flagged.len(),
            data.labels.len(),
            found.flow.one_way
        );
        assert!(share <= 0.02, "{name}: {share}");
        assert!(found.flow.one_way.is_empty(), "{name}");
        for class in 0..data.classes as u32 {
            let rows: Vec<usize> = (0..data.labels.len()).filter(|&i| data.labels[i] == class).collect();
            let cut = clusters(&data.matrix.scaled(data.scale).pick(&rows), 1).unwrap();
            assert!(!cut.suspicious(), "{name} {class}: {cut:?}");
        }
    }
}
