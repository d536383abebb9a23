//! The one test binary of this crate.

mod crash;
mod dummy;
mod gate;
mod hostile;
