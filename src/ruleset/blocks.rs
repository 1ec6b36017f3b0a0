//! Splits ranges of numbers into aligned blocks, which a set with masked values can
//! hold; merges ranges; makes prefix masks. For addresses and ports.
//!
//! Pure.

use std::collections::BTreeMap;

/// Merges ranges of numbers that have `bits` bits (1–128), and cuts them into the fewest
/// aligned blocks. Returns the sorted first numbers of the blocks, by prefix length.
pub(super) fn blocks(
    ranges: impl IntoIterator<Item = (u128, u128)>,
    bits: u8,
) -> BTreeMap<u8, Vec<u128>> {
    let mut blocks: BTreeMap<u8, Vec<u128>> = BTreeMap::new();
    for (mut first, last) in merged(ranges) {
        loop {
            // The largest block that starts here and does not end after `last`.
            let mut host_bits = (first.trailing_zeros() as u8).min(bits);
            while block_end(first, host_bits) > last {
                host_bits -= 1;
            }
            blocks.entry(bits - host_bits).or_default().push(first);
            let end = block_end(first, host_bits);
            if end == last {
                break;
            }
            first = end + 1;
        }
    }
    blocks
}

/// A number of `bits` bits (1–128), of which the first `prefix_len` are ones and the
/// others zero.
pub(crate) fn prefix_mask(prefix_len: u8, bits: u8) -> u128 {
    let host_bits = u32::from(bits.saturating_sub(prefix_len));
    let all = u128::MAX >> (128 - u32::from(bits.clamp(1, 128)));
    all & u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// The last number of a block that starts at `first`, which is aligned.
fn block_end(first: u128, host_bits: u8) -> u128 {
    first | !prefix_mask(128 - host_bits, 128)
}

/// Sorts ranges and joins those that overlap or touch.
pub(super) fn merged(ranges: impl IntoIterator<Item = (u128, u128)>) -> Vec<(u128, u128)> {
    let mut ranges: Vec<(u128, u128)> = ranges.into_iter().collect();
    ranges.sort_unstable();
    let mut merged: Vec<(u128, u128)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            _ => merged.push((first, last)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_one_block() {
        assert_eq!(blocks([(1, 1), (0, 0), (2, 3), (2, 2)], 16), [(14, vec![0])].into());
    }

    #[test]
    fn a_mask_has_as_many_leading_ones_as_it_is_long() {
        let cases = [
            (0, 32, 0),
            (1, 32, 0x8000_0000),
            (24, 32, 0xffff_ff00),
            (32, 32, 0xffff_ffff),
            (15, 16, 0xfffe),
            (0, 128, 0),
            (128, 128, u128::MAX),
            (64, 128, u128::MAX << 64),
        ];
        for (prefix_len, bits, expected) in cases {
            assert_eq!(prefix_mask(prefix_len, bits), expected, "/{prefix_len} of {bits}");
        }
    }

    #[test]
    fn everything_is_one_block_of_prefix_length_zero() {
        assert_eq!(blocks([(0, u128::MAX)], 128), [(0, vec![0])].into());
        assert_eq!(blocks([(0, 65535)], 16), [(0, vec![0])].into());
    }

    #[test]
    fn the_blocks_hold_exactly_the_ranges() {
        let ranges = [(1, 1), (80, 80), (8000, 8010), (8005, 9000), (65535, 65535)];
        let blocks = blocks(ranges, 16);
        for port in 0..=65535u128 {
            let listed = ranges.iter().any(|(first, last)| (*first..=*last).contains(&port));
            let held = blocks.iter().any(|(len, all)| {
                let mask = !block_end(0, 16 - len);
                all.contains(&(port & mask))
            });
            assert_eq!(listed, held, "port {port}");
        }
    }
}
