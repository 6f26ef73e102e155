//! Version 1: RFC 2281's twenty bytes, and the advertisement of IOS (op code 3), which the RFC does not know.

use std::net::Ipv4Addr;

use super::{Advertisement, MD5_LEN, MD5_TLV, Message, OpCode, Packet, Password, State, Version};
use super::{emit_md5, parse_md5};
use crate::bytes::{array_at, u16_at};
use crate::{Duration, Mac, Malformed};

const LEN: usize = 20;
const ADVERTISE: u8 = 3;
const ADVERTISEMENT_LEN: usize = 16;

/// RFC 2281 section 5.1.
const fn state_number(state: State) -> u8 {
    match state {
        State::Initial => 0,
        State::Learn => 1,
        State::Listen => 2,
        State::Speak => 4,
        State::Standby => 8,
        State::Active => 16,
    }
}

/// A version 1 time: seconds, or 0 ("not told") where seconds cannot say it, as IOS does with `timers msec`.
fn seconds(time: Duration) -> u8 {
    let whole = time.as_whole_s();
    if Duration::from_s(whole) == time { u8::try_from(whole).unwrap_or(0) } else { 0 }
}

pub(super) fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
    Malformed::need("HSRP", ADVERTISEMENT_LEN, bytes.len())?;
    if bytes[1] == ADVERTISE {
        return parse_advertisement(bytes);
    }
    Malformed::need("HSRP", LEN, bytes.len())?;
    let op = OpCode::of(bytes[1]).ok_or(Malformed::field("HSRP", "op code"))?;
    let state = State::ALL.into_iter().find(|s| state_number(*s) == bytes[2]);
    let tail = &bytes[LEN..];
    let md5 = match tail {
        [MD5_TLV, len, value @ ..] if usize::from(*len) == MD5_LEN => Some(parse_md5(value)?),
        _ => None,
    };
    Ok(Packet::Message(Message {
        version: Version::V1,
        op,
        state: state.ok_or(Malformed::field("HSRP", "state"))?,
        hello_time: Duration::from_s(u64::from(bytes[3])),
        hold_time: Duration::from_s(u64::from(bytes[4])),
        priority: bytes[5],
        group: u16::from(bytes[6]),
        identifier: Mac::default(),
        password: Some(Password(array_at(bytes, 8))),
        virtual_address: Ipv4Addr::from(array_at::<4>(bytes, 16)),
        md5,
    }))
}

pub(super) fn emit(m: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(LEN);
    bytes.extend_from_slice(&[0, m.op.number(), state_number(m.state), seconds(m.hello_time)]);
    bytes.extend_from_slice(&[seconds(m.hold_time), m.priority, m.group.to_be_bytes()[1], 0]);
    bytes.extend_from_slice(&m.password.unwrap_or(Password([0; 8])).0);
    bytes.extend_from_slice(&m.virtual_address.octets());
    if let Some(md5) = &m.md5 {
        emit_md5(md5, &mut bytes);
    }
    bytes
}

fn parse_advertisement(bytes: &[u8]) -> Result<Packet, Malformed> {
    if u16_at(bytes, 2) != 1 || usize::from(u16_at(bytes, 4)) != ADVERTISEMENT_LEN - 2 {
        return Err(Malformed::field("HSRP", "advertisement type"));
    }
    let [r0, r1, r2, r3] = array_at::<4>(bytes, 12);
    Ok(Packet::Advertisement(Advertisement {
        version: Version::V1,
        state: bytes[6],
        active_groups: u16_at(bytes, 8),
        passive_groups: u16_at(bytes, 10),
        reserved: [bytes[7], r0, r1, r2, r3],
    }))
}

pub(super) fn emit_advertisement(a: &Advertisement) -> Vec<u8> {
    let mut bytes = vec![0, ADVERTISE, 0, 1, 0, ADVERTISEMENT_LEN as u8 - 2, a.state, a.reserved[0]];
    bytes.extend_from_slice(&a.active_groups.to_be_bytes());
    bytes.extend_from_slice(&a.passive_groups.to_be_bytes());
    bytes.extend_from_slice(&a.reserved[1..]);
    bytes
}
