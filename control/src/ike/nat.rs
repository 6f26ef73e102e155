//! NAT traversal: finding a NAT (RFC 3947 section 3.2) and the vendor ids that say who speaks what.

use std::net::SocketAddrV4;

use espalier_wire::ike::{Builder, Chain, Cookie, PayloadKind};

use super::config::Config;
use super::crypt::Hash;
use super::phase1::{Nat, Phase1};

/// MD5("RFC 3947") (RFC 3947 section 3.1).
const RFC_3947: [u8; 16] =
    [0x4a, 0x13, 0x1c, 0x81, 0x07, 0x03, 0x58, 0x45, 0x5c, 0x57, 0x28, 0xf2, 0x0e, 0x95, 0x45, 0x2f];

/// Dead peer detection 1.0 (RFC 3706 section 5.1).
const RFC_3706: [u8; 16] =
    [0xaf, 0xca, 0xd7, 0x13, 0x68, 0xa1, 0xf1, 0xc9, 0x6b, 0x86, 0x96, 0xfc, 0x77, 0x57, 0x01, 0x00];

/// Add the vendor ids of what we speak. Answering R-U-THERE needs no configuration.
pub(super) fn announce(mut chain: Builder, config: &Config) -> Builder {
    if config.nat_traversal {
        chain = chain.payload(PayloadKind::VENDOR_ID, &RFC_3947);
    }
    chain.payload(PayloadKind::VENDOR_ID, &RFC_3706)
}

/// Take note of the vendor ids of what the peer speaks.
pub(super) fn heed(p: &mut Phase1, chain: &Chain<'_>, config: &Config) {
    p.peer_dpd |= chain.all(PayloadKind::VENDOR_ID).any(|v| v == RFC_3706);
    p.nat.supported |= config.nat_traversal && chain.all(PayloadKind::VENDOR_ID).any(|v| v == RFC_3947);
}

fn hash(hash: Hash, cookies: (Cookie, Cookie), end: SocketAddrV4) -> Vec<u8> {
    hash.digest(&[&cookies.0.0, &cookies.1.0, &end.ip().octets(), &end.port().to_be_bytes()])
}

/// Add NAT-D payloads: the receiver's end first, then our own (RFC 3947 section 3.2).
pub(super) fn detect(chain: Builder, p: &Phase1) -> Builder {
    if !p.nat.supported {
        return chain;
    }
    chain
        .payload(PayloadKind::NAT_D, &hash(p.policy.hash, p.cookies, p.remote))
        .payload(PayloadKind::NAT_D, &hash(p.policy.hash, p.cookies, p.local))
}

/// Compare the peer's NAT-D payloads with the ends as we see them.
pub(super) fn found(p: &Phase1, chain: &Chain<'_>) -> Nat {
    let mut theirs = chain.all(PayloadKind::NAT_D);
    let Some(ours) = theirs.next().filter(|_| p.nat.supported) else { return p.nat };
    Nat {
        supported: true,
        here: ours != hash(p.policy.hash, p.cookies, p.local),
        there: !theirs.any(|t| t == hash(p.policy.hash, p.cookies, p.remote)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendor_id_is_the_digest_of_the_rfcs_name() {
        assert_eq!(Hash::Md5.digest(&[b"RFC 3947"]), RFC_3947);
    }
}
