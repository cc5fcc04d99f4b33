/* SPDX-License-Identifier: BSD-2-Clause */
/* Sessions, throttling, proofs and tokens over time. */
#include "config.h"

#include "unit.h"

#include <stdlib.h>
#include <string.h>

#include "core/util.h"
#include "tests/fuzz/http_stub.h"

static struct auth auth;

static int
setup(void **state)
{
	(void)state;
	memset(&auth, 0, sizeof(auth));
	web_stub_reset();
	return 0;
}

static struct session *
login(const char *user, uint64_t now, char id[AUTH_SECRET_SIZE])
{
	return auth_login(&auth, user, ROLE_ADMIN, "192.0.2.1", now, id);
}

static void
an_idle_session_ends(void **state)
{
	char id[AUTH_SECRET_SIZE];
	struct session *s = login("a", 1000, id);

	(void)state;
	assert_ptr_equal(auth_find(&auth, id, 1000 + AUTH_IDLE_S), s);
	s->used_s = 1000 + AUTH_IDLE_S;
	assert_ptr_equal(auth_find(&auth, id, 1000 + 2 * AUTH_IDLE_S), s);
	assert_null(auth_find(&auth, id, 1001 + 2 * AUTH_IDLE_S));
	assert_null(auth_find(&auth, id, 1001 + AUTH_IDLE_S));
}

static void
a_session_ends_after_twelve_hours_even_if_used(void **state)
{
	char id[AUTH_SECRET_SIZE];
	uint64_t now = 1000;
	struct session *s = login("a", now, id);

	(void)state;
	for (; now <= 1000 + AUTH_LIFE_S; now += 600) {
		assert_ptr_equal(auth_find(&auth, id, now), s);
		s->used_s = now;
	}
	assert_null(auth_find(&auth, id, 1001 + AUTH_LIFE_S));
}

static void
the_oldest_session_makes_room(void **state)
{
	char id[AUTH_SESSIONS_MAX + 1][AUTH_SECRET_SIZE];

	(void)state;
	for (unsigned i = 0; i <= AUTH_SESSIONS_MAX; i++)
		login("a", 1000 + i, id[i]);
	assert_null(auth_find(&auth, id[0], 1100));
	for (unsigned i = 1; i <= AUTH_SESSIONS_MAX; i++)
		assert_non_null(auth_find(&auth, id[i], 1100));
	for (unsigned i = 1; i <= AUTH_SESSIONS_MAX; i++)
		assert_string_not_equal(id[i - 1], id[i]);
	assert_int_equal(auth_drop_user(&auth, "a"), AUTH_SESSIONS_MAX);
	assert_null(auth_find(&auth, id[3], 1100));
}

static void
guesses_are_slowed_up_to_a_quarter_of_an_hour_never_for_ever(void **state)
{
	unsigned last = 0;

	(void)state;
	for (unsigned i = 1; i < AUTH_FAILS_FREE; i++) {
		auth_failed(&auth, "192.0.2.1", 1000);
		assert_int_equal(auth_delay(&auth, "192.0.2.1", 1000), 0);
	}
	for (unsigned i = 0; i < 20; i++) {
		unsigned delay;

		auth_failed(&auth, "192.0.2.1", 1000);
		delay = auth_delay(&auth, "192.0.2.1", 1000);
		assert_true(delay >= last && delay > 0);
		last = delay;
	}
	assert_int_equal(last, AUTH_DELAY_MAX_S);
	assert_int_equal(auth_delay(&auth, "192.0.2.2", 1000), 0);
	assert_int_equal(auth_delay(&auth, "192.0.2.1",
	    1000 + AUTH_DELAY_MAX_S), 0);
	auth_passed(&auth, "192.0.2.1");
	assert_int_equal(auth_delay(&auth, "192.0.2.1", 1000), 0);
}

/* --- through the handlers --- */

static int
ask(enum http_method method, const char *target, unsigned who)
{
	char path[200];
	struct http_conn conn = { .http = &web_stub.web.http,
		.peer = "192.0.2.1", .method = method, .path = path };

	web_stub.ncalls = web_stub.nreplies = web_stub.nstreams = 0;
	web_stub.verb = NULL;
	snprintf(path, sizeof(path), "%s", target);
	conn.field[F_HOST] = "localhost";
	conn.field[F_COOKIE] = web_stub.cookie[who];
	conn.field[F_CSRF] = web_stub.csrf[who];
	web_stub_handle(&conn, NULL);
	return web_stub.status;
}

static void
destroying_wants_a_password_of_the_last_five_minutes(void **state)
{
	(void)state;
	/* dozod does not answer here: 503 is "it was asked" */
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/pools/tank", 0), 503);
	assert_string_equal(web_stub.verb, "pool.delete");
	web_stub.session[0]->proved_s -= AUTH_FRESH_S;
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/pools/tank", 0), 503);
	web_stub.session[0]->proved_s -= 1;
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/pools/tank", 0), 403);
	assert_null(web_stub.verb);
	assert_non_null(strstr(web_stub.body, "\"confirm\""));
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/volumes/tank/v", 0), 403);
	/* looking does not */
	assert_int_equal(ask(HTTP_GET, "/api/v1/pools", 0), 503);
}

static void
every_operation_that_destroys_is_marked(void **state)
{
	static const char *const targets[] = { "/api/v1/pools/a",
		"/api/v1/volumes/a/b", "/api/v1/targets/a", "/api/v1/hosts/a",
		"/api/v1/users/a" };

	(void)state;
	web_stub.session[0]->proved_s -= AUTH_FRESH_S + 1;
	for (size_t i = 0; i < nitems(targets); i++) {
		assert_int_equal(ask(HTTP_DELETE, targets[i], 0), 403);
		assert_null(web_stub.verb);
	}
}

static void
a_viewer_reaches_no_verb_that_changes(void **state)
{
	(void)state;
	assert_int_equal(ask(HTTP_GET, "/api/v1/pools", 1), 503);
	assert_string_equal(web_stub.verb, "pool.list");
	assert_int_equal(ask(HTTP_DELETE, "/api/v1/mappings", 1), 403);
	assert_null(web_stub.verb);
	assert_int_equal(ask(HTTP_GET, "/api/v1/support-bundle", 1), 403);
	assert_null(web_stub.verb);
}

int
main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
	const struct CMUnitTest tests[] = {
		T(an_idle_session_ends),
		T(a_session_ends_after_twelve_hours_even_if_used),
		T(the_oldest_session_makes_room),
		T(guesses_are_slowed_up_to_a_quarter_of_an_hour_never_for_ever),
		T(destroying_wants_a_password_of_the_last_five_minutes),
		T(every_operation_that_destroys_is_marked),
		T(a_viewer_reaches_no_verb_that_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
