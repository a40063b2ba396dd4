/*
 * What is learned of a model; see learned.h.
 */
#include <model/learned.h>

#include <signal.h>
#include <stddef.h>

#include <model/refusal.h>

/* How much the newest factor weighs. */
#define NEWEST 0.3

void cv_learned_init(struct learned *learned)
{
	pthread_mutex_init(&learned->lock, NULL);
}

void cv_learned_clear(struct learned *learned)
{
	if (learned->end) {
		convo_cancel_request(learned->end);
		pthread_join(learned->seeker, NULL);
		convo_cancel_free(learned->end);
	}
	pthread_mutex_destroy(&learned->lock);
}

void cv_learned_get(struct learned *learned, struct model_facts *out)
{
	pthread_mutex_lock(&learned->lock);
	*out = learned->facts;
	pthread_mutex_unlock(&learned->lock);
}

void cv_learned_factor(struct learned *learned, double factor)
{
	struct model_facts *facts = &learned->facts;

	pthread_mutex_lock(&learned->lock);
	facts->factor =
		facts->factor > 0 ? facts->factor + NEWEST * (factor - facts->factor) : factor;
	pthread_mutex_unlock(&learned->lock);
}

void cv_learned_window(struct learned *learned, int64_t window)
{
	pthread_mutex_lock(&learned->lock);
	learned->facts.window = window;
	learned->facts.refused = true;
	pthread_mutex_unlock(&learned->lock);
}

void cv_learned_roles(struct learned *learned, bool alternate, bool no_system)
{
	pthread_mutex_lock(&learned->lock);
	learned->facts.alternate |= alternate;
	learned->facts.no_system |= no_system;
	pthread_mutex_unlock(&learned->lock);
}

/* ---- seeking -------------------------------------------------------------------------- */

/* What a refusal told meanwhile is the truth: lists tell what a model could take elsewhere. */
static void *learned_seek(void *ctx)
{
	struct learned *learned = ctx;
	int64_t window = learned->ask(learned->ctx, learned->end);

	pthread_mutex_lock(&learned->lock);
	if (window >= SMALLEST_WINDOW && window <= LARGEST_WINDOW && !learned->facts.refused)
		learned->facts.window = window;
	pthread_mutex_unlock(&learned->lock);
	return NULL;
}

static void learned_start(struct learned *learned)
{
	sigset_t all, old;

	if (convo_cancel_new(&learned->end, NULL) < 0)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (pthread_create(&learned->seeker, NULL, learned_seek, learned) != 0) {
		convo_cancel_free(learned->end);
		learned->end = NULL;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void cv_learned_seek(struct learned *learned, learned_ask_fn ask, void *ctx)
{
	bool first;

	pthread_mutex_lock(&learned->lock);
	first = !learned->sought && !learned->facts.window;
	learned->sought = true;
	pthread_mutex_unlock(&learned->lock);
	if (!first)
		return;
	learned->ask = ask;
	learned->ctx = ctx;
	learned_start(learned);
}
