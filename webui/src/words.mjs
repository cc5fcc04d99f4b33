// SPDX-License-Identifier: BSD-2-Clause
// What dozod tells, as sentences: what, why, what to do on this page.
import { bytes, t } from './i18n.mjs';
import { jobName } from './ui.mjs';

const onPage = () => t('On the page of the pool, press “Replace…” beside it. “Check…” tries those blocks once more.');
const problems = {
	'pool-stopped': (p) => [t('The pool {pool} is stopped: its volumes are not served.', p), t('Start it on its page.')],
	'pool-failed': (p) => [t('The pool {pool} has lost too many disks: nothing is served.', p), t('Bring the missing disks back, then stop and start the pool on its page.')],
	'member-lost': (p) => [t('Pool {pool}: disk {member} is missing or has failed. {path}', p), t('Data is served without redundancy. Soon, on the page of the pool, press “Replace…”; or “It is back” if it is the same disk.')],
	'rebuilding': (p) => [t('Pool {pool}: the new disk {path} is not full yet', p), t('A new disk is being filled. Until that has ended, another failure would lose the data.')],
	'rebuilding-unused': (p) => [t('Pool {pool}: the new disk {path} is not full yet', p), t('All used data is rebuilt. Until unused space is too, the loss of one more disk stops the pool.')],
	'rebuild-stopped': (p) => [t('Pool {pool}: the new disk {path} is not full yet', p), t('The rebuild does not go on. Press “Go on” on the page of the pool.')],
	'bad-blocks': (p) => [t('Pool {pool}: {bytes} of the disk {path} cannot be used', p), onPage()],
	'bad-sectors': (p) => [t('Pool {pool}: the disk {path} had many bad sectors within an hour', p), t('They were mended from the other disks; more will come. On the page of the pool, press “Replace…” beside it.')],
	'doubt': (p) => [t('Pool {pool}: the parity of {bytes} of each disk is in doubt', p), onPage()],
	'lost': (p) => [t('Pool {pool}: the parity of {bytes} of each disk is in doubt', p), t('What the lost disk held there reads as errors until it is written again.')],
	'mismatches': (p) => [t('Pool {pool}: parity of {blocks} blocks differs from their data', p), t('See the last check on the page of the pool. “Repair…” makes parity follow the data.')],
	'repair-cancelled': (p) => [t('Pool {pool}: the repair of parity was stopped', p), t('Check the pool on its page, and repair it again.')],
	'space': (p) => [t('The pool {pool} is {percent} % full', p), t('Delete volumes that are not needed, or make another pool.')],
	'not-stored': (p) => [t('Volume {volume}: {bytes} of written data cannot be stored', p), t('Keep the box running: the data is in memory only. Bring the disks of the pool back.')],
	'no-volume': (p) => [t('The host {host} may use the volume {volume}, which does not exist', p), t('Take the access away, or import the pool that has the volume.')],
};

// { text, hint }: ours if the kind is known, else dozod's own.
export function problem(p) {
	const [text, hint] = problems[p.code]?.({ ...p, bytes: p.bytes && bytes(p.bytes) }) ?? [p.text, p.hint];
	return { text, hint };
}

