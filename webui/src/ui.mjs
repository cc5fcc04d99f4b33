// SPDX-License-Identifier: BSD-2-Clause
// Parts that several pages use.
import { h } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import htm from 'htm';
import uPlot from 'uplot';
import { ago, bytes, number, t, when } from './i18n.mjs';
import { api, get, HISTORY, isAdmin, listen, Problem, state, update } from './store.mjs';

export const html = htm.bind(h);

export function useStore() {
	const [, redraw] = useState(0);
	useEffect(() => listen(() => redraw((n) => n + 1)), []);
	return state;
}

// Load a path again whenever something changed; [data, error, reload].
export function useLoad(path) {
	const [data, setData] = useState(null);
	const [error, setError] = useState(null);
	const [turn, setTurn] = useState(0);
	useEffect(() => {
		let current = true;
		get(path).then((d) => { if (current) { setData(d); setError(null); } },
			(e) => { if (current) setError(e); });
		return () => { current = false; };
	}, [path, turn, state.version]);
	return [data, error, () => setTurn((n) => n + 1)];
}

export const Failure = ({ error }) => error && html`
	<div class="note failed" role="alert"><strong>${error.message}</strong>
	${error.hint && html`<p>${error.hint}</p>`}</div>`;

export const Empty = ({ children }) => html`<p class="empty">${children}</p>`;

export const Size = ({ value }) => html`<span title=${number(value) + ' B'}>${bytes(value)}</span>`;

export const Ago = ({ at }) => html`<time title=${when(at)}>${ago(at)}</time>`;

const signs = { healthy: '✔', online: '✔', 'in-sync': '✔', degraded: '!', rebuilding: '↻', failed: '✖', faulty: '✖', missing: '✖', offline: '✖', busy: '…' };
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
	<tbody>${rows.map((row) => html`<tr>${row.map((x) => html`<td>${x}</td>`)}</tr>`)}</tbody></table></div>`;

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

// --- charts ---

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function Chart({ title, unit, series, data }) {
	const box = useRef(null);
	const plot = useRef(null);
	useEffect(() => {
		const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
		plot.current = new uPlot({
			width: box.current.clientWidth, height: 150, cursor: { y: false },
			legend: { live: true },
			scales: { x: { range: () => [Date.now() / 1000 - 2 * HISTORY, Date.now() / 1000] }, y: { range: (u, low, high) => [0, Math.max(high * 1.1, 1)] } },
			axes: [axis, { ...axis, size: 56, values: (u, v) => v.map((x) => number(x, 1)) }],
			series: [{ value: (u, v) => (v == null ? '' : new Date(v * 1000).toLocaleTimeString()) },
				...series.map(([label, tint]) => ({ label, stroke: color(tint), width: 1.5, spanGaps: false,
					points: { show: false },
					value: (u, v) => (v == null ? '–' : number(v, 1) + ' ' + unit) }))],
		}, data, box.current);
		const fit = new ResizeObserver(() =>
			plot.current?.setSize({ width: box.current.clientWidth, height: 150 }));
		fit.observe(box.current);
		return () => { fit.disconnect(); plot.current.destroy(); plot.current = null; };
	}, []);
	useEffect(() => plot.current?.setData(data));
	const last = series.map(([label], i) => {
		const v = data[i + 1].at(-1);
		return label + ' ' + (v == null ? '–' : number(v, 1));
	}).join(', ');
	return html`<figure class="chart"><figcaption>${title} <span class="unit">${unit}</span></figcaption>
		<div ref=${box} role="img" aria-label=${`${title}: ${last} ${unit}`}></div></figure>`;
}

export function Charts({ of: key, latency = true }) {
	const list = state.history[key] ?? [];
	const x = list.map((s) => s.time);
	const pick = (name, scale = 1) => list.map((s) => (s[name] == null ? null : s[name] * scale));
	return html`<div class="charts">
		<${Chart} title=${t('Operations')} unit="IOPS" series=${[[t('read'), '--read'], [t('write'), '--write']]}
			data=${[x, pick('reads'), pick('writes')]} />
		<${Chart} title=${t('Throughput')} unit="MB/s" series=${[[t('read'), '--read'], [t('write'), '--write']]}
			data=${[x, pick('read_bytes', 1e-6), pick('write_bytes', 1e-6)]} />
		${latency && html`<${Chart} title=${t('Mean latency')} unit="ms" series=${[[t('latency'), '--read']]}
			data=${[x, pick('ms')]} />`}</div>`;
}

export { api, get, isAdmin, Problem, state, update, useEffect, useRef, useState };
