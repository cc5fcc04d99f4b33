/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small cases, all of them: one write to a small array, a power cut at every
 * event from its start until the array is clean again, and at each cut every
 * subset of the sectors that were not yet on stable media.
 *
 * From each state that comes out: the array starts complete, or without each
 * one of its members; after a complete start it stops in order, and starts
 * without each member again.  Checked are the oracles of loop_sim.c: A what
 * was durable reads new; B each sector written reads old or new; C all others
 * read as before; D parity fits; G no member is missed after a recovery.
 *
 *	exhaust [-l SECTORS] [-v] [NAME]
 *
 * With more open sectors than -l (12) at a cut: none, all, all but one, each
 * one alone.  Equal states are looked at once.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "block/blk.h"
#include "core/log.h"
#include "raid/map.h"
#include "raid/raid.h"
#include "raid/sb1.h"
#include "tests/sim/mem.h"
#include "tests/sim/sim_image.h"

#define MEMBERS 5u
#define CHUNK 4096u
#define CHUNKS 3u			/* of each member */
#define SECTOR 512u
#define SIZE_MAX_BYTES ((MEMBERS - 1) * CHUNKS * (size_t)CHUNK)
#define SEEN (UINT32_C(1) << 20)
#define CUTS_MAX 2000u
#define AGAIN 4u			/* crashes of a replay, one by one */
#define AGAIN_EACH 8u			/* in one state of so many */

enum method { RMW, RCW, FULL, BARE };

struct config {
	const char *name;
	unsigned n;
	enum raid_policy policy;
	unsigned off, len;		/* of the write, in sectors */
	bool fua;
	int missing;			/* a member lost before; -1: none */
	enum method method;		/* that the write must take */
	bool again;			/* crash its replay as well */
};

/* Chunk 0 is member 0's, chunk 1 member 1's, parity is the last's. */
static const struct config configs[] = {
	{ "scenario_01_02_rmw_with_ppl", 5, RAID_POLICY_PPL, 1, 2, false, -1,
	    RMW, true },
	{ "scenario_01_02_rmw_with_ppl_and_fua", 5, RAID_POLICY_PPL, 1, 1,
	    true, -1, RMW, false },
	{ "scenario_03_rcw_with_ppl", 4, RAID_POLICY_PPL, 0, 9, false, -1,
	    RCW, true },
	{ "scenario_03_two_bands_with_ppl", 4, RAID_POLICY_PPL, 7, 2, false,
	    -1, RMW, false },
	{ "scenario_04_full_stripe_with_ppl", 3, RAID_POLICY_PPL, 0, 16,
	    false, -1, FULL, true },
	{ "scenario_04_full_stripe_with_ppl_and_fua", 3, RAID_POLICY_PPL, 0,
	    16, true, -1, FULL, false },
	{ "scenario_05_cut_between_header_data_and_parity", 3,
	    RAID_POLICY_PPL, 1, 1, false, -1, RCW, true },
	{ "scenario_10_11_flips_of_clean_with_resync", 4, RAID_POLICY_RESYNC,
	    1, 1, false, -1, RMW, false },
	{ "scenario_10_11_flips_of_clean_with_bitmap", 4, RAID_POLICY_BITMAP,
	    1, 1, true, -1, RMW, false },
	{ "full_stripe_with_resync", 3, RAID_POLICY_RESYNC, 0, 16, false, -1,
	    FULL, false },
	{ "rcw_with_bitmap", 4, RAID_POLICY_BITMAP, 0, 9, false, -1, RCW,
	    false },
	{ "write_to_a_lost_member_with_ppl", 4, RAID_POLICY_PPL, 1, 1, true,
	    0, RCW, false },
	{ "write_beside_a_lost_member_with_ppl", 4, RAID_POLICY_PPL, 9, 1,
	    true, 0, RMW, true },
	{ "write_without_parity_with_ppl", 4, RAID_POLICY_PPL, 1, 1, true, 3,
	    BARE, false },
};

struct world {
	const struct config *config;
	struct sim *sim;
	struct sim_disk *disk[MEMBERS];
	struct raid_map map;
	struct raid *raid;
	bool durable;			/* the write, at this cut */
};

static struct sim_image base, cut, again, recovered;
static uint8_t seen_reading[SIZE_MAX_BYTES];
static uint64_t seen[SEEN];
/* Shared with the child that explores one case. */
static struct {
	uint64_t cuts, states, starts;
} *count;
static unsigned limit = 12;
static bool verbose;

/* --- contents: a sector says where it belongs and of which write it is --- */

