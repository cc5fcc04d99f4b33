/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The array from the inside, for the files of this folder.
 *
 * Who may touch what: super.c alone writes superblocks and decides clean and
 * dirty; member.c alone changes the state of a member; row.c alone touches
 * row locks.  A row op holds its resources in one order: row op, row lock,
 * fix op, buffers; it waits for no earlier kind while it holds a later one,
 * so a pool that is empty cannot deadlock.
 */
#ifndef RAID_RAID_PRIV_H
#define RAID_RAID_PRIV_H

#include "core/buf.h"
#include "core/grave.h"
#include "core/log.h"
#include "core/util.h"
#include "raid/bblog.h"
#include "raid/bitmap.h"
#include "raid/doubt.h"
#include "raid/guard.h"
#include "raid/lack.h"
#include "raid/map.h"
#include "raid/plan.h"
#include "raid/ppl_log.h"
#include "raid/raid.h"
#include "raid/sb1.h"
#include "raid/throttle.h"

#define SECTOR		((uint64_t)512)
#define ROW_IOV_MAX	128u	/* scatter entries of one row's member I/Os */
#define ROW_HASH	512u
#define SAFE_MODE_MS	200u
#define RAID_STREAMS	16u	/* sequential writers told apart */
#define ROLE_NONE	0xffu
#define WORN_MAX	20u
#define WORN_NS		(3600 * NSEC_PER_SEC)
#define RETEST_NS	(3600 * NSEC_PER_SEC)

/* --- members (member.c) --- */

struct member {
	struct raid *raid;
	struct blk *blk;		/* NULL: missing */
	unsigned role;			/* ROLE_NONE: spare */
	enum raid_member_state state;
	struct sb1 sb;			/* as last read or written */
	uint64_t data_off;		/* bytes */
	struct lack *lack;		/* REBUILDING, REPLACING; else NULL */
	bool guided;			/* it lacks what the bitmap names */
	bool behind;			/* its superblock is an event older */
	unsigned former;		/* spare: the role it had, if guided, */
	bool chosen;			/* or whose member it is to replace */
	uint8_t *sb_buf;		/* SB1_BYTES, aligned */
	struct iovec sb_iov;
	struct io sb_io;
	struct bblog bblog;		/* max 0: it has none */
	bool bblog_dirty;		/* to be written */
	uint8_t *bblog_buf;		/* BBLOG_BYTES, aligned */
	struct iovec bblog_iov;
	struct io bblog_io;
	unsigned worn;			/* bad sectors met, halved each hour */
	uint64_t worn_ns;
	bool worn_out;			/* they were too many once */
	uint64_t retest_ns;		/* listed blocks: not written before */
	uint64_t read_errors, write_errors, corrected_errors;
	uint64_t reads, writes, read_bytes, write_bytes;
	TAILQ_HEAD(, port_io) inflight;	/* requests to its disk, by age */
	uint64_t ended_ns;		/* when one ended last */
	unsigned late;			/* one is past the deadline */
	uint64_t read_ns, write_ns;
	uint64_t stalls, latency[RAID_LATENCIES];
	uint64_t write_latency[RAID_LATENCIES];
};

/*
 * Start an I/O at `off` of the member's data.  A member that is not there, or
 * an array that has failed, ends it at once with -ENODEV.
 */
void member_submit(struct member *m, struct io *io, enum io_kind kind,
    uint64_t off, uint64_t len, const struct iovec *iov, unsigned niov,
    unsigned flags, struct op *op);
/*
 * Its bad-block log, by bytes of its data.  What is listed is never read
 * (MEMBER_LISTED) but reconstructed, and written with FUA; once written it is
 * to be cleared.  A range that is added is listed at once and durable when
 * raid_record() has ended; -ENOSPC if there is no room or no log.
 */
