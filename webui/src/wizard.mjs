// SPDX-License-Identifier: BSD-2-Clause
// From bare disks to a connected computer: disks, protection, volume, access,
// review, connect.  Nothing is changed before the review was accepted.
import { bytes, duration, number, t } from './i18n.mjs';
import { Connect } from './connect.mjs';
import { api, Copy, Failure, Field, Form, get, html, isAdmin, Problem, progress, Size, State, state, Table, update, useLoad, useState } from './ui.mjs';
import { finishJob } from './store.mjs';
import { newSecret, presets } from './targets.mjs';
import { policies, policyHint, word } from './storage.mjs';

const MIB = 1024 * 1024;
const nameHint = () => t('Small letters, digits and dashes');
const nameOk = (name) => /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(name);

// RAID5 uses as much of each disk as the smallest has, less its own records.
function capacity(disks) {
	const smallest = Math.min(...disks.map((d) => Number(d.size)));
	return Math.max(0, (disks.length - 1) * Math.floor(smallest / MIB - 8) * MIB);
}

function Disks({ w, set, next }) {
	const [disks, error] = useLoad('/disks');
	const [pools] = useLoad('/pools');
	const [path, setPath] = useState('');
	const online = (pools ?? []).filter((p) => p.state === 'online');
	const known = [...(disks ?? []).filter((d) => !d.pool && d.present && !d.error), ...w.extra.filter((x) => !(disks ?? []).some((d) => d.path === x.path))];
	const chosen = (d) => w.disks.some((x) => x.path === d.path);
	const toggle = (d) => set({ disks: chosen(d) ? w.disks.filter((x) => x.path !== d.path) : [...w.disks, d] });
	const add = async () => {
		for (const one of path.split(/\s+/).filter(Boolean)) {
			const d = await get('/disk?path=' + encodeURIComponent(one));
			if (d.error)
				throw new Problem(d.error);
			if (!known.some((x) => x.path === d.path))
				set((old) => ({ extra: [...old.extra, d], disks: [...old.disks, d] }));
		}
		setPath('');
	};
	const serials = w.disks.map((d) => d.serial).filter(Boolean);
	const twins = new Set(serials).size < serials.length;
	const unconfirmed = w.disks.filter((d) => d.contents && (w.erase[d.path] ?? '') !== word(d));
	return html`<h2>${t('Which disks?')}</h2><${Failure} error=${error} />
		${online.length > 0 && html`<${Field} label=${t('Pool')} value=${w.existing} set=${(v) => set({ existing: v })}
			options=${[['', t('a new pool from disks')], ...online.map((p) => [p.name, t('use the pool {name} ({size} free)', { name: p.name, size: bytes(p.free) })])]} />`}
		${!w.existing && html`<p class="soft">${t('Choose 3 to 16 disks. Those of equal size waste nothing.')}</p>
		${known.length > 0 && html`<${Table} caption=${t('Disks')} head=${['', t('Disk'), t('Serial'), t('Size'), t('What is on it')]} rows=${known.map((d) => [
			html`<input type="checkbox" checked=${chosen(d)} onChange=${() => toggle(d)} aria-label=${t('Use {disk}', { disk: d.path })} />`,
			html`<strong>${d.path}</strong><small>${d.model}</small>`, d.serial || '–', html`<${Size} value=${d.size} />`,
			html`${d.contents || t('nothing found')}${d.contents && chosen(d) ? html`<${Field} label=${t('Everything on it is lost. Type {name} to erase it', { name: word(d) })}
				value=${w.erase[d.path] ?? ''} set=${(v) => set({ erase: { ...w.erase, [d.path]: v } })} />` : ''}`])} />`}
		${known.length === 0 && disks && html`<p class="empty">${t('No free disk was found. Plug disks in, or use image files.')}</p>`}
		<${Form} label=${t('Add')} submit=${add}><${Field} label=${t('Add image files or devices by path')} value=${path} set=${setPath} hint=${t('Several are separated by spaces')} placeholder="/srv/disk0.img /srv/disk1.img" /><//>
		${twins && html`<p class="note">${t('Two of these disks tell the same serial number. Some USB boxes do that: then a disk cannot be told from another when one fails.')}</p>`}`}
		<div class="buttons"><button class="main" disabled=${!w.existing && (w.disks.length < 3 || w.disks.length > 16 || unconfirmed.length > 0)}
			onClick=${() => next(w.existing ? 2 : 1)}>${t('Continue')}</button>
		${!w.existing && html`<span class="soft">${w.disks.length < 3 ? t('{n} of at least 3 chosen', { n: w.disks.length }) : unconfirmed.length > 0 ? t('Type the words above to go on.') : t('{n} chosen', { n: w.disks.length })}</span>`}</div>`;
}

