//! DES and triple DES (FIPS 46-3) in CBC mode by tables of the S-boxes with P behind them, several blocks at a time
//! where CBC allows it: a fraction of the time that RustCrypto's takes, which the tests hold it against. Its look-ups
//! depend on key and text, as RustCrypto's do.

use zeroize::Zeroize;

/// FIPS 46-3's S-boxes, row after row.
#[rustfmt::skip]
const S: [[u8; 64]; 8] = [
    [14,4,13,1,2,15,11,8,3,10,6,12,5,9,0,7, 0,15,7,4,14,2,13,1,10,6,12,11,9,5,3,8,
     4,1,14,8,13,6,2,11,15,12,9,7,3,10,5,0, 15,12,8,2,4,9,1,7,5,11,3,14,10,0,6,13],
    [15,1,8,14,6,11,3,4,9,7,2,13,12,0,5,10, 3,13,4,7,15,2,8,14,12,0,1,10,6,9,11,5,
     0,14,7,11,10,4,13,1,5,8,12,6,9,3,2,15, 13,8,10,1,3,15,4,2,11,6,7,12,0,5,14,9],
    [10,0,9,14,6,3,15,5,1,13,12,7,11,4,2,8, 13,7,0,9,3,4,6,10,2,8,5,14,12,11,15,1,
     13,6,4,9,8,15,3,0,11,1,2,12,5,10,14,7, 1,10,13,0,6,9,8,7,4,15,14,3,11,5,2,12],
    [7,13,14,3,0,6,9,10,1,2,8,5,11,12,4,15, 13,8,11,5,6,15,0,3,4,7,2,12,1,10,14,9,
     10,6,9,0,12,11,7,13,15,1,3,14,5,2,8,4, 3,15,0,6,10,1,13,8,9,4,5,11,12,7,2,14],
    [2,12,4,1,7,10,11,6,8,5,3,15,13,0,14,9, 14,11,2,12,4,7,13,1,5,0,15,10,3,9,8,6,
     4,2,1,11,10,13,7,8,15,9,12,5,6,3,0,14, 11,8,12,7,1,14,2,13,6,15,0,9,10,4,5,3],
    [12,1,10,15,9,2,6,8,0,13,3,4,14,7,5,11, 10,15,4,2,7,12,9,5,6,1,13,14,0,11,3,8,
     9,14,15,5,2,8,12,3,7,0,4,10,1,13,11,6, 4,3,2,12,9,5,15,10,11,14,1,7,6,0,8,13],
    [4,11,2,14,15,0,8,13,3,12,9,7,5,10,6,1, 13,0,11,7,4,9,1,10,14,3,5,12,2,15,8,6,
     1,4,11,13,12,3,7,14,10,15,6,8,0,5,9,2, 6,11,13,8,1,4,10,7,9,5,0,15,14,2,3,12],
    [13,2,8,4,6,15,11,1,10,9,3,14,5,0,12,7, 1,15,13,8,10,3,7,4,12,5,6,11,0,14,9,2,
     7,11,4,1,9,12,14,2,0,6,10,13,15,3,5,8, 2,1,14,7,4,10,8,13,15,12,9,0,3,5,6,11],
];

/// The bit of the S-boxes' 32 that comes to each place, counted from 1.
#[rustfmt::skip]
const P: [u8; 32] = [
    16,7,20,21,29,12,28,17,1,15,23,26,5,18,31,10,2,8,24,14,32,27,3,9,19,13,30,6,22,11,4,25,
];

#[rustfmt::skip]
const PC1: [u8; 56] = [
    57,49,41,33,25,17,9,1,58,50,42,34,26,18,10,2,59,51,43,35,27,19,11,3,60,52,44,36,
    63,55,47,39,31,23,15,7,62,54,46,38,30,22,14,6,61,53,45,37,29,21,13,5,28,20,12,4,
];

#[rustfmt::skip]
const PC2: [u8; 48] = [
    14,17,11,24,1,5,3,28,15,6,21,10,23,19,12,4,26,8,16,7,27,20,13,2,
    41,52,31,37,47,55,30,40,51,45,33,48,44,49,39,56,34,53,46,42,50,36,29,32,
];

const TURNS: [u32; 16] = [1, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 2, 2, 2, 1];

/// What each box gives for six bits, every bit where P brings it.
static BOXES: [[u32; 64]; 8] = boxes();

