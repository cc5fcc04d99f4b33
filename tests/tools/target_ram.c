/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An iSCSI target with RAM disks and nothing else: the fixture of the
 * protocol tests.  Prints "port N" when it listens.
 *
 *	target_ram [-p port] [-a addr] [-s MiB] [-b block] [-l luns]
 *	    [-t targets] [-c user:secret] [-m user:secret] [-i iqn-pattern]
 *	    [-n network] [-q queue-depth] [-L large-buffers] [-M] [-P tag:port]
 *	    [-B physical-block] [-R] [-r] [-T]
 *
 * -R: removable media; -r: read-only; -T: thick, no UNMAP.
 *
 * SIGUSR1 stalls the disks, and lets them go on the next time.  SIGUSR2 takes
 * all LUNs away, and gives them back the next time.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "block/blk.h"
#include "core/log.h"
#include "core/loop.h"
#include "target/target.h"

#define LUNS_MAX 16u
#define TARGETS_MAX 64u

struct fixture {
	struct loop *loop;
	struct target_server *server;
	struct blk *faults[LUNS_MAX];
	struct scsi_lu *lus[LUNS_MAX];
	struct target_conf_target targets[TARGETS_MAX];
	struct target_map_conf maps[LUNS_MAX * TARGETS_MAX];
	struct target_host_conf host;
	struct target_conf conf;
	const char *iqn, *network, *addr;
	unsigned nluns, ntargets;
	uint64_t size;
	uint32_t block, physical_block;
	bool removable, read_only, thick;
	uint16_t port, more_port, more_tag;
	bool stalled, unmapped;
	struct target_server_params params;
};

static void
die(const char *what)
{
	fprintf(stderr, "target_ram: %s\n", what);
	exit(1);
}

static void
check_err(const struct err *err)
{
	if (err_is(err))
		die(err->text);
}

static void
parse_chap(struct target_chap *chap, const char *arg)
{
	const char *colon = strchr(arg, ':');

	if (colon == NULL || (size_t)(colon - arg) >= sizeof(chap->user) ||
	    strlen(colon + 1) >= sizeof(chap->secret))
		die("want user:secret");
	memcpy(chap->user, arg, (size_t)(colon - arg));
	strcpy(chap->secret, colon + 1);
}

static void
parse_portal(struct fixture *f, const char *arg)
{
	unsigned tag, port;

	if (sscanf(arg, "%u:%u", &tag, &port) != 2)
		die("want tag:port");
	f->more_tag = (uint16_t)tag;
	f->more_port = (uint16_t)port;
}

static void
parse_args(struct fixture *f, int argc, char **argv)
{
	static const char options[] = "a:b:B:c:i:l:L:m:Mn:p:P:q:rRs:t:Tv";
	int c;

	while ((c = getopt(argc, argv, options)) != -1) {
		unsigned long n = optarg != NULL ? strtoul(optarg, NULL, 10) :
		    0;

		switch (c) {
		case 'a': f->addr = optarg; break;
		case 'b': f->block = (uint32_t)n; break;
		case 'B': f->physical_block = (uint32_t)n; break;
		case 'r': f->read_only = true; break;
		case 'R': f->removable = true; break;
		case 'T': f->thick = true; break;
		case 'c': parse_chap(&f->host.chap, optarg); break;
		case 'i': f->iqn = optarg; break;
		case 'l': f->nluns = (unsigned)MIN(n, LUNS_MAX); break;
		case 'L': f->params.buffers_large = (unsigned)n; break;
		case 'm': parse_chap(&f->host.mutual, optarg); break;
		case 'M': f->conf.allow_md5 = false; break;
		case 'n': f->network = optarg; break;
		case 'p': f->port = (uint16_t)n; break;
		case 'P': parse_portal(f, optarg); break;
		case 'q': f->params.queue_depth = (unsigned)n; break;
		case 's': f->size = n * MIB; break;
		case 't': f->ntargets = (unsigned)MIN(n, TARGETS_MAX); break;
		case 'v': log_debug_on[LOG_ISCSI] = true;
			log_set_level(LOG_L_DEBUG); break;
		default: die("bad option");
		}
	}
}

