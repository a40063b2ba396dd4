/*
 * Tokens; see token.h.
 */
#include "api/token.h"

#include <stdio.h>
#include <string.h>

#include "core/base64url.h"

#define UUID_BYTES 16

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* 32 digits with or without dashes, in lower case. */
static bool uuid_read(unsigned char out[UUID_BYTES], const char *text)
{
	size_t i;

	for (i = 0; i < UUID_BYTES; i++) {
		int high, low;

		if (*text == '-')
			text++;
		high = hex_value(*text);
		low = high < 0 ? -1 : hex_value(text[1]);
		if (low < 0)
			return false;
		out[i] = (unsigned char)(high << 4 | low);
		text += 2;
	}
	return !*text;
}

static void uuid_write(char out[CONVO_UUID_SIZE], const unsigned char uuid[UUID_BYTES])
{
	size_t i, at = 0;

	for (i = 0; i < UUID_BYTES; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out[at++] = '-';
		snprintf(out + at, CONVO_UUID_SIZE - at, "%02x", uuid[i]);
		at += 2;
	}
}

void token_write(char out[TOKEN_SIZE], const struct token *token)
{
	unsigned char bytes[2 * UUID_BYTES + CONVO_MAX_NAME] = {0};
	size_t len = 0, name = strlen(token->session);

	len += uuid_read(bytes, token->generation) || *token->turn ? UUID_BYTES : 0;
	if (*token->turn && uuid_read(bytes + len, token->turn))
		len += UUID_BYTES;
	memcpy(bytes + len, token->session, name);
	len += name;
	memcpy(out, *token->turn ? "resp_" : "conv_", 5);
	base64url_encode(out + 5, bytes, len);
}

static bool token_read(struct token *out, const char *text, const char *kind, size_t uuids)
{
	unsigned char bytes[2 * UUID_BYTES + CONVO_MAX_NAME];
	size_t len, letters, name = uuids * UUID_BYTES;

	memset(out, 0, sizeof(*out));
	letters = strlen(text);
	if (strncmp(text, kind, 5) != 0 || letters - 5 > BASE64URL_LEN(name + CONVO_MAX_NAME) ||
	    !base64url_decode(bytes, &len, text + 5, letters - 5) || len <= name ||
	    len > name + CONVO_MAX_NAME || memchr(bytes + name, '\0', len - name))
		return false;
	uuid_write(out->generation, bytes);
	if (uuids > 1)
		uuid_write(out->turn, bytes + UUID_BYTES);
	memcpy(out->session, bytes + name, len - name);
	return true;
}

bool token_read_response(struct token *out, const char *text)
{
	return token_read(out, text, "resp_", 2);
}

bool token_read_conversation(struct token *out, const char *text)
{
	return token_read(out, text, "conv_", 1);
}

void item_id_write(char out[ITEM_ID_SIZE], const char *kind, const char *event_id, int n)
{
	size_t at = (size_t)snprintf(out, ITEM_ID_SIZE, "%.8s", kind);

	for (; *event_id && at < ITEM_ID_SIZE - 16; event_id++)
		if (*event_id != '-')
			out[at++] = *event_id;
	out[at] = '\0';
	if (n >= 0)
		snprintf(out + at, ITEM_ID_SIZE - at, "_%d", n);
}

bool item_id_read(char out[CONVO_UUID_SIZE], const char *text)
{
	unsigned char uuid[UUID_BYTES];
	char digits[2 * UUID_BYTES + 1];
	const char *at = strchr(text, '_');

	if (!at || at == text || strlen(++at) < sizeof(digits) - 1)
		return false;
	memcpy(digits, at, sizeof(digits) - 1);
	digits[sizeof(digits) - 1] = '\0';
	at += sizeof(digits) - 1;
	if ((*at && *at != '_') || !uuid_read(uuid, digits))
		return false;
	uuid_write(out, uuid);
	return true;
}
