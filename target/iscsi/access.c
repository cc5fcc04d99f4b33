/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The access configuration.  access.h states the algebra.
 *
 * Invariants: a struct access never changes after access_new; every index in
 * maps is in range; a host's own secret and its mutual secret differ.
 */
#include "target/iscsi/access.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
same_letter(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

bool
access_iqn_match(const char *pattern, const char *name)
{
	const char *star = NULL, *again = NULL;

	while (*name != '\0') {
		if (*pattern == '*') {
			star = ++pattern;
			again = name;
		} else if (*pattern != '\0' && same_letter(*pattern, *name)) {
			pattern++;
			name++;
		} else if (star != NULL) {
			pattern = star;
			name = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

static bool
addr_parse(const char *text, uint8_t addr[16], bool *v4)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };

	*v4 = inet_pton(AF_INET, text, addr + 12) == 1;
	if (*v4) {
		memcpy(addr, mapped, sizeof(mapped));
		return true;
	}
	return inet_pton(AF_INET6, text, addr) == 1;
}

bool
access_net_parse(const char *text, struct access_net *net)
{
	char addr[64];
	const char *slash = strchr(text, '/');
	size_t len = slash != NULL ? (size_t)(slash - text) : strlen(text);
	unsigned long bits;
	char *end;
	bool v4;

	if (len >= sizeof(addr))
		return false;
	memcpy(addr, text, len);
	addr[len] = '\0';
	if (!addr_parse(addr, net->addr, &v4))
		return false;
	bits = v4 ? 32 : 128;
	if (slash != NULL) {
		if (!isdigit((unsigned char)slash[1]))
			return false;
		bits = strtoul(slash + 1, &end, 10);
		if (*end != '\0' || bits > (v4 ? 32 : 128))
			return false;
	}
	net->bits = (unsigned)bits + (v4 ? 96 : 0);
	assert(net->bits <= 128);
	return true;
}

static bool
net_match(const struct access_net *net, const uint8_t addr[16])
{
	unsigned whole = net->bits / 8, rest = net->bits % 8;

	assert(net->bits <= 128);
	if (memcmp(net->addr, addr, whole) != 0)
		return false;
	return rest == 0 ||
	    ((net->addr[whole] ^ addr[whole]) >> (8 - rest)) == 0;
}

bool
access_host_match(const struct access_host *host, const struct access_who *who)
{
	bool ok = host->niqns == 0, v4;
	uint8_t addr[16];

	for (unsigned i = 0; !ok && i < host->niqns; i++)
		ok = access_iqn_match(host->iqns[i], who->initiator);
	if (!ok || host->nnets == 0)
		return ok;
	if (!addr_parse(who->peer->text, addr, &v4))
		return false;
	for (unsigned i = 0; i < host->nnets; i++)
		if (net_match(&host->nets[i], addr))
			return true;
	return false;
}

bool
access_host_maps(const struct access *access, unsigned host, unsigned target)
{
	for (unsigned i = 0; i < access->nmaps; i++)
		if (access->maps[i].host == host &&
		    access->maps[i].target == target)
			return true;
	return false;
}

int
access_target(const struct access *access, const char *name)
{
	for (unsigned i = 0; i < access->ntargets; i++)
		if (strcasecmp(access->targets[i].name, name) == 0)
			return (int)i;
	return -1;
}

/* Is host `h` in question for target (or, with -1, for any target)? */
static bool
is_candidate(const struct access *access, const struct access_who *who,
    unsigned h, int target)
{
	assert(h < access->nhosts);
	assert(target < (int)access->ntargets);
	if (!access_host_match(&access->hosts[h], who))
		return false;
	if (target >= 0)
		return access_host_maps(access, h, (unsigned)target);
	for (unsigned i = 0; i < access->nmaps; i++)
		if (access->maps[i].host == h)
			return true;
	return false;
}

static bool
has_chap(const struct access_host *host)
{
	return host->chap.user[0] != '\0';
}

/* Is any of the host's volumes on the target (-1: on any) there? */
static bool
has_volumes(const struct access *access, unsigned host, int target)
{
	for (unsigned i = 0; i < access->nmaps; i++) {
		const struct target_map_conf *map = &access->maps[i];

		if (map->host == host && map->lu != NULL &&
		    (target < 0 || map->target == (unsigned)target))
			return true;
	}
	return false;
}

struct access_need
access_need(const struct access *access, const struct access_who *who,
    int target)
{
	struct access_need need = { false, false, false, false };

	for (unsigned h = 0; h < access->nhosts; h++) {
		if (!is_candidate(access, who, h, target))
			continue;
		need.any = true;
		need.volumes = need.volumes || has_volumes(access, h, target);
		if (has_chap(&access->hosts[h]))
			need.chap = true;
		else
			need.open = true;
	}
	assert(need.any == (need.open || need.chap));
	return need;
}

const struct access_host *
access_chap_host(const struct access *access, const struct access_who *who,
    int target, const char *user)
{
	for (unsigned h = 0; h < access->nhosts; h++) {
		const struct access_host *host = &access->hosts[h];

		if (has_chap(host) && strcmp(host->chap.user, user) == 0 &&
		    is_candidate(access, who, h, target))
			return host;
	}
	return NULL;
}

static bool
is_granted(const struct access_host *host, const struct access_who *who)
{
	if (!access_host_match(host, who))
		return false;
	return !has_chap(host) || (who->chap_user != NULL &&
	    strcmp(who->chap_user, host->chap.user) == 0);
}

static void
map_add(struct scsi_map_entry *map, unsigned *n,
    const struct target_map_conf *conf)
{
	for (unsigned i = 0; i < *n; i++)
		if (map[i].lun == conf->lun)
			return;
	if (*n == SCSI_LUNS_MAX || conf->lu == NULL)
		return;
	map[*n].lun = conf->lun;
	map[*n].read_only = conf->read_only;
	map[*n].lu = conf->lu;
	(*n)++;
}

unsigned
access_map(const struct access *access, const struct access_who *who,
    unsigned target, struct scsi_map_entry *map,
    const struct access_host **host)
{
	unsigned n = 0;

	assert(target < access->ntargets);
	*host = NULL;
	for (unsigned i = 0; i < access->nmaps; i++) {
		const struct target_map_conf *conf = &access->maps[i];

		if (conf->target != target ||
		    !is_granted(&access->hosts[conf->host], who))
			continue;
		map_add(map, &n, conf);
		if (*host == NULL)
			*host = &access->hosts[conf->host];
	}
	/* A session may outlive its last map: the host still exists. */
	for (unsigned h = 0; *host == NULL && h < access->nhosts; h++)
		if (is_granted(&access->hosts[h], who))
			*host = &access->hosts[h];
	return n;
}

/* --- construction --- */

static int
host_check(const struct target_host_conf *conf, struct err *err)
{
	if (conf->mutual.user[0] != '\0' && conf->chap.user[0] == '\0')
		return err_set(err, EINVAL, "host %s: mutual CHAP without "
		    "one-way CHAP", conf->name);
	if (conf->chap.user[0] != '\0' && conf->mutual.user[0] != '\0' &&
	    strcmp(conf->chap.secret, conf->mutual.secret) == 0) {
		err_set(err, EINVAL, "host %s: the mutual secret equals the "
		    "host's own (RFC 7143 9.2.1 forbids it)", conf->name);
		err_hint(err, "choose a second secret");
		return -EINVAL;
	}
	return 0;
}

static int
host_copy(struct access_host *host, const struct target_host_conf *conf,
    struct err *err)
{
	int res = host_check(conf, err);

	if (res != 0)
		return res;
	memcpy(host->name, conf->name, sizeof(host->name));
	host->name[sizeof(host->name) - 1] = '\0';
	host->chap = conf->chap;
	host->mutual = conf->mutual;
	host->iqns = calloc(conf->niqns + 1u, sizeof(*host->iqns));
	host->nets = calloc(conf->nnetworks + 1u, sizeof(*host->nets));
	if (host->iqns == NULL || host->nets == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < conf->niqns; i++) {
		if (strlen(conf->iqns[i]) > SCSI_NAME_MAX)
			return err_set(err, EINVAL, "host %s: initiator name "
			    "longer than %d bytes", conf->name, SCSI_NAME_MAX);
		strcpy(host->iqns[host->niqns++], conf->iqns[i]);
	}
	for (unsigned i = 0; i < conf->nnetworks; i++)
		if (!access_net_parse(conf->networks[i],
		    &host->nets[host->nnets++]))
			return err_set(err, EINVAL, "host %s: %s is not a "
			    "network", conf->name, conf->networks[i]);
	return 0;
}

static int
maps_copy(struct access *access, const struct target_conf *conf,
    struct err *err)
{
	for (unsigned i = 0; i < conf->nmaps; i++) {
		const struct target_map_conf *map = &conf->maps[i];

		assert(map->host < conf->nhosts);
		assert(map->target < conf->ntargets);
		if (map->lun > 0x3fff)
			return err_set(err, EINVAL, "LUN %u is above 16383",
			    map->lun);
		access->maps[access->nmaps++] = *map;
	}
	return 0;
}

static int
access_fill(struct access *access, const struct target_conf *conf,
    struct err *err)
{
	int res = 0;

	access->targets = calloc(conf->ntargets + 1u,
	    sizeof(*access->targets));
	access->hosts = calloc(conf->nhosts + 1u, sizeof(*access->hosts));
	access->maps = calloc(conf->nmaps + 1u, sizeof(*access->maps));
	if (access->targets == NULL || access->hosts == NULL ||
	    access->maps == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned i = 0; i < conf->ntargets; i++) {
		if (access_target(access, conf->targets[i].name) >= 0)
			return err_set(err, EINVAL, "target %s is there twice",
			    conf->targets[i].name);
		access->targets[access->ntargets++] = conf->targets[i];
	}
	for (unsigned i = 0; res == 0 && i < conf->nhosts; i++)
		res = host_copy(&access->hosts[access->nhosts++],
		    &conf->hosts[i], err);
	if (res == 0)
		res = maps_copy(access, conf, err);
	access->allow_md5 = conf->allow_md5;
	return res;
}

int
access_new(const struct target_conf *conf, struct access **out,
    struct err *err)
{
	struct access *access = calloc(1, sizeof(*access));
	int res;

	*out = NULL;
	if (access == NULL)
		return err_set(err, ENOMEM, "out of memory");
	res = access_fill(access, conf, err);
	if (res != 0)
		access_free(access);
	else
		*out = access;
	return res;
}

void
access_free(struct access *access)
{
	if (access == NULL)
		return;
	for (unsigned i = 0; i < access->nhosts; i++) {
		explicit_bzero(&access->hosts[i].chap,
		    sizeof(access->hosts[i].chap));
		explicit_bzero(&access->hosts[i].mutual,
		    sizeof(access->hosts[i].mutual));
		free(access->hosts[i].iqns);
		free(access->hosts[i].nets);
	}
	free(access->targets);
	free(access->hosts);
	free(access->maps);
	free(access);
}
