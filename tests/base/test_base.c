/*
 * Buffers, arenas, text, ids, the ordered set and the clock.
 */
#include <support/test.h>

#include <stdio.h>
#include <stdlib.h>

#include <convo/event.h>

#include <base/alloc.h>
#include <base/arena.h>
#include <base/buf.h>
#include <base/clock.h>
#include <base/order.h>
#include <base/utf8.h>
#include <base/sha256.h>
#include <base/uuid.h>

/* ---- alloc ------------------------------------------------------------------------------ */

static void test_alloc__sizes_that_overflow_are_refused(void **state)
{
	size_t product = 7, cap = 0;
	void *array = NULL;

	(void)state;
	must(cv_mul(3, 5, &product) && product == 15);
	must(cv_mul(0, SIZE_MAX, &product) && product == 0);
	must(cv_mul(SIZE_MAX, 1, &product) && product == SIZE_MAX);
	must(!cv_mul(SIZE_MAX / 2 + 1, 2, &product));
	must(!cv_mul(SIZE_MAX, SIZE_MAX, &product));
	must(cv_alloc(SIZE_MAX / 2, 3) == NULL);
	must(!cv_grow(&array, &cap, SIZE_MAX / 2, 4));
	must(array == NULL && cap == 0);
}

static void test_alloc__arrays_grow_and_keep_what_they_hold(void **state)
{
	int *array = NULL;
	size_t cap = 0, grown = 0;

	(void)state;
	for (size_t i = 0; i < 1000; i++) {
		size_t before = cap;

		must(cv_grow((void **)&array, &cap, i + 1, sizeof(*array)));
		must(cap > i);
		grown += cap != before;
		array[i] = (int)i;
	}
	for (int i = 0; i < 1000; i++)
		must_equal(i, array[i]);
	must(grown < 12); /* at least doubling */
	free(array);
}

/* ---- buf -------------------------------------------------------------------------------- */

static void test_buf__grows_and_ends_with_nul(void **state)
{
	struct cv_buf buf = {0};

	(void)state;
	must_equal_str("", cv_buf_str(&buf));
	must_equal(0, cv_buf_adds(&buf, "ab"));
	must_equal(0, cv_buf_addc(&buf, 'c'));
	must_equal(0, cv_buf_addf(&buf, "%d-%s", 42, "x"));
	must_equal(0, cv_buf_add(&buf, "\0y", 2));
	must_equal(9, buf.len);
	must(memcmp(buf.data, "abc42-x\0y", 10) == 0);
	cv_buf_shift(&buf, 3);
	must(memcmp(buf.data, "42-x\0y", 7) == 0);
	cv_buf_reset(&buf);
	must_equal_str("", cv_buf_str(&buf));
	cv_buf_clear(&buf);
	must(buf.data == NULL && buf.len == 0);
	must_equal(0, cv_buf_adds(&buf, "again"));
	cv_buf_clear(&buf);
}

static void test_buf__does_not_pass_its_ceiling(void **state)
{
	struct cv_buf buf = {.max = 10};
	struct convo_err err;

	(void)state;
	must_equal(0, cv_buf_adds(&buf, "12345678"));
	must_equal(CONVO_E_TOOBIG, cv_buf_adds(&buf, "abc"));
	must_equal_str("12345678", cv_buf_str(&buf)); /* unchanged */
	must_equal(CONVO_E_TOOBIG, cv_buf_addf(&buf, "%s", "abc"));
	must_equal_str("12345678", cv_buf_str(&buf));
	must(cv_buf_room(&buf, 3) == NULL);
	must_equal(0, cv_buf_adds(&buf, "9"));
	must_equal(0, cv_buf_addc(&buf, 'a'));
	must_equal(CONVO_E_TOOBIG, cv_buf_addc(&buf, 'b'));
	must_equal(0, cv_buf_add(&buf, "", 0));
	must_equal(CONVO_E_TOOBIG, cv_buf_add(&buf, "x", SIZE_MAX));
	must_equal_str("123456789a", cv_buf_str(&buf));
	must_fail_with(CONVO_E_TOOBIG, cv_buf_fail(&err, CONVO_E_TOOBIG));
	must_fail_with(CONVO_E_NOMEM, cv_buf_fail(&err, CONVO_E_NOMEM));
	cv_buf_clear(&buf);
}

