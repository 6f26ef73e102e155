//! The state table of RFC 2281 section 5.7, cell by cell. It decides and does nothing: what the letters do is in
//! `group.rs`, when an event happens in `mod.rs`.

use espalier_wire::hsrp::State;

/// The events of RFC 2281 section 5.5, under its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// HSRP is configured on an enabled interface.
    A,
    /// HSRP is disabled on an interface, or the interface is disabled.
    B,
    /// Active timer expiry.
    C,
    /// Standby timer expiry.
    D,
    /// Hello timer expiry.
    E,
    /// A Hello of higher priority from a router in Speak state.
    F,
    /// A Hello of higher priority from the active router.
    G,
    /// A Hello of lower priority from the active router.
    H,
    /// A Resign from the active router.
    I,
    /// A Coup from a higher priority router.
    J,
    /// A Hello of higher priority from the standby router.
    K,
    /// A Hello of lower priority from the standby router.
    L,
}

impl Event {
    /// Every event, in the order of the table's rows.
    pub const ALL: [Self; 12] = [
        Self::A,
        Self::B,
        Self::C,
        Self::D,
        Self::E,
        Self::F,
        Self::G,
        Self::H,
        Self::I,
        Self::J,
        Self::K,
        Self::L,
    ];
}

/// The actions of RFC 2281 section 5.6, under its letters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Start the Active timer.
    A,
    /// Start the Standby timer.
    B,
    /// Stop the Active timer.
    C,
    /// Stop the Standby timer.
    D,
    /// Learn parameters.
    E,
    /// Send a Hello.
    F,
    /// Send a Coup.
    G,
    /// Send a Resign.
    H,
    /// Send a gratuitous ARP.
    I,
}

/// What a cell's alternatives depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct When {
    /// Note "+": the virtual address is configured (or learned).
    pub address_known: bool,
    /// Note "*": preemption is configured and its delay is over.
    pub preempt: bool,
    /// Not in the RFC: an active router that hears a better one resigns, as the reference document's log shows
    /// ("i/Resign rcvd" after "g/Hello rcvd").
    pub resign_to_hello: bool,
}

/// One cell: what to do, in order, and the state to go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// Actions in the order of the table.
    pub steps: &'static [Step],
    /// `None`: stay.
    pub next: Option<State>,
}

const EMPTY: Cell = Cell { steps: &[], next: None };
const A: &[Step] = &[Step::A];
const AB: &[Step] = &[Step::A, Step::B];
const ABH: &[Step] = &[Step::A, Step::B, Step::H];
const B: &[Step] = &[Step::B];
const BGFI: &[Step] = &[Step::B, Step::G, Step::F, Step::I];
const CD: &[Step] = &[Step::C, Step::D];
const CDFI: &[Step] = &[Step::C, Step::D, Step::F, Step::I];
const CDH: &[Step] = &[Step::C, Step::D, Step::H];
const CFI: &[Step] = &[Step::C, Step::F, Step::I];
const D: &[Step] = &[Step::D];
const EA: &[Step] = &[Step::E, Step::A];
const EAB: &[Step] = &[Step::E, Step::A, Step::B];
const F: &[Step] = &[Step::F];
const G: &[Step] = &[Step::G];

const fn stay(steps: &'static [Step]) -> Cell {
    Cell { steps, next: None }
}

const fn to(steps: &'static [Step], next: State) -> Cell {
    Cell { steps, next: Some(next) }
}

