import { existsSync, readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join } from 'node:path';
import { preProcessFile } from 'typescript';

/**
 * Returns the packages that the code or types of a folder need by `import`, `import()` or `require`, directly or through the
 * files they import. Modules of Node do not count. @throws if an imported file does not exist.
 */
export function packagesBehind(folder: string, files: readonly string[]): Set<string> {
  const packages = new Set<string>();
  const seen = new Set<string>();

  const follow = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    for (const specifier of specifiersIn(join(folder, path))) {
      if (specifier.startsWith('.')) {
        follow(fileBehind(folder, join(dirname(path), specifier), path.endsWith('.d.ts')));
      } else if (!isBuiltin(specifier)) {
        packages.add(packageOf(specifier));
      }
    }
  };
  files.forEach((file) => follow(join(file)));
  return packages;
}

function specifiersIn(path: string): string[] {
  const { importedFiles, typeReferenceDirectives } = preProcessFile(readFileSync(path, 'utf8'), true, true);
  return [...importedFiles, ...typeReferenceDirectives].map(({ fileName }) => fileName);
}

/** Types import `./job.js`, which means `./job.d.ts`. */
function fileBehind(folder: string, path: string, isType: boolean): string {
  const file = isType ? path.replace(/\.js$/, '.d.ts') : path;
  if (!existsSync(join(folder, file))) {
    throw new Error(`${file} is imported and not in the package`);
  }
  return file;
}

function packageOf(specifier: string): string {
  const parts = specifier.split('/');
  return parts.slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
}
