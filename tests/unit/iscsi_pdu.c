/* SPDX-License-Identifier: BSD-2-Clause */
/* target/iscsi/pdu.c: headers, AHS, digests, serial numbers. */
#include "tests/unit/unit.h"

#include "target/iscsi/pdu.h"

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 3; i >= 0; i--, v >>= 8)
		p[i] = (uint8_t)v;
}

static void
command_header_is_decoded(void **state)
{
	uint8_t bhs[BHS_LEN] = { 0x41, 0xa1, 0, 0, 2, 0x01, 0x02, 0x03, 0, 5 };
	struct pdu pdu;

	(void)state;
	put32(bhs + 16, 0x11223344);
	put32(bhs + 20, 65536);
	put32(bhs + 24, 7);
	put32(bhs + 28, 8);
	bhs[32] = 0x2a;
	bhs[47] = 0xee;
	pdu_decode(&pdu, bhs);
	assert_int_equal(pdu.opcode, OP_SCSI_COMMAND);
	assert_true(pdu.immediate);
	assert_int_equal(pdu.flags, 0xa1);
	assert_int_equal(pdu.ahs_len, 8);
	assert_int_equal(pdu.data_len, 0x010203);
	assert_int_equal(pdu.lun[1], 5);
	assert_int_equal(pdu.itt, 0x11223344);
	assert_int_equal(pdu.edtl, 65536);
	assert_int_equal(pdu.cmd_sn, 7);
	assert_int_equal(pdu.exp_stat_sn, 8);
	assert_int_equal(pdu.cdb[0], 0x2a);
	assert_int_equal(pdu.cdb[15], 0xee);
}

static void
data_out_header_is_decoded(void **state)
{
	uint8_t bhs[BHS_LEN] = { 0x05, 0x80 };
	struct pdu pdu;

	(void)state;
	put32(bhs + 20, 0xffffffff);
	put32(bhs + 36, 3);
	put32(bhs + 40, 8192);
	pdu_decode(&pdu, bhs);
	assert_int_equal(pdu.ttt, TAG_NONE);
	assert_int_equal(pdu.data_sn, 3);
	assert_int_equal(pdu.offset, 8192);
}

static void
login_and_logout_carry_a_cid(void **state)
{
	uint8_t bhs[BHS_LEN] = { 0x43 };
	struct pdu pdu;

	(void)state;
	bhs[21] = 9;
	pdu_decode(&pdu, bhs);
	assert_int_equal(pdu.cid, 9);
	bhs[0] = 0x46;
	pdu_decode(&pdu, bhs);
	assert_int_equal(pdu.cid, 9);
}

static void
response_header_is_encoded(void **state)
{
	struct pdu_out out = { .opcode = OP_DATA_IN, .flags = 0x81, .b3 = 2,
	    .data_len = 0x010203, .itt = 5, .ttt = TAG_NONE, .stat_sn = 6,
	    .exp_cmd_sn = 7, .max_cmd_sn = 8, .w36 = 9, .w40 = 10,
	    .w44 = 11 };
	uint8_t want[BHS_LEN] = { 0x25, 0x81, 0, 2, 0, 1, 2, 3 };
	uint8_t got[BHS_LEN];

	(void)state;
	put32(want + 16, 5);
	put32(want + 20, 0xffffffff);
	for (unsigned i = 0; i < 6; i++)
		put32(want + 24 + 4 * i, 6 + i);
	pdu_encode(&out, got);
	assert_memory_equal(got, want, BHS_LEN);
}

static void
padding_is_to_four_bytes(void **state)
{
	(void)state;
	assert_int_equal(pdu_pad(0), 0);
	assert_int_equal(pdu_pad(1), 3);
	assert_int_equal(pdu_pad(4), 0);
	assert_int_equal(pdu_pad(0xffffff), 1);
}

