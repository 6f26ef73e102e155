//! ECN across a tunnel (RFC 6040). Going in, the outer field is a copy of the inner one ("normal mode", section 4.1);
//! coming out, the two are combined as in section 4.2.

use espalier_wire::{Cause, checksum};

const CE: u8 = 0b11;
const ECT_1: u8 = 0b01;
const NOT_ECT: u8 = 0b00;

/// The inner field after the tunnel, from what arrived (RFC 6040 figure 4).
///
/// # Errors
/// [`Cause::Ecn`]: congestion was marked on a packet whose sender would not understand the mark; only its loss tells.
pub fn leave(inner: u8, outer: u8) -> Result<u8, Cause> {
    match (inner & CE, outer & CE) {
        (NOT_ECT, CE) => Err(Cause::Ecn),
        (NOT_ECT, _) => Ok(NOT_ECT),
        (CE, _) | (_, CE) => Ok(CE),
        (_, ECT_1) => Ok(ECT_1),
        (inner, _) => Ok(inner),
    }
}

/// Combine the ECN field of a packet that came out of a tunnel with that of the outer header, in place.
///
/// # Errors
/// As [`leave`].
pub fn apply(packet: &mut [u8], outer: u8) -> Result<(), Cause> {
    let [first, second, ..] = *packet else { return Ok(()) };
    let ipv4 = first >> 4 == 4;
    let inner = if ipv4 { second } else { second >> 4 };
    let ecn = leave(inner, outer)?;
    if ecn == inner & CE {
        return Ok(());
    }
    if ipv4 && packet.len() >= 12 {
        let changed = (second & !CE) | ecn;
        packet[1] = changed;
        let old = u16::from_be_bytes([packet[10], packet[11]]);
        let (before, after) = (u16::from_be_bytes([first, second]), u16::from_be_bytes([first, changed]));
        packet[10..12].copy_from_slice(&checksum::update(old, before, after).to_be_bytes());
    } else {
        packet[1] = (second & 0xcf) | (ecn << 4);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use espalier_wire::ipv4::Ipv4;
    use espalier_wire::ipv6::Ipv6;

    use super::*;
    use crate::testing;

    #[test]
    fn figure_4_of_rfc_6040() {
        const ECT_0: u8 = 0b10;
        let rows = [
            (NOT_ECT, [Ok(NOT_ECT), Ok(NOT_ECT), Ok(NOT_ECT), Err(Cause::Ecn)]),
            (ECT_0, [Ok(ECT_0), Ok(ECT_0), Ok(ECT_1), Ok(CE)]),
            (ECT_1, [Ok(ECT_1), Ok(ECT_1), Ok(ECT_1), Ok(CE)]),
            (CE, [Ok(CE), Ok(CE), Ok(CE), Ok(CE)]),
        ];
        for (inner, row) in rows {
            for (outer, expected) in [NOT_ECT, ECT_0, ECT_1, CE].into_iter().zip(row) {
                assert_eq!(leave(inner, outer), expected, "{inner:02b} {outer:02b}");
            }
        }
    }

    #[test]
    fn the_checksum_follows() {
        let mut v4 = testing::udp4([10, 1, 1, 1], [20, 1, 1, 1], 1, 2, 5);
        v4[1] = 0xba;
        testing::fix_checksum(&mut v4);
        apply(&mut v4, CE).unwrap();
        let view = Ipv4::new_checked(&v4).unwrap();
        assert!(view.checksum_ok() && view.traffic_class() == 0xbb);
        let mut v6 = testing::udp6(1, 2, 5);
        v6[1] |= 0b10 << 4;
        apply(&mut v6, CE).unwrap();
        assert_eq!(Ipv6::new_checked(&v6).unwrap().traffic_class() & CE, CE);
    }
}
