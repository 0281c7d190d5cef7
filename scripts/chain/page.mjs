#!/usr/bin/env node
// Looks at a report in headless Chromium, as a person would: wide and narrow, in daylight and at night. See scripts/test-report.

import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inflateSync } from 'node:zlib';

import WebSocket from 'ws';

const WIDTHS = [1280, 400];
const SCHEMES = ['light', 'dark'];
/** What the web's guidelines ask of text. */
const CONTRAST_LEAST = 4.5;
const FONT_LEAST_PX = 11;
const CHARTS_LEAST = 4;
/** A page of which less than this part differs from its background shows nothing. */
const INK_LEAST = 0.005;
const PATIENCE_MS = 30_000;

const [report, out] = process.argv.slice(2);
if (!report || !out) throw new Error('page.mjs REPORT.html FOLDER [CHROMIUM]');
const chromium = process.argv[4] ?? 'chromium';
mkdirSync(out, { recursive: true });
const profile = mkdtempSync(join(tmpdir(), 'gannet-page-'));
const browser = spawn(chromium, [
  '--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run', '--hide-scrollbars',
  '--remote-debugging-address=127.0.0.1', '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank',
]);
const faults = [];
try {
  const page = await open(await address());
  for (const width of WIDTHS) {
    for (const scheme of SCHEMES) faults.push(...await look(page, width, scheme));
  }
  page.close();
} finally {
  browser.kill();
  await new Promise((ended) => { browser.exitCode === null ? browser.once('exit', ended) : ended(); });
  rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}
for (const fault of faults) console.error(fault);
if (faults.length) process.exit(1);
console.log(`the report reads well at ${WIDTHS.join(' and ')} px, ${SCHEMES.join(' and ')}: ${out}`);

/** Where the browser listens. */
function address() {
  return new Promise((found, failed) => {
    const timer = setTimeout(() => failed(new Error('Chromium does not say where it listens')), PATIENCE_MS);
    let said = '';
    browser.stderr.on('data', (data) => {
      said += data;
      const match = /DevTools listening on ws:\/\/([^/]+)/.exec(said);
      if (match) { clearTimeout(timer); found(match[1]); }
    });
    browser.once('error', failed);
    browser.once('exit', () => failed(new Error(`Chromium ended: ${said}`)));
  });
}

/** A connection to the browser's one page. */
async function open(host) {
  const targets = await (await fetch(`http://${host}/json/list`)).json();
  const { webSocketDebuggerUrl } = targets.find(({ type }) => type === 'page');
  const socket = new WebSocket(webSocketDebuggerUrl, { maxPayload: 1 << 28 });
  await new Promise((opened, failed) => { socket.once('open', opened); socket.once('error', failed); });
  const waiting = new Map();
  const listeners = new Map();
  const complaints = [];
  let id = 0;
  socket.on('message', (text) => {
    const { id: answers, result, error, method, params } = JSON.parse(text);
    if (answers) {
      const { done, failed } = waiting.get(answers);
      waiting.delete(answers);
      if (error) failed(new Error(error.message)); else done(result);
    } else if (method === 'Runtime.exceptionThrown') {
      complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    } else if (method === 'Log.entryAdded' && params.entry.level === 'error') {
      complaints.push(params.entry.text);
    }
    listeners.get(method)?.(params);
  });
  const page = {
    complaints,
    ask: (method, params = {}) => new Promise((done, failed) => {
      id += 1;
      const timer = setTimeout(() => failed(new Error(`no answer to ${method}`)), PATIENCE_MS);
      const end = (then) => (value) => { clearTimeout(timer); then(value); };
      waiting.set(id, { done: end(done), failed: end(failed) });
      socket.send(JSON.stringify({ id, method, params }));
    }),
    once: (method) => new Promise((happened) => { listeners.set(method, happened); }),
    close: () => socket.close(),
  };
  for (const domain of ['Page', 'Runtime', 'Log']) await page.ask(`${domain}.enable`);
  return page;
}

