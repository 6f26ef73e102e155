//! The transition tables of phase 1 and phase 2, every state by every message, as text beside RFC 2409's sections 5.4
//! and 5.5; and that the machine does what they say.

use espalier_wire::Duration;

use super::super::phase1::{MainInput, MainMode, MainStep, main_mode};
use super::super::quick::{QuickInput, QuickMode, QuickStep, quick_mode};
use super::harness::*;

/// Columns of both tables: initiator's states, responder's states, the end.
const MAIN: [MainMode; 6] = [
    MainMode::SaSent,
    MainMode::KeSent,
    MainMode::AuthSent,
    MainMode::SaAnswered,
    MainMode::KeAnswered,
    MainMode::Established,
];

#[test]
fn main_mode_goes_as_section_5_4_says() {
    let cell = |state, input| match main_mode(state, input) {
        MainStep::SendKe => "KE,Ni/KeSent",
        MainStep::SendAuth => "ID,HASH_I/AuthSent",
        MainStep::Establish => "/Established",
        MainStep::AnswerKe => "KE,Nr/KeAnswered",
        MainStep::AnswerAuth => "ID,HASH_R/Established",
        MainStep::Ignore => "-",
    };
    let row = |input: &MainInput| {
        let cells: Vec<&str> = MAIN.iter().map(|state| cell(*state, *input)).collect();
        format!("{input:?}: {}", cells.join(" "))
    };
    let rows: Vec<String> = [MainInput::Sa, MainInput::Ke, MainInput::Auth].iter().map(row).collect();
    // Columns: SaSent, KeSent, AuthSent; SaAnswered, KeAnswered; Established. What is sent, then the next state.
    let expected = [
        "Sa: KE,Ni/KeSent - - - - -",
        "Ke: - ID,HASH_I/AuthSent - KE,Nr/KeAnswered - -",
        "Auth: - - /Established - ID,HASH_R/Established -",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn quick_mode_goes_as_section_5_5_says() {
    let states = [QuickMode::OfferSent, QuickMode::AnswerSent, QuickMode::Done];
    let cell = |state, input| match quick_mode(state, input) {
        QuickStep::Confirm => "HASH(3)/Done",
        QuickStep::SwitchOver => "/Done",
        QuickStep::Ignore => "-",
    };
    let row = |input: &QuickInput| {
        let cells: Vec<&str> = states.iter().map(|state| cell(*state, *input)).collect();
        format!("{input:?}: {}", cells.join(" "))
    };
    let rows: Vec<String> = [QuickInput::Answer, QuickInput::Confirmation].iter().map(row).collect();
    // Columns: OfferSent, AnswerSent, Done.
    assert_eq!(rows, ["Answer: HASH(3)/Done - -", "Confirmation: - /Done -"]);
}

/// The state of a side's only phase 1, and the states of its quick modes.
fn states(w: &World, side: usize) -> (Option<MainMode>, Vec<QuickMode>) {
    let ike = &w.ikes[side];
    (ike.phase1.values().next().map(|p| p.state), ike.quick.values().map(|q| q.state).collect())
}

/// Message after message: both sides' states after each.
#[test]
fn the_machine_goes_through_the_tables_columns() {
    let mut w = World::plain();
    let mut seen = vec![format!("{:?}", [0, 1].map(|side| states(&w, side).0))];
    w.need(0);
    for _ in 0..10 {
        let line = [0, 1].map(|side| states(&w, side));
        let line = match &line {
            [(a, q), (b, r)] if q.is_empty() && r.is_empty() => format!("{:?}", [a, b]),
            [(_, q), (_, r)] => format!("{:?}", [q, r]),
        };
        seen.push(line);
        w.run(Duration::from_ms(1));
    }
    let expected = [
        "[None, None]",
        "[Some(SaSent), None]",
        "[Some(SaSent), Some(SaAnswered)]",
        "[Some(KeSent), Some(SaAnswered)]",
        "[Some(KeSent), Some(KeAnswered)]",
        "[Some(AuthSent), Some(KeAnswered)]",
        "[Some(AuthSent), Some(Established)]",
        "[[OfferSent], []]",
        "[[OfferSent], [AnswerSent]]",
        "[[Done], [AnswerSent]]",
        "[[Done], [Done]]",
    ];
    assert_eq!(seen, expected);
}
