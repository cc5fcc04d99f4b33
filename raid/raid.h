/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Arrays in Linux md 1.2 format on top of any struct blk.
 *
 * An array is used through its blk.  Everything here that touches a disk is an
 * op: fill the "in" fields, start it with a parent, read the "out" fields when
 * it has ended.  On success the array owns its members; on failure the caller
 * still does, and nothing was written to any disk unless said so.
 */
#ifndef RAID_RAID_H
#define RAID_RAID_H

#include <stdbool.h>
#include <stdint.h>

#include "block/blk.h"
#include "core/buf.h"

#define RAID_MEMBERS_MAX 16
#define RAID_NAME_MAX 32

struct raid;

enum raid_policy {		/* consistency policy, as mdadm names them */
	RAID_POLICY_RESYNC,
	RAID_POLICY_BITMAP,
	RAID_POLICY_PPL,
};

enum raid_layout {		/* md's numbers */
	RAID_LEFT_ASYMMETRIC = 0,
	RAID_RIGHT_ASYMMETRIC = 1,
	RAID_LEFT_SYMMETRIC = 2,
	RAID_RIGHT_SYMMETRIC = 3,
	RAID_PARITY_FIRST = 4,
	RAID_PARITY_LAST = 5,
};

struct raid_spec {
	char name[RAID_NAME_MAX + 1];	/* md set_name, e.g. "dozo:tank" */
	uint8_t uuid[16];		/* all zero: make a random one */
	int level;			/* 5 */
	enum raid_layout layout;
	enum raid_policy policy;
	unsigned members;		/* 3..RAID_MEMBERS_MAX */
	uint32_t chunk_bytes;		/* power of two, 4 KiB..1 MiB */
	uint64_t member_bytes;		/* used of each; 0 = all that fits */
};

enum raid_member_state {
	RAID_MEMBER_MISSING,
	RAID_MEMBER_IN_SYNC,
	RAID_MEMBER_FAULTY,
	RAID_MEMBER_SPARE,
	RAID_MEMBER_REBUILDING,
	RAID_MEMBER_REPLACING,		/* filled from the member of its role */
};

const char *raid_member_state_name(enum raid_member_state state);
const char *raid_policy_name(enum raid_policy policy);
/* -EINVAL if unknown. */
int raid_policy_parse(const char *text, enum raid_policy *policy);

/*
 * Memory of an array, fixed at its start; what finds none waits.  NULL where a
 * pointer to this is asked for stands for the usual sizes.
 */
struct raid_pools {
	unsigned reqs;			/* requests in work */
	unsigned rows;			/* rows of them in work */
	unsigned fixes;			/* reconstructions at a time */
	unsigned bufs;			/* of 64 KiB; >= 2 * RAID_MEMBERS_MAX */
};

/* --- look at one disk without changing it --- */

struct raid_examine {
	struct op op;
	/* in */
	struct blk *blk;
	/* out */
	struct err err;
	bool is_member;			/* a valid md superblock was read */
	bool is_blank;			/* no md superblock magic */
	struct raid_spec spec;
	uint8_t device_uuid[16];
	int role;			/* 0..n-1, -1 spare, -2 faulty */
	uint64_t events, utime;
	bool clean;
	void *priv;
};
void raid_examine_start(struct raid_examine *examine, struct op *parent);

/* --- create --- */

struct raid_create {
	struct op op;
	/* in */
	struct loop *loop;
	struct raid_spec spec;
	struct blk *members[RAID_MEMBERS_MAX];	/* in role order; NULL = missing
						   (at most one) */
	const struct raid_pools *pools;
	bool force;		/* overwrite what an md superblock says */
	/* out */
	struct err err;
	struct raid *raid;		/* running, or NULL with err set */
	uint64_t zeroed, to_zero;	/* progress in bytes */
	/*
	 * May be set while it runs.  Until there is a raid it ends with
	 * ECANCELED and without an array; then it is too late.
	 */
	bool cancel;
	void *priv;
};
/*
 * Zero the members if they do that quickly, so that parity is right from the
 * start, else let a resync run; then write superblocks.  A member that carries
 * an md superblock is refused without `force`; other signatures are the
 * caller's to check.
 */
void raid_create_start(struct raid_create *create, struct op *parent);

/* --- assemble --- */

