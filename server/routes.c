/*
 * Listing routes; see routes.h.
 */
#include "routes.h"

#include "api/apis.h"
#include "app/exit.h"
#include "auth/rights.h"
#include "term/term.h"

static void routes_print_one(const struct http_route *route)
{
	struct text rights = {0};

	if (rights_write(&rights, route->rights))
		term_say("%s\t%s\t%s\n", http_method_name(route->method), route->path,
			 rights.data ? rights.data : "");
	text_clear(&rights);
}

int routes_print(void)
{
	struct service none = {0};
	struct http_api apis[APIS_MOST];
	size_t count = apis_all(apis, &none), a, i;

	for (a = 0; a < count; a++)
		for (i = 0; i < apis[a].count; i++)
			routes_print_one(&apis[a].routes[i]);
	return term_flush() ? 0 : EXIT_FAILED;
}
