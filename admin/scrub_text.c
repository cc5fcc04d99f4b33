/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of a scrub as a JSON text.  It says where a scrub goes on, so a
 * text of which one character is not what was written counts for nothing: it
 * carries the hash of all the rest.
 */
#include "config.h"

#include "admin/scrubs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "admin/req.h"

#define FORMAT 1

static const char *const state_names[] = {
	[RAID_SCRUB_NONE] = "none", [RAID_SCRUB_RUNNING] = "running",
	[RAID_SCRUB_CANCELLED] = "cancelled",
	[RAID_SCRUB_FINISHED] = "finished",
};

static json_t *
mismatch_to_json(const struct raid_mismatch *mm)
{
	return json_pack("{s:o, s:i, s:I, s:o, s:i}",
	    "off", json_bytes(mm->off), "nblocks", (int)mm->nblocks,
	    "apart", (json_int_t)mm->apart,
	    "member_off", json_bytes(mm->member_off),
	    "parity", (int)mm->parity);
}

char *
scrub_encode(const char *pool_uuid, const struct raid_scrub_record *r)
{
	json_t *list = json_array(), *json;
	char sum[24], *text;

	for (unsigned i = 0; i < r->nlisted; i++)
		json_array_append_new(list, mismatch_to_json(&r->list[i]));
	json = json_pack("{s:i, s:s, s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, "
	    "s:o}",
	    "format", FORMAT, "pool", pool_uuid,
	    "state", state_names[r->state], "repair", (int)r->repair,
	    "start_s", json_bytes(r->start_s), "end_s", json_bytes(r->end_s),
	    "done", json_bytes(r->done), "total", json_bytes(r->total),
	    "mismatches", json_bytes(r->mismatches),
	    "unread", json_bytes(r->unread), "list", list);
	if (json == NULL || json_array_size(list) != r->nlisted) {
		json_decref(json);
		return NULL;
	}
	etag_of(json, sum);
	json_object_set_new(json, "sum", json_string(sum));
	text = json_dumps(json, JSON_INDENT(1));
	json_decref(json);
	return text;
}

static bool
get_u64(const json_t *json, const char *key, uint64_t *out)
{
	const char *text = json_string_value(json_object_get(json, key));
	char *end;

	if (text == NULL || text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return *end == '\0' && errno == 0;
}

static bool
get_unsigned(const json_t *json, const char *key, unsigned *out)
{
	const json_t *value = json_object_get(json, key);
	json_int_t n = json_integer_value(value);

	*out = (unsigned)n;
	return json_is_integer(value) && n >= 0 && n <= INT32_MAX;
}

static bool
get_state(const json_t *json, enum raid_scrub_state *state)
{
	const char *text = json_string_value(json_object_get(json, "state"));

	for (unsigned i = 0; text != NULL && i < nitems(state_names); i++) {
		*state = (enum raid_scrub_state)i;
		if (strcmp(text, state_names[i]) == 0)
			return true;
	}
	return false;
}

static bool
get_list(const json_t *list, struct raid_scrub_record *r)
{
	const json_t *entry;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > RAID_MISMATCHES)
		return false;
	json_array_foreach((json_t *)(uintptr_t)list, i, entry) {
		struct raid_mismatch *mm = &r->list[r->nlisted++];

		if (!get_u64(entry, "off", &mm->off) ||
		    !get_unsigned(entry, "nblocks", &mm->nblocks) ||
		    !get_unsigned(entry, "apart", &mm->apart) ||
		    !get_u64(entry, "member_off", &mm->member_off) ||
		    !get_unsigned(entry, "parity", &mm->parity))
			return false;
	}
	return true;
}

static bool
get_record(json_t *json, const char *pool_uuid, struct raid_scrub_record *r)
{
	const char *pool = json_string_value(json_object_get(json, "pool"));
	char *said = NULL, sum[24];
	const char *text = json_string_value(json_object_get(json, "sum"));
	unsigned format;
	bool right;

	if (text == NULL || pool == NULL || (said = strdup(text)) == NULL)
		return false;
	json_object_del(json, "sum");
	etag_of(json, sum);
	right = strcmp(sum, said) == 0;
	free(said);
	r->repair = json_is_true(json_object_get(json, "repair"));
	return right && get_unsigned(json, "format", &format) &&
	    format == FORMAT && strcmp(pool, pool_uuid) == 0 &&
	    get_state(json, &r->state) &&
	    get_u64(json, "start_s", &r->start_s) &&
	    get_u64(json, "end_s", &r->end_s) &&
	    get_u64(json, "done", &r->done) &&
	    get_u64(json, "total", &r->total) &&
	    get_u64(json, "mismatches", &r->mismatches) &&
	    get_u64(json, "unread", &r->unread) &&
	    get_list(json_object_get(json, "list"), r);
}

int
scrub_decode(const char *text, size_t len, const char *pool_uuid,
    struct raid_scrub_record *r, struct err *err)
{
	json_t *json = json_loadb(text, len, 0, NULL);
	bool ok;

	memset(r, 0, sizeof(*r));
	ok = json != NULL && get_record(json, pool_uuid, r);
	json_decref(json);
	if (ok)
		return 0;
	memset(r, 0, sizeof(*r));
	return err_set(err, EBADMSG, "it is damaged, or of another pool");
}
