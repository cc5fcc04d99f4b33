// SPDX-License-Identifier: BSD-2-Clause
// The page in Chromium against the real daemon: set-up, wizard, a LUN that an
// initiator uses, a disk that fails, roles, languages, dark, phone, a stream
// that is lost.  axe finds nothing, the policy reports nothing.
import { execFileSync, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { Box, build, join, ok, password, readFileSync, same, skip, sleep, source, summary, test, until } from './lib.mjs';

const need = createRequire(join(process.env.WEBUI ?? join(source, 'webui'), 'package.json'));
const { chromium } = need('playwright-core');
const { AxeBuilder } = need('@axe-core/playwright');
const shots = process.env.SHOTS ?? join(process.cwd(), 'ui-screenshots');
mkdirSync(shots, { recursive: true });

const box = await Box.start();
const profile = mkdtempSync(join(tmpdir(), 'dozo-chromium.'));
const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find((path) => existsSync(path));
const browser = await chromium.launch({ executablePath, args: ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
	'--disable-background-networking', '--disable-component-update', '--disable-sync', `--crash-dumps-dir=${profile}`] });
const bad = [], found = [];
let looked = 0;
async function open(options = {}) {
	const context = await browser.newContext({ ignoreHTTPSErrors: true, viewport: { width: 1280, height: 800 }, locale: 'en-US', ...options });
	const page = await context.newPage();
	// Refused requests are part of the tests; all else is a defect.
	page.on('console', (m) => m.type() === 'error' && !/status of (4\d\d|5\d\d)|ERR_CONNECTION|ERR_EMPTY|ERR_INCOMPLETE|ERR_SSL|ERR_SOCKET/.test(m.text()) && bad.push(m.text()));
	page.on('pageerror', (e) => bad.push(e.message));
	await page.addInitScript(() => document.addEventListener('securitypolicyviolation', (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI}`)));
	page.setDefaultTimeout(10000);
	await page.goto(box.url);
	return page;
}
const shot = (page, name) => page.screenshot({ path: join(shots, name + '.png'), fullPage: true });
async function axe(page, where) {
	const { violations } = await new AxeBuilder({ page }).analyze();
	looked++;
	found.push(...violations.map((v) => `${where}: ${v.id}: ${v.nodes[0].html.slice(0, 120)}`));
}
const button = (page, name) => page.getByRole('button', { name, exact: true });
const heading = (page, name) => page.getByRole('heading', { name, exact: true });
const go = async (page, path) => {
	await page.evaluate((hash) => { location.hash = hash; }, path);
	await page.waitForTimeout(400);
};
async function login(page, user = 'admin', pass = password) {
	await page.getByLabel('User').fill(user);
	await page.getByLabel('Password').fill(pass);
	await button(page, 'Log in').click();
	await page.getByRole('navigation').waitFor();
}

const page = await open();

await test('first set-up with the token', async () => {
	await heading(page, 'Welcome to Dozo').waitFor();
	await axe(page, 'set-up');
	await shot(page, '01-setup');
	await page.getByLabel('Set-up token').fill(await box.token());
	await page.getByLabel('New password').fill(password);
	await page.getByLabel('Password again').fill(password);
	await button(page, 'Create administrator').click();
	await heading(page, 'Which disks?').waitFor();
});

const disks = [0, 1, 2, 3].map((i) => box.disk(`disk${i}.img`));
const iqn = 'iqn.2010-01.org.example:client';
await test('a disk with data wants its name typed', async () => {
	writeFileSync(disks[3], Buffer.alloc(64 << 20));
	execFileSync('mkfs.ext4', ['-q', '-F', disks[3]]);
	await page.getByLabel('Add image files or devices by path').fill(disks.join(' '));
	await button(page, 'Add').click();
	await page.getByText('4 chosen').or(page.getByText('Type the words above')).waitFor();
	await page.getByText(/ext4/).first().waitFor();
	ok('not yet', await button(page, 'Continue').isDisabled());
	await axe(page, 'wizard disks');
	await shot(page, '02-wizard-disks');
	await page.getByLabel(/Everything on it is lost/).fill('disk3.img');
	await button(page, 'Continue').click();
});
let secret;
await test('the wizard leads to the review', async () => {
	await heading(page, 'How is it protected?').waitFor();
	await axe(page, 'wizard protection');
	await shot(page, '03-wizard-protection');
	await button(page, 'Continue').click();
	await heading(page, 'What is stored on it?').waitFor();
	await page.getByLabel('Size').fill('64M');
	await axe(page, 'wizard volume');
	await shot(page, '04-wizard-volume');
	await button(page, 'Continue').click();
	await heading(page, 'Who may use it?').waitFor();
	await page.getByLabel('Its name here').fill('client');
	await page.getByLabel('Its iSCSI name (IQN)').fill(iqn);
	await page.getByLabel('Demand a password (CHAP)').check();
	secret = await page.getByLabel('CHAP secret').inputValue();
	ok(`secret ${secret} has 16 characters`, /^\w{16}$/.test(secret));
	await axe(page, 'wizard access');
	await shot(page, '05-wizard-access');
	await button(page, 'Continue').click();
	await heading(page, 'Is this right?').waitFor();
	ok('nothing was changed yet', box.json('pool', 'list').length === 0);
	await page.getByText('dozoctl pool create tank').waitFor();
	same('marks before anything is done', (await page.locator('main ol:not(.steps) li').allTextContents()).filter((x) => !/^[A-Z]/.test(x)), []);
	await page.setViewportSize({ width: 360, height: 740 });
	const [wide, seen] = await page.locator('pre').evaluate((pre) => [pre.scrollWidth, pre.clientWidth]);
	ok(`lines of ${wide} fit ${seen}`, wide <= seen);
	await shot(page, '06-wizard-review-phone');
	await page.setViewportSize({ width: 1280, height: 800 });
	await axe(page, 'wizard review');
	await shot(page, '06-wizard-review');
});
await test('the wizard does it and tells how to connect', async () => {
	await button(page, 'Do it').click();
	await heading(page, 'Connect your computer').waitFor({ timeout: 60000 });
	await axe(page, 'wizard connect');
	for (const name of ['Windows', 'VMware ESXi', 'Linux']) {
		await button(page, name).click();
		await shot(page, '07-wizard-connect-' + name.split(' ')[0].toLowerCase());
		ok(`${name} lines have the secret`, (await page.locator('pre').textContent()).includes(secret));
	}
	same('mappings', box.json('map', 'list').length, 1);
});

const url = (user, pass) => `iscsi://${user}%${pass}@${box.portal}/iqn.2026-01.org.dozo:storage/0`;
const has = (program) => {
	try {
		execFileSync('sh', ['-c', `command -v ${program}`]);
		return true;
	} catch {
		return false;
	}
};
if (has('qemu-io'))
	await test('an initiator with the secret writes and reads, without it not', async () => {
		const image = (pass) => ['--image-opts', `driver=iscsi,transport=tcp,portal=${box.portal},target=iqn.2026-01.org.dozo:storage,lun=0,user=client,password-secret=s,initiator-name=${iqn}`,
			'--object', `secret,id=s,data=${pass}`];
		const out = execFileSync('qemu-io', [...image(secret), '-c', 'write -P 0x5a 1M 4M', '-c', 'read -P 0x5a 1M 4M']).toString();
		ok(out, out.includes('read 4194304/4194304') && !out.includes('verification failed'));
		let refused = false;
		try {
			execFileSync('qemu-io', [...image('wrongwrongwrong1'), '-c', 'read 0 4k'], { stdio: 'pipe' });
		} catch {
			refused = true;
		}
		ok('refused', refused);
	});
else
	skip('an initiator with the secret writes and reads', 'qemu-io with iSCSI is missing (apt install qemu-utils qemu-block-extra)');

await test('each page is reached, titled, and axe finds nothing', async () => {
	for (const [path, title] of [['/overview', 'Overview'], ['/disks', 'Disks'], ['/pools', 'Pools'], ['/pools/tank', 'Pool tank'], ['/volumes', 'Volumes'],
		['/volumes/tank/disk1', 'Volume tank/disk1'], ['/targets', 'Targets & hosts'], ['/alerts', 'Alerts'], ['/system', 'System']]) {
		await go(page, path);
		await heading(page, title).waitFor();
		await axe(page, path);
		await shot(page, '10' + path.replaceAll('/', '-'));
	}
});
const dead = box.deadDevice();
if (dead)
	await test('a device that cannot be opened says why, and is not offered', async () => {
		await go(page, '/disks');
		await page.getByLabel('Path of an image file or device').fill(dead);
		await button(page, 'Look').click();
		await page.getByRole('row', { name: /dead/ }).getByText(/cannot be opened: .+/).waitFor();
		await shot(page, '10-disk-error');
		await go(page, '/wizard');
		await page.getByLabel('Add image files or devices by path').fill(dead);
		await button(page, 'Add').click();
		await page.getByRole('alert').getByText(/cannot be opened/).waitFor();
		same('rows', await page.getByRole('row', { name: /dead/ }).count(), 0);
	});
else
	skip('a device that cannot be opened says why', 'mknod needs root');
await test('the overview is live', async () => {
	await go(page, '/overview');
	await heading(page, 'Load').waitFor();
	const load = has('qemu-io') ? execFileSync('qemu-io', ['--image-opts', `driver=iscsi,transport=tcp,portal=${box.portal},target=iqn.2026-01.org.dozo:storage,lun=0,user=client,password-secret=s,initiator-name=${iqn}`,
		'--object', `secret,id=s,data=${secret}`, ...Array(40).fill(['-c', 'write -P 1 0 4M']).flat()]) : null;
	if (load)
		await until('operations are shown', async () => !/^0 IOPS|^–/.test(await page.locator('.big', { hasText: 'IOPS' }).textContent()), 8);
	await page.waitForTimeout(4500);
	await shot(page, '11-overview-live');
});
await test('an initiator that knocks becomes a host', async () => {
	try {
		execFileSync('iscsi-inq', [`iscsi://${box.portal}/iqn.2026-01.org.dozo:storage/0`, '-i', 'iqn.2010-01.org.example:stranger'], { stdio: 'pipe' });
	} catch {
		// refused, as it should be
	}
	try {
		execFileSync('iscsi-inq', [`iscsi://${box.portal}/iqn.2026-01.org.dozo:storage/0`, '-i', 'iqn.2010-01.x:<img src=x onerror=alert(1)>'], { stdio: 'pipe' });
	} catch {
		// a name that is markup
	}
	await go(page, '/overview');
	await go(page, '/targets');
	await page.getByText('iqn.2010-01.org.example:stranger').waitFor();
	same('elements out of names', await page.locator('main img').count(), 0);
	await shot(page, '12-targets-knock');
	await page.getByRole('row', { name: /:client/ }).getByRole('button', { name: 'Change…' }).last().waitFor();
	await page.getByRole('row', { name: /stranger/ }).getByRole('button', { name: 'Allow…' }).click();
	await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('stranger');
	await page.getByRole('dialog').getByLabel('Volume that it may use').selectOption('tank/disk1');
	await button(page, 'Create host').click();
	await page.getByRole('dialog').waitFor({ state: 'detached' });
	ok('mapped', box.json('map', 'list').some((x) => x.host === 'stranger' && x.volume === 'disk1'));
	execFileSync('iscsi-inq', [`iscsi://${box.portal}/iqn.2026-01.org.dozo:storage/0`, '-i', 'iqn.2010-01.org.example:stranger'], { stdio: 'pipe' });
});
await test('a disk with data is erased only with its serial number, which is sent', async () => {
	const fakes = [1, 2, 3].map((i) => ({ path: `/dev/fake${i}`, kind: 'disk', model: 'ACME', serial: `SN-${i}`, size: '1000000000000', rotational: true, present: true, contents: i < 3 ? 'ext4 "old"' : '' }));
	const sent = [];
	const context = await open();
	await login(context);
	await context.route('**/api/v1/disks', (route) => route.fulfill({ json: fakes }));
	await context.route(/\/api\/v1\/pools(\?.*|\/tank\/(add-spare|replace))?$/, (route) => {
		if (route.request().method() !== 'POST')
			return route.continue();
		sent.push([new URL(route.request().url()).pathname.replace('/api/v1/pools', ''), route.request().postDataJSON()]);
		return route.request().url().includes('dry_run') ? route.fulfill({ json: { changed: true } })
			: route.fulfill({ status: 409, contentType: 'application/problem+json', body: JSON.stringify({ code: 'busy', text: 'not today', hint: '' }) });
	});
	await go(context, '/wizard');
	for (const { path } of fakes)
		await context.getByLabel(`Use ${path}`).check();
	const next = button(context, 'Continue');
	ok('not without the serials', await next.isDisabled());
	const words = context.getByLabel(/Everything on it is lost/);
	await words.nth(0).fill('SN-1');
	await words.nth(1).fill('SN-1');
	ok('not with that of another', await next.isDisabled());
	await words.nth(1).fill('SN-2');
	await next.click();
	await next.click();
	await context.getByLabel('Size').fill('1G');
	await next.click();
	await context.getByLabel('Computer').selectOption('any');
	await next.click();
	await context.getByText("--serial SN-1").waitFor();
	await button(context, 'Do it').click();
	await context.getByRole('alert').getByText('not today').waitFor();
	const body = { name: 'tank', level: 'raid5', disk: fakes.map((d) => d.path), force: true, serial: ['SN-1', 'SN-2'] };
	same('create', sent, [['', body], ['', body]]);
	const dialog = context.getByRole('dialog');
	for (const [open_, label, path] of [['Add spare…', 'Add', '/tank/add-spare'], ['Replace…', 'Replace', '/tank/replace']]) {
		await go(context, '/pools/tank');
		await button(context, open_).first().click();
		await dialog.getByLabel('New disk').selectOption(fakes[0].path);
		const typed = dialog.getByLabel(/serial number SN-1/);
		await typed.fill('fake1');
		ok('the name is not enough', await button(context, label).isDisabled());
		await typed.fill('SN-1');
		await button(context, label).click();
		await dialog.getByRole('alert').getByText('not today').waitFor();
		const [where, what] = sent.at(-1);
		same(label, [where, what.disk, what.force, what.serial], [path, '/dev/fake1', true, ['SN-1']]);
		await context.keyboard.press('Escape');
	}
	same('requests', sent.length, 4);
	await context.context().close();
});
await test('a disk blinks until it is told to stop; one that cannot be read says so', async () => {
	const fakes = [1, 2].map((i) => ({ path: `/dev/fake${i}`, kind: 'disk', model: 'ACME', serial: `SN-${i}`, size: '1000000000000', rotational: true, present: true, contents: '' }));
	const sent = [];
	const context = await open();
	await login(context);
	await context.route('**/api/v1/disks', (route) => route.fulfill({ json: fakes }));
	await context.route('**/api/v1/disks/locate', (route) => {
		const body = route.request().postDataJSON();
		sent.push(body);
		if (body.path === '/dev/fake2')
			return route.continue();	// dozod itself says that it is not there
		fakes[0].locating_s = body.seconds;
		return route.fulfill({ json: body });
	});
	await go(context, '/disks');
	const row = (n) => context.getByRole('row', { name: new RegExp(`fake${n}`) });
	await row(1).getByRole('button', { name: 'Blink', exact: true }).click();
	await row(1).getByRole('button', { name: 'Stop blinking' }).click();
	await row(1).getByRole('button', { name: 'Blink', exact: true }).waitFor();
	await row(2).getByRole('button', { name: 'Blink', exact: true }).click();
	await context.getByRole('alert').getByText('/dev/fake2').waitFor();
	same('sent', sent, [{ path: '/dev/fake1', seconds: 60 }, { path: '/dev/fake1', seconds: 0 }, { path: '/dev/fake2', seconds: 60 }]);
	await axe(context, 'disks that blink');
	await context.context().close();
});
await test('a volume is made, grown and deleted; the name is typed first', async () => {
	await go(page, '/volumes');
	await button(page, 'New volume').click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Name', { exact: true }).fill('second');
	await dialog.getByLabel('Size').fill('1000T');
	await button(page, 'Create volume').click();
	await dialog.getByRole('alert').waitFor();
	await shot(page, '13-volume-error');
	await axe(page, 'dialog with an error');
	await dialog.getByLabel('Size').fill('16M');
	await button(page, 'Create volume').click();
	await dialog.waitFor({ state: 'detached' });
	await page.getByRole('link', { name: 'tank/second' }).click();
	await button(page, 'Grow…').click();
	await dialog.getByLabel('New size').fill('24M');
	await button(page, 'Grow').click();
	await dialog.waitFor({ state: 'detached' });
	same('size', box.json('volume', 'show', 'tank/second').size, String(24 << 20));
	await button(page, 'Delete…').click();
	ok('not yet', await button(page, 'Delete for ever').isDisabled());
	await shot(page, '14-delete');
	await axe(page, 'delete dialog');
	await dialog.getByLabel('Type second to confirm').fill('second');
	await button(page, 'Delete for ever').click();
	await until('it is gone', () => box.json('volume', 'list').length === 1);
	await dialog.waitFor({ state: 'detached' });
	await heading(page, 'Volumes').waitFor();
});
await test('a disk fails: banner on every page, tab title, advice', async () => {
	await go(page, '/pools/tank');
	await button(page, 'Fail…').first().click();
	await page.getByLabel('Type disk0.img to confirm').fill('disk0.img');
	await button(page, 'Stop using it').click();
	await page.getByRole('dialog').waitFor({ state: 'detached' });
	for (const path of ['/pools/tank', '/overview', '/system']) {
		await go(page, path);
		await page.getByText('Degraded: look at this soon').waitFor();
	}
	await until('the title tells', async () => (await page.title()).startsWith('⚠ degraded'));
	await go(page, '/pools/tank');
	await axe(page, 'degraded pool');
	await shot(page, '15-degraded-pool');
	await go(page, '/overview');
	await shot(page, '16-degraded-overview');
	await go(page, '/alerts');
	const rows = await page.getByRole('row').allTextContents();
	for (const said of ['Volume tank/disk1 was given to stranger by admin.', 'Host stranger was made by admin.', 'Volume tank/second was deleted by admin.'])
		ok(said, rows.some((row) => row.includes(said)));
	ok('why not', rows.some((row) => /Volume tank\/second was not made \(admin\): .*free/.test(row)));
	same('the failure is told', rows.filter((row) => row.includes('disk0.img failed')).length, 1);
	ok('no verbs', !rows.some((row) => /\w\.(create|fail|delete)\b/.test(row)));
	ok('no commands', !(await page.locator('main').textContent()).includes('dozoctl'));
	await page.locator('.note', { hasText: 'press “Replace…”' }).waitFor();
	await axe(page, 'alerts');
	await shot(page, '17-alerts');
});
const slow = (ms) => box.json('pool', 'list')[0].members.filter((m) => m.state === 'in-sync').forEach(({ path }) =>
	(ms ? box.ctl('disk', 'fault', path, '--kind', 'delay', '--on', 'read', '--delay-ms', ms) : box.ctl('disk', 'fault', path, '--kind', 'clear')));
await test('the failed disk is replaced: which goes, which comes, how far', async () => {
	slow(500);
	const fresh = box.disk('fresh.img');
	await go(page, '/pools/tank');
	await button(page, 'Replace…').first().click();
	const dialog = page.getByRole('dialog');
	await dialog.getByText(disks[0]).waitFor();
	await dialog.getByLabel('New disk').selectOption('another path…');
	await dialog.getByLabel('Path of an image file or device').fill(disks[1]);
	await dialog.getByText('It belongs to the pool tank.').waitFor();
	await dialog.getByLabel('Path of an image file or device').fill(fresh);
	const sure = dialog.getByLabel('Type fresh.img to confirm');
	await sure.waitFor();
	ok('not yet', await button(page, 'Replace').isDisabled());
	await axe(page, 'replace dialog');
	await shot(page, '18-replace');
	await sure.fill('fresh.img');
	await button(page, 'Replace').click();
	await dialog.waitFor({ state: 'detached' });
	await heading(page, 'Rebuild: tank').waitFor();
	await page.getByText(/\d %.*\/s, .* left/).first().waitFor();
	await page.getByText('A new disk is being filled').waitFor();
	await axe(page, 'rebuilding pool');
	await shot(page, '18-rebuild');
	await go(page, '/volumes');
	await page.getByRole('link', { name: /Rebuild: \d/ }).waitFor();
	await go(page, '/pools/tank');
	await button(page, 'Pause…').click();
	await button(page, 'Stop it').click();
	await button(page, 'Go on').waitFor({ timeout: 30000 });
	await page.getByText('The rebuild does not go on').or(page.getByText('is not full yet')).first().waitFor();
	await shot(page, '18-paused');
	await button(page, 'Go on').click();
	await heading(page, 'Rebuild: tank').waitFor();
	await page.getByText('All used data is rebuilt').waitFor({ timeout: 60000 });
	slow(0);
	await page.getByText('All data is safe').waitFor({ timeout: 30000 });
	await until('no warning in the title', async () => !(await page.title()).includes('⚠'));
	ok('the new disk is a member', box.json('pool', 'status', 'tank').members.some((m) => m.path === fresh && m.state === 'in-sync'));
});
await test('a disk that works is replaced by copy; the pool stays redundant', async () => {
	slow(500);
	const next = box.disk('next.img');
	await go(page, '/pools/tank');
	await page.getByRole('row', { name: /disk3.img/ }).getByRole('button', { name: 'Replace…' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByText('the pool keeps its redundancy').waitFor();
	await dialog.getByLabel('New disk').selectOption('another path…');
	await dialog.getByLabel('Path of an image file or device').fill(next);
	await dialog.getByLabel('Type next.img to confirm').fill('next.img');
	await button(page, 'Replace').click();
	await dialog.waitFor({ state: 'detached' });
	await heading(page, 'Replacement: tank').waitFor();
	await page.getByText('All data is safe').waitFor();
	await shot(page, '18-replace-by-copy');
	slow(0);
	await heading(page, 'Replacement: tank').waitFor({ state: 'detached', timeout: 30000 });
	const { members } = box.json('pool', 'status', 'tank');
	ok('the new one is in, the old one out', members.some((m) => m.path === next && m.state === 'in-sync') && !members.some((m) => m.path === disks[3] && m.role >= 0));
});
await test('parity is checked, and the check is stopped', async () => {
	slow(200);
	await go(page, '/pools/tank');
	await button(page, 'Check…').click();
	await button(page, 'Check').click();
	await heading(page, 'Check of parity: tank').waitFor();
	await page.getByRole('region').or(page.locator('section')).filter({ has: heading(page, 'Check of parity: tank') }).getByRole('button', { name: 'Stop…' }).click();
	await shot(page, '19-stop-check');
	await button(page, 'Stop it').click();
	await heading(page, 'Check of parity: tank').waitFor({ state: 'detached' });
	await page.getByText(/^Last check \(.+\): 0 blocks with wrong parity\. It was cancelled at \d+ %\.$/).waitFor();
	slow(0);
	same('jobs', box.json('job', 'list').filter((x) => x.state === 'running').length, 0);
});
await test('a volume that takes long shows how far it is, and is stopped', async () => {
	const members = box.json('pool', 'status', 'tank').members.filter((m) => m.role >= 0).map((m) => m.path);
	for (const path of members)
		box.ctl('disk', 'fault', path, '--kind', 'delay', '--delay-ms', '3000', '--offset', String(16 << 20));
	await go(page, '/volumes');
	await button(page, 'New volume').click();
	const dialog = page.getByRole('dialog');
	await dialog.getByLabel('Name', { exact: true }).fill('slow');
	await dialog.getByLabel('Size').fill('90M');
	await button(page, 'Create volume').click();
	await dialog.waitFor({ state: 'detached', timeout: 30000 });
	await heading(page, 'New volume: tank/slow').waitFor();
	await page.getByText(/^\d.* %/).first().waitFor();
	await page.getByRole('link', { name: /New volume: \d/ }).waitFor();
	await page.locator('section').filter({ has: heading(page, 'New volume: tank/slow') }).getByRole('button', { name: 'Stop…' }).click();
	await dialog.getByText('What was made so far is taken back.').waitFor();
	await axe(page, 'job of a volume');
	await shot(page, '19-volume-job');
	await button(page, 'Stop it').click();
	await dialog.waitFor({ state: 'detached' });
	for (const path of members)
		box.ctl('disk', 'fault', path, '--kind', 'clear');
	await heading(page, 'New volume: tank/slow').waitFor({ state: 'detached' });
	await until('no job', () => box.json('job', 'list').every((x) => x.state !== 'running'));
	ok('no volume', !box.json('volume', 'list').some((v) => v.name === 'slow'));
});
await test('charts show the disks, and the last hour', async () => {
	await go(page, '/pools/tank');
	const chart = page.getByRole('img', { name: /^Operations: .*disk1.img/ });
	await chart.waitFor();
	await button(page, '1 hour').click();
	await until('there is history', async () => box.json('history', disks[1]).length > 2, 30);
	await page.waitForTimeout(500);
	ok('values', /disk1.img [\d.]+/.test(await chart.getAttribute('aria-label')));
	await page.getByRole('img', { name: /^Write latency p99: .*disk1.img/ }).waitFor();
	ok('writes of members are known', box.json('history', disks[1]).some((x) => x.write_p99_us >= 0));
	await shot(page, '19-hour');
	await button(page, '5 minutes').click();
});
await test('an old configuration is compared first, then restored', async () => {
	box.ctl('target', 'create', 'extra');
	await go(page, '/system');
	await page.getByText(/Earlier ones/).click();
	await page.getByRole('listitem').filter({ hasText: /Generation/ }).first().getByRole('button', { name: 'Compare…' }).click();
	const dialog = page.getByRole('dialog');
	await dialog.getByRole('row', { name: /extra/ }).getByText('removed').waitFor();
	ok('nothing changed yet', box.json('target', 'list').length === 2);
	await axe(page, 'restore dialog');
	await shot(page, '19-restore');
	await button(page, 'Restore').click();
	await dialog.waitFor({ state: 'detached' });
	same('targets', box.json('target', 'list').map((x) => x.name), ['storage']);
});
await test('the support bundle is downloaded and holds no secret', async () => {
	const [download] = await Promise.all([page.waitForEvent('download'), button(page, 'Download support bundle').click()]);
	const text = readFileSync(await download.path(), 'utf8');
	ok('status', JSON.parse(text).status.health === 'healthy');
	for (const word of [secret, password, '$y$'])
		ok(word, !text.includes(word));
});
await test('a flood of events leaves no list empty', async () => {
	const ctl = `${join(build, 'dozoctl')} --socket ${join(box.dir, 'control.sock')}`;
	const flood = spawn('sh', ['-c', `while ${ctl} target create flood; do ${ctl} target delete flood; done`], { stdio: 'ignore' });
	await go(page, '/overview');
	await go(page, '/targets');
	await page.getByText('from dozo.conf').waitFor();
	flood.kill();
	await new Promise((resolve) => flood.on('close', resolve));
	box.ctl('target', 'delete', 'flood');
});
await test('keyboard alone: skip link, navigation, dialog and back', async () => {
	await go(page, '/volumes');
	await page.reload();
	await page.getByRole('navigation').waitFor();
	await page.keyboard.press('Tab');
	same('first stop', await page.evaluate(() => document.activeElement.className), 'skip');
	await page.keyboard.press('Enter');
	same('then', await page.evaluate(() => document.activeElement.id), 'main');
	await button(page, 'New volume').focus();
	await page.keyboard.press('Enter');
	await page.getByRole('dialog').waitFor();
	await page.keyboard.press('Escape');
	await page.getByRole('dialog').waitFor({ state: 'detached' });
});
await test('a viewer sees all and can press nothing', async () => {
	await box.call('POST', '/api/v1/users', { headers: (await box.login()).session, body: { name: 'guest', role: 'viewer', password: 'a long password' } });
	const guest = await open();
	await login(guest, 'guest', 'a long password');
	for (const path of ['/overview', '/pools/tank', '/volumes', '/targets', '/system']) {
		await go(guest, path);
		same(`buttons on ${path}`, (await guest.locator('main button:visible').allTextContents()).filter((x) => !['Connect…', 'Copy', '5 minutes', '1 hour'].includes(x)), []);
	}
	await shot(guest, '20-viewer-system');
	await guest.context().close();
});
await test('the password is asked again before something is destroyed', async () => {
	let asked = false;
	await page.route('**/api/v1/volumes', (route) => {
		// as if five minutes had gone by
		if (asked || route.request().method() !== 'POST')
			return route.continue();
		asked = true;
		return route.fulfill({ status: 403, contentType: 'application/problem+json', body: JSON.stringify({ code: 'confirm', text: 'x', hint: '' }) });
	});
	await go(page, '/volumes');
	await button(page, 'New volume').click();
	await page.getByRole('dialog').getByLabel('Name', { exact: true }).fill('third');
	await page.getByRole('dialog').getByLabel('Size').fill('4M');
	await button(page, 'Create volume').click();
	await page.getByText('This needs your password once more.').waitFor();
	await shot(page, '21-password-again');
	await page.getByRole('textbox', { name: 'Password' }).fill(password);
	await button(page, 'Confirm').click();
	await page.getByRole('dialog').first().waitFor({ state: 'detached' });
	await until('made', () => box.json('volume', 'list').some((v) => v.name === 'third'));
});
await test('Japanese', async () => {
	const japanese = await open({ locale: 'ja-JP' });
	await japanese.getByLabel('ユーザー').fill('admin');
	await japanese.getByLabel('パスワード').fill(password);
	await japanese.getByRole('button', { name: 'ログイン' }).click();
	await japanese.getByRole('navigation').waitFor();
	for (const path of ['/overview', '/pools/tank', '/targets', '/alerts', '/wizard']) {
		await go(japanese, path);
		await japanese.waitForTimeout(2500);
		await shot(japanese, '30-japanese' + path.replaceAll('/', '-'));
		await axe(japanese, path);
	}
	same('lang', await japanese.evaluate(() => document.documentElement.lang), 'ja');
	await japanese.context().close();
});
await test('dark, and readable', async () => {
	const dark = await open({ colorScheme: 'dark' });
	await login(dark);
	for (const path of ['/overview', '/pools/tank', '/targets', '/system']) {
		await go(dark, path);
		await dark.waitForTimeout(600);
		await axe(dark, path);
		await shot(dark, '31-dark' + path.replaceAll('/', '-'));
	}
	await dark.context().close();
});
await test('a phone of 360 pixels', async () => {
	const phone = await open({ viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
	await login(phone);
	for (const path of ['/overview', '/disks', '/pools/tank', '/volumes/tank/disk1', '/targets', '/alerts', '/system', '/wizard']) {
		await go(phone, path);
		await phone.waitForTimeout(400);
		const [wide, seen] = await phone.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
		ok(`${path}: ${wide} fits ${seen}`, wide <= 360);
		await shot(phone, '32-phone' + path.replaceAll('/', '-'));
	}
	await axe(phone, 'phone');
	await phone.context().close();
});
await test('the stream is lost and comes back; the page stays', async () => {
	await go(page, '/overview');
	const pid = box.webuiPid();
	process.kill(pid, 'SIGSTOP');
	await page.getByText(/Connection lost: data \d+ s old/).waitFor({ timeout: 15000 });
	await shot(page, '33-stream-lost');
	ok('still there', await heading(page, 'Is my data safe?').isVisible());
	process.kill(pid, 'SIGCONT');
	await page.getByText(/Connection lost/).waitFor({ state: 'detached', timeout: 15000 });
});
await test('killed, the page logs in again and goes on; an initiator that writes does not notice', async () => {
	const args = ['--image-opts', `driver=iscsi,transport=tcp,portal=${box.portal},target=iqn.2026-01.org.dozo:storage,lun=0,user=client,password-secret=s,initiator-name=${iqn}`,
		'--object', `secret,id=s,data=${secret}`, ...Array.from({ length: 30 }, (x, i) => ['-c', `write -P ${i + 1} 2M 1M`, '-c', `read -P ${i + 1} 2M 1M`, '-c', 'sleep 50']).flat()];
	const io = has('qemu-io') && spawn('qemu-io', args);
	let out = '';
	io && io.stdout.on('data', (text) => { out += text; });
	const over = io && new Promise((resolve) => io.on('close', resolve));
	await sleep(500);
	process.kill(box.webuiPid(), 'SIGKILL');
	if (io) {
		same('status', await over, 0);
		same('reads', (out.match(/^read 1048576/gm) ?? []).length, 30);
		ok('right data', !out.includes('verification failed'));
	}
	await heading(page, 'Log in').waitFor({ timeout: 20000 });
	await login(page);
	await heading(page, 'Overview').waitFor();
});
const busy = loadavg()[0] > cpus().length;
const paint = async () => {
	// The best of five: other work on this machine is not ours.
	const times = [];
	for (let i = 0; i < 5; i++) {
		const fresh = await open();
		await fresh.getByLabel('User').waitFor();
		times.push(await fresh.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 9999));
		await fresh.context().close();
	}
	console.log(`first contentful paint after ${times.map(Math.round).join(', ')} ms`);
	ok(`${Math.min(...times)} ms`, Math.min(...times) < 300);
};
if (busy)
	skip('the first paint takes less than 300 ms here', `the machine is busy, load ${loadavg()[0]}`);
else
	await test('the first paint takes less than 300 ms here', paint);
await test('axe found nothing on any page', () => {
	console.log(`axe looked at ${looked} pages`);
	same('violations', found, []);
});
await test('nothing was reported: no script error, no policy violation', () => same('reports', bad, []));

await sleep(100);
await browser.close();
rmSync(profile, { recursive: true, force: true });
await box.end();
box.destroy();
console.log(`screenshots are in ${shots}`);
summary('ui page');
process.exit();
