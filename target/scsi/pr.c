/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state of persistent reservations (SPC-4 5.13): who is registered, who
 * holds what, and what that lets through.  No I/O; the commands are in
 * pr_in.c and pr_out.c, the bytes on disk in pr_blob.c.
 *
 * A registration belongs to an I_T nexus by name (initiator, ISID, target
 * port), so it survives the session.  One made with ALL_TG_PT stands for
 * every port of its target.
 *
 * Invariants: keys are not 0; holder is a member of regs, and is NULL exactly
 * when nothing is reserved or the type is one of the all registrants types;
 * an all registrants reservation has at least one registration.
 */
#include <stdlib.h>
#include <string.h>

#include "target/scsi/scsi_priv.h"

static void
pr_check(const struct pr_state *pr)
{
	assert(pr->nregs <= PR_REGS_MAX);
	assert((pr->nregs == 0) == TAILQ_EMPTY(&pr->regs));
	assert((pr->holder == NULL) ==
	    (pr->type == PR_NONE || pr_type_all(pr->type)));
	assert(pr->type == PR_NONE || pr->nregs > 0);
}

void
pr_init(struct pr_state *pr)
{
	memset(pr, 0, sizeof(*pr));
	TAILQ_INIT(&pr->regs);
}

void
pr_fini(struct pr_state *pr)
{
	struct pr_reg *reg;

	while ((reg = TAILQ_FIRST(&pr->regs)) != NULL) {
		TAILQ_REMOVE(&pr->regs, reg, link);
		free(reg);
	}
	pr_init(pr);
}

/* SPC-4 table 66: commands allowed in the presence of reservations. */
bool
pr_allows(const struct pr_state *pr, const struct pr_reg *reg,
    enum reserve_class class)
{
	bool registered = reg != NULL;

	assert(reg == NULL || reg->key != 0);
	assert(class == RESV_READ || class == RESV_WRITE);
	if (pr_is_holder(pr, reg))
		return true;
	switch (pr->type) {
	case PR_NONE:
		return true;
	case PR_WRITE_EXCL:
		return class == RESV_READ;
	case PR_EXCL_ACCESS:
		return false;
	case PR_WRITE_EXCL_RO:
	case PR_WRITE_EXCL_AR:
		return registered || class == RESV_READ;
	case PR_EXCL_ACCESS_RO:
	case PR_EXCL_ACCESS_AR:
		return registered;
	}
	bug("pr_allows: bad type %d", (int)pr->type);
}

struct pr_reg *
pr_find(const struct pr_state *pr, const char *initiator,
    const uint8_t isid[6], const struct scsi_port *port)
{
	struct pr_reg *reg;

	TAILQ_FOREACH(reg, &pr->regs, link)
		if (memcmp(reg->isid, isid, sizeof(reg->isid)) == 0 &&
		    strcmp(reg->target, port->target) == 0 &&
		    (reg->all_ports ||
		    reg->relative_id == port->relative_id) &&
		    strcmp(reg->initiator, initiator) == 0)
			return reg;
	return NULL;
}

struct pr_reg *
pr_add(struct pr_state *pr)
{
	struct pr_reg *reg;

	if (pr->nregs >= PR_REGS_MAX)
		return NULL;
	reg = calloc(1, sizeof(*reg));
	if (reg == NULL)
		return NULL;
	TAILQ_INSERT_TAIL(&pr->regs, reg, link);
	pr->nregs++;
	assert(pr->nregs <= PR_REGS_MAX);
	return reg;
}

/*
 * Without its holder, or without its last registrant, a reservation ends
 * (SPC-4 5.13.11.2.2).
 */
void
pr_remove(struct pr_state *pr, struct pr_reg *reg)
{
	assert(pr->nregs > 0);
	TAILQ_REMOVE(&pr->regs, reg, link);
	pr->nregs--;
	if (pr->holder == reg || pr->nregs == 0) {
		pr->holder = NULL;
		pr->type = PR_NONE;
	}
	free(reg);
	pr_check(pr);
}

void
pr_link(struct nexus_lun *nl)
{
	assert(!nl->gone);
	nl->reg = pr_find(&nl->lu->pr, nl->nexus->initiator, nl->nexus->isid,
	    nl->nexus->port);
}

void
pr_relink(struct scsi_lu *lu)
{
	struct nexus_lun *nl;

	pr_check(&lu->pr);
	LIST_FOREACH(nl, &lu->views, link)
		pr_link(nl);
}
