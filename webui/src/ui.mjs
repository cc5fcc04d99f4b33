// SPDX-License-Identifier: BSD-2-Clause
// Parts that several pages use.
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import htm from 'htm';
import { ago, bytes, duration, number, t, when } from './i18n.mjs';
import { api, get, isAdmin, listen, Problem, state, update } from './store.mjs';

export const html = htm.bind(h);

export function useStore() {
	const [, redraw] = useState(0);
	useEffect(() => listen(() => redraw((n) => n + 1)), []);
	return state;
}

// Load a path again whenever something changed, or with each beat of the
// stream; [data, error, reload].
// One request at a time: however much happens, answers are shown.
export function useLoad(path, live) {
	const [data, setData] = useState(null);
	const [error, setError] = useState(null);
	const [turn, setTurn] = useState(0);
	const now = useRef({}).current;
	useEffect(() => {
		const load = () => {
			now.busy = path;
			now.again = false;
			get(path).then((d) => { if (now.path === path) { setData(d); setError(null); } },
				(e) => { if (now.path === path) setError(e); }).then(() => {
				now.busy = null;
				if (now.again && now.path === path)
					load();
			});
		};
		now.path = path;
		if (now.busy === path)
			now.again = true;
		else
			load();
	}, [path, turn, state.version, live && state.seen]);
	useEffect(() => () => { now.path = null; }, []);
	return [data, error, () => setTurn((n) => n + 1)];
}

export const Failure = ({ error }) => error && html`
	<div class="note failed" role="alert"><strong>${error.message}</strong>
	${error.hint && html`<p>${error.hint}</p>`}</div>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Size = ({ value }) => html`<span title=${number(value) + ' B'}>${bytes(value)}</span>`;

export const Ago = ({ at }) => html`<time title=${when(at)}>${ago(at)}</time>`;

const signs = { healthy: '✔', online: '✔', 'in-sync': '✔', degraded: '!', rebuilding: '↻', replacing: '↻', failed: '✖', faulty: '✖', missing: '✖', offline: '✖', busy: '…' };
export const State = ({ value }) => html`<span class=${'state s-' + value}>
	<span aria-hidden="true">${signs[value] ?? '•'}</span> ${t(value)}</span>`;

export function Bar({ used, size }) {
	const percent = size > 0 ? Math.min(100, used / size * 100) : 0;
	return html`<div class="bar"><progress max="100" value=${percent}
		aria-label=${t('{n} % used', { n: number(percent) })} class=${percent >= 95 ? 'bad' : percent >= 75 ? 'warn' : ''}></progress>
		<span>${t('{used} of {size}', { used: bytes(used), size: bytes(size) })}</span></div>`;
}

export const Table = ({ caption, head, rows }) => html`
	<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table>
	<thead><tr>${head.map((x) => (x ? html`<th scope="col">${x}</th>` : html`<td></td>`))}</tr></thead>
	<tbody>${rows.map((row) => html`<tr>${row.map((x, i) => html`<td data-label=${head[i]}>${x}</td>`)}</tr>`)}</tbody></table></div>`;

// --- forms ---

let ids = 0;
export function Field({ label, hint, value, set, type = 'text', options, ...rest }) {
	const [id] = useState(() => 'f' + ++ids);
	const about = hint ? { 'aria-describedby': id + 'h' } : {};
	if (type === 'checkbox')
		return html`<div class="field check"><input id=${id} type="checkbox" checked=${value}
			onChange=${(e) => set(e.target.checked)} ...${about} ...${rest} />
			<label for=${id}>${label}</label>${hint && html`<small id=${id + 'h'}>${hint}</small>`}</div>`;
	return html`<div class="field"><label for=${id}>${label}</label>
		${options ? html`<select id=${id} value=${value} onChange=${(e) => set(e.target.value)} ...${about} ...${rest}>
			${options.map(([v, text]) => html`<option value=${v} selected=${v === value}>${text}</option>`)}</select>`
		: html`<input id=${id} type=${type} value=${value} onInput=${(e) => set(e.target.value)}
			autocomplete="off" spellcheck="false" ...${about} ...${rest} />`}
		${hint && html`<small id=${id + 'h'}>${hint}</small>`}</div>`;
}

// A form that says what went wrong and is quiet while it works.
export function Form({ submit, label, danger, children, disabled }) {
	const [error, setError] = useState(null);
	const [busy, setBusy] = useState(false);
	const send = async (e) => {
		e.preventDefault();
		setBusy(true);
		setError(null);
		try {
			await submit();
		} catch (problem) {
			setError(problem);
		}
		setBusy(false);
	};
	return html`<form onSubmit=${send}>${children}<${Failure} error=${error} />
		<div class="buttons"><button class=${danger ? 'danger' : 'main'} disabled=${busy || disabled}>
		${busy ? t('Working…') : label}</button></div></form>`;
}

// A button that opens its form in a dialog.
export function Action({ label, title, danger, children }) {
	if (!isAdmin())
		return null;
	return html`<button class=${danger ? 'danger' : ''}
		onClick=${() => update({ dialog: { title: title ?? label, content: children } })}>${label}</button>`;
}

// Long work: how far, how fast, how long, stop.
const jobNames = { rebuild: 'Rebuild', resync: 'Resync', check: 'Check of parity', repair: 'Repair of parity', reshape: 'Reshape', replace: 'Replacement', 'pool.create': 'New pool', 'volume.create': 'New volume', 'volume.grow': 'Grow' };
export const jobName = (job) => t(jobNames[job.verb] ?? job.verb);
const stops = (verb) => (verb === 'check' || verb === 'repair' ? t('What was done stays done. It can be started again, from the beginning.')
	: verb === 'replace' ? t('The new disk stays as a spare.') : verb.includes('.') ? t('What was made so far is taken back.')
	: t('The pool stays without full redundancy until you press “Go on” on its page.'));
export const Jobs = ({ of, verb = '' }) => (state.status?.jobs ?? []).filter((job) => job.verb.startsWith(verb) && (!of || (job.object + '/').startsWith(of + '/'))).map((job) => html`
	<section class="card" key=${job.id}><div class="head"><h2>${jobName(job)}: ${job.object}</h2>
		<${Action} label=${/re(build|sync)/.test(job.verb) ? t('Pause…') : t('Stop…')} title=${jobName(job)}><${Form} label=${t('Stop it')}
			submit=${async () => { await api('DELETE', '/jobs/' + job.id); closeDialog(); }}><p>${stops(job.verb)}</p><//><//></div>
		<progress max="100" value=${job.percent ?? 0} aria-label=${jobName(job)}></progress><small>${progress(job)}</small></section>`);
export const progress = (job) => [number(job.percent ?? 0, 1) + ' %', job.rate_bytes_s > 0 && bytes(job.rate_bytes_s) + '/s',
	job.eta_s != null && t('{time} left', { time: duration(job.eta_s) }), job.used_left_bytes > 0 && job.used_eta_s != null && t('used data is rebuilt in {time}', { time: duration(job.used_eta_s) })].filter(Boolean).join(', ');

export const closeDialog = () => update({ dialog: null });

// Dangerous: says what breaks, wants the name typed.
export function Confirm({ name, breaks, label, run }) {
	const [typed, setTyped] = useState('');
	return html`<p>${breaks}</p><${Form} label=${label} danger disabled=${typed !== name}
		submit=${async () => { await run(); closeDialog(); update({ version: state.version + 1 }); }}>
		<${Field} label=${t('Type {name} to confirm', { name })} value=${typed} set=${setTyped} /><//>`;
}

