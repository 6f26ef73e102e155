//! The Poly1305 of short packets, in turn: as in `poly` it is made in steps that go along with the rounds of the cipher, but
//! what is summed is copied when a chain takes a packet, so that it lies in one piece, and the chain writes the tag that it has
//! made, or compares it.

use std::arch::asm;
use std::arch::x86_64::_mm256_zeroupper;
use std::hint::black_box;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::null;

use super::Packet;
use super::poly::{self, Spare, Steps, Sum};

/// A block of ChaCha20.
pub(super) const CHUNK: usize = 64;
/// Texts of at most so many bytes.
pub(super) const MOST: usize = 2 * CHUNK;
/// Blocks that go along with eight of ChaCha20 without making them slower.
const BESIDE: usize = 20;
/// Packets whose sums are not made.
const PLACES: usize = 32;

/// Steps of a chain, or of each of two, in half a double round.
#[derive(Clone, Copy)]
pub(super) enum Pace {
    One,
    Two,
}

/// A packet in the line.
#[repr(C, align(64))]
struct Entry {
    sum: Sum,
    /// The upper half of the one-time key; the lower is in the sum.
    s: [u64; 2],
    packet: *const Packet<'static>,
    /// Behind the last block to be summed.
    stop: *const [u8; 16],
    /// Which packet of the round it is, and whether its tag is made at `stop`.
    number: u32,
    due: u32,
    blocks: Blocks,
}

/// Additional data, text, lengths.
#[repr(C, align(32))]
#[derive(Clone, Copy)]
struct Blocks([[u8; 16]; MOST / 16 + 2]);

const _: () = assert!(size_of::<Entry>() == 256, "places are found by a shift");

/// Where the line lies.
pub(super) struct Room {
    entries: [MaybeUninit<Entry>; PLACES],
    /// What a chain has that has nothing.
    idle: Entry,
}

impl Room {
    pub(super) const fn new() -> Self {
        let idle = Entry {
            sum: Sum::NONE,
            s: [0; 2],
            packet: null(),
            stop: null(),
            number: 0,
            due: 0,
            blocks: Blocks([[0; 16]; MOST / 16 + 2]),
        };
        Self { entries: [const { MaybeUninit::uninit() }; PLACES], idle }
    }
}

/// A sum under way.
#[derive(Clone, Copy)]
struct Chain {
    entry: *mut Entry,
    next: *const [u8; 16],
}

/// The sums of packets in turn, a step at a time.
#[repr(C)]
pub(super) struct Line<'p, 'j, const SEAL: bool> {
    spare: Spare,
    entries: *mut Entry,
    idle: *mut Entry,
    packets: *const Packet<'j>,
    /// How many were given to be summed, and how many chains have taken.
    given: usize,
    taken: usize,
    /// From this one on they are summed up to where the first block of ChaCha20 reaches, and the rest when it is given: of the
    /// last texts to be sealed, while the second block is made.
    split: usize,
    rest: bool,
    /// Blocks of the longest.
    most: usize,
    /// A bit for each packet whose tag is made.
    done: u64,
    /// Of packets to be opened, where that differs from the one received.
    differ: [u64; PLACES],
    chains: [Chain; 2],
    _packets: PhantomData<(&'p [Packet<'j>], &'p mut Room)>,
}

/// Bytes of ones, then zeros.
static MASKS: [u8; 32] = {
    let mut masks = [0; 32];
    let mut n = 0;
    while n < 16 {
        masks[n] = 0xff;
        n += 1;
    }
    masks
};

impl<'p, 'j, const SEAL: bool> Line<'p, 'j, SEAL> {
    /// So many packets may lie here, from the one whose key is made to the one whose tag is.
    pub(super) const PLACES: usize = PLACES;

