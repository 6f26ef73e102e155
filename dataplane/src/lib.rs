//! ESP on cores.
