//! Folders of pictures: what each one measures, so that two folders can be compared like tables.

use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use gauntlet_core::{Limits, SkipCode, TreeFile, display_path, open_regular};
use image::{ImageReader, RgbImage};

use super::columns::Unread;
use crate::facts::Format;
use crate::table::format_of;

/// Bytes of one picture file.
const MAX_BYTES: u64 = 64 << 20;
/// Pixels on a side, and memory of one decoded picture.
const MAX_SIDE: u32 = 16_384;
const MAX_MEMORY: u64 = 512 << 20;
/// Pixels of one picture: measuring takes twelve bytes for each.
const MAX_PIXELS: u64 = 40_000_000;
/// Hashes of the reference that a picture is compared with.
const MAX_HASHES: usize = 20_000;
/// Bits by which a picture differs from one that is like it.
const ALIKE: u32 = 10;

/// The names of what is measured, in the order of [`Picture::properties`].
pub(super) const PROPERTIES: [&str; 8] = [
    "image.width",
    "image.height",
    "image.brightness",
    "image.contrast",
    "image.red",
    "image.blue",
    "image.saturation",
    "image.sharpness",
];

/// One decoded picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Picture {
    pub(super) properties: [f64; PROPERTIES.len()],
    /// Difference hash of 8 by 8 cells: near for pictures that look alike.
    pub(super) hash: u64,
}

/// Whether the name announces a picture that is decoded.
pub(super) fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    matches!(extension.as_deref(), Some("png" | "jpg" | "jpeg"))
}

/// Whether these files are pictures, and nothing else: a logo beside a table is no folder of pictures.
pub(super) fn are_pictures(files: &[TreeFile]) -> bool {
    let table = |file: &TreeFile| !matches!(format_of(&file.path), Format::Other | Format::Picture);
    files.iter().any(|file| is_picture(&file.path)) && !files.iter().any(table)
}

/// Decodes and measures every picture; what cannot be decoded is listed.
pub(super) fn measure(root: &Path, files: &[&TreeFile], limits: &Limits) -> (Vec<Picture>, Vec<Unread>) {
    let (mut out, mut unread) = (Vec::new(), Vec::new());
    for file in files {
        match one(root, file, limits) {
            Ok(picture) => out.push(picture),
            Err((code, what)) => unread.push(Unread { path: display_path(&file.path).0, code, what }),
        }
    }
    (out, unread)
}

fn one(root: &Path, file: &TreeFile, _limits: &Limits) -> Result<Picture, (SkipCode, String)> {
    let unreadable = |error: std::io::Error| (SkipCode::Unreadable, error.to_string());
    let handle = open_regular(root, file).map_err(unreadable)?;
    let mut bytes = Vec::new();
    BufReader::new(&handle).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err((SkipCode::Limit, format!("more than {MAX_BYTES} bytes")));
    }
    decode(&bytes)
}

/// Decodes and measures the bytes of a picture.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, (SkipCode, String)> {
    let malformed =
        |error: &dyn std::fmt::Display| (SkipCode::Malformed, format!("no picture that can be decoded: {error}"));
    let open = || ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| malformed(&e));
    let (width, height) = open()?.into_dimensions().map_err(|e| malformed(&e))?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err((SkipCode::Limit, format!("{width} x {height} pixels; at most {MAX_PIXELS} are looked at")));
    }
    let mut reader = open()?;
    let mut limits = image::Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    limits.max_alloc = Some(MAX_MEMORY);
    reader.limits(limits);
    let picture = reader.decode().map_err(|error| match error {
        image::ImageError::Limits(error) => (SkipCode::Limit, error.to_string()),
        error => malformed(&error),
    })?;
    Ok(look(&picture.to_rgb8()))
}

