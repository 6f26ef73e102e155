//! The CBC ciphers: FIPS 81 (DES), NIST SP 800-67 and OpenSSL (3DES), RFC 3602 and NIST SP 800-38A (AES). RFC 2405 and
//! RFC 2451 have no vectors of their own.

use super::*;

/// Key, IV, text, encrypted: RFC 3602 section 4, cases 1 to 4.
const RFC_3602_BLOCKS: [[&str; 4]; 4] = [
    [
        "06a9214036b8a15b512e03d534120006",
        "3dafba429d9eb430b422da802c9fac41",
        "53696e676c6520626c6f636b206d7367",
        "e353779c1079aeb82708942dbe77181a",
    ],
    [
        "c286696d887c9aa0611bbb3e2025a45a",
        "562e17996d093d28ddb3ba695a2e6f58",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
        "d296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1",
    ],
    [
        "6c3ea0477630ce21a2ce334aa746c2cd",
        "c782dc4c098c66cbd9cd27d825682c81",
        "5468697320697320612034382d62797465206d657373616765202865786163746c7920332041455320626c6f636b7329",
        "d0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684",
    ],
    [
        "56e47a38c5598974bc46903dba290349",
        "8ce82eefbea0da3c44699ed7db51b7d9",
        "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecf \
         d0d1d2d3d4d5d6d7d8d9dadbdcdddedf",
        "c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad \
         83ce9f9a102ee99d49a53e87f4c3da55",
    ],
];

/// Key, SPI and sequence number, IV, text, encrypted: RFC 3602 section 4, cases 5 to 8, the last two in tunnel mode.
const RFC_3602_PACKETS: [[&str; 5]; 4] = [
    [
        "90d382b410eeba7ad938c46cec1a82bf",
        "0000432100000001",
        "e96e8c08ab465763fd098d45dd3ff893",
        "08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f2021222324252627 \
         28292a2b2c2d2e2f30313233343536370102030405060708090a0b0c0d0e0e01",
        "f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52 \
         775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6",
    ],
    [
        "90d382b410eeba7ad938c46cec1a82bf",
        "0000432100000008",
        "69d08df7d203329db093fc4924e5bd80",
        "0800b5e8a80a0500a69c083d0b660e0077777777777777777777777701020201",
        "f51995881ec4e0c4488987ce742e8109689bb379d2d750c0d915dca346a89f75",
    ],
    [
        "0123456789abcdef0123456789abcdef",
        "0000876500000002",
        "f4e765244f6407adf13dc1380f673f37",
        "45000054090400004001f988c0a87b03c0a87bc808009f76a90a0100b49c083d02a2040008090a0b0c0d0e0f10111213 \
         1415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f30313233343536370102030405060708090a0a04",
        "773b5241a4c449225e4f3ce5ed611b0c237ca96cf74a93013c1b0ea1a0cf70f8e4ecaec78ac53aad7a0f022b859243c6 \
         47752e94a859352b8a4d4d2decd136e5c177f132ad3fbfb2201ac9904c74ee0a109e0ca1e4dfe9d5a100b842f1c22f0d",
    ],
    [
        "0123456789abcdef0123456789abcdef",
        "0000876500000005",
        "85d47224b5f3dd5d2101d4ea8dffab22",
        "45000044090c00004001f990c0a87b03c0a87bc80800d63caa0a0200c69c083da3de0300ffffffffffffffffffffffff \
         ffffffffffffffffffffffffffffffffffffffff0102030405060708090a0a04",
        "15b92683819596a8047232cc00f7048fe45318e11f8a0f62ede3c3fc61203bb50f980a08c9843fd3a1b06d5c07ff9639 \
         b7eb7dfb3512e5de435e7207ed971ef3d2726d9b5ef6affc6d17a0decbb13892",
    ],
];

#[test]
fn rfc_3602_aes_128() {
    for case in RFC_3602_BLOCKS {
        let [key, iv, text, sealed] = case.map(hex);
        check_cbc(Cipher::Aes128Cbc, &key, &iv, &text, &sealed);
    }
    for case in RFC_3602_PACKETS {
        let [key, header, iv, text, sealed] = case.map(hex);
        check_cbc(Cipher::Aes128Cbc, &key, &iv, &text, &sealed);
        // The whole packet, with the ICV that RFC 2404 adds to it under a key of our own.
        let auth_key = vec![7; 20];
        let mut icv = [0; 12];
        let authed = [header, iv, sealed].concat();
        scalar::mac::MacKey::new(Transform::Aes128Sha1.integrity(), &auth_key)
            .unwrap()
            .sign(&authed, None, &mut icv)
            .unwrap();
        let sealed = [&authed[..], &icv].concat();
        let packet =
            Published { transform: Transform::Aes128Sha1, key, auth_key, seq_hi: None, sealed, text };
        packet.check("RFC 3602 packet");
    }
}

/// NIST SP 800-38A sections F.2.1, F.2.3, F.2.5.
#[test]
fn sp_800_38a_aes() {
    let iv: Vec<u8> = (0..16).collect();
    let text = hex("6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 \
                    30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710");
    let cases = [
        (
            Cipher::Aes128Cbc,
            "2b7e151628aed2a6abf7158809cf4f3c",
            "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2 \
             73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        ),
        (
            Cipher::Aes192Cbc,
            "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b",
            "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a \
             571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
        ),
        (
            Cipher::Aes256Cbc,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4",
            "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d \
             39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ];
    for (cipher, key, sealed) in cases {
        check_cbc(cipher, &hex(key), &iv, &text, &hex(sealed));
    }
}

/// FIPS 81 table C1; three equal keys make the same of triple DES.
#[test]
fn fips_81_des() {
    let (key, iv) = (hex("0123456789abcdef"), hex("1234567890abcdef"));
    let sealed = hex("e5c7cdde872bf27c 43e934008c389c0f 683788499a7c05f6");
    check_cbc(Cipher::DesCbc, &key, &iv, b"Now is the time for all ", &sealed);
    check_cbc(Cipher::TripleDesCbc, &key.repeat(3), &iv, b"Now is the time for all ", &sealed);
}

#[test]
fn triple_des() {
    // NIST SP 800-67 appendix B.1 is ECB: CBC of one block each with an IV of zeros.
    let key = hex("0123456789abcdef 23456789abcdef01 456789abcdef0123");
    for (text, sealed) in
        [("The qufc", "a826fd8ce53b855f"), ("k brown ", "cce21c8112256fe6"), ("fox jump", "68d5c05dd9b6b900")]
    {
        check_cbc(Cipher::TripleDesCbc, &key, &[0; 8], text.as_bytes(), &hex(sealed));
    }
    // The first blocks of the vector that OpenSSL and Linux test with.
    check_cbc(
        Cipher::TripleDesCbc,
        &hex("e9c0ff2e760b6424 444d995a12d640c0 eac284e81495dbe8"),
        &hex("7d3388930f93b242"),
        b"oT oaMynS ceerst",
        &hex("0e2db6973c5633f4671721c76e8ad549"),
    );
}
