/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CHAP responses.  MD5 comes from libmd, so that CHAP_A=5 works where the
 * system's OpenSSL policy has switched MD5 off; the rest from OpenSSL.
 */
#include "target/iscsi/chap.h"

#include <assert.h>
#include <md5.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#include "core/util.h"
#include "target/iscsi/text.h"

struct chap_def {
	unsigned alg;
	size_t len;
	const char *name, *number;
	const EVP_MD *(*md)(void);	/* NULL = libmd */
};

static const struct chap_def algs[] = {
	{ CHAP_MD5, 16, "chap-md5", "5", NULL },
	{ CHAP_SHA1, 20, "chap-sha1", "6", EVP_sha1 },
	{ CHAP_SHA256, 32, "chap-sha256", "7", EVP_sha256 },
	{ CHAP_SHA3_256, 32, "chap-sha3-256", "8", EVP_sha3_256 },
};

static const struct chap_def *
chap_find(unsigned alg)
{
	for (size_t i = 0; i < nitems(algs); i++)
		if (algs[i].alg == alg)
			return &algs[i];
	return NULL;
}

unsigned
chap_choose(const char *offer, bool allow_md5)
{
	char item[8];

	while (text_list_next(&offer, item, sizeof(item))) {
		for (size_t i = 0; i < nitems(algs); i++) {
			if (strcmp(item, algs[i].number) != 0)
				continue;
			if (algs[i].alg != CHAP_MD5 || allow_md5)
				return algs[i].alg;
		}
	}
	return 0;
}

size_t
chap_digest_len(unsigned alg)
{
	const struct chap_def *def = chap_find(alg);

	assert(def != NULL && def->len <= CHAP_DIGEST_MAX);
	return def->len;
}

const char *
chap_name(unsigned alg)
{
	const struct chap_def *def = chap_find(alg);

	assert(def != NULL);
	return def->name;
}

static void
md5_response(uint8_t id, const char *secret, const uint8_t *challenge,
    size_t challenge_len, uint8_t *out)
{
	MD5_CTX ctx;

	MD5Init(&ctx);
	MD5Update(&ctx, &id, 1);
	MD5Update(&ctx, (const uint8_t *)secret, strlen(secret));
	MD5Update(&ctx, challenge, challenge_len);
	MD5Final(out, &ctx);
}

size_t
chap_response(unsigned alg, uint8_t id, const char *secret,
    const uint8_t *challenge, size_t challenge_len,
    uint8_t out[CHAP_DIGEST_MAX])
{
	const struct chap_def *def = chap_find(alg);
	EVP_MD_CTX *ctx;
	bool ok;

	assert(def != NULL);
	assert(challenge_len > 0 && challenge_len <= CHAP_CHALLENGE_MAX);
	if (def->md == NULL) {
		md5_response(id, secret, challenge, challenge_len, out);
		return def->len;
	}
	ctx = EVP_MD_CTX_new();
	if (ctx == NULL)
		return 0;
	ok = EVP_DigestInit_ex(ctx, def->md(), NULL) == 1 &&
	    EVP_DigestUpdate(ctx, &id, 1) == 1 &&
	    EVP_DigestUpdate(ctx, secret, strlen(secret)) == 1 &&
	    EVP_DigestUpdate(ctx, challenge, challenge_len) == 1 &&
	    EVP_DigestFinal_ex(ctx, out, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	return ok ? def->len : 0;
}

bool
chap_equal(const uint8_t *a, const uint8_t *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}
