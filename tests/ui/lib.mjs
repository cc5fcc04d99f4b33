// SPDX-License-Identifier: BSD-2-Clause
// What the tests of page and API share: an appliance of one's own, requests,
// counting.
import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import tls from 'node:tls';

export const build = process.env.DOZO_BUILD ?? process.cwd();
export const source = process.env.srcdir ?? new URL('../..', import.meta.url).pathname;
export const password = 'correct horse battery';
export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// --- counting ---

const count = { passed: 0, failed: 0, skipped: 0 };
export const tested = new Set();
export async function test(name, fn) {
	tested.add(name);
	try {
		await fn();
		count.passed++;
		if (process.env.VERBOSE)
			console.log(`PASS ${name}`);
	} catch (error) {
		count.failed++;
		console.log(`FAIL ${name}: ${error.message}`);
		console.log(String(error.stack).split('\n').slice(1, 4).join('\n'));
	}
}
export function skip(name, why) {
	count.skipped++;
	console.log(`SKIP ${name}: ${why}`);
}
export function summary(name) {
	console.log(`${name}: ${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`);
	process.exitCode = count.failed > 0 ? 1 : 0;
}
export function same(what, has, want) {
	if (JSON.stringify(has) !== JSON.stringify(want))
		throw new Error(`${what} is ${JSON.stringify(has)}, not ${JSON.stringify(want)}`);
}
export function ok(what, condition) {
	if (!condition)
		throw new Error(`not so: ${what}`);
}
export async function until(what, fn, seconds = 10) {
	const end = Date.now() + seconds * 1000;
	for (;;) {
		let value;
		try {
			value = await fn();
		} catch (error) {
			value = null;
			if (Date.now() > end)
				throw error;
		}
		if (value)
			return value;
		if (Date.now() > end)
			throw new Error(`after ${seconds} s still not: ${what}`);
		await sleep(50);
	}
}

// --- an appliance ---

const freePort = () => new Promise((resolve) => {
	const server = createServer();
	server.listen(0, '127.0.0.1', () => {
		const { port } = server.address();
		server.close(() => resolve(port));
	});
});

export class Box {
	static async start(options = {}) {
		const box = new Box();
		box.dir = mkdtempSync(join(process.env.TMPDIR ?? tmpdir(), 'dozo-ui.'));
		// dozo-webui may run as another user: it must get through.
		execFileSync('chmod', ['755', box.dir]);
		box.port = await freePort();
		box.iscsi = await freePort();
		mkdirSync(join(box.dir, 'disks'));
		writeFileSync(join(box.dir, 'dozo.conf'), `state-directory = ${box.dir}/state
control-socket = ${box.dir}/control.sock
listen = 127.0.0.1:${box.iscsi}
page-port = ${box.port}
page-address = 127.0.0.1
page-name = storage.example.org
`);
		box.options = options;
		process.on('exit', () => box.destroy());
		await box.run();
		return box;
	}
	async run() {
		this.log = '';
		this.child = spawn(join(build, 'dozod'), ['-f', '-c', join(this.dir, 'dozo.conf'), '--fault-injection'],
			{ stdio: ['ignore', 'ignore', 'pipe'] });
		this.child.stderr.on('data', (text) => { this.log += text; });
		this.child.on('exit', (code, signal) => {
			if (code !== 0)
				console.log(`FAIL dozod ended with ${code ?? signal}:\n${this.log.split('\n').slice(-30).join('\n')}`);
		});
		await until('the page answers', async () => (await this.call('GET', '/healthz')).status === 200, 20);
	}
	async end(signal = 'SIGTERM') {
		const gone = new Promise((resolve) => this.child.once('exit', resolve));
		this.child.kill(signal);
		await gone;
	}
	destroy() {
		if (this.child && this.child.exitCode === null)
			this.child.kill('SIGKILL');
		this.child = null;
		rmSync(this.dir, { recursive: true, force: true });
	}
	get url() { return `https://127.0.0.1:${this.port}`; }
	get portal() { return `127.0.0.1:${this.iscsi}`; }
	token() { return until('a set-up token', () => this.log.match(/set-up token (\S+)/)?.[1]); }
	webuiPid() {
		return Number(execFileSync('pgrep', ['-P', String(this.child.pid), '-x', 'dozo-webui']).toString().trim());
	}
	disk(name, size = 64 << 20) {
		const path = join(this.dir, 'disks', name);
		writeFileSync(path, '');
		truncateSync(path, size);
		return path;
	}
	// A device that is there and cannot be opened; null where that needs root.
	deadDevice() {
		const path = join(this.dir, 'disks', 'dead');
		try {
			execFileSync('mknod', [path, 'b', '240', '7'], { stdio: 'pipe' });
		} catch {
			return null;
		}
		return path;
	}
	ctl(...args) {
		return execFileSync(join(build, 'dozoctl'), ['--socket', join(this.dir, 'control.sock'), ...args],
			{ stdio: ['pipe', 'pipe', 'pipe'] }).toString();
	}
	json(...args) { return JSON.parse(this.ctl(...args, '--json')); }

	// One HTTPS request; { status, headers, text, json }.
	call(method, path, { body, headers = {}, raw } = {}) {
		return new Promise((resolve, reject) => {
			const payload = raw ?? (body === undefined ? undefined : JSON.stringify(body));
			const req = request({ host: '127.0.0.1', port: this.port, method, path, rejectUnauthorized: false, agent: false,
				headers: { ...(payload === undefined ? {} : { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(payload) }), ...headers } }, (res) => {
				let text = '';
				res.setEncoding('utf8');
				res.on('data', (part) => { text += part; });
				res.on('end', () => {
					let json = null;
					try {
						json = JSON.parse(text);
					} catch {
						json = null;
					}
					resolve({ status: res.statusCode, headers: res.headers, text, json });
				});
			});
			req.on('error', reject);
			req.setTimeout(30000, () => req.destroy(new Error('no answer in 30 s')));
			req.end(payload);
		});
	}
	async login(user = 'admin', pass = password) {
		const answer = await this.call('POST', '/api/v1/session', { body: { user, password: pass } });
		return { ...answer, session: this.sessionOf(answer) };
	}
	// { Cookie, X-CSRF-Token } for calls as this user
	sessionOf(answer) {
		const cookie = answer.headers['set-cookie']?.[0]?.split(';')[0];
		return cookie && { 'Cookie': cookie, 'X-CSRF-Token': answer.json.csrf };
	}
	async setUp() {
		return this.sessionOf(await this.call('POST', '/api/v1/setup',
			{ body: { token: await this.token(), name: 'admin', password } }));
	}
	// Bytes over TLS as they are; resolves with all that came until the end.
	raw(text, { wait = 5000, hold = false } = {}) {
		return new Promise((resolve, reject) => {
			const socket = tls.connect({ host: '127.0.0.1', port: this.port, rejectUnauthorized: false });
			let got = '';
			socket.on('secureConnect', () => { socket.write(text, 'latin1'); if (!hold) socket.setTimeout(wait, () => socket.destroy()); });
			socket.on('data', (part) => { got += part.toString('latin1'); });
			socket.on('close', () => resolve(got));
			socket.on('error', (e) => (got ? resolve(got) : reject(e)));
			if (hold)
				setTimeout(() => socket.destroy(), wait);
		});
	}
}
export { readFileSync, join };
