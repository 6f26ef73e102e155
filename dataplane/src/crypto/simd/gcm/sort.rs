//! The jobs of a batch by what they are: what is alike runs through a kernel in a row.

use arrayvec::ArrayVec;

use espalier_wire::Cipher;

use super::super::super::Job;
use super::super::wide::Wide;
use super::super::{Material, is_outbound, material};
use super::key::GcmKey;
use super::{Packet, SHORT, SORTED};

/// Packets of one kind, by their number.
pub(super) type List = ArrayVec<u8, SORTED>;

/// Packets by kind: what of them is alike runs through a kernel in a row.
pub(super) struct Sorted<'a> {
    pub(super) packets: ArrayVec<Packet<'a>, SORTED>,
    /// Short ones by their keys' rounds (10, 12, 14) and by registers, one at least; then `LONG` and `GMAC`.
    pub(super) lists: [List; GMAC + 1],
    /// A bit for each list of short ones that has some.
    pub(super) short: u32,
    /// Whether they have more than one key, and whether some of those have ESN and others have not.
    pub(super) many_keys: bool,
    some_esn: bool,
    /// Whether the first's has.
    esn: bool,
}

/// The list of packets that are not short.
pub(super) const LONG: usize = 3 * SHORT;
/// The list of packets that are only authenticated.
pub(super) const GMAC: usize = LONG + 1;

/// What a key makes of its jobs.
#[derive(Clone, Copy)]
pub(super) struct Kind<'a> {
    key: Option<&'a GcmKey>,
    /// 0, 1, 2 for keys of 128, 192 and 256 bits.
    rounds: usize,
    gmac: bool,
}

impl<'a> Kind<'a> {
    /// Without a key: nothing is to be done here.
    #[inline(always)]
    pub(super) fn new<const SEAL: bool>(job: &Job<'a>) -> Self {
        let (key, gmac) = match material(job) {
            Some(Material::Gcm(key)) => (Some(&**key), false),
            Some(Material::Gmac(key)) => (Some(&**key), true),
            _ => (None, false),
        };
        // By the transform, as the key itself may be far away.
        let rounds = match job.key.transform.cipher() {
            Cipher::Aes256Gcm => 2,
            Cipher::Aes192Gcm => 1,
            _ => 0,
        };
        Self { key: key.filter(|_| is_outbound(job) == SEAL), rounds, gmac }
    }
}

impl<'a> Sorted<'a> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            packets: ArrayVec::new(),
            lists: [const { List::new_const() }; GMAC + 1],
            short: 0,
            many_keys: false,
            some_esn: false,
            esn: false,
        }
    }

    /// Whether a list has packets that may be taken for alike.
    #[inline(always)]
    pub(super) fn one_length(&self, list: usize) -> bool {
        let mut packets = self.lists[list].iter().map(|n| &self.packets[usize::from(*n)]);
        let Some(first) = packets.next() else { return false };
        !self.some_esn && packets.all(|packet| packet.len == first.len && packet.seq_hi == first.seq_hi)
    }

    /// A job, if it is one that is to be done here; what cannot be done stays not verified.
    ///
    /// # Safety
    /// For `SORTED` jobs at most.
    #[inline(always)]
    pub(super) unsafe fn add<V: Wide, const SEAL: bool>(&mut self, job: &mut Job<'a>) {
        let kind = Kind::new::<SEAL>(job);
        if let (Some(first), Some(key)) = (self.packets.first(), kind.key) {
            self.many_keys |= !std::ptr::eq(first.key, key);
            self.some_esn |= job.key.esn != self.esn;
        } else if self.packets.is_empty() {
            self.esn = job.key.esn;
        }
        // SAFETY: the caller's.
        unsafe { self.put::<V>(job, kind) };
    }

    /// A job of this kind.
    ///
    /// # Safety
    /// For `SORTED` jobs at most.
    #[inline(always)]
    pub(super) unsafe fn put<V: Wide>(&mut self, job: &mut Job<'a>, kind: Kind<'a>) {
        let Some(key) = kind.key else { return };
        job.verified = false;
        if job.bytes.len() < 32 {
            return;
        }
        let len = job.bytes.len() - 16;
        let registers = len.div_ceil(V::BYTES);
        // Without a branch, as lengths are anything.
        let list = if registers > SHORT { LONG } else { SHORT * kind.rounds + registers - 1 };
        let list = if kind.gmac { GMAC } else { list };
        self.short |= 1 << list & ((1 << LONG) - 1);
        // SAFETY: the caller's: there is room.
        unsafe {
            self.lists[list].push_unchecked(self.packets.len() as u8);
            self.packets.push_unchecked(Packet {
                key,
                bytes: job.bytes.as_mut_ptr(),
                done: &mut job.verified,
                len: len as u32,
                seq_hi: if job.key.esn { job.seq_hi } else { 0 },
            });
        }
    }
}
