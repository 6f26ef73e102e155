//! Version 2: type, length and value, one group state or interface state per packet, then authentication.

use std::net::Ipv4Addr;

use super::{Advertisement, MAX_GROUP_V2, MD5_TLV, Message, OpCode, Packet, Password, State, Version};
use super::{emit_md5, parse_md5};
use crate::bytes::{array_at, u16_at, u32_at};
use crate::{Duration, Mac, Malformed};

const GROUP_STATE: u8 = 1;
const GROUP_STATE_LEN: usize = 40;
const INTERFACE_STATE: u8 = 2;
const INTERFACE_STATE_LEN: usize = 4;
const TEXT: u8 = 3;
const TEXT_LEN: usize = 8;

const fn state_number(state: State) -> u8 {
    match state {
        State::Initial => 1,
        State::Learn => 2,
        State::Listen => 3,
        State::Speak => 4,
        State::Standby => 5,
        State::Active => 6,
    }
}

fn ms(time: Duration) -> [u8; 4] {
    u32::try_from(time.as_ms()).unwrap_or(u32::MAX).to_be_bytes()
}

/// Read the first TLV into a packet, the rest into its authentication.
pub(super) fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
    let (kind, value, mut rest) = tlv(bytes)?;
    let mut message = match kind {
        GROUP_STATE => group_state(value)?,
        INTERFACE_STATE => return interface_state(value),
        _ => return Err(Malformed::field("HSRP", "TLV type")),
    };
    while !rest.is_empty() {
        let (kind, value, next) = tlv(rest)?;
        match kind {
            TEXT => {
                Malformed::need("HSRP", TEXT_LEN, value.len())?;
                message.password = Some(Password(array_at(value, 0)));
            }
            MD5_TLV => message.md5 = Some(parse_md5(value)?),
            GROUP_STATE | INTERFACE_STATE => return Err(Malformed::field("HSRP", "second state TLV")),
            _ => {}
        }
        rest = next;
    }
    Ok(Packet::Message(message))
}

/// The first TLV's type and value, and what follows it.
fn tlv(bytes: &[u8]) -> Result<(u8, &[u8], &[u8]), Malformed> {
    Malformed::need("HSRP", 2, bytes.len())?;
    let end = 2 + usize::from(bytes[1]);
    Malformed::need("HSRP", end, bytes.len())?;
    Ok((bytes[0], &bytes[2..end], &bytes[end..]))
}

fn group_state(value: &[u8]) -> Result<Message, Malformed> {
    Malformed::need("HSRP", GROUP_STATE_LEN, value.len())?;
    if value[0] != 2 {
        return Err(Malformed::field("HSRP", "version"));
    }
    if value[3] != 4 {
        return Err(Malformed::field("HSRP", "IP version"));
    }
    let state = State::ALL.into_iter().find(|s| state_number(*s) == value[2]);
    let group = u16_at(value, 4);
    if group > MAX_GROUP_V2 {
        return Err(Malformed::field("HSRP", "group"));
    }
    Ok(Message {
        version: Version::V2,
        op: OpCode::of(value[1]).ok_or(Malformed::field("HSRP", "op code"))?,
        state: state.ok_or(Malformed::field("HSRP", "state"))?,
        hello_time: Duration::from_ms(u64::from(u32_at(value, 16))),
        hold_time: Duration::from_ms(u64::from(u32_at(value, 20))),
        priority: u8::try_from(u32_at(value, 12)).map_err(|_| Malformed::field("HSRP", "priority"))?,
        group,
        identifier: Mac(array_at(value, 6)),
        virtual_address: Ipv4Addr::from(array_at::<4>(value, 24)),
        password: None,
        md5: None,
    })
}

pub(super) fn emit(m: &Message) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + GROUP_STATE_LEN + 2 + TEXT_LEN);
    bytes.extend_from_slice(&[
        GROUP_STATE,
        GROUP_STATE_LEN as u8,
        2,
        m.op.number(),
        state_number(m.state),
        4,
    ]);
    bytes.extend_from_slice(&m.group.to_be_bytes());
    bytes.extend_from_slice(&m.identifier.0);
    bytes.extend_from_slice(&u32::from(m.priority).to_be_bytes());
    bytes.extend_from_slice(&ms(m.hello_time));
    bytes.extend_from_slice(&ms(m.hold_time));
    bytes.extend_from_slice(&m.virtual_address.octets());
    bytes.extend_from_slice(&[0; 12]);
    if let Some(password) = m.password {
        bytes.extend_from_slice(&[TEXT, TEXT_LEN as u8]);
        bytes.extend_from_slice(&password.0);
    }
    if let Some(md5) = &m.md5 {
        emit_md5(md5, &mut bytes);
    }
    bytes
}

fn interface_state(value: &[u8]) -> Result<Packet, Malformed> {
    Malformed::need("HSRP", INTERFACE_STATE_LEN, value.len())?;
    Ok(Packet::Advertisement(Advertisement {
        version: Version::V2,
        state: 0,
        active_groups: u16_at(value, 0),
        passive_groups: u16_at(value, 2),
        reserved: [0; 5],
    }))
}

pub(super) fn emit_advertisement(a: &Advertisement) -> Vec<u8> {
    let mut bytes = vec![INTERFACE_STATE, INTERFACE_STATE_LEN as u8];
    bytes.extend_from_slice(&a.active_groups.to_be_bytes());
    bytes.extend_from_slice(&a.passive_groups.to_be_bytes());
    bytes
}
