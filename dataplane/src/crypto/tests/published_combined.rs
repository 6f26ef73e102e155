//! The combined modes: draft-mcgrew-gcm-test-01 (GCM and GMAC in ESP, RFC 4106 and RFC 4543 having no vectors), and
//! the packet of RFC 7634 appendix A.

use super::*;

/// Key, nonce, text, AAD, encrypted, ICV. The AAD of 12 bytes is that of an extended sequence number.
const GCM: [[&str; 6]; 10] = [
    [
        "4c80cdefbb5d10da906ac73c3613a634",
        "2e443b684956ed7e3b244cfe",
        "45000048699a000080114db7c0a80102c0a801010a9bf15638d301000001000000000000045f736970045f7564 \
         70037369700963796265726369747902646b000021000101020201",
        "000043218765432100000000",
        "fecf537e729d5b07dc30df528dd22b768d1b98736696a6fd348509fa13ceac34cfa2436f14a3f3cf65925bf1f4 \
         a13c5d15b21e1884f5ff6247aeabb786b93bce61bc17d768fd9732",
        "459018148f6cbe722fd04796562dfdb4",
    ],
    [
        "feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "4500003e698f000080114dccc0a80102c0a801010a980035002a2343b2d0010000010000000000000373697009 \
         63796265726369747902646b00000100010001",
        "0000a5f80000000a",
        "deb22cd9b07c72c16e3a65beeb8df304a5a5897d33ae530f1ba76d5d114d2a5c3de81827c10e9a4f51330d0eec \
         416642cfbb85a5b47e48a4ec3b9ba95d918bd1",
        "83b70d3aa8bc6ee4c309e9d85a41ad4a",
    ],
    [
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "112233440102030405060708",
        "4500003069a6400080062690c0a801029389155e0a9e008b2dc57ee0000000007002400020bf0000020405b401 \
         01040201020201",
        "4a2cbfe300000002",
        "ff425c9b724599df7a3bcd510194e00d6a78107f1b0b1cbf06efae9d65a5d763748a637985771d347f0545659f \
         14e99def842d8e",
        "b335f4eecfdbf831824b4c4915956c96",
    ],
    [
        "00000000000000000000000000000000",
        "000000000000000000000000",
        "4500003c99c500008001cb7a40679318010101010800075c020044006162636465666768696a6b6c6d6e6f7071 \
         72737475767761626364656667686901020201",
        "0000000000000001",
        "4688daf2f973a392732909c331d56d60f694abaa414b5e7ff5fdcdfff5e9a284456476492719ffb64de7d9dca1 \
         e1d894bc3bd57873ed4d181d19d4d5c8c18af3",
        "f821d496eeb096e98ad2b69e4799c71d",
    ],
    [
        "3de09874b388e6491988d0c3607eae1f",
        "57690e434e280000a2fca1a3",
        "4500003c99c300008001cb7c40679318010101010800085c020043006162636465666768696a6b6c6d6e6f7071 \
         72737475767761626364656667686901020201",
        "42f67e3f1010101010101010",
        "fba2caa4853cf9f0f22cb10d86dd83b0fec75691cf1a04b00d1138ec9c35791765acbd8701ad79845bf9fe3fba \
         487bc91755e6662b4c8d0d1f5e22739530320a",
        "e0d731cc978ecafaeae88f00e80d6e48",
    ],
    [
        "feffe9928665731c6d6a8f9467308308feffe9928665731c",
        "cafebabefacedbaddecaf888",
        "45000028a4ad4000400678800a01038f0a010612802306b8cb712602dd6bb03e501016d075680001",
        "0000a5f80000000a",
        "a5b1f8066029aea40e598b8122de02420938b3ab33f828e687b8858b5bfbdbd0315b27452144cc77",
        "95457b9652037f5318027b5b4cd7a636",
    ],
    [
        "abbccddef00112233445566778899aababbccddef00112233445566778899aab",
        "73616c74616e640169766563",
        "45080028732c00004006e9f90a0106120a01038f06b88023dd6bafbecb71260250101f646d540001",
        "17405e67156f3126dd0db99b",
        "f2d69ecdbd5a0d5b8d5ef38bad4da58d1f278fde98ef67549d524a3018d9a57ff4d3a31ce673119e",
        "451626c2415771e3b7eebca614c89b35",
    ],
    [
        "7d773d00c144c525ac619d18c84a3f47",
        "d966426743457e9182443bc6",
        "01020201",
        "335467aeffffffff",
        "437f866b",
        "cb3f699fe9b0822bac961c4504bef270",
    ],
    [
        "abbccddef00112233445566778899aab",
        "decaf888cafedebaceface74",
        "746f016265016f72016e6f7401746f0162650001",
        "000001000000000000000001",
        "29c9fc69a197d038ccdd14e2ddfcaa0543332164",
        "412503524303ed3c6c5f283843af8c3e",
    ],
    [
        "6c6567616c697a656d6172696a75616e61616e64646f69746265666f72656961",
        "7475726e333021696765746d",
        "45000030da3a00008001df3bc0a80005c0a800010800c6cd020007006162636465666768696a6b6c6d6e6f7071 \
         72737401020201",
        "796b6963ffffffffffffffff",
        "f97ab2aa356d8edce17644ac8c78e25dd24dedbb29ebf1b64a274b39b49c3a864cd3d78ca4ae68a32b42458fb5 \
         7dbe821dcc63b9",
        "d0937ba2945f669368661a329fb4c053",
    ],
];

