//! The network as a page draws it: who is on which segment, with which addresses, and where each traffic begins and ends.

use schemars::JsonSchema;
use serde::Serialize;

use super::recording::Recording;

/// The network of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Topology {
    /// In file order.
    pub routers: Vec<RouterFigure>,
    /// In file order.
    pub segments: Vec<SegmentFigure>,
    /// By traffic; its answers go the other way.
    pub paths: Vec<Path>,
}

/// A router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouterFigure {
    /// Its hostname.
    pub name: String,
    /// Its interfaces, as configured at the start.
    pub interfaces: Vec<InterfaceFigure>,
}

/// An interface of a router.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InterfaceFigure {
    /// Its name, as IOS spells it.
    pub name: String,
    /// ADDRESS/LENGTH.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The virtual addresses of its HSRP groups.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub virtual_addresses: Vec<String>,
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SegmentFigure {
    /// Its name.
    pub name: String,
    /// `ROUTER:INTERFACE` of each port.
    pub attached: Vec<String>,
}

/// Where a traffic begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Path {
    /// The traffic's name.
    pub traffic: String,
    /// `ROUTER:INTERFACE` where it is offered.
    pub from: String,
    /// `ROUTER:INTERFACE` where it counts as delivered.
    pub to: String,
}

/// The network of a run.
pub(super) fn topology(run: &Recording) -> Topology {
    let routers = run.nodes.iter().take(run.routers).zip(&run.interfaces);
    let segments = run.nodes.iter().skip(run.routers).zip(&run.attached);
    Topology {
        routers: routers
            .map(|(name, interfaces)| RouterFigure { name: name.clone(), interfaces: interfaces.clone() })
            .collect(),
        segments: segments
            .map(|(name, attached)| SegmentFigure { name: name.clone(), attached: attached.clone() })
            .collect(),
        paths: run.paths.clone(),
    }
}
