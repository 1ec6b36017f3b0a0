//! The plot for the README, written by hand: bars on a logarithmic scale.

use std::fmt::Write as _;
use std::time::Duration;

use crate::connect::SIZES;
use crate::report::{Report, median};

const WIDTH: f64 = 880.0;
const LEFT: f64 = 270.0;
const RIGHT: f64 = 90.0;
const BAR: f64 = 22.0;

const OURS: &str = "#2563a8";
const FLOOR: &str = "#8a8f98";
const OTHERS: &str = "#c4622d";

/// One bar.
struct Bar {
    name: String,
    time: Duration,
    color: &'static str,
}

/// Rows of bars under a title, all on one scale.
struct Panel {
    title: &'static str,
    unit: (&'static str, f64),
    bars: Vec<Bar>,
}

/// The report as an SVG picture.
pub(crate) fn svg(report: &Report) -> String {
    let bars = report.rows.iter().map(|row| Bar {
        name: row.name.to_owned(),
        time: median(&row.walls),
        color: match row.name {
            name if name.ends_with("program") => FLOOR,
            "iptables-restore" | "nft -f" | "the document's iptables commands" => OTHERS,
            _ => OURS,
        },
    });
    let processes = Panel {
        title: "Whole process, median (ms, logarithmic)",
        unit: ("ms", 1e3),
        bars: bars.collect(),
    };
    let kinds = SIZES.map(|size| [("osm-cni", size, OURS), ("iptables", size, OTHERS)]);
    let bars = kinds.into_iter().flatten().filter_map(|(tool, size, color)| {
        let time = report.connection(Some(tool), size)?;
        Some(Bar { name: format!("{tool}, {size} excluded ranges"), time, color })
    });
    let none = report.connection(None, 0).unwrap_or_default();
    let none = Bar { name: "no rules".to_owned(), time: none, color: FLOOR };
    let connections = Panel {
        title: "TCP connection set-up, median (µs, logarithmic)",
        unit: ("µs", 1e6),
        bars: std::iter::once(none).chain(bars).collect(),
    };
    let panels = [processes, connections];
    let height: f64 = panels.iter().map(Panel::height).sum::<f64>() + 10.0;
    let mut out = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="13">
<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>
"##
    );
    let mut y = 10.0;
    for panel in &panels {
        panel.draw(&mut out, y);
        y += panel.height();
    }
    out.push_str("</svg>\n");
    out
}

impl Panel {
    fn height(&self) -> f64 {
        50.0 + BAR * self.bars.len() as f64
    }

    fn draw(&self, out: &mut String, top: f64) {
        let (unit, factor) = self.unit;
        let value = |bar: &Bar| (bar.time.as_secs_f64() * factor).max(1e-3);
        let least = self.bars.iter().map(value).fold(f64::MAX, f64::min);
        let most = self.bars.iter().map(value).fold(0.0, f64::max);
        // whole powers of ten, with room below the shortest bar
        let (low, high) = ((least / 2.0).log10().floor(), most.log10().ceil());
        let width = WIDTH - LEFT - RIGHT;
        let x = |value: f64| LEFT + width * (value.log10() - low) / (high - low);
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
                r##"<text x="{}" y="{text:.1}" text-anchor="end" fill="#222222">{}</text><rect x="{LEFT}" y="{y:.1}" width="{:.1}" height="{}" fill="{}"/><text x="{:.1}" y="{text:.1}" fill="#222222">{:.2} {unit}</text>"##,
                LEFT - 8.0,
                bar.name,
                end - LEFT,
                BAR - 6.0,
                bar.color,
                end + 6.0,
                value(bar)
            );
        }
    }
}
