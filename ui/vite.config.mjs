import { readFileSync } from 'node:fs';
import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';
import svelteConfig from './svelte.config.mjs';

/** The admin UI as static files: whatever path it is served under, its files find each other by relative URLs. */
export default defineConfig({
  root: import.meta.dirname,
  base: './',
  plugins: [svelte({ ...svelteConfig, configFile: false }), themeFile()],
  build: {
    outDir: '../dist/ui',
    emptyOutDir: true,
    target: ['chrome123', 'firefox128', 'safari18'],
    // The policy of the page allows no data in scripts and styles, and its icons are elements.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
});

/** Names the theme script by a hash of its content, so that browsers cache it. The page waits for this script. */
function themeFile() {
  return {
    name: 'theme-file',
    apply: 'build',
    buildStart() {
      const source = readFileSync(new URL('./theme.js', import.meta.url));
      this.emitFile({ type: 'asset', name: 'theme.js', source });
    },
    transformIndexHtml: (html, { bundle }) => {
      const file = Object.values(bundle).find(({ names }) => names?.includes('theme.js'));
      return html.replace('./theme.js', `./${file.fileName}`);
    },
  };
}
