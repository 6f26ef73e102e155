//! Every engine against published vectors and against the scalar twin. All of it runs over `Engines::all()`: an engine
//! added later is covered as it is.

use espalier_wire::Cipher;

use super::*;

mod guarded;
mod published_ciphers;
mod published_combined;
mod published_macs;
mod twins;
mod wycheproof;

/// Bytes that look random and are the same in every run.
struct Bytes(u64);

impl Bytes {
    fn number(&mut self) -> u64 {
        // xorshift64* of Vigna, good enough to fill packets.
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }

    fn vec(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.number() as u8).collect()
    }
}

/// Every engine with every transform it covers. Where a CPU is slow, `ESPALIER_TEST_ENGINE` names the only one of interest.
fn covered() -> impl Iterator<Item = (&'static dyn Engine, Transform)> {
    let only = std::env::var("ESPALIER_TEST_ENGINE").ok();
    let wanted = |e: &&dyn Engine| only.as_ref().is_none_or(|only| *only == e.id().to_string());
    let engines: Vec<_> = Engines::all().filter(wanted).collect();
    assert!(!engines.is_empty(), "no engine is {only:?}");
    engines
        .into_iter()
        .flat_map(|e| Transform::ALL.iter().filter(move |t| e.covers(**t)).map(move |t| (e, *t)))
}

/// One packet, one job.
fn run_one(key: &Key, bytes: &mut [u8], seq_hi: u32) -> bool {
    let mut jobs = [Job::new(key, bytes, seq_hi)];
    match key.direction {
        Direction::Outbound => seal(&mut jobs),
        Direction::Inbound => open(&mut jobs),
    }
    jobs[0].verified
}

/// A packet published with its keys: every engine opens it to its text, and seals the text to it.
struct Published {
    transform: Transform,
    key: Vec<u8>,
    auth_key: Vec<u8>,
    seq_hi: Option<u32>,
    /// From the SPI to the ICV.
    sealed: Vec<u8>,
    text: Vec<u8>,
}

impl Published {
    fn check(&self, name: &str) {
        let text_at = 8 + self.transform.iv_len();
        let icv_at = self.sealed.len() - self.transform.icv_len();
        let mut engines = 0;
        for engine in Engines::all().filter(|e| e.covers(self.transform)) {
            let name = format!("{} {} {name}", engine.id(), self.transform);
            let make =
                |d| engine.key(self.transform, d, &self.key, &self.auth_key, self.seq_hi.is_some()).unwrap();
            let mut bytes = self.sealed.clone();
            assert!(run_one(&make(Direction::Inbound), &mut bytes, self.seq_hi.unwrap_or(0)), "{name}");
            assert_eq!(bytes[..text_at], self.sealed[..text_at], "{name}");
            assert_eq!(hex::encode(&bytes[text_at..icv_at]), hex::encode(&self.text), "{name}");
            bytes[icv_at..].fill(0);
            assert!(run_one(&make(Direction::Outbound), &mut bytes, self.seq_hi.unwrap_or(0)), "{name}");
            assert_eq!(hex::encode(bytes), hex::encode(&self.sealed), "{name}");
            engines += 1;
        }
        assert!(engines > 0);
    }
}

impl Published {
    /// A packet that is not authentic: no engine opens it.
    fn check_refused(&self, name: &str) {
        for engine in Engines::all().filter(|e| e.covers(self.transform)) {
            let key = engine
                .key(self.transform, Direction::Inbound, &self.key, &self.auth_key, self.seq_hi.is_some())
                .unwrap();
            assert!(
                !run_one(&key, &mut self.sealed.clone(), self.seq_hi.unwrap_or(0)),
                "{} {name}",
                engine.id()
            );
        }
    }
}

/// A cipher's vector without an ICV: every transform of the cipher seals the text to it and opens it again, under
/// some authentication key.
fn check_cbc(cipher: Cipher, key: &[u8], iv: &[u8], text: &[u8], sealed: &[u8]) {
    let mut transforms = 0;
    for (engine, transform) in covered().filter(|(_, t)| t.cipher() == cipher) {
        let auth_key = vec![0x5a; transform.auth_key_len()];
        let make = |d| engine.key(transform, d, key, &auth_key, false).unwrap();
        let mut bytes = [&[1; 8], iv, text, &vec![0; transform.icv_len()]].concat();
        let text_at = 8 + iv.len();
        assert!(run_one(&make(Direction::Outbound), &mut bytes, 0));
        assert_eq!(hex::encode(&bytes[text_at..text_at + text.len()]), hex::encode(sealed), "{transform}");
        assert!(run_one(&make(Direction::Inbound), &mut bytes, 0));
        assert_eq!(bytes[text_at..text_at + text.len()], *text);
        transforms += 1;
    }
    assert!(transforms > 0);
}

/// Hex with whatever spaces its source has.
fn hex(digits: &str) -> Vec<u8> {
    hex::decode(digits.split_whitespace().collect::<String>()).unwrap()
}