    pub(super) fn new(packets: &'p [Packet<'j>], room: &'p mut Room) -> Self {
        let idle = &raw mut room.idle;
        Self {
            spare: Spare::new(),
            entries: room.entries.as_mut_ptr().cast(),
            idle,
            packets: packets.as_ptr(),
            given: 0,
            taken: 0,
            split: usize::MAX,
            rest: false,
            most: packets.iter().map(Packet::sum_blocks).max().unwrap_or(0),
            done: 0,
            differ: [0; PLACES],
            chains: [Chain { entry: idle, next: null() }; 2],
            _packets: PhantomData,
        }
    }

    /// Where a packet's one-time key goes, whose place no other has any more: r, clamped, then s.
    #[inline(always)]
    pub(super) fn key(&mut self, n: usize) -> *mut u8 {
        // SAFETY: within the room.
        unsafe { (&raw mut (*self.entries.add(n % PLACES)).sum.r).cast() }
    }

    /// The next packets, whose keys there are.
    #[inline(always)]
    pub(super) fn give(&mut self, packets: usize) {
        self.given += packets;
    }

    /// The same, but not to the ends of their texts, which are not sealed yet.
    pub(super) fn give_beginnings(&mut self, packets: usize) {
        self.split = self.given;
        self.give(packets);
    }

    /// The rest of those, when what was given is summed.
    pub(super) fn give_rest(&mut self) {
        (self.taken, self.rest) = (self.split, true);
    }

    /// How fast to go so that the first so many packets are through in so many passes.
    #[inline]
    pub(super) fn pace(&self, packets: usize, passes: usize) -> Pace {
        let waiting = self.given.min(packets).saturating_sub(self.taken);
        // SAFETY: entries.
        let left = |chain: &Chain| unsafe { (*chain.entry).stop as usize } - chain.next as usize;
        let under_way = self.chains.iter().map(left).sum::<usize>() / 16;
        if waiting * self.most + under_way > BESIDE * passes { Pace::Two } else { Pace::One }
    }

    /// A chain that is through with a packet makes the tag and takes the next. False when none waits.
    #[inline(always)]
    fn advance(&mut self, n: usize) -> bool {
        seldom();
        let chain = &mut self.chains[n];
        // SAFETY: entries that were given; none is given again before its packet is done.
        unsafe {
            let entry = &*chain.entry;
            if entry.due != 0 {
                let differ = entry.close::<SEAL>();
                if !SEAL {
                    self.differ[entry.number as usize % PLACES] = differ;
                }
                self.done |= 1u64.wrapping_shl(entry.number);
            }
            if self.taken == self.given {
                *chain = Chain { entry: self.idle, next: null() };
                return false;
            }
            let number = self.taken;
            let (entry, packet) = (&mut *self.entries.add(number % PLACES), &*self.packets.add(number));
            self.taken += 1;
            list(packet, &mut entry.blocks);
            let (mut from, mut to) = (0, packet.sum_blocks());
            entry.due = 1;
            if number >= self.split {
                let begun = 1 + packet.text_len.min(CHUNK) / 16;
                if self.rest { from = begun } else { (to, entry.due) = (begun, 0) }
            }
            if from == 0 {
                entry.sum.h = [0; 3];
            }
            entry.sum.begin();
            entry.packet = std::ptr::from_ref(packet).cast();
            entry.number = number as u32;
            let blocks = entry.blocks.0.as_ptr();
            entry.stop = blocks.add(to);
            self.chains[n] = Chain { entry, next: blocks.add(from) };
        }
        true
    }

    /// The first so many packets' tags are made.
    #[inline(always)]
    pub(super) fn finish(&mut self, packets: usize) {
        if (self.done.trailing_ones() as usize) < packets {
            // SAFETY: only where these instructions are is there anything to wait for.
            unsafe { self.wait(packets) };
        }
    }

    #[inline(never)]
    #[target_feature(enable = "avx2,bmi2")]
    fn wait(&mut self, packets: usize) {
        while (self.done.trailing_ones() as usize) < packets {
            self.step::<0>();
            self.step::<1>();
        }
    }

    /// All that was given is summed.
    #[inline(never)]
    #[target_feature(enable = "avx2,bmi2")]
    pub(super) fn drain(&mut self) {
        while self.taken < self.given || self.chains.iter().any(|chain| chain.entry != self.idle) {
            self.step::<0>();
            self.step::<1>();
        }
        // The compiler knows nothing of the upper half that `list` leaves in a register; SHA-NI's instructions would pay for it.
        _mm256_zeroupper();
    }

    /// Before their texts are written, packets from the `first` on are known to be authentic or not, if they are to be opened.
    #[inline(always)]
    pub(super) fn settle(&mut self, first: usize, packets: &[Packet<'_>]) {
        if SEAL {
            return;
        }
        self.finish(first + packets.len());
        for (n, packet) in packets.iter().enumerate() {
            // The comparison is one of whole numbers: it takes the same time wherever they differ.
            packet.verified.set(black_box(self.differ[(first + n) % PLACES]) == 0);
        }
    }
}

