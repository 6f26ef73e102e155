//! ChaCha20-Poly1305 (RFC 8439, RFC 7634): blocks of the key stream in the lanes of registers, whatever packets they are
//! of, and the Poly1305 of several packets abreast.
//!
//! ```text
//! seal:  one-time keys and texts, packet after packet -> tags
//! open:  one-time keys of all packets -> tags -> the texts that are authentic
//! ```
//!
//! Without AVX-512 the sums of packets that are ready are made between the rounds of the next blocks (`poly`); where all
//! are short, lanes are packets (`short`); few packets at once, and long ones to be opened, go to aws-lc one by one. With
//! it, all are made sixteen abreast (`ifma`).

mod cipher;
mod ifma;
mod line;
mod poly;
mod short;

use std::cell::Cell;
use std::hint::black_box;

use arrayvec::ArrayVec;
use espalier_wire::{Cipher, Transform};
use zeroize::Zeroize;

use super::super::Job;
use super::super::library::combined::CombinedKey;
use super::{is_outbound, material};
use crate::mem::{prefetch, prefetch_lines};
use cipher::Stream;
use poly::{Room, Sums, Text};

/// Packets of one round through the steps above: their one-time keys lie on the stack.
const ROUND: usize = 64;
const _: () = assert!(ROUND <= cipher::ROOM, "the stream has a place for each one-time key of a round");

/// So few packets at once go to aws-lc: however few lanes they fill, it takes as long as eight.
const FEW: usize = 5;

/// Texts to be opened from this length on too: the first packets' sums have no rounds to be made beside, and of 1408
/// bytes it takes 750 ns on a Zen 3, 731 in bursts of 64 here and more in smaller ones.
const LONG: usize = 992;

/// What all keys here are of.
const TRANSFORM: Transform = Transform::ChaCha20Poly1305;

/// A key for both directions. Zeroised on drop.
pub(in super::super) struct ChaChaKey {
    words: [u32; 8],
    salt: u32,
    /// For packets that come alone, and long ones to be opened, where they are not done here.
    alone: Option<CombinedKey>,
}

impl Drop for ChaChaKey {
    fn drop(&mut self) {
        self.words.zeroize();
        self.salt.zeroize();
    }
}

impl ChaChaKey {
    /// `key` is the cipher's key, then the salt (RFC 7634 section 2.1).
    pub(super) fn new(key: &[u8]) -> Option<Self> {
        let (words, rest) = key.as_chunks::<4>();
        let (salt, words) = words.split_last()?;
        if !rest.is_empty() || words.len() != 8 {
            return None;
        }
        let alone = match super::widest() {
            true => None,
            false => Some(CombinedKey::new(Cipher::ChaCha20Poly1305, key)?),
        };
        let mut made = Self { words: [0; 8], salt: u32::from_le_bytes(*salt), alone };
        made.words.iter_mut().zip(words).for_each(|(to, from)| *to = u32::from_le_bytes(*from));
        Some(made)
    }
}

/// A job of this module's, split.
struct Packet<'j> {
    key: &'j ChaChaKey,
    esn: Option<u32>,
    /// SPI and sequence number, IV, text, ICV: at least 32 bytes. By a pointer, as the stream has one to the text too.
    bytes: *mut u8,
    text_len: usize,
    verified: &'j Cell<bool>,
}

impl<'j> Packet<'j> {
    fn new(
        key: &'j ChaChaKey,
        esn: Option<u32>,
        bytes: &'j mut [u8],
        verified: &'j mut bool,
    ) -> Option<Self> {
        let verified = Cell::from_mut(verified);
        let text_len = bytes.len().checked_sub(32)?;
        Some(Self { key, esn, bytes: bytes.as_mut_ptr(), text_len, verified })
    }

    /// Have aws-lc do it, if the key is one of its too.
    fn alone<const SEAL: bool>(&self) -> bool {
        let Some(alone) = &self.key.alone else { return false };
        // SAFETY: all bytes of the packet, which nothing else uses any more.
        let bytes = unsafe { std::slice::from_raw_parts_mut(self.bytes, self.text_len + 32) };
        let done = match SEAL {
            true => alone.seal(TRANSFORM, bytes, self.esn),
            false => alone.open(TRANSFORM, bytes, self.esn),
        };
        self.verified.set(done.is_some());
        true
    }

