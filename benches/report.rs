//! What was measured, as tables in Markdown: medians, p99 and ratios, and how
//! the figures that matter stand to their goals.

use std::fmt::{self, Write as _};
use std::time::Duration;

use crate::cases::{
    DEFAULTS, DOCUMENT, EMPTY, IPTABLES, MINIMAL, NFT, OUTSIDE, RESTORE, TEN_THOUSAND, THOUSAND,
};
use crate::connect::PodTimes;
use crate::crowd::{Crowd, PODS};
use crate::installer::{self, Reaction};
use crate::sandbox::{self, Runtime};
use crate::statistics::{median, percentile};

/// One program, and all its runs.
pub(crate) struct Row {
    /// Its name.
    pub(crate) name: &'static str,
    /// Time on the clock, sorted.
    pub(crate) walls: Vec<Duration>,
    /// Time on a processor, sorted.
    pub(crate) cpus: Vec<Duration>,
    /// Peak of its memory, in KiB.
    pub(crate) memory: u64,
}

/// All that was measured.
pub(crate) struct Report {
    /// Whole processes.
    pub(crate) rows: Vec<Row>,
    /// Programs that were not in the page cache.
    pub(crate) cold: Vec<Row>,
    /// Many at once.
    pub(crate) crowds: Vec<Crowd>,
    /// Connections.
    pub(crate) pods: Vec<PodTimes>,
    /// A pod's start with and without osm-cni.
    pub(crate) runtimes: Vec<Runtime>,
    /// How the installer follows the primary's file.
    pub(crate) reactions: Vec<Reaction>,
    /// Bytes of the binary.
    pub(crate) binary: u64,
    /// Bytes of an image with it.
    pub(crate) image: u64,
    /// The machine.
    pub(crate) machine: String,
}

impl Report {
    /// The row of this name.
    pub(crate) fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    fn ratio(&self, name: &str, below: &str) -> f64 {
        let median = |name| self.row(name).map_or(f64::NAN, |row| median(&row.walls).as_secs_f64());
        median(name) / median(below)
    }

    /// The pod of this kind.
    fn pod(&self, tool: Option<&str>, ranges: usize) -> Option<&PodTimes> {
        self.pods.iter().find(|pod| pod.tool == tool && pod.ranges == ranges)
    }

    /// The median of the connections in pods of this kind.
    pub(crate) fn connection(&self, tool: Option<&str>, ranges: usize) -> Option<Duration> {
        Some(median(&self.pod(tool, ranges)?.times()))
    }

    fn goals(&self) -> Vec<Goal> {
        let ours = |ranges| self.pod(Some("osm-cni"), ranges);
        let connection =
            ours(10_000).zip(ours(0)).map_or(f64::NAN, |(many, none)| many.ratio(none));
        let memory = self.row(DOCUMENT).map_or(0, |row| row.memory);
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let at_most =
            |figure, goal, reached| Goal { figure, goal, reached, least: false, unit: "" };
        let at_least =
            |figure, goal, reached| Goal { figure, goal, reached, least: true, unit: "" };
        let in_mib =
            |figure, goal, bytes| Goal { unit: " MiB", ..at_most(figure, goal, mib(bytes)) };
        vec![
            at_most(
                "ADD with the document's exclusions / minimal program",
                1.35,
                self.ratio(DOCUMENT, MINIMAL),
            ),
            at_most(
                "ADD with the document's exclusions / empty program",
                1.65,
                self.ratio(DOCUMENT, EMPTY),
            ),
            at_most(
                "ADD of a pod outside the mesh / empty program",
                1.2,
                self.ratio(OUTSIDE, EMPTY),
            ),
            at_least(
                "the document's iptables commands / ADD",
                20.0,
                self.ratio(IPTABLES, DOCUMENT),
            ),
            at_least("iptables-restore / ADD", 10.0, self.ratio(RESTORE, DOCUMENT)),
            at_least("nft -f / ADD", 4.0, self.ratio(NFT, DOCUMENT)),
            at_most(
                "ADD with 1,000 ranges and 1,000 ports / ADD with none",
                3.0,
                self.ratio(THOUSAND, DEFAULTS),
            ),
            at_most(
                "ADD with 10,000 ranges / minimal program",
                25.0,
                self.ratio(TEN_THOUSAND, MINIMAL),
            ),
            at_most("connection set-up with 10,000 excluded ranges / with none", 1.05, connection),
            in_mib("peak memory of an ADD", 3.0, memory << 10),
            in_mib("binary", 2.0, self.binary),
            in_mib("image", 2.5, self.image),
        ]
    }
}

