//! The shortest-path tree (RFC 2328 section 16.1), with every equal-cost way, as a function of the database and of
//! where our own links lead.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use espalier_wire::ospf::{Link, LinkKind, LsaBody, LsaKey, LsaType, Network, Router};
use espalier_wire::plane::NextHop;
use espalier_wire::{IfIndex, Ipv4Prefix, RouterId};

use super::lsdb::Lsdb;

/// What the calculation knows of our own interfaces: address and mask of each that is up.
pub(super) type Ours = Vec<(IfIndex, Ipv4Prefix)>;

/// A cost and the next hops of every way that has it; `via: None` is a network of our own.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Path {
    pub(super) cost: u32,
    pub(super) hops: BTreeSet<NextHop>,
}

impl Path {
    /// Take `other` in: the cheaper wins, equals share.
    fn merge(&mut self, other: Self) {
        if other.cost < self.cost {
            *self = other;
        } else if other.cost == self.cost {
            self.hops.extend(other.hops);
        }
    }
}

/// A router as the tree reaches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reached {
    pub(super) path: Path,
    pub(super) asbr: bool,
    pub(super) border: bool,
}

/// What the calculation finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Tree {
    pub(super) routers: BTreeMap<RouterId, Reached>,
    pub(super) prefixes: BTreeMap<Ipv4Prefix, Path>,
}

/// Networks come before routers at the same cost (section 16.1 step 3), hence their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Vertex {
    /// By its designated router's address.
    Network(Ipv4Addr),
    Router(RouterId),
}

struct Calculation<'a> {
    lsdb: &'a Lsdb,
    root: RouterId,
    ours: &'a Ours,
    candidates: BTreeSet<(u32, Vertex)>,
    paths: BTreeMap<Vertex, Path>,
    done: BTreeSet<Vertex>,
}

/// Calculate from `root`, ourselves.
pub(super) fn calculate(lsdb: &Lsdb, root: RouterId, ours: &Ours) -> Tree {
    let mut calculation = Calculation {
        lsdb,
        root,
        ours,
        candidates: BTreeSet::from([(0, Vertex::Router(root))]),
        paths: BTreeMap::from([(Vertex::Router(root), Path::default())]),
        done: BTreeSet::new(),
    };
    let mut tree = Tree::default();
    while let Some((_, vertex)) = calculation.candidates.pop_first() {
        calculation.done.insert(vertex);
        match vertex {
            Vertex::Router(id) => calculation.expand_router(id, &mut tree),
            Vertex::Network(id) => calculation.expand_network(id, &mut tree),
        }
    }
    // Stub networks are the second stage (section 16.1, "the second stage").
    let reached: Vec<_> = tree.routers.iter().map(|(id, r)| (*id, r.path.clone())).collect();
    for (id, path) in reached {
        calculation.add_stubs(id, &path, &mut tree);
    }
    tree.routers.remove(&root);
    tree
}