/// RFC 2281 section 5.7.
#[rustfmt::skip]
pub const fn cell(event: Event, state: State, when: When) -> Cell {
    use State::{Active, Initial, Learn, Listen, Speak, Standby};
    match (event, state) {
        (Event::A, Initial) => to(AB, if when.address_known { Listen } else { Learn }),
        (Event::A, Learn | Listen | Speak | Standby | Active) => EMPTY,
        (Event::B, Learn | Listen | Speak | Standby) => to(CD, Initial),
        (Event::B, Active) => to(CDH, Initial),
        (Event::B, Initial) => EMPTY,
        (Event::C, Listen) => to(AB, Speak),
        (Event::C, Standby) => to(CDFI, Active),
        (Event::C, Initial | Learn | Speak | Active) => EMPTY,
        (Event::D, Listen) => to(B, Speak),
        (Event::D, Speak) => to(D, Standby),
        (Event::D, Initial | Learn | Standby | Active) => EMPTY,
        (Event::E, Speak | Standby | Active) => stay(F),
        (Event::E, Initial | Learn | Listen) => EMPTY,
        (Event::F, Speak | Standby) => to(B, Listen),
        (Event::F, Initial | Learn | Listen | Active) => EMPTY,
        (Event::G, Learn) => to(EAB, Listen),
        (Event::G, Listen | Speak | Standby) => stay(EA),
        (Event::G, Active) => to(if when.resign_to_hello { ABH } else { AB }, Speak),
        (Event::G, Initial) => EMPTY,
        (Event::H, Learn) => to(EAB, Listen),
        (Event::H, Listen | Speak | Standby) => if when.preempt { to(BGFI, Active) } else { stay(A) },
        (Event::H, Active) => stay(G),
        (Event::H, Initial) => EMPTY,
        (Event::I, Listen) => to(AB, Speak),
        (Event::I, Speak) => stay(A),
        (Event::I, Standby) => to(CFI, Active),
        (Event::I, Initial | Learn | Active) => EMPTY,
        (Event::J, Active) => to(ABH, Speak),
        (Event::J, Initial | Learn | Listen | Speak | Standby) => EMPTY,
        (Event::K, Listen | Active) => stay(B),
        (Event::K, Speak | Standby) => to(B, Listen),
        (Event::K, Initial | Learn) => EMPTY,
        (Event::L, Listen) => to(B, Speak),
        (Event::L, Speak) => to(D, Standby),
        (Event::L, Active) => stay(B),
        (Event::L, Initial | Learn | Standby) => EMPTY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table as RFC 2281 prints it, states numbered 1 to 6.
    const RFC: &str = "
  | 1      | 2     | 3        | 4        | 5        | 6
a | AB/2|3 |       |          |          |          |
b |        | CD/1  | CD/1     | CD/1     | CD/1     | CDH/1
c |        |       | AB/4     |          | CDFI/6   |
d |        |       | B/4      | D/5      |          |
e |        |       |          | F        | F        | F
f |        |       |          | B/3      | B/3      |
g |        | EAB/3 | EA       | EA       | EA       | AB/4
h |        | EAB/3 | A|BGFI/6 | A|BGFI/6 | A|BGFI/6 | G
i |        |       | AB/4     | A        | CFI/6    |
j |        |       |          |          |          | ABH/4
k |        |       | B        | B/3      | B/3      | B
l |        |       | B/4      | D/5      |          | B
";

    fn print(cell: Cell) -> String {
        let steps: String = cell.steps.iter().map(|s| format!("{s:?}")).collect();
        let number = |s| State::ALL.iter().position(|x| *x == s).unwrap() + 1;
        steps + &cell.next.map(|s| format!("/{}", number(s))).unwrap_or_default()
    }

    /// Both alternatives of a cell, written as the RFC does.
    fn alternatives(event: Event, state: State) -> String {
        let when = |yes| When { address_known: yes, preempt: yes, resign_to_hello: false };
        let (no, yes) = (print(cell(event, state, when(false))), print(cell(event, state, when(true))));
        match event {
            _ if no == yes => no,
            Event::A => format!("{no}|{}", &yes[yes.len() - 1..]),
            _ => format!("{no}|{yes}"),
        }
    }

    #[test]
    fn every_state_and_event_is_the_rfcs_table() {
        let widths = [6, 5, 8, 8, 8, 6];
        let mut printed = String::from("\n  | 1      | 2     | 3        | 4        | 5        | 6\n");
        for event in Event::ALL {
            let mut row = format!("{event:?}").to_lowercase();
            for (state, width) in State::ALL.into_iter().zip(widths) {
                row += &format!(" | {:width$}", alternatives(event, state));
            }
            printed += &(row.trim_end().to_owned() + "\n");
        }
        assert_eq!(printed, RFC);
    }

    #[test]
    fn resigning_to_a_hello_is_the_only_difference_from_the_rfc() {
        let when = |resign_to_hello| When { address_known: true, preempt: true, resign_to_hello };
        for (event, state) in Event::ALL.into_iter().flat_map(|e| State::ALL.map(|s| (e, s))) {
            let differs = cell(event, state, when(false)) != cell(event, state, when(true));
            assert_eq!(differs, (event, state) == (Event::G, State::Active));
        }
    }
}
