/*
 * The beginning: who asks, the key, the address, the theme, the keyboard.
 */

const page = { me: null, begun: false };

// ---- models ----------------------------------------------------------------------------

const models = {
	begin() {
		const select = $('model');
		select.replaceChildren(...page.me.models.map((name) => el('option', { value: name, text: name })));
		select.hidden = page.me.models.length < 2;
		this.pick(local.get('model'));
		select.addEventListener('change', () => local.set('model', select.value));
	},

	pick(name) {
		if (page.me.models.includes(name))
			$('model').value = name;
	},

	/** A conversation goes on with the model that it had. */
	choose_for(events) {
		this.pick(events.findLast((event) => event.role === 'assistant' && event.model)?.model);
	},

	chosen: () => (page.me.models.length > 1 ? { model: $('model').value } : {}),
};

// ---- the key ---------------------------------------------------------------------------

/** A key is wanted. @param why what was wrong with the one before; "": nothing */
function lock(why) {
	follow.stop();
	page.locked = true;
	$('app').hidden = true;
	$('gate').hidden = false;
	set_text($('gate-problem'), why);
	$('gate-key').focus();
}

$('gate').addEventListener('submit', (event) => {
	event.preventDefault();
	key.set($('gate-key').value.trim(), $('gate-keep').checked);
	begin();
});

$('leave').addEventListener('click', () => {
	key.set(null, false);
	forget('draft.');
	location.reload();
});

// ---- the address -----------------------------------------------------------------------

function id_of_address() {
	try {
		return decodeURIComponent(location.hash.replace(/^#\/?/, '')) || null;
	} catch {
		return null;
	}
}

function go() {
	side.close();
	chat.open(id_of_address());
}

// ---- the side, on a narrow screen ------------------------------------------------------

const side = {
	narrow: matchMedia('(max-width: 50rem)'),

	open() {
		$('main').inert = this.narrow.matches;
		$('side').classList.add('open');
		$('veil').classList.add('open');
		$('menu').setAttribute('aria-expanded', 'true');
	},

	close() {
		$('side').classList.remove('open');
		$('veil').classList.remove('open');
		$('menu').setAttribute('aria-expanded', 'false');
		$('main').inert = false;
	},

	is_open: () => $('side').classList.contains('open'),

	begin() {
		$('menu').addEventListener('click', () => {
			this.open();
			(document.querySelector('#list .entry[tabindex="0"]') ?? $('search')).focus();
		});
		$('veil').addEventListener('click', () => this.close());
		this.narrow.addEventListener('change', () => this.close());
	},
};

// ---- the theme -------------------------------------------------------------------------

const theme = {
	names: { auto: 'Theme: as the system', light: 'Theme: light', dark: 'Theme: dark' },

	set(name) {
		const known = name in this.names ? name : 'auto';
		document.documentElement.dataset.theme = known;
		set_shape($('theme'), known);
		$('theme').title = this.names[known];
		$('theme').setAttribute('aria-label', this.names[known]);
		local.set('theme', known === 'auto' ? null : known);
	},

	begin() {
		this.set(local.get('theme'));
		$('theme').addEventListener('click', () => {
			const all = Object.keys(this.names);
			this.set(all[(all.indexOf(document.documentElement.dataset.theme) + 1) % all.length]);
		});
	},
};

// ---- the keyboard ----------------------------------------------------------------------

const is_typing = (node) => node.matches('input, textarea, select');

function on_escape(event) {
	if (event.target === $('search')) {
		$('search').value = '';
		list.draw();
		$('input').focus();
	} else if (side.is_open()) {
		side.close();
		$('menu').focus();
	} else if (chat.busy()) {
		stop();
	}
}

function edit_title() {
	if (chat.session)
		edit_in_place($('title'), chat.session.title, 'Title', (title) => rename(chat.session, title));
}

function on_key(event) {
	if (event.isComposing || page.locked)
		return;
	const command = event.ctrlKey || event.metaKey;
	if ((event.key.toLowerCase() === 'k' && command && !event.altKey && !event.shiftKey) ||
		(event.key === '/' && !command && !event.altKey && !is_typing(event.target))) {
		event.preventDefault();
		side.open();
		$('search').focus();
		$('search').select();
	} else if (event.key === 'Escape') {
		on_escape(event);
	} else if (event.key === 'F2' && !event.defaultPrevented && !event.target.closest('#list')) {
		event.preventDefault();
		edit_title();
	}
}

// ---- beginning -------------------------------------------------------------------------

/** Once, when it is known who asks. */
function begin_page() {
	page.begun = true;
	scroll.begin();
	models.begin();
	composer.begin();
	list.begin();
	side.begin();
	follow.watch_page();
	document.addEventListener('keydown', on_key);
	$('title').addEventListener('click', edit_title);
	$('drop').addEventListener('click', () => chat.session && drop(chat.session));
	$('new').addEventListener('click', () => {
		if (location.hash.replace(/^#\/?/, '') === '')
			go();
		else
			location.hash = '#/';
		$('input').focus();
	});
	window.addEventListener('hashchange', go);
}

async function begin() {
	page.locked = false;
	set_text($('gate-problem'), '');
	try {
		page.me = await ask('GET', '/me');
	} catch (error) {
		if (error.status === 401)
			return;
		$('gate').hidden = true;
		$('app').hidden = false;
		chat.clear();
		chat.say_line(words_of(error), 'Try again', begin);
		return;
	}
	$('gate').hidden = true;
	$('gate-key').value = '';
	$('app').hidden = false;
	$('leave').hidden = !key.get();
	if (page.begun)
		list.refresh();
	else
		begin_page();
	go();
}

theme.begin();
begin();
