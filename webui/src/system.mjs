// SPDX-License-Identifier: BSD-2-Clause
// Users, tokens, certificate, configuration, logs.
import { bytes, duration, t, when } from './i18n.mjs';
import { Action, api, closeDialog, Confirm, Copy, Empty, Failure, Field, Form, get, html, isAdmin, state, Table, update, useLoad, useState } from './ui.mjs';

const changed = () => { closeDialog(); update({ version: state.version + 1 }); };
const roles = () => [['viewer', t('viewer: may look')], ['admin', t('admin: may do all')]];

function UserForm() {
	const [name, setName] = useState('');
	const [role, setRole] = useState('viewer');
	const [password, setPassword] = useState('');
	return html`<${Form} label=${t('Create user')} submit=${async () => { await api('POST', '/users', { name, role, password }); changed(); }}>
		<${Field} label=${t('Name')} value=${name} set=${setName} /><${Field} label=${t('Role')} value=${role} set=${setRole} options=${roles()} />
		<${Field} label=${t('Password')} type="password" value=${password} set=${setPassword} autocomplete="new-password" hint=${t('12 characters or more; a few random words are good')} /><//>`;
}
function PasswordForm({ name }) {
	const [password, setPassword] = useState('');
	return html`<${Form} label=${t('Save')} submit=${async () => { await api('POST', `/users/${name}/password`, { password }); changed(); }}>
		<p>${t('All sessions of {name} end.', { name })}</p>
		<${Field} label=${t('New password')} type="password" value=${password} set=${setPassword} autocomplete="new-password" hint=${t('12 characters or more; a few random words are good')} /><//>`;
}
function RoleForm({ user }) {
	const [role, setRole] = useState(user.role);
	return html`<${Form} label=${t('Save')} submit=${async () => { await api('POST', `/users/${user.name}/set`, { role }); changed(); }}>
		<${Field} label=${t('Role')} value=${role} set=${setRole} options=${roles()} /><//>`;
}
function TokenForm() {
	const [name, setName] = useState('');
	const [role, setRole] = useState('viewer');
	const [days, setDays] = useState('365');
	const [made, setMade] = useState(null);
	if (made)
		return html`<p>${t('This is the only time the token is shown.')}</p><${Copy} label=${t('API token')} text=${made} />
			<div class="buttons"><button class="main" onClick=${changed}>${t('Done')}</button></div>`;
	return html`<${Form} label=${t('Create token')} submit=${async () => setMade((await api('POST', '/tokens', { name, role, days: Number(days) || 0 })).token)}>
		<${Field} label=${t('Name')} value=${name} set=${setName} /><${Field} label=${t('Role')} value=${role} set=${setRole} options=${roles()} />
		<${Field} label=${t('Valid for days')} value=${days} set=${setDays} inputmode="numeric" hint=${t('0: for ever')} /><//>`;
}
function CertificateForm() {
	const [certificate, setCertificate] = useState('');
	const [key, setKey] = useState('');
	return html`<${Form} label=${t('Use it')} submit=${async () => { await api('PUT', '/certificate', { certificate, key }); changed(); }}>
		<div class="field"><label for="cert">${t('Certificate and its chain (PEM)')}</label><textarea id="cert" value=${certificate} onInput=${(e) => setCertificate(e.target.value)}></textarea></div>
		<div class="field"><label for="key">${t('Private key (PEM)')}</label><textarea id="key" value=${key} onInput=${(e) => setKey(e.target.value)}></textarea></div><//>`;
}

