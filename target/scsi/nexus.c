/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Target ports, I_T nexuses, their LUN maps and unit attentions.
 *
 * Invariants: a nexus' luns are in ascending order of LUN, without holes or
 * duplicates; each view is on its LU's list until it leaves the map; a unit
 * attention is one bit, so a condition that repeats is reported once, and the
 * lowest bit goes first (SAM-5 5.14.1 wants resets before the rest).
 */
#define LOG_AREA LOG_SCSI
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "target/scsi/scsi_priv.h"

static const struct sense ua_table[UA_COUNT] = {
	[UA_POWER_ON] = { .key = 6, .asc = 0x29, .ascq = 0x00 },
	[UA_LU_RESET] = { .key = 6, .asc = 0x29, .ascq = 0x03 },
	[UA_NEXUS_LOSS] = { .key = 6, .asc = 0x29, .ascq = 0x07 },
	[UA_RESERVATIONS_PREEMPTED] = { .key = 6, .asc = 0x2a, .ascq = 0x03 },
	[UA_RESERVATIONS_RELEASED] = { .key = 6, .asc = 0x2a, .ascq = 0x04 },
	[UA_REGISTRATIONS_PREEMPTED] = { .key = 6, .asc = 0x2a, .ascq = 0x05 },
	[UA_MODE_CHANGED] = { .key = 6, .asc = 0x2a, .ascq = 0x01 },
	[UA_CAPACITY_CHANGED] = { .key = 6, .asc = 0x2a, .ascq = 0x09 },
	[UA_INQUIRY_CHANGED] = { .key = 6, .asc = 0x3f, .ascq = 0x03 },
	[UA_LUNS_CHANGED] = { .key = 6, .asc = 0x3f, .ascq = 0x0e },
	[UA_MEDIUM_CHANGED] = { .key = 6, .asc = 0x28, .ascq = 0x00 },
};

void
ua_raise(struct nexus_lun *nl, enum ua ua)
{
	assert(ua < UA_COUNT);
	nl->ua |= 1u << ua;
}

void
ua_raise_others(struct scsi_lu *lu, const struct nexus_lun *except, enum ua ua)
{
	struct nexus_lun *nl;

	LIST_FOREACH(nl, &lu->views, link)
		if (nl != except)
			ua_raise(nl, ua);
}

struct sense
ua_take(struct nexus_lun *nl)
{
	unsigned bit;

	if (nl->ua == 0)
		return SENSE_NONE;
	bit = (unsigned)__builtin_ctz(nl->ua);
	assert(bit < UA_COUNT);
	nl->ua &= nl->ua - 1;
	return ua_table[bit];
}

/* --- LUN addresses --- */

int
scsi_lun_decode(const uint8_t lun[8])
{
	unsigned method = lun[0] >> 6;
	int n = (lun[0] & 0x3f) << 8 | lun[1];

	for (unsigned i = 2; i < 8; i++)
		if (lun[i] != 0)
			return -1;
	if (method == 0)	/* peripheral device: bus must be 0 */
		return lun[0] == 0 ? n : -1;
	return method == 1 ? n : -1;	/* flat space */
}

void
scsi_lun_encode(uint16_t lun, uint8_t out[8])
{
	assert(lun < 0x4000);
	memset(out, 0, 8);
	out[0] = (uint8_t)(lun >> 8 | (lun > 0xff ? 0x40 : 0));
	out[1] = (uint8_t)lun;
}

/* --- ports --- */

struct scsi_port *
scsi_port_new(const char *target_name, uint16_t tag, uint16_t relative_id)
{
	struct scsi_port *port = calloc(1, sizeof(*port));

	assert(relative_id != 0);
	if (port == NULL)
		return NULL;
	snprintf(port->target, sizeof(port->target), "%s", target_name);
	port->tag = tag;
	port->relative_id = relative_id;
	return port;
}

void
scsi_port_free(struct scsi_port *port)
{
	if (port == NULL)
		return;
	assert(port->users == 0);
	free(port);
}

/* --- nexuses --- */

struct scsi_nexus *
scsi_nexus_new(struct loop *loop, struct scsi_port *port,
    const char *initiator_name, const uint8_t isid[6], struct buf_pool *bufs)
{
	struct scsi_nexus *nexus = calloc(1, sizeof(*nexus));

	if (nexus == NULL)
		return NULL;
	nexus->loop = loop;
	nexus->port = port;
	nexus->bufs = bufs;
	snprintf(nexus->initiator, sizeof(nexus->initiator), "%s",
	    initiator_name);
	memcpy(nexus->isid, isid, sizeof(nexus->isid));
	port->users++;
	return nexus;
}