static void
fill(uint8_t *buf, uint64_t sector, uint64_t version)
{
	uint64_t words[SECTOR / 8];

	for (unsigned i = 0; i < SECTOR / 8; i++)
		words[i] = (sector << 32 | version << 16 | i) *
		    0x9e3779b97f4a7c15u;
	memcpy(buf, words, sizeof(words));
}

static bool
is_version(const uint8_t *buf, uint64_t sector, uint64_t version)
{
	uint8_t want[SECTOR];

	fill(want, sector, version);
	return memcmp(buf, want, SECTOR) == 0;
}

static bool
is_written(const struct config *config, uint64_t sector)
{
	return sector >= config->off && sector < config->off + config->len;
}

/* --- one request --- */

struct one {
	struct op op;
	struct blk *blk;
	struct io io;
	struct iovec iov;
};

static void
one_run(struct op *op)
{
	struct one *one = op_owner(op, struct one);

	if (op->step++ == 0)
		blk_submit(one->blk, &one->io, op);
	else
		op_end(op);
}

static const struct op_type one_type = { .name = "one", .run = one_run };

static void
one_start(struct one *one, struct blk *blk, enum io_kind kind, uint64_t off,
    void *buf, size_t len, unsigned flags)
{
	one->blk = blk;
	one->iov = (struct iovec){ buf, len };
	io_init(&one->io, kind, off, len, &one->iov, 1, flags);
	op_start(&one->op, &one_type, loop_sched(blk->loop), NULL);
}

static int
do_now(struct world *w, enum io_kind kind, uint64_t off, void *buf,
    size_t len)
{
	struct one one;

	one_start(&one, raid_blk(w->raid), kind, off, buf, len, 0);
	sim_run_op(w->sim, &one.op, SIM_FOREVER);
	return one.io.result;
}

/* --- the array --- */

static void
make_disks(struct world *w, uint64_t seed)
{
	char name[16];

	if (w->sim != NULL && !mem_reset())
		sim_free(w->sim);
	w->sim = sim_new(seed, verbose);
	for (unsigned i = 0; i < w->config->n; i++) {
		snprintf(name, sizeof(name), "d%u", i);
		w->disk[i] = sim_disk_new(w->sim, name, 2 * MIB +
		    CHUNKS * CHUNK, SECTOR);
	}
	w->raid = NULL;
}

static struct blk *
open_disk(struct world *w, struct loop *loop, unsigned i)
{
	struct blk *blk;

	if (blk_file_open(loop, sim_disk_name(w->disk[i]), false, &blk,
	    NULL) != 0)
		sim_fail(w->sim, "a disk does not open");
	return blk;
}

static const struct raid_pools pools = { .reqs = 4, .rows = 4, .fixes = 2,
	.bufs = 2 * RAID_MEMBERS_MAX };

static void
create(struct world *w)
{
	struct raid_create *create = calloc(1, sizeof(*create));
	struct loop *loop = sim_boot(w->sim);

	create->loop = loop;
	create->pools = &pools;
	create->spec = (struct raid_spec){ .name = "small", .level = 5,
		.layout = RAID_PARITY_LAST, .policy = w->config->policy,
		.members = w->config->n, .chunk_bytes = CHUNK };
	for (unsigned i = 0; i < w->config->n; i++)
		create->members[i] = open_disk(w, loop, i);
	raid_create_start(create, NULL);
	sim_run_op(w->sim, &create->op, SIM_FOREVER);
	sim_check(w->sim, create->raid != NULL, "create: %s",
	    create->err.text);
	w->raid = create->raid;
	free(create);
}

/* Start without the members of a mask; false if it is refused. */
static struct raid_assemble *
assemble_start(struct world *w, unsigned without)
{
	struct raid_assemble *as = calloc(1, sizeof(*as));

	if (w->config->missing >= 0)
		without |= 1u << w->config->missing;
	count->starts++;
	as->loop = sim_boot(w->sim);
	as->pools = &pools;
	as->allow_degraded = without != 0;
	for (unsigned i = 0; i < w->config->n; i++)
		if ((without >> i & 1) == 0)
			as->blks[as->nblks++] = open_disk(w, as->loop, i);
	raid_assemble_start(as, NULL);
	return as;
}

static bool
assemble(struct world *w, unsigned without, bool may_refuse)
{
	struct raid_assemble *as = assemble_start(w, without);

	sim_run_op(w->sim, &as->op, SIM_FOREVER);
	w->raid = as->raid;
	if (as->raid == NULL) {
		sim_check(w->sim, may_refuse, "refused: %s", as->err.text);
		for (unsigned i = 0; i < as->nblks; i++)
			blk_close(as->blks[i]);
		sim_shutdown(w->sim);
	} else {
		sim_check(w->sim, as->nrejected == 0, "rejected: %s",
		    as->rejected[0].why.text);
	}
	free(as);
	return w->raid != NULL;
}