impl<'a> Calculation<'a> {
    fn router(&self, id: RouterId) -> Option<&'a Router> {
        match self.lsdb.body(&LsaKey::new(LsaType::Router, id.0, id))? {
            LsaBody::Router(router) => Some(router),
            LsaBody::Network(_) | LsaBody::Summary(_) | LsaBody::AsExternal(_) | LsaBody::Other(_) => None,
        }
    }

    fn network(&self, id: Ipv4Addr) -> Option<&'a Network> {
        self.lsdb.of_kind(LsaType::Network, id, id).find_map(|(_, body)| match body {
            LsaBody::Network(network) => Some(network),
            LsaBody::Router(_) | LsaBody::Summary(_) | LsaBody::AsExternal(_) | LsaBody::Other(_) => None,
        })
    }

    fn path(&self, vertex: Vertex) -> Path {
        self.paths.get(&vertex).cloned().unwrap_or_default()
    }

    /// Step 2, for a router just added.
    fn expand_router(&mut self, id: RouterId, tree: &mut Tree) {
        let Some(router) = self.router(id) else { return };
        let path = self.path(Vertex::Router(id));
        for link in &router.links {
            let cost = path.cost.saturating_add(u32::from(link.metric));
            match link.kind {
                LinkKind::Transit => {
                    let listed = self.network(link.id).is_some_and(|n| n.routers.contains(&id));
                    if listed {
                        let hops = if id == self.root { self.own_network(link) } else { path.hops.clone() };
                        self.reach(Vertex::Network(link.id), Path { cost, hops });
                    }
                }
                LinkKind::PointToPoint => {
                    let other = RouterId(link.id);
                    let Some(back) = self.link_back(other, id) else { continue };
                    let hops = if id == self.root { self.own_link(link, back) } else { path.hops.clone() };
                    self.reach(Vertex::Router(other), Path { cost, hops });
                }
                // Stubs are the second stage; virtual links are of border routers, which we are not.
                LinkKind::Stub | LinkKind::Virtual => {}
            }
        }
        let reached = Reached { path, asbr: router.asbr, border: router.border };
        tree.routers.insert(id, reached);
    }

    /// Step 2 for a network just added, and step 4: its route.
    fn expand_network(&mut self, id: Ipv4Addr, tree: &mut Tree) {
        let Some(network) = self.network(id) else { return };
        let path = self.path(Vertex::Network(id));
        for other in &network.routers {
            let Some(data) = self.link_to_network(*other, id) else { continue };
            // Section 16.1.1: across a network of our own, the next hop is the router's address on it.
            let onto = |hop: &NextHop| NextHop { via: hop.via.or(Some(IpAddr::V4(data))), ..*hop };
            let hops = path.hops.iter().map(onto).collect();
            self.reach(Vertex::Router(*other), Path { cost: path.cost, hops });
        }
        if let Ok(prefix) = Ipv4Prefix::new(id, network.prefix_len) {
            add(tree, prefix.trunc(), path);
        }
    }

    /// A way to a vertex not yet in the tree.
    fn reach(&mut self, vertex: Vertex, path: Path) {
        if self.done.contains(&vertex) {
            return;
        }
        match self.paths.get_mut(&vertex) {
            Some(known) => {
                let before = known.cost;
                known.merge(path);
                let after = known.cost;
                if after < before {
                    self.candidates.remove(&(before, vertex));
                    self.candidates.insert((after, vertex));
                }
            }
            None => {
                self.candidates.insert((path.cost, vertex));
                self.paths.insert(vertex, path);
            }
        }
    }

    fn add_stubs(&self, id: RouterId, path: &Path, tree: &mut Tree) {
        let Some(router) = self.router(id) else { return };
        for link in router.links.iter().filter(|l| l.kind == LinkKind::Stub) {
            let Ok(prefix) = Ipv4Prefix::with_netmask(link.id, link.data) else { continue };
            let cost = path.cost.saturating_add(u32::from(link.metric));
            let hops = if id == self.root { self.own_stub(prefix) } else { path.hops.clone() };
            if !hops.is_empty() {
                add(tree, prefix.trunc(), Path { cost, hops });
            }
        }
    }

    /// Whether `from` has a link back to the router `to` (step 2b): its interface address on it.
    fn link_back(&self, from: RouterId, to: RouterId) -> Option<Ipv4Addr> {
        let links = &self.router(from)?.links;
        links.iter().find(|l| l.kind == LinkKind::PointToPoint && l.id == to.0).map(|l| l.data)
    }

    fn link_to_network(&self, from: RouterId, network: Ipv4Addr) -> Option<Ipv4Addr> {
        let links = &self.router(from)?.links;
        links.iter().find(|l| l.kind == LinkKind::Transit && l.id == network).map(|l| l.data)
    }

    fn own_network(&self, link: &Link) -> BTreeSet<NextHop> {
        let ours = self.ours.iter().filter(|(_, net)| net.addr() == link.data);
        ours.map(|(iface, _)| NextHop { iface: *iface, via: None }).collect()
    }

    fn own_link(&self, link: &Link, neighbour: Ipv4Addr) -> BTreeSet<NextHop> {
        let ours = self.ours.iter().filter(|(_, net)| net.addr() == link.data);
        ours.map(|(iface, _)| NextHop { iface: *iface, via: Some(IpAddr::V4(neighbour)) }).collect()
    }

    fn own_stub(&self, prefix: Ipv4Prefix) -> BTreeSet<NextHop> {
        let ours = self.ours.iter().filter(|(_, net)| prefix.contains(&net.addr()));
        ours.map(|(iface, _)| NextHop { iface: *iface, via: None }).collect()
    }
}

fn add(tree: &mut Tree, prefix: Ipv4Prefix, path: Path) {
    match tree.prefixes.get_mut(&prefix) {
        Some(known) => known.merge(path),
        None => {
            tree.prefixes.insert(prefix, path);
        }
    }
}