#define MEMBER_LISTED (-117)		/* EUCLEAN: result of such a read */
bool member_bad(const struct member *m, uint64_t off, uint64_t len);
/* How many bytes, from the first on, are as it is? */
uint64_t member_bad_run(const struct member *m, uint64_t off, uint64_t len);
int member_bad_add(struct member *m, uint64_t off, uint64_t len);
void member_bad_clear(struct member *m, uint64_t off, uint64_t len);
/* A write of its data has ended well. */
void member_wrote(struct member *m, const struct io *io);
/* The log of a disk that has no md superblock yet. */
void member_init_bblog(struct member *m);
/*
 * Met a bad sector: count, and tell when there are many in an hour.  False: of
 * so many that this one is not worth telling.
 */
bool member_note_worn(struct member *m);
/* A read ended with an error: count; is the whole member gone? */
bool member_note_read(struct member *m, int result);
/* From now on nothing is asked of it; to be recorded (super.c). */
void member_fail(struct member *m, const char *why);
/* Is it late, and can the others stand in for it? */
bool member_avoided(const struct member *m);
void member_count(struct member *m, enum io_kind kind, uint64_t len);
/* Would the array fail without it? */
bool member_vital(const struct member *m);
/* Does it hold valid data of this row? */
bool member_has_row(const struct member *m, uint64_t row);
/* The same for bytes of its data. */
bool member_has_range(const struct member *m, uint64_t off, uint64_t len);
/* Is it written, and does it carry a superblock? */
static inline bool
member_live(const struct member *m)
{
	return m->blk != NULL && m->state != RAID_MEMBER_MISSING &&
	    m->state != RAID_MEMBER_FAULTY;
}
/* All that have a superblock of ours: members by role, spares, an heir. */
unsigned raid_ndisks(const struct raid *raid);
struct member *raid_disk(struct raid *raid, unsigned i);
/* Errors that mean the device itself is gone, not one sector. */
#define MEMBER_CUT (-108)		/* ESHUTDOWN: failed, nobody waits */
#define MEMBER_LATE (-62)		/* ETIME: others can stand in */
static inline bool
errno_is_gone(int result)
{
	return result == -19 /* ENODEV */ || result == -6 /* ENXIO */ ||
	    result == MEMBER_CUT;
}

/* --- requests to disks (port.c) --- */

#define DEAD_MS		30000u
/*
 * Flags of reads whose memory is not used again once they end with MEMBER_CUT
 * or MEMBER_LATE: it is buried (row_bury), and it may do so as soon as the
 * member is late; or the request lent it, io->owner.
 */
#define MEMBER_MAY_CUT	0x80000000u
#define MEMBER_MAY_PASS	0x40000000u
#define MEMBER_LENT	0x20000000u
#define MEMBER_FLAGS	(MEMBER_MAY_CUT | MEMBER_MAY_PASS | MEMBER_LENT)
/* Submit `io`, filled by io_init(), to the member's disk. */
void member_io(struct member *m, struct io *io, struct op *op);
struct row_work;
/* Keep memory away from others that a ghost may still read into. */
void bury(struct raid *raid, struct buf *buf);
void row_bury(struct raid *raid, struct row_work *work);
void ports_init(struct raid *raid);
/* The deadline is another one. */
void ports_clock(struct raid *raid);
void ports_fini(struct raid *raid);

/* --- rows (row.c) --- */

enum sweep_kind {			/* the most urgent first */
	SWEEP_REBUILD,			/* fill one member */
	SWEEP_REPLACE,			/* fill the heir of one */
	SWEEP_RESYNC,			/* make all parity right */
	SWEEP_CHECK,			/* count wrong parity */
	SWEEP_REPAIR,			/* and make it right */
};

struct row_lock;

/* One who holds or waits for a row. */
struct row_claim {
	STAILQ_ENTRY(row_claim) queue;
	struct op *op;
	struct row_lock *lock;
	bool exclusive;
	struct row *writer;		/* a write that may be merged */
};

struct row_lock {
	LIST_ENTRY(row_lock) hash;
	STAILQ_HEAD(, row_claim) waiting;
	uint64_t row;
	unsigned readers;
	bool writer;
	struct row *gather;		/* holds the lock, waits for more */
};
LIST_HEAD(row_lock_list, row_lock);

