// SPDX-License-Identifier: BSD-2-Clause
// The OpenAPI document is kept: each operation is called, its answers and
// errors are held against the schemas, dozoctl gives the same fields.
import { Box, join, ok, readFileSync, same, source, summary, test, until } from './lib.mjs';

const doc = JSON.parse(readFileSync(join(source, 'webui/openapi.json')));
const called = new Set();

function resolve(schema) {
	return schema?.$ref ? doc.components.schemas[schema.$ref.split('/').at(-1)] : schema;
}
function validate(value, given, where) {
	const schema = resolve(given) ?? {};
	if (schema.oneOf) {
		ok(`${where} fits one of its types`, schema.oneOf.some((one) => {
			try {
				validate(value, one, where);
				return true;
			} catch {
				return false;
			}
		}));
		return;
	}
	const type = value === null ? 'null' : Array.isArray(value) ? 'array' : Number.isInteger(value) ? 'integer' : typeof value;
	if (schema.type)
		ok(`${where} is ${type}, wanted ${schema.type}`, type === schema.type || (type === 'integer' && schema.type === 'number'));
	if (schema.enum)
		ok(`${where} "${value}" is one of ${schema.enum}`, schema.enum.includes(value));
	if (schema.pattern)
		ok(`${where} "${value}" fits ${schema.pattern}`, new RegExp(schema.pattern).test(value));
	for (const name of schema.required ?? [])
		ok(`${where} has ${name}`, value[name] !== undefined);
	for (const [name, sub] of Object.entries(schema.properties ?? {}))
		if (value[name] !== undefined)
			validate(value[name], sub, `${where}.${name}`);
	if (schema.items)
		value.forEach((item, i) => validate(item, schema.items, `${where}[${i}]`));
}

const box = await Box.start();
let user = null;
// Call an operation by its id and check what comes back; { status, json }.
async function call(id, { path = {}, query = {}, body, headers = user, want } = {}) {
	for (const [template, item] of Object.entries(doc.paths))
		for (const [method, op] of Object.entries(item)) {
			if (op.operationId !== id)
				continue;
			called.add(id);
			const url = template.replace(/\{(\w+)\}/g, (all, name) => encodeURIComponent(path[name]));
			const search = new URLSearchParams(query).toString();
			const answer = await box.call(method.toUpperCase(), `/api/v1${url}${search ? '?' + search : ''}`, { body, headers: headers ?? {} });
			const described = op.responses[answer.status] ?? op.responses.default;
			if (want !== undefined)
				ok(`${id} gives ${answer.status} (${answer.text.slice(0, 200)}), wanted ${want}`, answer.status === want);
			if (!op.responses[answer.status])
				ok(`${id}: ${answer.status} is a problem`, answer.status >= 400 && answer.headers['content-type'] === 'application/problem+json');
			// What is not made has no more than "changed".
			const schema = query.dry_run && answer.status === 200 && id !== 'importConfig' ? { $ref: '#/components/schemas/Changed' } : Object.values(described.content ?? {})[0]?.schema;
			if (schema)
				validate(answer.json, schema, id);
			if (answer.status >= 400)
				same(`${id} status inside`, answer.json.status, answer.status);
			return answer;
		}
	throw new Error(`there is no operation ${id}`);
}
const job = (answer) => (answer.status !== 202 ? answer.json : until('the job ends', async () => {
	const { json } = await call('getJob', { path: { id: answer.json.id } });
	if (json.state === 'failed')
		throw new Error(json.error.text);
	return json.state === 'done' && json;
}));

await test('the document served is the one in the tree', async () =>
	same('served', (await box.call('GET', '/openapi.json')).json, doc));
