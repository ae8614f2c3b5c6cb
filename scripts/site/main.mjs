// Builds the documentation site into .site/dist, or serves it with --dev and follows changes of the pages.
import { watch } from 'node:fs';
import { join } from 'node:path';
import { build, createServer } from 'vitepress';
import { ROOT, SITE, writePage, writePages } from './pages.mjs';

await writePages();
if (process.argv.includes('--dev')) {
  const server = await createServer(SITE);
  await server.listen();
  server.printUrls();
  watch(join(ROOT, 'docs'), { recursive: true }, (_event, name) => {
    if (name?.endsWith('.md')) writePage(join('docs', name));
  });
} else {
  await build(SITE);
}
