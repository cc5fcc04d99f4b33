/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The page's key and certificate: made on first start, one per installation,
 * or the administrator's own.
 */
#ifndef WEBUI_CERT_H
#define WEBUI_CERT_H

#include <jansson.h>
#include <openssl/ssl.h>

#include "core/err.h"

/*
 * Load DIR/key.pem and DIR/cert.pem, after making them (EC P-256, self-signed,
 * 397 days) if they are missing or expired and self-made.  NULL with err.
 */
SSL_CTX *cert_load(const char *dir, struct err *err);
/* Check that they fit, write both, load them. */
SSL_CTX *cert_install(const char *dir, const char *cert_pem,
    const char *key_pem, struct err *err);
/* {"subject", "fingerprint", "not_after", "self_signed", "names"} */
json_t *cert_describe(const SSL_CTX *tls);
/* SHA-256 as "AB:CD:..." (96 bytes). */
void cert_fingerprint(const SSL_CTX *tls, char text[96]);

#endif
