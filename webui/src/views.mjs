// SPDX-License-Identifier: BSD-2-Clause
// Overview, Disks, Alerts.
import { Charts } from './charts.mjs';
import { duration, number, t } from './i18n.mjs';
import { event, problem } from './words.mjs';
import { Ago, api, Bar, Empty, Failure, Field, Form, get, html, isAdmin, Jobs, Size, State, state, Table, update, useLoad, useState } from './ui.mjs';

// What the administrator should do next, from nothing to done.
function NextStep({ status }) {
	const steps = [
		[status.pools.length === 0, t('There is no storage yet. The wizard makes a pool out of your disks and connects the first computer.')],
		[status.volumes === 0, t('There is a pool, but no volume to store anything on.')],
		[status.mappings === 0, t('There is a volume, but no computer may use it yet.')],
	];
	const step = steps.find(([open]) => open);
	if (!step)
		return null;
	return html`<div class="card"><h2>${t('What to do next')}</h2><p>${step[1]}</p>
		${isAdmin() && html`<a class="button main" href="#/wizard">${t('Start the wizard')}</a>`}</div>`;
}

export function Overview() {
	const { status } = state;
	const last = state.history.all?.at(-1);
	if (!status)
		return html`<p>${t('Connecting…')}</p>`;
	const size = status.pools.reduce((sum, p) => sum + Number(p.size ?? 0), 0);
	const used = status.pools.reduce((sum, p) => sum + Number(p.used ?? 0), 0);
	return html`<div class="head"><h1>${t('Overview')}</h1>${isAdmin() && html`<a class="button" href="#/wizard">${t('Wizard')}</a>`}</div>
		<${NextStep} status=${status} /><${Jobs} />
		<div class="grid">
		<section class="card"><h2>${t('Is my data safe?')}</h2><p class="big"><${State} value=${status.health} /></p>
			${status.pools.map((p) => html`<div><a href=${'#/pools/' + p.name}>${p.name}</a> <${State} value=${p.health} />
			${p.level && html` <span class="soft">${p.level}, ${p.degraded > 0 ? t('no redundancy left') : t('survives 1 disk')}</span>`}</div>`)}</section>
		<section class="card"><h2>${t('Who is connected?')}</h2><p class="big">${number(status.sessions)}</p>
			<a href="#/targets">${t('{targets} targets, {hosts} hosts, {mappings} mappings', status)}</a></section>
		<section class="card"><h2>${t('How fast?')}</h2><p class="big">${last ? number(last.reads + last.writes) : '–'} IOPS</p>
			<span class="soft">${last ? number((last.read_bytes + last.write_bytes) / 1e6, 1) : '–'} MB/s${last && (last.r99 ?? last.w99) != null ? ', ' + t('99 % within {n} ms', { n: number(Math.max(last.r99 ?? 0, last.w99 ?? 0), 1) }) : ''}</span></section>
		<section class="card"><h2>${t('How full?')}</h2>${size > 0 ? html`<p class="big">${number(used / size * 100)} %</p><${Bar} used=${used} size=${size} />` : html`<p class="big">–</p>`}</section>
		</div>
		${status.volumes > 0 && html`<section class="card"><${Charts} of="all" /></section>`}
		<p class="soft">Dozo ${status.version}, ${t('up {time}', { time: duration(status.uptime_s) })}</p>`;
}



function LookAt({ found }) {
	const [path, setPath] = useState('');
	return html`<${Form} label=${t('Look')} submit=${async () => found(await get('/disk?path=' + encodeURIComponent(path)))}>
		<${Field} label=${t('Path of an image file or device')} value=${path} set=${setPath} placeholder="/srv/disk0.img" /><//>`;
}