/// The packet whose parts these are, as a combined mode carries it.
pub(super) fn packet(
    transform: Transform,
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &[u8],
    sealed: &[u8],
) -> Published {
    let seq_hi = (aad.len() == 12).then(|| u32::from_be_bytes(aad[4..8].try_into().unwrap()));
    Published {
        transform,
        key: [key, &nonce[..4]].concat(),
        auth_key: Vec::new(),
        seq_hi,
        sealed: [&aad[..4], &aad[aad.len() - 4..], &nonce[4..], sealed].concat(),
        text: text.to_vec(),
    }
}

#[test]
fn gcm_in_esp() {
    for case in GCM {
        let [key, nonce, text, aad, encrypted, icv] = case.map(hex);
        let transform = match key.len() {
            16 => Transform::Aes128Gcm,
            24 => Transform::Aes192Gcm,
            _ => Transform::Aes256Gcm,
        };
        packet(transform, &key, &nonce, &aad, &text, &[encrypted, icv].concat()).check("GCM");
    }
}

/// The IV is among what GMAC authenticates.
#[test]
fn gmac_in_esp() {
    let text = hex("45000030da3a00008001df3bc0a80005 c0a800010800c6cd0200070061626364 \
                    65666768696a6b6c6d6e6f7071727374 01020201");
    let icv = hex("f2a9a836e155106aa8dcd618e4099aaa");
    let key = hex("4c80cdefbb5d10da906ac73c3613a634");
    let (nonce, aad) = (hex("22433c640000000000000000"), hex("0000432100000007"));
    let sealed = [&text[..], &icv].concat();
    packet(Transform::Aes128Gmac, &key, &nonce, &aad, &text, &sealed).check("GMAC");
}

/// With ESN, GMAC is GCM's tag over the additional data of RFC 4543 figure 3.
#[test]
fn gmac_with_esn_is_gcm_over_the_extended_header() {
    use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
    let key: Vec<u8> = (0..16).collect();
    let gcm = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let nonce: [u8; 12] = std::array::from_fn(|i| 0xa0 + i as u8);
    let header = hex("00004321 01020304 00000007");
    for text in [4, 8, 12, 16, 20, 100, 1400].map(|len| Bytes(6).vec(len)) {
        let aad = [&header, &nonce[4..], &text].concat();
        let nonce_once = Nonce::assume_unique_for_key(nonce);
        let icv = gcm.seal_in_place_separate_tag(nonce_once, Aad::from(&aad), &mut []).unwrap();
        let sealed = [&text, icv.as_ref()].concat();
        packet(Transform::Aes128Gmac, &key, &nonce, &header, &text, &sealed).check("GMAC with ESN");
    }
}

/// RFC 7634 appendix A.
#[test]
fn rfc_7634_packet() {
    let text = hex("45000054a6f200004001e778c6336405 c00002050800 5b7a3a080000553bec10 \
                    0007362708090a0b0c0d0e0f10111213 1415161718191a1b1c1d1e1f20212223 \
                    2425262728292a2b2c2d2e2f30313233 3435363701020204");
    let sealed = hex("240394 28b97f417e3c13753a4f05087b 67c352e6a7fab1b982d466ef407ae5c6 \
                      14ee8099d52844eb61aa95dfab4c02f7 2aa71e7c4c4f64c9befe2facc638e8f3 \
                      cbec163fac469b502773f6fb94e664da 9165b82829f641e0 \
                      76aaa8266b7fb0f7b11b369907e1ad43");
    let key: Vec<u8> = (0x80..=0x9f).collect();
    let nonce = hex("a0a1a2a3 1011121314151617");
    packet(Transform::ChaCha20Poly1305, &key, &nonce, &hex("01020304 00000005"), &text, &sealed)
        .check("RFC 7634");
}
