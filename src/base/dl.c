/*
 * Loading libraries late; see dl.h.
 */
#include <base/dl.h>

#include <dlfcn.h>

static int dl_load(const struct cv_library *library, struct convo_err *err)
{
	void *handle = dlopen(library->file, RTLD_NOW | RTLD_LOCAL);
	size_t i;

	if (!handle)
		return cv_fail(err, CONVO_E_UNSUPPORTED, "%s cannot be loaded: %s", library->file,
			       dlerror());
	for (i = 0; i < library->count; i++) {
		const struct cv_symbol *symbol = &library->symbols[i];

		*symbol->slot = dlsym(handle, symbol->name);
		if (!*symbol->slot)
			return cv_fail(err, CONVO_E_UNSUPPORTED, "%s has no %s", library->file,
				       symbol->name);
	}
	return 0;
}

int cv_dl_need(struct cv_library *library, void (*init)(void), struct convo_err *err)
{
	int rc = 0;

	pthread_mutex_lock(&library->lock);
	if (!library->loaded) {
		rc = dl_load(library, err);
		library->loaded = rc >= 0;
		if (library->loaded && init)
			init();
	}
	pthread_mutex_unlock(&library->lock);
	return rc;
}
