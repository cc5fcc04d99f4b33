// SPDX-License-Identifier: BSD-2-Clause
// English texts are the keys of ja.json; build.mjs makes them numbers.
import { en, ja } from './ja.json';

let lang = 'en';
try {
	lang = localStorage.getItem('lang') ?? (navigator.language.startsWith('ja') ? 'ja' : 'en');
} catch {
	// storage may be forbidden
}
document.documentElement.lang = lang;

export const language = () => lang;
export function setLanguage(next) {
	lang = next;
	document.documentElement.lang = next;
	try {
		localStorage.setItem('lang', next);
	} catch {
		// not kept then
	}
}
export function t(text, values = {}) {
	const n = typeof text === 'number' ? text : en.indexOf(text);
	const found = (lang === 'ja' ? ja : en)[n] ?? text;
	const filled = String(found).replace(/\{(\w+)\}/g, (all, key) => values[key] ?? all);
	return lang === 'ja' ? filled : filled.replace(/\b1 (target|host|mapping|volume|connection|block|day|disk)s\b/g, '1 $1');
}

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
export function bytes(value) {
	let n = Number(value), unit = 0;
	while (n >= 1024 && unit < units.length - 1) {
		n /= 1024;
		unit++;
	}
	return new Intl.NumberFormat(lang, { maximumFractionDigits: n < 10 ? 2 : n < 100 ? 1 : 0 })
		.format(n) + ' ' + units[unit];
}
export const number = (value, digits = 0) =>
	new Intl.NumberFormat(lang, { maximumFractionDigits: digits }).format(value);
export function duration(seconds) {
	const s = Math.round(seconds);
	if (s < 60)
		return t('{n} s', { n: s });
	if (s < 3600)
		return t('{n} min', { n: Math.round(s / 60) });
	if (s < 48 * 3600)
		return t('{n} h', { n: Math.round(s / 3600) });
	return t('{n} days', { n: Math.round(s / 86400) });
}
export const ago = (unix) => t('{time} ago', { time: duration(Math.max(0, Date.now() / 1000 - unix)) });
export const when = (unix) => new Intl.DateTimeFormat(lang, { dateStyle: 'medium', timeStyle: 'medium' })
	.format(new Date(unix * 1000));