static void test_buf__room_is_where_bytes_go(void **state)
{
	struct cv_buf buf = {.max = 8};
	char *room;

	(void)state;
	must_equal(0, cv_buf_adds(&buf, "abc"));
	room = cv_buf_room(&buf, 5);
	must(room == buf.data + 3);
	memcpy(room, "defgh", 5);
	buf.len += 5;
	must(cv_buf_room(&buf, 1) == NULL);
	must(memcmp(buf.data, "abcdefgh", 8) == 0);
	cv_buf_clear(&buf);
}

static void test_buf__take_gives_the_string_away(void **state)
{
	struct cv_buf buf = {0};
	char *taken;

	(void)state;
	must_equal(0, cv_buf_adds(&buf, "mine"));
	taken = cv_buf_take(&buf);
	must_equal_str("mine", taken);
	must(buf.data == NULL && buf.len == 0);
	free(taken);
	taken = cv_buf_take(&buf); /* of nothing: a string all the same */
	must_equal_str("", taken);
	free(taken);
	cv_buf_clear(&buf);
}

/* ---- arena ------------------------------------------------------------------------------ */

static void test_arena__memory_is_aligned_and_apart(void **state)
{
	struct cv_arena arena = {0};
	unsigned char *blocks[200];
	struct test_rng rng;
	size_t sizes[200];

	(void)state;
	test_rng_init(&rng);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 200; i++) {
			sizes[i] = test_rng_below(&rng, i % 20 == 0 ? 100000 : 100);
			blocks[i] = cv_arena_alloc(&arena, sizes[i]);
			must(blocks[i] != NULL);
			must_equal(0, (uintptr_t)blocks[i] % _Alignof(max_align_t));
			memset(blocks[i], i, sizes[i]);
		}
		for (int i = 0; i < 200; i++)
			for (size_t k = 0; k < sizes[i]; k++)
				must(blocks[i][k] == i);
		must_equal_str("abc", cv_arena_dup(&arena, "abcdef", 3));
		must_equal_str("", cv_arena_dup(&arena, "", 0));
		must(cv_arena_alloc(&arena, SIZE_MAX - 8) == NULL);
		cv_arena_clear(&arena);
	}
}

/* ---- UTF-8 ------------------------------------------------------------------------------ */

/* By the table of well-formed byte sequences (Unicode 3.9, D92): independent of the decoder. */
static size_t reference_next(const unsigned char *p, size_t len)
{
	static const struct {
		unsigned char first[2], second[2];
		size_t len;
	} rows[] = {
		{{0x00, 0x7f}, {0, 0}, 1},       {{0xc2, 0xdf}, {0x80, 0xbf}, 2},
		{{0xe0, 0xe0}, {0xa0, 0xbf}, 3}, {{0xe1, 0xec}, {0x80, 0xbf}, 3},
		{{0xed, 0xed}, {0x80, 0x9f}, 3}, {{0xee, 0xef}, {0x80, 0xbf}, 3},
		{{0xf0, 0xf0}, {0x90, 0xbf}, 4}, {{0xf1, 0xf3}, {0x80, 0xbf}, 4},
		{{0xf4, 0xf4}, {0x80, 0x8f}, 4},
	};

	for (size_t i = 0; len && i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (p[0] < rows[i].first[0] || p[0] > rows[i].first[1])
			continue;
		if (len < rows[i].len)
			return 0;
		if (rows[i].len > 1 && (p[1] < rows[i].second[0] || p[1] > rows[i].second[1]))
			return 0;
		for (size_t k = 2; k < rows[i].len; k++)
			if (p[k] < 0x80 || p[k] > 0xbf)
				return 0;
		return rows[i].len;
	}
	return 0;
}