/// A figure that should be at most, or at least, so much.
struct Goal {
    figure: &'static str,
    goal: f64,
    reached: f64,
    least: bool,
    unit: &'static str,
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Goal { figure, goal, reached, least, unit } = self;
        let (sign, met) = if *least { (">=", reached >= goal) } else { ("<=", reached <= goal) };
        let verdict = if met { "yes" } else { "no" };
        write!(f, "| {figure} | {sign} {goal}{unit} | {reached:.2}{unit} | {verdict} |")
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.rows.first().map_or(0, |row| row.walls.len());
        writeln!(f, "# Results\n\n{}\n", self.machine)?;
        writeln!(f, "## Goals\n\n| figure | goal | reached | met |\n|---|---|---|---|")?;
        self.goals().iter().try_for_each(|goal| writeln!(f, "{goal}"))?;
        writeln!(f, "\n## Whole processes, {runs} of each by turns\n")?;
        writeln!(
            f,
            "| program | median | p99 | processor time, median | / empty | / minimal | peak memory |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for row in &self.rows {
            let (wall, p99) = (median(&row.walls), percentile(&row.walls, 99));
            let (empty, minimal) = (self.ratio(row.name, EMPTY), self.ratio(row.name, MINIMAL));
            let memory = row.memory as f64 / 1024.0;
            writeln!(
                f,
                "| {} | {} | {} | {} | {empty:.2} | {minimal:.2} | {memory:.2} MiB |",
                row.name,
                Ms(wall),
                Ms(p99),
                Ms(median(&row.cpus)),
            )?;
        }
        let runs = self.cold.first().map_or(0, |row| row.walls.len());
        writeln!(f, "\n## Programs that are not in the page cache, {runs} of each by turns\n")?;
        writeln!(f, "| program | median | p90 | processor time, median |\n|---|---|---|---|")?;
        for row in &self.cold {
            let (wall, p90) = (median(&row.walls), percentile(&row.walls, 90));
            let cpu = median(&row.cpus);
            writeln!(f, "| {} | {} | {} | {} |", row.name, Ms(wall), Ms(p90), Ms(cpu))?;
        }
        writeln!(f, "\n## A pod's start (RunPodSandbox), {} pairs by turns\n", sandbox::PODS)?;
        writeln!(
            f,
            "| runtime | median with osm-cni | median without | p90 with | p90 without | difference within a pair, median (quartiles) | of the median without |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        write!(f, "{}", sandbox::table(&self.runtimes))?;
        writeln!(f, "\n## {PODS} pods at once\n")?;
        writeln!(f, "| program | at a time | total | worst | failed |\n|---|---|---|---|---|")?;
        for Crowd { name, at_a_time, total, worst, failed } in &self.crowds {
            writeln!(f, "| {name} | {at_a_time} | {} | {} | {failed} |", Ms(*total), Ms(*worst))?;
        }
        writeln!(f, "\n## Until our list is in place, {} times each\n", installer::ROUNDS)?;
        writeln!(f, "| event | median | worst |\n|---|---|---|")?;
        for Reaction { event, waits } in &self.reactions {
            let worst = waits.last().copied().unwrap_or_default();
            writeln!(f, "| {event} | {} | {} |", Ms(median(waits)), Ms(worst))?;
        }
        let connections = self.pods.first().map_or(0, |pod| pod.times().len());
        writeln!(f, "\n## TCP connections, {connections} in each pod by turns\n")?;
        writeln!(
            f,
            "| rules | excluded ranges | median | p99 | / no rules, block by block |\n|---|---|---|---|---|"
        )?;
        let bare = self.pod(None, 0);
        for pod in &self.pods {
            let PodTimes { tool, ranges, .. } = pod;
            let times = pod.times();
            let (half, p99) = (Us(median(&times)), Us(percentile(&times, 99)));
            let ratio = bare.map_or(f64::NAN, |bare| pod.ratio(bare));
            let tool = tool.unwrap_or("none");
            writeln!(f, "| {tool} | {ranges} | {half} | {p99} | {ratio:.2} |")?;
        }
        writeln!(f, "\n## Size\n\nBinary: {} bytes. Image: {} bytes.", self.binary, self.image)
    }
}

struct Ms(Duration);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ms", self.0.as_secs_f64() * 1e3)
    }
}

struct Us(Duration);

impl fmt::Display for Us {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} µs", self.0.as_secs_f64() * 1e6)
    }
}

/// Bytes of an image whose only file is this binary: an OCI layout with one
/// layer, not compressed.
pub(crate) fn image_size(binary: u64) -> u64 {
    const BLOCK: u64 = 512;
    // a tar of one file: its header, its content in whole blocks, two empty ones
    let layer = BLOCK + binary.next_multiple_of(BLOCK) + 2 * BLOCK;
    let digest = "0".repeat(64);
    let mut texts = String::new();
    let kind = "application/vnd.oci.image";
    let blob = |of: &str, size: u64| {
        format!(r#"{{"mediaType":"{kind}.{of}","digest":"sha256:{digest}","size":{size}}}"#)
    };
    let config = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Entrypoint":["/osm-cni"]}},"rootfs":{{"type":"layers","diff_ids":["sha256:{digest}"]}}}}"#
    );
    let _ = write!(texts, r#"{{"imageLayoutVersion":"1.0.0"}}"#);
    let parts = (blob("config.v1+json", config.len() as u64), blob("layer.v1.tar", layer));
    let _ = write!(texts, r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#, parts.0, parts.1);
    let _ =
        write!(texts, r#"{{"schemaVersion":2,"manifests":[{}]}}"#, blob("manifest.v1+json", 500));
    layer + (config.len() + texts.len()) as u64
}
