/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A write load that proves that nothing acknowledged gets lost while the
 * target is killed and started again.
 *
 * Every sector written carries its LBA, a sequence number and a pattern made
 * of both.  When the connection breaks, the tool connects again, says how long
 * that took, reads everything back and goes on.  It makes no attempt to repeat
 * a command, as an initiator would, so that a lost write stays lost.
 *
 * Invariants:
 * - No two writes in flight overlap, so each sector has one value that was
 *   acknowledged last and at most one newer that nobody acknowledged.  After a
 *   break it must hold one of these two, whole.
 * - A sector once read back has that value from then on.
 *
 * -l is for a crash together with a lost disk, where md's format protects what
 * was acknowledged and not what was under way to that disk.
 */
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#define SECTOR 512u
#define WORDS (SECTOR / sizeof(uint64_t))
#define DEPTH_MAX 64u
#define WRITE_MAX 128u			/* sectors */
#define READ_SECTORS 512u

struct verifier;

struct write {
	struct verifier *verifier;
	bool busy;
	uint32_t lba, count;
	uint64_t seq;
	uint8_t data[WRITE_MAX * SECTOR];
};

struct sector {
	uint64_t acked;			/* last acknowledged, 0 = anything */
	uint64_t maybe;			/* newer, unanswered; 0 = none */
	bool busy;			/* part of a write in flight */
};

struct verifier {
	struct iscsi_context *iscsi;
	struct iscsi_url *url;
	const char *initiator, *address;
	bool lost, failed;
	bool lenient;		/* unanswered writes may leave anything */
	uint64_t patience_ms;	/* how long the target may be away */
	unsigned depth, in_flight;
	uint32_t sectors;
	uint64_t seq, rng;
	uint64_t writes_acked, outages;
	uint64_t longest_ms;
	struct sector *sector;
	struct write write[DEPTH_MAX];
};

static volatile sig_atomic_t stop_asked;

static void
on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static uint64_t
mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9u;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static uint64_t
random_below(struct verifier *v, uint64_t bound)
{
	assert(bound > 0);
	v->rng += 0x9e3779b97f4a7c15u;
	return mix(v->rng) % bound;
}

static void
pattern_fill(uint8_t *data, uint64_t lba, uint64_t seq)
{
	uint64_t words[WORDS];

	words[0] = lba;
	words[1] = seq;
	for (unsigned i = 2; i < WORDS; i++)
		words[i] = mix(lba << 32 ^ seq << 8 ^ i);
	memcpy(data, words, SECTOR);
}

/* The sequence number of a whole, right sector; 0 if it is anything else. */
static uint64_t
pattern_seq(const uint8_t *data, uint64_t lba)
{
	uint8_t want[SECTOR];
	uint64_t seq;

	memcpy(&seq, data + sizeof(uint64_t), sizeof(seq));
	pattern_fill(want, lba, seq);
	return memcmp(want, data, SECTOR) == 0 ? seq : 0;
}

static void
write_end(struct write *w, bool acked)
{
	struct verifier *v = w->verifier;

	assert(w->busy);
	assert(v->in_flight > 0);
	for (uint32_t i = 0; i < w->count; i++) {
		struct sector *sector = &v->sector[w->lba + i];

		assert(sector->busy);
		sector->busy = false;
		if (acked) {
			sector->acked = w->seq;
			sector->maybe = 0;
		} else
			sector->maybe = w->seq;
	}
	v->writes_acked += acked;
	w->busy = false;
	v->in_flight--;
}

/* --- connection --- */

static void
disconnect(struct verifier *v)
{
	if (v->iscsi == NULL)
		return;
	iscsi_destroy_context(v->iscsi);	/* answers what is in flight */
	v->iscsi = NULL;
	iscsi_destroy_url(v->url);
	v->url = NULL;
	/* All but one that was half sent: libiscsi forgets that. */
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		if (v->write[i].busy)
			write_end(&v->write[i], false);
	assert(v->in_flight == 0);
}

