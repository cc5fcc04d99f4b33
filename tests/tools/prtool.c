/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Persistent reservations from the command line, by libiscsi: each call is a
 * session of its own whose I_T nexus (name and ISID) is always the same.
 *
 *	prtool URL INITIATOR ISID-QUALIFIER COMMAND...
 *
 * COMMANDs, in order: register KEY, aptpl KEY (register to survive a power
 * loss), unregister KEY, reserve KEY TYPE, release KEY TYPE, preempt KEY
 * VICTIM TYPE, clear KEY, keys, reservation, read, write.  Each prints one
 * line: what it found, "good", "conflict" or "check".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

struct tool {
	struct iscsi_context *iscsi;
	int lun;
	char **argv;			/* words not used yet */
};

static const char *
word(struct tool *t)
{
	if (*t->argv == NULL) {
		fprintf(stderr, "prtool: a word is missing\n");
		exit(2);
	}
	return *t->argv++;
}

static uint64_t
number(struct tool *t)
{
	return strtoull(word(t), NULL, 0);
}

static void
say_status(struct scsi_task *task)
{
	if (task == NULL) {
		puts("lost");
		exit(1);
	}
	puts(task->status == SCSI_STATUS_GOOD ? "good" : task->status ==
	    SCSI_STATUS_RESERVATION_CONFLICT ? "conflict" : "check");
	scsi_free_scsi_task(task);
}

static void
out(struct tool *t, int action, uint64_t key, uint64_t new_key, int type,
    int aptpl)
{
	struct scsi_persistent_reserve_out_basic list = {
		.reservation_key = key,
		.service_action_reservation_key = new_key,
		.aptpl = (uint8_t)aptpl,
	};

	say_status(iscsi_persistent_reserve_out_sync(t->iscsi, t->lun, action,
	    0, type, &list));
}

static void
show(struct tool *t, int action)
{
	struct scsi_task *task = iscsi_persistent_reserve_in_sync(t->iscsi,
	    t->lun, action, 4096);
	const struct scsi_persistent_reserve_in_read_keys *keys;
	const struct scsi_persistent_reserve_in_read_reservation *held;
	void *data = task != NULL && task->status == SCSI_STATUS_GOOD ?
	    scsi_datain_unmarshall(task) : NULL;

	if (data == NULL) {
		say_status(task);
		return;
	}
	if (action == SCSI_PERSISTENT_RESERVE_READ_KEYS) {
		keys = data;
		for (int i = 0; i < keys->num_keys; i++)
			printf("%s0x%llx", i > 0 ? " " : "",
			    (unsigned long long)keys->keys[i]);
		puts(keys->num_keys == 0 ? "none" : "");
	} else {
		held = data;
		if (held->reserved)
			printf("0x%llx type %d\n",
			    (unsigned long long)held->reservation_key,
			    (int)held->pr_type);
		else
			puts("none");
	}
	scsi_free_scsi_task(task);
}

static void
move_block(struct tool *t, int write)
{
	static unsigned char data[512];

	say_status(write ? iscsi_write10_sync(t->iscsi, t->lun, 0, data,
	    sizeof(data), 512, 0, 0, 0, 0, 0) : iscsi_read10_sync(t->iscsi,
	    t->lun, 0, 512, 512, 0, 0, 0, 0, 0));
}

static void
command(struct tool *t, const char *name)
{
	uint64_t key, other;

	if (strcmp(name, "keys") == 0) {
		show(t, SCSI_PERSISTENT_RESERVE_READ_KEYS);
	} else if (strcmp(name, "reservation") == 0) {
		show(t, SCSI_PERSISTENT_RESERVE_READ_RESERVATION);
	} else if (strcmp(name, "read") == 0 || strcmp(name, "write") == 0) {
		move_block(t, name[0] == 'w');
	} else if (strcmp(name, "register") == 0) {
		out(t, 6, 0, number(t), 0, 0);
	} else if (strcmp(name, "aptpl") == 0) {
		out(t, 6, 0, number(t), 0, 1);
	} else if (strcmp(name, "unregister") == 0) {
		out(t, 0, number(t), 0, 0, 1);
	} else if (strcmp(name, "clear") == 0) {
		out(t, 3, number(t), 0, 0, 0);
	} else if (strcmp(name, "reserve") == 0 ||
	    strcmp(name, "release") == 0) {
		key = number(t);
		out(t, name[2] == 's' ? 1 : 2, key, 0, (int)number(t), 0);
	} else if (strcmp(name, "preempt") == 0) {
		key = number(t);
		other = number(t);
		out(t, 4, key, other, (int)number(t), 0);
	} else {
		fprintf(stderr, "prtool: no command %s\n", name);
		exit(2);
	}
}

int
main(int argc, char **argv)
{
	struct tool t = { .argv = argv + 4 };
	struct iscsi_url *url;

	if (argc < 5) {
		fprintf(stderr,
		    "usage: prtool URL INITIATOR ISID COMMAND...\n");
		return 2;
	}
	t.iscsi = iscsi_create_context(argv[2]);
	url = t.iscsi != NULL ? iscsi_parse_full_url(t.iscsi, argv[1]) : NULL;
	if (url == NULL) {
		fprintf(stderr, "prtool: %s is no URL\n", argv[1]);
		return 2;
	}
	t.lun = url->lun;
	iscsi_set_targetname(t.iscsi, url->target);
	iscsi_set_session_type(t.iscsi, ISCSI_SESSION_NORMAL);
	iscsi_set_isid_en(t.iscsi, 1, (uint32_t)strtoul(argv[3], NULL, 0));
	if (iscsi_full_connect_sync(t.iscsi, url->portal, url->lun) != 0) {
		fprintf(stderr, "prtool: %s\n", iscsi_get_error(t.iscsi));
		return 1;
	}
	while (*t.argv != NULL)
		command(&t, word(&t));
	iscsi_logout_sync(t.iscsi);
	iscsi_destroy_url(url);
	iscsi_destroy_context(t.iscsi);
	return 0;
}
