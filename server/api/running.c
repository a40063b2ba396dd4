/*
 * Turns under way; see running.h.
 */
#include "api/running.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Of the threads that may wait for models (64 unless set) so many may wait for other turns. */
#define WAITING_MAX 16

struct running {
	pthread_mutex_t lock;
	struct running_turn *turns; /* below the lock, as `waiting` is */
	unsigned waiting;
};

struct running *running_new(void)
{
	struct running *running = calloc(1, sizeof(*running));

	if (running)
		pthread_mutex_init(&running->lock, NULL);
	return running;
}

void running_free(struct running *running)
{
	if (!running)
		return;
	pthread_mutex_destroy(&running->lock);
	free(running);
}

void running_begin(struct running *running, struct running_turn *turn)
{
	pthread_mutex_lock(&running->lock);
	turn->next = running->turns;
	turn->link = &running->turns;
	if (turn->next)
		turn->next->link = &turn->next;
	running->turns = turn;
	pthread_mutex_unlock(&running->lock);
}

void running_end(struct running *running, struct running_turn *turn)
{
	pthread_mutex_lock(&running->lock);
	*turn->link = turn->next;
	if (turn->next)
		turn->next->link = turn->link;
	pthread_mutex_unlock(&running->lock);
}

static bool turn_is(const struct running_turn *turn, const struct convo_key *key, const char *id)
{
	return !strcmp(turn->id, id) && !strcmp(turn->key.session, key->session) &&
	       !strcmp(turn->key.user, key->user) && !strcmp(turn->key.app, key->app);
}

bool running_cancel(struct running *running, const struct convo_key *key, const char *id)
{
	struct running_turn *turn;
	bool found = false;

	/* Of one that was asked for several times all are stopped: those that wait would ask again. */
	pthread_mutex_lock(&running->lock);
	for (turn = running->turns; turn; turn = turn->next) {
		if (!turn_is(turn, key, id))
			continue;
		convo_cancel_request(turn->cancel);
		found = true;
	}
	pthread_mutex_unlock(&running->lock);
	return found;
}

bool running_wait(struct running *running)
{
	bool ok;

	pthread_mutex_lock(&running->lock);
	ok = running->waiting < WAITING_MAX;
	running->waiting += ok;
	pthread_mutex_unlock(&running->lock);
	return ok;
}

void running_go_on(struct running *running)
{
	pthread_mutex_lock(&running->lock);
	running->waiting--;
	pthread_mutex_unlock(&running->lock);
}