await test('set-up, session', async () => {
	same('before', (await call('getSession')).json.setup_needed, true);
	user = box.sessionOf(await call('setup', { body: { token: await box.token(), name: 'admin', password: 'correct horse battery' }, want: 200 }));
	same('who', (await call('getSession')).json.user, 'admin');
	await call('confirm', { body: { password: 'correct horse battery' }, want: 200 });
	await call('confirm', { body: { password: 'wrong' }, want: 403 });
	await call('login', { body: { user: 'nobody', password: 'wrong' }, headers: null, want: 401 });
});
const disks = [0, 1, 2, 3].map((i) => box.disk(`d${i}.img`));
const pool = { name: 'tank', level: 'raid5', disk: disks };
await test('a disk can be looked at before it is used', async () => {
	same('path', (await call('getDisk', { query: { path: disks[0] }, want: 200 })).json.path, disks[0]);
	await call('getDisk', { query: { path: '/nonexistent' }, want: 404 });
	const dead = box.deadDevice();
	if (dead) {
		const { json } = await call('getDisk', { query: { path: dead }, want: 200 });
		same('kind', json.kind, 'disk');
		ok(json.error?.text, json.error.text.includes('cannot be opened') && json.error.hint);
	}
	await call('listDisks', { want: 200 });
});
await test('a disk blinks for its time, and does not wait for a dead one', async () => {
	const left = async () => (await call('getDisk', { query: { path: disks[0] } })).json.locating_s ?? 0;
	same('a minute', (await call('locateDisk', { body: { path: disks[0] }, want: 200 })).json.seconds, 60);
	ok('it says so', await left() > 50);
	await call('locateDisk', { body: { path: disks[0], seconds: 0 }, want: 200 });
	same('no longer', await left(), 0);
	await call('locateDisk', { body: { path: '/nonexistent' }, want: 404 });
	await call('locateDisk', { body: { path: disks[0], seconds: 4000 }, want: 400 });
	const dead = box.deadDevice();
	if (dead)
		ok('dark', (await call('locateDisk', { body: { path: dead } })).json.hint);
});
await test('a dry run changes nothing', async () => {
	await call('createPool', { query: { dry_run: true }, body: pool, want: 200 });
	same('pools', (await call('listPools')).json, []);
});
await test('a pool is made by a job', async () => {
	const answer = await call('createPool', { body: pool });
	if (answer.status === 202)
		same('Location', answer.headers.location, `/api/v1/jobs/${answer.json.id}`);
	await job(answer);
	same('health', (await call('getPool', { path: { name: 'tank' }, want: 200 })).json.health, 'healthy');
	await call('listJobs', { want: 200 });
	await call('getPool', { path: { name: 'none' }, want: 404 });
	await call('createPool', { body: { name: 'tank', disk: ['a', 'b'] } });
});
const disk1 = { path: { pool: 'tank', volume: 'disk1' } };
await test('create is idempotent by name, conflicts are told', async () => {
	const body = { volume: 'tank/disk1', size: '32M', write_policy: 'durable' };
	same('first', (await call('createVolume', { body, want: 201 })).json.changed, true);
	same('again', (await call('createVolume', { body, want: 200 })).json.changed, false);
	same('other', (await call('createVolume', { body: { ...body, size: '48M' }, want: 409 })).json.code, 'conflict');
	await call('createVolume', { body: { volume: 'tank/huge', size: '100T' }, want: 507 });
	await call('createVolume', { body: { volume: 'none/x', size: '1M' }, want: 404 });
});
await test('ETag and If-Match', async () => {
	const { headers, json } = await call('getVolume', { ...disk1, want: 200 });
	same('ETag', headers.etag, `"${json.etag}"`);
	same('stale', (await call('growVolume', { ...disk1, body: { size: '40M' }, headers: { ...user, 'If-Match': '"0000000000000000"' }, want: 412 })).json.code, 'changed');
	await call('growVolume', { ...disk1, body: { size: '40M' }, headers: { ...user, 'If-Match': headers.etag }, want: 200 });
	same('size', (await call('getVolume', disk1)).json.size, String(40 << 20));
});
await test('volumes are set and renamed', async () => {
	await call('setVolume', { ...disk1, body: { write_policy: 'durable' }, want: 200 });
	await call('renameVolume', { ...disk1, body: { name: 'disk2' }, want: 200 });
	await call('renameVolume', { path: { pool: 'tank', volume: 'disk2' }, body: { name: 'disk1' }, want: 200 });
});
await test('lists have pages', async () => {
	await call('createVolume', { body: { volume: 'tank/disk3', size: '4M' }, want: 201 });
	const first = await call('listVolumes', { query: { limit: 1 }, want: 200 });
	same('first page', first.json.length, 1);
	const next = first.headers.link.match(/<(.*)>; rel="next"/)[1];
	same('second page', (await box.call('GET', next, { headers: user })).json.length, 1);
	same('of a pool', (await call('listVolumes', { query: { pool: 'tank' } })).json.length, 2);
	await call('listVolumes', { query: { limit: 'x' }, want: 400 });
	await call('listVolumes', { query: { colour: 'red' }, want: 400 });
});
await test('a volume that takes long is a job, and is cancelled', async () => {
	const fault = (...how) => disks.forEach((path) => box.ctl('disk', 'fault', path, '--kind', ...how));
	for (const [id, more] of [['createVolume', { body: { volume: 'tank/slow', size: '60M' } }], ['growVolume', { ...disk1, body: { size: '100M' } }]]) {
		fault('delay', '--delay-ms', '300');
		const { json, headers } = await call(id, { ...more, want: 202 });
		same('Location', headers.location, `/api/v1/jobs/${json.id}`);
		same('busy', (await call('deleteVolume', { ...disk1, want: 409 })).json.code, 'busy');
		same('cancel', (await call('cancelJob', { path: { id: json.id }, want: 200 })).json.changed, true);
		fault('clear');
		const ended = await until('it ends', async () => {
			const job = (await call('getJob', { path: { id: json.id } })).json;
			return job.state !== 'running' && job;
		});
		same('why', ended.error.code, 'cancelled');
	}
	await call('getVolume', { path: { pool: 'tank', volume: 'slow' }, want: 404 });
	same('as it was', (await call('getVolume', disk1)).json.size, String(40 << 20));
});
await test('publish, unpublish', async () => {
	await call('createTarget', { body: { name: 't1' }, want: 201 });
	await call('createHost', { body: { name: 'h1', iqn: ['iqn.2010-01.test:h1'], preset: 'linux' }, want: 201 });
	const set = { path: { name: 'h1' }, body: { preset: 'vmware' } };
	same('changed', (await call('setHost', { ...set, want: 200 })).json.changed, true);
	same('not again', (await call('setHost', { ...set, want: 200 })).json.changed, false);
	await call('setHost', { ...set, headers: { ...user, 'If-Match': '"0000000000000000"' }, want: 412 });
	await call('setHost', { path: { name: 'none' }, body: {}, want: 404 });
	const body = { volume: 'tank/disk1', host: 'h1', target: 't1' };
	same('LUN', (await call('map', { body, want: 201 })).json.lun, 0);
	same('again', (await call('map', { body, want: 200 })).json.changed, false);
	for (const id of ['listTargets', 'listHosts', 'listMappings', 'listPortals', 'listSessions', 'listKnocks'])
		await call(id, { want: 200 });
	await call('deleteVolume', { ...disk1, want: 409 });
	await call('unmap', { query: body, want: 200 });
	same('again', (await call('unmap', { query: body, want: 200 })).json.changed, false);
	await call('dropSession', { path: { id: 4711 }, want: 200 });
});
await test('a CSI driver\'s life: create, publish, grow, unpublish, delete, each twice', async () => {
	const name = 'pvc-0b6f3c1e-6c1b-4f0c-9a55-3a5b8f1d2e77';
	const volume = `tank/${name}`, path = { pool: 'tank', volume: name };
	const before = Number((await call('getPool', { path: { name: 'tank' } })).json.free);
	for (const want of [201, 200])
		same('size', (await call('createVolume', { body: { volume, size: String(8 << 20) }, want })).json.size, String(8 << 20));
	same('capacity', before - Number((await call('getPool', { path: { name: 'tank' } })).json.free), 8 << 20);
	same('other size', (await call('createVolume', { body: { volume, size: '9M' }, want: 409 })).json.code, 'conflict');
	const node = { name: 'node1', iqn: ['iqn.2010-01.test:node1'] };
	for (const want of [201, 200])
		await call('createHost', { body: node, want });
	const publish = { volume, host: 'node1', target: 't1' };
	const luns = [];
	for (const want of [201, 200])
		luns.push((await call('map', { body: publish, want })).json.lun);
	same('the same LUN', luns[0], luns[1]);
	same('in use', (await call('deleteVolume', { path, want: 409 })).json.code, 'busy');
	for (const changed of [true, false])
		same('grown', (await call('growVolume', { path, body: { size: '12M' }, want: 200 })).json.changed, changed);
	same('listed', (await call('listVolumes')).json.filter((v) => v.name === name).length, 1);
	for (const changed of [true, false])
		same('unpublished', (await call('unmap', { query: publish, want: 200 })).json.changed, changed);
	for (const changed of [true, false])
		same('deleted', (await call('deleteVolume', { path, want: 200 })).json.changed, changed);
	for (const changed of [true, false])
		same('forgotten', (await call('deleteHost', { path: { name: 'node1' }, want: 200 })).json.changed, changed);
	same('capacity', Number((await call('getPool', { path: { name: 'tank' } })).json.free), before);
});
await test('each change of storage can be asked as a dry run, each object guarded by its ETag', async () => {
	const changes = Object.entries(doc.paths).flatMap(([path, item]) => Object.entries(item).filter(([method, op]) => method !== 'get' && op['x-dozo-verb'] && op.operationId !== 'locateDisk').map(([method, op]) => [`${method} ${path}`, op]));
	for (const [what, op] of changes)
		ok(`${what} has dry_run`, op.parameters.some((x) => x.name === 'dry_run'));
	// To look for a disk changes nothing.  What a stale view may break; dropping, cancelling, scrubbing and the page's own users are not.
	for (const id of ['deletePool', 'stopPool', 'exportPool', 'addSpare', 'deleteVolume', 'growVolume', 'setVolume', 'renameVolume', 'deleteTarget', 'removePortal', 'setHost', 'deleteHost', 'unmap'])
		ok(`${id} has If-Match`, changes.find(([, op]) => op.operationId === id)[1].parameters.some((x) => x.name === 'If-Match'));
	const stale = { ...user, 'If-Match': '"0000000000000000"' };
	const name = { path: { name: 'tank' } };
	for (const [id, more] of [['deletePool', { ...name, query: { force: true } }], ['stopPool', { ...name, body: {} }], ['exportPool', name], ['addSpare', { ...name, body: { disk: box.disk('stale.img') } }],
		['deleteVolume', disk1], ['growVolume', { ...disk1, body: { size: '999M' } }], ['deleteTarget', { path: { name: 't1' } }], ['deleteHost', { path: { name: 'h1' } }]])
		same(`${id} with a stale ETag`, (await call(id, { ...more, headers: stale, want: 412 })).json.code, 'changed');
	const state = async () => JSON.stringify([(await call('exportConfig')).json, (await call('listPools')).json.map((x) => [x.name, x.state, x.etag]), (await call('listVolumes')).json]);
	const before = await state();
	const dry = { query: { dry_run: true } };
	for (const [id, more] of [['createVolume', { body: { volume: 'tank/dry', size: '1M' } }], ['growVolume', { ...disk1, body: { size: '44M' } }], ['renameVolume', { ...disk1, body: { name: 'other' } }], ['setVolume', { ...disk1, body: { write_policy: 'writethrough' } }],
		['deleteVolume', { path: { pool: 'tank', volume: 'disk3' } }], ['createTarget', { body: { name: 'dry' } }], ['deleteTarget', { path: { name: 't1' } }], ['createHost', { body: { name: 'dry', iqn: ['iqn.2010-01.test:dry'] } }],
		['setHost', { path: { name: 'h1' }, body: { preset: 'windows' } }], ['deleteHost', { path: { name: 'h1' } }], ['addPortal', { body: { address: `127.0.0.3:${box.iscsi}` } }], ['stopPool', { ...name, body: {} }], ['exportPool', name],
		['addSpare', { ...name, body: { disk: box.disk('dry.img') } }], ['scrubPool', { ...name, body: {} }], ['failDisk', { body: { path: disks[1] } }], ['createUser', { body: { name: 'dry', role: 'viewer', password: 'a long password' } }]])
		same(`${id} would change something`, (await call(id, { ...more, ...dry, want: 200 })).json.changed, true);
	same('nothing has changed', await state(), before);
});
await test('metrics are what Prometheus reads: one type a family, buckets that grow', async () => {
	const { text } = await box.call('GET', '/metrics', { headers: user });
	const types = new Map([...text.matchAll(/^# TYPE (\S+) (counter|gauge|histogram)$/gm)].map(([, name, type]) => [name, type]));
	for (const what of ['reads_total', 'corrected_errors_total', 'stalls_total', 'bad_bytes', 'read_latency_seconds_count', 'write_latency_seconds_sum'])
		same(`${what} of each member`, text.match(new RegExp(`^dozo_member_${what}\\{pool="tank",member="[^"]+"\\} `, 'gm'))?.length, 4);
	for (const what of ['full_stripe_writes', 'read_modify_writes', 'reconstruct_writes', 'prereads', 'merged_writes', 'degraded_reads', 'log_headers', 'log_entries'])
		ok(what, text.includes(`\ndozo_pool_${what}_total{pool="tank"} `));
	ok('mismatches', text.includes('\ndozo_pool_mismatched_blocks{pool="tank"} 0'));
	same('families', types.size, (text.match(/^# TYPE /gm) ?? []).length);
	let bound = 0, count = 0, buckets = 0;
	for (const line of text.trimEnd().split('\n').filter((x) => !x.startsWith('#'))) {
		const [, name, labels, value] = line.match(/^([a-z0-9_]+)(?:\{(.*)\})? (-?[0-9.e+-]+)$/) ?? [];
		ok(line, name && (types.has(name) || types.get(name.replace(/_(bucket|sum|count)$/, '')) === 'histogram'));
		const le = labels?.match(/le="([^"]+)"/)?.[1];
		if (!le)
			continue;
		const now = le === '+Inf' ? Infinity : Number(le);
		ok(`${line} grows`, now < bound || (now > bound && Number(value) >= count));
		[bound, count] = [now, Number(value)];
		buckets++;
	}
	ok(`${buckets} buckets`, buckets > 50);
});
await test('portals', async () => {
	await call('addPortal', { body: { address: `127.0.0.2:${box.iscsi}` }, want: 201 });
	await call('removePortal', { path: { address: `127.0.0.2:${box.iscsi}` }, want: 200 });
	await call('addPortal', { body: { address: 'nonsense' }, want: 400 });
});
await test('what goes on', async () => {
	for (const id of ['getStatus', 'getVersion', 'listOps', 'getStats', 'listEvents', 'getRescue', 'getHistory', 'getLog', 'getSupportBundle'])
		await call(id, { want: 200 });
	await call('getHistory', { query: { of: 'tank/disk1' }, want: 200 });
	await call('getHistory', { query: { of: disks[0] }, want: 200 });
	await call('getHistory', { query: { of: 'none' }, want: 404 });
	same('lines', (await call('getLog', { query: { lines: 2 } })).json.length, 2);
	same('since', (await call('listEvents', { query: { since: 1 << 30 } })).json, []);
});
await test('configuration out and in', async () => {
	const { json } = await call('exportConfig', { want: 200 });
	same('no change', (await call('importConfig', { query: { dry_run: true }, body: { document: json }, want: 200 })).json.changes, []);
	json.hosts = [];
	ok('a change is told', (await call('importConfig', { query: { dry_run: true }, body: { document: json } })).json.changes.length > 0);
	await call('importConfig', { body: { document: { format: 99 } } });
	await call('listHistory', { want: 200 });
});
await test('users, tokens, logins, audit, certificate', async () => {
	await call('createUser', { body: { name: 'guest', role: 'viewer', password: 'a long password' }, want: 201 });
	await call('setPassword', { path: { name: 'guest' }, body: { password: 'a longer password' }, want: 200 });
	await call('setUser', { path: { name: 'guest' }, body: { role: 'admin' }, want: 200 });
	await call('listUsers', { want: 200 });
	await call('deleteUser', { path: { name: 'guest' }, want: 200 });
	same('last admin', (await call('deleteUser', { path: { name: 'admin' }, want: 409 })).json.code, 'busy');
	ok('token', (await call('createToken', { body: { name: 'ci', role: 'admin', days: 1 }, want: 201 })).json.token.startsWith('dzt_'));
	await call('listTokens', { want: 200 });
	await call('deleteToken', { path: { name: 'ci' }, want: 200 });
	await call('listLogins', { want: 200 });
	await call('dropLogin', { path: { id: 9999 }, want: 200 });
	await call('listAudit', { query: { limit: 5 }, want: 200 });
	await call('getCertificate', { want: 200 });
	await call('setCertificate', { body: { certificate: 'x', key: 'y' }, want: 400 });
});
await test('dozoctl gives the same fields', async () => {
	for (const [id, ...words] of [['listPools', 'pool', 'list'], ['listVolumes', 'volume', 'list'], ['listTargets', 'target', 'list'], ['listHosts', 'host', 'list'],
		['listMappings', 'map', 'list'], ['listPortals', 'portal', 'list'], ['listUsers', 'user', 'list'], ['getVersion', 'version'], ['listJobs', 'job', 'list'], ['listHistory', 'config', 'history'], ['getRescue', 'rescue'], ['getHistory', 'history'], ['getLog', 'log']])
		await until(`${words.join(' ')} is the same in both`, async () => JSON.stringify(box.json(...words)) === JSON.stringify((await call(id)).json));
	same('status', Object.keys(box.json('status')), Object.keys((await call('getStatus')).json));
	same('stats', Object.keys(box.json('stats')), Object.keys((await call('getStats')).json));
});
await test('fail, stop, start, export, import, delete', async () => {
	await call('failDisk', { body: { path: disks[0] }, want: 200 });
	same('health', (await call('getPool', { path: { name: 'tank' } })).json.health, 'degraded');
	same('second disk', (await call('failDisk', { body: { path: disks[1] }, want: 409 })).json.code, 'busy');
	await call('stopPool', { path: { name: 'tank' }, want: 200 });
	await call('startPool', { path: { name: 'tank' }, want: 200 });
	await call('scrubPool', { path: { name: 'tank' }, body: {}, want: 409 });
	await call('reAddDisk', { path: { name: 'tank' }, body: { disk: box.disk('new.img') }, want: 400 });
	await call('reAddDisk', { path: { name: 'tank' }, body: { disk: disks[0] }, want: 200 });
	await until('the pool is rebuilt', async () => (await call('getPool', { path: { name: 'tank' } })).json.health === 'healthy');
	same('spare', (await call('addSpare', { path: { name: 'tank' }, body: { disk: box.disk('spare.img') }, want: 200 })).json.members.length, 5);
	await call('setPool', { path: { name: 'tank' }, body: { policy: 'ppl' }, want: 200 });
	await call('setPool', { path: { name: 'tank' }, body: { policy: 'none' }, want: 400 });
	await call('replaceMember', { path: { name: 'tank' }, body: { old: 'none', disk: disks[3] } });
	await call('scrubPool', { path: { name: 'tank' }, body: { repair: true }, want: 200 });
	await call('scrubPool', { path: { name: 'tank' }, body: { cancel: true }, want: 200 });
	await call('cancelJob', { path: { id: 9999 }, want: 200 });
	await call('deleteVolume', { path: { pool: 'tank', volume: 'disk3' }, want: 200 });
	await call('exportPool', { path: { name: 'tank' }, want: 200 });
	await call('importPool', { body: { disk: disks }, want: 200 });
	await call('deletePool', { path: { name: 'tank' }, query: { force: true }, want: 200 });
	same('again', (await call('deletePool', { path: { name: 'tank' }, want: 200 })).json.changed, false);
	await call('deleteTarget', { path: { name: 't1' }, want: 200 });
	await call('deleteHost', { path: { name: 'h1' }, want: 200 });
});
await test('nobody may call what needs a role', async () => {
	for (const [template, item] of Object.entries(doc.paths))
		for (const [method, op] of Object.entries(item)) {
			if (op['x-dozo-role'] === 'none')
				continue;
			const { status } = await box.call(method.toUpperCase(), '/api/v1' + template.replace(/\{\w+\}/g, '1'), {});
			ok(`${method} ${template} gives ${status}`, status === 401);
		}
});
await test('wrong method, unknown path', async () => {
	same('method', (await box.call('DELETE', '/api/v1/status', { headers: user })).status, 405);
	same('path', (await box.call('GET', '/api/v1/none', { headers: user })).status, 404);
});
await test('logging out', async () => call('logout', { want: 204 }));
await test('every operation was called', () => {
	const all = Object.values(doc.paths).flatMap((item) => Object.values(item).map((op) => op.operationId));
	same('not called', all.filter((id) => !called.has(id)), []);
	console.log(`${called.size} operations called`);
});
await box.end();
box.destroy();
summary('ui contract');
process.exit();