/* RFC 7143 appendix A (CRC examples). */
static void
digests_of_the_standard(void **state)
{
	uint8_t buf[32], wire[DIGEST_LEN];
	static const uint8_t zeroes[] = { 0xaa, 0x36, 0x91, 0x8a };
	static const uint8_t ones[] = { 0x43, 0xab, 0xa8, 0x62 };
	static const uint8_t rising[] = { 0x4e, 0x79, 0xdd, 0x46 };

	(void)state;
	memset(buf, 0, sizeof(buf));
	digest_finish(digest_add(DIGEST_INIT, buf, sizeof(buf)), wire);
	assert_memory_equal(wire, zeroes, sizeof(wire));
	memset(buf, 0xff, sizeof(buf));
	digest_finish(digest_add(DIGEST_INIT, buf, sizeof(buf)), wire);
	assert_memory_equal(wire, ones, sizeof(wire));
	for (uint8_t i = 0; i < 32; i++)
		buf[i] = i;
	digest_finish(digest_add(DIGEST_INIT, buf, sizeof(buf)), wire);
	assert_memory_equal(wire, rising, sizeof(wire));
	assert_true(digest_matches(digest_add(DIGEST_INIT, buf, 32), rising));
	assert_false(digest_matches(digest_add(DIGEST_INIT, buf, 31), rising));
}

static void
digest_of_pieces_is_the_digest_of_the_whole(void **state)
{
	uint8_t buf[1000];
	struct iovec iov[3] = { { buf, 1 }, { buf + 1, 500 },
	    { buf + 501, 499 } };

	(void)state;
	for (unsigned i = 0; i < sizeof(buf); i++)
		buf[i] = (uint8_t)(i * 7);
	assert_int_equal(digest_add_iov(DIGEST_INIT, iov, 3),
	    digest_add(DIGEST_INIT, buf, sizeof(buf)));
}

static size_t
cdb_with(const uint8_t *ahs, size_t len, uint8_t cdb[64])
{
	struct pdu pdu = { .opcode = OP_SCSI_COMMAND,
	    .ahs_len = (uint32_t)len, .cdb = { 0x7f } };

	return pdu_cdb(&pdu, ahs, cdb, 64);
}

static void
extended_cdb_is_appended(void **state)
{
	/* AHSLength 17: a reserved byte and 16 bytes of CDB. */
	uint8_t ahs[20] = { 0, 17, 1, 0, 0xa0 }, cdb[64];

	(void)state;
	ahs[19] = 0xaf;
	assert_int_equal(cdb_with(ahs, sizeof(ahs), cdb), 32);
	assert_int_equal(cdb[0], 0x7f);
	assert_int_equal(cdb[16], 0xa0);
	assert_int_equal(cdb[31], 0xaf);
	assert_int_equal(cdb_with(NULL, 0, cdb), 16);
}

static void
other_and_malformed_ahs_are_refused(void **state)
{
	static const uint8_t bidi[8] = { 0, 5, 2, 0 };
	static const uint8_t longer[4] = { 0, 200, 1, 0 };
	static const uint8_t empty[4] = { 0, 0, 1, 0 };
	static const uint8_t twice[16] = { 0, 5, 1, 0, 1, 2, 3, 4,
	    0, 5, 1, 0, 1, 2, 3, 4 };
	uint8_t huge[1020] = { 3, 0xf9, 1, 0 }, cdb[64];

	(void)state;
	assert_int_equal(cdb_with(bidi, sizeof(bidi), cdb), 0);
	assert_int_equal(cdb_with(longer, sizeof(longer), cdb), 0);
	assert_int_equal(cdb_with(empty, sizeof(empty), cdb), 0);
	assert_int_equal(cdb_with(twice, sizeof(twice), cdb), 0);
	assert_int_equal(cdb_with(huge, sizeof(huge), cdb), 0);
}

static void
serial_numbers_wrap(void **state)
{
	(void)state;
	assert_true(sn_before(0xffffffff, 0));
	assert_false(sn_before(0, 0xffffffff));
	assert_false(sn_before(5, 5));
	assert_true(sn_between(0xfffffff0, 0xffffffff, 0x10));
	assert_true(sn_between(0xfffffff0, 0x10, 0x10));
	assert_false(sn_between(0xfffffff0, 0x11, 0x10));
	assert_false(sn_between(0xfffffff0, 0xffffffef, 0x10));
	/* An empty window holds nothing. */
	assert_false(sn_between(8, 8, 7));
	assert_false(sn_between(8, 7, 7));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(command_header_is_decoded),
		cmocka_unit_test(data_out_header_is_decoded),
		cmocka_unit_test(login_and_logout_carry_a_cid),
		cmocka_unit_test(response_header_is_encoded),
		cmocka_unit_test(padding_is_to_four_bytes),
		cmocka_unit_test(digests_of_the_standard),
		cmocka_unit_test(digest_of_pieces_is_the_digest_of_the_whole),
		cmocka_unit_test(extended_cdb_is_appended),
		cmocka_unit_test(other_and_malformed_ahs_are_refused),
		cmocka_unit_test(serial_numbers_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
