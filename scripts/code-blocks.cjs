// The fenced blocks of a Markdown page.
const { readFileSync } = require('node:fs');

/**
 * @typedef {object} CodeBlock
 * @property {string} page path of the page
 * @property {number} line number of its first line of code, from 1
 * @property {string} language what stands behind its fence, in lower case
 * @property {string} code
 * @property {string | undefined} file what it calls itself, in a first line such as `// mail.jobs.ts`
 */

const FENCE = /^(`{3,}|~{3,})\s*(\S*)/;
const FILE_NAME = /^\/\/ ([\w./-]+\.m?[jt]s)\s*$/;

/** @type {(page: string) => CodeBlock[]} */
function codeBlocksOf(page) {
  const lines = readFileSync(page, 'utf8').split('\n');
  /** @type {CodeBlock[]} */
  const blocks = [];
  for (let index = 0; index < lines.length; index += 1) {
    // Blocks of a list are indented with it.
    const [, fence, language = ''] = FENCE.exec((lines[index] ?? '').trimStart()) ?? [];
    if (!fence) continue;
    const start = index + 1;
    do index += 1;
    while (index < lines.length && (lines[index] ?? '').trim() !== fence);
    const code = lines.slice(start, index).join('\n');
    const file = FILE_NAME.exec(lines[start] ?? '')?.[1];
    blocks.push({ page, line: start + 1, language: language.toLowerCase(), code, file });
  }
  return blocks;
}

module.exports = { codeBlocksOf };
