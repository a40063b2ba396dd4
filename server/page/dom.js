/*
 * The page of convo serve, in parts that embed.py puts into one script, in this order: dom, markdown, api, message,
 * sessions, scroll, answer, log, follow, turn, main. Here: elements, what this browser keeps, small words to the person.
 *
 * What people and models write reaches the document as text alone (append, textContent), never as markup.
 */

const $ = (id) => document.getElementById(id);

/** An element. Of `props`, functions listen (onclick), `text` is its text, all else are attributes. */
function el(name, props, ...children) {
	const node = document.createElement(name);
	for (const [key, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (typeof value === 'function')
			node.addEventListener(key.slice(2), value);
		else if (key === 'text')
			node.textContent = value;
		else
			node.setAttribute(key, value === true ? '' : value);
	}
	node.append(...children.filter((child) => child !== null && child !== undefined));
	return node;
}

const SVG = 'http://www.w3.org/2000/svg';

function shape(name) {
	const svg = document.createElementNS(SVG, 'svg');
	const use = document.createElementNS(SVG, 'use');
	use.setAttribute('href', `#shape-${name}`);
	svg.setAttribute('aria-hidden', 'true');
	svg.append(use);
	return svg;
}

function set_shape(button, name) {
	button.querySelector('use').setAttribute('href', `#shape-${name}`);
}

/** A button that shows a shape, and says what it does to who asks. */
function tool(name, label, onclick) {
	return el('button', { type: 'button', class: 'quiet', title: label, 'aria-label': label, onclick }, shape(name));
}

/** Set an element's text, only when it changes: what is read aloud is not read again. */
function set_text(node, text) {
	if (node.textContent !== text)
		node.textContent = text;
}

// ---- what the browser keeps ------------------------------------------------------------

/** localStorage or sessionStorage, where there is one: without, nothing is kept, and all else works. */
function storage(kind) {
	const area = () => (kind === 'session' ? sessionStorage : localStorage);
	return {
		get(name) {
			try {
				return area().getItem(`convo.${name}`);
			} catch {
				return null;
			}
		},
		set(name, value) {
			try {
				if (value === null || value === '')
					area().removeItem(`convo.${name}`);
				else
					area().setItem(`convo.${name}`, value);
			} catch {
				/* full, or not allowed */
			}
		},
	};
}

/** Take all back whose name begins so. */
function forget(prefix) {
	try {
		for (const name of Object.keys(localStorage))
			if (name.startsWith(`convo.${prefix}`))
				localStorage.removeItem(name);
	} catch {
		/* not allowed: there is nothing */
	}
}

const local = storage('local');
const session_only = storage('session');

// ---- small things ----------------------------------------------------------------------

/** A UUID, also where the page came by plain HTTP and randomUUID() is not there. */
function uuid() {
	if (crypto.randomUUID)
		return crypto.randomUUID();
	const bytes = crypto.getRandomValues(new Uint8Array(16));
	bytes[6] = (bytes[6] & 0x0f) | 0x40;
	bytes[8] = (bytes[8] & 0x3f) | 0x80;
	const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
	return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

function when(ms) {
	return ms ? new Date(ms).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' }) : '';
}

async function copy_text(text, button) {
	let ok = false;
	try {
		await navigator.clipboard.writeText(text);
		ok = true;
	} catch {
		/* Plain HTTP: the old way. */
		const area = el('textarea', { class: 'unseen' });
		area.value = text;
		document.body.append(area);
		area.select();
		ok = document.execCommand('copy');
		area.remove();
		button.focus();
	}
	const before = button.title;
	button.classList.toggle('done', ok);
	button.title = ok ? 'Copied' : 'The browser does not allow it';
	toast(button.title);
	setTimeout(() => {
		button.classList.remove('done');
		button.title = before;
	}, 1500);
}

let toast_timer = 0;

/** Say something for a moment, with something that can be done about it. */
function toast(text, label, action) {
	const box = $('toast');
	clearTimeout(toast_timer);
	box.replaceChildren(el('span', { text }));
	if (label)
		box.append(el('button', {
			type: 'button', text: label, onclick() {
				box.hidden = true;
				action();
			},
		}));
	box.hidden = false;
	toast_timer = setTimeout(() => { box.hidden = true; }, label ? 15000 : 2500);
}
