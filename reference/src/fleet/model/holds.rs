//! Holds: which room ids are taken.

use super::State;

/// What a room id is made of; six bits choose one.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/// How many letters a room id has that nobody asked for, behind `r_`.
const LENGTH: usize = 21;

/// Whether nobody may ask for this id: it is the public id of a room, or held.
pub(super) fn is_taken(state: &State, id: &str) -> bool {
    state.places.contains_key(id) || state.holds.contains_key(id)
}

/// An id that is free. All of them together are more than there can be rooms.
pub(super) fn made_up(state: &State, random: &[u8; 32]) -> String {
    let mut digits = [0; LENGTH];
    digits.iter_mut().zip(random).for_each(|(digit, byte)| *digit = byte & 63);
    loop {
        let letters = digits.iter().map(|digit| char::from(LETTERS[usize::from(*digit)]));
        let id: String = "r_".chars().chain(letters).collect();
        if !is_taken(state, &id) {
            return id;
        }
        // The next one, as a number of 21 digits.
        for digit in &mut digits {
            *digit = (*digit + 1) & 63;
            if *digit != 0 {
                break;
            }
        }
    }
}
