/*
 * The list of conversations: pages of it as they are wanted, the search in titles, the trash, renaming in place.
 * Which one is open, the address of the page says: #/ID.
 */

const PAGE = 50;
const SEARCH_PAGE = 500;
const REFRESH_MS = 30000;

const address_of = (id) => `#/${encodeURIComponent(id)}`;

/** What a conversation is called. Ids that somebody chose are names, those that were made are not. */
function title_of(session) {
	return session.title || (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(session.id) ? 'Untitled' : session.id);
}

/** Under which heading a time stands. */
function day_of(ms) {
	const midnight = new Date().setHours(0, 0, 0, 0);
	const days = Math.ceil((midnight - ms) / 86400000);
	return days <= 0 ? 'Today' : days === 1 ? 'Yesterday' : days <= 7 ? 'The last 7 days' : days <= 30 ? 'The last 30 days' : 'Before';
}

/** An <input> in place of an element, until it is left. @param done called with the new text, if it changed */
function edit_in_place(node, text, label, done) {
	const input = el('input', { class: 'edit', 'aria-label': label, maxlength: 200, value: text });
	let over = false;
	const end = (take, back) => {
		if (over)
			return;
		over = true;
		input.replaceWith(node);
		if (back)
			node.focus();
		if (take && input.value.trim() !== text)
			done(input.value.trim());
	};
	input.addEventListener('keydown', (event) => {
		if (event.isComposing || (event.key !== 'Enter' && event.key !== 'Escape'))
			return;
		event.preventDefault();
		event.stopPropagation();
		end(event.key === 'Enter', true);
	});
	input.addEventListener('blur', () => end(true, false));
	node.replaceWith(input);
	input.focus();
	input.select();
}

