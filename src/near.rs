//! Suggestions for a word that was probably mistyped.
//!
//! Pure.

/// The candidate that the word was probably meant to be, in whatever case: at
/// most two edits away, and at most a third of its own length.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let distances = candidates
        .into_iter()
        .map(|candidate| (distance(&word, &candidate.to_lowercase()), candidate));
    let near = distances.filter(|(distance, candidate)| *distance <= (candidate.len() / 3).min(2));
    near.min_by_key(|(distance, _)| *distance).map(|(_, candidate)| candidate)
}

/// How many letters have to be inserted, removed, replaced or swapped with
/// their neighbour (optimal string alignment distance).
fn distance(from: &[char], to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut rows = vec![vec![0; to.len() + 1]; from.len() + 1];
    rows[0] = (0..=to.len()).collect();
    for (row, a) in from.iter().enumerate() {
        rows[row + 1][0] = row + 1;
        for (column, b) in to.iter().enumerate() {
            let replaced = rows[row][column] + usize::from(a != b);
            let mut least = replaced.min(rows[row][column + 1] + 1).min(rows[row + 1][column] + 1);
            let swapped = row > 0 && column > 0 && *a == to[column - 1] && from[row - 1] == *b;
            if swapped {
                least = least.min(rows[row - 1][column - 1] + 1);
            }
            rows[row + 1][column + 1] = least;
        }
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_near_another_by_two_edits_at_most() {
        let words = ["inspect", "install", "uninstall", "render", "wait", "mode"];
        for (typed, meant) in [
            ("inspct", Some("inspect")),
            ("isntall", Some("install")),
            ("rendr", Some("render")),
            ("mod", Some("mode")),
            ("wiat", Some("wait")),
            ("Inspect", Some("inspect")),
            ("run", None),
            ("", None),
            ("dome", None),
            ("completely-other", None),
        ] {
            assert_eq!(nearest(typed, words), meant, "{typed}");
        }
    }
}