static void
make_luns(struct fixture *f)
{
	for (unsigned i = 0; i < f->nluns; i++) {
		struct scsi_lu_params params = { .write_cache = true,
		    .thin = !f->thick, .removable = f->removable,
		    .read_only = f->read_only };
		uint8_t uuid[16] = { 0xd0, 0x20, (uint8_t)i };
		struct blk *ram = blk_ram_new(f->loop, f->size, f->block);

		if (ram == NULL)
			die("no memory for a RAM disk");
		f->faults[i] = blk_fault_new(ram);
		if (f->faults[i] != NULL && f->physical_block != 0)
			f->faults[i]->geo.physical_block = f->physical_block;
		scsi_lu_id_from_uuid(&params.id, uuid);
		snprintf(params.name, sizeof(params.name), "ram%u", i);
		f->lus[i] = scsi_lu_new(f->loop, f->faults[i], &params, NULL);
		if (f->faults[i] == NULL || f->lus[i] == NULL)
			die("no memory for a LUN");
	}
}

static void
apply(struct fixture *f)
{
	struct err err = { 0 };
	struct target_conf conf = f->conf;

	if (f->unmapped)
		conf.nmaps = 0;
	target_apply(f->server, &conf, &err);
	check_err(&err);
}

static void
configure(struct fixture *f)
{
	for (unsigned t = 0; t < f->ntargets; t++) {
		snprintf(f->targets[t].name, sizeof(f->targets[t].name),
		    t == 0 ? "iqn.2026-01.org.dozo:ram" :
		    "iqn.2026-01.org.dozo:ram%u", t);
		for (unsigned l = 0; l < f->nluns; l++) {
			struct target_map_conf *map =
			    &f->maps[f->conf.nmaps++];

			map->target = t;
			map->lu = f->lus[l];
			map->lun = (uint16_t)l;
		}
	}
	strcpy(f->host.name, "any");
	f->host.iqns = &f->iqn;
	f->host.niqns = f->iqn != NULL;
	f->host.networks = &f->network;
	f->host.nnetworks = f->network != NULL;
	f->conf.targets = f->targets;
	f->conf.ntargets = f->ntargets;
	f->conf.hosts = &f->host;
	f->conf.nhosts = 1;
	f->conf.maps = f->maps;
	apply(f);
}

static void
listen_on(struct fixture *f, uint16_t port, uint16_t tag)
{
	struct sock_addr addr = { .port = port };
	struct err err = { 0 };

	if (f->addr != NULL)
		strncpy(addr.text, f->addr, sizeof(addr.text) - 1);
	target_portal_add(f->server, &addr, tag, &err);
	check_err(&err);
}

static void
on_stall(void *arg)
{
	struct fixture *f = arg;
	struct fault_rule rule = { .action = FAULT_STALL };

	f->stalled = !f->stalled;
	for (unsigned i = 0; i < f->nluns; i++) {
		if (f->stalled)
			(void)blk_fault_add(f->faults[i], &rule);
		else
			blk_fault_clear(f->faults[i]);
	}
}

static void
on_unmap(void *arg)
{
	struct fixture *f = arg;

	f->unmapped = !f->unmapped;
	apply(f);
}

static void
on_term(void *arg)
{
	struct fixture *f = arg;

	loop_stop(f->loop);
}

static void
tear_down(struct fixture *f)
{
	struct target_server_stop stop = { .server = f->server };

	if (f->stalled)
		on_stall(f);
	target_server_stop_start(&stop, NULL);
	loop_run_op(f->loop, &stop.op);
	for (unsigned i = 0; i < f->nluns; i++) {
		scsi_lu_free(f->lus[i]);
		blk_close(f->faults[i]);
	}
	loop_free(f->loop);
}

static void
on_signal(struct fixture *f, int signo, void (*fn)(void *))
{
	if (loop_on_signal(f->loop, signo, fn, f) != 0)
		die("cannot catch a signal");
}

int
main(int argc, char **argv)
{
	static struct fixture f = { .nluns = 1, .ntargets = 1, .block = 512,
	    .size = 64 * MIB, .addr = "127.0.0.1",
	    .conf = { .allow_md5 = true } };
	struct err err = { 0 };
	unsigned port;

	f.params = target_server_defaults;
	parse_args(&f, argc, argv);
	f.loop = loop_new(&err);
	check_err(&err);
	f.server = target_server_new(f.loop, &f.params, &err);
	check_err(&err);
	make_luns(&f);
	configure(&f);
	listen_on(&f, f.port, 1);
	if (f.more_tag != 0)
		listen_on(&f, f.more_port, f.more_tag);
	on_signal(&f, SIGUSR1, on_stall);
	on_signal(&f, SIGUSR2, on_unmap);
	on_signal(&f, SIGTERM, on_term);
	on_signal(&f, SIGINT, on_term);
	port = target_portal_port(f.server);
	printf("port %u\n", port);
	fflush(stdout);
	loop_run(f.loop);
	tear_down(&f);
	return 0;
}