    fn head(&self) -> [u8; 16] {
        // SAFETY: the first of at least 32 bytes, that nothing has a reference to.
        unsafe { self.bytes.cast::<[u8; 16]>().read() }
    }

    fn iv(&self) -> [u32; 2] {
        let iv = (u128::from_le_bytes(self.head()) >> 64) as u64;
        [iv as u32, (iv >> 32) as u32]
    }

    /// What is authenticated before the text, and how many bytes of it count. After the header there are zeros, or 64 bits
    /// of sequence number and zeros with ESN.
    #[inline(always)]
    fn aad(&self) -> (u128, u64) {
        let head = u128::from_le_bytes(self.head());
        match self.esn {
            None => (head & u128::from(u64::MAX), 8),
            Some(high) => {
                let seq = head >> 32 & u128::from(u32::MAX);
                (head & u128::from(u32::MAX) | u128::from(high.to_be()) << 32 | seq << 64, 12)
            }
        }
    }

    /// What is authenticated.
    ///
    /// # Safety
    /// Nobody writes to the packet's text while this is used.
    unsafe fn text(&self) -> Text<'j> {
        let (aad, len) = self.aad();
        // SAFETY: of the packet's bytes, which are `'j`'s; the rest is the caller's.
        let text = unsafe { std::slice::from_raw_parts(self.bytes.add(16), self.text_len) };
        Text::new(aad.to_le_bytes(), len, text)
    }

    /// Blocks of Poly1305: additional data, text, lengths.
    #[inline(always)]
    fn sum_blocks(&self) -> usize {
        self.text_len.div_ceil(16) + 2
    }

    /// The places of the text's blocks.
    fn blocks(&self) -> impl Iterator<Item = Place> {
        (0..self.text_len).step_by(64).zip(1..).map(|(at, counter)| {
            let len = (self.text_len - at).min(64);
            Place {
                bytes: (self.bytes.wrapping_add(16 + at), len),
                counter,
                is_last: at + len == self.text_len,
            }
        })
    }

    /// As a number, lowest byte first: taken apart into bytes it would be put together again on its way through memory.
    fn icv(&self) -> *mut u128 {
        // SAFETY: the last of the packet's bytes.
        unsafe { self.bytes.add(16 + self.text_len).cast() }
    }
}

/// Where a block of a text lies.
struct Place {
    bytes: (*mut u8, usize),
    counter: u32,
    is_last: bool,
}

type Packets<'j> = ArrayVec<Packet<'j>, ROUND>;

/// Seal or open the jobs of this engine whose keys are ChaCha20-Poly1305's, in the key's direction.
pub(super) fn run<const SEAL: bool>(jobs: &mut [Job<'_>]) {
    for jobs in jobs.chunks_mut(ROUND) {
        let mut packets = Packets::new();
        let mut longest = 0;
        for job in jobs {
            let Some(super::Material::ChaCha(key)) = material(job) else { continue };
            let (outbound, esn) = (is_outbound(job), job.esn());
            job.verified = false;
            if outbound != SEAL {
                continue;
            }
            prefetch(&key.words);
            job.bytes.first().inspect(|byte| prefetch_lines::<2, u8>(byte));
            let Some(packet) = Packet::new(key, esn, job.bytes, &mut job.verified) else { continue };
            if SEAL || packet.text_len < LONG || !packet.alone::<SEAL>() {
                longest = longest.max(packet.text_len);
                packets.push(packet);
            }
        }
        if packets.is_empty() {
            continue;
        }
        let few = packets.len() <= FEW;
        if longest <= line::MOST && !super::widest() {
            let rest = packets.len() % short::LANES;
            let (groups, rest) = packets.split_at(packets.len() - if rest <= short::FEW { rest } else { 0 });
            match SEAL {
                _ if groups.is_empty() => {}
                true => short::seal(groups),
                false => short::open(groups),
            }
            rest.iter().for_each(|packet| _ = packet.alone::<SEAL>());
        } else if !few || !packets.iter().all(Packet::alone::<SEAL>) {
            round::<SEAL>(&packets);
        }
    }
}

fn round<const SEAL: bool>(packets: &Packets<'_>) {
    let mut room = Room::new();
    let (mut sums, mut stream) = (Sums::new(&mut room), Stream::new());
    match SEAL {
        true => seal(packets, &mut stream, &mut sums),
        false => open(packets, &mut stream, &mut sums),
    }
}

/// The texts that are ready are given to be authenticated.
fn give<'j>(packets: &[Packet<'j>], sums: &mut Sums<'j>, ready: usize) {
    for packet in &packets[sums.texts().len()..ready] {
        // SAFETY: sealed, it was encrypted to its end; to be opened, it is decrypted when it was found authentic.
        sums.give(unsafe { packet.text() });
    }
}

