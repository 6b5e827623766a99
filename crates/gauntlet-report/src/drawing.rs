//! Figures as SVG parts: everything is laid out here, so that the page needs no script.

use gauntlet_core::{Figure, FigureKind, Series};
use serde::Serialize;

use crate::text::visible;

/// Size of the area that values are drawn in.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 200.0;
/// Room for the names of lying bars, and for the words around the area.
const NAMES: f64 = 170.0;
const MARGIN: f64 = 24.0;
/// Height of one lying bar with its gap.
const ROW: f64 = 18.0;
/// Series and points that are drawn.
const MAX_SERIES: usize = 8;
const MAX_POINTS: usize = 1_000;
/// Lying bars, and names under upright ones.
const MAX_ROWS: usize = 60;
const MAX_LABELS: usize = 12;
/// Characters of a name.
const MAX_NAME: usize = 24;

/// A figure, ready for the page.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Drawing {
    title: String,
    x: String,
    y: String,
    range: String,
    width: f64,
    height: f64,
    legend: Vec<String>,
    lines: Vec<Line>,
    bars: Vec<Bar>,
    dots: Vec<Dot>,
    texts: Vec<Text>,
}

#[derive(Debug, Serialize)]
struct Line {
    series: usize,
    name: String,
    points: String,
}

#[derive(Debug, Serialize)]
struct Bar {
    series: usize,
    name: String,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

#[derive(Debug, Serialize)]
struct Dot {
    series: usize,
    name: String,
    x: f64,
    y: f64,
}

#[derive(Debug, Serialize)]
struct Text {
    x: f64,
    y: f64,
    anchor: &'static str,
    text: String,
}

/// Finite points of the series that are drawn.
type Points = Vec<Vec<(f64, f64)>>;

impl Drawing {
    pub(crate) fn new(figure: &Figure) -> Self {
        let points: Points = figure.series.iter().take(MAX_SERIES).map(finite).collect();
        let mut drawing = Self {
            title: visible(&figure.title),
            x: visible(&figure.x),
            y: visible(&figure.y),
            width: WIDTH,
            height: HEIGHT + MARGIN,
            legend: figure.series.iter().take(MAX_SERIES).map(|series| visible(&series.name)).collect(),
            ..Self::default()
        };
        let Some(bounds) = Bounds::of(&points, figure.kind) else {
            drawing.range = "no values".to_owned();
            return drawing;
        };
        let ends = [bounds.x0, bounds.x1, bounds.y0, bounds.y1].map(number);
        drawing.range = match figure.kind {
            // Positions are no numbers there.
            FigureKind::Bars | FigureKind::Ranking => format!("{} to {}", ends[2], ends[3]),
            FigureKind::Line | FigureKind::Points => format!("{} to {}; {} to {}", ends[0], ends[1], ends[2], ends[3]),
        };
        match figure.kind {
            FigureKind::Line => drawing.lines(&points, &bounds),
            FigureKind::Bars => drawing.bars(figure, &points, &bounds),
            FigureKind::Ranking => drawing.ranking(figure, &points, &bounds),
            FigureKind::Points => drawing.points(&points, &bounds),
        }
        drawing
    }

    fn lines(&mut self, points: &Points, bounds: &Bounds) {
        self.lines = points
            .iter()
            .enumerate()
            .map(|(series, points)| Line {
                series,
                name: self.name(series),
                points: points
                    .iter()
                    .map(|(x, y)| format!("{:.1},{:.1} ", bounds.x(*x) * WIDTH, HEIGHT - bounds.y(*y) * HEIGHT))
                    .collect(),
            })
            .collect();
        self.ends(bounds);
    }

    fn points(&mut self, points: &Points, bounds: &Bounds) {
        for (series, points) in points.iter().enumerate() {
            for (x, y) in points {
                let name = format!("{}: {x}, {y}", self.name(series));
                let (x, y) = (rounded(bounds.x(*x) * WIDTH), rounded(HEIGHT - bounds.y(*y) * HEIGHT));
                self.dots.push(Dot { series, name, x, y });
            }
        }
        self.ends(bounds);
    }

    /// Series side by side at each position; every position gets the same room, however far apart they are.
    fn bars(&mut self, figure: &Figure, points: &Points, bounds: &Bounds) {
        let positions = points.iter().map(Vec::len).max().unwrap_or(1).max(1);
        let room = WIDTH / small(positions);
        let width = room * 0.9 / small(points.len().max(1));
        for (series, points) in points.iter().enumerate() {
            for (i, (x, y)) in points.iter().enumerate() {
                let height = rounded(bounds.y(*y) * HEIGHT);
                let at = figure.labels.get(i).map_or_else(|| x.to_string(), |label| visible(label));
                self.bars.push(Bar {
                    series,
                    name: format!("{} at {at}: {y}", self.name(series)),
                    x: rounded(room * small(i) + width * small(series)),
                    y: rounded(HEIGHT - height),
                    width: rounded(width),
                    height,
                });
            }
        }
        if figure.labels.is_empty() {
            return self.ends(bounds);
        }
        let step = positions.div_ceil(MAX_LABELS);
        for (i, label) in figure.labels.iter().take(positions).enumerate().step_by(step) {
            self.text(room * (small(i) + 0.5), HEIGHT + 16.0, "middle", short(label, room * small(step)));
        }
    }

