//! Two machines over a scripted wire, in virtual time.

mod dead;
mod harness;
mod hostile;
mod losses;
mod negotiate;
mod refusals;
mod rekey;
mod shown;
mod tables;