const fn boxes() -> [[u32; 64]; 8] {
    let mut all = [[0; 64]; 8];
    let mut place = 0;
    while place < 32 {
        let (j, bit) = ((P[place] as usize - 1) / 4, (P[place] as usize - 1) % 4);
        let mut six = 0;
        while six < 64 {
            // The outer two bits are the row, the inner four the column.
            let (row, column) = ((six >> 5) << 1 | six & 1, six >> 1 & 15);
            all[j][six] |= (S[j][16 * row + column] as u32 >> (3 - bit) & 1) << (31 - place);
            six += 1;
        }
        place += 1;
    }
    all
}

/// The round keys of one DES in the order of their use: six bits in each byte, those of the boxes 3, 5, 7, 1 in the first
/// word and of 2, 4, 6, 8 in the second, from the highest byte on.
type Rounds = [[u32; 2]; 16];

fn schedule(key: [u8; 8], backwards: bool) -> Rounds {
    let key = u64::from_be_bytes(key);
    let half = |choice: &[u8]| choice.iter().fold(0, |half, n| half << 1 | (key >> (64 - n) & 1) as u32);
    let (mut c, mut d) = (half(&PC1[..28]), half(&PC1[28..]));
    let turn = |half: u32, by: u32| (half << by | half >> (28 - by)) & 0x0fff_ffff;
    let mut rounds = TURNS.map(|by| {
        (c, d) = (turn(c, by), turn(d, by));
        let both = u64::from(c) << 28 | u64::from(d);
        let six = |j: usize| {
            let bits = PC2[6 * j..6 * j + 6].iter();
            bits.fold(0, |six, from| six << 1 | (both >> (56 - from) & 1) as u32)
        };
        let word = |[a, b, c, d]: [usize; 4]| six(a) << 24 | six(b) << 16 | six(c) << 8 | six(d);
        [word([2, 4, 6, 0]), word([1, 3, 5, 7])]
    });
    if backwards {
        rounds.reverse();
    }
    rounds
}

/// Swap the bits of `mask` in `b` with those `by` places higher in `a`.
const fn exchange(a: u32, b: u32, by: u32, mask: u32) -> (u32, u32) {
    let differ = (a >> by ^ b) & mask;
    (a ^ differ << by, b ^ differ)
}

/// IP: the two halves of a block.
const fn halves(block: u64) -> (u32, u32) {
    let (l, r) = ((block >> 32) as u32, block as u32);
    let (l, r) = exchange(l, r, 4, 0x0f0f_0f0f);
    let (l, r) = exchange(l, r, 16, 0x0000_ffff);
    let (r, l) = exchange(r, l, 2, 0x3333_3333);
    let (r, l) = exchange(r, l, 8, 0x00ff_00ff);
    exchange(l, r, 1, 0x5555_5555)
}

/// The inverse of IP.
const fn block((l, r): (u32, u32)) -> u64 {
    let (l, r) = exchange(l, r, 1, 0x5555_5555);
    let (r, l) = exchange(r, l, 8, 0x00ff_00ff);
    let (r, l) = exchange(r, l, 2, 0x3333_3333);
    let (l, r) = exchange(l, r, 16, 0x0000_ffff);
    let (l, r) = exchange(l, r, 4, 0x0f0f_0f0f);
    (l as u64) << 32 | r as u64
}

/// The cipher function: E is a matter of turning, as box j takes the bits 4j to 4j + 5 of a ring.
#[inline(always)]
fn f(half: u32, [odd, even]: [u32; 2]) -> u32 {
    let (odd, even) = (half.rotate_left(5) ^ odd, half.rotate_left(1) ^ even);
    let six = |j: usize, word: u32, by: u32| BOXES[j][(word >> by & 63) as usize];
    (six(0, odd, 0) ^ six(2, odd, 24) ^ six(4, odd, 16) ^ six(6, odd, 8))
        ^ (six(7, even, 0) ^ six(1, even, 24) ^ six(3, even, 16) ^ six(5, even, 8))
}

/// One DES, or the three of EDE, for one direction: 128 bytes of round keys, or 384. Zeroised on drop.
pub(in super::super) struct Des<const N: usize>([Rounds; N]);

impl<const N: usize> Des<N> {
    /// None unless the key is as long as `N` DES keys.
    pub(super) fn new(key: &[u8], inbound: bool) -> Option<Self> {
        let keys: &[[u8; 8]; N] = key.as_chunks::<8>().0.try_into().ok().filter(|_| key.len() == 8 * N)?;
        let mut n = 0;
        let mut each = keys.map(|key| {
            n += 1;
            schedule(key, inbound != (n == 2))
        });
        if inbound {
            each.reverse();
        }
        Some(Self(each))
    }