// What an array says; the numbers are the groups.  tests/ui/bundle.mjs holds
// these against the sources of raid/.
export const array = [
	[/^member (\d+) \((.+?)\) is faulty: (.+); the array/, (x) => t('The disk {2} failed ({3}). Data is served without redundancy: replace it.', x)],
	[/^array failed: member (\d+) \((.+?)\) is gone too/, (x) => t('The disk {2} is gone too: nothing is served. Bring the disks back, then stop and start the pool.', x)],
	[/^member (\d+) \((.+)\) is rebuilt/, (x) => t('The disk {2} is full: the pool is redundant again.', x)],
	[/^spare (.+) takes the place of member/, (x) => t('The spare {1} takes the place of a disk.', x)],
	[/^(.+) takes the place of member (\d+), which/, (x) => t('The disk {1} has taken its new place.', x)],
	[/^(\w+) starts at byte/, (x) => t('{task} has begun.', x)],
	[/^(\w+) finished, (\d+) blocks/, (x) => t('{task} is done: {2} blocks had wrong parity.', x)],
	[/^(\w+) was cancelled, (\d+) blocks/, (x) => t('{task} was stopped: {2} blocks had wrong parity.', x)],
	[/^member (\d+) \((.+)\) does not answer/, (x) => t('The disk {2} does not answer; the others stand in for it. If that goes on, check its cable.', x)],
	[/^member (\d+) \((.+)\) answers again/, (x) => t('The disk {2} answers again.', x)],
	[/^member (\d+) \((.+)\): corrected a read error/, (x) => t('A bad sector of the disk {2} was mended from the others.', x)],
	[/^member (\d+) \((.+)\) had (\d+) bad sectors/, (x) => t('The disk {2} had {3} bad sectors within an hour: replace it.', x)],
	[/^member (\d+) \((.+)\): (\d+) bytes at byte/, (x) => t('{3} bytes of the disk {2} cannot be used: replace it.', x)],
	[/^spare (.+) is faulty: (.+)/, (x) => t('The spare {1} failed ({2}).', x)],
	[/^(.+) is to replace member (\d+) \((.+)\)/, (x) => t('The disk {1} is being filled, to take the place of {3}.', x)],
	[/^(.+) has replaced (.+) as member/, (x) => t('The disk {1} has replaced {2}.', x)],
	[/^(spare )?(.+) is let go/, (x) => t('The disk {2} is no longer used.', x)],
	[/^not stopped cleanly: (\d+) stripes/, (x) => t('It was not stopped cleanly; what was being written was put right from the log.', x)],
];
const disk = [
	[/^(.*) was removed$/, (x) => t('The disk {1} was removed.', x)],
	[/^(.*) was plugged in$/, (x) => t('The disk {1} was plugged in.', x)],
];
function said(table, text) {
	for (const [pattern, say] of table) {
		const found = text.match(pattern);
		if (found)
			return say({ ...found, task: jobName({ verb: found[1] }) });
	}
	return text;
}

const nouns = () => ({ disk: t('Disk'), pool: t('Pool'), volume: t('Volume'), target: t('Target'), portal: t('Address'), host: t('Host'), user: t('User'), token: t('API token'), config: t('Configuration'), session: t('Connection'), job: t('Work in progress'),
	map: t('Volume'), unmap: t('Volume') });
const done = (x) => ({ create: t('made'), delete: t('deleted'), add: t('added'), remove: t('removed'), set: t('changed'), grow: t('made larger'), rename: t('renamed'), stop: t('stopped'), start: t('started'), export: t('exported'), import: t('imported'), drop: t('cut'), cancel: t('stopped'),
	'add-spare': t('given a spare'), 're-add': t('given its disk back'), replace: t('given a new disk'), scrub: t('asked to check its parity'), fail: t('taken out of use'), password: t('given a new password'), map: t('given to {host}', x), unmap: t('taken from {host}', x) });

// { text, hint, bad } of an event.
export function event({ event: kind, data = {} }) {
	if (kind === 'array')
		return { text: `${t('Pool {name}', { name: data.pool })}: ${said(array, data.text)}` };
	if (kind === 'disk')
		return { text: said(disk, data.text) };
	if (kind !== 'change')
		return { text: data.text ?? '' };
	const [noun, verb] = data.verb.split('.');
	const x = { noun: nouns()[noun] ?? noun, object: data.object, by: data.by, done: done(data)[verb ?? noun] ?? t('changed') };
	return data.ok ? { text: t('{noun} {object} was {done} by {by}.', x) }
		: { text: t('{noun} {object} was not {done} ({by}): {why}', { ...x, why: data.text }), hint: data.hint, bad: true };
}