/* Hold `op` until the row is its own (or shared with readers). */
void row_lock(struct raid *raid, struct row_claim *claim, uint64_t row,
    bool exclusive, struct op *op);
void row_unlock(struct raid *raid, struct row_claim *claim);

/* Memory and I/Os of one plan. */
struct row_work {
	struct row_plan plan;
	struct raid *raid;
	struct buf buf;
	uint8_t *slots[2 * RAID_MEMBERS_MAX];	/* the plan's, then extra */
	unsigned extra;
	struct io io[ROW_IOS_MAX];
	struct iovec iov[ROW_IOV_MAX];
	unsigned niov;
};
/* Get the plan's slots; `op` is held while there is no memory. */
void row_reserve(struct raid *raid, struct row_work *work, unsigned extra,
    struct op *op);
/* Point the slots into the memory that was reserved. */
void row_place(struct row_work *work);
void row_release(struct row_work *work);
/* Submit the plan's reads into the slots; `flags` besides MEMBER_MAY_CUT. */
void row_read_slots(struct raid *raid, struct row_work *work, unsigned flags,
    struct op *op);

/* Roles without valid data in `row`. */
uint32_t row_missing(const struct raid *raid, uint64_t row);

/* --- the ops of rows --- */

enum fix_mode {
	FIX_READ,			/* only for `dst` */
	FIX_REWRITE,			/* and put it back on the member */
	FIX_SEARCH,			/* put back what cannot be read of it */
	FIX_FILL,			/* put there what it has to be */
	FIX_COPY,			/* the same to the heir, or a copy */
};

/* Reconstruct part of one column; the caller holds the row. */
struct row_fix {
	struct op op;
	/* in */
	struct raid *raid;
	uint64_t row;
	unsigned role;
	struct row_range at;
	enum fix_mode mode;
	const struct iovec *dst;	/* copy it there too, unless NULL */
	unsigned ndst;
	/* out */
	int result;
	bool lost;			/* FIX_FILL: had to list something */
	/* private */
	struct row_range piece;		/* of `at`, in work */
	bool worked;			/* it was written */
	struct row_work work;
	STAILQ_ENTRY(row_fix) free;
};
/* A fix op; or NULL, and `op` is held until it may ask again. */
struct row_fix *row_fix_get(struct raid *raid, struct op *op);
void row_fix_put(struct raid *raid, struct row_fix *fix);
/* Asked again, the op does not need it any more: wake the next. */
void row_fix_pass(struct raid *raid);
void row_fix_start(struct row_fix *fix, struct op *parent);

struct raid_req;
STAILQ_HEAD(row_list, row);

