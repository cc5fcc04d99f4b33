/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Shared between the files of target/iscsi: server, portals, connections,
 * sessions, tasks.
 *
 * Who owns whom: the server has portals, targets and connections.  A
 * connection has a login (until full feature phase), then a stream (receive
 * and transmit) and one session; a session has its tasks and the SCSI nexus.
 * MaxConnections is 1, so a session lives and dies with its connection.
 *
 * One op per connection is the parent of everything that works for it: login,
 * receive, transmit, tasks, task management.  When all have ended the
 * connection is freed: there is nothing else to count.
 */
#ifndef ISCSI_PRIV_H
#define ISCSI_PRIV_H

#include "core/buf.h"
#include "target/iscsi/access.h"
#include "target/iscsi/keys.h"
#include "target/iscsi/pdu.h"
#include "target/iscsi/text.h"
#include "target/target.h"

#define TICK_MS 1000u
#define LOGOUT_WAIT_MS 3000u	/* after an async logout request */
#define TMF_ANSWER_MS 4000u	/* a task management answer, at the latest */
#define RX_STASH_MS 3u		/* then waiting write data is put aside */
#define ABORT_STUCK_NS (2 * NSEC_PER_SEC)
#define STASH_MAX ((size_t)8 << 20)	/* for all connections together */
#define SLOW_PEER_MS 10000u	/* while others wait for buffers */
#define DEAD_SILENT_FACTOR 10u	/* initiators that never answer pings */

#define IMMEDIATE_MAX 16u	/* immediate commands at a time */
#define TMF_MAX 16u
#define CTL_MAX 32u		/* small answers on the way */
#define TX_TASKS 64u		/* task answers in one send */
#define R2T_SLOTS 16u		/* power of two, > MaxOutstandingR2T */
#define ABORTED_MAX 16u		/* tags of tasks aborted lately */
#define HASH_SIZE 256u
#define RX_BUF_LEN (272u * 1024)	/* a PDU with our largest segment */
#define DATA_IN_MAX 262144u	/* one Data-In PDU */

struct conn;
struct login;
struct session;
struct stream;
struct task;

/* --- transmit queue entries (tx.c) --- */

enum tx_kind { TX_CTL, TX_R2T, TX_TASK };

struct tx_item {
	TAILQ_ENTRY(tx_item) link;
	enum tx_kind kind;
	bool queued;		/* on the queue or in a send */
};
TAILQ_HEAD(tx_queue, tx_item);

enum sn_use {
	SN_NONE,	/* StatSN reserved: Data-In without status */
	SN_NEXT,	/* carries the next StatSN and does not use it up */
	SN_TAKE,	/* a status: uses up one StatSN */
};

/* Every answer that is neither of a task nor an R2T. */
struct ctl {
	struct tx_item tx;
	struct pdu_out out;
	enum sn_use sn;
	bool close_after;	/* the logout response */
	bool used;
	void *heap;		/* data segment, freed when sent, or */
	uint8_t small[BHS_LEN];	/* the header that a Reject returns */
};

/* --- connection (conn.c) --- */

/* RFC 7143 8.1.3 */
enum conn_state {
	CONN_XPT_UP,		/* S3 */
	CONN_IN_LOGIN,		/* S4 */
	CONN_LOGGED_IN,		/* S5 */
	CONN_IN_LOGOUT,		/* S6 */
	CONN_LOGOUT_REQUESTED,	/* S7 */
	CONN_CLEANUP_WAIT,	/* S8 */
	CONN_STATES
};

enum conn_event {
	EV_LOGIN_PDU, EV_LOGIN_DONE, EV_ASK_LOGOUT, EV_LOGOUT,
	EV_LOGOUT_SENT, EV_LOST
};

struct conn {
	struct op op;
	struct target_server *server;
	TAILQ_ENTRY(conn) link;
	struct sock *sock;
	struct sock_addr peer, local;
	uint16_t tag;			/* target portal group */
	unsigned id;
	enum conn_state state;
	bool closing;
	struct timer timer;		/* login time limit, then tick */
	struct op_queue enders;		/* logins that wait until we are gone */
	struct login *login;
	struct stream *stream;
	struct session *session;
	struct iscsi_params params;
	uint32_t stat_sn;
	uint64_t heard_ns, pinged_ns;
	bool ping_sent, ping_answered;	/* ... ever */
};
TAILQ_HEAD(conn_list, conn);

void conn_new(struct target_server *server, struct sock *sock, uint16_t tag);
/* The state machine; an event that the state does not know is the end. */
void conn_event(struct conn *conn, enum conn_event event);
/* conn_event(EV_LOST) with a line in the log. */
void conn_fail(struct conn *conn, const char *why);