static bool
connect_once(struct verifier *v)
{
	assert(v->iscsi == NULL);
	v->iscsi = iscsi_create_context(v->initiator);
	if (v->iscsi == NULL)
		return false;
	v->url = iscsi_parse_full_url(v->iscsi, v->address);
	if (v->url == NULL) {
		fprintf(stderr, "wverify: %s\n", iscsi_get_error(v->iscsi));
		iscsi_destroy_context(v->iscsi);
		v->iscsi = NULL;
		return false;
	}
	iscsi_set_noautoreconnect(v->iscsi, 1);
	iscsi_set_targetname(v->iscsi, v->url->target);
	iscsi_set_session_type(v->iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(v->iscsi, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	if (iscsi_full_connect_sync(v->iscsi, v->url->portal, v->url->lun)
	    == 0) {
		v->lost = false;
		return true;
	}
	disconnect(v);
	return false;
}

/* Connect, trying again for a while; milliseconds it took or -1. */
static int64_t
connect_patiently(struct verifier *v)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };
	uint64_t begin = now_ms();

	while (!connect_once(v)) {
		if (now_ms() - begin > v->patience_ms)
			return -1;
		nanosleep(&pause, NULL);
	}
	return (int64_t)(now_ms() - begin);
}

/* --- writing --- */

static void
on_write(struct iscsi_context *iscsi, int status, void *command_data,
    void *private_data)
{
	struct write *w = private_data;
	struct scsi_task *task = command_data;
	struct verifier *v = w->verifier;

	(void)iscsi;
	write_end(w, status == SCSI_STATUS_GOOD);
	if (status == SCSI_STATUS_CHECK_CONDITION && task != NULL &&
	    task->sense.key != SCSI_SENSE_UNIT_ATTENTION) {
		fprintf(stderr, "wverify: write of lba %u: sense %x/%04x\n",
		    w->lba, (unsigned)task->sense.key,
		    (unsigned)task->sense.ascq);
		v->failed = true;
	} else if (status == SCSI_STATUS_CANCELLED ||
	    status == SCSI_STATUS_ERROR)
		v->lost = true;
	if (task != NULL)
		scsi_free_scsi_task(task);
}

static void
on_flush(struct iscsi_context *iscsi, int status, void *command_data,
    void *private_data)
{
	struct verifier *v = private_data;

	(void)iscsi;
	if (status == SCSI_STATUS_CANCELLED || status == SCSI_STATUS_ERROR)
		v->lost = true;
	if (command_data != NULL)
		scsi_free_scsi_task(command_data);
}

/* Choose a range that no write in flight touches. */
static bool
choose_range(struct verifier *v, struct write *w)
{
	w->count = (uint32_t)random_below(v, 4) == 0 ?
	    1 + (uint32_t)random_below(v, WRITE_MAX) :
	    8 * (1 + (uint32_t)random_below(v, 4));
	w->lba = (uint32_t)random_below(v, v->sectors - w->count);
	if (random_below(v, 2) == 0)
		w->lba &= ~7u;
	assert(w->count <= WRITE_MAX);
	assert(w->lba + w->count <= v->sectors);
	for (uint32_t i = 0; i < w->count; i++)
		if (v->sector[w->lba + i].busy)
			return false;
	return true;
}

static void
write_start(struct verifier *v, struct write *w)
{
	int fua = random_below(v, 16) == 0;

	assert(!w->busy);
	if (!choose_range(v, w))
		return;
	w->seq = ++v->seq;
	w->busy = true;
	v->in_flight++;
	for (uint32_t i = 0; i < w->count; i++) {
		struct sector *sector = &v->sector[w->lba + i];

		sector->busy = true;
		pattern_fill(w->data + i * SECTOR, w->lba + i, w->seq);
	}
	if (iscsi_write16_task(v->iscsi, v->url->lun, w->lba, w->data,
	    w->count * SECTOR, SECTOR, 0, 0, fua, 0, 0, on_write, w) == NULL) {
		write_end(w, false);
		v->lost = true;
	}
	if (random_below(v, 64) == 0 && !v->lost)
		iscsi_synchronizecache10_task(v->iscsi, v->url->lun, 0, 0, 0,
		    0, on_flush, v);
}