function Protection({ w, set, next }) {
	const sizes = w.disks.map((d) => Number(d.size));
	const total = sizes.reduce((a, b) => a + b, 0);
	const usable = capacity(w.disks);
	const waste = total - Math.min(...sizes) * sizes.length;
	return html`<h2>${t('How is it protected?')}</h2>
		<div class="note good"><strong>RAID5: ${t('survives 1 disk')}</strong><p>${t('Any one disk may fail and nothing is lost. Two at the same time lose everything: replace a failed one soon, and keep backups.')}</p></div>
		<dl><dt>${t('Disks')}</dt><dd>${w.disks.length} × ${bytes(Math.min(...sizes))}</dd><dt>${t('For your data')}</dt><dd><strong>${bytes(usable)}</strong></dd>
		<dt>${t('For protection')}</dt><dd>${bytes(Math.max(0, total - waste - usable))}</dd>${waste > 0 && html`<dt>${t('Not usable')}</dt><dd>${bytes(waste)}</dd>`}
		<dt>${t('Making it takes about')}</dt><dd>${duration(Math.min(...sizes) / 150e6)}</dd></dl>
		<progress max=${total} value=${usable} aria-label=${t('{n} % for your data', { n: number(usable / total * 100) })}></progress>
		<${Form} label=${t('Continue')} disabled=${!nameOk(w.pool)} submit=${async () => {
			await api('POST', '/pools?dry_run=true', poolBody(w));
			next(2);
		}}><${Field} label=${t('Name of the pool')} value=${w.pool} set=${(v) => set({ pool: v })} hint=${nameHint()} /><//>`;
}

const poolName = (w) => w.existing || w.pool;
const poolBody = (w) => {
	const body = { name: w.pool, level: 'raid5', disk: w.disks.map((d) => d.path) };
	if (w.disks.some((d) => d.contents))
		body.force = true;
	const serial = w.disks.filter((d) => d.contents && d.serial).map((d) => d.serial);
	if (serial.length > 0)
		body.serial = serial;
	return body;
};

function Volume({ w, set, next }) {
	const [pools] = useLoad('/pools');
	const free = w.existing ? Number((pools ?? []).find((p) => p.name === w.existing)?.free ?? 0) : capacity(w.disks);
	const proposal = Math.floor(free / MIB) * MIB;
	const size = w.size ?? (proposal ? `${Math.floor(proposal / MIB)}M` : '');
	return html`<h2>${t('What is stored on it?')}</h2><${Form} label=${t('Continue')} disabled=${!nameOk(w.volume) || !size} submit=${async () => { set({ size }); next(3); }}>
		<${Field} label=${t('Name of the volume')} value=${w.volume} set=${(v) => set({ volume: v })} hint=${nameHint()} />
		<${Field} label=${t('Size')} value=${size} set=${(v) => set({ size: v })} hint=${t('Up to {size}; as 512M, 100G or 1.5T. It can grow later.', { size: bytes(free) })} />
		<${Field} label=${t('Used by')} value=${w.preset} set=${(v) => set({ preset: v, policy: v === 'vmware' ? 'durable' : 'writethrough' })} options=${presets()} />
		<${Field} label=${t('Write policy')} value=${w.policy} set=${(v) => set({ policy: v })} options=${policies()} hint=${policyHint(w.policy)} /><//>`;
}