fn look(picture: &RgbImage) -> Picture {
    let (width, height) = picture.dimensions();
    let n = (f64::from(width) * f64::from(height)).max(1.0);
    let luma: Vec<f64> = picture
        .pixels()
        .map(|p| {
            let [r, g, b] = p.0.map(f64::from);
            (0.299 * r + 0.587 * g + 0.114 * b) / 255.0
        })
        .collect();
    let mean = luma.iter().sum::<f64>() / n;
    let contrast = (luma.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
    let (mut red, mut blue, mut saturation) = (0.0, 0.0, 0.0);
    for pixel in picture.pixels() {
        let [r, g, b] = pixel.0.map(|c| f64::from(c) / 255.0);
        let (high, low) = (r.max(g).max(b), r.min(g).min(b));
        // Against green, so that brightness alone does not move the colours.
        red += r - g;
        blue += b - g;
        saturation += if high > 0.0 { (high - low) / high } else { 0.0 };
    }
    let sharpness = sharpness(&luma, width as usize, height as usize);
    Picture {
        properties: [f64::from(width), f64::from(height), mean, contrast, red / n, blue / n, saturation / n, sharpness],
        hash: difference_hash(&luma, width as usize, height as usize),
    }
}

/// Variance of the discrete Laplacian (Pech-Pacheco and others 2000).
fn sharpness(luma: &[f64], width: usize, height: usize) -> f64 {
    if width < 3 || height < 3 {
        return 0.0;
    }
    let at = |x: usize, y: usize| luma.get(y * width + x).copied().unwrap_or(0.0);
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for y in 1..height - 1 {
        for x in 1..width - 1 {
            let value = at(x - 1, y) + at(x + 1, y) + at(x, y - 1) + at(x, y + 1) - 4.0 * at(x, y);
            n += 1.0;
            let before = value - mean;
            mean += before / n;
            squares += before * (value - mean);
        }
    }
    squares / n
}

/// A bit for each of 8 by 8 pairs of neighbouring cells of a 9 by 8 thumbnail: whether the left one is brighter.
fn difference_hash(luma: &[f64], width: usize, height: usize) -> u64 {
    let cell = |cx: usize, cy: usize| {
        let (x0, x1) = (cx * width / 9, ((cx + 1) * width).div_ceil(9).max(cx * width / 9 + 1));
        let (y0, y1) = (cy * height / 8, ((cy + 1) * height).div_ceil(8).max(cy * height / 8 + 1));
        let (mut sum, mut n) = (0.0, 0.0);
        for y in y0..y1.min(height) {
            for value in luma.get(y * width + x0..y * width + x1.min(width)).unwrap_or_default() {
                sum += value;
                n += 1.0;
            }
        }
        if n > 0.0 { sum / n } else { 0.0 }
    };
    let mut out = 0;
    for cy in 0..8 {
        for cx in 0..8 {
            out = out << 1 | u64::from(cell(cx, cy) > cell(cx + 1, cy) + 1e-9);
        }
    }
    out
}

/// Share of the batch's pictures that look like none of the reference.
pub(super) fn novelty(reference: &[Picture], current: &[Picture]) -> Option<f64> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let step = reference.len().div_ceil(MAX_HASHES);
    let known: Vec<u64> = reference.iter().step_by(step).map(|p| p.hash).collect();
    let new = current.iter().filter(|p| known.iter().all(|k| (k ^ p.hash).count_ones() > ALIKE)).count();
    Some(new as f64 / current.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn png(paint: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
        let picture = RgbImage::from_fn(40, 30, |x, y| image::Rgb(paint(x, y)));
        let mut out = Cursor::new(Vec::new());
        picture.write_to(&mut out, image::ImageFormat::Png).unwrap();
        out.into_inner()
    }

    #[test]
    fn brightness_colour_and_sharpness_are_measured() {
        let dark = decode(&png(|_, _| [10, 10, 10])).unwrap().properties;
        let bright = decode(&png(|_, _| [250, 250, 250])).unwrap().properties;
        let red = decode(&png(|_, _| [200, 10, 10])).unwrap().properties;
        let checks = decode(&png(|x, y| [if (x + y) % 2 == 0 { 0 } else { 255 }; 3])).unwrap().properties;
        assert_eq!((dark[0], dark[1]), (40.0, 30.0));
        assert!(bright[2] > 0.9 && dark[2] < 0.1);
        assert!(red[4] > 0.7 && bright[4].abs() < 1e-9 && red[6] > 0.9);
        assert!(checks[7] > 1.0 && dark[7] < 1e-9);
    }

    #[test]
    fn a_brighter_copy_is_no_new_picture_and_another_scene_is() {
        let scene = |add: u8| png(move |x, y| [((x * 5) as u8 / 2 + (y as u8)).saturating_add(add); 3]);
        let other = png(|x, y| [if (x / 8 + y / 8) % 2 == 0 { 0 } else { 220 }; 3]);
        let [a, b, c] = [scene(0), scene(20), other].map(|bytes| decode(&bytes).unwrap());
        assert_eq!(novelty(&[a], &[b]), Some(0.0));
        assert_eq!(novelty(&[a], &[b, c]), Some(0.5));
        assert_eq!(novelty(&[], &[b]), None);
    }

    #[test]
    fn damaged_bytes_are_refused_and_never_panic() {
        let good = png(|x, y| [x as u8, y as u8, 7]);
        assert!(decode(&[]).is_err() && decode(b"no picture").is_err());
        let mut state = 0x9e37_79b9_u64;
        for _ in 0..300 {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let mut bytes = good.clone();
            let at = state as usize % bytes.len();
            bytes[at] ^= 1 << (state >> 40 & 7);
            if state & 1 == 0 {
                bytes.truncate(at);
            }
            let _ = decode(&bytes);
        }
        // A header that promises a picture of 60,000 by 60,000 pixels.
        let mut huge = good;
        huge[16..24].copy_from_slice(&[0, 0, 0xea, 0x60, 0, 0, 0xea, 0x60]);
        assert!(decode(&huge).is_err());
    }
}
