/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Persistent reservations as bytes for the scsi_lu_store (little endian):
 *
 *	0	4	magic "DZPR"
 *	4	1	version, 1
 *	5	1	type, 0 = no reservation
 *	6	2	index of the holder, FFFFh = none
 *	8	4	generation
 *	12	2	number of registrations, then each:
 *		8	key
 *		6	ISID
 *		2 2	relative port id, portal group tag
 *		1	1 = all ports
 *		1+n	initiator name	1+n	target name
 *
 * Decoding is strict, bounded and all or nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "target/scsi/scsi_priv.h"

#define MAGIC		0x52505a44u
#define VERSION		1
#define NO_HOLDER	0xffffu
#define HEADER_LEN	14
#define REG_LEN_MAX	(8 + 6 + 4 + 1 + 2 * (1 + SCSI_NAME_MAX))

static unsigned
holder_index(const struct pr_state *pr)
{
	const struct pr_reg *reg;
	unsigned i = 0;

	TAILQ_FOREACH(reg, &pr->regs, link) {
		if (reg == pr->holder)
			return i;
		i++;
	}
	return NO_HOLDER;
}

static void
put_name(struct wire_out *out, const char *name)
{
	size_t len = strlen(name);

	assert(len > 0 && len <= SCSI_NAME_MAX);
	put_u8(out, (uint8_t)len);
	put_bytes(out, name, len);
}

void *
pr_blob_encode(const struct pr_state *pr, size_t *len)
{
	size_t size = HEADER_LEN + pr->nregs * (size_t)REG_LEN_MAX;
	uint8_t *blob = malloc(size);
	const struct pr_reg *reg;
	struct wire_out out;

	if (blob == NULL)
		return NULL;
	out = wire_out(blob, size);
	put_le32(&out, MAGIC);
	put_u8(&out, VERSION);
	put_u8(&out, (uint8_t)pr->type);
	put_le16(&out, (uint16_t)holder_index(pr));
	put_le32(&out, pr->generation);
	put_le16(&out, (uint16_t)pr->nregs);
	TAILQ_FOREACH(reg, &pr->regs, link) {
		put_le64(&out, reg->key);
		put_bytes(&out, reg->isid, sizeof(reg->isid));
		put_le16(&out, reg->relative_id);
		put_le16(&out, reg->tag);
		put_u8(&out, reg->all_ports);
		put_name(&out, reg->initiator);
		put_name(&out, reg->target);
	}
	assert(!out.bad && wire_used(&out) >= HEADER_LEN);
	assert(pr->type == PR_NONE || pr->nregs > 0);
	*len = wire_used(&out);
	return blob;
}

static bool
get_name(struct wire_in *in, char name[SCSI_NAME_MAX + 1])
{
	size_t len = get_u8(in);

	if (len == 0 || len > SCSI_NAME_MAX || wire_left(in) < len)
		return false;
	get_copy(in, name, len);
	name[len] = '\0';
	return strlen(name) == len;
}

static bool
get_reg(struct wire_in *in, struct pr_state *pr)
{
	struct pr_reg *reg = pr_add(pr), *other;

	if (reg == NULL)
		return false;
	assert(pr->nregs <= PR_REGS_MAX);
	reg->key = get_le64(in);
	get_copy(in, reg->isid, sizeof(reg->isid));
	reg->relative_id = get_le16(in);
	reg->tag = get_le16(in);
	reg->all_ports = get_u8(in) != 0;
	if (!get_name(in, reg->initiator) || !get_name(in, reg->target) ||
	    in->bad || reg->key == 0 || reg->relative_id == 0)
		return false;
	TAILQ_FOREACH(other, &pr->regs, link)
		if (other != reg && other->relative_id == reg->relative_id &&
		    memcmp(other->isid, reg->isid, sizeof(reg->isid)) == 0 &&
		    strcmp(other->initiator, reg->initiator) == 0 &&
		    strcmp(other->target, reg->target) == 0)
			return false;
	return true;
}

static bool
type_ok(unsigned type)
{
	return type <= PR_EXCL_ACCESS_AR && type != 2 && type != 4;
}

static bool
set_holder(struct pr_state *pr, unsigned type, unsigned holder)
{
	struct pr_reg *reg;

	if (!type_ok(type) || (type != PR_NONE && pr->nregs == 0))
		return false;
	pr->type = (enum pr_type)type;
	if (type == PR_NONE || pr_type_all(pr->type))
		return holder == NO_HOLDER;
	TAILQ_FOREACH(reg, &pr->regs, link)
		if (holder-- == 0)
			pr->holder = reg;
	return pr->holder != NULL;
}

static bool
decode(struct pr_state *pr, struct wire_in *in)
{
	uint32_t magic = get_le32(in);
	uint8_t version = get_u8(in), type = get_u8(in);
	uint16_t holder = get_le16(in), n;

	pr->generation = get_le32(in);
	n = get_le16(in);
	if (in->bad || magic != MAGIC || version != VERSION)
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!get_reg(in, pr))
			return false;
	return wire_left(in) == 0 && set_holder(pr, type, holder);
}

int
pr_blob_decode(struct pr_state *pr, const void *blob, size_t len)
{
	struct wire_in in = wire_in(blob, len);
	struct pr_state new;

	if (len == 0)
		return 0;
	pr_init(&new);
	if (!decode(&new, &in)) {
		new.type = PR_NONE;
		new.holder = NULL;
		pr_fini(&new);
		return -EINVAL;
	}
	assert(new.type == PR_NONE || new.nregs > 0);
	new.aptpl = true;
	pr_fini(pr);
	pr->generation = new.generation;
	pr->type = new.type;
	pr->holder = new.holder;
	pr->nregs = new.nregs;
	pr->aptpl = true;
	TAILQ_CONCAT(&pr->regs, &new.regs, link);
	return 0;
}
