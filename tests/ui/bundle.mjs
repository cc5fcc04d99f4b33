// SPDX-License-Identifier: BSD-2-Clause
// The built page in the tree is what its sources give, small, and whole.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { gzipSync } from 'node:zlib';
import { join, ok, readFileSync, same, source, summary, test } from './lib.mjs';

const webui = process.env.WEBUI ?? join(source, 'webui');
const files = ['app.css', 'app.js', 'icon.svg', 'index.html'];
const dist = (name) => readFileSync(join(source, 'webui/dist', name));

await test('the bundle is what the sources give', () => {
	const out = mkdtempSync(join(tmpdir(), 'dozo-bundle.'));
	try {
		execFileSync('node', [join(webui, 'build.mjs'), out], { cwd: webui });
		for (const name of files)
			ok(`${name} is the same; if not: cd webui && npm ci --ignore-scripts && node build.mjs`,
				readFileSync(join(out, name)).equals(dist(name)));
	} finally {
		rmSync(out, { recursive: true });
	}
});
await test('the page is at most 60 KiB gzipped', () => {
	const size = files.reduce((sum, name) => sum + gzipSync(dist(name), { level: 9 }).length, 0);
	ok(`${size} bytes are at most 61440`, size <= 61440);
});
await test('the lock file has hashes and no download addresses', () => {
	const lock = JSON.parse(readFileSync(join(source, 'webui/package-lock.json')));
	for (const [name, entry] of Object.entries(lock.packages)) {
		ok(`${name} has no address`, entry.resolved === undefined);
		ok(`${name} has a hash`, name === '' || entry.integrity);
	}
});
await test('versions are exact', () => {
	const { devDependencies } = JSON.parse(readFileSync(join(source, 'webui/package.json')));
	for (const [name, version] of Object.entries(devDependencies))
		ok(`${name} ${version}`, /^\d+\.\d+\.\d+$/.test(version));
});
await test('Japanese has every text, and no others', () => {
	const ja = JSON.parse(readFileSync(join(source, 'webui/src/ja.json')));
	const used = new Set(['Overview', 'Disks', 'Pools', 'Volumes', 'Targets & hosts', 'Alerts', 'System', 'healthy', 'degraded', 'failed',
		'online', 'offline', 'busy', 'missing', 'in-sync', 'faulty', 'spare', 'rebuilding', 'replacing', 'admin', 'viewer', 'Rebuild', 'Resync', 'Check of parity', 'Repair of parity', 'Reshape', 'Replacement', 'New pool', 'New volume', 'Grow']);
	for (const name of readdirSync(join(source, 'webui/src')).filter((x) => x.endsWith('.mjs')))
		for (const [, key] of readFileSync(join(source, 'webui/src', name), 'utf8').matchAll(/\bt\(\s*'((?:[^'\\]|\\.)*)'/g))
			used.add(key);
	same('missing', [...used].filter((key) => ja[key] === undefined), []);
	same('not used', Object.keys(ja).filter((key) => !used.has(key)), []);
	for (const [key, text] of Object.entries(ja))
		same(`places in "${key}"`, (text.match(/\{\w+\}/g) ?? []).sort(), (key.match(/\{\w+\}/g) ?? []).sort());
});
await test('what the page says in other words is still said', () => {
	const dir = (name) => readdirSync(join(source, name)).filter((x) => x.endsWith('.c')).map((x) => readFileSync(join(source, name, x), 'utf8')).join('');
	const words = readFileSync(join(source, 'webui/src/words.mjs'), 'utf8');
	const told = [...dir('raid').matchAll(/raid_tell\((?:raid|m->raid), ((?:"(?:[^"\\]|\\.)*"\s*)+)/g)]
		.map(([, text]) => text.replace(/"\s*"/g, '').trim().slice(1, -1).replace(/%(llu|u)/g, '7').replace(/^%s %s/, 'check was cancelled').replace(/%s/g, 'x'));
	ok(`${told.length} texts`, told.length > 15);
	told.push('check finished, 7 blocks');
	const patterns = [...words.matchAll(/^\t\[\/(\^.*?)\/, \(x\)/gm)].map(([, p]) => p).filter((p) => !/was (removed|plugged)/.test(p));
	ok(`${patterns.length} patterns`, patterns.length > 8);
	same('never told', patterns.filter((p) => !told.some((text) => new RegExp(p).test(text))), []);
	const codes = new Set([...readFileSync(join(source, 'admin/verb_status.c'), 'utf8').matchAll(/"([a-z-]+)"/g)].map(([, code]) => code));
	same('codes that dozod never tells', [...words.matchAll(/^\t'([a-z-]+)': \(p\)/gm)].map(([, code]) => code).filter((code) => !codes.has(code)), []);
});
await test('no inline script or style', () => {
	const html = dist('index.html').toString();
	ok('no style attribute', !/style=/.test(html));
	ok('no script text', !/<script[^>]*>[^<]/.test(html));
});
summary('ui bundle');
