//! Proposals: what the initiator offers, what the responder chooses, in both phases.

use espalier_wire::ike::{
    Attribute, Proposal, Protocol, SaBody, TransformOffer, attribute, esp, ipsec, oakley,
};
use espalier_wire::plane::Mode;
use espalier_wire::transform::{Cipher, Integrity};
use espalier_wire::{Duration, Spi, Transform};

use super::config::{Entry, IsakmpPolicy};
use super::group::Group;

/// The attributes of a phase 1 transform (RFC 2409 appendix A).
fn phase1_attributes(policy: &IsakmpPolicy) -> Vec<Attribute> {
    let (cipher, bits) = policy.encryption.number();
    let mut out = vec![
        Attribute::number(attribute::ENCRYPTION, cipher),
        Attribute::number(attribute::HASH, policy.hash.number()),
        Attribute::number(attribute::GROUP, u64::from(policy.group.number())),
        Attribute::number(attribute::AUTHENTICATION, oakley::PRE_SHARED_KEY),
    ];
    out.extend(bits.map(|bits| Attribute::number(attribute::KEY_LENGTH, bits)));
    out.push(Attribute::number(attribute::LIFE_TYPE, attribute::SECONDS));
    out.push(Attribute::number(attribute::LIFE_DURATION, policy.lifetime.as_whole_s()));
    out
}

/// Everything a router's policies allow, as the first message offers it.
pub(super) fn phase1_offer(policies: &[IsakmpPolicy]) -> SaBody {
    let transforms = (1u8..)
        .zip(policies)
        .map(|(number, p)| TransformOffer { number, id: oakley::KEY_IKE, attributes: phase1_attributes(p) })
        .collect();
    SaBody {
        proposals: vec![Proposal { number: 1, protocol: Protocol::ISAKMP, spi: Vec::new(), transforms }],
    }
}

/// Whether a transform says what a policy wants; its lifetime aside.
fn phase1_agrees(policy: &IsakmpPolicy, offer: &TransformOffer) -> bool {
    let (cipher, bits) = policy.encryption.number();
    offer.id == oakley::KEY_IKE
        && offer.number_of(attribute::ENCRYPTION) == Some(cipher)
        && offer.number_of(attribute::KEY_LENGTH) == bits
        && offer.number_of(attribute::HASH) == Some(policy.hash.number())
        && offer.number_of(attribute::GROUP) == Some(u64::from(policy.group.number()))
        && offer.number_of(attribute::AUTHENTICATION) == Some(oakley::PRE_SHARED_KEY)
}

/// The seconds a phase 1 transform offers; none mean 28,800 (RFC 2407 section 4.5.4 gives it for phase 2; it serves
/// here too).
fn phase1_seconds(offer: &TransformOffer) -> u64 {
    match offer.number_of(attribute::LIFE_TYPE) {
        Some(attribute::SECONDS) => offer.number_of(attribute::LIFE_DURATION).unwrap_or(28_800),
        Some(_) | None => 28_800,
    }
}

/// The responder's choice: the first of its own policies that the peer offers too, with the lower lifetime, and the
/// answer, attributes unchanged (RFC 2408 section 4.2).
pub(super) fn phase1_choice(policies: &[IsakmpPolicy], offer: &SaBody) -> Option<(IsakmpPolicy, SaBody)> {
    for policy in policies {
        for proposal in offer.proposals.iter().filter(|p| p.protocol == Protocol::ISAKMP) {
            if let Some(t) = proposal.transforms.iter().find(|t| phase1_agrees(policy, t)) {
                let seconds = phase1_seconds(t).min(policy.lifetime.as_whole_s());
                let answer = Proposal { transforms: vec![t.clone()], ..proposal.clone() };
                let chosen = IsakmpPolicy { lifetime: Duration::from_s(seconds), ..*policy };
                return Some((chosen, SaBody { proposals: vec![answer] }));
            }
        }
    }
    None
}

/// The initiator reads the answer: one proposal, one transform, one of its own.
pub(super) fn phase1_answer(policies: &[IsakmpPolicy], answer: &SaBody) -> Option<IsakmpPolicy> {
    let [proposal] = answer.proposals.as_slice() else { return None };
    let [t] = proposal.transforms.as_slice() else { return None };
    let policy = policies.iter().find(|p| phase1_agrees(p, t))?;
    let seconds = phase1_seconds(t).min(policy.lifetime.as_whole_s());
    Some(IsakmpPolicy { lifetime: Duration::from_s(seconds), ..*policy })
}

