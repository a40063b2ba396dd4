/*
 * Opening a store; see open.h.
 */
#include "open.h"

#include "app/advice.h"
#include "app/exit.h"

int open_store_failed(const struct settings *settings, const struct convo_err *err)
{
	enum advice_side side = advice_side_of(settings->backend);
	struct text advice = {0};

	if (!advice_add(&advice, side, err->code, settings))
		text_clear(&advice);
	term_error("%s%s", err->text, advice.data ? advice.data : "");
	text_clear(&advice);
	return advice_exit(side, err->code);
}

int open_store(convo_store **out, const struct settings *settings)
{
	struct convo_err err = {0};

	if (convo_store_open(out, settings->url.data, &settings->store, &err) < 0)
		return open_store_failed(settings, &err);
	return 0;
}
