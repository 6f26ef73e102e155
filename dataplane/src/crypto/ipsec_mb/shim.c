/* What the engine `ipsec-mb` uses of Intel's library (intel-ipsec-mb.h 1.3), behind five functions. Keys and managers are
 * opaque to the caller, who has checked every length. Texts are encrypted and decrypted in place.
 *
 * GCM and GMAC go through the library's direct calls, packet by packet, which cost less than its jobs; all else goes through
 * its jobs, and what waits for lanes to fill is flushed at the end of a batch. (Its calls for bursts of jobs lose count of
 * them in 1.3 once more than its ring of 256 have gone through.) */

#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <intel-ipsec-mb.h>

/* Packets of one call. */
#define PACKETS 512

enum cipher { CIPHER_NULL, CIPHER_DES, CIPHER_3DES, CIPHER_CBC, CIPHER_GCM, CIPHER_GMAC, CIPHER_CHACHA };
enum mac { MAC_MD5, MAC_SHA1, MAC_SHA256, MAC_SHA384, MAC_SHA512, MAC_COMBINED };

/* As the caller declares it, word for word. */
struct shape {
    uint32_t cipher, mac, key_len, iv_len, icv_len, esn;
};

struct key {
    struct shape shape;
    uint8_t salt[4];
    /* The HMAC's states behind its key's blocks. */
    uint8_t inner[64] __attribute__((aligned(16)));
    uint8_t outer[64] __attribute__((aligned(16)));
    const void *three[3];
    union {
        uint64_t des[3][16];
        struct {
            uint8_t encrypting[15 * 16], decrypting[15 * 16];
        } aes;
        struct gcm_key_data gcm;
        uint8_t chacha[32];
    } cipher __attribute__((aligned(64)));
};

/* As the caller declares it, word for word. */
struct packet {
    const struct key *key;
    uint8_t *bytes;
    size_t len;
    uint32_t seq_hi, verified;
};

/* What a job points to while it is under way. */
struct scratch {
    uint8_t nonce[16], aad[16], tag[64], under_seq[4];
};

struct manager {
    IMB_MGR *mb;
    struct scratch scratch[PACKETS];
};

/* `level`: 0 as for any CPU, 1 as for one with AVX2, 2 the best for this one. */
struct manager *espalier_mb_manager(uint32_t level) {
    struct manager *manager = malloc(sizeof(*manager));
    if (manager == NULL)
        return NULL;
    manager->mb = alloc_mb_mgr(0);
    if (manager->mb == NULL) {
        free(manager);
        return NULL;
    }
    switch (level) {
    case 0: init_mb_mgr_sse(manager->mb); break;
    case 1: init_mb_mgr_avx2(manager->mb); break;
    default: init_mb_mgr_auto(manager->mb, NULL);
    }
    /* A CPU that lacks what the level wants: its functions are not there. */
    if (imb_get_errno(manager->mb) != 0) {
        free_mb_mgr(manager->mb);
        free(manager);
        return NULL;
    }
    return manager;
}

void espalier_mb_manager_free(struct manager *manager) {
    free_mb_mgr(manager->mb);
    explicit_bzero(manager->scratch, sizeof(manager->scratch));
    free(manager);
}

static void hash_block(IMB_MGR *mb, enum mac mac, const uint8_t *block, uint8_t *state) {
    switch (mac) {
    case MAC_MD5: IMB_MD5_ONE_BLOCK(mb, block, state); break;
    case MAC_SHA1: IMB_SHA1_ONE_BLOCK(mb, block, state); break;
    case MAC_SHA256: IMB_SHA256_ONE_BLOCK(mb, block, state); break;
    case MAC_SHA384: IMB_SHA384_ONE_BLOCK(mb, block, state); break;
    case MAC_SHA512: IMB_SHA512_ONE_BLOCK(mb, block, state); break;
    case MAC_COMBINED: break;
    }
}

