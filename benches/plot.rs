//! The plot for the README, written by hand: bars on a logarithmic scale.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cases::{EMPTY, IPTABLES, MINIMAL, NFT, RESTORE};
use crate::connect::SIZES;
use crate::report::Report;
use crate::statistics::median;

const WIDTH: f64 = 880.0;
const BAR: f64 = 22.0;
const FONT: f64 = 13.0;
/// The width of a character, in font sizes: that of wide sans-serif fonts.
const CHARACTER: f64 = 0.65;
/// Between the picture's edge, labels and bars.
const GAP: f64 = 8.0;

/// What a bar stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Ours,
    /// What takes at least so long without osm-cni.
    Floor,
    /// What osm-cni replaces.
    Other,
}

/// One bar.
struct Bar {
    name: String,
    time: Duration,
    kind: Kind,
}

/// Rows of bars under a title, all on one scale.
struct Panel {
    title: &'static str,
    unit: (&'static str, f64),
    bars: Vec<Bar>,
}

impl Kind {
    /// Of a program in the table.
    fn of(name: &str) -> Self {
        match name {
            name if name.starts_with(EMPTY) || name.starts_with(MINIMAL) => Kind::Floor,
            IPTABLES | RESTORE | NFT => Kind::Other,
            _ => Kind::Ours,
        }
    }

    fn color(self) -> &'static str {
        match self {
            Kind::Ours => "#2563a8",
            Kind::Floor => "#8a8f98",
            Kind::Other => "#c4622d",
        }
    }
}

/// The report as an SVG picture.
pub(crate) fn svg(report: &Report) -> String {
    let bars = report.rows.iter().map(|row| Bar {
        name: row.name.to_owned(),
        time: median(&row.walls),
        kind: Kind::of(row.name),
    });
    let processes = Panel {
        title: "Whole process, median (ms, logarithmic)",
        unit: ("ms", 1e3),
        bars: bars.collect(),
    };
    let kinds = SIZES.map(|size| [("osm-cni", size, Kind::Ours), ("iptables", size, Kind::Other)]);
    let bars = kinds.into_iter().flatten().filter_map(|(tool, size, kind)| {
        let time = report.connection(Some(tool), size)?;
        Some(Bar { name: format!("{tool}, {size} excluded ranges"), time, kind })
    });
    let none = report.connection(None, 0).unwrap_or_default();
    let none = Bar { name: "no rules".to_owned(), time: none, kind: Kind::Floor };
    let connections = Panel {
        title: "TCP connection set-up, median (µs, logarithmic)",
        unit: ("µs", 1e6),
        bars: std::iter::once(none).chain(bars).collect(),
    };
    picture(&[processes, connections])
}

fn picture(panels: &[Panel]) -> String {
    let height: f64 = panels.iter().map(Panel::height).sum::<f64>() + 10.0;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="{FONT}">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##
    );
    let mut y = 10.0;
    let labels = panels.iter().map(Panel::label_width).fold(0.0, f64::max);
    for panel in panels {
        panel.draw(&mut out, y, labels + 2.0 * GAP);
        y += panel.height();
    }
    out.push_str("</svg>\n");
    out
}

impl Panel {
    fn height(&self) -> f64 {
        50.0 + BAR * self.bars.len() as f64
    }

    /// The width of the longest name.
    fn label_width(&self) -> f64 {
        self.bars.iter().map(|bar| text_width(&bar.name)).fold(0.0, f64::max)
    }

