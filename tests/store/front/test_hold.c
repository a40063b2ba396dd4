/*
 * What an append may do with a lease, case by case: cv_hold_check() (contract R1 to R5).
 */
#include <support/test.h>

#include <convo/lease.h>
#include <store/backend.h>

enum { MINE = 1, OTHER = 2, DRAFT = 3, NEWER = 4 };

static const struct hold_case {
	const char *what;
	enum convo_hold does;
	int settles; /* the draft, or 0 */
	bool fresh;  /* its event is not stored yet */
	int holder;  /* who is there */
	bool ended;
	int64_t left_us;
	int draft; /* which is there, or 0 */
	int wanted;
} cases[] = {
	{"takes what nobody has", CONVO_HOLD_TAKE, 0, true, 0, true, 0, 0, 0},
	{"waits for another", CONVO_HOLD_TAKE, 0, true, OTHER, false, 1, 0, CONVO_E_BUSY},
	{"takes what ran out", CONVO_HOLD_TAKE, 0, true, OTHER, false, 0, 0, 0},
	{"takes what was ended", CONVO_HOLD_TAKE, 0, true, OTHER, true, 0, 0, 0},
	{"takes its own again", CONVO_HOLD_TAKE, 0, true, MINE, false, 1, DRAFT, 0},
	{"forces", CONVO_HOLD_FORCE, 0, true, OTHER, false, 1, 0, 0},
	{"sees a draft", CONVO_HOLD_TAKE, 0, true, OTHER, false, 0, DRAFT, STORE_IN_THE_WAY},
	{"sees one by force", CONVO_HOLD_FORCE, 0, true, OTHER, false, 1, DRAFT, STORE_IN_THE_WAY},
	{"settles", CONVO_HOLD_TAKE, DRAFT, true, OTHER, false, 0, DRAFT, 0},
	{"settles another one", CONVO_HOLD_TAKE, DRAFT, true, OTHER, false, 0, NEWER,
	 STORE_IN_THE_WAY},
	{"settles none", CONVO_HOLD_TAKE, DRAFT, true, OTHER, false, 0, 0, STORE_IN_THE_WAY},
	{"does not settle what is written", CONVO_HOLD_TAKE, DRAFT, true, OTHER, false, 1, DRAFT,
	 CONVO_E_BUSY},
	{"settles again, its answer lost", CONVO_HOLD_TAKE, DRAFT, false, MINE, false, 1, 0, 0},
	{"settled, and was replaced", CONVO_HOLD_TAKE, DRAFT, false, OTHER, false, 1, 0,
	 CONVO_E_BUSY},
	{"keeps", CONVO_HOLD_KEEP, 0, true, MINE, false, 0, DRAFT, 0},
	{"keeps what it ended", CONVO_HOLD_KEEP, 0, true, MINE, true, 0, 0, CONVO_E_CONFLICT},
	{"keeps another's", CONVO_HOLD_KEEP, 0, true, OTHER, false, 1, 0, CONVO_E_CONFLICT},
	{"ends", CONVO_HOLD_END, 0, true, MINE, false, 0, DRAFT, 0},
	{"ends again, its answer lost", CONVO_HOLD_END, 0, false, MINE, true, 0, 0, 0},
	{"ends with more", CONVO_HOLD_END, 0, true, MINE, true, 0, 0, CONVO_E_CONFLICT},
	{"ends another's", CONVO_HOLD_END, 0, false, OTHER, true, 0, 0, CONVO_E_CONFLICT},
};

static void test_R1_to_R5_case_by_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct hold_case *c = &cases[i];
		struct store_hold hold = {.what = c->does,
					  .lease = {MINE},
					  .us = 1,
					  .settles = c->settles != 0,
					  .draft = {(unsigned char)c->settles},
					  .draft_len = c->settles};
		struct store_held held = {.lease = {(unsigned char)c->holder},
					  .left_us = c->left_us,
					  .ended = c->ended,
					  .has_draft = c->draft != 0,
					  .draft = {(unsigned char)c->draft},
					  .draft_len = c->draft};
		int got = cv_hold_check(&hold, &held, c->fresh);

		if (got != c->wanted)
			must_not_reach("%s: %d, not %d", c->what, got, c->wanted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_R1_to_R5_case_by_case)};

	return TEST_RUN(tests);
}
