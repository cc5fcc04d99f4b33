/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * PERSISTENT RESERVE OUT (SPC-4 6.16, 5.13).
 *
 * Changes of one LU are done one after the other.  Each is decided and made
 * in memory in one step; with APTPL it is saved before GOOD.  If saving fails
 * the command fails and the change stays until the next restart.
 */
#define LOG_AREA LOG_SCSI
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "target/scsi/scsi_priv.h"

enum pr_action {
	PR_REGISTER, PR_RESERVE, PR_RELEASE, PR_CLEAR, PR_PREEMPT,
	PR_PREEMPT_ABORT, PR_REGISTER_IGNORE, PR_MOVE
};

#define LIST_LEN	24u
#define SPEC_I_PT	0x08u
#define ALL_TG_PT	0x04u
#define APTPL		0x01u
#define MOVE_UNREG	0x02u
#define MOVE_APTPL	0x01u

/* The parameter list, decoded. */
struct pr_request {
	uint64_t key, new_key;
	bool spec_i_pt, all_tg_pt, aptpl;
	bool unreg;			/* REGISTER AND MOVE */
	uint16_t relative_id;
	const uint8_t *ids;		/* TransportIDs */
	size_t ids_len;
};

/* --- effects on other nexuses --- */

static void
tell(struct scsi_cmd *cmd, const struct pr_reg *reg, enum ua ua)
{
	struct nexus_lun *nl;

	assert(reg != NULL && cmd->lu->pr_busy);
	LIST_FOREACH(nl, &cmd->lu->views, link)
		if (nl->reg == reg && nl != cmd->nl)
			ua_raise(nl, ua);
}

static void
tell_all(struct scsi_cmd *cmd, enum ua ua)
{
	const struct pr_reg *reg;

	TAILQ_FOREACH(reg, &cmd->lu->pr.regs, link)
		tell(cmd, reg, ua);
}

static void
drop(struct scsi_cmd *cmd, struct pr_reg *reg)
{
	struct nexus_lun *nl;

	assert(reg != NULL && cmd->lu->pr_busy);
	LIST_FOREACH(nl, &cmd->lu->views, link)
		if (nl->reg == reg)
			nl->reg = NULL;
	pr_remove(&cmd->lu->pr, reg);
}

/* Commands of a preempted nexus end with TASK ABORTED. */
static void
abort_of(struct scsi_cmd *cmd, const struct pr_reg *reg)
{
	struct scsi_cmd *other;

	assert(cmd->opcode->sa == PR_PREEMPT_ABORT && reg != NULL);
	TAILQ_FOREACH(other, &cmd->lu->tasks, link) {
		if (other == cmd || other->aborted || other->nl->reg != reg)
			continue;
		other->abort_notify = true;
		scsi_cmd_abort(other);
	}
}

static bool
type_shared(enum pr_type type)
{
	return type >= PR_WRITE_EXCL_RO;
}

static void
conflict(struct scsi_cmd *cmd)
{
	assert(cmd->status == SCSI_GOOD);
	cmd->status = SCSI_RESERVATION_CONFLICT;
}

/* --- registering --- */

static struct pr_reg *
add(struct scsi_cmd *cmd, const char *initiator, const uint8_t isid[6],
    const struct scsi_port *port, const struct pr_request *req)
{
	struct pr_reg *reg = pr_add(&cmd->lu->pr);

	if (reg == NULL) {
		cmd_fail(cmd, SENSE(0x05, 0x55, 0x04));
		return NULL;
	}
	assert(req->new_key != 0 && strlen(initiator) <= SCSI_NAME_MAX);
	reg->key = req->new_key;
	memcpy(reg->initiator, initiator, strlen(initiator) + 1);
	memcpy(reg->isid, isid, sizeof(reg->isid));
	memcpy(reg->target, port->target, strlen(port->target) + 1);
	reg->relative_id = port->relative_id;
	reg->tag = port->tag;
	reg->all_ports = req->all_tg_pt;
	return reg;
}

/*
 * SPEC_I_PT: each TransportID names one initiator port that is not
 * registered.  Returns their number, -1 if one is wrong.
 */
