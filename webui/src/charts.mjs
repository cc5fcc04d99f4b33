// SPDX-License-Identifier: BSD-2-Clause
// Charts: the last minutes out of the stream, the last hour from dozod.
// One object with reads and writes, or several beside each other.
import uPlot from 'uplot';
import { number, t } from './i18n.mjs';
import { get, HISTORY, state } from './store.mjs';
import { html, useEffect, useRef, useState } from './ui.mjs';

const color = (name) => (name[0] === '-' ? getComputedStyle(document.documentElement).getPropertyValue(name).trim() : name);
const dark = () => matchMedia('(prefers-color-scheme: dark)').matches;
// Colors apart for up to 16 lines, readable on both grounds.
const tint = (i, n) => `hsl(${Math.round(210 + i * 360 / n) % 360} 65% ${dark() ? 68 : 38}%)`;

// A value without neighbours would be a line without length.
const alone = (u, i) => u.data[i].flatMap((v, at, all) => (v != null && all[at - 1] == null && all[at + 1] == null ? [at] : []));

// series: [label, color, dashed]; data: [times, values, ...]
function Chart({ title, unit, series, data, span }) {
	const box = useRef(null);
	const plot = useRef(null);
	const width = useRef(0);
	const [at, setAt] = useState(null);
	width.current = span;
	useEffect(() => {
		const axis = { stroke: color('--soft'), grid: { stroke: color('--line'), width: 1 }, ticks: { show: false } };
		const live = plot.current = new uPlot({
			width: box.current.clientWidth, height: 150, cursor: { y: false, drag: { x: false } }, legend: { show: false },
			scales: { x: { time: false, range: (u) => { const end = u.data[0].at(-1) ?? Date.now() / 1000; return [end - width.current, end]; } },
				y: { range: (u, low, high) => [0, Math.max(high * 1.1, .1)] } },
			axes: [{ ...axis, size: 28, space: 60, incrs: [60, 120, 300, 600, 900, 1800], values: (u, v) => v.map((x) => new Date(x * 1000).toTimeString().slice(0, 5)) },
				{ ...axis, size: 56, values: (u, v) => v.map((x) => number(x, 2)) }],
			series: [{}, ...series.map(([label, tone, dashed]) => ({ label, stroke: color(tone), width: 1.5, spanGaps: false,
				dash: dashed ? [5, 3] : undefined, points: { show: true, size: 4, filter: alone } }))],
			hooks: { setCursor: [(u) => setAt(u.cursor.left >= 0 ? u.cursor.idx : null)] },
		}, [[]], box.current);
		live.setData(data);
		const fit = new ResizeObserver(() => live.setSize({ width: box.current.clientWidth, height: 150 }));
		fit.observe(box.current);
		return () => { fit.disconnect(); live.destroy(); };
	}, [series.map(([label]) => label).join()]);
	useEffect(() => {
		plot.current.setData(data);
	});
	const value = (i) => {
		const v = at == null ? data[i + 1].at(-1) : data[i + 1][at];
		return v == null ? '–' : number(v, v < 10 ? 2 : 0);
	};
	return html`<figure class="chart"><figcaption>${title} <span class="unit">${unit}${at != null && data[0][at] ? ', ' + new Date(data[0][at] * 1000).toLocaleTimeString() : ''}</span></figcaption>
		<div class="legend">${series.map(([label, tone, dashed], i) => html`<span><i ref=${(e) => { if (e) e.style.borderTop = `3px ${dashed ? 'dashed' : 'solid'} ${color(tone)}`; }}></i> ${label} <b>${value(i)}</b></span>`)}</div>
		<div ref=${box} role="img" aria-label=${`${title}: ${series.map(([label], i) => label + ' ' + value(i)).join(', ')} ${unit}`}></div></figure>`;
}

// dozod's rows as the samples that the stream gives, by the browser's clock.
const samplesOf = (list) => {
	const off = Date.now() / 1000 - (list.at(-1)?.time_s ?? 0);
	return list.map((x) => sampleOf(x, Math.abs(off) > 20 ? off : 0));
};
const sampleOf = (x, off) => ({ time: x.time_s + off, reads: x.reads_s, writes: x.writes_s, read_bytes: x.read_bytes_s, write_bytes: x.write_bytes_s,
	r50: x.read_p50_us / 1000, r99: x.read_p99_us / 1000, w50: x.write_p50_us / 1000, w99: x.write_p99_us / 1000 });