    /// Blocks side by side, so that one's look-ups do not wait for another's.
    #[inline(always)]
    fn crypt<const W: usize>(&self, blocks: [u64; W]) -> [u64; W] {
        let mut all = blocks.map(halves);
        for rounds in &self.0 {
            for pair in rounds.as_chunks::<2>().0 {
                for (l, r) in &mut all {
                    *l ^= f(*r, pair[0]);
                }
                for (l, r) in &mut all {
                    *r ^= f(*l, pair[1]);
                }
            }
            // The last round does not swap the halves, and the next DES begins as this one ended.
            all = all.map(|(l, r)| (r, l));
        }
        all.map(block)
    }

    /// None when the IV or the text does not fit.
    pub(super) fn encrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let mut before = u64::from_be_bytes(iv.try_into().ok()?);
        let (blocks, rest) = text.as_chunks_mut::<8>();
        if !rest.is_empty() {
            return None;
        }
        for bytes in blocks {
            [before] = self.crypt([u64::from_be_bytes(*bytes) ^ before]);
            *bytes = before.to_be_bytes();
        }
        Some(())
    }

    /// None when the IV or the text does not fit.
    pub(super) fn decrypt(&self, iv: &[u8], text: &mut [u8]) -> Option<()> {
        let mut before = u64::from_be_bytes(iv.try_into().ok()?);
        let (blocks, rest) = text.as_chunks_mut::<8>();
        if !rest.is_empty() {
            return None;
        }
        let (fours, left) = blocks.as_chunks_mut::<4>();
        for four in fours {
            let received = four.map(u64::from_be_bytes);
            let plain = self.crypt(received);
            for ((bytes, plain), received) in four.iter_mut().zip(plain).zip(received) {
                *bytes = (plain ^ before).to_be_bytes();
                before = received;
            }
        }
        for bytes in left {
            let received = u64::from_be_bytes(*bytes);
            let [plain] = self.crypt([received]);
            *bytes = (plain ^ before).to_be_bytes();
            before = received;
        }
        Some(())
    }
}

impl<const N: usize> Drop for Des<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use cbc::{Decryptor, Encryptor};
    use cipher::array::Array;
    use cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
    use proptest::prelude::*;

    use super::*;

    /// The worked example that FIPS 46's readers have always used (Grabbe, "The DES algorithm illustrated").
    #[test]
    fn the_worked_example() {
        let des = Des::<1>::new(&0x1334_5779_9bbc_dff1_u64.to_be_bytes(), false).unwrap();
        assert_eq!(des.crypt([0x0123_4567_89ab_cdef]), [0x85e8_1354_0f0a_b405]);
    }

    #[test]
    fn lengths_that_are_not_the_ciphers() {
        assert!(Des::<1>::new(&[1; 9], false).is_none() && Des::<3>::new(&[1; 16], false).is_none());
        let des = Des::<1>::new(&[1; 8], false).unwrap();
        assert!(des.encrypt(&[0; 7], &mut [0; 8]).is_none() && des.encrypt(&[0; 8], &mut [0; 9]).is_none());
        assert!(des.decrypt(&[0; 9], &mut [0; 8]).is_none() && des.decrypt(&[0; 8], &mut [0; 7]).is_none());
    }

    /// Encrypted and decrypted by ours and by RustCrypto's.
    macro_rules! twins {
        ($name:ident, $n:literal, $theirs:ty) => {
            proptest! {
                #[test]
                fn $name(
                    key in prop::array::uniform::<_, { 8 * $n }>(any::<u8>()),
                    iv in any::<[u8; 8]>(),
                    blocks in prop::collection::vec(any::<[u8; 8]>(), 0..12),
                ) {
                    let (mut ours, mut theirs) = (blocks.concat(), blocks.concat());
                    Des::<$n>::new(&key, false).unwrap().encrypt(&iv, &mut ours).unwrap();
                    let (chunks, _) = Array::slice_as_chunks_mut(&mut theirs);
                    Encryptor::<$theirs>::new(&key.into(), &iv.into()).encrypt_blocks(chunks);
                    prop_assert_eq!(&ours, &theirs);
                    Des::<$n>::new(&key, true).unwrap().decrypt(&iv, &mut ours).unwrap();
                    let (chunks, _) = Array::slice_as_chunks_mut(&mut theirs);
                    Decryptor::<$theirs>::new(&key.into(), &iv.into()).decrypt_blocks(chunks);
                    prop_assert_eq!(&ours, &theirs);
                    prop_assert_eq!(ours, blocks.concat());
                }
            }
        };
    }

    twins!(des_is_rustcryptos, 1, des::Des);
    twins!(triple_des_is_rustcryptos, 3, des::TdesEde3);
}
