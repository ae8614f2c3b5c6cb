// Compares the public types of each entry point with its report in etc/, so that a public type cannot change unseen. `npm run api` writes
// the reports; their difference belongs to the commit that changes the types.
import { mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor';

const ROOT = resolve(import.meta.dirname, '..');
const REPORTS = join(ROOT, 'etc');
const isUpdate = process.argv.includes('--update');

/** @type {{ name: string, exports: Record<string, { import?: { types: string } }> }} */
const { name: packageName, exports } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
mkdirSync(REPORTS, { recursive: true });

for (const [entry, conditions] of Object.entries(exports)) {
  if (conditions.import) checkReport(entry, join(ROOT, conditions.import.types));
}

/**
 * @param {string} entry as package.json names it, such as `./client`
 * @param {string} types
 */
function checkReport(entry, types) {
  const reportName = `${packageName}${entry.slice(1).replace('/', '-')}`;
  const config = ExtractorConfig.prepare({
    configObjectFullPath: join(ROOT, 'api-extractor.json'),
    packageJsonFullPath: join(ROOT, 'package.json'),
    configObject: {
      projectFolder: ROOT,
      mainEntryPointFilePath: types,
      compiler: { tsconfigFilePath: join(ROOT, 'tsconfig.esm.json') },
      apiReport: {
        enabled: true,
        reportFileName: reportName,
        reportFolder: REPORTS,
        reportTempFolder: join(ROOT, 'node_modules/.cache/api'),
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      newlineKind: 'lf',
      messages: {
        extractorMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
      },
    },
  });
  const { apiReportChanged } = Extractor.invoke(config, {
    localBuild: isUpdate,
    messageCallback: (message) => {
      message.handled = message.logLevel !== ExtractorLogLevel.Error;
    },
  });
  if (apiReportChanged && !isUpdate) {
    console.error(
      `etc/${reportName}.api.md: the public types of '${entry}' have changed; run npm run api and review the difference`,
    );
    process.exitCode = 1;
  }
}
