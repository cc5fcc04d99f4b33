/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole target against a peer that sends the input: from the first byte of
 * the connection on, or after a normal or a discovery login, with or without
 * digests.  The world is the simulator's, so an input always does the same.
 *
 * byte 0: bits 0-1 how far we log in (0 = not at all, 1 = normal, 2 =
 * discovery, 3 = normal without immediate data), bit 2 header digest, bit 3
 * deliver in small pieces, bit 4 put the right CmdSN into each header.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "block/blk.h"
#include "core/log.h"
#include "core/wire.h"
#include "target/iscsi/pdu.h"
#include "target/target.h"
#include "tests/fuzz/fuzz.h"
#include "tests/sim/sim.h"

#define PORT 3260u

struct peer {
	struct sim *sim;
	struct sim_conn *conn;
	bool gone;
};

struct rig {
	struct sim *sim;
	struct loop *loop;
	struct blk *ram;
	struct scsi_lu *lu;
	struct target_server *server;
	struct peer peer;
};

static void
on_connected(void *arg)
{
	(void)arg;
}

static void
on_data(void *arg, const uint8_t *data, size_t len)
{
	(void)arg;
	(void)data;
	(void)len;
}

static void
on_closed(void *arg)
{
	struct peer *peer = arg;

	peer->gone = true;
}

static const struct sim_conn_ops peer_ops = {
	.connected = on_connected, .data = on_data, .closed = on_closed,
};

static void
start(struct rig *rig)
{
	struct target_server_params params = target_server_defaults;
	struct target_conf_target target = { .name = "iqn.t" };
	struct target_host_conf host = { .name = "any" };
	struct scsi_lu_params lu = { .name = "ram", .write_cache = true };
	struct target_map_conf map = { 0 };
	struct target_conf conf = { &target, 1, &host, 1, &map, 1, true };
	struct sock_addr addr = { .port = PORT };
	const uint8_t uuid[16] = { 1 };

	params.buffers_small = 64;
	params.buffers_large = 64;
	params.connections_max = 4;
	params.queue_depth = 16;
	rig->sim = sim_new(1, false);
	rig->loop = sim_boot(rig->sim);
	rig->ram = blk_ram_new(rig->loop, 1 * MIB, 512);
	scsi_lu_id_from_uuid(&lu.id, uuid);
	rig->lu = scsi_lu_new(rig->loop, rig->ram, &lu, NULL);
	map.lu = rig->lu;
	rig->server = target_server_new(rig->loop, &params, NULL);
	if (rig->ram == NULL || rig->lu == NULL || rig->server == NULL ||
	    target_apply(rig->server, &conf, NULL) != 0 ||
	    target_portal_add(rig->server, &addr, 1, NULL) != 0)
		abort();
	rig->peer.sim = rig->sim;
	rig->peer.conn = sim_connect(rig->sim, PORT, "192.0.2.1", &peer_ops,
	    &rig->peer);
}

static void
stop(struct rig *rig)
{
	struct target_server_stop end = { .server = rig->server };

	sim_conn_free(rig->peer.conn, false);
	sim_sleep(rig->sim, 100);
	target_server_stop_start(&end, NULL);
	sim_run_op(rig->sim, &end.op, SIM_FOREVER);
	scsi_lu_free(rig->lu);
	blk_close(rig->ram);
	sim_shutdown(rig->sim);
	sim_free(rig->sim);
}

static void
login(struct rig *rig, uint8_t mode)
{
	uint8_t pdu[BHS_LEN + 512] = { 0x43, 0x87 };
	struct text_pair { const char *text; bool on; } pairs[] = {
		{ "InitiatorName=iqn.i", true },
		{ "SessionType=Discovery", (mode & 3) == 2 },
		{ "TargetName=iqn.t", (mode & 3) != 2 },
		{ "HeaderDigest=CRC32C", (mode & 4) != 0 },
		{ "InitialR2T=No", (mode & 3) == 1 },
		{ "ImmediateData=No", (mode & 3) == 3 },
		{ "iSCSIProtocolLevel=2", true },
		{ "MaxRecvDataSegmentLength=4096", true },
	};
	struct wire_out out = wire_out(pdu + BHS_LEN, 512);
	size_t len;

	for (size_t i = 0; i < nitems(pairs); i++)
		if (pairs[i].on)
			put_bytes(&out, pairs[i].text,
			    strlen(pairs[i].text) + 1);
	len = wire_used(&out);
	assert(!out.bad);
	pdu[6] = (uint8_t)(len >> 8);
	pdu[7] = (uint8_t)len;
	pdu[8] = 0x80;
	pdu[27] = 1;			/* CmdSN */
	sim_conn_send(rig->peer.conn, pdu, BHS_LEN + len + pdu_pad(
	    (uint32_t)len));
	sim_sleep(rig->sim, 10);
}

/* The input, with CmdSN and header digest put right PDU by PDU. */
static void
send_mended(struct rig *rig, uint8_t mode, const uint8_t *data, size_t size)
{
	uint32_t cmd_sn = 1;

	while (size >= BHS_LEN && !rig->peer.gone) {
		uint8_t head[BHS_LEN + DIGEST_LEN];
		struct wire_out out = wire_out(head + 24, 4);
		struct pdu pdu;
		size_t len;

		memcpy(head, data, BHS_LEN);
		head[4] = 0;			/* no AHS */
		pdu_decode(&pdu, head);
		if (pdu.opcode != OP_DATA_OUT)
			put_be32(&out, cmd_sn);
		if (pdu.opcode <= OP_LOGOUT && pdu.opcode != OP_DATA_OUT &&
		    !pdu.immediate)
			cmd_sn++;
		digest_finish(digest_add(DIGEST_INIT, head, BHS_LEN),
		    head + BHS_LEN);
		sim_conn_send(rig->peer.conn, head, BHS_LEN +
		    ((mode & 4) ? DIGEST_LEN : 0));
		data += BHS_LEN;
		size -= BHS_LEN;
		len = pdu.data_len + pdu_pad(pdu.data_len);
		len = len < size ? len : size;
		if (len > 0)
			sim_conn_send(rig->peer.conn, data, len);
		data += len;
		size -= len;
		sim_sleep(rig->sim, 1);
	}
	if (size > 0)
		sim_conn_send(rig->peer.conn, data, size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rig rig = { 0 };
	uint8_t mode;

	if (size == 0)
		return 0;
	mode = *data++;
	size--;
	log_set_level(LOG_L_ERR);
	start(&rig);
	sim_conn_dribble(rig.peer.conn, (mode & 8) != 0);
	if ((mode & 3) != 0)
		login(&rig, mode);
	if ((mode & 16) != 0)
		send_mended(&rig, mode, data, size);
	else if (size > 0)
		sim_conn_send(rig.peer.conn, data, size);
	sim_sleep(rig.sim, 50);
	stop(&rig);
	return 0;
}
