//! Who wants to know how far a batch has come: the stages of [`Worker::receive_watched`](crate::worker::Worker), told as
//! each ends. The dataplane has no clock; a watch may have one.

/// The stages a batch goes through, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Link and IP headers read and checked.
    Classify,
    /// Route, policy and SA found.
    LookUp,
    /// Numbered, headers and padding written; or SPI found and window asked.
    Prepare,
    /// Sealed or opened by the engine.
    Crypt,
    /// Window moved, trailer read, inner packet looked up; counted and put out.
    Finish,
}

impl Stage {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::Classify, Self::LookUp, Self::Prepare, Self::Crypt, Self::Finish];

    /// As reports call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Classify => "classify",
            Self::LookUp => "look-up",
            Self::Prepare => "prepare",
            Self::Crypt => "crypt",
            Self::Finish => "finish",
        }
    }
}

/// Told when a stage has ended for the packets of a batch.
pub trait Watch {
    /// It has.
    fn passed(&mut self, stage: Stage);
}

/// Nobody watches: costs nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    #[inline(always)]
    fn passed(&mut self, _: Stage) {}
}