function Access({ w, set, next }) {
	const [knocks] = useLoad('/knocks');
	const [hosts] = useLoad('/hosts');
	const [targets] = useLoad('/targets');
	const seen = [...new Set((knocks ?? []).map((k) => k.initiator).filter(Boolean))];
	const own = (hosts ?? []).filter((x) => !x.built_in);
	const ok = nameOk(w.target) && (w.who !== 'new' || (nameOk(w.host) && w.iqn.trim() !== ''));
	return html`<h2>${t('Who may use it?')}</h2><${Form} label=${t('Continue')} disabled=${!ok} submit=${async () => next(4)}>
		<${Field} label=${t('Computer')} value=${w.who} set=${(v) => set({ who: v })}
			options=${[['new', t('one computer, by its iSCSI name')], ...own.map((x) => ['=' + x.name, t('the host {name}', x)]), ['any', t('any computer that can reach this box')]]} />
		${w.who === 'any' && html`<p class="note">${t('Everyone on the network may read and change the data. Fine for a first try; not for anything that matters.')}</p>`}
		${w.who === 'new' && html`<${Field} label=${t('Its name here')} value=${w.host} set=${(v) => set({ host: v })} hint=${nameHint()} />
			${seen.length > 0 && html`<${Field} label=${t('Seen knocking')} value=${w.iqn} set=${(v) => set({ iqn: v })} options=${[['', t('choose, or type below')], ...seen.map((i) => [i, i])]} />`}
			<${Field} label=${t('Its iSCSI name (IQN)')} value=${w.iqn} set=${(v) => set({ iqn: v })} placeholder="iqn.1993-08.org.debian:01:abc"
				hint=${t('Linux: /etc/iscsi/initiatorname.iscsi. Windows: iSCSI Initiator, Configuration. ESXi: the iSCSI adapter. Or let it try to connect: then it is listed here.')} />
			<${Field} label=${t('Demand a password (CHAP)')} type="checkbox" value=${w.chap} set=${(v) => set({ chap: v })} />
			${w.chap && html`<${Field} label=${t('CHAP user')} value=${w.chapUser} set=${(v) => set({ chapUser: v })} hint=${t('Empty: the name')} />
				<${Field} label=${t('CHAP secret')} value=${w.secret} set=${(v) => set({ secret: v })} hint=${t('12 to 16 characters. Note it now: it is not shown again.')} />`}`}
		<${Field} label=${t('Name of the target')} value=${w.target} set=${(v) => set({ target: v })}
			hint=${(targets ?? []).some((x) => x.name === w.target) ? t('This target exists; the volume is added to it.') : nameHint()} /><//>`;
}

const hostName = (w) => (w.who === 'new' ? w.host : w.who === 'any' ? 'any' : w.who.slice(1));
const chapUser = (w) => w.chapUser || w.host;

