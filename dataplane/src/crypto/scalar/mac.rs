//! HMAC truncated to the ICV (RFC 2403, RFC 2404, RFC 4868), over the packet and, with ESN, the high half of its
//! sequence number (RFC 4303 section 2.2.1).

use espalier_wire::Integrity;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha256, Sha384, Sha512};

/// Inner and outer states with the key already hashed in: a packet starts from a copy.
pub(in super::super) enum MacKey {
    Md5(Box<Hmac<Md5>>),
    Sha1(Box<Hmac<Sha1>>),
    Sha256(Box<Hmac<Sha256>>),
    Sha384(Box<Hmac<Sha384>>),
    Sha512(Box<Hmac<Sha512>>),
}

impl MacKey {
    pub(in super::super) fn new(integrity: Integrity, key: &[u8]) -> Option<Self> {
        Some(match integrity {
            Integrity::Md5 => Self::Md5(keyed(key)?),
            Integrity::Sha1 => Self::Sha1(keyed(key)?),
            Integrity::Sha256 => Self::Sha256(keyed(key)?),
            Integrity::Sha384 => Self::Sha384(keyed(key)?),
            Integrity::Sha512 => Self::Sha512(keyed(key)?),
            Integrity::Combined => return None,
        })
    }

    /// Writes as much of the HMAC as `icv` holds.
    pub(in super::super) fn sign(&self, authed: &[u8], esn: Option<u32>, icv: &mut [u8]) -> Option<()> {
        match self {
            Self::Md5(mac) => sign(&**mac, authed, esn, icv),
            Self::Sha1(mac) => sign(&**mac, authed, esn, icv),
            Self::Sha256(mac) => sign(&**mac, authed, esn, icv),
            Self::Sha384(mac) => sign(&**mac, authed, esn, icv),
            Self::Sha512(mac) => sign(&**mac, authed, esn, icv),
        }
    }

    /// Some when `icv` is the beginning of the HMAC, compared in constant time.
    pub(in super::super) fn verify(&self, authed: &[u8], esn: Option<u32>, icv: &[u8]) -> Option<()> {
        match self {
            Self::Md5(mac) => verify(&**mac, authed, esn, icv),
            Self::Sha1(mac) => verify(&**mac, authed, esn, icv),
            Self::Sha256(mac) => verify(&**mac, authed, esn, icv),
            Self::Sha384(mac) => verify(&**mac, authed, esn, icv),
            Self::Sha512(mac) => verify(&**mac, authed, esn, icv),
        }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> Option<Box<M>> {
    M::new_from_slice(key).ok().map(Box::new)
}

fn sign<M: Mac + Clone>(keyed: &M, authed: &[u8], esn: Option<u32>, icv: &mut [u8]) -> Option<()> {
    let tag = hashed(keyed, authed, esn).finalize().into_bytes();
    icv.copy_from_slice(tag.get(..icv.len())?);
    Some(())
}

fn verify<M: Mac + Clone>(keyed: &M, authed: &[u8], esn: Option<u32>, icv: &[u8]) -> Option<()> {
    hashed(keyed, authed, esn).verify_truncated_left(icv).ok()
}

fn hashed<M: Mac + Clone>(keyed: &M, authed: &[u8], esn: Option<u32>) -> M {
    let mut mac = keyed.clone();
    mac.update(authed);
    if let Some(hi) = esn {
        mac.update(&hi.to_be_bytes());
    }
    mac
}