static void
stop(struct world *w)
{
	struct raid_stop stop = { .raid = w->raid };

	raid_stop_start(&stop, NULL);
	sim_run_op(w->sim, &stop.op, SIM_FOREVER);
	sim_check(w->sim, stop.err.code == 0, "stop: %s", stop.err.text);
	w->raid = NULL;
	sim_shutdown(w->sim);
}

/* --- the oracles --- */

/* Read all, by chunks; a chunk that cannot be read is in bad[]. */
static void
read_all(struct world *w, uint8_t *buf, bool errors_ok, uint32_t *bad)
{
	*bad = 0;
	for (uint64_t off = 0; off < w->map.size; off += CHUNK) {
		int result = do_now(w, IO_READ, off, buf + off, CHUNK);

		if (result == 0)
			continue;
		sim_check(w->sim, errors_ok, "read at %llu fails with %d",
		    (unsigned long long)off, result);
		*bad |= UINT32_C(1) << off / CHUNK;
	}
}

/*
 * A, B and C.  `lost`: the member that was taken away, whose part of the write
 * nobody can tell while it is not durable.
 */
static void
check_reading(struct world *w, const uint8_t *buf, uint32_t bad, int lost)
{
	for (uint64_t s = 0; s < w->map.size / SECTOR; s++) {
		const uint8_t *data = buf + s * SECTOR;
		struct map_place place;
		bool old, new;

		raid_map_locate(&w->map, s * SECTOR, &place);
		if ((bad >> s * SECTOR / CHUNK & 1) != 0)
			continue;
		old = is_version(data, s, 1);
		new = is_version(data, s, 2);
		if (!is_written(w->config, s))
			sim_check(w->sim, old, "sector %llu, not written, "
			    "is changed", (unsigned long long)s);
		else if (w->durable)
			sim_check(w->sim, new, "sector %llu, durable, is "
			    "lost", (unsigned long long)s);
		else
			sim_check(w->sim, old || new || lost ==
			    (int)place.role, "sector %llu is neither old nor "
			    "new", (unsigned long long)s);
	}
}

static void
check_parity(struct world *w)
{
	uint8_t sb[SB1_BYTES];
	struct sb1 decoded;
	uint64_t off, words[CHUNK / 8], sum[CHUNK / 8];

	if (w->config->missing >= 0)
		return;
	sim_disk_peek(w->disk[0], SB1_SECTOR * SECTOR, sb, sizeof(sb));
	sim_check(w->sim, sb1_decode(&decoded, sb, sizeof(sb), NULL) == 0,
	    "superblock is bad");
	sim_check(w->sim, decoded.resync_offset == SB1_CLEAN, "not clean");
	off = decoded.data_offset * SECTOR;
	for (unsigned c = 0; c < CHUNKS; c++) {
		memset(sum, 0, sizeof(sum));
		for (unsigned i = 0; i < w->config->n; i++) {
			sim_disk_peek(w->disk[i], off + c * CHUNK, words,
			    sizeof(words));
			for (unsigned k = 0; k < CHUNK / 8; k++)
				sum[k] ^= words[k];
		}
		for (unsigned k = 0; k < CHUNK / 8; k++)
			sim_check(w->sim, sum[k] == 0, "parity of row %u "
			    "does not fit at byte %u", c, 8 * k);
	}
}

/* May reads fail, and a start be refused, for want of a log? */
static bool
weak(const struct world *w)
{
	return w->config->policy != RAID_POLICY_PPL;
}

static bool
first_time(uint64_t hash)
{
	uint64_t i = (hash ^ hash >> 29) % SEEN;

	for (unsigned n = 0; seen[i] != 0; i = (i + 1) % SEEN, n++) {
		if (seen[i] == hash)
			return false;
		if (n == SEEN / 2) {
			fprintf(stderr, "too many states\n");
			exit(1);
		}
	}
	seen[i] = hash;
	count->states++;
	return true;
}

/* --- from one state on --- */

static void
start_over(struct world *w, const struct sim_image *image, uint64_t kept)
{
	make_disks(w, 1);
	(void)sim_image_put(w->sim, image, kept);
	sim_trace(w->sim, "kept %llx of %u open sectors",
	    (unsigned long long)kept, image->nopen);
}