/* One row of a write, or one piece of a read. */
struct row {
	struct op op;
	struct raid *raid;
	struct raid_req *req;
	struct row_claim claim;
	struct row_fix *fix;
	struct row_span span;		/* write */
	struct map_place place;		/* read */
	uint64_t src, len;		/* read: what is left of the piece */
	uint64_t part;			/* read: bytes tried now, at most: */
	enum { GRAIN_PIECE, GRAIN_ROW, GRAIN_4K, GRAIN_LBA } grain;
	bool unreadable;		/* read: the member said so */
	bool insist;			/* read: late or not, nobody else can */
	uint32_t avoid;			/* roles that cannot be read; sweep:
					   to be mended */
	unsigned repairs;		/* made for this row */
	enum fix_mode mend;		/* sweep */
	enum sweep_kind kind;		/* sweep */
	uint32_t bad;			/* sweep: mask of 4 KiB pieces */
	struct row_data data;		/* write: the new data; NULL = zero */
	struct iovec bounce_iov[RAID_MEMBERS_MAX];
	/* write: merging with others that wait for this row (row_merge.c) */
	uint64_t own_off, own_len;	/* array bytes of the request here */
	uint64_t merge_off, merge_len;	/* the same, riders included */
	unsigned merge_niov;
	struct row_list riders;		/* and the row itself, by offset */
	STAILQ_ENTRY(row) rider;
	bool ridden;			/* another row did the work */
	bool fua;
	/* write: made ready before the request came (ahead.c) */
	enum { ROW_OWN, ROW_AHEAD, ROW_TAKEN, ROW_GIVEN_UP } ahead;
	bool arrived;			/* at its log, or gave up */
	bool at_gate;			/* held before its first store */
	unsigned chunks;		/* left, if one after the other */
	bool at_once;			/* that did not work */
	bool settles;			/* makes lost data readable again */
	bool doubted;			/* its parity is, until it is done */
	struct iovec merge_iov[ROW_IOV_MAX];
	struct op breath;
	struct timer timer;
	struct op mend_op;
	struct ppl_log *log;		/* the header that names this row */
	bool marked;			/* in the bitmap */
	STAILQ_ENTRY(row) log_queue;
	int result;
	struct row_work work;
	STAILQ_ENTRY(row) free;
};
/* A row op; or NULL, and `op` is held until it may ask again. */
struct row *row_get(struct raid *raid, struct op *op);
void row_put(struct row *row);
/* Asked again, the op does not need it any more: wake the next. */
void row_pass(struct raid *raid);
/* Children of the request; they put themselves back at the end. */
void row_write_start(struct row *row, struct raid_req *req);
void row_read_start(struct row *row, struct raid_req *req);

/* After the writes of a row: did one fail that is worth another try? */
bool row_writes_failed(struct row *row);
/* Then try, list or fail; a request that lost data has row->result set. */
void row_mend_start(struct row *row, struct op *parent);

/* --- merging of writes (row_merge.c) --- */

/* Note a write's start; is it the next of a sequential stream? */
bool stream_note(struct raid *raid, uint64_t off, uint64_t len);
/* Before the lock: what of the request lies in the row. */
void row_merge_init(struct row *row);
/* The row is ours: let all ops that are ready now ask for it first. */
void row_merge_breathe(struct row *row);
/* Take in who waits; perhaps hold the row's op a moment for more. */
void row_merge_gather(struct row *row);
/* Called when somebody waits for a row whose owner gathers. */
void row_merge_more(struct row *leader);
/* The request's iovec, or that of all merged; also sets the span. */
void row_merge_source(struct row *row);
/* The work is done: let the riders go. */
void row_merge_end(struct row *row);
/* Scatter entries of [off, off + len). */
unsigned iov_count(const struct iovec *iov, unsigned niov, uint64_t off,
    uint64_t len);
/* One row of a sweep; result and `bad` are for the caller, who puts it back. */
void row_sync_start(struct row *row, uint64_t at, enum sweep_kind kind,
    unsigned role, struct op *parent);

/* --- requests (req.c) --- */

struct raid_req {
	struct op op;
	struct raid *raid;
	struct io *orig;
	struct io io;			/* read that one member serves */
	uint64_t next;			/* read: done so far; write: next row */
	int result;			/* first error of any row */
	struct grave *grave;		/* lent, and a ghost has it */
	bool sequential;
	uint64_t batch;			/* of the sweep, when it began */
	struct map_place place;
	struct io flush[RAID_MEMBERS_MAX];
	STAILQ_ENTRY(raid_req) free;
};

void raid_submit(struct blk *blk, struct io *io);

/* --- writes that are announced (ahead.c) --- */

#define AHEAD_ROWS 24u
#define AHEAD_MS 100u			/* then its data is not waited for */

