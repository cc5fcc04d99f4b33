// SPDX-License-Identifier: BSD-2-Clause
// State, API calls and the live stream.  One object; components listen.
import { t } from './i18n.mjs';

export const HISTORY = 150;	// samples, one per 2 s

export const state = {
	session: null,		// from /session; null = not asked yet
	status: null,
	stats: null,
	seen: 0,		// when the stream last said something
	version: 0,		// grows when something was changed: reload lists
	history: {},		// "volume pool/name" or "member path" to samples
	dialog: null,		// what the dialog shows
	prompt: null,		// who waits for the password
	route: location.hash.slice(1) || '/overview',
};
const listeners = new Set();
export const listen = (fn) => { listeners.add(fn); return () => listeners.delete(fn); };
export function update(changes) {
	Object.assign(state, changes);
	for (const fn of listeners)
		fn();
}
export const isAdmin = () => state.session?.role === 'admin';
addEventListener('hashchange', () => {
	update({ route: location.hash.slice(1) || '/overview', dialog: null });
	scrollTo(0, 0);
	document.querySelector('main')?.focus();
});

export class Problem extends Error {
	constructor(body) {
		super(body.text);
		this.hint = body.hint ?? '';
		this.code = body.code;
	}
}

async function request(method, path, body) {
	const headers = {};
	if (method !== 'GET')
		headers['X-CSRF-Token'] = state.session?.csrf ?? '';
	if (body !== undefined)
		headers['Content-Type'] = 'application/json';
	let response;
	try {
		response = await fetch('/api/v1' + path, { method, headers,
			body: body === undefined ? undefined : JSON.stringify(body) });
	} catch {
		throw new Problem({ code: 'offline', text: t('The box does not answer.'),
			hint: t('Check the network and that the box is on.') });
	}
	const text = await response.text();
	let json = null;
	try {
		json = text === '' ? null : JSON.parse(text);
	} catch {
		json = { code: 'failed', text };
	}
	if (response.ok)
		return json;
	if (json?.code === 'login' && path !== '/session')
		refreshSession();
	throw new Problem(json ?? { code: 'failed', text: response.statusText });
}

// Calls that change something may want the password once more.
export async function api(method, path, body) {
	try {
		return await request(method, path, body);
	} catch (error) {
		if (error.code !== 'confirm')
			throw error;
	}
	await new Promise((resolve, reject) => update({ prompt: { done: resolve,
		cancel: () => reject(new Problem({ code: 'cancelled', text: t('Nothing was changed.') })) } }));
	return request(method, path, body);
}
export const get = (path) => request('GET', path);

export async function refreshSession() {
	try {
		const session = await request('GET', '/session');
		const was = state.session?.user;
		update({ session });
		if (session.user && session.user !== was)
			startStream();
	} catch {
		update({ session: state.session ?? { offline: true } });
	}
}

// Wait for a job; tell its progress.
export async function finishJob(job, progress) {
	for (;;) {
		if (job.state === undefined || job.id === undefined)
			return job;
		if (job.state === 'failed')
			throw new Problem(job.error);
		if (job.state === 'done')
			return job.result;
		progress?.(job);
		await new Promise((resolve) => setTimeout(resolve, 500));
		job = await get('/jobs/' + job.id);
	}
}

// --- rates from counters ---

const sums = ['reads', 'writes', 'read_bytes', 'write_bytes'];
const slots = ['read_latency_log2_us', 'write_latency_log2_us'];

// Milliseconds below which `part` of what came since `last` are.
export function percentile(now, last, part) {
	const counts = (now ?? []).map((n, i) => n - (last?.[i] ?? 0));
	const total = counts.reduce((a, b) => a + b, 0);
	let below = 0;
	for (let i = 0; total > 0 && i < counts.length; i++) {
		const low = i === 0 ? 0 : 2 ** (i - 1);
		if (below + counts[i] >= total * part)
			return (low + (low || 1) * (total * part - below) / counts[i]) / 1000;
		below += counts[i];
	}
	return null;
}

function sample(key, at, seconds, now, last) {
	const [read, write] = slots;
	if (!(seconds > 0) || sums.some((name) => Number(now[name]) < Number(last[name])))
		return;
	const list = (state.history[key] ??= []);
	const one = { time: at };
	for (const name of sums)
		one[name] = (now[name] - last[name]) / seconds;
	for (const [name, slot, part] of [['r50', read, .5], ['r99', read, .99], ['w50', write, .5], ['w99', write, .99]])
		one[name] = percentile(now[slot], last[slot], part);
	list.push(one);
	if (list.length > HISTORY)
		list.shift();
}

let before = null;
function onStats(stats) {
	const flat = { all: {} };
	const at = Date.now() / 1000;
	for (const name of sums)
		flat.all[name] = stats.volumes.reduce((sum, v) => sum + Number(v[name]), 0);
	for (const name of slots)
		flat.all[name] = stats.volumes.reduce((sum, v) => v[name].map((n, i) => n + (sum[i] ?? 0)), []);
	for (const v of stats.volumes)
		flat['volume ' + v.pool + '/' + v.name] = v;
	for (const p of stats.pools)
		for (const m of p.members)
			flat['member ' + m.path] = m;
	for (const key in flat)
		if (before?.flat[key])
			sample(key, at, (stats.time_ms - before.time) / 1000, flat[key], before.flat[key]);
	before = { time: stats.time_ms, flat };
	update({ stats, seen: Date.now() });
}

// --- the stream ---

// Events may come by the hundred; lists are loaded again once a second.
let soon = null;
const changedSoon = () => {
	soon ??= setTimeout(() => { soon = null; update({ version: state.version + 1 }); }, 500);
};
let source = null;
let lastId = 0;
export function startStream() {
	source?.close();
	source = null;
	if (document.hidden || !state.session?.user)
		return;
	source = new EventSource('/api/v1/events');
	source.addEventListener('status', (e) =>
		update({ status: JSON.parse(e.data), seen: Date.now() }));
	source.addEventListener('stats', (e) => onStats(JSON.parse(e.data)));
	source.addEventListener('event', (e) => {
		const event = JSON.parse(e.data);
		if (event.seq > lastId) {
			lastId = event.seq;
			changedSoon();
		}
	});
	source.onerror = () => {
		if (source?.readyState === EventSource.CLOSED)
			setTimeout(() => refreshSession().then(startStream), 2000);
	};
	source.onopen = () => update({ version: state.version + 1 });
}
document.addEventListener('visibilitychange', () => {
	before = null;
	startStream();
});
setInterval(() => listeners.forEach((fn) => fn()), 1000);