    fn ranking(&mut self, figure: &Figure, points: &Points, bounds: &Bounds) {
        let rows = points.iter().map(Vec::len).max().unwrap_or(0).min(MAX_ROWS);
        let height = (ROW - 4.0) / small(points.len().max(1));
        self.height = ROW * small(rows) + 4.0;
        for (series, points) in points.iter().enumerate() {
            for (i, (_, y)) in points.iter().take(rows).enumerate() {
                let width = rounded(bounds.y(*y) * (WIDTH - NAMES - 60.0));
                let top = rounded(ROW * small(i) + 4.0 + height * small(series));
                let name = format!("{}: {y}", self.name(series));
                self.bars.push(Bar { series, name, x: NAMES, y: top, width, height: rounded(height) });
                if series == 0 {
                    let value = if y.fract() == 0.0 { format!("{y}") } else { format!("{y:.3}") };
                    self.text(NAMES + width + 6.0, top + ROW - 7.0, "start", value);
                }
            }
        }
        for (i, label) in figure.labels.iter().take(rows).enumerate() {
            self.text(NAMES - 6.0, ROW * small(i) + ROW - 3.0, "end", short(label, NAMES));
        }
    }

    /// Names the ends of both axes.
    fn ends(&mut self, bounds: &Bounds) {
        self.text(0.0, HEIGHT + 16.0, "start", number(bounds.x0));
        self.text(WIDTH, HEIGHT + 16.0, "end", number(bounds.x1));
        self.text(4.0, 14.0, "start", number(bounds.y1));
    }

    fn text(&mut self, x: f64, y: f64, anchor: &'static str, text: String) {
        self.texts.push(Text { x: rounded(x), y: rounded(y), anchor, text });
    }

    fn name(&self, series: usize) -> String {
        self.legend.get(series).cloned().unwrap_or_default()
    }
}

/// What the axes reach from and to.
struct Bounds {
    x0: f64,
    x1: f64,
    y0: f64,
    y1: f64,
}

impl Bounds {
    /// Bars stand on zero; lines and dots fill the height.
    fn of(points: &Points, kind: FigureKind) -> Option<Self> {
        let all = || points.iter().flatten();
        all().next()?;
        let ends = |values: &mut dyn Iterator<Item = f64>| {
            values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let (x0, x1) = ends(&mut all().map(|p| p.0));
        let (mut y0, mut y1) = ends(&mut all().map(|p| p.1));
        if matches!(kind, FigureKind::Bars | FigureKind::Ranking) {
            (y0, y1) = (0.0, y1.max(0.0));
        }
        Some(Self { x0, x1, y0, y1 })
    }

    fn x(&self, value: f64) -> f64 {
        share(value, self.x0, self.x1)
    }

    fn y(&self, value: f64) -> f64 {
        share(value, self.y0, self.y1)
    }
}

fn share(value: f64, low: f64, high: f64) -> f64 {
    let share = (value - low) / (high - low);
    match share.is_finite() {
        true => share.clamp(0.0, 1.0),
        false if value == 0.0 => 0.0,
        false => 0.5,
    }
}

fn finite(series: &Series) -> Vec<(f64, f64)> {
    let points = series.x.iter().copied().zip(series.y.iter().copied());
    points.filter(|(x, y)| x.is_finite() && y.is_finite()).take(MAX_POINTS).collect()
}

/// As much of a name as fits into so many pixels.
fn short(name: &str, room: f64) -> String {
    let name = visible(name);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred pixels")]
    let most = ((room / 7.0) as usize).clamp(3, MAX_NAME);
    if name.chars().count() <= most {
        return name;
    }
    name.chars().take(most - 1).chain(['…']).collect()
}

fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) {
        let text = format!("{value:.3}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.3e}")
    }
}

/// A tenth of a pixel is enough, and makes pages shorter.
fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[expect(clippy::cast_precision_loss, reason = "a number of bars")]
fn small(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_stand_side_by_side_on_zero() {
        let figure = Figure::new("h", "ages", "age", "rows")
            .drawn_as(FigureKind::Bars)
            .labelled(["0-9".to_owned(), "10-19".to_owned()])
            .with("reference", [10.0, 20.0])
            .with("current", [5.0, 0.0]);
        let drawing = Drawing::new(&figure);
        let heights: Vec<f64> = drawing.bars.iter().map(|bar| bar.height).collect();
        assert_eq!(heights, [100.0, 200.0, 50.0, 0.0]);
        assert_eq!(drawing.bars[2].x, drawing.bars[0].x + drawing.bars[0].width);
        assert_eq!(drawing.texts.iter().map(|t| t.text.as_str()).collect::<Vec<_>>(), ["0-9", "10-19"]);
        assert_eq!(drawing.bars[0].name, "reference at 0-9: 10");
    }

    #[test]
    fn rankings_name_every_bar_and_grow_with_them() {
        let names = (0..5).map(|i| format!("a_column_with_a_rather_long_name_{i}"));
        let figure = Figure::new("r", "drift", "column", "psi").drawn_as(FigureKind::Ranking).labelled(names);
        let drawing = Drawing::new(&figure.with("psi", [0.5, 0.25, 0.1, 0.0, 0.0]));
        assert_eq!(drawing.height, 94.0);
        assert!(drawing.bars[0].width > drawing.bars[1].width && drawing.bars[4].width == 0.0);
        assert!(drawing.texts.iter().any(|text| text.text.ends_with('…')));
    }

    #[test]
    fn nothing_finite_is_said_and_not_drawn() {
        for kind in [FigureKind::Line, FigureKind::Bars, FigureKind::Ranking, FigureKind::Points] {
            let figure = Figure::new("n", "t", "x", "y").drawn_as(kind).with("s", [f64::NAN, f64::INFINITY]);
            assert_eq!(Drawing::new(&figure).range, "no values");
        }
    }
}