/// The ESP transform id, authentication algorithm and key length (bits) of a transform.
fn esp_numbers(transform: Transform) -> (u8, Option<u64>, Option<u64>) {
    let (id, bits) = match transform.cipher() {
        Cipher::Null => (esp::NULL, None),
        Cipher::DesCbc => (esp::DES, None),
        Cipher::TripleDesCbc => (esp::TRIPLE_DES, None),
        Cipher::Aes128Cbc => (esp::AES_CBC, Some(128)),
        Cipher::Aes192Cbc => (esp::AES_CBC, Some(192)),
        Cipher::Aes256Cbc => (esp::AES_CBC, Some(256)),
        Cipher::Aes128Gcm => (esp::AES_GCM_16, Some(128)),
        Cipher::Aes192Gcm => (esp::AES_GCM_16, Some(192)),
        Cipher::Aes256Gcm => (esp::AES_GCM_16, Some(256)),
        Cipher::Aes128Gmac => (esp::AES_GMAC, Some(128)),
        Cipher::ChaCha20Poly1305 => (esp::CHACHA20_POLY1305_PRIVATE, None),
    };
    let integrity = match transform.integrity() {
        Integrity::Md5 => Some(ipsec::HMAC_MD5),
        Integrity::Sha1 => Some(ipsec::HMAC_SHA),
        Integrity::Sha256 => Some(ipsec::HMAC_SHA256),
        Integrity::Sha384 => Some(ipsec::HMAC_SHA384),
        Integrity::Sha512 => Some(ipsec::HMAC_SHA512),
        Integrity::Combined => None,
    };
    (id, integrity, bits)
}

const fn encapsulation(mode: Mode, udp: bool) -> u64 {
    match (mode, udp) {
        (Mode::Tunnel, false) => ipsec::TUNNEL,
        (Mode::Transport, false) => ipsec::TRANSPORT,
        (Mode::Tunnel, true) => ipsec::UDP_TUNNEL,
        (Mode::Transport, true) => ipsec::UDP_TRANSPORT,
    }
}

/// What an entry offers in quick mode: each transform set a proposal of its own, as IOS does. `udp`: a NAT was found
/// (RFC 3947 section 5.1).
pub(super) fn phase2_offer(entry: &Entry, spi: Spi, udp: bool) -> SaBody {
    let proposal = |(number, (transform, mode)): (u8, &(Transform, Mode))| {
        let (id, integrity, bits) = esp_numbers(*transform);
        let mut attributes = vec![
            Attribute::number(attribute::SA_ENCAPSULATION, encapsulation(*mode, udp)),
            Attribute::number(attribute::SA_LIFE_TYPE, attribute::SECONDS),
            Attribute::number(attribute::SA_LIFE_DURATION, entry.seconds),
        ];
        if let Some(kilobytes) = entry.kilobytes {
            attributes.push(Attribute::number(attribute::SA_LIFE_TYPE, attribute::KILOBYTES));
            attributes.push(Attribute::number(attribute::SA_LIFE_DURATION, kilobytes));
        }
        attributes.extend(integrity.map(|a| Attribute::number(attribute::SA_AUTHENTICATION, a)));
        attributes.extend(bits.map(|bits| Attribute::number(attribute::SA_KEY_LENGTH, bits)));
        attributes.extend(entry.pfs.map(|g| Attribute::number(attribute::SA_GROUP, u64::from(g.number()))));
        Proposal {
            number,
            protocol: Protocol::ESP,
            spi: spi.0.to_be_bytes().to_vec(),
            transforms: vec![TransformOffer { number: 1, id, attributes }],
        }
    };
    SaBody { proposals: (1u8..).zip(&entry.transforms).map(proposal).collect() }
}

/// What both agreed on in quick mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Agreed {
    pub(super) transform: Transform,
    pub(super) mode: Mode,
    pub(super) pfs: Option<Group>,
    /// The lower of both offers.
    pub(super) seconds: u64,
    pub(super) kilobytes: Option<u64>,
    /// The peer offered more than we grant: say so (RFC 2407 section 4.6.3.1).
    pub(super) shortened: bool,
    pub(super) spi: Spi,
}

impl Agreed {
    /// Take in what the responder grants.
    pub(super) fn shorten(&mut self, (seconds, kilobytes): (Option<u64>, Option<u64>)) {
        self.seconds = self.seconds.min(seconds.unwrap_or(self.seconds));
        self.kilobytes = match (self.kilobytes, kilobytes) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }
}

/// The seconds and kilobytes a phase 2 transform offers (RFC 2407 section 4.5: pairs of type and duration).
fn phase2_lifetime(offer: &TransformOffer) -> (Option<u64>, Option<u64>) {
    let (mut unit, mut seconds, mut kilobytes) = (None, None, None);
    for a in &offer.attributes {
        match (a.kind, unit) {
            (attribute::SA_LIFE_TYPE, _) => unit = a.as_number(),
            (attribute::SA_LIFE_DURATION, Some(attribute::SECONDS)) => seconds = a.as_number(),
            (attribute::SA_LIFE_DURATION, Some(attribute::KILOBYTES)) => kilobytes = a.as_number(),
            _ => {}
        }
    }
    (seconds, kilobytes)
}

