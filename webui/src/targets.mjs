// SPDX-License-Identifier: BSD-2-Clause
// Targets, hosts, mappings, sessions, initiators seen knocking, portals.
import { bytes, number, t } from './i18n.mjs';
import { Connect } from './connect.mjs';
import { Action, Ago, api, closeDialog, Confirm, Empty, Failure, Field, Form, html, isAdmin, state, Table, update, useLoad, useRef, useState } from './ui.mjs';

const changed = () => { closeDialog(); update({ version: state.version + 1 }); };

// 16 characters that nobody mistakes for others; fits every initiator.
export function newSecret() {
	const letters = 'abcdefghijkmnpqrstuvwxyzACDEFGHJKLMNPQRTUVWXY34679';
	let out = '';
	while (out.length < 16) {
		const [byte] = crypto.getRandomValues(new Uint8Array(1));
		if (byte < letters.length * Math.floor(256 / letters.length))
			out += letters[byte % letters.length];
	}
	return out;
}

export const presets = () => [['linux', 'Linux'], ['windows', 'Windows'], ['vmware', 'VMware ESXi']];

const words = (text) => text.split(/\s+/).filter(Boolean);

// A new host, or the one that is there.
export function HostForm({ iqn: first = '', host: has, knock, volumes }) {
	const [volume, setVolume] = useState('');
	const [name, setName] = useState(has?.name ?? '');
	const [iqn, setIqn] = useState(has?.iqns.join(' ') ?? first);
	const [network, setNetwork] = useState(has?.networks.join(' ') ?? '');
	const [preset, setPreset] = useState(has?.preset || 'linux');
	const [chap, setChap] = useState(!!has?.chap);
	const [user, setUser] = useState(has?.chap?.user ?? '');
	const [secret, setSecret] = useState(() => (has?.chap ? '' : newSecret()));
	return html`<${Form} label=${has ? t('Save') : t('Create host')} submit=${async () => {
		const body = { preset, iqn: words(iqn), network: words(network) };
		if (chap)
			Object.assign(body, { chap_user: user || name }, secret ? { chap_secret: secret } : {});
		else if (has?.chap)
			body.no_chap = true;
		await (has ? api('POST', `/hosts/${name}/set`, body) : api('POST', '/hosts', { name, ...body }));
		if (volume)
			await api('POST', '/mappings', { volume, host: name, target: knock.name });
		changed();
	}}>${has ? html`<p class="soft">${t('Connections that do not fit any more end.')}</p>` : html`<${Field} label=${t('Name')} value=${name} set=${setName} hint=${t('Small letters, digits and dashes')} />`}
		<${Field} label=${t('Its iSCSI name (IQN)')} value=${iqn} set=${setIqn} placeholder="iqn.1998-01.com.vmware:esx1" hint=${t('Several are separated by spaces; * matches anything')} />
		<${Field} label=${t('Its network')} value=${network} set=${setNetwork} placeholder="192.0.2.0/24" hint=${t('Optional')} />
		${knock && volumes?.length > 0 && html`<${Field} label=${t('Volume that it may use through {name}', knock)} value=${volume} set=${setVolume} options=${[['', t('none yet')], ...volumes.map((v) => [v.pool + '/' + v.name, v.pool + '/' + v.name])]} />`}
		<${Field} label=${t('System')} value=${preset} set=${setPreset} options=${presets()} />
		<${Field} label=${t('Demand a password (CHAP)')} type="checkbox" value=${chap} set=${setChap} />
		${chap && html`<${Field} label=${t('CHAP user')} value=${user} set=${setUser} hint=${t('Empty: the name')} />
			<${Field} label=${t('CHAP secret')} value=${secret} set=${setSecret} hint=${has?.chap ? t('Empty: as it was') : t('12 to 16 characters. Note it now: it is not shown again.')} />`}<//>`;
}

function TargetForm() {
	const [name, setName] = useState('');
	const [iqn, setIqn] = useState('');
	return html`<${Form} label=${t('Create target')} submit=${async () => { await api('POST', '/targets', iqn ? { name, iqn } : { name }); changed(); }}>
		<${Field} label=${t('Name')} value=${name} set=${setName} hint=${t('Small letters, digits and dashes')} />
		<${Field} label="IQN" value=${iqn} set=${setIqn} hint=${t('Empty: made from the name')} /><//>`;
}