/* RFC 2104: the states behind the blocks of the key and its pads. No key is longer than a block. */
static void expand_mac(IMB_MGR *mb, struct key *key, const uint8_t *secret, size_t len) {
    uint8_t block[128];
    for (int outer = 0; outer < 2; outer++) {
        memset(block, outer ? 0x5c : 0x36, sizeof(block));
        for (size_t n = 0; n < len; n++)
            block[n] ^= secret[n];
        hash_block(mb, key->shape.mac, block, outer ? key->outer : key->inner);
    }
    explicit_bzero(block, sizeof(block));
}

static void expand_aes(IMB_MGR *mb, struct key *key, const uint8_t *secret) {
    uint8_t *encrypting = key->cipher.aes.encrypting, *decrypting = key->cipher.aes.decrypting;
    switch (key->shape.key_len) {
    case 16: IMB_AES_KEYEXP_128(mb, secret, encrypting, decrypting); break;
    case 24: IMB_AES_KEYEXP_192(mb, secret, encrypting, decrypting); break;
    default: IMB_AES_KEYEXP_256(mb, secret, encrypting, decrypting);
    }
}

static void expand_gcm(IMB_MGR *mb, struct key *key, const uint8_t *secret) {
    switch (key->shape.key_len) {
    case 16: IMB_AES128_GCM_PRE(mb, secret, &key->cipher.gcm); break;
    case 24: IMB_AES192_GCM_PRE(mb, secret, &key->cipher.gcm); break;
    default: IMB_AES256_GCM_PRE(mb, secret, &key->cipher.gcm);
    }
}

/* `secret` is the cipher's key and, with a combined mode, its salt. NULL without memory. */
struct key *espalier_mb_key(struct manager *manager, const struct shape *shape, const uint8_t *secret,
                            const uint8_t *auth, size_t auth_len) {
    struct key *key = aligned_alloc(64, (sizeof(*key) + 63) / 64 * 64);
    if (key == NULL)
        return NULL;
    memset(key, 0, sizeof(*key));
    key->shape = *shape;
    IMB_MGR *mb = manager->mb;
    switch ((enum cipher)shape->cipher) {
    case CIPHER_NULL: break;
    case CIPHER_DES:
    case CIPHER_3DES:
        for (uint32_t n = 0; n < shape->key_len / 8; n++) {
            IMB_DES_KEYSCHED(mb, key->cipher.des[n], secret + 8 * n);
            key->three[n] = key->cipher.des[n];
        }
        break;
    case CIPHER_CBC: expand_aes(mb, key, secret); break;
    case CIPHER_GCM:
    case CIPHER_GMAC: expand_gcm(mb, key, secret); break;
    case CIPHER_CHACHA: memcpy(key->cipher.chacha, secret, 32); break;
    }
    if (shape->mac == MAC_COMBINED)
        memcpy(key->salt, secret + shape->key_len, 4);
    else
        expand_mac(mb, key, auth, auth_len);
    return key;
}

void espalier_mb_key_free(struct key *key) {
    explicit_bzero(key, sizeof(*key));
    free(key);
}

/* Whatever the bytes are, it takes as long. Every ICV is of whole words. */
static uint32_t same(const uint8_t *a, const uint8_t *b, size_t len) {
    uint32_t differ = 0, x, y;
    for (size_t n = 0; n < len; n += 4) {
        memcpy(&x, a + n, 4);
        memcpy(&y, b + n, 4);
        differ |= x ^ y;
    }
    __asm__("" : "+r"(differ));
    return differ == 0;
}

static void big_endian(uint8_t *to, uint32_t word) {
    word = __builtin_bswap32(word);
    memcpy(to, &word, 4);
}

/* Bytes of additional data: SPI and sequence number, 64 bits of it with ESN (RFC 4106 section 5). */
static size_t additional(const struct packet *packet, uint8_t *aad) {
    memcpy(aad, packet->bytes, 8);
    if (!packet->key->shape.esn)
        return 8;
    big_endian(aad + 4, packet->seq_hi);
    memcpy(aad + 8, packet->bytes + 4, 4);
    return 12;
}