fn phase2_agrees(entry: &Entry, t: &TransformOffer, udp: bool) -> Option<(Transform, Mode, Option<Group>)> {
    let group = match t.number_of(attribute::SA_GROUP) {
        Some(number) => Some(Group::from_number(number)?),
        None => None,
    };
    // IOS: an entry without PFS takes whatever the peer offers.
    if entry.pfs.is_some() && entry.pfs != group {
        return None;
    }
    let mode_of = t.number_of(attribute::SA_ENCAPSULATION);
    let wanted = entry.transforms.iter().find(|(transform, mode)| {
        let (id, integrity, bits) = esp_numbers(*transform);
        id == t.id
            && t.number_of(attribute::SA_AUTHENTICATION) == integrity
            // AES without a key length is AES-128 (RFC 3602 section 5.3).
            && (t.number_of(attribute::SA_KEY_LENGTH) == bits
                || (bits == Some(128) && t.number_of(attribute::SA_KEY_LENGTH).is_none()))
            && mode_of == Some(encapsulation(*mode, udp))
    })?;
    Some((wanted.0, wanted.1, group))
}

/// The responder's choice, and the answer, attributes unchanged. `ours` goes into the answer as its SPI.
pub(super) fn phase2_choice(entry: &Entry, offer: &SaBody, udp: bool, ours: Spi) -> Option<(Agreed, SaBody)> {
    for proposal in &offer.proposals {
        let alone = offer.proposals.iter().filter(|p| p.number == proposal.number).count() == 1;
        let Ok(spi) = <[u8; 4]>::try_from(proposal.spi.as_slice()) else { continue };
        let spi = Spi(u32::from_be_bytes(spi));
        // SPIs up to 255 are reserved (RFC 4303 section 2.1).
        if proposal.protocol != Protocol::ESP || !alone || spi.0 < 256 {
            continue;
        }
        for t in &proposal.transforms {
            let Some((transform, mode, pfs)) = phase2_agrees(entry, t, udp) else { continue };
            let answer = Proposal {
                spi: ours.0.to_be_bytes().to_vec(),
                transforms: vec![t.clone()],
                ..proposal.clone()
            };
            let agreed = agree(entry, t, (transform, mode, pfs), spi);
            return Some((agreed, SaBody { proposals: vec![answer] }));
        }
    }
    None
}

/// The initiator reads the answer.
pub(super) fn phase2_answer(entry: &Entry, answer: &SaBody, udp: bool) -> Option<Agreed> {
    let [proposal] = answer.proposals.as_slice() else { return None };
    let [t] = proposal.transforms.as_slice() else { return None };
    let spi = Spi(u32::from_be_bytes(<[u8; 4]>::try_from(proposal.spi.as_slice()).ok()?));
    let (transform, mode, pfs) = phase2_agrees(entry, t, udp)?;
    // The answer has the group we offered, no other.
    (proposal.protocol == Protocol::ESP && spi.0 >= 256 && pfs == entry.pfs)
        .then(|| agree(entry, t, (transform, mode, pfs), spi))
}

fn agree(
    entry: &Entry,
    t: &TransformOffer,
    (transform, mode, pfs): (Transform, Mode, Option<Group>),
    spi: Spi,
) -> Agreed {
    let (offered_seconds, offered_kilobytes) = phase2_lifetime(t);
    // RFC 2407 section 4.5.4: no lifetime means 28,800 seconds.
    let offered_seconds = offered_seconds.unwrap_or(28_800);
    let seconds = entry.seconds.min(offered_seconds);
    let kilobytes = match (entry.kilobytes, offered_kilobytes) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    let shortened = seconds < offered_seconds || kilobytes != offered_kilobytes;
    Agreed { transform, mode, pfs, seconds, kilobytes, shortened, spi }
}

#[cfg(test)]
mod tests {
    use super::super::crypt::{Encryption, Hash};
    use super::*;

    #[test]
    fn every_phase1_policy_is_recognised_and_only_it() {
        let mut policies = Vec::new();
        for encryption in Encryption::ALL {
            for hash in Hash::ALL {
                for group in Group::ALL {
                    let lifetime = Duration::from_s(100_000);
                    policies.push(IsakmpPolicy { encryption, hash, group, lifetime });
                }
            }
        }
        for p in &policies {
            let offer = phase1_offer(&[*p]);
            let (chosen, answer) = phase1_choice(&policies, &offer).unwrap();
            assert_eq!(chosen, *p);
            assert_eq!(phase1_answer(&policies, &answer), Some(*p));
        }
        assert_eq!(phase1_choice(&policies[1..], &phase1_offer(&policies[..1])), None);
    }

    #[test]
    fn the_lower_phase1_lifetime_wins() {
        let long = IsakmpPolicy { lifetime: Duration::from_s(86_400), ..IsakmpPolicy::default() };
        let short = IsakmpPolicy { lifetime: Duration::from_s(600), ..long };
        for (ours, theirs) in [(long, short), (short, long)] {
            let (chosen, _) = phase1_choice(&[ours], &phase1_offer(&[theirs])).unwrap();
            assert_eq!(chosen.lifetime, Duration::from_s(600));
        }
    }
}
