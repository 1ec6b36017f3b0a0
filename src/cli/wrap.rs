//! Text in lines of at most 80 columns.
//!
//! Pure.

use crate::sanitize::printable;

/// How wide the output is.
pub(super) const WIDTH: usize = 80;

/// Text in lines: the first begins at column `first`, the others are indented
/// to `indent`. No-break spaces hold together and are printed as spaces.
pub(super) fn fold(text: &str, first: usize, indent: usize) -> String {
    let mut lines = String::new();
    let mut column = first;
    let mut fresh = true;
    for word in text.split([' ', '\n']) {
        let len = word.chars().count();
        if !fresh && column + 1 + len > WIDTH {
            lines.truncate(lines.trim_end_matches(' ').len());
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            column = indent;
            fresh = true;
        }
        if !fresh {
            lines.push(' ');
            column += 1;
        }
        lines.push_str(word);
        column += len;
        fresh = false;
    }
    // The lines' ends are ours, all else may be anybody's.
    lines.lines().map(printable).collect::<Vec<_>>().join("\n").replace('\u{a0}', " ")
}

/// Text that [`fold`] does not break.
pub(super) fn whole(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}