// Which of those in the box is it?  Its light of activity tells.
const BLINK_S = 60;
function Blink({ disk, failed }) {
	const again = () => update({ version: state.version + 1 });
	const send = (seconds) => api('POST', '/disks/locate', { path: disk.path, seconds }).then(() => {
		failed(null);
		again();
		setTimeout(again, 1000 * seconds + 500);
	}, failed);
	return disk.locating_s ? html`<button onClick=${() => send(0)}>${t('Stop blinking')}</button>`
		: html`<button onClick=${() => send(BLINK_S)}>${t('Blink')}</button>`;
}

export function Disks() {
	const [disks, error] = useLoad('/disks');
	const [extra, setExtra] = useState([]);
	const [dark, setDark] = useState(null);
	const can = (d) => d.kind === 'disk' && d.present && !d.error;
	const blinks = isAdmin() && disks?.some(can);
	const all = [...(disks ?? []), ...extra.filter((x) => !(disks ?? []).some((d) => d.path === x.path))];
	return html`<div class="head"><h1>${t('Disks')}</h1></div><${Failure} error=${error ?? dark} />
		${disks && all.length === 0 && html`<${Empty}>${t('No disks were found. Plug one in, or look at an image file below.')}<//>`}
		${all.length > 0 && html`<div class="card"><${Table} caption=${t('Disks')}
			head=${[t('Disk'), t('Model, serial'), t('Size'), t('What is on it'), t('Used by'), ...(blinks ? [''] : [])]}
			rows=${all.map((d) => [html`<strong>${d.path}</strong>${!d.present ? html` <${State} value="missing" />` : html`<small>${d.kind === 'disk' ? (d.rotational ? t('hard disk') : t('solid state')) : t('image file')}</small>`}`,
				html`${d.model || '–'}<small>${d.serial}</small><small>${d.slot}</small>`, html`<${Size} value=${d.size} />`, d.contents || (d.present && !d.error ? t('nothing found') : '–'),
				d.pool ? html`<a href=${'#/pools/' + d.pool}>${d.pool}</a> <${State} value=${d.state} />` : !d.present ? '–' : d.error ? html`<strong class="s-failed">${d.error.text}</strong><small>${d.error.hint}</small>` : d.note || t('free'),
				...(blinks ? [can(d) && html`<${Blink} disk=${d} failed=${setDark} />`] : [])])} />
			${blinks && html`<p class="soft">${t('“Blink” reads a disk now and then for a minute, so that its activity light shows which one in the box it is. It stays in use.')}</p>`}</div>`}
		<div class="card"><h2>${t('Image files')}</h2><p class="soft">${t('Image files work everywhere a disk does. Look at one to see what is on it.')}</p>
		<${LookAt} found=${(d) => setExtra([...extra.filter((x) => x.path !== d.path), d])} /></div>`;
}

function Said({ of }) {
	const { text, hint, bad } = event(of);
	return html`${bad ? html`<span class="s-failed">✖ ${text}</span>` : text}${hint && html`<small>${hint}</small>`}`;
}

export function Alerts() {
	const [events, error] = useLoad('/events');
	const problems = state.status?.problems ?? [];
	return html`<div class="head"><h1>${t('Alerts')}</h1></div>
		<section class="card"><h2>${t('Now')}</h2>
		${problems.length === 0 ? html`<p class="note good">${t('There is nothing to complain about.')}</p>`
		: problems.map((p) => html`<div class=${'note ' + p.severity}><strong>${problem(p).text}</strong><p>${problem(p).hint}${p.pool && html` <a href=${'#/pools/' + p.pool}>${t('Pool {name}', { name: p.pool })}</a>`}</p></div>`)}</section>
		<section class="card"><h2>${t('What happened')}</h2><${Failure} error=${error} />
		${events && events.length === 0 && html`<${Empty}>${t('Nothing yet.')}<//>`}
		${events?.length > 0 && html`<${Table} caption=${t('What happened')} head=${[t('When'), t('What')]}
			rows=${[...events].reverse().map((e) => [html`<${Ago} at=${e.time_s} />`, html`<${Said} of=${e} />`])} />`}</section>`;
}


