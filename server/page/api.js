/*
 * Asking the server: the native API, JSON and streams of events. What it refuses is thrown as a Refusal; where
 * nothing could be asked, that is a TypeError of fetch().
 */

const ROOT = '/convo/v1';
const SILENCE_MS = 45000; // the server says something every 15 s
const MOST_EVENT = 32 * 1024 * 1024; // letters of one event

class Refusal extends Error {
	constructor(status, code, message) {
		super(message);
		this.status = status;
		this.code = code;
	}
}

/** The key is kept until the tab is closed, or in the browser if that is wished. */
const key = {
	get: () => session_only.get('key') ?? local.get('key'),
	set(value, stay) {
		session_only.set('key', stay ? null : value);
		local.set('key', stay ? value : null);
	},
};

const session_path = (id, rest = '') => `/sessions/${encodeURIComponent(id)}${rest}`;

async function refusal_of(reply) {
	let said = {};
	try {
		said = (await reply.json()).error ?? {};
	} catch {
		/* a proxy's page, say */
	}
	return new Refusal(reply.status, said.code ?? '', said.message ?? `The server answers ${reply.status}.`);
}

/** @return the reply, when it is a good one */
async function ask_reply(method, path, { body, headers, signal } = {}) {
	const said = key.get();
	const reply = await fetch(ROOT + path, {
		method, signal, cache: 'no-store', credentials: 'omit', redirect: 'error',
		headers: {
			...(said && { Authorization: `Bearer ${said}` }),
			...(body !== undefined && { 'Content-Type': 'application/json' }), ...headers,
		},
		body: body === undefined ? undefined : JSON.stringify(body),
	});
	if (reply.ok)
		return reply;
	const refusal = await refusal_of(reply);
	if (reply.status === 401)
		lock(said ? 'This key is not valid, or not any more.' : '');
	throw refusal;
}

/** @return the reply's JSON; null when it has no body */
async function ask(method, path, more) {
	const reply = await ask_reply(method, path, more);
	const text = await reply.text();
	return text ? JSON.parse(text) : null;
}

/** What went wrong, in words for the person. */
function words_of(error) {
	if (error instanceof Refusal)
		return error.message.charAt(0).toUpperCase() + error.message.slice(1).replace(/([^.!?])$/, '$1.');
	return error.name === 'AbortError' ? 'It was given up.' : 'The server cannot be reached.';
}

/** Reads lines of a stream until it ends; `alive` is called for each piece that comes. */
async function* read_lines(body, alive) {
	const reader = body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = '';
	try {
		for (;;) {
			const { value, done } = await reader.read();
			if (done)
				return;
			alive();
			const lines = (rest + value).split('\n');
			rest = lines.pop();
			if (rest.length > MOST_EVENT)
				throw new TypeError('an event has no end');
			yield* lines;
		}
	} finally {
		reader.cancel().catch(() => {});
	}
}

/**
 * Asks for a stream, and hands on each event as {name, data, id}. A silence that is too long for a connection
 * that lives ends it as one that is lost; with `patient`, only once the reply has begun: a model may think for long.
 */
async function* ask_events(method, path, { signal, opened, patient, ...more } = {}) {
	const control = new AbortController();
	const give_up = () => control.abort();
	let timer = patient ? 0 : setTimeout(give_up, SILENCE_MS);
	signal?.addEventListener('abort', give_up);
	if (signal?.aborted)
		give_up();
	try {
		const reply = await ask_reply(method, path, { ...more, signal: control.signal });
		opened?.();
		let event = { name: 'message', data: '', id: null };
		for await (const raw of read_lines(reply.body, () => {
			clearTimeout(timer);
			timer = setTimeout(give_up, SILENCE_MS);
		})) {
			const line = raw.endsWith('\r') ? raw.slice(0, -1) : raw;
			const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
			if (!line) {
				if (event.data)
					yield { ...event, data: JSON.parse(event.data) };
				event = { name: 'message', data: '', id: null };
			} else if (name === 'event') {
				event.name = value;
			} else if (name === 'data') {
				event.data += value;
			} else if (name === 'id') {
				event.id = value;
			}
		}
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener('abort', give_up);
		control.abort();
	}
}