/* Wait for the socket a little and let libiscsi work. */
static void
service(struct verifier *v)
{
	struct pollfd pfd = { .fd = iscsi_get_fd(v->iscsi),
	    .events = (short)iscsi_which_events(v->iscsi) };

	if (poll(&pfd, 1, 100) < 0 && errno != EINTR) {
		v->lost = true;
		return;
	}
	if (iscsi_service(v->iscsi, pfd.revents) < 0)
		v->lost = true;
}

static void
load(struct verifier *v, uint64_t until_ms)
{
	while (!v->lost && !v->failed && !stop_asked && now_ms() < until_ms) {
		for (unsigned i = 0; i < v->depth && !v->lost; i++)
			if (!v->write[i].busy)
				write_start(v, &v->write[i]);
		if (!v->lost)
			service(v);
	}
	if (!v->lost)
		while (v->in_flight > 0 && !v->lost)
			service(v);
}

/* --- reading back --- */

static bool
sector_right(struct verifier *v, uint32_t lba, const uint8_t *data)
{
	struct sector *sector = &v->sector[lba];
	uint64_t seq = pattern_seq(data, lba);

	if (v->lenient && sector->maybe != 0) {
		sector->acked = seq;	/* 0: whatever, until written again */
		sector->maybe = 0;
		return true;
	}
	if (sector->acked == 0 ||
	    (seq != 0 && (seq == sector->acked || seq == sector->maybe))) {
		sector->acked = seq;
		sector->maybe = 0;
		return true;
	}
	fprintf(stderr, "wverify: lba %u holds %s%llu, not %llu or %llu\n", lba,
	    seq == 0 ? "no pattern of ours, " : "write ",
	    (unsigned long long)seq, (unsigned long long)sector->acked,
	    (unsigned long long)sector->maybe);
	return false;
}

/* Compare all; -1 if the connection broke, else the number of bad sectors. */
static int64_t
verify(struct verifier *v)
{
	int64_t bad = 0;

	assert(v->in_flight == 0);
	for (uint32_t lba = 0; lba < v->sectors; lba += READ_SECTORS) {
		uint32_t count = v->sectors - lba < READ_SECTORS ?
		    v->sectors - lba : READ_SECTORS;
		struct scsi_task *task = iscsi_read16_sync(v->iscsi,
		    v->url->lun, lba, count * SECTOR, SECTOR, 0, 0, 0, 0, 0);

		if (task == NULL || task->status == SCSI_STATUS_CANCELLED ||
		    task->status == SCSI_STATUS_ERROR) {
			if (task != NULL)
				scsi_free_scsi_task(task);
			v->lost = true;
			return -1;
		}
		if (task->status != SCSI_STATUS_GOOD ||
		    task->datain.size != (int)(count * SECTOR)) {
			fprintf(stderr, "wverify: read of lba %u: status %d\n",
			    lba, task->status);
			bad += count;
		} else
			for (uint32_t i = 0; i < count; i++)
				bad += !sector_right(v, lba + i,
				    task->datain.data + i * SECTOR);
		scsi_free_scsi_task(task);
		if (bad > 20)
			break;
	}
	return bad;
}

/* Give every sector its first value. */
static bool
prepare(struct verifier *v)
{
	static uint8_t data[READ_SECTORS * SECTOR];

	v->seq = 1;
	for (uint32_t lba = 0; lba < v->sectors; lba += READ_SECTORS) {
		struct scsi_task *task;
		bool good;

		for (uint32_t i = 0; i < READ_SECTORS; i++) {
			pattern_fill(data + i * SECTOR, lba + i, v->seq);
			v->sector[lba + i].acked = v->seq;
		}
		task = iscsi_write16_sync(v->iscsi, v->url->lun, lba, data,
		    sizeof(data), SECTOR, 0, 0, 0, 0, 0);
		good = task != NULL && task->status == SCSI_STATUS_GOOD;
		if (task != NULL)
			scsi_free_scsi_task(task);
		if (!good)
			return false;
	}
	return true;
}

