//! The numbers of ISAKMP, its IPsec DOI and IKE: exchanges, payloads, notifications, attribute types and values.
//!
//! They are newtypes with named constants, not enums: a number this project has no name for is still a number that
//! a peer may send.

use std::fmt;

macro_rules! numbers {
    ($(#[$meta:meta])* $name:ident($int:ty) { $($(#[$item:meta])* $konst:ident = $value:literal, $text:literal;)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        #[allow(missing_docs, reason = "the RFC's own names")]
        impl $name {
            $($(#[$item])* pub const $konst: Self = Self($value);)+

            /// The RFC's name of the number, if it is one named here.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($value => Some($text),)+ _ => None }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.name() { Some(name) => f.pad(name), None => write!(f, "{}", self.0) }
            }
        }
    };
}

numbers! {
    /// Exchange type (RFC 2408 section 3.1, RFC 2409 appendix A).
    ExchangeKind(u8) {
        MAIN_MODE = 2, "main-mode";
        AGGRESSIVE = 4, "aggressive";
        INFORMATIONAL = 5, "informational";
        QUICK_MODE = 32, "quick-mode";
        NEW_GROUP = 33, "new-group";
    }
}

numbers! {
    /// Next payload (RFC 2408 section 3.1; 20 and 21: RFC 3947).
    PayloadKind(u8) {
        NONE = 0, "none";
        SA = 1, "SA";
        PROPOSAL = 2, "P";
        TRANSFORM = 3, "T";
        KEY_EXCHANGE = 4, "KE";
        IDENTIFICATION = 5, "ID";
        CERTIFICATE = 6, "CERT";
        CERTIFICATE_REQUEST = 7, "CR";
        HASH = 8, "HASH";
        SIGNATURE = 9, "SIG";
        NONCE = 10, "NONCE";
        NOTIFICATION = 11, "N";
        DELETE = 12, "D";
        VENDOR_ID = 13, "VID";
        NAT_D = 20, "NAT-D";
        NAT_OA = 21, "NAT-OA";
    }
}

numbers! {
    /// Protocol id (RFC 2407 section 4.4.1).
    Protocol(u8) {
        ISAKMP = 1, "ISAKMP";
        AH = 2, "AH";
        ESP = 3, "ESP";
    }
}

numbers! {
    /// Notify message type (RFC 2408 section 3.14.1, RFC 2407 section 4.6.3, RFC 3706 section 5.2), as IOS spells
    /// them where it prints them.
    NotifyType(u16) {
        INVALID_PAYLOAD_TYPE = 1, "INVALID_PAYLOAD_TYPE";
        DOI_NOT_SUPPORTED = 2, "DOI_NOT_SUPPORTED";
        SITUATION_NOT_SUPPORTED = 3, "SITUATION_NOT_SUPPORTED";
        INVALID_COOKIE = 4, "INVALID_COOKIE";
        INVALID_EXCHANGE_TYPE = 7, "INVALID_EXCHANGE_TYPE";
        INVALID_MESSAGE_ID = 9, "INVALID_MESSAGE_ID";
        INVALID_PROTOCOL_ID = 10, "INVALID_PROTOCOL_ID";
        INVALID_SPI = 11, "INVALID_SPI";
        NO_PROPOSAL_CHOSEN = 14, "PROPOSAL_NOT_CHOSEN";
        PAYLOAD_MALFORMED = 16, "PAYLOAD_MALFORMED";
        INVALID_KEY_INFORMATION = 17, "INVALID_KEY_INFO";
        INVALID_ID_INFORMATION = 18, "INVALID_ID_INFO";
        INVALID_HASH_INFORMATION = 23, "INVALID_HASH";
        AUTHENTICATION_FAILED = 24, "AUTHENTICATION_FAILED";
        CONNECTED = 16384, "CONNECTED";
        RESPONDER_LIFETIME = 24576, "RESPONDER_LIFETIME";
        REPLAY_STATUS = 24577, "REPLAY_STATUS";
        INITIAL_CONTACT = 24578, "INITIAL_CONTACT";
        R_U_THERE = 36136, "R_U_THERE";
        R_U_THERE_ACK = 36137, "R_U_THERE_ACK";
    }
}

/// Attribute types of IKE's own SA (RFC 2409 appendix A) and of the IPsec DOI (RFC 2407 section 4.5).
pub mod attribute {
    /// Phase 1: encryption algorithm.
    pub const ENCRYPTION: u16 = 1;
    /// Phase 1: hash algorithm.
    pub const HASH: u16 = 2;
    /// Phase 1: authentication method.
    pub const AUTHENTICATION: u16 = 3;
    /// Phase 1: group description.
    pub const GROUP: u16 = 4;
    /// Phase 1: life type.
    pub const LIFE_TYPE: u16 = 11;
    /// Phase 1: life duration.
    pub const LIFE_DURATION: u16 = 12;
    /// Phase 1: key length in bits.
    pub const KEY_LENGTH: u16 = 14;
    /// IPsec: SA life type.
    pub const SA_LIFE_TYPE: u16 = 1;
    /// IPsec: SA life duration.
    pub const SA_LIFE_DURATION: u16 = 2;
    /// IPsec: group description (PFS).
    pub const SA_GROUP: u16 = 3;
    /// IPsec: encapsulation mode.
    pub const SA_ENCAPSULATION: u16 = 4;
    /// IPsec: authentication algorithm.
    pub const SA_AUTHENTICATION: u16 = 5;
    /// IPsec: key length in bits.
    pub const SA_KEY_LENGTH: u16 = 6;
    /// Life type, both phases: seconds.
    pub const SECONDS: u64 = 1;
    /// Life type, both phases: kilobytes.
    pub const KILOBYTES: u64 = 2;
}

/// Values of the attributes of IKE's own SA (RFC 2409 appendix A; IANA's registry for SHA-2).
pub mod oakley {
    /// KEY_IKE, the one transform id of protocol ISAKMP (RFC 2407 section 4.4.2).
    pub const KEY_IKE: u8 = 1;
    /// DES-CBC.
    pub const DES: u64 = 1;
    /// 3DES-CBC.
    pub const TRIPLE_DES: u64 = 5;
    /// AES-CBC, with a key length attribute.
    pub const AES: u64 = 7;
    /// MD5.
    pub const MD5: u64 = 1;
    /// SHA-1.
    pub const SHA1: u64 = 2;
    /// SHA2-256.
    pub const SHA256: u64 = 4;
    /// SHA2-384.
    pub const SHA384: u64 = 5;
    /// SHA2-512.
    pub const SHA512: u64 = 6;
    /// Authentication method: pre-shared key.
    pub const PRE_SHARED_KEY: u64 = 1;
}

/// ESP transform ids (RFC 2407 section 4.4.4; IANA's registry for AES).
pub mod esp {
    /// ESP_DES.
    pub const DES: u8 = 2;
    /// ESP_3DES.
    pub const TRIPLE_DES: u8 = 3;
    /// ESP_NULL.
    pub const NULL: u8 = 11;
    /// ESP_AES (CBC).
    pub const AES_CBC: u8 = 12;
    /// ESP_AES_GCM_16.
    pub const AES_GCM_16: u8 = 20;
    /// ESP_NULL_AUTH_AES_GMAC.
    pub const AES_GMAC: u8 = 23;
    /// ChaCha20-Poly1305 has no IKEv1 number: this is one of the private-use range 249 to 255, understood only by
    /// this project.
    pub const CHACHA20_POLY1305_PRIVATE: u8 = 249;
}

/// Values of the IPsec DOI's attributes (RFC 2407 section 4.5, RFC 3947 section 5.1).
pub mod ipsec {
    /// The IPsec DOI (RFC 2407 section 4.2).
    pub const DOI: u32 = 1;
    /// SIT_IDENTITY_ONLY (RFC 2407 section 4.2.1).
    pub const SIT_IDENTITY_ONLY: u32 = 1;
    /// Encapsulation mode: tunnel.
    pub const TUNNEL: u64 = 1;
    /// Encapsulation mode: transport.
    pub const TRANSPORT: u64 = 2;
    /// Encapsulation mode: tunnel in UDP.
    pub const UDP_TUNNEL: u64 = 3;
    /// Encapsulation mode: transport in UDP.
    pub const UDP_TRANSPORT: u64 = 4;
    /// HMAC-MD5.
    pub const HMAC_MD5: u64 = 1;
    /// HMAC-SHA.
    pub const HMAC_SHA: u64 = 2;
    /// HMAC-SHA2-256.
    pub const HMAC_SHA256: u64 = 5;
    /// HMAC-SHA2-384.
    pub const HMAC_SHA384: u64 = 6;
    /// HMAC-SHA2-512.
    pub const HMAC_SHA512: u64 = 7;
}
