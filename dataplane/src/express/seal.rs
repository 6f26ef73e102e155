//! Into an IPv4 tunnel: number, headers, padding. The packet does not move; all that goes before it is written once.

use espalier_wire::esp::HEADER_LEN;
use espalier_wire::ipv4::protocol;
use espalier_wire::plane::DfBit;
use espalier_wire::{Instant, ipv4};

use super::flows::Adjacency;
use super::{IP, LINK, lose_hop};
use crate::frame::Frame;
use crate::pipeline::Security;
use crate::policy::PolicyRef;
use crate::sa::Outer;
use crate::stage::crypt::Plan;
use crate::worker::Worker;

/// Padding as RFC 4303 section 2.4 wants it.
const PADDING: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16];

impl Worker {
    /// Make the `len` bytes of IPv4 packet behind the frame's link header ready to be sealed. `None`: the long way, and
    /// nothing done.
    #[inline]
    pub(super) fn prepare_seal(
        &mut self,
        now: Instant,
        frame: &mut Frame,
        policy: PolicyRef,
        adjacency: &Adjacency,
        len: u16,
    ) -> Option<Plan> {
        let Security { policies, ivs, identification, .. } = &mut self.security;
        let sa = policies.at_mut(policy)?.outbound.as_mut()?;
        let (payload, shape) = (usize::from(len), sa.shape);
        let before = sa.template.before_spi();
        // The block is a power of two, so this is what is missing to its next multiple.
        let padding = (payload + 2).wrapping_neg() & shape.mask;
        let front = before + HEADER_LEN + shape.iv_len;
        let back = padding + 2 + shape.icv_len;
        let total = front + payload + back;
        let fits = total <= usize::from(adjacency.mtu) && sa.is_quiet(now);
        if !fits || !frame.grow_around(front, LINK + payload, back) {
            return None;
        }
        let seq = sa.take_quiet_number();
        sa.last_sent = now;
        sa.counters.packets += 1;
        sa.counters.bytes += payload as u64;
        let (head, rest) = frame.bytes_mut().split_at_mut_checked(LINK + front)?;
        let (packet, end) = rest.split_at_mut_checked(payload)?;
        let inner = packet.first_chunk_mut::<IP>()?;
        lose_hop(inner);
        let df = match sa.df_bit {
            DfBit::Copy => u16::from_be_bytes([inner[6], inner[7]]) & ipv4::DF != 0,
            DfBit::Set => true,
            DfBit::Clear => false,
        };
        *identification = identification.wrapping_add(1);
        let outer = Outer { traffic_class: inner[1], df, identification: *identification };
        *head.first_chunk_mut()? = adjacency.link;
        let outer_ip = head.get_mut(LINK..)?;
        sa.template.write_sized(outer_ip, outer, total);
        let (esp, iv) = outer_ip.get_mut(before..)?.split_at_mut_checked(HEADER_LEN)?;
        *esp.first_chunk_mut()? = (u64::from(sa.spi.0) << 32 | seq & 0xffff_ffff).to_be_bytes();
        if shape.random_iv {
            ivs.fill(iv);
        } else if let Some(iv) = iv.first_chunk_mut() {
            *iv = seq.to_be_bytes();
        }
        // Where there is room for a whole row of padding, what is too much lies where the ICV will be.
        match end.first_chunk_mut() {
            Some(row) => *row = PADDING,
            None => end.get_mut(..padding)?.copy_from_slice(PADDING.get(..padding)?),
        }
        *end.get_mut(padding..)?.first_chunk_mut()? = [padding as u8, protocol::IPV4];
        Some(Plan {
            at: (LINK + before) as u32,
            len: (total - before) as u32,
            seq_hi: (seq >> 32) as u32,
            done: false,
        })
    }
}
