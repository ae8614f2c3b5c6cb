import { posix } from 'node:path';
import { defineConfig } from 'vitepress';
import { BASE, readSections } from './pages.mjs';

/** Headings become anchors as GitHub makes them, which the links of the pages expect. @param {string} heading */
function toAnchor(heading) {
  return heading
    .toLowerCase()
    .replace(/[^\p{Letter}\p{Number}\s_-]/gu, '')
    .trim()
    .replace(/\s/g, '-');
}

/** @param {string} link as docs/README.md has it */
function toAddress(link) {
  const path = posix.join('/docs', link).replace(/\.md$/, '');
  return path.replace(/README$/, '');
}

export default defineConfig({
  title: 'nestjs-jobs',
  description: 'A durable background job queue for NestJS, inside PostgreSQL or SQLite',
  base: BASE,
  outDir: 'dist',
  srcExclude: ['public/**'],
  cleanUrls: false,
  lastUpdated: false,
  // The search index and the reference are one file each.
  vite: { build: { chunkSizeWarningLimit: 5_000 } },
  markdown: { anchor: { slugify: toAnchor } },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Getting started', link: '/docs/guide/getting-started' },
      { text: 'Documentation', link: '/docs/' },
      { text: 'API', link: '/docs/api/' },
      { text: 'Changelog', link: '/CHANGELOG' },
    ],
    sidebar: [
      ...readSections().map(({ text, pages }) => ({
        text,
        collapsed: text === 'Decisions',
        items: pages.map((page) => ({ text: page.text, link: toAddress(page.link) })),
      })),
      { text: 'API reference', link: '/docs/api/' },
    ],
    outline: [2, 3],
  },
});