struct ahead {
	struct raid_req req;		/* parent of the rows */
	struct io io;			/* what is announced; no data */
	struct row *row[AHEAD_ROWS];	/* to be taken; NULL: not any more */
	unsigned nrows, unready;
	struct op_queue together;	/* until all are ready */
	struct timer timer;
	unsigned patience_ms;
	bool running, started;
	bool loose;			/* nobody waits for the others */
};
void raid_expect(struct blk *blk, uint64_t off, uint64_t len);
uint64_t raid_cut(const struct blk *blk, uint64_t off, uint64_t len);
/* Somebody else needs the array: let go of all that nobody took. */
void ahead_break(struct raid *raid);
/* A change begins: is it what was announced? */
void ahead_meets(struct raid *raid, const struct io *io);
/* Is row `at` of this write ready?  Then it belongs to the request now. */
bool ahead_take(struct raid_req *req, uint64_t at);
/* Steps of such a row.  False: the op is held until the others are as far. */
bool row_together(struct row *row);
/* False: the op is held until the row is taken or given up. */
bool row_may_store(struct row *row);
/* Would its data have to be copied? (row_write.c) */
bool row_bounces(const struct row *row);

/* Read into memory that the request lent: may end with MEMBER_LATE. */
void req_read_lent(struct raid_req *req, struct io *io, struct member *m,
    uint64_t off, uint64_t len, const struct iovec *iov, unsigned niov,
    struct op *op);
/* Is there a grave for that memory? */
bool req_may_let_go(struct raid_req *req);
/*
 * Let requests wait, until raid_thaw().  True: no request, log or superblock
 * is in work.  False: `op` is held and asks again.  One op at a time has it.
 */
bool raid_freeze(struct raid *raid, struct timer *timer, struct op *op);
void raid_thaw(struct raid *raid);

/* --- superblocks and life cycle (super.c) --- */

struct sb_update {
	struct op op;
	uint64_t gen;			/* what this round records */
	bool dirty, probe;
	bool led;			/* the events are raised already */
	unsigned lead;			/* disk with the first new event */
	bool again;			/* the next may not be taken for it */
};

struct clean_op {
	struct op op;
	struct doubt doubt;		/* when the flush began */
	uint64_t nwriters;		/* the same */
	struct io io[RAID_MEMBERS_MAX];
};

/*
 * Hold `op` until everything changed so far is on disk, or the array has
 * failed.
 */
void raid_record(struct raid *raid, struct op *op);
/* Nobody waits, but it should be on disk some time. */
void raid_record_soon(struct raid *raid);
/* Before a write: hold `op` unless the array is dirty on disk. */
void raid_need_dirty(struct raid *raid, struct op *op);
/* After a write: arm the timer that makes the array clean. */
void raid_writer_end(struct raid *raid);
/* The same timer without a write: after assembly, after a resync. */
void raid_arm_clean(struct raid *raid);
/* Flush the members and write clean superblocks. */
void raid_clean_start(struct raid *raid, struct op *parent);
/* Whatever `doubt` no longer says is right on stable media. */
void raid_doubt_durable(struct raid *raid, const struct doubt *doubt);

/* --- who takes which place (place.c) --- */

enum place_change {
	PLACE_NONE,
	PLACE_SPARE,			/* a spare that of a missing member */
	PLACE_HEIR,			/* a spare that of an heir */
	PLACE_INHERIT,			/* an heir that of a lost member */
	PLACE_SWITCH,			/* an heir that of its member */
	PLACE_DROP,			/* an heir is none any more */
	PLACE_FORGET,			/* a faulty spare neither */
};

struct place {
	enum place_change change;
	unsigned role;
	struct io flush;
};

/* What is to be exchanged as soon as nothing is in flight. */
enum place_change place_due(const struct raid *raid);
/* Can this spare become a member? */
bool place_fits(const struct raid *raid, const struct member *spare);
/* Is a clean array needed for it? */
bool place_wants_clean(const struct raid *raid);
/* The array is frozen and quiet: do it; then check and record it. */
void place_take(struct raid *raid, struct op *op);
void place_taken(struct raid *raid, struct op *op);
void place_recorded(struct raid *raid);
/* The superblock of raid->first could not be written. */
void place_first_failed(struct raid *raid, struct member *m);

/* --- the heir of a member (replace.c) --- */