static void test_utf8__knows_every_sequence_of_two_and_three_bytes(void **state)
{
	(void)state;
	for (unsigned v = 0; v < 1u << 24; v++) {
		unsigned char text[3] = {(unsigned char)(v >> 16), (unsigned char)(v >> 8),
					 (unsigned char)v};

		if (cv_utf8_next((char *)text, 3, NULL) != reference_next(text, 3))
			must_not_reach("%06x", v);
		if (v % 251 == 0 && cv_utf8_next((char *)text, 2, NULL) != reference_next(text, 2))
			must_not_reach("%06x cut", v);
	}
}

static void test_utf8__knows_sequences_of_four_bytes(void **state)
{
	static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff};

	(void)state;
	for (unsigned first = 0xef; first <= 0xff; first++)
		for (unsigned second = 0; second < 256; second++)
			for (size_t k = 0; k < 64; k++) {
				unsigned char text[4] = {(unsigned char)first,
							 (unsigned char)second, edges[k % 8],
							 edges[k / 8]};

				must_equal(reference_next(text, 4),
					   cv_utf8_next((char *)text, 4, NULL));
			}
}

static void test_utf8__gives_the_code_point(void **state)
{
	uint32_t cp = 0;

	(void)state;
	must_equal(1, cv_utf8_next("a", 1, &cp));
	must_equal('a', cp);
	must_equal(1, cv_utf8_next("", 1, &cp));
	must_equal(0, cp);
	must_equal(2, cv_utf8_next("\xc3\xa9", 2, &cp));
	must_equal(0xe9, cp);
	must_equal(3, cv_utf8_next("\xe2\x82\xac", 3, &cp));
	must_equal(0x20ac, cp);
	must_equal(4, cv_utf8_next("\xf4\x8f\xbf\xbf", 4, &cp));
	must_equal(0x10ffff, cp);
	must_equal(0, cv_utf8_next("a", 0, &cp));
}

/* The cases of Unicode 3.9, tables 3-8 to 3-11, and U+0000. */
static void test_utf8__repair_replaces_maximal_subparts(void **state)
{
#define R "\xef\xbf\xbd"
	static const struct {
		const char *from;
		size_t len;
		const char *to;
	} cases[] = {
		{"plain", 5, "plain"},
		{"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", 9, R R R R R R R R "A"},
		{"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", 9, R R R R R R R R "A"},
		{"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", 9, R R R R R "A" R R "B"},
		{"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", 9, R R R R "A"},
		{"a\0b", 3, "a" R "b"},
		{"\xf0\x9f\x98", 3, R},
		{"\xf0\x9f\x98\x80", 4, "\xf0\x9f\x98\x80"},
		{"\x80", 1, R},
		{"", 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cv_buf out = {0};

		must_equal(0, cv_buf_repair(&out, cases[i].from, cases[i].len));
		must_equal_str(cases[i].to, cv_buf_str(&out));
		cv_buf_clear(&out);
	}
#undef R
}

/* What is repaired is valid, and stays as it is when it was valid and held no U+0000. */
static void test_utf8__repair_of_anything_is_valid(void **state)
{
	static const unsigned char favourites[] = {0x00, 0x41, 0x7f, 0x80, 0x9f, 0xa0, 0xbf,
						   0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xff};
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 20000; i++) {
		struct cv_buf out = {0};
		char text[16];
		size_t len = test_rng_below(&rng, sizeof(text));

		for (size_t k = 0; k < len; k++)
			text[k] = (char)favourites[test_rng_below(&rng, sizeof(favourites))];
		must_equal(0, cv_buf_repair(&out, text, len));
		must(cv_utf8_valid(cv_buf_str(&out), out.len));
		must(!memchr(cv_buf_str(&out), 0, out.len));
		if (cv_utf8_valid(text, len) && !memchr(text, 0, len))
			must(out.len == len && memcmp(cv_buf_str(&out), text, len) == 0);
		cv_buf_clear(&out);
	}
}

