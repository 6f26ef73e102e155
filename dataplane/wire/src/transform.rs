//! ESP transforms: which cipher and which integrity, and every length that follows from them.
//!
//! Lengths are bytes. Sources: RFC 2405 (DES), 2451 (3DES), 3602 (AES-CBC), 2403/2404 (HMAC-96), 4868 (HMAC-SHA2),
//! 4106 (GCM), 4543 (GMAC), 7634 (ChaCha20-Poly1305), 2410 (NULL).

use std::fmt;
use std::str::FromStr;

/// What encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each is its RFC's name")]
pub enum Cipher {
    Null,
    DesCbc,
    TripleDesCbc,
    Aes128Cbc,
    Aes192Cbc,
    Aes256Cbc,
    Aes128Gcm,
    Aes192Gcm,
    Aes256Gcm,
    /// Authentication only: the payload is sent as it is.
    Aes128Gmac,
    ChaCha20Poly1305,
}

/// What authenticates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Integrity {
    /// HMAC-MD5-96.
    Md5,
    /// HMAC-SHA-1-96.
    Sha1,
    /// HMAC-SHA-256-128.
    Sha256,
    /// HMAC-SHA-384-192.
    Sha384,
    /// HMAC-SHA-512-256.
    Sha512,
    /// The cipher authenticates (GCM, GMAC, ChaCha20-Poly1305), with a 16-byte ICV.
    Combined,
}

macro_rules! transforms {
    ($($variant:ident = $name:literal, $cipher:ident, $integrity:ident, $ios:literal;)+) => {
        /// An ESP transform, by the project's name for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "name() says it")]
        pub enum Transform { $($variant,)+ }

        impl Transform {
            /// Every transform, oldest and weakest first.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name in files, flags and JSON: `des-md5`.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The words of an IOS `crypto ipsec transform-set`: `esp-des esp-md5-hmac`.
            pub const fn ios(self) -> &'static str {
                match self { $(Self::$variant => $ios,)+ }
            }

            /// What encrypts.
            pub const fn cipher(self) -> Cipher {
                match self { $(Self::$variant => Cipher::$cipher,)+ }
            }

            /// What authenticates.
            pub const fn integrity(self) -> Integrity {
                match self { $(Self::$variant => Integrity::$integrity,)+ }
            }
        }
    };
}

transforms! {
    NullMd5 = "null-md5", Null, Md5, "esp-null esp-md5-hmac";
    NullSha1 = "null-sha1", Null, Sha1, "esp-null esp-sha-hmac";
    NullSha256 = "null-sha256", Null, Sha256, "esp-null esp-sha256-hmac";
    DesMd5 = "des-md5", DesCbc, Md5, "esp-des esp-md5-hmac";
    DesSha1 = "des-sha1", DesCbc, Sha1, "esp-des esp-sha-hmac";
    TripleDesMd5 = "3des-md5", TripleDesCbc, Md5, "esp-3des esp-md5-hmac";
    TripleDesSha1 = "3des-sha1", TripleDesCbc, Sha1, "esp-3des esp-sha-hmac";
    TripleDesSha256 = "3des-sha256", TripleDesCbc, Sha256, "esp-3des esp-sha256-hmac";
    Aes128Md5 = "aes128-md5", Aes128Cbc, Md5, "esp-aes esp-md5-hmac";
    Aes128Sha1 = "aes128-sha1", Aes128Cbc, Sha1, "esp-aes esp-sha-hmac";
    Aes128Sha256 = "aes128-sha256", Aes128Cbc, Sha256, "esp-aes esp-sha256-hmac";
    Aes192Sha1 = "aes192-sha1", Aes192Cbc, Sha1, "esp-aes 192 esp-sha-hmac";
    Aes192Sha256 = "aes192-sha256", Aes192Cbc, Sha256, "esp-aes 192 esp-sha256-hmac";
    Aes256Sha1 = "aes256-sha1", Aes256Cbc, Sha1, "esp-aes 256 esp-sha-hmac";
    Aes256Sha256 = "aes256-sha256", Aes256Cbc, Sha256, "esp-aes 256 esp-sha256-hmac";
    Aes256Sha384 = "aes256-sha384", Aes256Cbc, Sha384, "esp-aes 256 esp-sha384-hmac";
    Aes256Sha512 = "aes256-sha512", Aes256Cbc, Sha512, "esp-aes 256 esp-sha512-hmac";
    Aes128Gcm = "aes128-gcm", Aes128Gcm, Combined, "esp-gcm 128";
    Aes192Gcm = "aes192-gcm", Aes192Gcm, Combined, "esp-gcm 192";
    Aes256Gcm = "aes256-gcm", Aes256Gcm, Combined, "esp-gcm 256";
    Aes128Gmac = "aes128-gmac", Aes128Gmac, Combined, "esp-gmac 128";
    ChaCha20Poly1305 = "chacha20-poly1305", ChaCha20Poly1305, Combined, "esp-chacha20-poly1305";
}

