//! The shim's five functions, made safe: a manager, and keys. The only `unsafe` of this engine.

use std::ffi::c_void;
use std::ptr::NonNull;

use arrayvec::ArrayVec;
use espalier_wire::plane::Direction;
use espalier_wire::{Cipher, Integrity, Transform};

use super::super::layout::Parts;
use super::super::{Job, Key, Secrets};
use crate::crypto::simd::cpu::Level;

/// Packets of one call.
const PACKETS: usize = 512;

/// What the shim is told of a transform; its numbers are those of the shim's enumerations.
#[repr(C)]
struct Shape {
    cipher: u32,
    mac: u32,
    key_len: u32,
    iv_len: u32,
    icv_len: u32,
    esn: u32,
}

#[repr(C)]
struct Packet {
    key: *const c_void,
    bytes: *mut u8,
    len: usize,
    seq_hi: u32,
    verified: u32,
}

unsafe extern "C" {
    fn espalier_mb_manager(level: u32) -> *mut c_void;
    fn espalier_mb_manager_free(manager: *mut c_void);
    fn espalier_mb_key(
        manager: *mut c_void,
        shape: *const Shape,
        secret: *const u8,
        auth: *const u8,
        auth_len: usize,
    ) -> *mut c_void;
    fn espalier_mb_key_free(key: *mut c_void);
    fn espalier_mb_run(manager: *mut c_void, packets: *mut Packet, count: usize, seal: u32);
}

/// An expanded key, which the shim wipes and frees.
pub(super) struct MbKey(NonNull<c_void>);

// SAFETY: nothing of a key changes once it is made, and any thread may free it.
unsafe impl Send for MbKey {}
// SAFETY: as above.
unsafe impl Sync for MbKey {}

impl Drop for MbKey {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and gone with this value.
        unsafe { espalier_mb_key_free(self.0.as_ptr()) };
    }
}

/// What the library works with: its lanes and queues, of one thread.
pub(super) struct Manager(NonNull<c_void>);

impl Drop for Manager {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and gone with this value.
        unsafe { espalier_mb_manager_free(self.0.as_ptr()) };
    }
}

impl Shape {
    fn new(transform: Transform, esn: bool) -> Self {
        let cipher = match transform.cipher() {
            Cipher::Null => 0,
            Cipher::DesCbc => 1,
            Cipher::TripleDesCbc => 2,
            Cipher::Aes128Cbc | Cipher::Aes192Cbc | Cipher::Aes256Cbc => 3,
            Cipher::Aes128Gcm | Cipher::Aes192Gcm | Cipher::Aes256Gcm => 4,
            Cipher::Aes128Gmac => 5,
            Cipher::ChaCha20Poly1305 => 6,
        };
        let mac = match transform.integrity() {
            Integrity::Md5 => 0,
            Integrity::Sha1 => 1,
            Integrity::Sha256 => 2,
            Integrity::Sha384 => 3,
            Integrity::Sha512 => 4,
            Integrity::Combined => 5,
        };
        Self {
            cipher,
            mac,
            key_len: transform.cipher().key_len() as u32,
            iv_len: transform.iv_len() as u32,
            icv_len: transform.icv_len() as u32,
            esn: u32::from(esn),
        }
    }
}

impl Manager {
    /// None without memory, or on a CPU that the library has nothing for.
    pub(super) fn new(level: Level) -> Option<Self> {
        let level = match level {
            Level::Base => 0,
            Level::Avx2 | Level::Vaes => 1,
            Level::Avx512 => 2,
        };
        // SAFETY: no condition; a CPU that lacks what the level wants gets none.
        NonNull::new(unsafe { espalier_mb_manager(level) }).map(Self)
    }

    /// Of lengths that have been checked. None without memory.
    pub(super) fn key(&self, secrets: &Secrets<'_>) -> Option<MbKey> {
        let Secrets { transform, key, auth_key, esn, .. } = *secrets;
        let shape = Shape::new(transform, esn);
        let (manager, auth_len) = (self.0.as_ptr(), auth_key.len());
        // SAFETY: as many bytes as the transform's lengths say, which `check_lengths` has seen to.
        let made = unsafe { espalier_mb_key(manager, &shape, key.as_ptr(), auth_key.as_ptr(), auth_len) };
        NonNull::new(made).map(MbKey)
    }

    /// Seal or open those jobs that have a key here and are packets; sets their `verified`.
    pub(super) fn run(
        &self,
        jobs: &mut [Job<'_>],
        seal: bool,
        key: impl for<'k> Fn(&'k Key) -> Option<&'k MbKey>,
    ) {
        for jobs in jobs.chunks_mut(PACKETS) {
            let mut packets: ArrayVec<Packet, PACKETS> = ArrayVec::new();
            let mut places: ArrayVec<u16, PACKETS> = ArrayVec::new();
            for (place, job) in jobs.iter_mut().enumerate() {
                let Some(key) = key(job.key) else { continue };
                job.verified = false;
                if (job.key.direction == Direction::Outbound) == seal
                    && Parts::new(job.key.transform, job.bytes).is_some()
                {
                    let (bytes, len) = (job.bytes.as_mut_ptr(), job.bytes.len());
                    packets.push(Packet { key: key.0.as_ptr(), bytes, len, seq_hi: job.seq_hi, verified: 0 });
                    places.push(place as u16);
                }
            }
            let (first, count) = (packets.as_mut_ptr(), packets.len());
            // SAFETY: at most PACKETS; each key is the shim's own and each packet a job's bytes, of which `Parts` has seen that
            // they fit the transform. All of them outlive the call, which leaves no job behind.
            unsafe { espalier_mb_run(self.0.as_ptr(), first, count, u32::from(seal)) };
            for (packet, place) in packets.iter().zip(places) {
                if let Some(job) = jobs.get_mut(usize::from(place)) {
                    job.verified = packet.verified != 0;
                }
            }
        }
    }
}