/// A packet's text is ready when it is encrypted.
fn seal<'j>(packets: &[Packet<'j>], stream: &mut Stream<'j>, sums: &mut Sums<'j>) {
    let run = |stream: &mut Stream<'j>, sums: &mut Sums<'j>| {
        stream.run(sums, |sums, ready| give(packets, sums, ready));
    };
    for (n, packet) in packets.iter().enumerate() {
        if stream.is_full() {
            run(stream, sums);
        }
        stream.one_time(packet.key, packet.iv(), n, if packet.text_len == 0 { n + 1 } else { n });
        for place in packet.blocks() {
            if stream.is_full() {
                run(stream, sums);
            }
            let ready = if place.is_last { n + 1 } else { n };
            // SAFETY: bytes of the packet, whose tag is written when the stream is done with them.
            unsafe { stream.add(packet.key, packet.iv(), place.counter, place.bytes, ready) };
        }
    }
    run(stream, sums);
    let mut tags = Tags::new(sums);
    for (n, packet) in packets.iter().enumerate() {
        // SAFETY: the place of the packet's tag, which nothing else uses any more.
        unsafe { packet.icv().write_unaligned(tags.tag(n).to_le()) };
        packet.verified.set(true);
    }
}

/// A packet's text is ready when its one-time key is, and decrypted when it is authentic.
fn open<'j>(packets: &[Packet<'j>], stream: &mut Stream<'j>, sums: &mut Sums<'j>) {
    for (n, packet) in packets.iter().enumerate() {
        stream.one_time(packet.key, packet.iv(), n, n + 1);
    }
    stream.run(sums, |sums, ready| give(packets, sums, ready));
    let mut tags = Tags::new(sums);
    for (n, packet) in packets.iter().enumerate() {
        // SAFETY: nothing wrote to the tag that was received.
        let icv = unsafe { packet.icv().read_unaligned() };
        // The comparison is one of whole numbers: it takes the same time wherever they differ.
        let differ = icv ^ tags.tag(n).to_le();
        packet.verified.set(black_box(differ) == 0);
        if !packet.verified.get() {
            continue;
        }
        for place in packet.blocks() {
            if stream.is_full() {
                stream.run(tags.sums, |_, _| {});
            }
            // SAFETY: bytes of the packet, which is authentic and whose tag is of no use any more.
            unsafe { stream.add(packet.key, packet.iv(), place.counter, place.bytes, 0) };
        }
    }
    stream.run(tags.sums, |_, _| {});
}

/// The tags of a round's texts.
struct Tags<'s, 'j> {
    sums: &'s mut Sums<'j>,
    /// With AVX-512 they are made at once.
    abreast: Option<[[u8; 16]; ROUND]>,
}

impl<'s, 'j> Tags<'s, 'j> {
    fn new(sums: &'s mut Sums<'j>) -> Self {
        let count = sums.texts().len();
        let abreast = (count >= ifma::WORTH && super::widest()).then(|| {
            let mut tags = [[0; 16]; ROUND];
            ifma::tags(sums.texts(), &sums.keys[..count], &mut tags[..count]);
            tags
        });
        Self { sums, abreast }
    }

    fn tag(&mut self, n: usize) -> u128 {
        match &self.abreast {
            Some(tags) => u128::from_le_bytes(tags[n]),
            None => self.sums.tag(n),
        }
    }
}
