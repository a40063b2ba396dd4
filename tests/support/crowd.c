/*
 * The crowd; see crowd.h.
 */
#include "crowd.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test.h"

#define CLIENTS 64 /* at once */

struct crowd {
	void (*serve)(void *ctx, int client);
	void *ctx;
	int listener, port;
	pthread_t thread;
	pthread_mutex_t lock; /* guards the following */
	pthread_cond_t gone;  /* a client is */
	int client[CLIENTS];  /* -1: none */
};

struct guest {
	struct crowd *crowd;
	int slot, fd;
};

static int crowd_take(struct crowd *crowd, int client)
{
	int slot = 0;

	pthread_mutex_lock(&crowd->lock);
	while (slot < CLIENTS && crowd->client[slot] >= 0)
		slot++;
	must(slot < CLIENTS);
	crowd->client[slot] = client;
	pthread_mutex_unlock(&crowd->lock);
	return slot;
}

static void *guest_thread(void *ctx)
{
	struct guest guest = *(struct guest *)ctx;
	struct crowd *crowd = guest.crowd;

	free(ctx);
	crowd->serve(crowd->ctx, guest.fd);
	pthread_mutex_lock(&crowd->lock);
	close(guest.fd);
	crowd->client[guest.slot] = -1;
	pthread_cond_broadcast(&crowd->gone);
	pthread_mutex_unlock(&crowd->lock);
	return NULL;
}

static void *crowd_thread(void *ctx)
{
	struct crowd *crowd = ctx;
	pthread_t thread;
	int client;

	while ((client = accept(crowd->listener, NULL, NULL)) >= 0) {
		struct guest *guest = malloc(sizeof(*guest));

		must(guest);
		setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
		*guest = (struct guest){crowd, crowd_take(crowd, client), client};
		must(pthread_create(&thread, NULL, guest_thread, guest) == 0);
		pthread_detach(thread);
	}
	return NULL;
}

struct crowd *crowd_start(void (*serve)(void *ctx, int client), void *ctx)
{
	struct crowd *crowd = calloc(1, sizeof(*crowd));

	must(crowd);
	crowd->serve = serve;
	crowd->ctx = ctx;
	for (int i = 0; i < CLIENTS; i++)
		crowd->client[i] = -1;
	pthread_mutex_init(&crowd->lock, NULL);
	pthread_cond_init(&crowd->gone, NULL);
	crowd->listener = test_listen(&crowd->port);
	must(pthread_create(&crowd->thread, NULL, crowd_thread, crowd) == 0);
	return crowd;
}

int crowd_port(const struct crowd *crowd)
{
	return crowd->port;
}

void crowd_end(struct crowd *crowd)
{
	shutdown(crowd->listener, SHUT_RDWR);
	pthread_join(crowd->thread, NULL);
	pthread_mutex_lock(&crowd->lock);
	for (int i = 0; i < CLIENTS; i++) {
		if (crowd->client[i] >= 0)
			shutdown(crowd->client[i], SHUT_RDWR);
		while (crowd->client[i] >= 0)
			pthread_cond_wait(&crowd->gone, &crowd->lock);
	}
	pthread_mutex_unlock(&crowd->lock);
	close(crowd->listener);
	pthread_cond_destroy(&crowd->gone);
	pthread_mutex_destroy(&crowd->lock);
	free(crowd);
}
