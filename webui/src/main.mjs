// SPDX-License-Identifier: BSD-2-Clause
// The frame: log-in, first set-up, banner, navigation.
import { render } from 'preact';
import './style.css';
import { duration, language, setLanguage, t } from './i18n.mjs';
import { Dialogs, Field, Form, html, jobName, progress, useEffect, useState, useStore } from './ui.mjs';
import { api, refreshSession, state, update } from './store.mjs';
import { Alerts, Disks, Overview } from './views.mjs';
import { Pool, Pools, Volume, Volumes } from './storage.mjs';
import { Targets } from './targets.mjs';
import { problem } from './words.mjs';
import { System } from './system.mjs';
import { Wizard } from './wizard.mjs';

const pages = [['overview', 'Overview'], ['disks', 'Disks'], ['pools', 'Pools'], ['volumes', 'Volumes'],
	['targets', 'Targets & hosts'], ['alerts', 'Alerts'], ['system', 'System']];

function View({ route }) {
	const [, page, a, b] = route.split('/').map(decodeURIComponent);
	switch (page) {
	case 'disks': return html`<${Disks} />`;
	case 'pools': return a ? html`<${Pool} key=${a} name=${a} />` : html`<${Pools} />`;
	case 'volumes': return b ? html`<${Volume} key=${a + '/' + b} pool=${a} name=${b} />` : html`<${Volumes} />`;
	case 'targets': return html`<${Targets} />`;
	case 'alerts': return html`<${Alerts} />`;
	case 'system': return html`<${System} />`;
	case 'wizard': return html`<${Wizard} />`;
	default: return html`<${Overview} />`;
	}
}

function Banner() {
	const { status, seen } = state;
	const age = seen ? (Date.now() - seen) / 1000 : 0;
	const words = { healthy: status?.pools.length === 0 ? t('Nothing is stored here yet') : t('All data is safe'), degraded: t('Degraded: look at this soon'), failed: t('Failed: something is not served') };
	const health = status?.health ?? 'busy';
	useEffect(() => {
		const mark = { degraded: '⚠ ', failed: '✖ ' }[health] ?? '';
		document.title = (age > 8 ? '… ' : '') + mark + (status ? t(health) + ' – ' : '') + (state.session?.hostname ?? '') + ' – Dozo';
	});
	return html`${age > 8 && html`<div class="banner stale" role="status">
			<strong>${t('Connection lost: data {time} old', { time: duration(age) })}</strong>
			<span>${t('Trying again…')}</span></div>`}
		<div class=${'banner ' + health} aria-live="polite">
		<strong>${status ? words[health] : t('Connecting…')}</strong>
		${status && html`<span>${t('{n} connections', { n: status.sessions })}</span>`}
		${status?.jobs.map((job) => html`<a href=${job.verb.startsWith('volume') ? '#/volumes' : '#/pools/' + job.object}>${jobName(job)}: ${progress(job)}</a>`)}
		${status?.problems.length > 0 && html`<ul>${status.problems.map((p) => html`<li><strong>${problem(p).text}</strong> <a href=${p.pool ? '#/pools/' + p.pool : '#/alerts'}>${t('What to do')}</a></li>`)}</ul>`}</div>`;
}

function Language() {
	return html`<select aria-label="Language / 言語" value=${language()}
		onChange=${(e) => { setLanguage(e.target.value); update({}); }}>
		<option value="en" selected=${language() === 'en'}>English</option><option value="ja" selected=${language() === 'ja'}>日本語</option></select>`;
}

function Login() {
	const [user, setUser] = useState('admin');
	const [password, setPassword] = useState('');
	return html`<main class="login"><div class="card"><h1>${t('Log in')}</h1>
		<${Form} label=${t('Log in')} submit=${async () => {
			await api('POST', '/session', { user, password });
			await refreshSession();
		}}>
		<${Field} label=${t('User')} value=${user} set=${setUser} autocomplete="username" />
		<${Field} label=${t('Password')} type="password" value=${password} set=${setPassword} autocomplete="current-password" /><//>
		<${Language} /></div></main>`;
}

function Setup() {
	const [token, setToken] = useState('');
	const [name, setName] = useState('admin');
	const [password, setPassword] = useState('');
	const [again, setAgain] = useState('');
	const short = password.length > 0 && password.length < 12;
	const differs = again.length > 0 && again !== password;
	return html`<main class="login"><div class="card"><h1>${t('Welcome to Dozo')}</h1>
		<p>${t('Make the first administrator. There is no default password.')}</p>
		<${Form} label=${t('Create administrator')} disabled=${!token || password.length < 12 || again !== password} submit=${async () => {
			await api('POST', '/setup', { token, name, password });
			location.hash = '/wizard';
			await refreshSession();
		}}>
		<${Field} label=${t('Set-up token')} value=${token} set=${setToken}
			hint=${t('Printed where Dozo was started, or on the box: journalctl -u dozod | grep set-up')} />
		<${Field} label=${t('User')} value=${name} set=${setName} autocomplete="username" />
		<${Field} label=${t('New password')} type="password" value=${password} set=${setPassword} autocomplete="new-password"
			hint=${short ? t('Too short: 12 characters or more') : t('12 characters or more; a few random words are good')} />
		<${Field} label=${t('Password again')} type="password" value=${again} set=${setAgain} autocomplete="new-password"
			hint=${differs ? t('The two passwords differ') : ''} /><//>
		<${Language} /></div></main>`;
}

function App() {
	const { session, route } = useStore();
	if (session === null || session.offline)
		return html`<main class="login"><p role="status">${session ? t('The box does not answer.') : t('Connecting…')}</p></main>`;
	if (!session.user)
		return session.setup_needed ? html`<${Setup} />` : html`<${Login} />`;
	const page = route.split('/')[1];
	return html`<a class="skip" href="#main" onClick=${(e) => { e.preventDefault(); document.querySelector('main').focus(); }}>${t('Skip to content')}</a>
		<header class="top"><span class="brand"><img src="/icon.svg" alt="" />Dozo <span class="soft">${session.hostname}</span></span>
		<div><${Language} /></div><span>${session.user} (${t(session.role)})</span>
		<button onClick=${async () => { await api('DELETE', '/session'); update({ status: null, stats: null, seen: 0 }); location.hash = ''; refreshSession(); }}>${t('Log out')}</button></header>
		<nav aria-label=${t('Pages')}>${pages.map(([id, text]) => html`
			<a href=${'#/' + id} aria-current=${page === id ? 'page' : undefined}>${t(text)}</a>`)}</nav>
		<${Banner} /><main id="main" tabindex="-1" class=${state.seen && Date.now() - state.seen > 8000 ? 'old' : ''}><${View} route=${route} /></main><${Dialogs} />`;
}

render(html`<${App} />`, document.getElementById('app'));
refreshSession();
