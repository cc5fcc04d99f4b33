// SPDX-License-Identifier: BSD-2-Clause
// Pools and volumes.
import { Charts, MemberCharts } from './charts.mjs';
import { bytes, number, t, when } from './i18n.mjs';
import { Action, api, Bar, closeDialog, Confirm, Empty, Failure, Field, Form, get, html, isAdmin, Jobs, progress, Size, State, state, Table, update, useEffect, useLoad, useState } from './ui.mjs';

const changed = () => { closeDialog(); update({ version: state.version + 1 }); };

export const policies = () => [['writethrough', t('write-through: Windows, Linux')], ['durable', t('durable: VMware')], ['writeback', t('write-back: scratch data')]];
export const policyHint = (policy) => policy === 'writeback' ? t('A power cut or crash loses the last seconds of what was written and not flushed. Only for data that can be made again.')
	: t('Durable waits for stable media, write-through for the disks, write-back only for memory.');

function ImportForm() {
	const [paths, setPaths] = useState('');
	const [config, setConfig] = useState(true);
	return html`<${Form} label=${t('Import')} submit=${async () => {
		await api('POST', '/pools/import', { disk: paths.split(/\s+/).filter(Boolean), config });
		changed();
	}}><p>${t('Take over a pool that another Dozo made. Its data stays as it is.')}</p>
		<${Field} label=${t('Its disks or image files, separated by spaces')} value=${paths} set=${setPaths} />
		<${Field} label=${t('Take targets, hosts and mappings from the disks too')} type="checkbox" value=${config} set=${setConfig} /><//>`;
}

export function Pools() {
	const [pools, error] = useLoad('/pools');
	return html`<div class="head"><h1>${t('Pools')}</h1><${Action} label=${t('Import…')} title=${t('Import a pool')}><${ImportForm} /><//>
		${isAdmin() && html`<a class="button main" href="#/wizard">${t('New pool')}</a>`}</div><${Failure} error=${error} />
		${pools?.length === 0 && html`<div class="card"><${Empty}>${t('A pool joins disks so that the failure of one loses nothing. Make the first one with the wizard.')}<//></div>`}
		<div class="grid">${pools?.map((p) => html`<section class="card"><div class="head"><h2><a href=${'#/pools/' + p.name}>${p.name}</a></h2><${State} value=${p.health} /></div>
			${p.task && html`<small>${t('At work:')} ${progress(p.task)}</small>`}
			${p.size ? html`<${Bar} used=${p.used} size=${p.size} /><small>${p.level}, ${t('{n} disks', { n: p.members.length })}, ${t('{n} volumes', { n: p.volumes })}</small>`
			: html`<${Failure} error=${p.error && { message: p.error.text, hint: p.error.hint }} />`}</section>`)}</div>`;
}

// How a person finds a disk: serial if it has one, else the file's name.
export const word = (d) => d.serial || d.path.split('/').at(-1);

// Which disk goes, which one comes, is it the right one: then it is done.
function ReplaceForm({ pool: p, member: m }) {
	const [disks, error] = useLoad('/disks');
	const [path, setPath] = useState('');
	const [other, setOther] = useState('');
	const [found, setFound] = useState(null);
	const [typed, setTyped] = useState('');
	const spares = p.members.filter((x) => x.state === 'spare');
	const bad = m.spare || m.state === 'missing' || m.state === 'faulty';
	const free = (disks ?? []).filter((d) => d.present && !d.error && !d.holder && d.path !== m.path && (!d.pool || (!m.spare && spares.some((x) => x.path === d.path))));
	const disk = path === '+' ? found : free.find((d) => d.path === path);
	useEffect(() => {
		setFound(null);
		const wait = path === '+' && other && setTimeout(() => get('/disk?path=' + encodeURIComponent(other)).then(setFound, () => setFound(null)), 300);
		return () => clearTimeout(wait);
	}, [path, other]);
	const isSpare = spares.some((x) => x.path === disk?.path);
	const taken = disk?.pool && (m.spare || !isSpare);
	return html`<${Failure} error=${error} />${m.spare ? html`<p>${t('A spare waits in the box. When a disk fails, the rebuild onto it begins at once.')}</p>` : html`<dl><dt>${t('Takes the place of')}</dt><dd><strong>${m.path || t('(not there)')}</strong> <${State} value=${m.state} /></dd>
		<dt>${t('Serial')}</dt><dd>${m.serial || '–'}</dd><dt>${t('Place')}</dt><dd>${m.role}</dd></dl>`}
		${!bad && html`<p class="note good">${t('It is copied to the new disk while the pool is used, and stays in use until the new one has everything: the pool keeps its redundancy.')}</p>`}
		<${Form} label=${m.spare ? t('Add') : t('Replace')} danger disabled=${!disk || disk.error || taken || typed !== word(disk)} submit=${async () => {
			const body = { disk: disk.path };
			if (disk.contents && !isSpare)
				body.force = true;
			if (body.force && disk.serial)
				body.serial = [disk.serial];
			await (m.spare ? api('POST', `/pools/${p.name}/add-spare`, body) : api('POST', `/pools/${p.name}/replace`, { old: String(m.role), ...body }));
			changed();
		}}><${Field} label=${t('New disk')} value=${path} set=${setPath} options=${[['', t('choose')],
			...free.map((d) => [d.path, [d.path, d.model, d.serial, d.slot, bytes(d.size), d.pool && t('spare')].filter(Boolean).join(', ')]), ['+', t('another path…')]]}
			hint=${free.length === 0 && disks ? t('No free disk was found. Plug one in: it is listed at once.') : ''} />
		${path === '+' && html`<${Field} label=${t('Path of an image file or device')} value=${other} set=${setOther} placeholder="/srv/disk9.img" hint=${other && !found ? t('There is nothing of this name.') : ''} />`}
		${taken && html`<p class="note failed">${t('It belongs to the pool {pool}.', disk)}</p>`}
		<${Failure} error=${disk?.error && { message: disk.error.text, hint: disk.error.hint }} />
		${disk && !disk.error && !taken && html`${!isSpare && html`<p>${bytes(disk.size)}, ${t('on it:')} <strong>${disk.contents || t('nothing found')}</strong>. ${t('Everything on it is lost.')}</p>`}
			<${Field} label=${disk.serial ? t('Type the serial number {name} of the new disk, as it is on its label', { name: word(disk) }) : t('Type {name} to confirm', { name: word(disk) })} value=${typed} set=${setTyped} />`}<//>`;
}