/* --- login (login.c) --- */

struct login *login_new(struct conn *conn);
void login_start(struct login *login, struct op *parent);
void login_free(struct login *login);
bool login_succeeded(const struct login *login);
/* The connection is closing: stop waiting for an old session's end. */
void login_cancel(struct login *login);

/* --- stream: receive and transmit in full feature phase (rx.c, tx.c) --- */

enum rx_at {
	RX_AT_HEADER,
	RX_AT_SEGMENT,		/* of a task's data, or discarded */
	RX_AT_TRAILER,		/* padding and data digest */
	RX_AT_CONTROL,		/* waiting for a whole control PDU */
};

struct rx {
	struct op op;
	struct io io;
	struct iovec iov[BUF_IOV_MAX + 1];
	uint8_t *buf;
	size_t head, tail;	/* unread bytes of buf */
	enum rx_at at;
	struct pdu pdu;
	struct task *task;	/* whose data is arriving; NULL = discard */
	uint32_t done;		/* bytes of the segment handled */
	uint32_t crc;
	uint32_t direct;	/* bytes that may go into task's buffer */
	bool in_flight;
	unsigned pinned;	/* tasks whose immediate data is in buf */
	bool parked;		/* waits for rx_wake() */
	struct timer stash_timer;	/* parked for want of buffers */
	uint64_t direct_ns;	/* when the receive with `direct` began */
	uint8_t bhs[BHS_LEN];	/* of the PDU in hand, for a Reject */
};

#define TX_IOV 256u
#define TX_ARENA 8192u
#define TX_BYTES_MAX (1024u * 1024)

struct tx {
	struct op op;
	struct io io;
	struct iovec iov[TX_IOV];
	unsigned niov;
	size_t bytes;
	uint8_t arena[TX_ARENA];	/* headers, padding, digests */
	size_t used;
	unsigned tasks;			/* ended in this send */
	uint64_t start_ns;
	bool in_flight;
	struct tx_queue queue, sending;
	bool idle;
};

struct stream {
	struct rx rx;
	struct tx tx;
	struct ctl ctl[CTL_MAX];
	unsigned ctl_used;
	/* Text negotiation in full feature phase (text_ffp.c). */
	struct text_acc text_in;
	char *text_out;
	size_t text_len, text_off;
	uint32_t text_ttt, ping_ttt;
	bool barrier;			/* a task management function begins */
	bool logout;			/* answer when no task is left */
	bool logout_answered;
	struct pdu logout_pdu;
};

struct stream *stream_new(struct conn *conn);
void stream_free(struct stream *stream);
void rx_start(struct conn *conn);
void rx_wake(struct conn *conn);
/* Once a second: write data that does not come. */
void rx_check(struct conn *conn);
void tx_start(struct conn *conn);
/* Once a second: an initiator that does not read. */
void tx_check(struct conn *conn);
void tx_wake(struct conn *conn);
void tx_put(struct conn *conn, struct tx_item *item);
/* Take back an entry that is not yet in a send; false if it is. */
bool tx_take_back(struct conn *conn, struct tx_item *item);
/* NULL if all are used: the receiver waits and tries again. */
struct ctl *ctl_get(struct conn *conn, enum iscsi_opcode opcode,
    enum sn_use sn);
void ctl_put(struct conn *conn, struct ctl *ctl);	/* not sent after all */
void ctl_send(struct conn *conn, struct ctl *ctl);

/* --- control PDUs (control.c, text_ffp.c) --- */

/* False: no resources, the same PDU will be offered again. */
bool control_pdu(struct conn *conn, const struct pdu *pdu,
    const uint8_t *data);
bool control_text(struct conn *conn, const struct pdu *pdu,
    const uint8_t *data);
/* Reject the PDU in the receiver's hand. */
void control_reject(struct conn *conn, enum reject_reason reason);
void control_ping(struct conn *conn);
void control_ask_logout(struct conn *conn);
/* Send the logout response when the last task has ended. */
void control_logout_check(struct conn *conn);

/* --- session (session.c) --- */

struct tmf;

