//! Known failures of a target.