static void test_utf8__tail_is_what_more_bytes_could_complete(void **state)
{
	(void)state;
	must_equal(0, cv_utf8_tail("abc", 3));
	must_equal(0, cv_utf8_tail("", 0));
	must_equal(1, cv_utf8_tail("a\xc3", 2));
	must_equal(2, cv_utf8_tail("a\xe2\x82", 3));
	must_equal(3, cv_utf8_tail("\xf0\x9f\x98", 3));
	must_equal(0, cv_utf8_tail("\xf0\x9f\x98\x80", 4));
	must_equal(0, cv_utf8_tail("\xe2\x82\xac", 3));
	must_equal(0, cv_utf8_tail("a\x80", 2)); /* nothing completes it */
	must_equal(0, cv_utf8_tail("\xc0", 1));
	must_equal(0, cv_utf8_tail("\xed\xa0", 2)); /* would be a surrogate */
	must_equal(0, cv_utf8_tail("\xf4\x90", 2)); /* past U+10FFFF */
	must_equal(0, cv_utf8_tail("\xff", 1));
}

/* ---- ids -------------------------------------------------------------------------------- */

static void must_hash(const char *want, const char *data, size_t len)
{
	unsigned char digest[SHA256_BYTES];
	char hex[2 * SHA256_BYTES + 1];

	cv_sha256(digest, data, len);
	for (size_t i = 0; i < SHA256_BYTES; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	must_equal_str(want, hex);
}

/* The standard's examples, and lengths around the ends of a block. */
static void test_sha256__is_the_standards(void **state)
{
	char data[200];

	(void)state;
	memset(data, 'a', sizeof(data));
	must_hash("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", "", 0);
	must_hash("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "abc", 3);
	must_hash("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
		  "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56);
	must_hash("9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318", data, 55);
	must_hash("b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a", data, 56);
	must_hash("7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34", data, 63);
	must_hash("ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb", data, 64);
	must_hash("635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0", data, 65);
	must_hash("31eba51c313a5c08226adf18d4a359cfdfd8d2e816b13f4af952f7ea6584dcfb", data, 119);
	must_hash("2f3d335432c70b580af0e8e1b3674a7c020d683aa5f73aaaedfdc55af904c21c", data, 120);
	must_hash("6836cf13bac400e9105071cd6af47084dfacad4e5e302c94bfed24e013afb73e", data, 128);
	must_hash("c2a908d98f5df987ade41b5fce213067efbcc21ef2240212a41e54b5e7c28ae5", data, 200);
}

static void test_uuid__formats_what_it_parses(void **state)
{
	static const char text[] = "0191e2a4-7b2c-7abc-8def-0123456789ab";
	unsigned char uuid[UUID_BYTES];
	char back[CONVO_UUID_SIZE];

	(void)state;
	must(cv_uuid_parse(uuid, text));
	must(uuid[0] == 0x01 && uuid[1] == 0x91 && uuid[15] == 0xab);
	cv_uuid_format(back, uuid);
	must_equal_str(text, back);
	must(cv_uuid_parse(uuid, "0191E2A4-7B2C-7ABC-8DEF-0123456789AB"));
	cv_uuid_format(back, uuid);
	must_equal_str(text, back);
	must(!cv_uuid_parse(uuid, ""));
	must(!cv_uuid_parse(uuid, "0191e2a4-7b2c-7abc-8def-0123456789a"));
	must(!cv_uuid_parse(uuid, "0191e2a4-7b2c-7abc-8def-0123456789abc"));
	must(!cv_uuid_parse(uuid, "0191e2a4-7b2c-7abc-8def-0123456789ag"));
	must(!cv_uuid_parse(uuid, "0191e2a47-b2c-7abc-8def-0123456789ab"));
	must(!cv_uuid_parse(uuid, "0191e2a4-7b2c-7abc-8def_0123456789ab"));
}

static void uuid_run(void *ctx, int index)
{
	unsigned char(*uuids)[UUID_BYTES] = ctx;

	for (int i = 0; i < 500; i++)
		cv_uuid_new(uuids[index * 500 + i]);
	for (int i = 1; i < 500; i++)
		must(memcmp(uuids[index * 500 + i - 1], uuids[index * 500 + i], UUID_BYTES) < 0);
}

static int uuid_compare(const void *a, const void *b)
{
	return memcmp(a, b, UUID_BYTES);
}

static void test_uuid__fresh_ones_are_in_order_and_differ(void **state)
{
	unsigned char(*uuids)[UUID_BYTES] = calloc(4 * 500, UUID_BYTES), other[UUID_BYTES];

	(void)state;
	must(uuids != NULL);
	test_threads(4, uuid_run, uuids);
	qsort(uuids, 2000, UUID_BYTES, uuid_compare);
	for (int i = 0; i < 2000; i++) {
		must_equal(7, uuids[i][6] >> 4);
		must_equal(2, uuids[i][8] >> 6);
		must(i == 0 || memcmp(uuids[i - 1], uuids[i], UUID_BYTES) != 0);
	}
	cv_uuid_random(uuids[0]);
	cv_uuid_random(other);
	must_equal(4, other[6] >> 4);
	must_equal(2, other[8] >> 6);
	must(memcmp(uuids[0], other, UUID_BYTES) != 0);
	free(uuids);
}

/* A child must not go on with its parent's random numbers. */
static void uuid_fork(void *ctx, int index)
{
	cv_uuid_random(((unsigned char(*)[UUID_BYTES])ctx)[2 * index]);
	cv_uuid_new(((unsigned char(*)[UUID_BYTES])ctx)[2 * index + 1]);
}

static void test_uuid__processes_make_different_ones(void **state)
{
	unsigned char(*uuids)[UUID_BYTES] = test_shared(16 * UUID_BYTES);
	unsigned char first[UUID_BYTES];

	(void)state;
	cv_uuid_new(first); /* whatever is set up once is set up before the fork */
	cv_uuid_random(first);
	test_processes(8, uuid_fork, uuids);
	qsort(uuids, 16, UUID_BYTES, uuid_compare);
	for (int i = 1; i < 16; i++)
		must(memcmp(uuids[i - 1], uuids[i], UUID_BYTES) != 0);
	test_shared_free(uuids, 16 * UUID_BYTES);
}

/* ---- order ------------------------------------------------------------------------------ */

#define NODES 300

/* The greatest key below another by looking at all that are in. */
static struct order_node *reference_below(struct order_node *nodes, const bool *in, int64_t major,
					  int64_t minor)
{
	struct order_node *best = NULL;

	for (int i = 0; i < NODES; i++) {
		struct order_node *n = &nodes[i];

		if (!in[i] || n->major > major || (n->major == major && n->minor >= minor))
			continue;
		if (!best || n->major > best->major ||
		    (n->major == best->major && n->minor > best->minor))
			best = n;
	}
	return best;
}

static void test_order__finds_what_a_plain_search_finds(void **state)
{
	static struct order_node nodes[NODES];
	static bool in[NODES];
	struct order_node *root = NULL;
	struct test_rng rng;

	(void)state;
	test_rng_init(&rng);
	for (int i = 0; i < 6000; i++) {
		size_t k = test_rng_below(&rng, NODES);
		int64_t major = (int64_t)test_rng_below(&rng, 12) - 1;
		int64_t minor = (int64_t)test_rng_below(&rng, NODES + 2) - 1;

		if (in[k]) {
			cv_order_remove(&root, &nodes[k]);
		} else {
			nodes[k] = (struct order_node){.major = (int64_t)test_rng_below(&rng, 10),
						       .minor = (int64_t)k};
			cv_order_insert(&root, &nodes[k]);
		}
		in[k] = !in[k];
		must(cv_order_below(root, major, minor) ==
		     reference_below(nodes, in, major, minor));
		must(cv_order_below(root, INT64_MAX, INT64_MAX) ==
		     reference_below(nodes, in, INT64_MAX, INT64_MAX));
		must(!cv_order_least(root) || !cv_order_below(root, cv_order_least(root)->major,
							      cv_order_least(root)->minor));
	}
}

/* ---- clock ------------------------------------------------------------------------------ */

static void test_clock__every_reading_is_larger(void **state)
{
	int64_t before = cv_clock_us(), mono = cv_clock_mono_us();

	(void)state;
	for (int i = 0; i < 10000; i++) {
		int64_t now = cv_clock_us();

		must(now > before);
		before = now;
	}
	cv_clock_shift_us(INT64_C(3600000000));
	must(cv_clock_us() >= before + INT64_C(3600000000) - 1000000);
	cv_clock_shift_us(0);
	must(cv_clock_us() < before + INT64_C(60000000)); /* set back: followed */
	must(cv_clock_mono_us() >= mono);
	must(cv_clock_mono_us() - mono < INT64_C(60000000)); /* not shifted */
}

/* ---- messages --------------------------------------------------------------------------- */

static void test_message__what_is_missing_is_refused(void **state)
{
	struct convo_err err;
	char *out = NULL;

	(void)state;
	must_fail_with(CONVO_E_INVALID, convo_message_make(&out, NULL, "x", 1, &err));
	must_fail_with(CONVO_E_INVALID, convo_message_make(&out, "user", NULL, 1, &err));
	must_fail_with(CONVO_E_INVALID, convo_message_text(&out, NULL, 0, &err));
	must(!out);
	must_pass(convo_message_make(&out, "user", NULL, 0, &err));
	must_equal_str("{\"role\":\"user\",\"content\":\"\"}", out);
	free(out);
}

int main(void)
{
	const struct CMUnitTest base[] = {
		cmocka_unit_test(test_alloc__sizes_that_overflow_are_refused),
		cmocka_unit_test(test_alloc__arrays_grow_and_keep_what_they_hold),
		cmocka_unit_test(test_buf__grows_and_ends_with_nul),
		cmocka_unit_test(test_buf__does_not_pass_its_ceiling),
		cmocka_unit_test(test_buf__room_is_where_bytes_go),
		cmocka_unit_test(test_buf__take_gives_the_string_away),
		cmocka_unit_test(test_arena__memory_is_aligned_and_apart),
		cmocka_unit_test(test_utf8__knows_every_sequence_of_two_and_three_bytes),
		cmocka_unit_test(test_utf8__knows_sequences_of_four_bytes),
		cmocka_unit_test(test_utf8__gives_the_code_point),
		cmocka_unit_test(test_utf8__repair_replaces_maximal_subparts),
		cmocka_unit_test(test_utf8__repair_of_anything_is_valid),
		cmocka_unit_test(test_utf8__tail_is_what_more_bytes_could_complete),
		cmocka_unit_test(test_sha256__is_the_standards),
		cmocka_unit_test(test_uuid__formats_what_it_parses),
		cmocka_unit_test(test_uuid__fresh_ones_are_in_order_and_differ),
		cmocka_unit_test(test_uuid__processes_make_different_ones),
		cmocka_unit_test(test_order__finds_what_a_plain_search_finds),
		cmocka_unit_test(test_clock__every_reading_is_larger),
		cmocka_unit_test(test_message__what_is_missing_is_refused),
	};

	return TEST_RUN(base);
}
