//! DES and triple DES (FIPS 46-3) in CBC mode by tables of the S-boxes with P behind them, several blocks at a time
//! where CBC allows it: a fraction of the time that RustCrypto's takes, which the tests hold it against. Its look-ups
//! depend on key and text, as RustCrypto's do.

use zeroize::Zeroize;

use crate::crypto::des_tables::{P, S, round_keys};

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
    let mut rounds = round_keys(key).map(|round| {
        let six = |j: usize| (round >> (42 - 6 * j) & 0x3f) as u32;
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
