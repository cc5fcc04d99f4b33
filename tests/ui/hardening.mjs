// SPDX-License-Identifier: BSD-2-Clause
// Bad HTTP and the security checklist: each point is a test.
import { execFileSync, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import tls from 'node:tls';
import { Box, build, join, ok, password, readFileSync, same, sleep, source, summary, test, tested, until } from './lib.mjs';

// The twelve points, each with the tests that show it: here, or in the file
// that is named.  The last test holds this table.
const checklist = {
	'1 no default password': ['without set-up nothing is shown', 'no usual password logs in', 'set-up wants the token from the log', 'set-up refuses a short password', 'set-up is closed for good'],
	'2 key and TLS': ['the key is of this installation, EC P-256, and private', 'TLS below 1.2 is refused', 'plain HTTP gets nothing', 'an own certificate is used at once and after a restart of the page', 'HSTS is not sent for a certificate that nobody trusts'],
	'3 sessions': ['the session cookie is locked down', 'logging out ends the session', 'at most 16 sessions; they can be listed and ended', 'changing a password ends the sessions of the user', 'tokens have roles and never join with cookies', 'tests/unit/webui_who.c: an_idle_session_ends', 'tests/unit/webui_who.c: a_session_ends_after_twelve_hours_even_if_used', 'tests/unit/webui_who.c: the_oldest_session_makes_room'],
	'4 CSRF': ['a change without CSRF token is refused', 'a change with a wrong CSRF token is refused', 'a change from another origin is refused', 'a change from another site is refused', 'a login from another site is refused', 'only JSON is taken'],
	'5 Host': ['foreign names are refused, own ones and addresses are not'],
	'6 headers': ['every answer carries the security fields', 'tests/ui/bundle.mjs: no inline script or style', 'tests/ui/page.mjs: nothing was reported: no script error, no policy violation'],
	'7 log-in': ['guessing is slowed, per address, and says for how long', 'tests/unit/webui_who.c: guesses_are_slowed_up_to_a_quarter_of_an_hour_never_for_ever', 'changes and logins are in the audit log'],
	'8 names are untrusted': ['names with markup or control characters are refused', 'tests/ui/page.mjs: an initiator that knocks becomes a host'],
	'9 no shell': ['no program runs a command line', 'what a shell would obey is only text'],
	'10 proof before destruction': ['tests/unit/webui_who.c: destroying_wants_a_password_of_the_last_five_minutes', 'tests/unit/webui_who.c: every_operation_that_destroys_is_marked', 'tests/ui/page.mjs: the password is asked again before something is destroyed', 'tests/ui/page.mjs: a volume is made, grown and deleted; the name is typed first', 'tests/ui/contract.mjs: each change of storage can be asked as a dry run, each object guarded by its ETag'],
	'11 where it listens': ['the page listens where it was told to, not elsewhere', 'healthz reveals nothing'],
	'12 secrets': ['secrets are taken and never given back', 'dozo-webui has no core dumps and no privileges to gain', 'tests/ui/page.mjs: the support bundle is downloaded and holds no secret'],
};

const box = await Box.start();
const status = (text) => Number(text.match(/^HTTP\/1\.1 (\d+)/)?.[1] ?? 0);
const answers = (text) => text.match(/HTTP\/1\.1 \d+/g)?.length ?? 0;
const alive = async () => same('healthz', (await box.call('GET', '/healthz')).status, 200);
const get = (path, extra = '') => `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${extra}\r\n`;

// --- 1: no default password ---

await test('without set-up nothing is shown', async () => {
	for (const path of ['/status', '/config', '/users', '/disks'])
		same(path, (await box.call('GET', '/api/v1' + path)).status, 401);
});
await test('no usual password logs in', async () => {
	for (const [user, pass] of [['admin', 'admin'], ['admin', ''], ['root', 'root']])
		ok(`${user}/${pass} refused`, [401, 429].includes((await box.login(user, pass)).status));
});
await test('set-up wants the token from the log', async () => {
	const answer = await box.call('POST', '/api/v1/setup', { body: { token: 'aaaaa-bbbbb-ccccc-ddddd', name: 'admin', password } });
	same('status', answer.status, 403);
	ok('it says where the token is', answer.json.hint.includes('journalctl'));
});
// Guesses above are counted: a new process forgets them.
process.kill(box.webuiPid(), 'SIGKILL');
await sleep(300);
await until('the page is back', async () => (await box.call('GET', '/healthz')).status === 200);
box.log = box.log.replace(/set-up token \S+/, '');

await test('set-up refuses a short password', async () => {
	const answer = await box.call('POST', '/api/v1/setup', { body: { token: await box.token(), name: 'admin', password: 'short' } });
	same('status', answer.status, 400);
	ok('it says how long', answer.json.text.includes('12'));
});
let admin;
await test('set-up makes the administrator and logs in', async () => {
	admin = await box.setUp();
	same('status', (await box.call('GET', '/api/v1/status', { headers: admin })).status, 200);
});
await test('set-up is closed for good', async () => {
	same('status', (await box.call('POST', '/api/v1/setup', { body: { token: await box.token(), name: 'second', password } })).status, 409);
});

// --- 2: certificate, TLS ---

const handshake = (options) => new Promise((resolve, reject) => {
	const socket = tls.connect({ host: '127.0.0.1', port: box.port, rejectUnauthorized: false, ...options },
		() => { resolve({ cert: socket.getPeerCertificate(), protocol: socket.getProtocol() }); socket.destroy(); });
	socket.on('error', reject);
});
await test('the key is of this installation, EC P-256, and private', async () => {
	const { cert } = await handshake({});
	same('curve', cert.asn1Curve ?? cert.nistCurve, 'prime256v1');
	const file = join(box.dir, 'state/webui/key.pem');
	ok('key file', existsSync(file));
	same('mode', statSync(file).mode & 0o777, 0o600);
	const second = await Box.start();
	ok('another box has another key', readFileSync(join(second.dir, 'state/webui/key.pem'), 'utf8') !== readFileSync(file, 'utf8'));
	await second.end();
	second.destroy();
});
await test('TLS below 1.2 is refused', async () => {
	let done = false;
	try {
		await handshake({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' });
		done = true;
	} catch {
		done = false;
	}
	ok('refused', !done);
});
await test('plain HTTP gets nothing', async () => {
	const text = await new Promise((resolve) => {
		let got = '';
		const socket = connect(box.port, '127.0.0.1', () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
		socket.on('data', (part) => { got += part.toString('latin1'); });
		socket.on('close', () => resolve(got));
		socket.on('error', () => resolve(got));
	});
	ok('no page', !text.includes('<html'));
});
await test('an own certificate is used at once and after a restart of the page', async () => {
	const dir = mkdtempSync(join(tmpdir(), 'dozo-cert.'));
	try {
		execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '30', '-subj', '/CN=own.example.org', '-keyout', join(dir, 'key'), '-out', join(dir, 'cert')], { stdio: 'pipe' });
		const read = (name) => readFileSync(join(dir, name), 'utf8');
		const { status: code, json } = await box.call('PUT', '/api/v1/certificate', { headers: admin, body: { certificate: read('cert'), key: read('key') } });
		same('status', code, 200);
		ok('subject', json.subject.includes('own.example.org'));
		same('name', (await handshake({})).cert.subject.CN, 'own.example.org');
		process.kill(box.webuiPid(), 'SIGKILL');
		await sleep(300);
		await until('the page is back', async () => (await box.call('GET', '/healthz')).status === 200);
		same('name', (await handshake({})).cert.subject.CN, 'own.example.org');
		admin = (await box.login()).session;
	} finally {
		rmSync(dir, { recursive: true });
	}
});
await test('HSTS is not sent for a certificate that nobody trusts', async () =>
	same('HSTS', (await box.call('GET', '/')).headers['strict-transport-security'], undefined));
await test('the page listens where it was told to, not elsewhere', async () => {
	const open = await new Promise((resolve) => {
		const socket = connect(box.port, '127.0.0.2', () => { socket.destroy(); resolve(true); });
		socket.on('error', () => resolve(false));
	});
	ok('closed', !open);
});
await test('an own certificate needs its own key', async () => {
	const answer = await box.call('PUT', '/api/v1/certificate', { headers: admin, body: { certificate: 'x', key: 'y' } });
	same('status', answer.status, 400);
	await alive();
});

// --- 3: sessions ---

await test('the session cookie is locked down', async () => {
	const { headers } = await box.login();
	const cookie = headers['set-cookie'][0];
	for (const part of ['__Host-sid=', 'Secure', 'HttpOnly', 'SameSite=Strict', 'Path=/'])
		ok(part, cookie.includes(part));
	ok('256 bits', /__Host-sid=[0-9a-f]{64};/.test(cookie));
});
await test('logging out ends the session', async () => {
	const { session } = await box.login();
	same('logout', (await box.call('DELETE', '/api/v1/session', { headers: session })).status, 204);
	same('after', (await box.call('GET', '/api/v1/status', { headers: session })).status, 401);
});
await test('at most 16 sessions; they can be listed and ended', async () => {
	for (let i = 0; i < 18; i++)
		ok('login', (await box.login()).status === 200);
	admin = (await box.login()).session;
	const { json } = await box.call('GET', '/api/v1/logins', { headers: admin });
	same('sessions', json.length, 16);
	const other = json.find((x) => !x.own);
	same('end', (await box.call('DELETE', `/api/v1/logins/${other.id}`, { headers: admin })).json.changed, true);
});

// --- 4: CSRF ---

const make = (headers, extra = {}) => box.call('POST', '/api/v1/targets', { headers: { ...headers, ...extra }, body: { name: 'csrf' } });
await test('a change without CSRF token is refused', async () =>
	same('status', (await make({ Cookie: admin.Cookie })).status, 403));
await test('a change with a wrong CSRF token is refused', async () =>
	same('status', (await make(admin, { 'X-CSRF-Token': '0'.repeat(64) })).status, 403));
await test('a change from another origin is refused', async () =>
	same('status', (await make(admin, { Origin: 'https://evil.example' })).status, 403));
await test('a change from another site is refused', async () =>
	same('status', (await make(admin, { 'Sec-Fetch-Site': 'cross-site' })).status, 403));
await test('a login from another site is refused', async () =>
	same('status', (await box.call('POST', '/api/v1/session', { headers: { 'Sec-Fetch-Site': 'cross-site' }, body: { user: 'admin', password } })).status, 403));
await test('only JSON is taken', async () =>
	same('status', (await box.call('POST', '/api/v1/targets', { headers: { ...admin, 'Content-Type': 'text/plain' }, raw: '{"name":"csrf"}' })).status, 415));
await test('a proper change is done', async () => same('status', (await make(admin)).status, 201));

// --- 5: Host ---

await test('foreign names are refused, own ones and addresses are not', async () => {
	for (const [host, want] of [['evil.example', 421], ['evil.example:443', 421], ['127.0.0.1.evil.example', 421], ['[::1', 421], ['', 421],
		['localhost', 200], ['127.0.0.1:8443', 200], ['[2001:db8::1]:8443', 200], ['storage.example.org', 200]])
		same(host, status(await box.raw(`GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)), want);
});

// --- 6: headers ---

await test('every answer carries the security fields', async () => {
	for (const path of ['/', '/app.js', '/api/v1/session', '/api/v1/status', '/nothing', '/openapi.json', '/healthz']) {
		const { headers } = await box.call('GET', path);
		ok(`${path} CSP`, headers['content-security-policy']?.startsWith("default-src 'none'; script-src 'self'"));
		ok(`${path} no unsafe`, !headers['content-security-policy'].includes('unsafe'));
		same(`${path} nosniff`, headers['x-content-type-options'], 'nosniff');
		same(`${path} referrer`, headers['referrer-policy'], 'no-referrer');
		same(`${path} CORP`, headers['cross-origin-resource-policy'], 'same-origin');
		ok(`${path} no CORS`, headers['access-control-allow-origin'] === undefined);
	}
	same('API answers are not kept', (await box.call('GET', '/api/v1/session')).headers['cache-control'], 'no-store');
});

// --- 7, 8, 9, 10, 12: roles, tokens, names, proof, secrets ---

await test('a viewer may look and change nothing', async () => {
	same('create', (await box.call('POST', '/api/v1/users', { headers: admin, body: { name: 'guest', role: 'viewer', password } })).status, 201);
	const { session } = await box.login('guest');
	same('look', (await box.call('GET', '/api/v1/status', { headers: session })).status, 200);
	for (const [method, path, body] of [['POST', '/targets', { name: 'x' }], ['DELETE', '/targets/csrf'], ['GET', '/users'], ['GET', '/config'], ['GET', '/audit'], ['POST', '/tokens', { name: 'x', role: 'admin' }]])
		same(path, (await box.call(method, '/api/v1' + path, { headers: session, body })).status, 403);
});
await test('changing a password ends the sessions of the user', async () => {
	const { session } = await box.login('guest');
	await box.call('POST', '/api/v1/users/guest/password', { headers: admin, body: { password: 'another long one' } });
	await until('the session is over', async () => (await box.call('GET', '/api/v1/status', { headers: session })).status === 401);
	same('old password', (await box.login('guest')).status, 401);
});
await test('tokens have roles and never join with cookies', async () => {
	const { json } = await box.call('POST', '/api/v1/tokens', { headers: admin, body: { name: 'script', role: 'viewer' } });
	const token = { Authorization: `Bearer ${json.token}` };
	await until('the token works', async () => (await box.call('GET', '/api/v1/status', { headers: token })).status === 200);
	same('viewer', (await box.call('POST', '/api/v1/targets', { headers: token, body: { name: 'y' } })).status, 403);
	same('with a cookie still viewer', (await box.call('POST', '/api/v1/targets', { headers: { ...admin, ...token }, body: { name: 'y' } })).status, 403);
	same('wrong token with a good cookie', (await box.call('GET', '/api/v1/status', { headers: { ...admin, Authorization: 'Bearer nothing' } })).status, 401);
	const metrics = await box.call('GET', '/metrics', { headers: token });
	ok('metrics', metrics.text.includes('dozo_healthy 1'));
	same('metrics need a token', (await box.call('GET', '/metrics')).status, 401);
	await box.call('DELETE', '/api/v1/tokens/script', { headers: admin });
	await until('the token is dead', async () => (await box.call('GET', '/api/v1/status', { headers: token })).status === 401);
});
await test('names with markup or control characters are refused', async () => {
	for (const name of ['<script>', 'a\nb', '../x', 'A', ''])
		same(name, (await box.call('POST', '/api/v1/targets', { headers: admin, body: { name } })).status, 400);
	same('in a path', (await box.call('GET', '/api/v1/pools/%00', { headers: admin })).status, 404);
});
await test('no program runs a command line', () => {
	// Only the page is started, by a descriptor and with arguments of ours.
	const calls = [];
	for (const dir of ['core', 'block', 'raid', 'pool', 'target', 'target/iscsi', 'target/scsi', 'admin', 'webui'])
		for (const name of readdirSync(join(source, dir)).filter((x) => x.endsWith('.c')))
			for (const [call] of readFileSync(join(source, dir, name), 'utf8').matchAll(/\b(system|popen|wordexp|f?exec[a-z]+|posix_spawnp?|dlopen)\(/g))
				calls.push(`${dir}/${name}: ${call}`);
	same('calls', calls, ['admin/page.c: fexecve(']);
	// Not even linked: a call that hides in a macro would be.
	for (const program of ['dozod', 'dozo-webui'])
		same(program, execFileSync('nm', ['-D', '--undefined-only', join(build, program)]).toString().match(/ (system|popen|wordexp|execvp|execlp|posix_spawn)\b/)?.[1], undefined);
});
await test('what a shell would obey is only text', async () => {
	const file = join(box.dir, 'obeyed');
	for (const words of [`$(touch ${file})`, `\`touch ${file}\``, `; touch ${file};`, `| touch ${file}`, `'; touch ${file} #`, `\n touch ${file}`]) {
		for (const [method, path, body] of [['GET', '/disk?path=' + encodeURIComponent('/dev/' + words)], ['POST', '/disks/fail', { path: words }], ['POST', '/portals', { address: words }], ['POST', '/pools', { name: 'x', disk: [1, 2, 3].map((i) => `/dev/${i}${words}`) }],
			['POST', '/pools/import', { disk: ['/dev/' + words] }], ['POST', '/hosts', { name: 'shell', iqn: [words], chap_user: words, chap_secret: 'abcdEFGH12345678' }], ['POST', '/targets', { name: words }], ['GET', '/history?of=' + encodeURIComponent(words)]])
			ok(`${method} ${path} is refused or text`, (await box.call(method, '/api/v1' + path, { headers: admin, body })).status < 500);
		await box.call('DELETE', '/api/v1/hosts/shell', { headers: admin });
	}
	await sleep(200);
	ok('nothing was obeyed', !existsSync(file));
	same('children of dozod', execFileSync('pgrep', ['-P', String(box.child.pid)]).toString().trim().split('\n').length, 1);
});
await test('secrets are taken and never given back', async () => {
	const secret = 'abcdEFGH12345678';
	same('create', (await box.call('POST', '/api/v1/hosts', { headers: admin, body: { name: 'chap', iqn: ['iqn.2010-01.test:x'], chap_user: 'u', chap_secret: secret } })).status, 201);
	for (const path of ['/hosts', '/config', '/audit', '/events', '/users', '/log', '/support-bundle', '/history'])
		ok(path, !(await box.call('GET', '/api/v1' + path, { headers: admin })).text.includes(secret));
	ok('no hash in users', !(await box.call('GET', '/api/v1/users', { headers: admin })).text.includes('$y$'));
	ok('not in the log', !box.log.includes(secret) && !box.log.includes(password));
	ok('not in the audit file', !readFileSync(join(box.dir, 'state/webui/audit.jsonl'), 'utf8').includes(secret));
});
await test('changes and logins are in the audit log', async () => {
	const { json } = await box.call('GET', '/api/v1/audit', { headers: admin });
	const of = (path) => json.find((x) => x.path === path);
	same('who', of('/api/v1/hosts').user, 'admin');
	same('from', of('/api/v1/hosts').from, '127.0.0.1');
	ok('refusals too', json.some((x) => x.status === 403 && x.user === 'guest'));
	ok('logins too', json.some((x) => x.path === '/api/v1/session' && x.method === 'POST'));
});
await test('dozo-webui has no core dumps and no privileges to gain', () => {
	const pid = box.webuiPid();
	ok('core', /Max core file size +0 +0/.test(readFileSync(`/proc/${pid}/limits`, 'utf8')));
	ok('no new privileges', /NoNewPrivs:\s+1/.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
	const [, uid] = readFileSync(`/proc/${pid}/status`, 'utf8').match(/Uid:\s+(\d+)/);
	ok('not root', process.getuid() !== 0 || uid !== '0');
});
await test('healthz reveals nothing', async () => same('text', (await box.call('GET', '/healthz')).text, 'ok\n'));

// --- HTTP ---

const vectors = {
	'chunked request': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get('/healthz')}`, 501],
	'chunked and length': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${get('/healthz')}`, 400],
	'odd transfer encoding': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n${get('/healthz')}`, 400],
	'two lengths': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nContent-Length: 40\r\n\r\n${get('/healthz')}`, 400],
	'length list': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0, 40\r\n\r\n${get('/healthz')}`, 400],
	'signed length': [`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: +0\r\n\r\n${get('/healthz')}`, 400],
	'body of GET': [`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello${get('/healthz')}`, 400],
	'body of DELETE': [`DELETE /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\nhello${get('/healthz')}`, 400],
	'two hosts': ['GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n', 400],
	'no host': ['GET / HTTP/1.1\r\n\r\n', 400],
	'space before colon': [`GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length : 5\r\n\r\n`, 400],
	'absolute path': ['GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400],
};
for (const [name, [text, want]] of Object.entries(vectors))
	await test(`${name} is refused and ends the connection`, async () => {
		const got = await box.raw(text, { wait: 3000 });
		same('status', status(got), want);
		same('answers', answers(got), 1);
	});
await test('unknown methods are refused', async () => {
	for (const method of ['TRACE', 'CONNECT', 'OPTIONS', 'PATCH', 'BREW'])
		ok(method, [400, 405, 501].includes(status(await box.raw(`${method} / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`))));
});
await test('a head beyond 16 KiB is refused', async () => {
	ok('refused', status(await box.raw(get('/', `X-Long: ${'a'.repeat(20000)}\r\n`))) >= 400);
	await alive();
});
await test('a body beyond 1 MiB is refused', async () => {
	ok('refused', status(await box.raw(`POST /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n${'a'.repeat(100000)}`)) >= 400);
	await alive();
});
await test('broken JSON, wrong types, deep nesting get a clear answer', async () => {
	for (const raw of ['{', '[]', '"x"', 'null', '{"a":1,"a":2}', '['.repeat(100000), '\u0000', '{"name":5}', '{"nme":"x"}'])
		same(raw.slice(0, 20), (await box.call('POST', '/api/v1/targets', { headers: admin, raw })).status, 400);
});
await test('a slow sender is cut off after 10 s', async () => {
	const start = Date.now();
	await new Promise((resolve) => {
		const socket = tls.connect({ host: '127.0.0.1', port: box.port, rejectUnauthorized: false });
		const drip = setInterval(() => socket.write('a'), 500);
		socket.on('secureConnect', () => socket.write('GET / HTTP/1.1\r\nHost: '));
		socket.on('error', () => {});
		socket.on('close', () => { clearInterval(drip); resolve(); });
	});
	ok(`${Date.now() - start} ms`, Date.now() - start < 13000);
});
await test('200 idle connections do not keep others out, 400 neither', async () => {
	const sockets = [];
	for (let i = 0; i < 400; i++) {
		const socket = connect(box.port, '127.0.0.1');
		socket.on('error', () => {});
		sockets.push(socket);
		if (i === 200)
			await alive();
	}
	await sleep(200);
	await alive();
	const files = spawn('sh', ['-c', `ls /proc/${box.webuiPid()}/fd | wc -l`]);
	let n = '';
	files.stdout.on('data', (x) => { n += x; });
	await new Promise((resolve) => files.on('close', resolve));
	ok(`${n.trim()} files are open`, Number(n) < 320);
	for (const socket of sockets)
		socket.destroy();
});
await test('random bytes and mutated requests harm nothing', async () => {
	const pid = box.webuiPid();
	let seed = 12345;
	const random = (n) => { seed = (seed * 1103515245 + 12345) & 0x7fffffff; return seed % n; };
	const bases = [get('/api/v1/status?limit=5', `Cookie: ${admin.Cookie}\r\n`),
		`POST /api/v1/targets?dry_run=true HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: ${admin.Cookie}\r\nX-CSRF-Token: ${admin['X-CSRF-Token']}\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"name":"f"}`];
	for (let round = 0; round < 300; round++) {
		const bytes = Buffer.from(bases[round % 2], 'latin1');
		for (let i = 0; i < 1 + random(8); i++)
			bytes[random(bytes.length)] = random(256);
		await box.raw(bytes.toString('latin1'), { wait: 40 }).catch(() => {});
	}
	await alive();
	same('the same process', box.webuiPid(), pid);
});

await test('at most 32 streams; the next one is told so', async () => {
	const sockets = [];
	const stream = (extra = '') => new Promise((resolve) => {
		const socket = tls.connect({ host: '127.0.0.1', port: box.port, rejectUnauthorized: false },
			() => socket.write(get('/api/v1/events', `Accept: text/event-stream\r\nCookie: ${admin.Cookie}\r\n${extra}`)));
		sockets.push(socket);
		socket.on('error', () => {});
		socket.once('data', (part) => resolve(status(part.toString('latin1'))));
	});
	const all = await Promise.all([...Array(40).keys()].map((i) => stream(i % 2 ? 'Last-Event-ID: 1\r\n' : '')));
	same('streams', all.filter((x) => x === 200).length, 32);
	same('refused', all.filter((x) => x === 503).length, 8);
	sockets.forEach((socket) => socket.destroy());
	await until('there is room again', async () => {
		const one = await stream();
		return one === 200;
	});
	sockets.at(-1).destroy();
	await alive();
});

// --- last: guessing, killing ---

await test('guessing is slowed, per address, and says for how long', async () => {
	let answer;
	for (let i = 0; i < 6; i++)
		answer = await box.login('admin', `wrong password ${i}`);
	same('status', answer.status, 429);
	ok('it says how long', /wait \d+ second/.test(answer.json.text));
	same('a good session goes on', (await box.call('GET', '/api/v1/status', { headers: admin })).status, 200);
	await sleep(2500);
	ok('not locked for ever', (await box.login()).status === 200);
});
await test('killed, the page is back within a second; storage does not notice', async () => {
	const before = box.json('status').uptime_s;
	process.kill(box.webuiPid(), 'SIGKILL');
	const start = Date.now();
	await sleep(20);
	await until('the page is back', async () => (await box.call('GET', '/healthz')).status === 200, 5);
	ok(`${Date.now() - start} ms`, Date.now() - start < 1000);
	ok('dozod went on', box.json('status').uptime_s >= before);
});
await test('dozod ends its page', async () => {
	const pid = box.webuiPid();
	await box.end();
	ok('gone', !existsSync(`/proc/${pid}`));
});
await test('each of the twelve points has its tests', () => {
	same('points', Object.keys(checklist).map((point) => parseInt(point, 10)), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
	const missing = Object.values(checklist).flat().filter((entry) => {
		const [, file, name] = entry.match(/^(tests\/\S+): (.*)$/) ?? [];
		if (!file)
			return !tested.has(entry);
		const text = readFileSync(join(source, file), 'utf8');
		return !text.includes(`test('${name}'`) && !text.includes(`T(${name})`);
	});
	same('tests that are gone', missing, []);
});
box.destroy();
summary('ui hardening');
process.exit();
