//! Views of what happened.
