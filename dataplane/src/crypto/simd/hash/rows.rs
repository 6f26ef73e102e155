//! What is around the compression of SHA-1 and SHA-256: the rows of a state go into registers, and back.

use std::marker::PhantomData;

use super::State;
use super::words::{Body, Words};

/// A compression over registers, each a word of every lane.
pub(super) trait Compress {
    /// Words of the state, eight at most.
    const ROWS: usize;

    /// `inline(always)`: part of a [`Body`].
    fn compress<V: Words>(rows: &mut [V; 8], w: &mut [V; 16]);
}

/// Hash `steps` blocks of each lane.
pub(super) struct Blocks<'a, C> {
    pub(super) state: &'a mut State,
    pub(super) next: &'a mut [*const u8],
    pub(super) steps: usize,
    pub(super) rounds: PhantomData<C>,
}

impl<C: Compress> Body for Blocks<'_, C> {
    #[inline(always)]
    unsafe fn run<V: Words>(self) {
        let Self { state, next, steps, .. } = self;
        let mut rows = load::<V>(state, C::ROWS);
        for _ in 0..steps {
            // SAFETY: the maker's: each pointer has `steps` blocks to be read.
            let mut w = unsafe { V::blocks(next, true) };
            C::compress(&mut rows, &mut w);
        }
        store(&rows, state, C::ROWS);
    }
}

/// The digests in the lanes become those of HMAC's outer hash: what is hashed are the rows as they are.
pub(super) struct Outer<'a, C> {
    pub(super) state: &'a mut State,
    /// The states behind the outer keys' blocks.
    pub(super) keys: &'a State,
    pub(super) rounds: PhantomData<C>,
}

impl<C: Compress> Body for Outer<'_, C> {
    #[inline(always)]
    unsafe fn run<V: Words>(self) {
        let Self { state, keys, .. } = self;
        let mut w = [V::all(0); 16];
        let inner = load::<V>(state, C::ROWS);
        w[..C::ROWS].copy_from_slice(&inner[..C::ROWS]);
        w[C::ROWS] = V::all(0x8000_0000);
        w[15] = V::all(8 * (64 + 4 * C::ROWS as u32));
        let mut rows = load::<V>(keys, C::ROWS);
        C::compress(&mut rows, &mut w);
        store(&rows, state, C::ROWS);
    }
}

/// The first `count` rows of a state.
#[inline(always)]
pub(super) fn load<V: Words>(state: &State, count: usize) -> [V; 8] {
    let mut rows = [V::all(0); 8];
    for n in 0..count {
        // SAFETY: a row is 64 aligned bytes.
        rows[n] = unsafe { V::load(state.0[n].as_ptr()) };
    }
    rows
}

/// The way back.
#[inline(always)]
pub(super) fn store<V: Words>(rows: &[V; 8], state: &mut State, count: usize) {
    for n in 0..count {
        // SAFETY: a row is 64 aligned bytes.
        unsafe { rows[n].store(state.0[n].as_mut_ptr()) };
    }
}