struct session {
	struct conn *conn;
	char initiator[SCSI_NAME_MAX + 1], initiator_alias[64];
	char host[64];
	uint8_t isid[6];
	uint16_t tsih, cid;
	bool discovery;
	struct tgt *tgt;	/* NULL: discovery */
	struct scsi_nexus *nexus;
	char chap_user[SCSI_NAME_MAX + 1];	/* empty: not proved */
	const char *auth;
	bool mutual;
	bool abort_complete;	/* quirk of ESXi, see tmf.c */
	uint64_t since_s;
	/* RFC 7143 4.2.2.1 */
	uint32_t exp_cmd_sn, max_cmd_sn;
	unsigned depth;
	unsigned busy;		/* tasks that take a place in the window */
	unsigned immediate;	/* immediate tasks */
	struct task *tasks;
	unsigned ntasks, nfresh;	/* of them were ever used */
	TAILQ_HEAD(task_list, task) free, live;
	unsigned nlive;
	uint64_t share_used;		/* bytes of data buffers */
	uint64_t data_ns;		/* write data came, or was asked for */
	struct op_queue hungry_tasks;
	unsigned hungry;
	TAILQ_ENTRY(session) hungry_link;
	LIST_HEAD(task_hash, task) hash[HASH_SIZE];
	struct tmf *tmfs;
	uint32_t aborted[ABORTED_MAX];
	unsigned naborted;
	uint64_t reads, writes, read_bytes, write_bytes;
};

enum cmd_sn { CMD_SN_OK, CMD_SN_IGNORE, CMD_SN_GAP };

struct session *session_new(struct conn *conn, const char *initiator,
    const uint8_t isid[6], bool discovery, struct tgt *tgt);
void session_free(struct session *session);
/* Judge a command's CmdSN and move ExpCmdSN. */
enum cmd_sn session_cmd_sn(struct session *session, const struct pdu *pdu);
/* MaxCmdSN as of now; never goes back. */
uint32_t session_max_cmd_sn(struct session *session);
/* Recompute LUN map and host; false: this session may not exist any more. */
bool session_refresh(struct session *session);
/* The live session that a new login replaces, NULL if none. */
struct conn *session_find(struct target_server *server, const char *initiator,
    const uint8_t isid[6], const struct tgt *tgt, uint16_t tag,
    const struct conn *except);
struct conn *session_by_tsih(struct target_server *server, uint16_t tsih);
void session_note_aborted(struct session *session, uint32_t itt);
bool session_was_aborted(const struct session *session, uint32_t itt);
void session_abort_all(struct session *session);

/* --- task (task.c, data_out.c) --- */

/* RFC 7143 11.4.7.2: what went wrong with the data, as ASC and ASCQ. */
enum data_fault {
	FAULT_NONE = 0,
	FAULT_UNSOLICITED = 0x0c0c,	/* unexpected unsolicited data */
	FAULT_AMOUNT = 0x0c0d,		/* not enough, out of order, too much */
	FAULT_CRC = 0x4705,		/* protocol service CRC error */
};

struct r2t {
	struct tx_item tx;
	struct task *task;
	uint32_t ttt, sn, off, len, got, data_sn;
};

struct task {
	struct op op;
	struct scsi_cmd cmd;
	struct session *session;
	TAILQ_ENTRY(task) link;		/* session's free or live list */
	LIST_ENTRY(task) hash;
	struct tx_item tx;
	struct op_queue enders;		/* ABORT TASKs that wait for us */
	uint32_t itt, edtl;
	uint8_t flags;			/* of the command PDU */
	bool immediate, in_hash, in_window;
	bool no_reply;			/* aborted, or connection gone */
	bool no_room;			/* answered TASK SET FULL */
	uint16_t fault;			/* enum data_fault: ASC << 8 | ASCQ */
	bool started;			/* cmd has been given to SCSI */
	/* data-out */
	bool receiving;			/* a PDU with our data is arriving */
	bool unsol_open;		/* unsolicited Data-Out will come */
	bool collected;			/* SCSI has asked for the data */
	bool draining;			/* held until neither is so */
	uint32_t got;			/* bytes received, in order */
	uint32_t unsol_got, unsol_sn, unsol_max;
	const uint8_t *imm;		/* immediate data in the rx buffer */
	uint32_t imm_len;
	uint8_t *stash;			/* first data, while there is no win */
	uint32_t stash_got;
	struct buf *win;		/* what SCSI wants now, or NULL */
	uint32_t win_off, win_end;
	int *win_result;
	struct op *win_op;
	uint32_t r2t_next, r2t_sn;
	unsigned r2t_first, r2t_count;
	uint16_t r2t_gen;
	struct r2t r2t[R2T_SLOTS];
	/* data-in */
	uint32_t sent, in_sn, burst;
	uint64_t share;			/* of the data buffers; share.c */
	bool has_share, is_hungry;
	uint8_t sense_prefix[2];	/* SenseLength on the wire */
};

