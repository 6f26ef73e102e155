//! Longest prefix match for IPv4: a trie of strides 16, 8, 8, every prefix pushed down to the entries it covers, so
//! that a lookup is one to three loads.

use std::collections::BTreeMap;

/// An entry: 0 is empty; else a child's number with the top bit set, or a prefix length (plus one) above 24 bits of
/// route number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

const CHILD: u32 = 1 << 31;
const ROUTE: u32 = (1 << 24) - 1;

impl Entry {
    const EMPTY: Self = Self(0);

    fn leaf(len: u8, route: u32) -> Self {
        Self((u32::from(len) + 1) << 24 | (route & ROUTE))
    }

    fn child(self) -> Option<usize> {
        (self.0 & CHILD != 0).then_some((self.0 & !CHILD) as usize)
    }

    /// Prefix length plus one; 0 when empty.
    fn rank(self) -> u32 {
        self.0 >> 24
    }

    fn route(self) -> Option<u32> {
        (self.0 != 0).then_some(self.0 & ROUTE)
    }
}

/// Where a node stands: the bits before it, the bits it decides.
#[derive(Clone, Copy)]
struct Level {
    before: u32,
    stride: u32,
}

const LEVELS: [Level; 3] =
    [Level { before: 0, stride: 16 }, Level { before: 16, stride: 8 }, Level { before: 24, stride: 8 }];

/// Routes by prefix. Nothing is allocated before the first.
#[derive(Default)]
pub(super) struct Table {
    /// Node 0 is the root.
    nodes: Vec<Box<[Entry]>>,
    prefixes: BTreeMap<(u8, u32), u32>,
}

fn index(addr: u32, level: Level) -> usize {
    ((addr << level.before) >> (32 - level.stride)) as usize
}

fn mask(len: u8) -> u32 {
    u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

impl Table {
    pub(super) fn lookup(&self, addr: u32) -> Option<u32> {
        let mut entry = *self.nodes.first()?.get(index(addr, LEVELS[0]))?;
        for level in &LEVELS[1..] {
            match entry.child() {
                Some(child) => entry = *self.nodes.get(child)?.get(index(addr, *level))?,
                None => break,
            }
        }
        entry.route()
    }

    pub(super) fn insert(&mut self, net: u32, len: u8, route: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(vec![Entry::EMPTY; 1 << 16].into_boxed_slice());
        }
        self.prefixes.insert((len, net), route);
        let rank = u32::from(len) + 1;
        self.paint(0, 0, net, len, &|entry| entry.rank() <= rank, Entry::leaf(len, route));
    }

    /// Remove a prefix; its entries go to the next shorter prefix that covers it.
    pub(super) fn remove(&mut self, net: u32, len: u8) -> Option<u32> {
        let route = self.prefixes.remove(&(len, net))?;
        let cover = (0..len).rev().find_map(|shorter| {
            self.prefixes.get(&(shorter, net & mask(shorter))).map(|route| Entry::leaf(shorter, *route))
        });
        let rank = u32::from(len) + 1;
        self.paint(0, 0, net, len, &|entry| entry.rank() == rank, cover.unwrap_or(Entry::EMPTY));
        Some(route)
    }

    /// Write `paint` over the entries below `node` that the prefix covers and that `where_` picks.
    fn paint(
        &mut self,
        node: usize,
        depth: usize,
        net: u32,
        len: u8,
        where_: &dyn Fn(Entry) -> bool,
        paint: Entry,
    ) {
        let Some(level) = LEVELS.get(depth).copied() else { return };
        let first = index(net, level);
        if u32::from(len) > level.before + level.stride {
            let child = self.child_of(node, first);
            return self.paint(child, depth + 1, net, len, where_, paint);
        }
        let decided = u32::from(len).saturating_sub(level.before);
        for at in first..first + (1usize << (level.stride - decided)) {
            let entry = self.nodes[node][at];
            match entry.child() {
                // Below here the prefix covers everything: any address in it will do, and so will length 0.
                Some(child) => {
                    self.paint(child, depth + 1, net & mask(len), len.min(level.before as u8), where_, paint)
                }
                None if where_(entry) => self.nodes[node][at] = paint,
                None => {}
            }
        }
    }

    /// The child at an entry, made from the entry when it is none yet.
    fn child_of(&mut self, node: usize, at: usize) -> usize {
        let entry = self.nodes[node][at];
        entry.child().unwrap_or_else(|| {
            let child = self.nodes.len();
            self.nodes.push(vec![entry; 1 << 8].into_boxed_slice());
            self.nodes[node][at] = Entry(CHILD | child as u32);
            child
        })
    }
}
