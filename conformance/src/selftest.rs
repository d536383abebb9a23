//! Who tests the tests: the reference in all variants, targets that do nothing useful, and defects.

pub mod defects;
