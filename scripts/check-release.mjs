// Checks that the repository is ready to publish the version of a tag such as v1.2.0. With --tag it prints the dist-tag of npm for the
// version: `latest`, or the name of a prerelease such as `beta`.
import { readFileSync } from 'node:fs';

/** @type {(path: string) => string} */
const read = (path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8');
const manifest = JSON.parse(read('package.json'));
const [argument = `v${manifest.version}`] = process.argv.slice(2);

if (argument === '--tag') {
  console.log(/-([a-z]+)/.exec(manifest.version)?.[1] ?? 'latest');
} else {
  const problems = [...findProblems(argument)];
  problems.forEach((problem) => console.error(problem));
  process.exitCode = problems.length > 0 ? 1 : 0;
}

/** @param {string} tag */
function* findProblems(tag) {
  if (tag !== `v${manifest.version}`) yield `the tag is ${tag}, but package.json has the version ${manifest.version}`;
  const heading = read('CHANGELOG.md')
    .split('\n')
    .find((line) => line.startsWith(`## [${manifest.version}]`));
  if (!/ - \d{4}-\d{2}-\d{2}$/.test(heading ?? ''))
    yield `CHANGELOG.md has no heading "## [${manifest.version}] - DATE"`;
  for (const name of ['repository', 'homepage', 'bugs', 'author']) {
    const text = JSON.stringify(manifest[name] ?? 'PLACEHOLDER');
    if (text.includes('PLACEHOLDER')) yield `package.json: ${name} is a placeholder; CONTRIBUTING.md lists them`;
  }
}