static int
check_ids(struct scsi_cmd *cmd, const struct pr_request *req)
{
	const struct scsi_port *port = cmd->nexus->port;
	char name[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	bool any_isid;
	size_t off = 0, len;
	int n = 0;

	for (; off < req->ids_len; off += len, n++) {
		len = transport_id_decode(req->ids + off, req->ids_len - off,
		    name, isid, &any_isid);
		if (len == 0 || any_isid ||
		    pr_find(&cmd->lu->pr, name, isid, port) != NULL) {
			cmd_fail(cmd, sense_param_field(LIST_LEN + 4 +
			    (unsigned)off));
			return -1;
		}
	}
	return n;
}

static void
add_ids(struct scsi_cmd *cmd, const struct pr_request *req)
{
	const struct scsi_port *port = cmd->nexus->port;
	char name[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	bool any_isid;
	size_t off = 0;

	while (off < req->ids_len) {
		off += transport_id_decode(req->ids + off, req->ids_len - off,
		    name, isid, &any_isid);
		if (pr_find(&cmd->lu->pr, name, isid, port) == NULL)
			(void)add(cmd, name, isid, port, req);
	}
}

static void
register_new(struct scsi_cmd *cmd, const struct pr_request *req)
{
	struct scsi_nexus *nexus = cmd->nexus;
	int n = check_ids(cmd, req);

	assert(cmd->nl->reg == NULL);
	if (n < 0)
		return;
	if (cmd->lu->pr.nregs + 1 + (unsigned)n > PR_REGS_MAX) {
		cmd_fail(cmd, SENSE(0x05, 0x55, 0x04));
		return;
	}
	if (add(cmd, nexus->initiator, nexus->isid, nexus->port, req) == NULL)
		return;
	add_ids(cmd, req);
}

/* A shared reservation that ends with its holder is announced. */
static void
unregister(struct scsi_cmd *cmd)
{
	struct pr_state *pr = &cmd->lu->pr;
	enum pr_type type = pr->type;

	assert(cmd->nl->reg != NULL);
	drop(cmd, cmd->nl->reg);
	assert(cmd->nl->reg == NULL);
	if (pr->type == PR_NONE && type_shared(type))
		tell_all(cmd, UA_RESERVATIONS_RELEASED);
}

static void
do_register(struct scsi_cmd *cmd, const struct pr_request *req, bool ignore)
{
	struct pr_state *pr = &cmd->lu->pr;
	struct pr_reg *reg = cmd->nl->reg;

	if (req->spec_i_pt && (ignore || reg != NULL)) {
		cmd_fail(cmd, sense_param_field(20));
		return;
	}
	if (!ignore && req->key != (reg != NULL ? reg->key : 0)) {
		conflict(cmd);
		return;
	}
	if (reg == NULL && req->new_key == 0)
		return;			/* nothing to do */
	if (reg == NULL)
		register_new(cmd, req);
	else if (req->new_key == 0)
		unregister(cmd);
	else
		reg->key = req->new_key;
	if (cmd->status != SCSI_GOOD)
		return;
	pr->aptpl = req->aptpl;
	pr->generation++;
}

/* --- reserving --- */

static bool
scope_type_ok(struct scsi_cmd *cmd)
{
	unsigned type = cmd->cdb[2] & 0x0f;

	if (cmd->cdb[2] >> 4 == 0 && type <= PR_EXCL_ACCESS_AR &&
	    type != 0 && type != 2 && type != 4)
		return true;
	cmd_fail(cmd, sense_cdb_field(2, 0xff));
	return false;
}

static void
set_reservation(struct scsi_cmd *cmd, enum pr_type type)
{
	struct pr_state *pr = &cmd->lu->pr;

	assert(cmd->nl->reg != NULL);
	pr->type = type;
	pr->holder = pr_type_all(type) ? NULL : cmd->nl->reg;
}

static void
do_reserve(struct scsi_cmd *cmd)
{
	struct pr_state *pr = &cmd->lu->pr;
	enum pr_type type = (enum pr_type)(cmd->cdb[2] & 0x0f);

	if (!scope_type_ok(cmd))
		return;
	if (pr->type == PR_NONE)
		set_reservation(cmd, type);
	else if (!pr_is_holder(pr, cmd->nl->reg) || pr->type != type)
		conflict(cmd);
}

static void
do_release(struct scsi_cmd *cmd)
{
	struct pr_state *pr = &cmd->lu->pr;
	enum pr_type type = pr->type;

	if (!pr_is_holder(pr, cmd->nl->reg))
		return;			/* not an error */
	if (cmd->cdb[2] != type) {	/* scope 0 and the same type */
		cmd_fail(cmd, SENSE(0x05, 0x26, 0x04));
		return;
	}
	assert(type != PR_NONE);
	pr->type = PR_NONE;
	pr->holder = NULL;
	if (type_shared(type))
		tell_all(cmd, UA_RESERVATIONS_RELEASED);
}

static void
do_clear(struct scsi_cmd *cmd)
{
	struct pr_state *pr = &cmd->lu->pr;
	struct pr_reg *reg;

	tell_all(cmd, UA_RESERVATIONS_PREEMPTED);
	while ((reg = TAILQ_FIRST(&pr->regs)) != NULL)
		drop(cmd, reg);
	assert(pr->nregs == 0 && pr->type == PR_NONE);
	pr->generation++;
}

/* --- preempting --- */

/* Remove registrations with `key` (0: every one), but not `keep`. */
static unsigned
preempt_regs(struct scsi_cmd *cmd, uint64_t key, const struct pr_reg *keep,
    bool abort)
{
	struct pr_reg *reg, *next;
	unsigned n = 0;

	for (reg = TAILQ_FIRST(&cmd->lu->pr.regs); reg != NULL; reg = next) {
		next = TAILQ_NEXT(reg, link);
		if (reg == keep || (key != 0 && reg->key != key))
			continue;
		tell(cmd, reg, UA_REGISTRATIONS_PREEMPTED);
		if (abort)
			abort_of(cmd, reg);
		drop(cmd, reg);
		n++;
	}
	return n;
}

static bool
preempts_reservation(const struct pr_state *pr, uint64_t key)
{
	if (pr->type == PR_NONE)
		return false;
	return pr_type_all(pr->type) ? key == 0 : pr->holder->key == key;
}

static void
do_preempt(struct scsi_cmd *cmd, const struct pr_request *req, bool abort)
{
	struct pr_state *pr = &cmd->lu->pr;
	enum pr_type old = pr->type;
	enum pr_type type = (enum pr_type)(cmd->cdb[2] & 0x0f);

	if (preempts_reservation(pr, req->new_key)) {
		if (!scope_type_ok(cmd))
			return;
		(void)preempt_regs(cmd, req->new_key, cmd->nl->reg, abort);
		assert(cmd->nl->reg != NULL);
		set_reservation(cmd, type);
		if (type != old)
			tell_all(cmd, UA_RESERVATIONS_RELEASED);
	} else if (req->new_key == 0) {
		cmd_fail(cmd, sense_param_field(8));
		return;
	} else if (preempt_regs(cmd, req->new_key, NULL, abort) == 0) {
		conflict(cmd);
		return;
	}
	pr->generation++;
}

/* --- REGISTER AND MOVE --- */

/* A port of this target that has the LUN, by relative port id. */
static const struct scsi_port *
find_port(const struct scsi_cmd *cmd, uint16_t relative_id)
{
	const struct scsi_port *own = cmd->nexus->port;
	const struct nexus_lun *nl;

	LIST_FOREACH(nl, &cmd->lu->views, link) {
		const struct scsi_port *port = nl->nexus->port;

		if (port->relative_id == relative_id &&
		    strcmp(port->target, own->target) == 0)
			return port;
	}
	return NULL;
}

static void
do_move(struct scsi_cmd *cmd, const struct pr_request *req)
{
	struct pr_state *pr = &cmd->lu->pr;
	struct pr_reg *from = cmd->nl->reg, *to;
	const struct scsi_port *port = find_port(cmd, req->relative_id);
	char name[SCSI_NAME_MAX + 1];
	uint8_t isid[6];
	bool any_isid;

	if (pr->holder != from) {	/* none, another's, or shared by all */
		conflict(cmd);
		return;
	}
	if (req->new_key == 0 || port == NULL) {
		cmd_fail(cmd, sense_param_field(port == NULL ? 18 : 8));
		return;
	}
	if (transport_id_decode(req->ids, req->ids_len, name, isid,
	    &any_isid) != req->ids_len || any_isid ||
	    (to = pr_find(pr, name, isid, port)) == from) {
		cmd_fail(cmd, sense_param_field(LIST_LEN));
		return;
	}
	if (to == NULL)
		to = add(cmd, name, isid, port, req);
	if (to == NULL)
		return;
	assert(to != from && !pr_type_all(pr->type));
	to->key = req->new_key;
	pr->holder = to;
	if (req->unreg)
		drop(cmd, from);
	pr->aptpl = req->aptpl;
	pr->generation++;
}

/* --- the command --- */

static bool
decode_move(struct wire_in *in, struct pr_request *req)
{
	uint8_t flags;

	get_skip(in, 1);
	flags = get_u8(in);
	req->unreg = flags & MOVE_UNREG;
	req->aptpl = flags & MOVE_APTPL;
	req->relative_id = get_be16(in);
	req->ids_len = get_be32(in);
	req->ids = get_bytes(in, req->ids_len);
	return !in->bad && req->ids_len > 0 && wire_left(in) == 0;
}

static bool
decode_flags(struct wire_in *in, struct pr_request *req)
{
	uint8_t flags;

	get_skip(in, 4);
	flags = get_u8(in);
	get_skip(in, 3);
	req->spec_i_pt = flags & SPEC_I_PT;
	req->all_tg_pt = flags & ALL_TG_PT;
	req->aptpl = flags & APTPL;
	if (req->spec_i_pt) {
		req->ids_len = get_be32(in);
		req->ids = get_bytes(in, req->ids_len);
	}
	return !in->bad && wire_left(in) == 0;
}

static bool
decode(struct scsi_cmd *cmd, struct pr_request *req)
{
	struct wire_in in = cmd_out(cmd);
	bool ok;

	*req = (struct pr_request){ 0 };
	req->key = get_be64(&in);
	req->new_key = get_be64(&in);
	ok = cmd->opcode->sa == PR_MOVE ? decode_move(&in, req) :
	    decode_flags(&in, req);
	if (!ok)
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
	else if (req->aptpl && cmd->lu->store.save == NULL)
		cmd_fail(cmd, sense_param_field(20));
	return cmd->status == SCSI_GOOD;
}

static void
act(struct scsi_cmd *cmd, const struct pr_request *req)
{
	enum pr_action action = cmd->opcode->sa;
	const struct pr_reg *reg = cmd->nl->reg;

	if (action != PR_REGISTER && action != PR_REGISTER_IGNORE &&
	    (reg == NULL || reg->key != req->key)) {
		conflict(cmd);
		return;
	}
	switch (action) {
	case PR_REGISTER:
	case PR_REGISTER_IGNORE:
		do_register(cmd, req, action == PR_REGISTER_IGNORE);
		return;
	case PR_RESERVE:
		do_reserve(cmd);
		return;
	case PR_RELEASE:
		do_release(cmd);
		return;
	case PR_CLEAR:
		do_clear(cmd);
		return;
	case PR_PREEMPT:
	case PR_PREEMPT_ABORT:
		do_preempt(cmd, req, action == PR_PREEMPT_ABORT);
		return;
	case PR_MOVE:
		do_move(cmd, req);
		return;
	}
	bug("pr_out: bad service action %d", (int)action);
}

/* Save what is to survive; also that nothing is to survive any more. */
static void
save(struct scsi_cmd *cmd, bool had_aptpl)
{
	struct scsi_lu *lu = cmd->lu;
	struct scsi_save *s = &cmd->u.save;

	if (lu->store.save == NULL || (!lu->pr.aptpl && !had_aptpl))
		return;
	if (lu->pr.aptpl) {
		s->blob = pr_blob_encode(&lu->pr, &s->len);
		if (s->blob == NULL) {
			cmd->result = -ENOMEM;
			return;
		}
	}
	lu->store.save(lu->store.arg, s->blob != NULL ? s->blob : "", s->len,
	    &cmd->result, &cmd->op);
}

static void
decide(struct scsi_cmd *cmd)
{
	struct scsi_lu *lu = cmd->lu;
	bool had_aptpl = lu->pr.aptpl;
	struct pr_request req;

	assert(lu->pr_busy && cmd->u.save.blob == NULL);
	/* What cmd_admit() saw may have changed while data was collected. */
	if (lu->spc2_holder != NULL || cmd->nl->gone) {
		conflict(cmd);
		return;
	}
	if (!decode(cmd, &req))
		return;
	act(cmd, &req);
	pr_relink(lu);
	lu_reservation_changed(lu);
	if (cmd->status == SCSI_GOOD)
		save(cmd, had_aptpl);
}

static void
saved(struct scsi_cmd *cmd)
{
	assert(cmd->lu->pr_busy && cmd->result <= 0);
	free(cmd->u.save.blob);
	cmd->u.save.blob = NULL;
	if (cmd->result == 0)
		return;
	log_err("lun=%s: cannot save persistent reservations: %s",
	    cmd->lu->params.name, strerror(-cmd->result));
	cmd_fail(cmd, sense_from_errno(cmd->result, IO_WRITE, 0));
}

/* Does a command that a PREEMPT AND ABORT ended still run? */
static bool
aborts_pending(const struct scsi_cmd *cmd)
{
	const struct scsi_cmd *other;

	if (cmd->opcode->sa != PR_PREEMPT_ABORT)
		return false;
	TAILQ_FOREACH(other, &cmd->lu->tasks, link)
		if (other != cmd && other->aborted)
			return true;
	return false;
}

static bool
list_ok(struct scsi_cmd *cmd)
{
	cmd->out_wanted = cmd->c.len;
	if (cmd->c.len < LIST_LEN || cmd->c.len > PARAM_LEN_MAX ||
	    cmd->out_len < cmd->c.len)
		cmd_fail(cmd, SENSE_PARAM_LIST_LEN);
	return cmd->status == SCSI_GOOD;
}

enum pr_step {
	PRO_ADMIT, PRO_COLLECT, PRO_LOCK, PRO_DECIDE, PRO_SAVED, PRO_WAIT
};

static void
scsi_pr_out_run(struct op *op)
{
	struct scsi_cmd *cmd = op_owner(op, struct scsi_cmd);

	switch ((enum pr_step)op->step) {
	case PRO_ADMIT:
		if (!cmd_admit(cmd))
			return;
		if (!list_ok(cmd))
			break;
		buf_reserve(&cmd->out, cmd->nexus->bufs, PARAM_LEN_MAX, op);
		op->step = PRO_COLLECT;
		return;
	case PRO_COLLECT:
		if (cmd->aborted)
			break;
		cmd_collect(cmd, cmd->c.len);
		op->step = PRO_LOCK;
		return;
	case PRO_LOCK:
		if (!cmd_collected(cmd))
			break;
		cmd->u.save = (struct scsi_save){ 0 };
		cmd->result = 0;
		lu_pr_lock(cmd->lu, op);
		op->step = PRO_DECIDE;
		return;
	case PRO_DECIDE:
		op->step = PRO_SAVED;
		if (!cmd->aborted)
			decide(cmd);
		return;
	case PRO_SAVED:
		saved(cmd);
		lu_pr_unlock(cmd->lu);
		op->step = PRO_WAIT;
		return;
	case PRO_WAIT:		/* again after each aborted command */
		if (!cmd->aborted && aborts_pending(cmd)) {
			op_wait(&cmd->lu->aborts, op);
			return;
		}
		break;
	default:
		bug("scsi_pr_out: bad step");
	}
	cmd_end(cmd);
}

const struct op_type scsi_pr_out_type = {
	.name = "scsi_pr_out",
	.steps = (const char *const[]){ "ADMIT", "COLLECT", "LOCK", "DECIDE",
	    "SAVED", "WAIT" },
	.nsteps = 6,
	.run = scsi_pr_out_run,
	.describe = scsi_op_describe,
};
