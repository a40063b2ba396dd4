/*
 * Markdown as models write it, made into elements. Text is split into blocks; while it grows, only the blocks that
 * changed are made anew, so what is being read or selected stays. Whatever the text is, the time is about linear in
 * its length, and nesting is bounded: it may be anybody's.
 */

const MOST_MARKDOWN = 400000; // letters; longer texts are shown as they are
const MOST_DEPTH = 12; // of quotes, lists and emphasis in one another
const MOST_COLUMNS = 40;

const FENCE = /^( {0,3})(`{3,}|~{3,})(.*)$/;
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;
const TABLE_RULE = /^\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?$/;

// ---- blocks ----------------------------------------------------------------------------

const is_table = (line, next) => line.includes('|') && next !== undefined && next.includes('-') &&
	next.includes('|') && TABLE_RULE.test(next.trim());

/** Three ticks on one line are code within it. */
function fence_of(line) {
	const match = FENCE.exec(line);
	return match && !(match[2][0] === '`' && match[3].includes('`')) ? match : null;
}

/** Whether a line begins a block even just after a paragraph's line. */
function begins_block(lines, at) {
	const line = lines[at];
	return fence_of(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line) ||
		is_table(line, lines[at + 1]);
}

const indent_of = (line) => line.length - line.trimStart().length;

/** A tab in front is four blanks, as models mean it; those in code at the margin stay. */
const widen = (line) => line.replace(/^\s+/, (blanks) => blanks.replaceAll('\t', '    '));

function take_code(lines, at, fence) {
	const end = new RegExp(`^ {0,3}${fence[2][0]}{${fence[2].length},}\\s*$`);
	let to = at + 1;
	while (to < lines.length && !end.test(lines[to]))
		to++;
	const strip = new RegExp(`^ {0,${fence[1].length}}`);
	return {
		kind: 'code', language: fence[3].trim().split(/\s/)[0], text: lines.slice(at + 1, to).map((line) => line.replace(strip, '')).join('\n'),
		end: Math.min(to + 1, lines.length),
	};
}

/** A list goes on while lines are items, belong to one by their indent, or are blank before such a line. */
function take_list(lines, at) {
	const first = ITEM.exec(lines[at]);
	const margin = first[1].length;
	const ordered = /\d/.test(first[2]);
	const items = [];
	let blank = false;
	let to = at;
	for (; to < lines.length; to++) {
		const line = widen(lines[to]);
		if (!line.trim()) {
			blank = true;
			continue;
		}
		const item = ITEM.exec(line);
		const deep = indent_of(line) >= margin + 2;
		if (item && !deep && !RULE.test(line)) {
			if (/\d/.test(item[2]) !== ordered)
				break;
			items.push({ lines: [line.slice(item[0].length)], content: item[0].length, blank: false });
		} else if (deep || (!blank && !begins_block(lines, to))) {
			const last = items.at(-1);
			if (blank) {
				last.lines.push('');
				last.blank = true;
			}
			last.lines.push(line.slice(Math.min(indent_of(line), last.content)));
		} else {
			break;
		}
		blank = false;
	}
	return { kind: 'list', ordered, start: parseInt(first[2], 10), items, end: to };
}

function take_while(lines, at, test) {
	let to = at + 1;
	while (to < lines.length && test(to))
		to++;
	return to;
}

function take_block(lines, at) {
	const line = lines[at];
	let match;
	if ((match = fence_of(line)))
		return take_code(lines, at, match);
	if ((match = HEADING.exec(line)))
		return { kind: 'heading', level: match[1].length, text: (match[2] ?? '').trim().replace(/(^| )#+$/, ''), end: at + 1 };
	if (RULE.test(line))
		return { kind: 'rule', end: at + 1 };
	if (QUOTE.test(line)) {
		const end = take_while(lines, at, (to) => QUOTE.test(lines[to]));
		return { kind: 'quote', lines: lines.slice(at, end).map((one) => one.replace(QUOTE, '')), end };
	}
	if (ITEM.test(line))
		return take_list(lines, at);
	if (is_table(line, lines[at + 1])) {
		const end = take_while(lines, at + 1, (to) => lines[to].includes('|'));
		return { kind: 'table', lines: lines.slice(at, end), end };
	}
	const end = take_while(lines, at, (to) => lines[to].trim() && !begins_block(lines, to));
	return { kind: 'text', text: lines.slice(at, end).map((one) => one.trim()).join('\n'), end };
}

/** The blocks of lines, each with its own lines as `source`. */
function split_blocks(lines) {
	const blocks = [];
	for (let at = 0; at < lines.length;) {
		if (!lines[at].trim()) {
			at++;
			continue;
		}
		const block = take_block(lines, at);
		block.source = lines.slice(at, block.end).join('\n');
		blocks.push(block);
		at = block.end;
	}
	return blocks;
}

function split_cells(line) {
	const cells = line.trim().replace(/^\|/, '').replace(/(^|[^\\])\|$/, '$1').split(/(?<!\\)\|/);
	return cells.slice(0, MOST_COLUMNS).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function make_table(block) {
	const [head, rule, ...rows] = block.lines.map(split_cells);
	const side = rule.map((cell) => (cell.endsWith(':') ? (cell.startsWith(':') ? 'center' : 'right') : undefined));
	const row = (cells, name) => el('tr', {}, ...head.map((_, i) => {
		const cell = el(name, { class: side[i], dir: 'auto' });
		add_inline(cell, cells[i] ?? '', 0);
		return cell;
	}));
	return el('div', { class: 'table', tabindex: '0' }, el('table', {}, el('thead', {}, row(head, 'th')),
		el('tbody', {}, ...rows.map((cells) => row(cells, 'td')))));
}

function make_code(block) {
	const code = el('code', { text: block.text });
	const button = el('button', { type: 'button', class: 'copy', title: 'Copy the code', text: 'Copy' });
	button.addEventListener('click', () => copy_text(code.textContent, button));
	return el('div', { class: 'code' },
		el('div', { class: 'code-head' }, el('span', { text: block.language || 'text' }), button),
		el('pre', { tabindex: '0' }, code));
}

function make_item(item, depth) {
	const node = el('li', { dir: 'auto' });
	const blocks = split_blocks(item.lines);
	for (const block of blocks) {
		if (block.kind === 'text' && !item.blank)
			add_inline(node, block.text, 0);
		else
			node.append(make_block(block, depth + 1));
	}
	return node;
}

function make_block(block, depth) {
	if (depth > MOST_DEPTH)
		return el('p', { dir: 'auto', text: block.source });
	switch (block.kind) {
	case 'code':
		return make_code(block);
	case 'rule':
		return el('hr');
	case 'table':
		return make_table(block);
	case 'quote':
		return el('blockquote', {}, ...split_blocks(block.lines).map((one) => make_block(one, depth + 1)));
	case 'list':
		return el(block.ordered ? 'ol' : 'ul', { start: block.ordered && block.start !== 1 ? block.start : undefined },
			...block.items.map((item) => make_item(item, depth)));
	default: {
		/* Below the page's own headings. */
		const node = el(block.kind === 'heading' ? `h${Math.min(block.level + 2, 6)}` : 'p', { dir: 'auto' });
		if (block.kind === 'heading')
			node.classList.add(`level-${block.level}`);
		add_inline(node, block.text, 0);
		return node;
	}
	}
}

// ---- within a block --------------------------------------------------------------------

const SPECIAL = /[\\`*_~[!<\n]|https?:\/\//g;
const BARE = /https?:\/\/[^\s<>"'`]{1,2000}/y;
const ANGLE = /<((?:https?:\/\/|mailto:)[^\s<>]+)>/y;
const TARGET = /\( ?(?:<([^<>\n]*)>|((?:[^\s()]|\([^\s()]*\))*))(?: (?:"[^"\n]*"|'[^'\n]*'))? ?\)/y;

function match_at(pattern, text, at) {
	pattern.lastIndex = at;
	return pattern.exec(text);
}

/** indexOf() for searches that go forward: what is known is not looked for again. */
function finder(text) {
	const known = new Map();
	return (needle, from) => {
		let at = known.get(needle);
		if (at === undefined || (at !== -1 && at < from)) {
			at = text.indexOf(needle, from);
			known.set(needle, at);
		}
		return at;
	};
}

/** The address of a link that may be followed, or null. */
function safe_address(text) {
	try {
		const url = new URL(text);
		return ['http:', 'https:', 'mailto:'].includes(url.protocol) ? url.href : null;
	} catch {
		return null;
	}
}

function make_link(address, add_label) {
	const href = safe_address(address);
	const node = el(href ? 'a' : 'span', href && { href, title: href, target: '_blank', rel: 'noopener noreferrer' });
	add_label(node);
	return node;
}

function inline_code(state, at) {
	const { text } = state;
	let ticks = 1;
	while (text[at + ticks] === '`')
		ticks++;
	const mark = '`'.repeat(ticks);
	if (state.dead.has(mark))
		return { skip: ticks };
	for (let end = text.indexOf(mark, at + ticks); end !== -1; end = text.indexOf(mark, end)) {
		let run = ticks;
		while (text[end + run] === '`')
			run++;
		if (run === ticks) {
			const inner = text.slice(at + ticks, end).replaceAll('\n', ' ');
			const padded = inner.startsWith(' ') && inner.endsWith(' ') && inner.trim();
			return { node: el('code', { text: padded ? inner.slice(1, -1) : inner }), end: end + ticks };
		}
		end += run;
	}
	state.dead.add(mark);
	return { skip: ticks };
}

const WORD = /[\p{L}\p{N}]/u;
const EMPHASIS = { '*': 'em', _: 'em', '**': 'strong', __: 'strong', '~~': 'del' };

/** Where the emphasis ends that a mark at `at` begins, or -1. */
function emphasis_end(state, mark, from) {
	const { text } = state;
	for (let end = state.find(mark, from); end !== -1; end = text.indexOf(mark, end + 1)) {
		if (/\s/.test(text[end - 1]) || text[end - 1] === '\\' || end === from)
			continue;
		if (mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark)) {
			while (text[end + 1] === mark)
				end++;
			continue;
		}
		if (mark[0] === '_' && WORD.test(text[end + mark.length] ?? ''))
			continue;
		return end;
	}
	return -1;
}

function inline_emphasis(state, at) {
	const { text, dead, depth } = state;
	const mark = text[at + 1] === text[at] ? text[at].repeat(2) : text[at];
	const from = at + mark.length;
	if (!EMPHASIS[mark] || dead.has(mark) || depth >= MOST_DEPTH || /^\s?$/.test(text[from] ?? '') ||
		(mark[0] === '_' && WORD.test(text[at - 1] ?? '')))
		return { skip: mark.length };
	const end = emphasis_end(state, mark, from);
	if (end === -1) {
		dead.add(mark);
		return { skip: mark.length };
	}
	const node = el(EMPHASIS[mark]);
	add_inline(node, text.slice(from, end), depth + 1);
	return { node, end: end + mark.length };
}

/** [label](address), and ![label](address), which is shown as a link: nothing is loaded from elsewhere. */
function inline_link(state, at) {
	const { text, find, depth } = state;
	const open = text[at] === '!' ? at + 1 : at;
	const close = text[open] === '[' ? find('](', open) : -1;
	const nested = close === -1 ? -1 : text.indexOf('[', open + 1);
	if (close === -1 || depth >= MOST_DEPTH || (nested !== -1 && nested < close && text[nested - 1] !== '!'))
		return { skip: open - at + 1 };
	const target = match_at(TARGET, text.slice(close + 1, close + 2100), 0);
	if (!target)
		return { skip: open - at + 1 };
	const label = text.slice(open + 1, close);
	const address = target[1] ?? target[2];
	const node = make_link(address, (link) => add_inline(link, label || address, MOST_DEPTH));
	return { node, end: close + 1 + target[0].length };
}

function inline_address(state, at) {
	const angle = match_at(ANGLE, state.text, at);
	if (angle)
		return { node: make_link(angle[1], (link) => link.append(angle[1])), end: at + angle[0].length };
	const bare = state.depth < MOST_DEPTH && match_at(BARE, state.text, at);
	if (!bare)
		return { skip: 1 };
	/* What ends a sentence is no part of the address, nor a bracket that was opened before it. */
	let address = bare[0].replace(/[.,:;!?*_~\]]+$/, '');
	if (address.endsWith(')') && !address.includes('('))
		address = address.replace(/\)+[.,:;!?]*$/, '');
	return { node: make_link(address, (link) => link.append(address)), end: at + address.length };
}

function inline_escape(state, at) {
	if (/[!-/:-@[-`{-~]/.test(state.text[at + 1] ?? ''))
		return { node: state.text[at + 1], end: at + 2 };
	return { skip: 1 };
}

function inline_at(state, at) {
	switch (state.text[at]) {
	case '\\':
		return inline_escape(state, at);
	case '`':
		return inline_code(state, at);
	case '*':
	case '_':
	case '~':
		return inline_emphasis(state, at);
	case '[':
	case '!':
		return inline_link(state, at);
	case '\n':
		return { node: el('br'), end: at + 1 };
	default:
		return inline_address(state, at);
	}
}

/** Append text with its emphasis, code and links. */
function add_inline(parent, text, depth) {
	const state = { text, depth, find: finder(text), dead: new Set() };
	let plain = 0;
	for (let at = 0; ;) {
		const special = match_at(SPECIAL, text, at);
		if (!special)
			break;
		const made = inline_at(state, special.index);
		if (!made.node) {
			at = special.index + made.skip;
			continue;
		}
		parent.append(text.slice(plain, special.index), made.node);
		at = plain = made.end;
	}
	parent.append(text.slice(plain));
}

// ---- a text that grows -----------------------------------------------------------------

/** Draws Markdown into an element, again and again while it grows. */
class Markdown {
	constructor(node) {
		this.node = node;
		this.blocks = [];
	}

	set(text) {
		const blocks = text.length > MOST_MARKDOWN ? [{ kind: 'code', text, source: text, language: '' }]
			: split_blocks(text.replaceAll('\r\n', '\n').split('\n'));
		blocks.forEach((block, i) => {
			const before = this.blocks[i];
			if (before && before.source === block.source && before.kind === block.kind)
				block.node = before.node;
			else if (before && before.kind === 'code' && block.kind === 'code' && before.language === block.language)
				block.node = this.grow_code(before.node, block);
			else
				block.node = this.put(make_block(block, 0), before?.node);
		});
		for (const rest of this.blocks.slice(blocks.length))
			rest.node.remove();
		this.blocks = blocks;
	}

	/** The same element goes on: its place when it is scrolled, and the button's focus stay. */
	grow_code(node, block) {
		node.querySelector('code').textContent = block.text;
		return node;
	}

	put(node, instead) {
		if (instead)
			instead.replaceWith(node);
		else
			this.node.append(node);
		return node;
	}
}
