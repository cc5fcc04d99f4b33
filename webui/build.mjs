// SPDX-License-Identifier: BSD-2-Clause
// Bundle src/ into dist/ (or the directory given), with hashes in index.html
// so that browsers keep what has not changed.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');

// Texts are numbered: a text that is in both languages is not there a third
// time as a key.  ja.json has them all; its order gives the numbers.
const ja = JSON.parse(readFileSync(join(here, 'src/ja.json'), 'utf8'));
const number = new Map(Object.keys(ja).map((text, i) => [text, i]));
// What our charts never ask of uPlot: its own way with dates, scales that are
// not linear, ranges of its own, bands, a legend, dragging.
const unused = ['genTimeStuffs', 'timeAxisStamps', 'timeAxisVals', 'timeAxisVal', 'timeSeriesStamp', 'timeSeriesVal', 'fmtDate', 'tzDate', 'rangeLog', 'rangeAsinh',
	'logAxisSplits', 'asinhAxisSplits', 'log10AxisValsFilt', 'log2AxisValsFilt', 'snapLogY', 'snapAsinhY', 'bandFillClipDirs', 'clipBandLine', 'legendStroke', 'legendFill', '_rangeNum', 'seriesFillTo', 'initLegendRow', 'setLegendValues', 'delSeries', 'mouseDown', 'mouseUp', 'setFocus'];
function empty(text, name) {
	const found = new RegExp(`\\n(\\t?)function ${name}\\([^]*?\\n\\1}\\n`);
	if (!found.test(text))
		throw new Error(`uPlot has no ${name} any more`);
	return text.replace(found, `\nfunction ${name}() { return [, , () => {}]; }\n`);
}
const small = {
	name: 'small',
	setup({ onLoad }) {
		onLoad({ filter: /src.ja\.json$/ }, () => ({ loader: 'js', contents:
			`export const en = ${JSON.stringify([...number.keys()])};
			export const ja = ${JSON.stringify(Object.values(ja))};` }));
		// Kinds of lines that we do not draw hang on the end of uPlot.
		onLoad({ filter: /uPlot\.esm\.js$/ }, ({ path }) => ({ loader: 'js', contents: unused.reduce(empty, readFileSync(path, 'utf8')
			.replace(/\nuPlot\.assign = [^]*\nexport /, '\nexport ')) }));
		onLoad({ filter: /src.\w+\.mjs$/ }, ({ path }) => ({ loader: 'js', contents: readFileSync(path, 'utf8')
			.replace(/\bt\('((?:[^'\\]|\\.)*)'/g, (all, text) => (number.has(text) ? `t(${number.get(text)}` : all))
			.replace(/\n\t+/g, '\n') }));
	},
};

mkdirSync(out, { recursive: true });
await build({
	absWorkingDir: here,
	entryPoints: { app: 'src/main.mjs' },
	bundle: true, minify: true, format: 'esm', target: 'es2020',
	plugins: [small], charset: 'utf8', legalComments: 'none',
	outdir: out, logLevel: 'warning',
});
const hash = (name) => createHash('sha256')
	.update(readFileSync(join(out, name))).digest('hex').slice(0, 12);
writeFileSync(join(out, 'index.html'),
	readFileSync(join(here, 'src/index.html'), 'utf8')
		.replace('app.js', `app.js?v=${hash('app.js')}`)
		.replace('app.css', `app.css?v=${hash('app.css')}`));
writeFileSync(join(out, 'icon.svg'), readFileSync(join(here, 'src/icon.svg')));
