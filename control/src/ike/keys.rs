//! Keying material: SKEYID and what hangs on it (RFC 2409 sections 5 and 5.5, appendix B), and the chaining of IVs.

use espalier_wire::ike::{Cookie, Flags, Header, PayloadKind, whole};
use espalier_wire::plane::Secret;

use super::config::IsakmpPolicy;
use super::crypt::{Encryption, Hash};

/// The keys of one ISAKMP SA.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    hash: Hash,
    encryption: Encryption,
    skeyid: Secret,
    skeyid_d: Secret,
    skeyid_a: Secret,
    /// The cipher's key.
    pub(super) key: Secret,
    /// The IV of phase 1's first encrypted message.
    pub(super) iv: Vec<u8>,
}

/// What both sides have sent by the fourth message of main mode.
pub(super) struct Exchanged<'a> {
    pub(super) nonces: (&'a [u8], &'a [u8]),
    pub(super) publics: (&'a [u8], &'a [u8]),
    pub(super) cookies: (Cookie, Cookie),
    pub(super) shared: &'a Secret,
}

impl Keys {
    /// RFC 2409 section 5, for pre-shared keys: SKEYID = prf(psk, Ni | Nr), and d, a, e from it.
    pub(super) fn derive(policy: &IsakmpPolicy, psk: &[u8], x: &Exchanged<'_>) -> Self {
        let (hash, encryption) = (policy.hash, policy.encryption);
        let shared = x.shared.bytes();
        let (ci, cr) = (&x.cookies.0.0, &x.cookies.1.0);
        let skeyid = hash.prf(psk, &[x.nonces.0, x.nonces.1]);
        let d = hash.prf(&skeyid, &[shared, ci, cr, &[0]]);
        let a = hash.prf(&skeyid, &[&d, shared, ci, cr, &[1]]);
        let e = hash.prf(&skeyid, &[&a, shared, ci, cr, &[2]]);
        let mut iv = hash.digest(&[x.publics.0, x.publics.1]);
        iv.truncate(encryption.block_len());
        Self {
            hash,
            encryption,
            key: encryption.key(hash, &e),
            skeyid: Secret::new(skeyid),
            skeyid_d: Secret::new(d),
            skeyid_a: Secret::new(a),
            iv,
        }
    }

    /// HASH_I or HASH_R (RFC 2409 section 5): the sender's public value and cookie come first.
    pub(super) fn authentication(
        &self,
        publics: (&[u8], &[u8]),
        cookies: (Cookie, Cookie),
        sa: &[u8],
        id: &[u8],
    ) -> Vec<u8> {
        self.hash.prf(self.skeyid.bytes(), &[publics.0, publics.1, &cookies.0.0, &cookies.1.0, sa, id])
    }

    /// HASH(1), (2) or (3) and that of informational exchanges (RFC 2409 sections 5.5 and 5.7).
    pub(super) fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
        self.hash.prf(self.skeyid_a.bytes(), parts)
    }

    /// The IV of a phase 2 exchange's first message: hash(last CBC block of phase 1 | message id).
    pub(super) fn phase2_iv(&self, last: &[u8], message_id: u32) -> Vec<u8> {
        let mut iv = self.hash.digest(&[last, &message_id.to_be_bytes()]);
        iv.truncate(self.encryption.block_len());
        iv
    }

    /// `length` bytes of KEYMAT (RFC 2409 section 5.5): K1 | K2 | …, each over the one before.
    pub(super) fn keymat(
        &self,
        shared: &[u8],
        protocol: u8,
        spi: u32,
        nonces: &[u8],
        length: usize,
    ) -> Vec<u8> {
        let (mut out, mut last) = (Vec::new(), Vec::new());
        while out.len() < length {
            let parts: [&[u8]; 5] = [&last, shared, &[protocol], &spi.to_be_bytes(), nonces];
            last = self.hash.prf(self.skeyid_d.bytes(), &parts);
            out.extend_from_slice(&last);
        }
        out.truncate(length);
        out
    }

    /// The whole message, encrypted, and the IV that the exchange's next message needs.
    pub(super) fn seal(
        &self,
        exchange: espalier_wire::ike::Exchange,
        first: PayloadKind,
        chain: &[u8],
        iv: &[u8],
    ) -> (Vec<u8>, Vec<u8>) {
        let mut text = chain.to_vec();
        // RFC 2409 appendix B: zero padding to the block.
        text.resize(text.len().next_multiple_of(self.encryption.block_len()), 0);
        self.encryption.encrypt(&self.key, iv, &mut text);
        let next = self.last_block(&text, iv);
        (whole(exchange, first, Flags { encryption: true, ..Flags::default() }, &text), next)
    }

    /// The chain's bytes in clear and the IV that the exchange's next message needs; `None` when it cannot be a
    /// whole number of blocks.
    pub(super) fn open(&self, header: &Header, body: &[u8], iv: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
        let block = self.encryption.block_len();
        if !header.flags.encryption || body.is_empty() || !body.len().is_multiple_of(block) {
            return None;
        }
        let next = self.last_block(body, iv);
        let mut text = body.to_vec();
        self.encryption.decrypt(&self.key, iv, &mut text);
        Some((text, next))
    }

    fn last_block(&self, text: &[u8], iv: &[u8]) -> Vec<u8> {
        let start = text.len().saturating_sub(self.encryption.block_len());
        text.get(start..).unwrap_or(iv).to_vec()
    }
}