static void nonce(const struct packet *packet, uint8_t *nonce) {
    memcpy(nonce, packet->key->salt, 4);
    memcpy(nonce + 4, packet->bytes + 8, 8);
}

static void gcm(IMB_MGR *mb, struct packet *packet, int seal, uint8_t *tag) {
    uint8_t iv[16], aad[16];
    struct gcm_context_data context;
    const struct key *key = packet->key;
    size_t aad_len = additional(packet, aad), len = packet->len - 16 - 16;
    uint8_t *text = packet->bytes + 16;
    aes_gcm_enc_dec_t one;
    nonce(packet, iv);
    switch (key->shape.key_len) {
    case 16: one = seal ? mb->gcm128_enc : mb->gcm128_dec; break;
    case 24: one = seal ? mb->gcm192_enc : mb->gcm192_dec; break;
    default: one = seal ? mb->gcm256_enc : mb->gcm256_dec;
    }
    one(&key->cipher.gcm, &context, text, text, len, iv, aad, aad_len, tag, 16);
}

/* RFC 4543: all before the ICV is authenticated, with ESN the high half of the sequence number behind the SPI. */
static void gmac(IMB_MGR *mb, struct packet *packet, uint8_t *tag) {
    uint8_t iv[16], aad[16];
    struct gcm_context_data context;
    const struct gcm_key_data *key = &packet->key->cipher.gcm;
    nonce(packet, iv);
    IMB_AES128_GMAC_INIT(mb, key, &context, iv, 12);
    size_t from = 0;
    if (packet->key->shape.esn) {
        additional(packet, aad);
        IMB_AES128_GMAC_UPDATE(mb, key, &context, aad, 8);
        from = 4;
    }
    IMB_AES128_GMAC_UPDATE(mb, key, &context, packet->bytes + from, packet->len - 16 - from);
    IMB_AES128_GMAC_FINALIZE(mb, key, &context, tag, 16);
}

static int is_direct(const struct packet *packet) {
    return packet->key->shape.cipher == CIPHER_GCM || packet->key->shape.cipher == CIPHER_GMAC;
}

static void direct(IMB_MGR *mb, struct packet *packet, int seal) {
    uint8_t computed[16], *icv = packet->bytes + packet->len - 16, *tag = seal ? icv : computed;
    if (packet->key->shape.cipher == CIPHER_GMAC)
        gmac(mb, packet, tag);
    else
        gcm(mb, packet, seal, tag);
    packet->verified = seal || same(computed, icv, 16);
}

static const IMB_HASH_ALG hashes[] = {
    [MAC_MD5] = IMB_AUTH_MD5,
    [MAC_SHA1] = IMB_AUTH_HMAC_SHA_1,
    [MAC_SHA256] = IMB_AUTH_HMAC_SHA_256,
    [MAC_SHA384] = IMB_AUTH_HMAC_SHA_384,
    [MAC_SHA512] = IMB_AUTH_HMAC_SHA_512,
};

static void fill_cipher(IMB_JOB *job, const struct key *key) {
    job->enc_keys = job->dec_keys = &key->cipher;
    job->key_len_in_bytes = key->shape.key_len;
    switch (key->shape.cipher) {
    case CIPHER_DES: job->cipher_mode = IMB_CIPHER_DES; break;
    case CIPHER_3DES:
        job->cipher_mode = IMB_CIPHER_DES3;
        job->enc_keys = job->dec_keys = key->three;
        break;
    case CIPHER_CBC:
        job->cipher_mode = IMB_CIPHER_CBC;
        job->dec_keys = key->cipher.aes.decrypting;
        break;
    default: job->cipher_mode = IMB_CIPHER_NULL;
    }
    if (job->msg_len_to_cipher_in_bytes == 0)
        job->cipher_mode = IMB_CIPHER_NULL;
}