struct raid_assemble {
	struct op op;
	/* in */
	struct loop *loop;
	struct blk *blks[RAID_MEMBERS_MAX * 2];	/* candidates, any order */
	unsigned nblks;
	uint8_t uuid[16];		/* all zero: the one they agree on */
	bool allow_degraded;		/* start although members are missing
					   that the superblocks expect */
	const struct raid_pools *pools;
	/* out */
	struct err err;
	struct raid *raid;		/* running, or NULL with err set */
	/* Candidates not taken, with the reason; still the caller's. */
	unsigned nrejected;
	struct { struct blk *blk; struct err why; }
	    rejected[RAID_MEMBERS_MAX * 2];
	void *priv;
};
void raid_assemble_start(struct raid_assemble *assemble, struct op *parent);

/* --- run --- */

/* The array as a device; valid until raid_stop has ended. */
struct blk *raid_blk(struct raid *raid);

#define RAID_LATENCIES 28u

struct raid_member_info {
	char path[128];
	enum raid_member_state state;
	int role;			/* -1: spare */
	uint8_t device_uuid[16];
	uint64_t read_errors, write_errors, corrected_errors;
	uint64_t reads, writes, read_bytes, write_bytes;
	uint64_t bad_bytes;		/* in its bad-block log */
	bool worn_out;			/* many bad sectors in an hour: told */
	uint64_t stalls;		/* requests that missed the deadline */
	uint64_t read_ns, write_ns;	/* in all */
	uint64_t latency[RAID_LATENCIES];	/* reads in less than 2^i us */
	uint64_t write_latency[RAID_LATENCIES];
};

enum raid_task {
	RAID_TASK_NONE,
	RAID_TASK_RESYNC,		/* after a crash without a log */
	RAID_TASK_REBUILD,
	RAID_TASK_REPLACE,
	RAID_TASK_CHECK,
	RAID_TASK_REPAIR,
};
const char *raid_task_name(enum raid_task task);

struct raid_info {
	struct raid_spec spec;
	uint64_t size;			/* bytes of the array */
	uint64_t events;
	bool clean;			/* as last written to the superblocks */
	unsigned degraded;		/* members missing */
	bool failed;			/* too many: no I/O is served */
	unsigned nmembers;		/* entries below: roles, then spares */
	/* The disk that is to replace a member comes last, with its role. */
	struct raid_member_info member[RAID_MEMBERS_MAX * 2];
	uint64_t full_writes, rmw_writes, rcw_writes;	/* stripes */
	uint64_t prereads, degraded_reads;		/* member I/Os */
	uint64_t merged_writes;		/* parts another write took along */
	uint64_t ppl_headers, ppl_entries;	/* entries / headers = depth */
	enum raid_task task;			/* running in the background */
	uint64_t task_done, task_total;		/* bytes of each member */
	uint64_t task_rate;			/* bytes/s since it started */
	uint64_t task_eta;			/* seconds */
	bool paused;				/* a rebuild or resync */
	/* A member is being rebuilt, if only it were not paused: */
	bool used_known;			/* what is used comes first */
	uint64_t used_left;	/* bytes of it that are used and lacking */
	uint64_t used_eta;			/* seconds */
	uint64_t in_doubt;	/* bytes of each member without sure parity */
	uint64_t mismatches;		/* the last scrub's, see there */
};
void raid_get_info(const struct raid *raid, struct raid_info *info);

/*
 * Tell when something worth an alert happened (member failed, array failed).
 * One listener; may be NULL.  Called from inside steps: only take notes.
 */
void raid_set_listener(struct raid *raid,
    void (*fn)(void *arg, const char *what), void *arg);

/*
 * What of the array is used: a rebuild takes it first.  `fn` returns the first
 * byte at or after `off` that is, and *end, up to where all is; UINT64_MAX if
 * there is none.  It is asked from inside steps, often, and must not wait.
 * NULL: nobody knows, and the order is from the start on.
 */
typedef uint64_t raid_used_fn(void *arg, uint64_t off, uint64_t *end);
void raid_set_used(struct raid *raid, raid_used_fn *fn, void *arg);

/*
 * A member that takes longer to read is passed over (its data is
 * reconstructed) until it answers.  Default 500 ms, 2 s if rotational.
 */
void raid_set_deadline(struct raid *raid, unsigned deadline_ms);

/*
 * Treat member `role` as faulty from now on; or, if a path is given, whoever
 * has that: also a spare, or a disk that is to replace a member, both of which
 * are let go.  -EBUSY with err set if the array could not go on.
 */
struct raid_fail {
	struct op op;
	/* in */
	struct raid *raid;
	unsigned role;
	const char *path;
	const char *why;		/* NULL: by the administrator */
	bool if_gone;			/* not if its device still answers */
	/* out */
	bool failed;			/* it is faulty now */
	struct err err;
	/* private */
	struct buf buf;
	struct io io;
};
void raid_fail_start(struct raid_fail *fail, struct op *parent);