struct echoes;
struct echoes *echoes_new(const struct raid_pools *pools);
/* A write or flush at `off` of m's data has begun: its heir gets it too. */
void heir_echo(const struct member *m, const struct io *io, uint64_t off,
    struct op *op);
/*
 * The member is lost: all that follows from others, its heir may keep.  Then a
 * write did not reach the heir either.
 */
void heir_left(struct raid *raid, unsigned role);
void heir_missed(struct raid *raid, unsigned role, uint64_t off);
void heir_missed_row(struct raid *raid, uint64_t row);

/* --- the sweep over all rows (sweep.c) --- */

#define SWEEP_BATCH THROTTLE_ROWS

struct sweep {
	struct op op;
	bool running;
	bool cancel;
	bool stuck;			/* gave up; not tried again by itself */
	bool scrub;			/* asked for by the administrator */
	enum sweep_kind kind;
	unsigned role;			/* rebuild */
	bool used_first;		/* next is a row that is used */
	bool used_done;			/* a moment ago it was the last */
	uint64_t next, end;		/* rows */
	uint64_t first;			/* rows that were done at the start */
	uint64_t unrecorded;		/* done since the last checkpoint */
	uint64_t start_ns, batch_ns, checkpoint_ns;
	uint64_t nbatches;		/* ended */
	bool in_batch;
	struct throttle throttle;
	bool found;			/* by the scrub: checkpoint soon */
	uint64_t skipped;		/* rows that could not be read */
	unsigned nrows;
	struct row *row[SWEEP_BATCH];
	struct timer timer;
	struct io flush[RAID_MEMBERS_MAX];
	struct doubt doubt;		/* when the flush began */
	struct ranges lacking;		/* the same */
	uint64_t bad;			/* 4 KiB pieces with wrong parity */
};
/* See whether there is something to sweep, and start. */
void sweep_kick(struct raid *raid);
void sweep_get_info(const struct raid *raid, struct raid_info *info);
/* Is it at a scrub now? */
bool sweep_scrubs(const struct raid *raid);

/* --- the order of a rebuild (fill.c) --- */

/*
 * The row to be filled next, or the end; *used: because something of it is
 * used.  Rows from `from` on first.
 */
uint64_t fill_next(const struct raid *raid, const struct lack *lack,
    uint64_t from, bool *used);
/* Is this row to be filled; with `used`, because something is? */
bool fill_wants(const struct raid *raid, const struct lack *lack,
    uint64_t row, bool used);
/* Bytes of each member that are used and lacking; somebody must know. */
uint64_t fill_used_left(const struct raid *raid, const struct lack *lack);

/* --- what a scrub finds (scrub.c) --- */

/* A row was compared; false: not for sure, and the scrub stops before it. */
bool scrub_row(struct raid *raid, const struct row *row);
/* So many rows are done, on stable media; at the last it is finished. */
void scrub_checkpoint(struct raid *raid, uint64_t rows);
/* The sweep has ended: was the scrub cancelled? */
void scrub_swept(struct raid *raid);

/* --- the array --- */

struct raid {
	struct blk blk;
	struct loop *loop;
	struct raid_spec spec;
	struct raid_map map;
	struct member member[RAID_MEMBERS_MAX];		/* by role */
	struct member spare[RAID_MEMBERS_MAX];
	unsigned nspares;
	struct member heir;		/* blk NULL: none */
	struct lack lack, heir_lack;	/* of who is rebuilt; of the heir */
	bool heir_unwanted;
	bool switched;			/* the old disk is in the heir's slot */
	struct member *first;		/* its superblock is written first */
	struct echoes *echoes;
	uint32_t missing;		/* mask of roles, rebuilding excluded */
	bool failed;