/* Complete as far as it goes: what is read is left in seen_reading. */
static void
check_complete(struct world *w)
{
	static uint8_t buf[SIZE_MAX_BYTES];
	bool missing = w->config->missing >= 0;
	uint32_t bad;

	(void)assemble(w, 0, false);
	read_all(w, seen_reading, false, &bad);
	check_reading(w, seen_reading, 0, w->config->missing);
	sim_sleep(w->sim, 60000);
	read_all(w, buf, false, &bad);
	sim_check(w->sim, memcmp(buf, seen_reading, w->map.size) == 0,
	    "what was read has changed");
	stop(w);
	if (!missing)
		check_parity(w);
}

static void
check_without(struct world *w, unsigned r)
{
	static uint8_t buf[SIZE_MAX_BYTES];
	uint32_t bad;

	if (!assemble(w, 1u << r, weak(w)))
		return;
	read_all(w, buf, weak(w), &bad);
	check_reading(w, buf, bad, (int)r);
	stop(w);
}

/* After a recovery: each member may be lost, and nothing is. */
static void
check_later_loss(struct world *w)
{
	static uint8_t buf[SIZE_MAX_BYTES];
	uint32_t bad;

	for (unsigned r = 0; r < w->config->n; r++) {
		start_over(w, &recovered, 0);
		(void)assemble(w, 1u << r, false);
		read_all(w, buf, false, &bad);
		sim_check(w->sim, memcmp(buf, seen_reading, w->map.size) == 0,
		    "without member %u something else is read", r);
		stop(w);
	}
}

/* Crash the start itself after so many events, again and again. */
static bool
check_replay_crash(struct world *w, const struct sim_image *image,
    uint64_t kept, unsigned events)
{
	for (unsigned i = 0; i < AGAIN; i++) {
		struct raid_assemble *as;
		bool done;

		if (i == 0)
			start_over(w, image, kept);
		else
			start_over(w, &again, i % 2 == 0 ? 0 : UINT64_MAX);
		as = assemble_start(w, 0);
		done = sim_run_op(w->sim, &as->op, events);
		sim_image_take(w->sim, &again);
		sim_kill(w->sim);
		if (done)
			return false;
	}
	start_over(w, &again, 0);
	check_complete(w);
	return true;
}

static void
check_state(struct world *w, const struct sim_image *image, uint64_t kept)
{
	unsigned events = 1;

	start_over(w, image, kept);
	check_complete(w);
	sim_image_take(w->sim, &recovered);
	if (w->config->missing < 0 &&
	    first_time(sim_image_put(w->sim, &recovered, 0) ^ 1))
		check_later_loss(w);
	for (unsigned r = 0; r < w->config->n && w->config->missing < 0;
	    r++) {
		start_over(w, image, kept);
		check_without(w, r);
	}
	if (!w->config->again || count->states % AGAIN_EACH != 0)
		return;
	while (check_replay_crash(w, image, kept, events))
		events++;
}

/* --- one cut --- */

static bool
is_settled(const struct world *w)
{
	struct raid_info info;

	raid_get_info(w->raid, &info);
	return info.clean;
}

/* The write, and then, unless it is durable itself, a flush. */
struct attempt {
	struct world *w;
	struct one write, flush;
	bool flushing;
};

static bool
attempt_durable(const struct attempt *a)
{
	return a->write.op.ended && (a->w->config->fua ||
	    (a->flushing && a->flush.op.ended) || is_settled(a->w));
}

/* Called after every turn. */
static bool
attempt_done(void *arg)
{
	struct attempt *a = arg;

	if (a->write.op.ended && !a->w->config->fua && !a->flushing) {
		a->flushing = true;
		one_start(&a->flush, a->write.blk, IO_FLUSH, 0, NULL, 0, 0);
		return false;
	}
	return attempt_durable(a) && is_settled(a->w);
}

static void
check_method(struct world *w)
{
	struct raid_info info;
	const struct config *c = w->config;

	raid_get_info(w->raid, &info);
	sim_check(w->sim, info.rmw_writes == (c->method == RMW) &&
	    info.rcw_writes >= (c->method == RCW) &&
	    info.full_writes == (c->method == FULL), "%s takes another way: "
	    "%llu rmw, %llu rcw, %llu full", c->name,
	    (unsigned long long)info.rmw_writes,
	    (unsigned long long)info.rcw_writes,
	    (unsigned long long)info.full_writes);
}

