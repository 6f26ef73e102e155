//! Longest prefix match for IPv6: one ordered map, asked once for each length that has a route, longest first.

use std::collections::BTreeMap;

#[derive(Default)]
pub(super) struct Table {
    routes: BTreeMap<(u8, u128), u32>,
    /// How many routes there are of each length.
    lengths: BTreeMap<u8, usize>,
}

fn mask(len: u8) -> u128 {
    u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0)
}

impl Table {
    pub(super) fn lookup(&self, addr: u128) -> Option<u32> {
        self.lengths.keys().rev().find_map(|len| self.routes.get(&(*len, addr & mask(*len))).copied())
    }

    pub(super) fn insert(&mut self, net: u128, len: u8, route: u32) {
        if self.routes.insert((len, net), route).is_none() {
            *self.lengths.entry(len).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, net: u128, len: u8) -> Option<u32> {
        let route = self.routes.remove(&(len, net))?;
        if let Some(count) = self.lengths.get_mut(&len) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&len);
            }
        }
        Some(route)
    }
}