/*
 * Administrator: give the array a disk.  It becomes a spare and takes the
 * place of a missing or faulty member at once, now or later.  A disk that
 * carries another md superblock is refused without `force`; a former member
 * of this array is welcome.  The first bytes of the disk are overwritten.
 */
struct raid_add {
	struct op op;
	/* in */
	struct raid *raid;
	struct blk *blk;		/* the array's on success */
	bool force;
	/* out */
	struct err err;
	void *priv;
};
void raid_add_start(struct raid_add *add, struct op *parent);

/*
 * Administrator: change the consistency policy while the array runs.  Requests
 * wait for a moment; after a crash it has the old policy, the new one, or
 * resync, and the same data.  Refused unless all members are in sync, and none
 * is being replaced.
 */
struct raid_convert {
	struct op op;
	/* in */
	struct raid *raid;
	enum raid_policy policy;
	bool only_check;		/* could it be done? */
	/* out */
	struct err err;
	void *priv;
};
void raid_convert_start(struct raid_convert *convert, struct op *parent);

/*
 * Administrator: the spare with this path is to replace member `role`.  It is
 * filled with a copy of the member while that one goes on to serve; then it
 * gets its role, and the old disk is let go.  If the member is missing, the
 * spare is rebuilt as usual, perhaps already.
 */
int raid_replace(struct raid *raid, unsigned role, const char *path,
    struct err *err);

/*
 * Compare the parity of every row in the background; with `repair`, make it
 * right.  -EBUSY with err set if another task runs or the array is degraded.
 * What is more urgent comes first, then the scrub goes on where it was.
 */
int raid_scrub(struct raid *raid, bool repair, struct err *err);
/* Also one that waits. */
void raid_scrub_cancel(struct raid *raid);
/*
 * Stop a scrub; a rebuild or resync pauses until it is resumed, the next start
 * or add.  A replacement ends: the new disk stays as a spare.
 */
void raid_task_cancel(struct raid *raid);
/* Go on with what was paused, or could not go on. */
void raid_task_resume(struct raid *raid);

/* Give the array another name; soon all superblocks have it. */
void raid_rename(struct raid *raid, const char *name);

/* What the last scrub found, in order; the list is cut at this length. */
#define RAID_MISMATCHES 256u
struct raid_mismatch {
	uint64_t off;			/* array bytes: first data block */
	unsigned nblocks;		/* its data: so many blocks of 4 KiB, */
	uint32_t apart;			/* so many bytes from one to the next */
	uint64_t member_off;		/* bytes of each member's data */
	unsigned parity;		/* member that holds the parity */
};

enum raid_scrub_state {
	RAID_SCRUB_NONE,		/* there was none */
	RAID_SCRUB_RUNNING,		/* or waits for something more urgent */
	RAID_SCRUB_CANCELLED,
	RAID_SCRUB_FINISHED,
};

/* The last scrub.  It is not on the disks: somebody has to keep it. */
struct raid_scrub_record {
	enum raid_scrub_state state;
	bool repair;
	uint64_t start_s, end_s;	/* wall clock */
	uint64_t done, total;		/* bytes of each member, for certain */
	uint64_t mismatches;		/* blocks of 4 KiB, listed or not */
	uint64_t unread;		/* bytes of each member, not compared */
	unsigned nlisted;
	struct raid_mismatch list[RAID_MISMATCHES];
};
void raid_get_scrub(const struct raid *raid, struct raid_scrub_record *record);
/*
 * After a start: this was the last scrub; if it had not ended, go on.  Refused
 * with err set if it does not fit the array, or another one was begun.
 */
int raid_scrub_restore(struct raid *raid,
    const struct raid_scrub_record *record, struct err *err);
/*
 * One keeper.  Called from inside steps, until the array has stopped: a
 * mismatch was found, and is for the keeper to tell; or NULL, the record is
 * to be stored: a beginning, a checkpoint (every ten seconds, and after what
 * was found), an end.
 */
typedef void raid_scrub_keeper(void *arg, const struct raid_mismatch *found);
void raid_set_scrub_keeper(struct raid *raid, raid_scrub_keeper *fn, void *arg);

/*
 * Finish writes in flight, flush, mark clean, close the members and free the
 * array.  The caller submits nothing more.  Errors are logged, the array is
 * gone in any case.
 */
struct raid_stop {
	struct op op;
	struct raid *raid;
	struct err err;
};
void raid_stop_start(struct raid_stop *stop, struct op *parent);

#endif