/* Write, and cut the power after so many events.  False: all was over. */
static bool
write_and_cut(struct world *w, uint64_t seed, unsigned events)
{
	static uint8_t data[SIZE_MAX_BYTES];
	const struct config *c = w->config;
	struct attempt a = { .w = w };
	bool done;

	make_disks(w, seed);
	(void)sim_image_put(w->sim, &base, 0);
	(void)assemble(w, 0, false);
	sim_sleep(w->sim, 60000);	/* bits are cleared by then */
	for (unsigned i = 0; i < c->len; i++)
		fill(data + i * SECTOR, c->off + i, 2);
	one_start(&a.write, raid_blk(w->raid), IO_WRITE,
	    c->off * (uint64_t)SECTOR, data, c->len * (size_t)SECTOR,
	    c->fua ? IO_FUA : 0);
	done = sim_run_until(w->sim, attempt_done, &a, events);
	if (done)
		check_method(w);
	sim_check(w->sim, !a.write.op.ended || a.write.io.result == 0,
	    "the write fails");
	w->durable = attempt_durable(&a);
	sim_image_take(w->sim, &cut);
	sim_kill(w->sim);
	return !done;
}

static void
try_subset(struct world *w, uint64_t kept)
{
	uint64_t hash = sim_image_put(w->sim, &cut, kept);

	if (first_time(hash ^ (w->durable ? 2 : 0)))
		check_state(w, &cut, kept);
}

static void
check_cut(struct world *w)
{
	unsigned n = cut.nopen;

	if (n <= limit) {
		for (uint64_t kept = 0; kept < UINT64_C(1) << n; kept++)
			try_subset(w, kept);
		return;
	}
	try_subset(w, 0);
	try_subset(w, UINT64_MAX);
	for (unsigned i = 0; i < n; i++) {
		try_subset(w, UINT64_C(1) << i);
		try_subset(w, ~(UINT64_C(1) << i));
	}
}

/* --- one configuration --- */

static void
make_base(struct world *w)
{
	static uint8_t buf[SIZE_MAX_BYTES];
	int missing = w->config->missing;

	make_disks(w, 1);
	create(w);
	sim_check(w->sim, raid_map_init(&w->map, 5, RAID_PARITY_LAST,
	    w->config->n, CHUNK, CHUNKS * CHUNK, NULL) == 0 &&
	    raid_blk(w->raid)->geo.size == w->map.size, "another size");
	for (uint64_t s = 0; s < w->map.size / SECTOR; s++)
		fill(buf + s * SECTOR, s, 1);
	/* In pieces of one chunk, so that the log holds old records. */
	for (uint64_t off = 0; off < w->map.size; off += CHUNK)
		sim_check(w->sim, do_now(w, IO_WRITE, off, buf + off, CHUNK)
		    == 0, "the first write fails");
	sim_sleep(w->sim, 60000);
	stop(w);
	if (missing >= 0) {
		(void)assemble(w, 0, false);
		sim_sleep(w->sim, 5000);
		stop(w);
	}
	sim_image_take(w->sim, &base);
}

static void
explore(const struct config *config)
{
	struct world world = { .config = config };
	uint64_t cuts = count->cuts, states = count->states;
	uint64_t starts = count->starts;

	memset(seen, 0, sizeof(seen));
	make_base(&world);
	for (uint64_t seed = 1; seed <= 2; seed++)
		for (unsigned events = 0; events < CUTS_MAX; events++) {
			bool more = write_and_cut(&world, seed, events);

			count->cuts++;
			check_cut(&world);
			if (!more)
				break;
		}
	printf("%s: %llu cuts, %llu states, %llu starts\n", config->name,
	    (unsigned long long)(count->cuts - cuts),
	    (unsigned long long)(count->states - states),
	    (unsigned long long)(count->starts - starts));
	fflush(stdout);
}

/* In a process of its own: lives that were cut short leak, as by a crash. */
static bool
explored(const struct config *config)
{
	int status = 0;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		explore(config);
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

int
main(int argc, char **argv)
{
	unsigned passed = 0, failed = 0;
	int c;

	count = mmap(NULL, sizeof(*count), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (count == MAP_FAILED)
		return 1;
	log_set_level(LOG_L_ERR);
	if (!mem_reset())
		limit = 1;		/* a start costs more, in memory too */
	while ((c = getopt(argc, argv, "l:v")) != -1) {
		if (c == 'l')
			limit = (unsigned)strtoul(optarg, NULL, 10);
		else if (c == 'v')
			verbose = true;
		else
			return 2;
	}
	for (size_t i = 0; i < nitems(configs); i++) {
		if (optind < argc && strcmp(argv[optind], configs[i].name) != 0)
			continue;
		if (explored(&configs[i]))
			passed++;
		else
			failed++;
	}
	printf("exhaust: %u passed, %u failed, 0 skipped; %llu cuts, %llu "
	    "states, %llu starts\n", passed, failed,
	    (unsigned long long)count->cuts, (unsigned long long)count->states,
	    (unsigned long long)count->starts);
	return failed > 0;
}