/*
 * The connection broke: come back and compare.  False when that shows a loss
 * or took too long.
 */
static bool
recover(struct verifier *v)
{
	int64_t took, bad;

	do {
		disconnect(v);
		took = connect_patiently(v);
		if (took < 0) {
			fprintf(stderr, "wverify: not served again\n");
			return false;
		}
		bad = verify(v);
	} while (bad < 0);
	v->outages++;
	if ((uint64_t)took > v->longest_ms)
		v->longest_ms = (uint64_t)took;
	printf("outage %llu: served again after %lld ms, %lld bad sectors, "
	    "%llu writes acknowledged so far\n",
	    (unsigned long long)v->outages, (long long)took, (long long)bad,
	    (unsigned long long)v->writes_acked);
	fflush(stdout);
	return bad == 0;
}

static int
usage(void)
{
	fprintf(stderr, "usage: wverify [-l] [-d depth] [-i initiator] "
	    "[-m MiB] [-p patience in seconds]\n"
	    "               [-s seed] [-t seconds] URL\n"
	    "Writes and verifies until SIGTERM or for so many seconds.\n"
	    "-l: a sector whose write nobody acknowledged may hold anything\n");
	return 2;
}

static int
run(struct verifier *v, uint64_t seconds)
{
	uint64_t until = now_ms() + seconds * 1000;
	int64_t bad;

	if (connect_patiently(v) < 0 || !prepare(v)) {
		fprintf(stderr, "wverify: cannot write %s\n", v->address);
		return 1;
	}
	printf("ready\n");
	fflush(stdout);
	while (!stop_asked && !v->failed && now_ms() < until) {
		load(v, until);
		if (v->lost && !recover(v))
			return 1;
	}
	bad = v->failed ? 0 : verify(v);
	printf("%llu writes acknowledged, %llu outages, longest %llu ms: "
	    "%lld bad sectors\n", (unsigned long long)v->writes_acked,
	    (unsigned long long)v->outages, (unsigned long long)v->longest_ms,
	    (long long)bad);
	if (v->iscsi != NULL && !v->lost)
		iscsi_logout_sync(v->iscsi);
	disconnect(v);
	return v->failed || bad != 0;
}

int
main(int argc, char **argv)
{
	static struct verifier v = { .depth = 16, .sectors = 32 * 2048,
	    .initiator = "iqn.2026-01.test.dozo:wverify", .rng = 1,
	    .patience_ms = 20000 };
	unsigned long seconds = 3600;
	int c, status;

	while ((c = getopt(argc, argv, "d:i:lm:p:s:t:")) != -1)
		switch (c) {
		case 'd':
			v.depth = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			v.initiator = optarg;
			break;
		case 'l':
			v.lenient = true;
			break;
		case 'm':
			v.sectors = (uint32_t)strtoul(optarg, NULL, 10) * 2048;
			break;
		case 'p':
			v.patience_ms = strtoul(optarg, NULL, 10) * 1000;
			break;
		case 's':
			v.rng = strtoul(optarg, NULL, 10);
			break;
		case 't':
			seconds = strtoul(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	if (optind + 1 != argc || v.depth == 0 || v.depth > DEPTH_MAX ||
	    v.sectors == 0)
		return usage();
	v.address = argv[optind];
	for (unsigned i = 0; i < DEPTH_MAX; i++)
		v.write[i].verifier = &v;
	v.sector = calloc(v.sectors, sizeof(*v.sector));
	if (v.sector == NULL)
		return 1;
	signal(SIGTERM, on_stop);
	signal(SIGINT, on_stop);
	signal(SIGPIPE, SIG_IGN);
	status = run(&v, seconds);
	disconnect(&v);
	free(v.sector);
	return status;
}
