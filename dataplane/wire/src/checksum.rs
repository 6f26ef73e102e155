//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

/// The ones' complement sum of `bytes` as big-endian 16-bit words, odd byte padded with zero, folded to 16 bits and
/// not yet complemented. Sums of parts add up with [`add`] when every part but the last has an even length.
#[inline]
pub fn sum(bytes: &[u8]) -> u16 {
    let mut total = 0u64;
    let mut words = bytes.chunks_exact(4);
    for w in &mut words {
        total += u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]));
    }
    let rest = words.remainder();
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    fold(total + u64::from(u32::from_be_bytes(last)))
}

/// Whether a header of N bytes, a multiple of four, that holds its checksum has the right one. The order of bytes in a
/// word does not matter to that (RFC 1071 section 2).
#[inline]
pub fn is_right<const N: usize>(header: &[u8; N]) -> bool {
    let (words, _) = header.as_chunks::<4>();
    let sum: u64 = words.iter().map(|word| u64::from(u32::from_ne_bytes(*word))).sum();
    // The fold of a sum is 0xffff when that divides it; only nothing but zeros has the sum 0.
    is_multiple(sum) && sum != 0
}

/// Whether 0xffff divides a sum of words of 16, 32 or 64 bits. Multiplied by the inverse of 0xffff modulo 2^64, a multiple
/// becomes the quotient, and nothing else becomes as small.
#[inline(always)]
pub const fn is_multiple(sum: u64) -> bool {
    const INVERSE: u64 = 0xfffe_fffe_fffe_ffff;
    const { assert!(INVERSE.wrapping_mul(0xffff) == 1) };
    sum.wrapping_mul(INVERSE) <= u64::MAX / 0xffff
}

/// The ones' complement sum of 64 bits: of what is carried out of the last bit 0xffff leaves the same rest as of the first.
#[inline(always)]
pub const fn add_wide(a: u64, b: u64) -> u64 {
    let (sum, carry) = a.overflowing_add(b);
    sum + carry as u64
}

/// The sum of two partial sums.
#[inline]
pub const fn add(a: u16, b: u16) -> u16 {
    fold(a as u64 + b as u64)
}

/// The sum of several.
#[inline]
pub fn add_all<const N: usize>(sums: [u16; N]) -> u16 {
    fold(sums.iter().map(|sum| u64::from(*sum)).sum())
}

/// The checksum field for bytes whose own field is zero.
#[inline]
pub fn checksum(bytes: &[u8]) -> u16 {
    !sum(bytes)
}

/// The checksum after one 16-bit word changed from `old` to `new` (RFC 1624 equation 3).
#[inline]
pub const fn update(checksum: u16, old: u16, new: u16) -> u16 {
    !fold((!checksum) as u64 + (!old) as u64 + new as u64)
}

#[inline]
/// Without a branch: whether a carry is left is as random as the bytes.
const fn fold(total: u64) -> u16 {
    let total = (total & 0xffff_ffff) + (total >> 32);
    let total = (total & 0xffff) + ((total >> 16) & 0xffff) + (total >> 32);
    let total = (total & 0xffff) + (total >> 16);
    ((total & 0xffff) + (total >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn matches_the_example_of_rfc_1071() {
        assert_eq!(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), 0xddf2);
    }

    proptest! {
        #[test]
        fn a_right_header_is_right_in_any_order(mut header: [u8; 20], flip in 0usize..160) {
            header[10..12].fill(0);
            let sum = checksum(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            prop_assert!(is_right(&header));
            let wide = |header: &[u8; 20]| {
                let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().unwrap());
                is_multiple(add_wide(add_wide(word(0), word(8)), word(12) >> 32))
            };
            prop_assert!(wide(&header));
            header[flip / 8] ^= 1 << (flip % 8);
            prop_assert!(!is_right(&header) && !wide(&header));
        }

        #[test]
        fn wide_sums_leave_the_rest_that_whole_ones_do(a: u64, b: u64) {
            prop_assert_eq!(add_wide(a, b) % 0xffff, ((u128::from(a) + u128::from(b)) % 0xffff) as u64);
        }

        #[test]
        fn an_update_equals_a_new_sum(mut bytes in proptest::collection::vec(any::<u8>(), 4..64), new: u16) {
            let before = checksum(&bytes);
            let old = u16::from_be_bytes([bytes[2], bytes[3]]);
            bytes[2..4].copy_from_slice(&new.to_be_bytes());
            let (fresh, updated) = (checksum(&bytes), update(before, old, new));
            // 0x0000 and 0xffff are the two zeros of ones' complement.
            prop_assert!(fresh == updated || (fresh ^ updated) == 0xffff && (fresh == 0 || updated == 0));
        }
    }
}