static void fill_chacha(IMB_JOB *job, const struct packet *packet, struct scratch *scratch) {
    job->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
    job->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
    job->enc_keys = job->dec_keys = packet->key->cipher.chacha;
    job->key_len_in_bytes = 32;
    nonce(packet, scratch->nonce);
    job->iv = scratch->nonce;
    job->iv_len_in_bytes = 12;
    job->u.CHACHA20_POLY1305.aad = scratch->aad;
    job->u.CHACHA20_POLY1305.aad_len_in_bytes = additional(packet, scratch->aad);
    job->hash_start_src_offset_in_bytes = job->cipher_start_src_offset_in_bytes;
    job->msg_len_to_hash_in_bytes = job->msg_len_to_cipher_in_bytes;
}

/* The high half of the sequence number is hashed behind the text, where the ICV is or will be: what it takes the place of
 * is kept until the job is done. */
static void fill_mac(IMB_JOB *job, const struct packet *packet, struct scratch *scratch, uint8_t *icv) {
    const struct key *key = packet->key;
    job->hash_alg = hashes[key->shape.mac];
    job->u.HMAC._hashed_auth_key_xor_ipad = key->inner;
    job->u.HMAC._hashed_auth_key_xor_opad = key->outer;
    job->iv = packet->bytes + 8;
    job->iv_len_in_bytes = key->shape.iv_len;
    job->hash_start_src_offset_in_bytes = 0;
    job->msg_len_to_hash_in_bytes = packet->len - key->shape.icv_len;
    if (key->shape.esn) {
        memcpy(scratch->under_seq, icv, 4);
        big_endian(icv, packet->seq_hi);
        job->msg_len_to_hash_in_bytes += 4;
    }
}

static void fill(IMB_JOB *job, struct packet *packet, struct scratch *scratch, int seal) {
    const struct shape *shape = &packet->key->shape;
    size_t text_at = 8 + shape->iv_len, icv_at = packet->len - shape->icv_len;
    job->src = packet->bytes;
    job->dst = packet->bytes + text_at;
    job->cipher_start_src_offset_in_bytes = text_at;
    job->msg_len_to_cipher_in_bytes = icv_at - text_at;
    if (shape->cipher == CIPHER_CHACHA) {
        fill_chacha(job, packet, scratch);
    } else {
        fill_cipher(job, packet->key);
        fill_mac(job, packet, scratch, packet->bytes + icv_at);
    }
    job->cipher_direction = seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
    job->chain_order = seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
    job->auth_tag_output = seal ? packet->bytes + icv_at : scratch->tag;
    job->auth_tag_output_len_in_bytes = shape->icv_len;
    job->user_data = packet;
    job->user_data2 = scratch;
}

static void finish(const IMB_JOB *job, int seal) {
    struct packet *packet = job->user_data;
    const struct scratch *scratch = job->user_data2;
    const struct shape *shape = &packet->key->shape;
    uint8_t *icv = packet->bytes + packet->len - shape->icv_len;
    packet->verified = job->status == IMB_STATUS_COMPLETED;
    if (seal)
        return;
    if (shape->esn && shape->cipher != CIPHER_CHACHA)
        memcpy(icv, scratch->under_seq, 4);
    packet->verified &= same(icv, scratch->tag, shape->icv_len);
}

/* Seal or open so many packets, at most PACKETS; sets `verified` of each. */
void espalier_mb_run(struct manager *manager, struct packet *packets, size_t count, uint32_t seal) {
    IMB_MGR *mb = manager->mb;
    IMB_JOB *job;
    for (size_t n = 0; n < count; n++) {
        if (is_direct(&packets[n])) {
            direct(mb, &packets[n], seal);
            continue;
        }
        fill(IMB_GET_NEXT_JOB(mb), &packets[n], &manager->scratch[n], seal);
        job = IMB_SUBMIT_JOB_NOCHECK(mb);
        for (; job != NULL; job = IMB_GET_COMPLETED_JOB(mb))
            finish(job, seal);
    }
    while ((job = IMB_FLUSH_JOB(mb)) != NULL)
        finish(job, seal);
}