const list = {
	sessions: [], // in the order of the server, those that were loaded
	cursor: null,
	trash: false,
	whole: false, // all pages are here
	loading: null,
	round: 0, // what was asked for before the list was turned over is thrown away
	problem: '',
	nodes: new Map(),

	key_of(session) {
		return `${session.id}\n${session.generation}`;
	},

	/** Put what the server says in the place of what was known. */
	merge(found, front) {
		const fresh = new Set(found.map((session) => (this.trash ? this.key_of(session) : session.id)));
		const rest = this.sessions.filter((session) => !fresh.has(this.trash ? this.key_of(session) : session.id));
		/* The front page also tells what went: those that would stand on it. */
		const time = (session) => (this.trash ? session.deleted_ms : session.updated_ms);
		const last = front && found.length ? time(found.at(-1)) : -Infinity;
		const kept = front ? rest.filter((session) => !this.whole_front && time(session) <= last) : rest;
		this.sessions = front ? [...found, ...kept] : [...kept, ...found];
	},

	async fetch(cursor, limit) {
		const more = `${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ''}${this.trash ? '&trash=true' : ''}`;
		return ask('GET', `/sessions?limit=${limit}${more}`);
	},

	/** The first page again: what is new, what moved. */
	async refresh() {
		const round = this.round;
		try {
			const page = await this.fetch(null, PAGE);
			if (round !== this.round)
				return;
			this.whole_front = page.cursor === null;
			this.merge(page.sessions, true);
			if (!this.begun || this.whole_front) {
				this.cursor = page.cursor;
				this.whole = page.cursor === null;
			}
			this.begun = true;
			this.problem = '';
		} catch (error) {
			if (round !== this.round)
				return;
			this.problem = `The list could not be loaded. ${words_of(error)}`;
		}
		this.draw();
		this.fill();
	},

	async load_more() {
		const round = this.round;
		try {
			const page = await this.fetch(this.cursor, this.query() ? SEARCH_PAGE : PAGE);
			if (round !== this.round)
				return;
			this.merge(page.sessions, false);
			this.cursor = page.cursor;
			this.whole = page.cursor === null;
			this.problem = '';
		} catch (error) {
			if (round === this.round)
				this.problem = `The rest could not be loaded. ${words_of(error)}`;
		}
		this.draw();
	},

	/** Load pages until the list is longer than what is seen of it. */
	async fill() {
		const box = $('list-scroll');
		while (this.begun && !this.whole && !this.problem && !this.loading &&
			box.scrollHeight - box.scrollTop - box.clientHeight < 300) {
			this.loading = this.load_more();
			await this.loading;
			this.loading = null;
		}
	},

	query: () => $('search').value.trim().toLocaleLowerCase(),

	shown() {
		const query = this.query();
		return query ? this.sessions.filter((session) => title_of(session).toLocaleLowerCase().includes(query)) : this.sessions;
	},

	/** What is known of one changed: by a turn, by another device. */
	put(session) {
		if (this.trash)
			return;
		const at = this.sessions.findIndex((one) => one.id === session.id);
		if (at >= 0)
			this.sessions.splice(at, 1);
		const place = this.sessions.findIndex((one) => one.updated_ms <= session.updated_ms);
		this.sessions.splice(place < 0 ? this.sessions.length : place, 0, session);
		this.draw();
	},

	take_out(session) {
		const gone = this.key_of(session);
		this.sessions = this.sessions.filter((one) => this.key_of(one) !== gone);
		this.draw();
	},

	turn_over(trash) {
		this.trash = trash;
		this.round++;
		this.sessions = [];
		this.cursor = null;
		this.begun = this.whole = false;
		$('trash-head').hidden = !trash;
		$('trash-open').hidden = trash;
		$('search').value = '';
		this.draw();
		this.refresh();
	},

	// ---- drawing ----

	draw() {
		const rows = [];
		let day = null;
		const seen = new Set();
		for (const session of this.shown()) {
			const time = this.trash ? session.deleted_ms : session.updated_ms;
			if (day_of(time) !== day) {
				day = day_of(time);
				rows.push(this.node_of(`day\n${day}`, seen, () => el('li', { class: 'day', role: 'presentation', text: day })));
			}
			const node = this.node_of(this.key_of(session), seen, () => this.make_row(session));
			this.fill_row(node, session);
			rows.push(node);
		}
		for (const name of [...this.nodes.keys()].filter((one) => !seen.has(one)))
			this.nodes.delete(name);
		this.place(rows);
		set_text($('list-note'), this.note());
	},

	/** The rows, in order. What has the focus keeps it, also when it moves. */
	place(rows) {
		const box = $('list');
		const wanted = new Set(rows);
		const focused = document.activeElement;
		for (const node of [...box.children])
			if (!wanted.has(node))
				node.remove();
		rows.forEach((node, i) => {
			if (box.children[i] !== node)
				box.insertBefore(node, box.children[i] ?? null);
		});
		if (focused !== document.activeElement && box.contains(focused))
			focused.focus();
	},

	note() {
		if (this.problem)
			return this.problem;
		if (!this.begun || (!this.whole && this.query()))
			return 'Loading…';
		if (this.shown().length)
			return '';
		return this.query() ? 'No title has that.' : this.trash ? 'The trash is empty.' : 'Nothing yet.';
	},

	node_of(name, seen, make) {
		seen.add(name);
		if (!this.nodes.has(name))
			this.nodes.set(name, make());
		return this.nodes.get(name);
	},

	make_row(session) {
		const node = el('li', { class: 'row' });
		node.session = session;
		if (this.trash) {
			node.append(el('span', { class: 'entry', tabindex: '-1' }),
				tool('restore', 'Restore', () => restore(node.session)),
				tool('trash', 'Delete for good', (event) => this.sure(event.currentTarget, () => destroy(node.session))));
		} else {
			node.append(el('a', { class: 'entry', href: address_of(session.id), tabindex: '-1', draggable: 'false' }),
				tool('rename', 'Rename', () => this.rename(node)),
				tool('trash', 'Move to the trash', () => drop(node.session)));
		}
		if (session.fork)
			node.append(el('span', { class: 'mark', title: 'A fork' }, shape('fork')));
		return node;
	},

	fill_row(node, session) {
		const entry = node.firstElementChild;
		node.session = session;
		node.classList.toggle('busy', session.held_ms > 0);
		if (entry.tagName === 'INPUT')
			return; // it is being renamed
		set_text(entry, title_of(session));
		entry.title = `${title_of(session)}\n${when(session.updated_ms)}`;
		const open = !this.trash && chat.id === session.id;
		node.classList.toggle('open', open);
		if (open)
			entry.setAttribute('aria-current', 'page');
		else
			entry.removeAttribute('aria-current');
		entry.tabIndex = open || (!this.entry_now() && session === this.shown()[0]) ? 0 : -1;
	},

	entry_now: () => document.querySelector('#list .row.open .entry'),

	/** Ask once more, by the same button, before something that cannot be taken back. */
	sure(button, action) {
		if (button.classList.contains('sure')) {
			action();
			return;
		}
		button.classList.add('sure');
		button.title = 'Really? It cannot be taken back';
		button.setAttribute('aria-label', 'Really delete for good? It cannot be taken back');
		toast('Once more deletes it for good.');
		setTimeout(() => button.classList.remove('sure'), 4000);
	},

	rename(node) {
		const entry = node.querySelector('.entry');
		if (entry)
			edit_in_place(entry, node.session.title, 'Title', (title) => rename(node.session, title));
	},

	// ---- by keyboard ----

	entries: () => [...document.querySelectorAll('#list .entry')],

	focus(entry) {
		entry.tabIndex = 0;
		entry.focus();
		entry.scrollIntoView({ block: 'nearest' });
	},

	/** Arrows go through the list, from the search as well. */
	on_key(event) {
		const entries = this.entries();
		const at = entries.indexOf(document.activeElement);
		const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: entries.length - 1 }[event.key];
		const node = at >= 0 && entries[at].closest('.row');
		if (event.target.matches('#list input') || event.isComposing)
			return;
		if (to !== undefined && (at >= 0 || event.key === 'ArrowDown')) {
			event.preventDefault();
			if (to < 0)
				$('search').focus();
			else if (entries[to])
				this.focus(entries[to]);
		} else if (node && event.key === 'F2' && !this.trash) {
			event.preventDefault();
			this.rename(node);
		} else if (node && event.key === 'Delete') {
			event.preventDefault();
			const next = entries[at + 1] ?? entries[at - 1];
			if (this.trash) {
				node.querySelector('button:last-of-type').click();
			} else {
				drop(node.session);
				if (next)
					this.focus(next);
			}
		}
	},

	begin() {
		$('list-scroll').addEventListener('scroll', () => this.fill(), { passive: true });
		$('search').addEventListener('input', () => {
			this.draw();
			this.fill();
		});
		$('search').addEventListener('keydown', (event) => {
			if (event.key === 'Enter' && this.shown().length && !this.trash)
				location.hash = address_of(this.shown()[0].id);
		});
		$('side').addEventListener('keydown', (event) => this.on_key(event));
		$('trash-open').addEventListener('click', () => this.turn_over(true));
		$('trash-back').addEventListener('click', () => this.turn_over(false));
		setInterval(() => document.hidden || this.refresh(), REFRESH_MS);
		document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
		this.turn_over(false);
	},
};

