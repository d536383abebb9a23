//! Content in memory: the blocks of each owner in order, and reads of one block share it.

use super::{Block, Range};
use bytes::{Bytes, BytesMut};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// The blocks of every owner, sorted by start, without overlap.
#[derive(Default)]
pub(super) struct Memory(RwLock<HashMap<u64, Vec<(u64, Bytes)>>>);

impl Memory {
    pub(super) fn put(&self, block: Block) {
        let mut owners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let blocks = owners.entry(block.owner).or_default();
        // Only a broken port writes below the end.
        while let Some((start, bytes)) = blocks.last_mut().filter(|(s, b)| s + b.len() as u64 > block.start) {
            let keep = usize::try_from(block.start.saturating_sub(*start)).unwrap_or(usize::MAX);
            bytes.truncate(keep);
            if bytes.is_empty() {
                blocks.pop();
            }
        }
        // A copy, because a body is a slice of a buffer of its connection and would keep the whole of it.
        blocks.push((block.start, Bytes::copy_from_slice(&block.bytes)));
    }

    pub(super) fn read(&self, range: Range) -> Bytes {
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(blocks) = owners.get(&range.owner) else { return Bytes::new() };
        let first = blocks.partition_point(|(start, bytes)| start + bytes.len() as u64 <= range.from);
        let inside: Vec<Bytes> = blocks[first..]
            .iter()
            .take_while(|(start, _)| *start < range.to)
            .map(|(start, bytes)| slice(*start, bytes, range))
            .collect();
        drop(owners);
        match <[Bytes; 1]>::try_from(inside) {
            Ok([one]) => one,
            Err(many) => {
                let mut joined = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
                many.iter().for_each(|bytes| joined.extend_from_slice(bytes));
                joined.freeze()
            }
        }
    }

    pub(super) fn appends(&self, range: Range, most: usize) -> Vec<(u64, Bytes)> {
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(blocks) = owners.get(&range.owner) else { return Vec::new() };
        let first = blocks.partition_point(|(start, _)| *start < range.from);
        let mut length = 0;
        let inside = blocks[first..].iter().take_while(|(start, bytes)| {
            let room = *start < range.to && length < most;
            length += bytes.len();
            room
        });
        inside.cloned().collect()
    }

    pub(super) fn trim(&self, owner: u64, before: u64) {
        let mut owners = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(blocks) = owners.get_mut(&owner) {
            blocks.drain(..blocks.partition_point(|(start, bytes)| start + bytes.len() as u64 <= before));
        }
    }

    pub(super) fn end_of_append(&self, owner: u64, at: u64) -> Option<u64> {
        let owners = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let blocks = owners.get(&owner)?;
        let first = blocks.partition_point(|(start, bytes)| start + bytes.len() as u64 <= at);
        let (start, bytes) = blocks.get(first).filter(|(start, _)| *start <= at)?;
        Some(start + bytes.len() as u64)
    }

    pub(super) fn remove(&self, owner: u64) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&owner);
    }

    pub(super) fn retain(&self, owners: &[u64]) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).retain(|owner, _| owners.contains(owner));
    }
}

/// The part of a block that lies in a range.
fn slice(start: u64, bytes: &Bytes, range: Range) -> Bytes {
    let at = |position: u64| {
        usize::try_from(position.saturating_sub(start)).unwrap_or(usize::MAX).min(bytes.len())
    };
    bytes.slice(at(range.from)..at(range.to))
}
