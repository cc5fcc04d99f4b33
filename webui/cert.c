/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Key and certificate.
 *
 * Invariants: the key file has mode 0600 and is written before the
 * certificate; no key is ever in the source or shared between installations.
 */
#include "config.h"

#define LOG_AREA LOG_WEBUI
#include "webui/cert.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"

#define VALID_DAYS 397
#define NAMES_MAX 1024

static int
write_file(const char *dir, const char *name, const void *text, size_t len,
    struct err *err)
{
	char path[300], next[310];
	int fd;
	bool ok;

	assert(len > 0);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	snprintf(next, sizeof(next), "%s.new", path);
	fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", next, strerror(errno));
	ok = write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;
	close(fd);
	if (!ok || rename(next, path) != 0)
		return err_set(err, EIO, "%s: %s", path, strerror(errno));
	return 0;
}

/* --- making one --- */

static void
add_name(char *names, const char *kind, const char *name)
{
	size_t len = strlen(names);

	assert(len < NAMES_MAX);
	if (len + strlen(kind) + strlen(name) + 3 < NAMES_MAX)
		snprintf(names + len, NAMES_MAX - len, "%s%s:%s",
		    len > 0 ? "," : "", kind, name);
}

/* Host name, .local and all addresses as they are now. */
static void
collect_names(char *host, size_t size, char *names)
{
	struct ifaddrs *list = NULL;
	char text[INET6_ADDRSTRLEN], local[80];

	names[0] = '\0';
	if (gethostname(host, size) != 0 || host[0] == '\0' ||
	    strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "0123456789.-") != strlen(host))
		snprintf(host, size, "dozo");
	host[size - 1] = '\0';
	add_name(names, "DNS", host);
	snprintf(local, sizeof(local), "%.*s.local",
	    (int)strcspn(host, "."), host);
	add_name(names, "DNS", local);
	add_name(names, "DNS", "localhost");
	if (getifaddrs(&list) != 0)
		return;
	for (struct ifaddrs *i = list; i != NULL; i = i->ifa_next) {
		struct sockaddr_in in;
		struct sockaddr_in6 in6;

		if (i->ifa_addr == NULL)
			continue;
		if (i->ifa_addr->sa_family == AF_INET) {
			memcpy(&in, i->ifa_addr, sizeof(in));
			inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
			add_name(names, "IP", text);
		} else if (i->ifa_addr->sa_family == AF_INET6) {
			memcpy(&in6, i->ifa_addr, sizeof(in6));
			inet_ntop(AF_INET6, &in6.sin6_addr, text,
			    sizeof(text));
			add_name(names, "IP", text);
		}
	}
	freeifaddrs(list);
}

static bool
add_extension(X509 *cert, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext != NULL && X509_add_ext(cert, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

static X509 *
make_cert(EVP_PKEY *key)
{
	char host[65], names[NAMES_MAX];
	unsigned char serial[16];
	X509 *cert = X509_new();
	X509_NAME *name;
	BIGNUM *bn;
	bool ok;

	assert(key != NULL);
	if (cert == NULL || RAND_bytes(serial, sizeof(serial)) != 1) {
		X509_free(cert);
		return NULL;
	}
	serial[0] &= 0x7f;
	collect_names(host, sizeof(host), names);
	bn = BN_bin2bn(serial, sizeof(serial), NULL);
	name = X509_get_subject_name(cert);
	ok = bn != NULL && X509_set_version(cert, 2) == 1 &&
	    BN_to_ASN1_INTEGER(bn, X509_get_serialNumber(cert)) != NULL &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -3600) != NULL &&
	    X509_time_adj_ex(X509_getm_notAfter(cert), VALID_DAYS, 0, NULL) !=
	    NULL && X509_set_pubkey(cert, key) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_ASC,
	    (const unsigned char *)"Dozo", -1, -1, 0) == 1 &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)host, -1, -1, 0) == 1 &&
	    X509_set_issuer_name(cert, name) == 1 &&
	    add_extension(cert, NID_basic_constraints, "critical,CA:FALSE") &&
	    add_extension(cert, NID_ext_key_usage, "serverAuth") &&
	    add_extension(cert, NID_subject_alt_name, names) &&
	    X509_sign(cert, key, EVP_sha256()) > 0;
	BN_free(bn);
	if (!ok) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static int
write_pem(const char *dir, const char *name, EVP_PKEY *key, X509 *cert,
    struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len = 0;
	int r = -1;

	assert((key == NULL) != (cert == NULL));
	if (bio != NULL && (key != NULL ?
	    PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL,
	    NULL) : PEM_write_bio_X509(bio, cert)) == 1)
		len = BIO_get_mem_data(bio, &text);
	if (len > 0)
		r = write_file(dir, name, text, (size_t)len, err);
	else
		err_set(err, ENOMEM, "out of memory");
	BIO_free(bio);
	return r;
}

static int
make_pair(const char *dir, struct err *err)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = key != NULL ? make_cert(key) : NULL;
	int r;

	if (cert == NULL)
		r = err_set(err, EIO, "a key and certificate could not be "
		    "made");
	else if ((r = write_pem(dir, "key.pem", key, NULL, err)) == 0)
		r = write_pem(dir, "cert.pem", NULL, cert, err);
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}