function MemberRow(p, m) {
	const bad = m.state === 'missing' || m.state === 'faulty';
	return [html`<strong>${m.path || t('(not there)')}</strong><small>${m.serial && t('serial {serial}', m)}</small>`, m.role < 0 ? t('spare') : number(m.role), html`<${State} value=${m.state} />`,
		html`${number(m.read_errors)} / ${number(m.write_errors)}`,
		html`<div class="buttons">${m.role >= 0 && (bad || m.state === 'in-sync') && !p.members.some((x) => x.state === 'replacing') && html`<${Action} label=${t('Replace…')} title=${t('Replace a disk')}><${ReplaceForm} pool=${p} member=${m} /><//>`}
		${m.state === 'in-sync' && p.degraded === 0 && html`<${Action} label=${t('Fail…')} title=${t('Stop using {disk}', { disk: m.path })} danger>
			<${Confirm} name=${word(m)} label=${t('Stop using it')} breaks=${t('The pool {pool} goes on without this disk and has no redundancy until it is replaced.', { pool: p.name })}
				run=${() => api('POST', '/disks/fail', { path: m.path })} /><//>`}</div>`];
}

// A disk that was unplugged and is back needs only what it missed.
function BackForm({ pool, disk }) {
	return html`<${Form} label=${t('Take it back')} submit=${async () => { await api('POST', `/pools/${pool}/re-add`, { disk }); changed(); }}>
		<p>${t('If {disk} is the disk that was taken out, it is brought up to date and used again.', { disk })}</p><//>`;
}

function ConsistencyForm({ p }) {
	const [policy, setPolicy] = useState(p.policy);
	return html`<${Form} label=${t('Save')} submit=${async () => { await api('POST', `/pools/${p.name}/set`, { policy }); changed(); }}>
		<${Field} label=${t('After a crash')} value=${policy} set=${setPolicy} options=${[['ppl', t('ppl: nothing is in doubt, nothing to do')], ['bitmap', t('bitmap: what was being written is compared again')], ['resync', t('resync: everything is compared again')]]}
			hint=${t('ppl costs some write speed and closes the write hole: a disk that fails with the power loses nothing.')} /><//>`;
}

export function Pool({ name }) {
	const [loaded, error] = useLoad('/pools/' + name);
	const [volumes] = useLoad('/volumes?pool=' + name);
	const p = state.status?.pools.find((x) => x.name === name) ?? loaded;
	if (!p || !loaded)
		return html`<div class="head"><h1>${name}</h1></div><${Failure} error=${error} />`;
	const post = (verb, body) => async () => { await api('POST', `/pools/${name}/${verb}`, body); };
	const lost = p.members?.find((m) => m.role >= 0 && (m.state === 'missing' || m.state === 'faulty'));
	const doubt = [...new Set(loaded.mismatch_list?.flatMap((m) => m.volumes.map((v) => v.name)))].join(', ');
	const building = p.degraded > 0 && p.members?.some((m) => m.state === 'rebuilding' || m.state === 'replacing');
	return html`<div class="head"><h1>${t('Pool {name}', { name })}</h1>
		${p.state === 'offline' && isAdmin() && html`<${Action} label=${t('Start')} title=${t('Start {name}', { name })}><${Form} label=${t('Start')} submit=${async () => { await post('start')(); changed(); }}><p>${t('Open the pool again and serve its volumes.')}</p><//><//>`}
		${p.paused && isAdmin() && html`<button class="main" onClick=${() => post('start')().catch(() => {})}>${t('Go on')}</button>`}
		${p.state === 'online' && p.degraded === 0 && !p.task && html`<${Action} label=${t('Check…')} title=${t('Check of parity')}><${Form} label=${t('Check')} submit=${async () => { await post('scrub', {})(); changed(); }}>
			<p>${t('Reads all disks and compares parity with data, while the pool is used. Once a month finds bad sectors before a disk fails.')}</p><//><//>`}
		${p.state === 'online' && html`<${Action} label=${t('Stop…')} title=${t('Stop {name}', { name })} danger><${Confirm} name=${name} label=${t('Stop')} run=${post('stop', { force: true })}
			breaks=${t('Its volumes are not served until it is started again; computers that use them see errors. Then its disks may be removed.')} /><//>`}
		<${Action} label=${t('Export…')} title=${t('Export {name}', { name })} danger><${Confirm} name=${name} label=${t('Export')} run=${async () => { await post('export')(); location.hash = '/pools'; }}
			breaks=${t('The pool is closed and forgotten here. Its data stays on the disks; another box can import it.')} /><//>
		<${Action} label=${t('Delete…')} title=${t('Delete {name}', { name })} danger><${Confirm} name=${name} label=${t('Delete for ever')}
			run=${async () => { await api('DELETE', `/pools/${name}?force=true`); location.hash = '/pools'; }}
			breaks=${t('This destroys {n} volumes and all data on them. There is no way back.', { n: p.volumes ?? 0 })} /><//></div>
		${p.error && html`<${Failure} error=${{ message: p.error.text, hint: p.error.hint }} />`}
		<${Jobs} of=${name} />
		<div class="grid"><section class="card"><h2>${t('Health')}</h2><p class="big"><${State} value=${p.health} /></p>
			${p.degraded > 0 && html`<div class="note"><strong>${p.paused ? t('The rebuild does not go on. Press “Go on” on the page of the pool.') : building && p.task?.used_left_bytes === '0' ? t('All used data is rebuilt. Until unused space is too, the loss of one more disk stops the pool.') : building ? t('A new disk is being filled. Until that has ended, another failure would lose the data.') : t('A disk is missing or has failed. Data is served, but another failure would lose it.')}</strong>
			${!building && html`<p>${t('Put a new disk in, then:')}</p>`}
			${lost && !building && html`<div class="buttons"><${Action} label=${t('Replace…')} title=${t('Replace a disk')}><${ReplaceForm} pool=${p} member=${lost} /><//>
				${p.missing?.map((m) => html`<${Action} label=${t('It is back: {disk}…', { disk: m.path })} title=${t('Take it back')}><${BackForm} pool=${name} disk=${m.path} /><//>`)}</div>`}</div>`}
			${p.missing?.length > 0 && html`<h3>${t('Missing')}</h3><ul>${p.missing.map((m) => html`<li>${m.path} ${m.serial && t('serial {serial}', m)}</li>`)}</ul>`}
			${p.state === 'online' && !p.scrub && html`<p class="soft">${t('The parity was never checked. Do it once a month.')}</p>`}
			${p.scrub && html`<p class="soft">${[t('Last check ({when}): {n} blocks with wrong parity.', { when: when(p.scrub.end_s ?? p.scrub.start_s), n: number(p.scrub.mismatches) }),
				p.scrub.state === 'cancelled' && t('It was cancelled at {n} %.', { n: number(p.scrub.done_bytes / p.scrub.total_bytes * 100) }),
				p.scrub.state === 'waiting' && t('The rest waits until all disks are there.'),
				p.scrub.unread_bytes > 0 && t('{size} of each disk could not be read.', { size: bytes(p.scrub.unread_bytes) }),
				doubt && t('In doubt: {names}', { names: doubt })].filter(Boolean).join(' ')}</p>
				${p.scrub.task === 'check' && p.scrub.mismatches > 0 && html`<${Action} label=${t('Repair…')} title=${t('Repair of parity')}><${Form} label=${t('Repair')} submit=${async () => { await post('scrub', { repair: true })(); changed(); }}>
				<p>${t('Parity is made to follow the data as it is read. Which of both was wrong cannot be known: check the volumes in doubt.')}</p><//><//>`}`}</section>
		${p.size && html`<section class="card"><h2>${t('Space')}</h2><${Bar} used=${p.used} size=${p.size} />
			<dl><dt>${t('Free')}</dt><dd><${Size} value=${p.free} /></dd><dt>${t('Protection')}</dt><dd>${p.level}, ${t('chunk {size}', { size: bytes(p.chunk) })}</dd>
			<dt>${t('After a crash')}</dt><dd>${p.policy} <${Action} label=${t('Change…')} title=${t('After a crash')}><${ConsistencyForm} p=${p} /><//></dd></dl></section>`}</div>
		${p.members && html`<section class="card"><div class="head"><h2>${t('Disks')}</h2>
			${p.state === 'online' && html`<${Action} label=${t('Add spare…')} title=${t('Add a spare')}><${ReplaceForm} pool=${p} member=${{ path: '', role: t('spare'), state: 'spare', spare: true }} /><//>`}</div><${Table} caption=${t('Disks of {name}', { name })}
			head=${[t('Disk'), t('Place'), t('State'), t('Read / write errors'), '']} rows=${p.members.map((m) => MemberRow(p, m))} /></section>
			<section class="card"><${MemberCharts} paths=${p.members.map((m) => m.path).filter(Boolean)} /></section>`}
		<section class="card"><h2>${t('Volumes')}</h2>${volumes?.length > 0 ? html`<ul>${volumes.map((v) => html`<li><a href=${`#/volumes/${v.pool}/${v.name}`}>${v.name}</a> ${bytes(v.size)}</li>`)}</ul>`
			: html`<${Empty}>${t('None yet.')}<//>`}</section>`;
}

// --- volumes ---

function VolumeForm({ pools }) {
	const [pool, setPool] = useState(pools[0]?.name ?? '');
	const [name, setName] = useState('');
	const [size, setSize] = useState('10G');
	const [policy, setPolicy] = useState('writethrough');
	const of = pools.find((p) => p.name === pool);
	return html`<${Form} label=${t('Create volume')} submit=${async () => {
		await api('POST', '/volumes', { volume: `${pool}/${name}`, size, write_policy: policy });
		changed();
	}}><${Field} label=${t('Pool')} value=${pool} set=${setPool} options=${pools.map((p) => [p.name, p.name])} hint=${of?.free && t('{size} free', { size: bytes(of.free) })} />
		<${Field} label=${t('Name')} value=${name} set=${setName} hint=${t('Small letters, digits and dashes')} />
		<${Field} label=${t('Size')} value=${size} set=${setSize} hint=${t('As 512M, 100G or 1.5T')} />
		<${Field} label=${t('Write policy')} value=${policy} set=${setPolicy} options=${policies()} hint=${policyHint(policy)} /><//>`;
}

export function Volumes() {
	const [volumes, error] = useLoad('/volumes');
	const [pools] = useLoad('/pools');
	const online = (pools ?? []).filter((p) => p.state === 'online');
	const [maps] = useLoad('/mappings');
	const mapped = (v) => (maps ?? []).filter((m) => m.pool === v.pool && m.volume === v.name);
	return html`<div class="head"><h1>${t('Volumes')}</h1>
		${online.length > 0 && html`<${Action} label=${t('New volume')}><${VolumeForm} pools=${online} /><//>`}</div><${Failure} error=${error} />
		<${Jobs} verb="volume" />
		${volumes?.length === 0 && html`<div class="card"><${Empty}>${online.length > 0 ? t('A volume is what a computer sees as a disk. Make the first one.') : t('A volume needs a pool. Make one with the wizard first.')}<//></div>`}
		${volumes?.length > 0 && html`<div class="card"><${Table} caption=${t('Volumes')} head=${[t('Volume'), t('Size'), t('Write policy'), t('Who may use it')]}
			rows=${volumes.map((v) => [html`<a href=${`#/volumes/${v.pool}/${v.name}`}>${v.pool}/${v.name}</a>`, html`<${Size} value=${v.size} />`, v.write_policy,
				mapped(v).length > 0 ? mapped(v).map((m) => html`<div>${m.host} (LUN ${m.lun}${m.read_only ? ', ' + t('read-only') : ''})</div>`) : t('nobody')])} /></div>`}`;
}

function GrowForm({ v }) {
	const [size, setSize] = useState('');
	return html`<${Form} label=${t('Grow')} submit=${async () => { await api('POST', `/volumes/${v.pool}/${v.name}/grow`, { size }); changed(); }}>
		<p>${t('Now {size}. Computers see the new size after a rescan; then grow the file system there.', { size: bytes(v.size) })}</p>
		<${Field} label=${t('New size')} value=${size} set=${setSize} hint=${t('As 512M, 100G or 1.5T')} /><//>`;
}
function PolicyForm({ v }) {
	const [policy, setPolicy] = useState(v.write_policy);
	return html`<${Form} label=${t('Save')} submit=${async () => { await api('POST', `/volumes/${v.pool}/${v.name}/set`, { write_policy: policy }); changed(); }}>
		<${Field} label=${t('Write policy')} value=${policy} set=${setPolicy} options=${policies()} hint=${policyHint(policy)} /><//>`;
}
function RenameForm({ v }) {
	const [name, setName] = useState(v.name);
	return html`<${Form} label=${t('Rename')} submit=${async () => { await api('POST', `/volumes/${v.pool}/${v.name}/rename`, { name }); changed(); location.hash = `/volumes/${v.pool}/${name}`; }}>
		<p>${t('Computers that use the volume do not notice.')}</p><${Field} label=${t('New name')} value=${name} set=${setName} /><//>`;
}

export function Volume({ pool, name }) {
	const path = `/volumes/${pool}/${name}`;
	const [v, error] = useLoad(path);
	if (!v)
		return html`<div class="head"><h1>${pool}/${name}</h1></div><${Failure} error=${error} />`;
	const maps = v.mappings ?? [];
	const cache = state.stats?.volumes.find((x) => x.pool === pool && x.name === name)?.cache;
	return html`<div class="head"><h1>${t('Volume {name}', { name: `${pool}/${name}` })}</h1>
		<${Action} label=${t('Grow…')} title=${t('Grow {name}', { name })}><${GrowForm} v=${v} /><//>
		<${Action} label=${t('Write policy…')} title=${t('Write policy')}><${PolicyForm} v=${v} /><//>
		<${Action} label=${t('Rename…')} title=${t('Rename {name}', { name })}><${RenameForm} v=${v} /><//>
		<${Action} label=${t('Delete…')} title=${t('Delete {name}', { name })} danger><${Confirm} name=${name} label=${t('Delete for ever')}
			run=${async () => { await api('DELETE', path); location.hash = '/volumes'; }}
			breaks=${t('All data on this volume is destroyed. There is no way back.')} /><//></div>
		<${Jobs} of=${`${pool}/${name}`} />
		<div class="grid"><section class="card"><h2>${t('Properties')}</h2><dl><dt>${t('Size')}</dt><dd><${Size} value=${v.size} /></dd>
			<dt>${t('Write policy')}</dt><dd>${v.write_policy}</dd><dt>${t('Pool')}</dt><dd><a href=${'#/pools/' + pool}>${pool}</a></dd>
			${cache && html`<dt>${t('Cache')}</dt><dd>${cache.hits + cache.misses > 0 ? t('{n} % of reads come from memory', { n: number(cache.hits / (cache.hits + cache.misses) * 100) }) : '–'}
				${cache.dirty > 0 && html`<div>${t('{size} is not on the disks yet', { size: bytes(cache.dirty) })}</div>`}</dd>`}
			${v.created_s && html`<dt>${t('Created')}</dt><dd>${when(v.created_s)}</dd>`}
			<dt>NAA</dt><dd>${v.naa}</dd><dt>${t('Serial')}</dt><dd>${v.serial}</dd></dl></section>
		<section class="card"><h2>${t('Who may use it')}</h2>${maps.length === 0 ? html`<${Empty}>${t('Nobody yet. Give a host access under Targets & hosts.')}<//>`
			: html`<ul>${maps.map((m) => html`<li>${m.host}: LUN ${m.lun}, ${m.target}${m.read_only ? ', ' + t('read-only') : ''}</li>`)}</ul>`}
			<a href="#/targets">${t('Targets & hosts')}</a></section></div>
		<section class="card"><${Charts} of=${`volume ${pool}/${name}`} /></section>`;
}
