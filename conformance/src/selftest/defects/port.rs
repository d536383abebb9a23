//! Breakages of a model's port, written once for all protocols.