/* --- loading --- */

static SSL_CTX *
new_tls(struct err *err)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());

	if (tls == NULL || SSL_CTX_set_min_proto_version(tls,
	    TLS1_2_VERSION) != 1) {
		SSL_CTX_free(tls);
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	SSL_CTX_set_options(tls, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	return tls;
}

static bool
self_made(const X509 *cert)
{
	char org[16] = "";

	assert(cert != NULL);
	X509_NAME_get_text_by_NID(X509_get_subject_name(cert),
	    NID_organizationName, org, sizeof(org));
	return strcmp(org, "Dozo") == 0 && X509_NAME_cmp(
	    X509_get_subject_name(cert), X509_get_issuer_name(cert)) == 0;
}

static SSL_CTX *
load_pair(const char *dir, struct err *err)
{
	char key[300], cert[300];
	SSL_CTX *tls = new_tls(err);

	if (tls == NULL)
		return NULL;
	snprintf(key, sizeof(key), "%s/key.pem", dir);
	snprintf(cert, sizeof(cert), "%s/cert.pem", dir);
	if (SSL_CTX_use_certificate_chain_file(tls, cert) == 1 &&
	    SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) == 1 &&
	    SSL_CTX_check_private_key(tls) == 1)
		return tls;
	err_set(err, EINVAL, "cert.pem and key.pem are not a certificate and "
	    "its key");
	err_hint(err, "Remove both from the directory webui of the state "
	    "directory: a new pair is made at the next start.");
	ERR_clear_error();
	SSL_CTX_free(tls);
	return NULL;
}

SSL_CTX *
cert_load(const char *dir, struct err *err)
{
	char path[300];
	SSL_CTX *tls;
	const X509 *cert;

	snprintf(path, sizeof(path), "%s/cert.pem", dir);
	if (access(path, F_OK) != 0 && make_pair(dir, err) != 0)
		return NULL;
	tls = load_pair(dir, err);
	if (tls == NULL)
		return NULL;
	cert = SSL_CTX_get0_certificate(tls);
	if (!self_made(cert) || X509_cmp_current_time(
	    X509_get0_notAfter(cert)) > 0)
		return tls;
	log_warn("the certificate has expired, a new one is made");
	SSL_CTX_free(tls);
	return make_pair(dir, err) == 0 ? load_pair(dir, err) : NULL;
}

/* Does the text hold a certificate and the key to it? */
static bool
pair_fits(const char *cert_pem, const char *key_pem)
{
	BIO *cert_bio = BIO_new_mem_buf(cert_pem, -1);
	BIO *key_bio = BIO_new_mem_buf(key_pem, -1);
	X509 *cert = NULL;
	EVP_PKEY *key = NULL;
	/* Never ask a terminal for a pass phrase. */
	char none[] = "";
	bool ok;

	assert(cert_pem != NULL && key_pem != NULL);
	if (cert_bio != NULL)
		cert = PEM_read_bio_X509(cert_bio, NULL, NULL, none);
	if (key_bio != NULL)
		key = PEM_read_bio_PrivateKey(key_bio, NULL, NULL, none);
	ok = cert != NULL && key != NULL &&
	    X509_check_private_key(cert, key) == 1 &&
	    X509_cmp_current_time(X509_get0_notAfter(cert)) > 0;
	ERR_clear_error();
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(cert_bio);
	BIO_free(key_bio);
	return ok;
}

SSL_CTX *
cert_install(const char *dir, const char *cert_pem, const char *key_pem,
    struct err *err)
{
	assert(dir[0] != '\0');
	if (!pair_fits(cert_pem, key_pem)) {
		err_set(err, EINVAL, "this is not a valid certificate with "
		    "the private key that belongs to it");
		err_hint(err, "Give both in PEM form, the key without a pass "
		    "phrase, the certificate first and its chain after it.");
		return NULL;
	}
	if (write_file(dir, "key.pem", key_pem, strlen(key_pem), err) != 0 ||
	    write_file(dir, "cert.pem", cert_pem, strlen(cert_pem), err) != 0)
		return NULL;
	return load_pair(dir, err);
}

/* --- telling --- */

void
cert_fingerprint(const SSL_CTX *tls, char text[96])
{
	unsigned char sum[32];
	unsigned len = 0;

	assert(tls != NULL);
	if (X509_digest(SSL_CTX_get0_certificate(tls), EVP_sha256(), sum,
	    &len) != 1 || len != sizeof(sum))
		memset(sum, 0, sizeof(sum));
	for (unsigned i = 0; i < sizeof(sum); i++)
		snprintf(text + i * 3, 4, "%02X%s", sum[i], i < 31 ? ":" : "");
}

json_t *
cert_describe(const SSL_CTX *tls)
{
	X509 *cert = SSL_CTX_get0_certificate(tls);
	char print[96], subject[200] = "", until[32] = "";
	struct tm tm;

	assert(cert != NULL);
	cert_fingerprint(tls, print);
	X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName,
	    subject, sizeof(subject));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
		strftime(until, sizeof(until), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_pack("{s:s, s:s, s:s, s:b}", "subject", subject,
	    "fingerprint", print, "not_after", until, "self_signed",
	    (int)self_made(cert));
}