struct task *task_find(struct session *session, uint32_t itt);
/* NULL if none is free for this (immediate) command. */
struct task *task_get(struct session *session, const struct pdu *pdu);
void task_start(struct task *task);
/* The status has been put into a send: tag and window place are free again. */
void task_retire(struct task *task);
/* No answer, end soon. */
void task_abort(struct task *task);
/* Go on if nothing more has to arrive before the answer. */
void task_drained(struct task *task);
bool task_is_executing(const struct task *task);
/* May SCSI still ask for data?  If not, what comes is thrown away. */
bool task_takes_data(const struct task *task);

/* data_out.c */
extern const struct scsi_xfer_ops data_out_ops;
void data_out_init(struct task *task, const struct pdu *pdu);
/* Bytes of task data that may be received now, from `got` on. */
uint32_t data_out_room(const struct task *task);
/* The next n bytes have been put into the window. */
void data_out_advance(struct task *task, uint32_t n);
/* A data PDU is complete; ok = its digest was right. */
void data_out_pdu_end(struct task *task, const struct pdu *pdu, bool ok);
/* Data that cannot be right: the command will end with this fault. */
void data_out_fail(struct task *task, enum data_fault fault);
/* Immediate data wholly in the receive buffer. */
void data_out_pin(struct task *task, const uint8_t *data, uint32_t len);
void data_out_unpin(struct task *task);
void data_out_rx_wake(struct task *task);
void data_out_window_end(struct task *task, int result);
void data_out_r2t_sent(struct r2t *r2t);

enum data_out_verdict {
	DATA_OUT_OK, DATA_OUT_UNKNOWN, DATA_OUT_ABORTED, DATA_OUT_WRONG
};
enum data_out_verdict data_out_check(struct session *session,
    const struct pdu *pdu, struct task **task);

/* Put the data in the receive buffer aside; false: no memory for it. */
bool data_out_stash(struct task *task);

/* --- shares of the buffers (share.c) --- */

/* False: the task's op waits; on its next run it has its share. */
bool share_take(struct task *task);
void share_put(struct task *task);
/* Stop waiting. */
void share_cancel(struct task *task);
bool stash_new(struct task *task);
void stash_add(struct task *task, const void *data, uint32_t len);
void stash_free(struct task *task);

/* --- task management (tmf.c) --- */

struct tmf *tmf_pool_new(struct session *session);
/* False: none free. */
bool tmf_start(struct session *session, const struct pdu *pdu,
    struct ctl *ctl);

/* --- portals and targets (portal.c) --- */

struct portal {
	TAILQ_ENTRY(portal) link;
	struct target_server *server;
	struct listener *listener;
	struct sock_addr addr;		/* as asked */
	struct sock_addr bound;		/* port 0 resolved */
	uint16_t tag;
};
TAILQ_HEAD(portal_list, portal);

struct tgt_port {
	TAILQ_ENTRY(tgt_port) link;
	uint16_t tag;
	struct scsi_port *port;
};

struct tgt {
	TAILQ_ENTRY(tgt) link;
	char name[SCSI_NAME_MAX + 1], alias[64];
	unsigned sessions;
	bool gone;		/* not in the configuration any more */
	TAILQ_HEAD(, tgt_port) ports;
};
TAILQ_HEAD(tgt_list, tgt);

struct tgt *tgt_get(struct target_server *server, const char *name);
struct tgt *tgt_find(struct target_server *server, const char *name);
struct scsi_port *tgt_port(struct tgt *tgt, uint16_t tag);
void tgt_put(struct target_server *server, struct tgt *tgt);
/*
 * TargetName and TargetAddress lines of target `t` for a session on `conn`:
 * the address the connection came to first.
 */
void portal_addresses(const struct conn *conn, struct text_out *out);
void portals_close(struct target_server *server);

/* --- server (server.c) --- */

#define KNOCKS_MAX 32u

struct target_server {
	struct loop *loop;
	struct target_server_params params;
	struct buf_pool *bufs;
	uint64_t share_used;		/* bytes of bufs, share.c */
	TAILQ_HEAD(, session) hungry;
	size_t stash_used;
	struct conn_list conns;
	unsigned nconns;
	struct portal_list portals;
	struct tgt_list tgts;
	struct access *access;
	unsigned next_conn;
	uint16_t next_tsih;
	struct target_knock knocks[KNOCKS_MAX];	/* newest first */
	unsigned nknocks;
	struct target_server_stop *stop;
	struct timer stop_timer;
	bool stop_held;
};

uint16_t server_tsih(struct target_server *server);
void server_knock(struct target_server *server, const char *initiator,
    const char *target, const struct sock_addr *peer, const char *why);
/* A connection has gone. */
void server_conn_gone(struct target_server *server);

#endif
