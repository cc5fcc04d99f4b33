/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CHAP for iSCSI (RFC 1994, RFC 7143 12.1.3) with MD5, SHA1, SHA-256 and
 * SHA3-256 (IANA numbers 5 to 8).  Pure: the caller brings randomness.
 */
#ifndef ISCSI_CHAP_H
#define ISCSI_CHAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "target/target.h"

#define CHAP_DIGEST_MAX 32u
#define CHAP_CHALLENGE_MAX 1024u

/* The first algorithm of the offered list ("7,5") we take; 0 = none. */
unsigned chap_choose(const char *offer, bool allow_md5);
size_t chap_digest_len(unsigned alg);
const char *chap_name(unsigned alg);	/* "chap-sha256" */
/* Digest of id, secret, challenge; returns its length, 0 if alg fails. */
size_t chap_response(unsigned alg, uint8_t id, const char *secret,
    const uint8_t *challenge, size_t challenge_len,
    uint8_t out[CHAP_DIGEST_MAX]);
/* In constant time. */
bool chap_equal(const uint8_t *a, const uint8_t *b, size_t len);

#endif