    /// Draws it, with the bars' beginning at `left`.
    fn draw(&self, out: &mut String, top: f64, left: f64) {
        let (unit, factor) = self.unit;
        let value = |bar: &Bar| (bar.time.as_secs_f64() * factor).max(1e-3);
        let least = self.bars.iter().map(value).fold(f64::MAX, f64::min);
        let most = self.bars.iter().map(value).fold(0.0, f64::max);
        // whole powers of ten, with room below the shortest bar
        let (low, high) = ((least / 2.0).log10().floor(), most.log10().ceil());
        let shown = |bar: &Bar| format!("{:.2} {unit}", value(bar));
        let right = self.bars.iter().map(|bar| text_width(&shown(bar))).fold(0.0, f64::max);
        let width = WIDTH - left - right - 2.0 * GAP;
        let x = |value: f64| left + width * (value.log10() - low) / (high - low);
        let bottom = top + 34.0 + BAR * self.bars.len() as f64;
        let _ = writeln!(
            out,
            r##"<text x="10" y="{}" font-weight="bold" fill="#222222">{}</text>"##,
            top + 16.0,
            self.title
        );
        for power in low as i32..=high as i32 {
            let x = x(10f64.powi(power));
            let label = 10f64.powi(power);
            let _ = writeln!(
                out,
                r##"<path d="M{x:.1} {} V{bottom:.1}" stroke="#dddddd"/><text x="{x:.1}" y="{}" text-anchor="middle" font-size="11" fill="#777777">{label}</text>"##,
                top + 32.0,
                top + 28.0
            );
        }
        for (index, bar) in self.bars.iter().enumerate() {
            let y = top + 36.0 + BAR * index as f64;
            let end = x(value(bar));
            let text = y + 13.0;
            let _ = writeln!(
                out,
                r##"<text x="{:.1}" y="{text:.1}" text-anchor="end" fill="#222222">{}</text><rect x="{left:.1}" y="{y:.1}" width="{:.1}" height="{}" fill="{}"/><text x="{:.1}" y="{text:.1}" fill="#222222">{}</text>"##,
                left - GAP,
                bar.name,
                end - left,
                BAR - 6.0,
                bar.kind.color(),
                end + GAP,
                shown(bar)
            );
        }
    }
}

fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * FONT * CHARACTER
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(times: &[(&str, u64)]) -> Panel {
        let bar = |(name, micros): &(&str, u64)| Bar {
            name: (*name).to_owned(),
            time: Duration::from_micros(*micros),
            kind: Kind::of(name),
        };
        Panel { title: "A title", unit: ("ms", 1e3), bars: times.iter().map(bar).collect() }
    }

    /// The value of an attribute at the start of `rest`'s element.
    fn attribute(element: &str, name: &str) -> Option<f64> {
        let (_, rest) = element.split_once(&format!(" {name}=\""))?;
        rest.split_once('"')?.0.parse().ok()
    }

    /// From where to where each text and each bar reaches.
    fn extents(svg: &str) -> Vec<(String, f64, f64)> {
        let mut extents = Vec::new();
        for element in svg.split('<').skip(1) {
            let Some(x) = attribute(element, "x") else { continue };
            if element.starts_with("rect") {
                let width = attribute(element, "width").expect("a width");
                extents.push((element.to_owned(), x, x + width));
            } else if let Some((_, text)) = element.split_once('>') {
                // The widest of the usual fonts takes six tenths of its size.
                let size = attribute(element, "font-size").unwrap_or(13.0);
                let width = text.chars().count() as f64 * size * 0.6;
                let start = match element {
                    it if it.contains("\"end\"") => x - width,
                    it if it.contains("\"middle\"") => x - width / 2.0,
                    _ => x,
                };
                extents.push((element.to_owned(), start, start + width));
            }
        }
        extents
    }

    #[test]
    fn nothing_reaches_beyond_the_view_box() {
        for times in [
            &[("minimal program, 1,000 ranges and ports", 3110), ("empty program", 650)][..],
            &[("a name of sixty characters, which is longer than any is now!", 999_999)],
            &[("ADD, defaults", 1), ("ADD once more", 99_999_999)],
            &[("ADD, defaults", 0)],
            &[("ADD, defaults", 1000), ("CHECK", 1000)],
        ] {
            let svg = picture(&[panel(times), panel(&[("x", 10)])]);
            let found = extents(&svg);
            assert!(found.len() > 5, "{svg}");
            for (element, from, to) in found {
                assert!(from >= 0.0 && to <= WIDTH && from <= to, "{from} to {to}: {element}");
            }
        }
    }

    #[test]
    fn a_floor_has_no_color_of_ours() {
        for (name, kind) in [
            ("empty program", Kind::Floor),
            ("minimal program, 1,000 ranges and ports", Kind::Floor),
            ("nft -f", Kind::Other),
            ("ADD, defaults", Kind::Ours),
        ] {
            let svg = picture(&[panel(&[(name, 10)])]);
            let fills = [Kind::Ours, Kind::Floor, Kind::Other].map(|kind| kind.color());
            let used: Vec<_> = fills.into_iter().filter(|fill| svg.contains(fill)).collect();
            assert_eq!(used, [kind.color()], "{name}");
        }
    }
}