	/* What the superblocks say. */
	uint64_t events;
	uint64_t gen, gen_durable;	/* changes made; changes on disk */
	bool want_dirty, dirty_on_disk;
	uint64_t gen_start;		/* gen when it began to run */
	uint64_t gen_failed;		/* of the last failure of a member,
					   or of a block of one */
	struct doubt doubt;		/* where the parity is */
	struct doubt doubt_stable;	/* the same after a power cut */
	struct doubt_log doubt_log;
	unsigned ndoubted;		/* rows that are, for a moment */
	bool sb_running, cleaning, stopping;
	bool new_ppl;			/* the next round says there is one */
	bool converting;
	struct sb_update sb_update;
	struct clean_op clean_op;
	struct op_queue sb_waiting;
	struct timer safe_timer;
	unsigned writers;		/* in flight */
	uint64_t nwriters;		/* since the start */
	struct sweep sweep;
	struct place place;
	struct op_queue idle_waiting;	/* stop: until nothing is in flight */
	unsigned active;		/* requests in work */
	uint64_t request_ns;		/* when the last one ended */
	const struct op *freezer;	/* new requests wait; NULL: none do */
	struct raid_scrub_record scrub;
	raid_scrub_keeper *scrub_keeper;
	void *scrub_arg;

	/* Partial parity logs by role; NULL with other policies. */
	struct ppl_log *ppl;
	uint8_t *ppl_mem;
	uint32_t ppl_signature;
	uint64_t ppl_generation;
	uint64_t ppl_headers, ppl_entries;

	struct bitmap *bitmap;		/* NULL with other policies */

	/* Pools. */
	struct raid_pools pools;
	struct buf_pool *bufs;
	struct guards *guards;
	unsigned deadline_ms, dead_ms;
	SLIST_HEAD(, port_io) ports;	/* not in use */
	unsigned probes;		/* disks asked whether they are gone */
	struct ahead ahead;
	struct graveyard yard;		/* ghosts, and what they may use */
	struct op port_op;
	struct timer port_timer;
	struct raid_req *reqs;
	STAILQ_HEAD(, raid_req) free_reqs;
	struct io_queue waiting_ios;
	struct row *rows;
	struct row_list free_rows;
	struct op_queue row_waiting;
	struct row_fix *fixes;
	STAILQ_HEAD(, row_fix) free_fixes;
	struct op_queue fix_waiting;
	struct row_lock *locks;
	struct row_lock_list free_locks;
	struct row_lock_list lock_hash[ROW_HASH];
	uint8_t *zeroes;		/* ROW_BYTES_MAX of them */
	uint8_t *sb_mem, *bblog_mem;

	uint64_t full_writes, rmw_writes, rcw_writes;
	uint64_t prereads, degraded_reads, merged_writes;
	uint64_t stream[RAID_STREAMS];	/* where the last writes ended */
	unsigned next_stream;
	unsigned gather_miss, gather_skip;
	bool gather_pays;		/* the last one filled its row */
	raid_used_fn *used;		/* NULL: nobody knows */
	void *used_arg;
	void (*listener)(void *arg, const char *what);
	void *listener_arg;
};

/* Was the parity of this row never made right?  Nothing follows from it. */
static inline bool
row_in_doubt(const struct raid *raid, uint64_t row)
{
	return doubt_overlaps(&raid->doubt, row * raid->map.row_bytes,
	    (row + 1) * raid->map.row_bytes);
}
/* The same for a part of it. */
static inline bool
part_in_doubt(const struct raid *raid, uint64_t row, struct row_range at)
{
	return doubt_overlaps(&raid->doubt, row * raid->map.row_bytes + at.lo,
	    row * raid->map.row_bytes + at.hi);
}

static inline void
raid_changed(struct raid *raid)
{
	raid->gen++;
}

void raid_tell(struct raid *raid, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Allocate everything but the members; NULL with err set. */
struct raid *raid_new(struct loop *loop, const struct raid_spec *spec,
    const struct raid_map *map, const struct raid_pools *pools,
    struct err *err);
/* Members are in place: set the geometry and start to serve. */
void raid_run(struct raid *raid);
/* Free; members' blks are the caller's. */
void raid_free(struct raid *raid);
void raid_check(const struct raid *raid);

#endif