function save(name, json) {
	const link = document.createElement('a');
	link.href = URL.createObjectURL(new Blob([JSON.stringify(json, null, 2) + '\n'], { type: 'application/json' }));
	link.download = name;
	link.click();
	setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function Restore({ document: doc, changes }) {
	const words = { add: t('added'), remove: t('removed'), modify: t('changed') };
	return html`<p>${t('Restoring this would change:')}</p>
		${changes.length === 0 ? html`<${Empty}>${t('Nothing: it is the same.')}<//>` : html`<${Table} caption=${t('Changes')} head=${[t('Kind'), t('Name'), t('Change')]}
			rows=${changes.map((c) => [c.kind, c.name, words[c.change] + (c.fields ? ': ' + c.fields.join(', ') : '')])} />
		<${Form} label=${t('Restore')} danger submit=${async () => { await api('POST', '/config', { document: doc }); changed(); }}><//>`}`;
}

function Configuration() {
	const [history, error] = useLoad('/config/history');
	const [problem, setProblem] = useState(null);
	const compare = async (doc) => {
		setProblem(null);
		try {
			const { changes } = await api('POST', '/config?dry_run=true', { document: doc });
			update({ dialog: { title: t('Restore configuration'), content: html`<${Restore} document=${doc} changes=${changes} />` } });
		} catch (e) {
			setProblem(e);
		}
	};
	const read = async (e) => {
		const [file] = e.target.files;
		e.target.value = '';
		try {
			await compare(JSON.parse(await file.text()));
		} catch {
			setProblem({ message: t('This file is not a configuration.'), hint: '' });
		}
	};
	return html`<section class="card"><h2>${t('Configuration')}</h2><p class="soft">${t('Targets, portals, hosts and mappings. The pools also carry a copy.')}</p>
		<div class="buttons"><button onClick=${async () => save('dozo-config.json', await get('/config'))}>${t('Download')}</button>
		<button onClick=${async () => save('dozo-config-with-secrets.json', await get('/config?secrets=true'))}>${t('Download with secrets')}</button></div>
		<div class="field"><label for="restore">${t('Restore from a file (differences are shown first)')}</label><input id="restore" type="file" accept="application/json,.json" onChange=${read} /></div>
		<${Failure} error=${error ?? problem} />
		${history?.length > 1 && html`<details><summary>${t('Earlier ones ({n})', { n: history.length - 1 })}</summary><ul class="plain">${[...history].reverse().filter((x) => !x.current).map((x) => html`<li>
			<small>${t('Generation {n}', { n: x.generation })}, ${when(x.written_s)}</small> <button onClick=${async () => compare(await get('/config?secrets=true&generation=' + x.generation))}>${t('Compare…')}</button></li>`)}</ul></details>`}</section>`;
}

function Logs() {
	const [log, error] = useLoad('/log?lines=200');
	return html`<section class="card"><h2>${t('Help')}</h2><p class="soft">${t('The support bundle has status, disks, counters, log and configuration, but no secrets. Names, addresses and serial numbers are in it.')}</p>
		<div class="buttons"><button onClick=${async () => save('dozo-support.json', await get('/support-bundle'))}>${t('Download support bundle')}</button></div><${Failure} error=${error} />
		${log && html`<details><summary>${t('Log')}</summary><pre tabindex="0">${log.map((x) => `${when(x.time_s)} ${x.level} ${x.area}: ${x.text}`).join('\n')}</pre></details>`}</section>`;
}

function Admin() {
	const [users, error] = useLoad('/users');
	const [tokens] = useLoad('/tokens');
	const [logins] = useLoad('/logins');
	const [audit] = useLoad('/audit?limit=50');
	return html`<section class="card"><div class="head"><h2>${t('Users')}</h2><${Action} label=${t('New user')}><${UserForm} /><//></div><${Failure} error=${error} />
		${users && html`<${Table} caption=${t('Users')} head=${[t('Name'), t('Role'), '']} rows=${users.map((u) => [u.name, t(u.role), html`
			<${Action} label=${t('Password…')} title=${t('New password for {name}', u)}><${PasswordForm} name=${u.name} /><//>${' '}
			<${Action} label=${t('Role…')} title=${t('Role of {name}', u)}><${RoleForm} user=${u} /><//>${' '}
			<${Action} label=${t('Delete…')} title=${t('Delete {name}', u)} danger><${Confirm} name=${u.name} label=${t('Delete')} breaks=${t('The user cannot log in any more; sessions end.')} run=${() => api('DELETE', '/users/' + u.name)} /><//>`])} />`}
		${logins && html`<h3>${t('Logged in now')}</h3><${Table} caption=${t('Logged in now')} head=${[t('User'), t('From'), t('Since'), '']} rows=${logins.map((l) => [l.user, l.from, t('{time} ago', { time: duration(l.age_s) }),
			l.own ? t('this one') : html`<button onClick=${async () => { await api('DELETE', '/logins/' + l.id); changed(); }}>${t('End')}</button>`])} />`}</section>
	<section class="card"><div class="head"><h2>${t('API tokens')}</h2><${Action} label=${t('New token')}><${TokenForm} /><//></div>
		<p class="soft">${t('For scripts and Prometheus. The API is described in')} <a href="/openapi.json">/openapi.json</a>, <a href="/metrics">/metrics</a>.</p>
		${tokens?.length > 0 && html`<${Table} caption=${t('API tokens')} head=${[t('Name'), t('Role'), t('Valid until'), '']} rows=${tokens.map((x) => [x.name, t(x.role), x.expires_s ? when(x.expires_s) : t('for ever'),
			html`<${Action} label=${t('Delete…')} title=${t('Delete {name}', x)} danger><${Confirm} name=${x.name} label=${t('Delete')} breaks=${t('Scripts that use it are refused.')} run=${() => api('DELETE', '/tokens/' + x.name)} /><//>`])} />`}</section>
	<${Configuration} /><${Logs} />
	<section class="card"><h2>${t('Audit log')}</h2>${audit && html`<details><summary>${t('The last {n} changes and logins', { n: audit.length })}</summary><${Table} caption=${t('Audit log')} head=${[t('When'), t('User'), t('From'), t('What'), t('Result')]}
		rows=${audit.map((a) => [when(Date.parse(a.time) / 1000), a.user, a.from, html`${a.method} ${a.path}`, html`${a.status} ${a.code ?? ''}`])} /></details>`}</section>`;
}

export function System() {
	const [cert] = useLoad('/certificate');
	const [version] = useLoad('/version');
	const [ops] = useLoad('/ops');
	return html`<div class="head"><h1>${t('System')}</h1></div>
		<div class="grid"><section class="card"><h2>${t('This box')}</h2>${version && html`<dl><dt>Dozo</dt><dd>${version.version}</dd><dt>${t('Array format')}</dt><dd>${version.array_format}</dd><dt>API</dt><dd>${version.api}</dd>
			<dt>${t('Work in flight')}</dt><dd>${ops?.length ?? '–'}</dd>${state.stats?.cache.size > 0 && html`<dt>${t('Cache')}</dt><dd>${t('{used} of {size}', { used: bytes(state.stats.cache.used), size: bytes(state.stats.cache.size) })}</dd>`}</dl>`}</section>
		<section class="card"><div class="head"><h2>${t('Certificate')}</h2><${Action} label=${t('Use your own…')} title=${t('Certificate')}><${CertificateForm} /><//></div>
			${cert && html`<dl><dt>${t('Name')}</dt><dd>${cert.subject}</dd><dt>${t('Kind')}</dt><dd>${cert.self_signed ? t('made by this box') : t('your own')}</dd><dt>${t('Valid until')}</dt><dd>${when(Date.parse(cert.not_after) / 1000)}</dd><dt>SHA-256</dt><dd>${cert.fingerprint}</dd></dl>`}</section></div>
		${isAdmin() ? html`<${Admin} />` : html`<p class="soft">${t('You may look, but not change anything.')}</p>`}`;
}
