//! The two transition tables, every state by every event, as text beside RFC 2328's sections 9.3 and 10.3.

use crate::ospf::interface::{self, InterfaceEvent as I, InterfaceState as S};
use crate::ospf::neighbour::{self, NeighbourEvent as E, NeighbourState as N};

#[test]
fn neighbours_go_as_section_10_3_says() {
    let states = [N::Down, N::Attempt, N::Init, N::TwoWay, N::ExStart, N::Exchange, N::Loading, N::Full];
    let events = [
        E::Start,
        E::HelloReceived,
        E::TwoWayReceived,
        E::NegotiationDone,
        E::ExchangeDone,
        E::LoadingDone,
        E::AdjOk,
        E::SeqNumberMismatch,
        E::BadLsReq,
        E::OneWayReceived,
        E::KillNbr,
        E::InactivityTimer,
        E::LlDown,
    ];
    let cell = |state, event| match neighbour::transition(state, event) {
        neighbour::Next::Stay => "-",
        neighbour::Next::To(to) => to.ios(),
        neighbour::Next::Decide => "10.4?",
        neighbour::Next::Keep => "keep?",
    };
    let row = |event: &E| {
        let cells: Vec<&str> = states.iter().map(|state| cell(*state, *event)).collect();
        format!("{event:?}: {}", cells.join(" "))
    };
    let rows: Vec<String> = events.iter().map(row).collect();
    // Columns: Down, Attempt, Init, 2-Way, ExStart, Exchange, Loading, Full. "10.4?": ExStart or 2-Way; "keep?": 2-Way
    // if it should no longer be adjacent.
    let expected = [
        "Start: ATTEMPT - - - - - - -",
        "HelloReceived: INIT INIT - - - - - -",
        "TwoWayReceived: - - 10.4? - - - - -",
        "NegotiationDone: - - - - EXCHANGE - - -",
        "ExchangeDone: - - - - - LOADING - -",
        "LoadingDone: - - - - - - FULL -",
        "AdjOk: - - - 10.4? keep? keep? keep? keep?",
        "SeqNumberMismatch: - - - - - EXSTART EXSTART EXSTART",
        "BadLsReq: - - - - - EXSTART EXSTART EXSTART",
        "OneWayReceived: - - - INIT INIT INIT INIT INIT",
        "KillNbr: DOWN DOWN DOWN DOWN DOWN DOWN DOWN DOWN",
        "InactivityTimer: DOWN DOWN DOWN DOWN DOWN DOWN DOWN DOWN",
        "LlDown: DOWN DOWN DOWN DOWN DOWN DOWN DOWN DOWN",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn interfaces_go_as_section_9_3_says() {
    let states = [S::Down, S::Loopback, S::Waiting, S::PointToPoint, S::DrOther, S::Backup, S::Designated];
    let events = [
        I::InterfaceUp,
        I::WaitTimer,
        I::BackupSeen,
        I::NeighbourChange,
        I::LoopInd,
        I::UnloopInd,
        I::InterfaceDown,
    ];
    let cell = |state, event| match interface::transition(state, event) {
        interface::Next::Stay => "-",
        interface::Next::To(to) => to.ios(),
        interface::Next::Begin => "begin",
        interface::Next::Elect => "elect",
    };
    let row = |event: &I| {
        let cells: Vec<&str> = states.iter().map(|state| cell(*state, *event)).collect();
        format!("{event:?}: {}", cells.join(" "))
    };
    let rows: Vec<String> = events.iter().map(row).collect();
    // Columns: Down, Loopback, Waiting, Point-to-point, DR Other, Backup, DR.
    let expected = [
        "InterfaceUp: begin - - - - - -",
        "WaitTimer: - - elect - - - -",
        "BackupSeen: - - elect - - - -",
        "NeighbourChange: - - - - elect elect elect",
        "LoopInd: LOOPBACK LOOPBACK LOOPBACK LOOPBACK LOOPBACK LOOPBACK LOOPBACK",
        "UnloopInd: - DOWN - - - - -",
        "InterfaceDown: DOWN DOWN DOWN DOWN DOWN DOWN DOWN",
    ];
    assert_eq!(rows, expected);
}