/** Looks once, keeps a picture, and tells what is wrong. */
async function look(page, width, scheme) {
  await page.ask('Emulation.setDeviceMetricsOverride', { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 });
  await page.ask('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: scheme }] });
  page.complaints.length = 0;
  const loaded = page.once('Page.loadEventFired');
  await page.ask('Page.navigate', { url: pathToFileURL(resolve(report)).href });
  await loaded;
  const { result, exceptionDetails } = await page.ask('Runtime.evaluate', {
    expression: `(${measure})(${JSON.stringify({ CONTRAST_LEAST, FONT_LEAST_PX })})`, returnByValue: true,
  });
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  const seen = result.value;
  const { data } = await page.ask('Page.captureScreenshot', { format: 'png', captureBeyondViewport: true });
  const picture = Buffer.from(data, 'base64');
  writeFileSync(join(out, `report-${width}-${scheme}.png`), picture);

  const where = `${width} px, ${scheme}`;
  const wrong = page.complaints.map((complaint) => `${where}: the page complains: ${complaint}`);
  const demand = (holds, what) => { if (!holds) wrong.push(`${where}: ${what}`); };
  demand(seen.overflow <= 0, `the page is ${seen.overflow} px wider than the window`);
  demand(seen.charts >= CHARTS_LEAST, `${seen.charts} charts are visible; wanted ${CHARTS_LEAST}`);
  demand(scheme === 'dark' ? seen.background < 0.1 : seen.background > 0.8, `the background's luminance is ${seen.background}`);
  demand(seen.texts > 100, `only ${seen.texts} texts are visible`);
  for (const text of seen.pale) demand(false, `hard to read: ${text}`);
  for (const text of seen.small) demand(false, `too small: ${text}`);
  demand(seen.filtered > 0 && seen.filtered < seen.rows, `a search leaves ${seen.filtered} of ${seen.rows} rows`);
  demand(seen.sorted, 'a click on a column does not sort it');
  const ink = share(picture);
  demand(ink > INK_LEAST, `only ${(100 * ink).toFixed(2)} % of the picture is not background`);
  return wrong;
}

/** Runs in the page. */
function measure({ CONTRAST_LEAST, FONT_LEAST_PX }) {
  const parts = (color) => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { rgb: [r, g, b], a };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const { rgb, a } = parts(getComputedStyle(at).backgroundColor);
      if (a > 0.99) return rgb;
    }
    return [255, 255, 255];
  };
  const isVisible = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true })
    && element.getBoundingClientRect().width > 0;
  const pale = [];
  const small = [];
  let texts = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim();
    const element = walker.currentNode.parentElement;
    if (!text || !isVisible(element) || ['SCRIPT', 'STYLE', 'OPTION'].includes(element.tagName)) continue;
    texts += 1;
    const style = getComputedStyle(element);
    const isDrawn = element instanceof SVGElement;
    const [one, other] = [parts(isDrawn ? style.fill : style.color).rgb, behind(element)].map(luminance).sort((a, b) => b - a);
    const contrast = (one + 0.05) / (other + 0.05);
    if (contrast < CONTRAST_LEAST && pale.length < 5) pale.push(`"${text.slice(0, 40)}" has a contrast of ${contrast.toFixed(2)}`);
    // What is drawn is scaled with its picture.
    const svg = isDrawn ? element.closest('svg') : null;
    const scale = svg?.viewBox.baseVal.width ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;
    const size = Number.parseFloat(style.fontSize) * scale;
    if (size < FONT_LEAST_PX - 0.5 && small.length < 5) small.push(`"${text.slice(0, 40)}" has ${size.toFixed(1)} px`);
  }
  const search = document.querySelector('input[type=search]');
  const table = search.closest('.tools').nextElementSibling.querySelector('table');
  const rows = [...table.tBodies[0].rows];
  search.value = rows[0].cells[0].textContent.trim();
  search.dispatchEvent(new Event('input', { bubbles: true }));
  const filtered = rows.filter((row) => !row.hidden).length;
  search.value = '';
  search.dispatchEvent(new Event('input', { bubbles: true }));
  const head = table.tHead.rows[0].querySelector('th button');
  head.click();
  const sorted = head.parentElement.hasAttribute('aria-sort');
  return {
    overflow: document.documentElement.scrollWidth - innerWidth,
    charts: [...document.querySelectorAll('svg')].filter((svg) => isVisible(svg) && svg.getBoundingClientRect().height > 40).length,
    background: luminance(behind(document.body)),
    texts, pale, small, rows: rows.length, filtered, sorted,
  };
}

/** The part of a PNG's pixels that are not of the colour of its first one. */
function share(png) {
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const [depth, color] = [png[24], png[25]];
  if (depth !== 8 || ![2, 6].includes(color)) throw new Error(`a PNG of ${depth} bits and colour type ${color}`);
  const size = color === 6 ? 4 : 3;
  const chunks = [];
  for (let at = 8; at < png.length;) {
    const length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') chunks.push(png.subarray(at + 8, at + 8 + length));
    at += length + 12;
  }
  const raw = inflateSync(Buffer.concat(chunks));
  const stride = width * size;
  let above = Buffer.alloc(stride);
  let other = 0;
  let first;
  for (let y = 0; y < height; y += 1) {
    const filter = raw[y * (stride + 1)];
    const line = Buffer.from(raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    for (let x = 0; x < stride; x += 1) {
      const [left, up, corner] = [x < size ? 0 : line[x - size], above[x], x < size ? 0 : above[x - size]];
      const paeth = () => {
        const [a, b, c] = [left, up, corner].map((from) => Math.abs(left + up - corner - from));
        return a <= b && a <= c ? left : b <= c ? up : corner;
      };
      line[x] += [0, left, up, (left + up) >> 1, filter === 4 ? paeth() : 0][filter];
    }
    first ??= line.subarray(0, 3);
    for (let x = 0; x < stride; x += size) {
      if (line[x] !== first[0] || line[x + 1] !== first[1] || line[x + 2] !== first[2]) other += 1;
    }
    above = line;
  }
  return other / (width * height);
}