function MapForm({ volumes, hosts, targets }) {
	const [volume, setVolume] = useState(volumes[0] ? volumes[0].pool + '/' + volumes[0].name : '');
	const [host, setHost] = useState(hosts[0]?.name ?? '');
	const [target, setTarget] = useState(targets[0]?.name ?? '');
	const [lun, setLun] = useState('');
	const [readOnly, setReadOnly] = useState(false);
	const [warning, setWarning] = useState('');
	if (warning)
		return html`<div class="note" role="alert">${warning}</div><div class="buttons"><button class="main" onClick=${changed}>${t('Understood')}</button></div>`;
	return html`<${Form} label=${t('Give access')} submit=${async () => {
		const body = { volume, host, target, read_only: readOnly };
		if (lun !== '')
			body.lun = Number(lun);
		const made = await api('POST', '/mappings', body);
		if (made.warning)
			setWarning(made.warning);
		else
			changed();
	}}><${Field} label=${t('Volume')} value=${volume} set=${setVolume} options=${volumes.map((v) => [v.pool + '/' + v.name, v.pool + '/' + v.name])} />
		<${Field} label=${t('Host')} value=${host} set=${setHost} options=${hosts.map((x) => [x.name, x.name === 'any' ? t('any: every initiator') : x.name])}
			hint=${t('Two computers that write to one volume destroy its file system, unless it is made for that (VMFS, cluster).')} />
		<${Field} label=${t('Target')} value=${target} set=${setTarget} options=${targets.map((x) => [x.name, x.name])} />
		<${Field} label="LUN" value=${lun} set=${setLun} inputmode="numeric" hint=${t('Empty: the lowest free number')} />
		<${Field} label=${t('Read-only')} type="checkbox" value=${readOnly} set=${setReadOnly} /><//>`;
}

function PortalForm() {
	const [address, setAddress] = useState('');
	return html`<${Form} label=${t('Listen')} submit=${async () => { await api('POST', '/portals', { address }); changed(); }}>
		<${Field} label=${t('Address of this box')} value=${address} set=${setAddress} placeholder="192.0.2.1:3260" /><//>`;
}

const unmap = (m) => api('DELETE', `/mappings?volume=${m.pool}/${m.volume}&host=${m.host}&target=${m.target}`);

