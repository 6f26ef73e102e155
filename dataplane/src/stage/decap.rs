//! Decap: from a packet with ESP in it to the packet that was inside (RFC 4303 section 3.4).
//!
//! The order of RFC 4303 section 3.4.3 is kept by the three parts: [`prepare`] checks the window, the engine verifies
//! the ICV, [`finish`] moves the window.

use espalier_wire::esp::Esp;
use espalier_wire::ipv4::protocol;
use espalier_wire::plane::{Direction, Mode, Notice};
use espalier_wire::{Cause, Instant};

use super::classify::Headers;
use super::crypt::Plan;
use super::{ecn, encap};
use crate::frame::Frame;
use crate::sa::{Inbound, InboundRef, SaTable};

/// No more of these a batch and kind: a flood of unknown SPIs is counted, not told one by one.
const NOTICES_MAX: usize = 64;

/// What the owner of the SA notes about a packet that is being opened.
#[derive(Debug, Clone, Copy)]
pub struct Opening {
    /// The SA.
    pub place: InboundRef,
    /// The outer headers.
    pub outer: Headers,
    /// The sequence number, high half inferred.
    pub seq: u64,
}

/// Find the SA of the ESP at `esp_at` of the packet and check all that can be checked before the ICV.
///
/// # Errors
/// `malformed`, `unknown-spi`, `lifetime-expired`, `replay`.
pub fn prepare(
    table: &mut SaTable,
    now: Instant,
    frame: &Frame,
    headers: &Headers,
    esp_at: usize,
    notices: &mut Vec<Notice>,
) -> Result<(Plan, Opening), Cause> {
    let packet = frame.bytes().get(..headers.len as usize).ok_or(Cause::Malformed)?;
    let esp = packet.get(esp_at..).and_then(|esp| Esp::new_checked(esp).ok()).ok_or(Cause::Malformed)?;
    let found = table.find(esp.spi(), headers.flow.dst()).or_else(|| table.only(esp.spi()));
    let Some((place, sa)) = found.and_then(|place| Some((place, table.at_mut(place)?))) else {
        let (src, dst) = (headers.flow.src(), headers.flow.dst());
        let notice = Notice::UnknownSpi { spi: esp.spi(), src, dst };
        if notices.len() < NOTICES_MAX && !notices.contains(&notice) {
            notices.push(notice);
        }
        return Err(Cause::UnknownSpi);
    };
    if let Some(expiry) = sa.look(now).expiry()
        && !sa.told_over
    {
        sa.told_over = sa.life.is_over();
        notices.push(Notice::Expiry {
            policy: sa.policy,
            spi: sa.spi,
            direction: Direction::Inbound,
            expiry,
        });
    }
    if sa.life.is_over() {
        return Err(sa.lost(Cause::LifetimeExpired));
    }
    if !is_possible(sa, esp.body().len()) {
        return Err(sa.lost(Cause::Malformed));
    }
    let seq = sa.window.infer(esp.sequence(), sa.esn).filter(|seq| sa.window.check(*seq));
    let Some(seq) = seq else { return Err(sa.lost(Cause::Replay)) };
    let plan = Plan {
        at: esp_at as u32,
        len: (packet.len() - esp_at) as u32,
        seq_hi: (seq >> 32) as u32,
        done: false,
    };
    Ok((plan, Opening { place, outer: *headers, seq }))
}

/// Whether `body` bytes can be IV, text and ICV. The text holds at least a trailer, and whole blocks where the cipher
/// has them; stream modes are taken at any length, though RFC 4303 section 2.4 aligns them to 4.
pub(crate) fn is_possible(sa: &Inbound, body: usize) -> bool {
    let cipher = sa.transform.cipher();
    let Some(text) = body.checked_sub(sa.transform.iv_len() + sa.transform.icv_len()) else { return false };
    let mask = if cipher.needs_random_iv() { cipher.block_len() - 1 } else { 0 };
    text >= 2 && text & mask == 0
}

/// Take the inner packet out of an opened one: move the window, check the trailer, the inner packet and the selector.
/// The frame then holds the inner packet and nothing else.
///
/// # Errors
/// `integrity`, `replay`, `bad-padding`, `dummy`, `malformed`, `ecn`, `policy-mismatch`; `unknown-spi` when the SA was
/// removed meanwhile.
pub fn finish(
    table: &mut SaTable,
    frame: &mut Frame,
    plan: &Plan,
    opening: &Opening,
) -> Result<Headers, Cause> {
    let Some(sa) = table.at_mut(opening.place) else { return Err(Cause::UnknownSpi) };
    let inner = open_up(sa, frame, plan, opening);
    match inner {
        Ok(headers) => {
            sa.meter.count(headers.len);
            Ok(headers)
        }
        Err(cause) => Err(sa.lost(cause)),
    }
}

fn open_up(sa: &mut Inbound, frame: &mut Frame, plan: &Plan, opening: &Opening) -> Result<Headers, Cause> {
    if !plan.done {
        return Err(Cause::Integrity);
    }
    if !sa.window.commit(opening.seq) {
        return Err(Cause::Replay);
    }
    let text_at = plan.at as usize + espalier_wire::esp::HEADER_LEN + sa.transform.iv_len();
    let text_end = (plan.at + plan.len) as usize - sa.transform.icv_len();
    let text = frame.bytes().get(text_at..text_end).ok_or(Cause::Malformed)?;
    let (payload, next) = trailer(text)?;
    // RFC 4303 section 2.6: a dummy packet is discarded without prejudice.
    if next == protocol::NO_NEXT_HEADER {
        return Err(Cause::Dummy);
    }
    match sa.mode {
        Mode::Tunnel => leave_tunnel(frame, text_at, payload, next, opening.outer.traffic_class)?,
        Mode::Transport => close_ranks(frame, text_at, payload, next, &opening.outer),
    }
    let headers = Headers::read(frame.bytes())?;
    // TFC padding (RFC 4303 section 2.7) ends here: the inner packet knows its length.
    frame.truncate(headers.len as usize);
    if sa.selector.as_ref().is_some_and(|selector| !selector.matches(&headers.flow)) {
        return Err(Cause::PolicyMismatch);
    }
    Ok(headers)
}

/// How much of an opened text is payload, and what it is. The padding's own bytes are not looked at: the ICV already
/// vouches for them, and some senders fill them with zeros.
fn trailer(text: &[u8]) -> Result<(usize, u8), Cause> {
    let [.., padding, next] = *text else { return Err(Cause::BadPadding) };
    let payload = text.len().checked_sub(2 + usize::from(padding)).ok_or(Cause::BadPadding)?;
    Ok((payload, next))
}

fn leave_tunnel(frame: &mut Frame, at: usize, len: usize, next: u8, outer: u8) -> Result<(), Cause> {
    let version = match next {
        protocol::IPV4 => 4,
        protocol::IPV6 => 6,
        _ => return Err(Cause::BadPadding),
    };
    frame.shrink_front(at);
    frame.truncate(len);
    if frame.bytes().first().is_none_or(|first| first >> 4 != version) {
        return Err(Cause::Malformed);
    }
    ecn::apply(frame.bytes_mut(), outer)
}

/// Transport mode: the IP header moves up to the payload and says again what it carries.
fn close_ranks(frame: &mut Frame, text_at: usize, payload: usize, next: u8, outer: &Headers) {
    let own = outer.upper as usize;
    frame.truncate(text_at + payload);
    frame.bytes_mut().copy_within(..own, text_at - own);
    frame.shrink_front(text_at - own);
    encap::retitle(frame.bytes_mut(), outer, next);
}