// The samples of several objects in one table of times.
function useSamples(keys) {
	const [hour, setHour] = useState(false);
	const [old, setOld] = useState([]);
	const turn = hour ? Math.floor(Date.now() / 10000) : 0;
	useEffect(() => {
		let current = true;
		Promise.all(keys.map((key) => get('/history?of=' + encodeURIComponent(key.replace(/^\w+ /, ''))).catch(() => [])))
			.then((lists) => current && setOld(lists.map(samplesOf)));
		return () => { current = false; };
	}, [turn, keys.join()]);
	// What was before the page was opened comes from dozod as well.
	const lists = hour ? old : keys.map((key, i) => {
		const own = state.history[key] ?? [];
		const first = own[0]?.time ?? Infinity;
		return [...(old[i] ?? []).filter((s) => s.time < first - 1), ...own];
	});
	const times = [...new Set(lists.flatMap((list) => list.map((s) => s.time)))].sort((a, b) => a - b);
	const places = new Map(times.map((time, i) => [time, i]));
	const pick = (i, name, scale = 1) => {
		const out = Array(times.length).fill(null);
		for (const s of lists[i] ?? [])
			out[places.get(s.time)] = s[name] != null && s[name] >= 0 ? s[name] * scale : null;
		return out;
	};
	const span = hour ? 3600 : 2 * HISTORY;
	const range = html`<div class="buttons" role="group" aria-label=${t('Time')}>${[[false, t('5 minutes')], [true, t('1 hour')]].map(([value, label]) => html`
		<button class=${hour === value ? 'main' : ''} aria-pressed=${hour === value} onClick=${() => setHour(value)}>${label}</button>`)}</div>`;
	return { times, pick, span, range };
}

export function Charts({ of: key }) {
	const { times, pick, span, range } = useSamples([key]);
	const both = [[t('read'), '--read'], [t('write'), '--write']];
	return html`<div class="head"><h2>${t('Load')}</h2>${range}</div><div class="charts">
		<${Chart} title=${t('Operations')} unit="IOPS" series=${both} span=${span} data=${[times, pick(0, 'reads'), pick(0, 'writes')]} />
		<${Chart} title=${t('Throughput')} unit="MB/s" series=${both} span=${span} data=${[times, pick(0, 'read_bytes', 1e-6), pick(0, 'write_bytes', 1e-6)]} />
		<${Chart} title=${t('Latency')} unit="ms" span=${span} series=${[[t('read') + ' p50', '--read'], [t('read') + ' p99', '--read', true], [t('write') + ' p50', '--write'], [t('write') + ' p99', '--write', true]]}
			data=${[times, pick(0, 'r50'), pick(0, 'r99'), pick(0, 'w50'), pick(0, 'w99')]} /></div>`;
}

// All disks of a pool beside each other: the slow one stands out.
export function MemberCharts({ paths }) {
	const { times, pick, span, range } = useSamples(paths.map((path) => 'member ' + path));
	const series = paths.map((path, i) => [path.split('/').at(-1), tint(i, paths.length)]);
	const all = (names, scale = 1) => paths.map((path, i) => {
		const parts = names.map((name) => pick(i, name, scale));
		return parts[0].map((v, j) => parts.reduce((sum, part) => (sum == null || part[j] == null ? null : sum + part[j]), 0));
	});
	return html`<div class="head"><h2>${t('Load of the disks')}</h2>${range}</div><div class="charts two">
		<${Chart} title=${t('Operations')} unit="IOPS" series=${series} span=${span} data=${[times, ...all(['reads', 'writes'])]} />
		<${Chart} title=${t('Throughput')} unit="MB/s" series=${series} span=${span} data=${[times, ...all(['read_bytes', 'write_bytes'], 1e-6)]} />
		<${Chart} title=${t('Read latency') + ' p50'} unit="ms" series=${series} span=${span} data=${[times, ...all(['r50'])]} />
		<${Chart} title=${t('Read latency') + ' p99'} unit="ms" series=${series} span=${span} data=${[times, ...all(['r99'])]} />
		<${Chart} title=${t('Write latency') + ' p50'} unit="ms" series=${series} span=${span} data=${[times, ...all(['w50'])]} />
		<${Chart} title=${t('Write latency') + ' p99'} unit="ms" series=${series} span=${span} data=${[times, ...all(['w99'])]} /></div>`;
}