function PasswordForm({ prompt }) {
	const [password, setPassword] = useState('');
	return html`<${Form} label=${t('Confirm')} submit=${async () => {
		await api('POST', '/session/confirm', { password });
		update({ prompt: null });
		prompt.done();
	}}><p>${t('This needs your password once more.')}</p>
		<${Field} label=${t('Password')} type="password" value=${password} set=${setPassword} autocomplete="current-password" /><//>`;
}

function Modal({ id, title, content, cancel }) {
	const ref = useRef(null);
	useEffect(() => {
		ref.current.showModal();
		const box = ref.current;
		return () => box.close();
	}, []);
	return html`<dialog ref=${ref} aria-labelledby=${id} onCancel=${(e) => { e.preventDefault(); cancel(); }}>
		<header><h2 id=${id}>${title}</h2><button class="close" aria-label=${t('Close')} onClick=${cancel}>✕</button></header>
		${content}</dialog>`;
}

export function Dialogs() {
	const { dialog, prompt } = state;
	return html`${dialog && html`<${Modal} id="dialog-title" title=${dialog.title} content=${dialog.content} cancel=${closeDialog} />`}
		${prompt && html`<${Modal} id="prompt-title" title=${t('Password')} content=${html`<${PasswordForm} prompt=${prompt} />`}
			cancel=${() => { update({ prompt: null }); prompt.cancel(); }} />`}`;
}

export function Copy({ text, label }) {
	const [done, setDone] = useState(false);
	const copy = async () => {
		try {
			await navigator.clipboard.writeText(text);
			setDone(true);
			setTimeout(() => setDone(false), 2000);
		} catch {
			setDone(false);
		}
	};
	return html`<figure class="copy"><figcaption>${label}
		<button onClick=${copy} aria-label=${t('Copy {what}', { what: label })}>${done ? t('Copied') : t('Copy')}</button></figcaption>
		<pre tabindex="0">${text}</pre></figure>`;
}

export { api, get, isAdmin, Problem, state, update, useEffect, useRef, useState };
