//! ChaCha20-Poly1305 (RFC 8439, RFC 7634): blocks of the key stream in the lanes of registers, whatever packets they are
//! of, and the Poly1305 of several packets abreast.
//!
//! ```text
//! seal:  one-time keys of all packets -> text -> tags
//! open:  one-time keys of all packets -> tags -> the texts that are authentic
//! ```
//!
//! Without AVX-512 long packets, and those that come alone, go to aws-lc one by one, whose Poly1305 works beside its
//! cipher.

mod cipher;
mod ifma;
mod poly;

use std::hint::black_box;

use espalier_wire::Cipher;
use zeroize::Zeroize;

use super::super::Job;
use super::super::library::combined::CombinedKey;
use super::{cpu, is_outbound, material};
use cipher::Stream;
use poly::{OneTime, Text};

/// Packets of one round through the steps above: their one-time keys lie on the stack.
const ROUND: usize = 64;

/// Bytes of a packet from which on it is a long one: where aws-lc's time for it, 218 ns and 0.45 ns a byte on a Zen 3, is
/// that of eight lanes.
const LONG: usize = 448;

/// So few packets at once are all taken for long: however few lanes of eight they fill, it takes 700 ns.
const FEW: usize = 3;

/// A key for both directions. Zeroised on drop.
pub(in super::super) struct ChaChaKey {
    words: [u32; 8],
    salt: u32,
    /// For long packets, where they are not done here.
    long: Option<CombinedKey>,
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
        let long = match super::widest() {
            true => None,
            false => Some(CombinedKey::new(Cipher::ChaCha20Poly1305, key)?),
        };
        let mut made = Self { words: [0; 8], salt: u32::from_le_bytes(*salt), long };
        made.words.iter_mut().zip(words).for_each(|(to, from)| *to = u32::from_le_bytes(*from));
        Some(made)
    }
}

/// A job of this module's, split.
struct Packet<'j> {
    key: &'j ChaChaKey,
    esn: Option<u32>,
    /// SPI and sequence number, IV, text.
    bytes: &'j mut [u8],
    icv: &'j mut [u8; 16],
    verified: &'j mut bool,
}

impl Packet<'_> {
    /// The block of additional data: SPI and sequence number, 64 bits of it with ESN, and zeros.
    fn aad(&self) -> [u8; 16] {
        let mut aad = [0; 16];
        match self.esn {
            None => aad[..8].copy_from_slice(&self.bytes[..8]),
            Some(high) => {
                aad[..4].copy_from_slice(&self.bytes[..4]);
                aad[4..8].copy_from_slice(&high.to_be_bytes());
                aad[8..12].copy_from_slice(&self.bytes[4..8]);
            }
        }
        aad
    }

    fn iv(&self) -> [u32; 2] {
        let (words, _) = self.bytes[8..16].as_chunks::<4>();
        [u32::from_le_bytes(words[0]), u32::from_le_bytes(words[1])]
    }

    fn text(&self) -> Text<'_> {
        Text::new(self.aad(), if self.esn.is_some() { 12 } else { 8 }, &self.bytes[16..])
    }
}

/// Seal or open the jobs of this engine whose keys are ChaCha20-Poly1305's, in the key's direction.
pub(super) fn run<const SEAL: bool>(jobs: &mut [Job<'_>]) {
    for jobs in jobs.chunks_mut(ROUND) {
        let mut packets = [const { None }; ROUND];
        let mut count = 0;
        let few = jobs.len() <= FEW;
        for job in jobs {
            let Some(super::Material::ChaCha(key)) = material(job) else { continue };
            let (outbound, esn) = (is_outbound(job), job.esn());
            job.verified = false;
            if outbound == SEAL
                && (few || job.bytes.len() >= LONG)
                && let Some(long) = &key.long
            {
                let transform = job.key.transform;
                job.verified = match SEAL {
                    true => long.seal(transform, job.bytes, esn),
                    false => long.open(transform, job.bytes, esn),
                }
                .is_some();
                continue;
            }
            if outbound == SEAL
                && let Some((bytes, icv)) = job.bytes.split_last_chunk_mut::<16>()
                && bytes.len() >= 16
            {
                packets[count] = Some(Packet { key, esn, bytes, icv, verified: &mut job.verified });
                count += 1;
            }
        }
        if count > 0 {
            round::<SEAL>(&mut packets[..count]);
        }
    }
}

fn round<const SEAL: bool>(packets: &mut [Option<Packet<'_>>]) {
    let mut keys = [OneTime::ZERO; ROUND];
    let mut stream = Stream::new();
    for (packet, key) in packets.iter().flatten().zip(&mut keys) {
        stream.push(packet.key, packet.iv(), 0, &mut key.0);
    }
    stream.end();
    if !SEAL {
        tags::<SEAL>(packets, &keys);
    }
    let mut stream = Stream::new();
    for packet in packets.iter_mut().flatten().filter(|packet| SEAL || *packet.verified) {
        let (key, iv) = (packet.key, packet.iv());
        for (n, block) in packet.bytes[16..].chunks_mut(64).enumerate() {
            stream.push(key, iv, n as u32 + 1, block);
        }
    }
    stream.end();
    if SEAL {
        tags::<SEAL>(packets, &keys);
    }
}

/// Write the tags, or compare them.
fn tags<const SEAL: bool>(packets: &mut [Option<Packet<'_>>], keys: &[OneTime; ROUND]) {
    let mut texts = [Text::NONE; ROUND];
    for (text, packet) in texts.iter_mut().zip(packets.iter().flatten()) {
        *text = packet.text();
    }
    let (mut tags, count) = ([[0; 16]; ROUND], packets.len());
    match count >= ifma::WORTH && cpu::level() == cpu::Level::Avx512 {
        true => ifma::tags(&texts[..count], &keys[..count], &mut tags[..count]),
        false => poly::tags(&texts[..count], &keys[..count], &mut tags[..count]),
    }
    for (packet, tag) in packets.iter_mut().flatten().zip(tags) {
        *packet.verified = if SEAL {
            *packet.icv = tag;
            true
        } else {
            // The comparison is one of whole numbers: it takes the same time wherever they differ.
            black_box(u128::from_ne_bytes(*packet.icv) ^ u128::from_ne_bytes(tag)) == 0
        };
    }
}