// For a shell: one option a line, what is not plain in quotes.
const more = ' \\\n  ';
const quote = (word) => (/^[\w./:@=-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

// Each step: what it is called, the same for dozoctl, and how it is done.
function plan(w) {
	const volume = `${poolName(w)}/${w.volume}`;
	const list = [];
	if (!w.existing)
		list.push({ text: t('Make the pool {pool} (RAID5) out of {n} disks', { pool: w.pool, n: w.disks.length }),
			line: [`dozoctl pool create ${w.pool} --level raid5`, ...w.disks.map((d) => '--disk ' + quote(d.path)), ...(poolBody(w).force ? ['--force'] : []), ...(poolBody(w).serial ?? []).map((s) => '--serial ' + quote(s)), '--wait'].join(more),
			run: async (progress) => finishJob(await api('POST', '/pools', poolBody(w)), progress) });
	list.push({ text: t('Make the volume {volume} of {size}', { volume, size: w.size }),
		line: `dozoctl volume create ${volume} ${w.size}${more}--write-policy ${w.policy}`,
		run: async (progress) => finishJob(await api('POST', '/volumes', { volume, size: w.size, write_policy: w.policy }), progress) });
	list.push({ text: t('Make the target {target}', { target: w.target }), line: `dozoctl target create ${w.target}`,
		run: () => api('POST', '/targets', { name: w.target }) });
	if (w.who === 'new') {
		const body = { name: w.host, iqn: [w.iqn.trim()], preset: w.preset };
		if (w.chap)
			Object.assign(body, { chap_user: chapUser(w), chap_secret: w.secret });
		list.push({ text: t('Make the host {host} for {iqn}', { host: w.host, iqn: w.iqn.trim() }),
			line: `dozoctl host create ${w.host} --preset ${w.preset}${more}--iqn ${quote(w.iqn.trim())}${w.chap ? `${more}--chap-user ${quote(chapUser(w))} --chap-secret-file -` : ''}`,
			run: () => api('POST', '/hosts', body) });
	}
	list.push({ text: t('Give {host} access to {volume}', { host: hostName(w), volume }),
		line: `dozoctl map ${volume}${more}--host ${hostName(w)} --target ${w.target}`,
		run: () => api('POST', '/mappings', { volume, host: hostName(w), target: w.target }) });
	return list;
}

function Review({ w, set, next }) {
	const steps = plan(w);
	const [at, setAt] = useState(-1);
	const [job, setJob] = useState(null);
	const run = async () => {
		for (let i = 0; i < steps.length; i++) {
			setAt(i);
			setJob(null);
			await steps[i].run(setJob);
		}
		setAt(steps.length);
		const target = (await get('/targets')).find((x) => x.name === w.target);
		set({ iqnOfTarget: target.iqn, portals: await get('/portals') });
		update({ version: state.version + 1 });
		next(5);
	};
	const mark = (i) => (i < at ? '✔ ' : i === at ? '▶ ' : '');
	const erased = w.existing ? [] : w.disks.filter((d) => d.contents);
	return html`<h2>${t('Is this right?')}</h2>
		${erased.length > 0 && html`<div class="note failed"><strong>${t('Everything on these disks is lost:')}</strong><ul>${erased.map((d) => html`<li>${d.path} ${d.serial} (${d.contents})</li>`)}</ul></div>`}
		<ol>${steps.map((s, i) => html`<li>${mark(i)}${s.text}
			${i === at && job && html`<progress max="100" value=${job.percent ?? 0} aria-label=${s.text}></progress>
			<small>${progress(job)}</small><button class="danger" onClick=${() => api('DELETE', '/jobs/' + job.id).catch(() => {})}>${t('Stop it')}</button>`}</li>`)}</ol>
		<${Form} label=${at >= 0 && at < steps.length ? t('Try again from the start') : t('Do it')} submit=${run}>
		<${Copy} label=${t('The same with dozoctl')} text=${steps.map((s) => s.line).join('\n')} /><//>`;
}

function Done({ w }) {
	return html`<h2>${t('Connect your computer')}</h2><p class="note good">${t('The volume is ready. Paste these lines on the computer that uses it.')}</p>
		<${Connect} portals=${w.portals} iqn=${w.iqnOfTarget} preset=${w.preset} chap=${w.who === 'new' && w.chap ? { user: chapUser(w), secret: w.secret } : null} />
		${w.who === 'new' && w.chap && html`<p class="note">${t('The CHAP secret is shown here for the last time.')}</p>`}
		<div class="buttons"><a class="button main" href="#/overview">${t('To the overview')}</a></div>`;
}

const views = [Disks, Protection, Volume, Access, Review, Done];

export function Wizard() {
	const [step, setStep] = useState(0);
	const [w, setW] = useState({ extra: [], disks: [], erase: {}, existing: '', pool: 'tank', volume: 'disk1', size: null, preset: 'linux', policy: 'writethrough',
		who: 'new', host: '', iqn: '', chap: false, chapUser: '', secret: newSecret(), target: 'storage' });
	const set = (changes) => setW((old) => ({ ...old, ...(typeof changes === 'function' ? changes(old) : changes) }));
	const next = (n) => { setStep(n); scrollTo(0, 0); document.querySelector('main').focus(); };
	if (!isAdmin())
		return html`<p>${t('You may look, but not change anything.')}</p>`;
	const names = [t('Disks'), t('Protection'), t('Volume'), t('Access'), t('Review'), t('Connect')];
	const View = views[step];
	return html`<div class="head"><h1>${t('Wizard')}</h1></div><ol class="steps" aria-label=${t('Steps')}>${names.map((name, i) => html`
		<li aria-current=${i === step ? 'step' : undefined}>${i < step ? '✔ ' : ''}${i + 1}. ${name}</li>`)}</ol>
		<section class="card"><${View} w=${w} set=${set} next=${next} />
		${step > 0 && step < 5 && html`<div class="buttons"><button onClick=${() => next(step === 2 && w.existing ? 0 : step - 1)}>${t('Back')}</button></div>`}</section>`;
}