impl Cipher {
    /// Bytes of the cipher's own key, without a salt.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Null => 0,
            Self::DesCbc => 8,
            Self::TripleDesCbc | Self::Aes192Cbc | Self::Aes192Gcm => 24,
            Self::Aes128Cbc | Self::Aes128Gcm | Self::Aes128Gmac => 16,
            Self::Aes256Cbc | Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }

    /// Bytes of salt that follow the key (RFC 4106 section 8.1, RFC 7634 section 2).
    pub const fn salt_len(self) -> usize {
        match self {
            Self::Aes128Gcm
            | Self::Aes192Gcm
            | Self::Aes256Gcm
            | Self::Aes128Gmac
            | Self::ChaCha20Poly1305 => 4,
            _ => 0,
        }
    }

    /// Bytes of IV in each packet.
    pub const fn iv_len(self) -> usize {
        match self {
            Self::Null => 0,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
            _ => 8,
        }
    }

    /// What the text (payload, padding, pad length, next header) is a multiple of: the cipher's block, and 4 at least
    /// (RFC 4303 section 2.4).
    pub const fn block_len(self) -> usize {
        match self {
            Self::DesCbc | Self::TripleDesCbc => 8,
            Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc => 16,
            _ => 4,
        }
    }

    /// Whether each packet needs an unpredictable IV (RFC 3602 section 3) rather than a unique one.
    pub const fn needs_random_iv(self) -> bool {
        matches!(
            self,
            Self::DesCbc | Self::TripleDesCbc | Self::Aes128Cbc | Self::Aes192Cbc | Self::Aes256Cbc
        )
    }
}

impl Integrity {
    /// Bytes of the authentication key.
    pub const fn key_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
            Self::Combined => 0,
        }
    }

    /// Bytes of ICV at the packet's end.
    pub const fn icv_len(self) -> usize {
        match self {
            Self::Md5 | Self::Sha1 => 12,
            Self::Sha256 | Self::Combined => 16,
            Self::Sha384 => 24,
            Self::Sha512 => 32,
        }
    }
}

impl Transform {
    /// Bytes of the encryption key as files and IKE carry it: the cipher's key, then its salt.
    pub const fn key_len(self) -> usize {
        self.cipher().key_len() + self.cipher().salt_len()
    }

    /// Bytes of the authentication key; 0 for combined modes.
    pub const fn auth_key_len(self) -> usize {
        self.integrity().key_len()
    }

    /// Bytes of IV in each packet.
    pub const fn iv_len(self) -> usize {
        self.cipher().iv_len()
    }

    /// Bytes of ICV in each packet.
    pub const fn icv_len(self) -> usize {
        self.integrity().icv_len()
    }

    /// Bytes of ESP (SPI to the end of the ICV) that `payload` bytes become.
    pub const fn sealed_len(self, payload: usize) -> usize {
        8 + self.iv_len() + (payload + 2).next_multiple_of(self.cipher().block_len()) + self.icv_len()
    }

    /// Bytes of ESP that are not payload, padding at its most: SPI, sequence number, IV, padding, trailer, ICV.
    pub const fn overhead_max(self) -> usize {
        8 + self.iv_len() + self.cipher().block_len() + 1 + self.icv_len()
    }
}

impl fmt::Display for Transform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is the name of no transform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no transform (one of {list})", list = Transform::ALL.iter().map(|t| t.name()).collect::<Vec<_>>().join(" "))]
pub struct NoTransform(String);

impl FromStr for Transform {
    type Err = NoTransform;
    fn from_str(s: &str) -> Result<Self, NoTransform> {
        Self::ALL.iter().copied().find(|t| t.name() == s).ok_or_else(|| NoTransform(s.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_lengths_hold() {
        for t in Transform::ALL {
            assert_eq!(t.name().parse(), Ok(*t));
            for payload in 0..200 {
                let esp = t.sealed_len(payload);
                assert!(esp >= payload + 10 && esp <= payload + t.overhead_max(), "{t} {payload}");
            }
        }
        assert_eq!(Transform::DesMd5.sealed_len(84), 8 + 8 + 88 + 12);
    }
}
