/* SPDX-License-Identifier: BSD-2-Clause */
/* key=value text, values, negotiation. */
#include "target/iscsi/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "target/iscsi/chap.h"
#include "target/iscsi/keys.h"
#include "tests/fuzz/fuzz.h"

static void
one_pair(struct negotiation *n, const char *key, const char *value,
    struct text_out *out)
{
	uint8_t binary[64];
	const char *list = value;
	char item[16];
	uint64_t number;
	int len;

	(void)key_negotiate(n, key, value, out);
	(void)text_number(value, &number);
	len = text_binary(value, binary, sizeof(binary));
	assert(len <= (int)sizeof(binary) && len != 0);
	while (text_list_next(&list, item, sizeof(item)))
		assert(strlen(item) < sizeof(item));
	(void)chap_choose(value, true);
	assert(out->len <= out->size);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct negotiation n = { .params = iscsi_params_default };
	struct text_acc acc = { NULL, 0, 0 };
	struct text_out out = { .size = 512 };
	char *key, *value;
	size_t half;

	if (size == 0)
		return 0;
	n.discovery = data[0] & 1;
	n.phase = (enum key_phase)((data[0] >> 1) % 3);
	half = (size - 1) / 2;
	if (text_acc_add(&acc, data + 1, half) == 0)
		(void)text_acc_add(&acc, data + 1 + half, size - 1 - half);
	out.buf = malloc(out.size);
	if (out.buf != NULL && acc.buf != NULL) {
		struct text_in in = { acc.buf, acc.buf + acc.len };

		while (text_next(&in, &key, &value) == 1)
			one_pair(&n, key, value, &out);
		keys_settle(&n.params);
	}
	free(out.buf);
	text_acc_fini(&acc);
	return 0;
}
