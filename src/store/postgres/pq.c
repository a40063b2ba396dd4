/*
 * Loading libpq; see pq.h.
 */
#include <store/postgres/pq.h>

#include <base/dl.h>

struct pq_calls cv_pq;

/* clang-format off */
#define PQ_SYMBOL(name) {"PQ" #name, (void **)&pq.name},
static const struct cv_symbol pq_symbols[] = {PQ_CALLS(PQ_SYMBOL)};
/* clang-format on */
static struct cv_library pq_library = CONVO_LIBRARY("libpq.so.5", pq_symbols);

int cv_pq_need(struct convo_err *err)
{
	return cv_dl_need(&pq_library, NULL, err);
}
