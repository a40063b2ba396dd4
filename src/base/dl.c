/*
 * Loading libraries late; see dl.h.
 */
#include <base/dl.h>

#include <dlfcn.h>

int convo_dl_load(const char *file, const struct convo_symbol *symbols, size_t count,
		  struct convo_err *err)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!library)
		return convo_fail(err, CONVO_E_UNSUPPORTED, "%s cannot be loaded: %s", file,
				  dlerror());
	for (i = 0; i < count; i++) {
		*symbols[i].slot = dlsym(library, symbols[i].name);
		if (!*symbols[i].slot)
			return convo_fail(err, CONVO_E_UNSUPPORTED, "%s has no %s", file,
					  symbols[i].name);
	}
	return 0;
}