/// The blocks that a packet's sum is made of.
///
/// # Safety
/// Nothing has a reference to the packet's bytes.
#[inline(always)]
unsafe fn list(packet: &Packet<'_>, blocks: &mut Blocks) {
    let (aad, aad_len) = packet.aad();
    let len = packet.text_len;
    // SAFETY: the text, at most 128 bytes, and the ICV behind it are copied by sixteens, at most nine of them, to behind the
    // first of ten places; the mask is within its 32 bytes. Registers that the cipher's assembler leaves.
    unsafe {
        let blocks = blocks.0.as_mut_ptr();
        blocks.write(aad.to_le_bytes());
        let (from, to) = (packet.bytes.add(16), blocks.add(1).cast::<u8>());
        let whole = (len + 16) & !31;
        for at in (0..whole).step_by(32) {
            asm!("vmovdqu ymm14, [{}]", "vmovdqu [{}], ymm14", in(reg) from.add(at), in(reg) to.add(at),
                out("ymm14") _, options(nostack, preserves_flags));
        }
        if (len + 16) & 16 != 0 {
            asm!("vmovdqu xmm15, [{}]", "vmovdqu [{}], xmm15", in(reg) from.add(whole), in(reg) to.add(whole),
                out("ymm15") _, options(nostack, preserves_flags));
        }
        let (last, mask) = (to.add(len & !15).cast::<u64>(), MASKS.as_ptr().add(16 - len % 16).cast::<u64>());
        last.write_unaligned(last.read_unaligned() & mask.read_unaligned());
        last.add(1).write_unaligned(last.add(1).read_unaligned() & mask.add(1).read_unaligned());
        let lengths = to.add(len.next_multiple_of(16)).cast::<u64>();
        lengths.write_unaligned(aad_len);
        lengths.add(1).write_unaligned(len as u64);
    }
}

/// Where this is called, code stands out of the way.
#[cold]
fn seldom() {}

impl Entry {
    /// The tag of a packet whose sum is made: written, or where it differs from the one received.
    ///
    /// # Safety
    /// A packet in the line; sealed, its text is encrypted.
    #[inline(always)]
    unsafe fn close<const SEAL: bool>(&self) -> u64 {
        // SAFETY: the caller's.
        let packet = unsafe { &*self.packet };
        let s = u128::from(self.s[0]) | u128::from(self.s[1]) << 64;
        let tag = poly::number(self.sum.h, s).to_le();
        if SEAL {
            // SAFETY: the place of the packet's tag.
            unsafe { packet.icv().write_unaligned(tag) };
            0
        } else {
            // SAFETY: nothing wrote to the tag that was received.
            let differ = unsafe { packet.icv().read_unaligned() } ^ tag;
            (differ | differ >> 64) as u64
        }
    }
}

impl<const SEAL: bool> Steps for Line<'_, '_, SEAL> {
    #[inline(always)]
    fn spare(&mut self) -> &mut Spare {
        &mut self.spare
    }

    #[inline(always)]
    fn step<const CHAIN: usize>(&mut self) {
        // SAFETY: a block of an entry that this chain has taken.
        unsafe {
            let chain = &self.chains[CHAIN];
            if chain.next == (*chain.entry).stop && !self.advance(CHAIN) {
                return;
            }
            let chain = &mut self.chains[CHAIN];
            let block = *chain.next;
            chain.next = chain.next.wrapping_add(1);
            (*chain.entry).sum.block(block);
        }
    }
}