function Target({ target, portals, volumes, hosts }) {
	return html`<section class="card"><div class="head"><h2>${target.name}</h2>
		<${Action} label=${t('Connect…')} title=${t('Connect to {name}', target)}><${Connect} portals=${portals} iqn=${target.iqn} /><//>
		${volumes?.length > 0 && html`<${Action} label=${t('Give access…')} title=${t('Give access')}><${MapForm} volumes=${volumes} hosts=${hosts} targets=${[target]} /><//>`}
		<${Action} label=${t('Delete…')} title=${t('Delete {name}', target)} danger><${Confirm} name=${target.name} label=${t('Delete')}
			breaks=${t('This cuts {n} connections and removes its mappings. The data on the volumes stays.', { n: target.sessions })}
			run=${() => api('DELETE', `/targets/${target.name}?force=true`)} /><//></div>
		<p class="soft">${target.iqn}</p>
		${target.mappings.length === 0 ? html`<${Empty}>${t('No volume can be reached through this target yet.')}<//>`
		: html`<${Table} caption=${t('Mappings of {name}', target)} head=${['LUN', t('Volume'), t('Host'), '']}
			rows=${target.mappings.map((m) => [number(m.lun), html`<a href=${`#/volumes/${m.pool}/${m.volume}`}>${m.pool}/${m.volume}</a>${m.read_only ? html`<small>${t('read-only')}</small>` : ''}`,
				m.host, html`<${Action} label=${t('Remove…')} title=${t('Take {volume} away from {host}', { volume: m.volume, host: m.host })} danger>
				<${Confirm} name=${m.volume} label=${t('Take away')} breaks=${t('The host sees errors at once if it uses the volume. The data stays.')} run=${() => unmap(m)} /><//>`])} />`}</section>`;
}

// What was agreed at login, in the standard's words.
const sessionKeys = (s) => ['AuthMethod ' + s.auth + (s.mutual ? ' ⇄' : ''), 'HeaderDigest ' + (s.header_digest ? 'CRC32C' : 'None'), 'DataDigest ' + (s.data_digest ? 'CRC32C' : 'None'),
	'MaxRecvDataSegmentLength ' + bytes(s.max_recv_segment) + ' / ' + bytes(s.max_send_segment), 'FirstBurstLength ' + bytes(s.first_burst), 'MaxBurstLength ' + bytes(s.max_burst),
	'MaxOutstandingR2T ' + s.max_outstanding_r2t, 'InitialR2T ' + (s.initial_r2t ? 'Yes' : 'No'), 'ImmediateData ' + (s.immediate_data ? 'Yes' : 'No')];

// How fast each session is: between this answer and the one before.
function useRates(sessions) {
	const last = useRef({ at: 0, of: {}, rates: {} });
	if (sessions && sessions !== last.current.list) {
		const now = Date.now(), rates = {}, of = {};
		for (const s of sessions) {
			const was = last.current.of[s.id];
			const seconds = (now - last.current.at) / 1000;
			of[s.id] = s;
			if (was && seconds > .5)
				rates[s.id] = t('{iops} IOPS, {speed}/s', { iops: number((s.reads + s.writes - was.reads - was.writes) / seconds),
					speed: bytes((s.read_bytes - was.read_bytes + Number(s.write_bytes) - was.write_bytes) / seconds) });
		}
		last.current = { at: now, of, rates, list: sessions };
	}
	return last.current.rates;
}

export function Targets() {
	const [targets, error] = useLoad('/targets');
	const [hosts] = useLoad('/hosts');
	const [volumes] = useLoad('/volumes');
	const [portals] = useLoad('/portals');
	const [sessions] = useLoad('/sessions', true);
	const [knocks] = useLoad('/knocks', true);
	const rates = useRates(sessions);
	const own = (hosts ?? []).filter((x) => !x.built_in);
	const unknown = (knocks ?? []).filter((k) => k.initiator);
	return html`<div class="head"><h1>${t('Targets & hosts')}</h1><${Action} label=${t('New target')}><${TargetForm} /><//>
		<${Action} label=${t('New host')}><${HostForm} /><//></div><${Failure} error=${error} />
		${targets?.length === 0 && html`<div class="card"><${Empty}>${t('A target is what computers connect to. The wizard makes one, or make it here.')}<//></div>`}
		${targets?.map((x) => html`<${Target} key=${x.name} target=${x} portals=${portals} volumes=${volumes} hosts=${hosts ?? []} />`)}
		<section class="card"><h2>${t('Hosts')}</h2>${own.length === 0 ? html`<${Empty}>${t('None. Without hosts, volumes can only be given to every initiator.')}<//>`
		: html`<${Table} caption=${t('Hosts')} head=${[t('Name'), 'IQN', t('Network'), 'CHAP', '']} rows=${own.map((x) => [html`<strong>${x.name}</strong><small>${x.preset}</small>`,
			x.iqns.map((i) => html`<div>${i}</div>`), x.networks.join(' ') || t('any'), x.chap ? x.chap.user : t('no'),
			html`<${Action} label=${t('Change…')} title=${t('Change {name}', x)}><${HostForm} host=${x} /><//>${' '}<${Action} label=${t('Delete…')} title=${t('Delete {name}', x)} danger><${Confirm} name=${x.name} label=${t('Delete')} breaks=${t('The host loses access to all its volumes at once.')} run=${() => api('DELETE', '/hosts/' + x.name)} /><//>`])} />`}</section>
		<section class="card"><h2>${t('Connections')}</h2>${!sessions?.length ? html`<${Empty}>${t('Nobody is connected.')}<//>`
		: html`<${Table} caption=${t('Connections')} head=${[t('Initiator'), t('Target'), t('Since'), t('Now'), t('Read / written'), t('Negotiated'), '']}
			rows=${sessions.map((s) => [html`${s.initiator}<small>${s.peer} (${s.host})</small>`, s.discovery ? t('discovery') : s.target, html`<${Ago} at=${s.since_s} />`,
				rates[s.id] ?? '–', html`${bytes(s.read_bytes)} / ${bytes(s.write_bytes)}`, html`<details><summary>${s.auth === 'none' ? t('no CHAP') : s.auth}${s.header_digest || s.data_digest ? ', CRC32C' : ''}</summary>${sessionKeys(s).map((x) => html`<small>${x}</small>`)}</details>`,
				html`<${Action} label=${t('Drop…')} title=${t('Drop the connection')} danger><${Form} label=${t('Drop')} danger submit=${async () => { await api('DELETE', '/sessions/' + s.id); changed(); }}>
				<p>${t('{initiator} is cut off. It may connect again at once, unless its access is taken away.', s)}</p><//><//>`])} />`}</section>
		${unknown.length > 0 && html`<section class="card"><h2>${t('Seen knocking')}</h2><p class="soft">${t('These initiators tried to connect and were refused.')}</p>
			<${Table} caption=${t('Seen knocking')} head=${[t('Initiator'), t('From'), t('When'), t('Why refused'), '']}
			rows=${unknown.map((k) => [k.initiator, k.peer, html`<${Ago} at=${k.last_s} />`, k.why,
				own.some((x) => x.iqns.includes(k.initiator)) ? html`<${Action} label=${t('Change…')} title=${t('Change {name}', own.find((x) => x.iqns.includes(k.initiator)))}><${HostForm} host=${own.find((x) => x.iqns.includes(k.initiator))} /><//>`
				: html`<${Action} label=${t('Allow…')} title=${t('New host')}><${HostForm} iqn=${k.initiator} knock=${(targets ?? []).find((x) => x.iqn === k.target)} volumes=${volumes} /><//>`])} /></section>`}
		<section class="card"><div class="head"><h2>${t('Addresses (portals)')}</h2><${Action} label=${t('Add…')} title=${t('Listen on one more address')}><${PortalForm} /><//></div>
			${portals && html`<${Table} caption=${t('Addresses (portals)')} head=${[t('Address'), t('State'), '']} rows=${portals.map((p) => [p.portal, p.open ? t('open') : p.error?.text ?? t('closed'),
				p.permanent ? html`<small>${t('from dozo.conf')}</small>` : html`<${Action} label=${t('Remove…')} title=${t('Stop listening')} danger><${Confirm} name=${p.portal} label=${t('Stop listening')}
				breaks=${t('New connections to this address are refused.')} run=${() => api('DELETE', '/portals/' + encodeURIComponent(p.portal))} /><//>`])} />`}</section>
		${isAdmin() ? '' : html`<p class="soft">${t('You may look, but not change anything.')}</p>`}`;
}