struct nexus_lun *
nexus_find(const struct scsi_nexus *nexus, int lun)
{
	unsigned lo = 0, hi = nexus->nluns;

	assert(nexus->nluns <= SCSI_LUNS_MAX);
	while (lo < hi) {
		unsigned mid = (lo + hi) / 2;
		struct nexus_lun *nl = nexus->luns[mid];

		if (nl->lun == lun)
			return nl;
		if (nl->lun < lun)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static struct nexus_lun *
view_new(struct scsi_nexus *nexus, const struct scsi_map_entry *entry)
{
	struct nexus_lun *nl = calloc(1, sizeof(*nl));

	assert(entry->lun < 0x4000 && entry->lu != NULL);
	if (nl == NULL)
		return NULL;
	nl->nexus = nexus;
	nl->lu = entry->lu;
	nl->lun = entry->lun;
	nl->read_only = entry->read_only;
	LIST_INSERT_HEAD(&nl->lu->views, nl, link);
	pr_link(nl);
	ua_raise(nl, UA_POWER_ON);
	return nl;
}

void
nexus_lun_free(struct nexus_lun *nl)
{
	assert(nl->gone && nl->commands == 0);
	free(nl);
}

/*
 * Commands that wait for data of the initiator: that may never come, and who
 * takes the LUN away waits for their end.
 */
static void
abort_collecting(struct nexus_lun *nl)
{
	struct scsi_cmd *cmd;

	TAILQ_FOREACH(cmd, &nl->lu->tasks, link) {
		if (cmd->nl != nl || !cmd->collecting || cmd->aborted)
			continue;
		cmd->abort_notify = true;
		scsi_cmd_abort(cmd);
	}
}

/* Out of the map: an SPC-2 reservation goes with it (SPC-2 5.5.2). */
static void
view_drop(struct nexus_lun *nl)
{
	assert(!nl->gone && nl->lu != NULL);
	LIST_REMOVE(nl, link);
	if (nl->commands > 0)
		abort_collecting(nl);
	if (nl->lu->spc2_holder == nl)
		lu_spc2_release(nl->lu);
	nl->gone = true;
	nl->prevent = false;
	nl->reg = NULL;
	if (nl->commands == 0)
		nexus_lun_free(nl);
}

void
scsi_nexus_free(struct scsi_nexus *nexus)
{
	if (nexus == NULL)
		return;
	assert(nexus->commands == 0);
	for (unsigned i = 0; i < nexus->nluns; i++)
		view_drop(nexus->luns[i]);
	assert(nexus->port->users > 0);
	nexus->port->users--;
	free(nexus);
}

static int
by_lun(const void *a, const void *b)
{
	const struct nexus_lun *const *x = a, *const *y = b;

	return (*x)->lun - (*y)->lun;
}

/* The view of entry->lun to go on with: the old one if nothing changed. */
static struct nexus_lun *
view_keep_or_new(struct scsi_nexus *nexus, const struct scsi_map_entry *entry,
    bool *changed)
{
	struct nexus_lun *nl = nexus_find(nexus, entry->lun);

	if (nl == NULL || nl->lu != entry->lu) {
		*changed = true;
		return view_new(nexus, entry);
	}
	if (nl->read_only != entry->read_only) {
		nl->read_only = entry->read_only;
		ua_raise(nl, UA_MODE_CHANGED);
	}
	return nl;
}

void
scsi_nexus_set_map(struct scsi_nexus *nexus, const struct scsi_map_entry *map,
    unsigned n)
{
	struct nexus_lun *luns[SCSI_LUNS_MAX];
	unsigned nluns = 0, had = nexus->nluns;
	bool changed = false;

	assert(n <= SCSI_LUNS_MAX);
	for (unsigned i = 0; i < n; i++) {
		luns[nluns] = view_keep_or_new(nexus, &map[i], &changed);
		if (luns[nluns] != NULL)
			nluns++;
		else
			log_err("nexus=%s lun=%u: out of memory, not mapped",
			    nexus->initiator, map[i].lun);
	}
	qsort(luns, nluns, sizeof(luns[0]), by_lun);
	for (unsigned i = 0, j = 0; i < nexus->nluns; i++) {
		struct nexus_lun *old = nexus->luns[i];

		while (j < nluns && luns[j]->lun < old->lun)
			j++;
		if (j < nluns && luns[j] == old)
			continue;
		changed = true;
		view_drop(old);
	}
	for (unsigned i = 0; i + 1 < nluns; i++)
		assert(luns[i]->lun < luns[i + 1]->lun);
	memcpy(nexus->luns, luns, nluns * sizeof(luns[0]));
	nexus->nluns = nluns;
	for (unsigned i = 0; changed && had > 0 && i < nluns; i++)
		ua_raise(nexus->luns[i], UA_LUNS_CHANGED);
}