// ---- what is done with one -------------------------------------------------------------

/** Do something that may be refused, and say so. @return whether it was done */
async function attempt(what, action) {
	try {
		await action();
		return true;
	} catch (error) {
		toast(`${what} ${words_of(error)}`);
		return false;
	}
}

function rename(session, title) {
	return attempt('It was not renamed.', async () => {
		const changed = await ask('PATCH', session_path(session.id), { body: { title } });
		list.put(changed);
		if (chat.id === changed.id)
			chat.set_session(changed);
	});
}

async function drop(session) {
	const done = await attempt('It was not moved.', () => ask('DELETE', session_path(session.id)));
	if (!done)
		return;
	list.take_out(session);
	if (chat.id === session.id)
		location.hash = '#/';
	toast('Moved to the trash.', 'Undo', () => restore(session, true));
}

async function restore(session, open) {
	let back = null;
	const done = await attempt('It was not restored.', async () => {
		back = await ask('POST', session_path(session.id, '/restore'), { body: { generation: session.generation } });
	});
	if (!done)
		return;
	if (list.trash)
		list.take_out(session);
	else
		list.put(back);
	if (open)
		location.hash = address_of(back.id);
	else
		toast('Restored.', 'Open', () => { location.hash = address_of(back.id); });
}

function destroy(session) {
	return attempt('It was not deleted.', async () => {
		await ask('DELETE', session_path(session.id, `?trash=true&generation=${encodeURIComponent(session.generation)}`));
		list.take_out(session);
	});
}
