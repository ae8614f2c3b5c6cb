import eslint from '@eslint/js';
import jest from 'eslint-plugin-jest';
import svelte from 'eslint-plugin-svelte';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';
import svelteConfig from './ui/svelte.config.mjs';

export default defineConfig(
  {
    ignores: [
      'dist/',
      'dist-sample/',
      'coverage/',
      'docs/',
      '.site/',
      // Their packages are installed by the tests that compile them.
      'examples/',
      'test/orm/*/driver.ts',
      'test/orm/*/generated/',
    ],
  },
  { linterOptions: { reportUnusedDisableDirectives: 'error', reportUnusedInlineConfigs: 'error' } },

  eslint.configs.recommended,
  {
    rules: {
      eqeqeq: ['error', 'always', { null: 'ignore' }],
      'max-lines': ['error', 600],
      'object-shorthand': 'error',
      'prefer-template': 'error',
    },
  },

  {
    files: ['**/*.ts', '**/*.svelte'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname, extraFileExtensions: ['.svelte'] },
    },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', ignoreRestSiblings: true }],
      // Of strings `||` is often meant: the empty one counts as none.
      '@typescript-eslint/prefer-nullish-coalescing': ['error', { ignorePrimitives: { string: true } }],
      '@typescript-eslint/prefer-optional-chain': 'error',
      '@typescript-eslint/return-await': ['error', 'error-handling-correctness-only'],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // A synchronous driver stands behind an asynchronous interface: `async` turns its exceptions into rejections.
      '@typescript-eslint/require-await': 'off',
    },
  },

  {
    files: ['ui/**/*.svelte', 'ui/**/*.svelte.ts'],
    extends: [svelte.configs.recommended],
    languageOptions: { parserOptions: { parser: tseslint.parser, svelteConfig } },
    rules: {
      'svelte/no-at-html-tags': 'error',
      // Every address is made by hrefOf, which puts the root in front.
      'svelte/no-navigation-without-resolve': 'off',
      // Locals of a function are nobody's state.
      'svelte/prefer-svelte-reactivity': 'off',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'SvelteAttribute[key.name="style"]',
          message: 'The policy of the page forbids it; style:name={…} is set by script',
        },
      ],
      // svelte-check knows names and types inside markup; this parser does not.
      'no-undef': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
    },
  },

  {
    // A language is one file.
    files: ['ui/src/messages/*.ts'],
    rules: { 'max-lines': 'off' },
  },

  {
    files: ['lib/**/*.ts', 'client/**/*.ts', 'ui/**/*.ts', 'ui/**/*.svelte'],
    rules: {
      complexity: ['error', 12],
      'max-depth': ['error', 3],
      'max-lines-per-function': ['error', { max: 60, skipBlankLines: true, skipComments: true }],
      'max-params': ['error', 5],
      'no-console': 'error',
    },
  },

  {
    // Tests fake timers, of these modules too. Those of a request are a test's to fake.
    files: ['lib/**/*.ts'],
    ignores: ['lib/store/runtime/real-timers.ts', 'lib/http/**/*.ts'],
    rules: {
      'no-restricted-globals': ['error', 'setTimeout', 'setInterval', 'setImmediate', 'clearTimeout', 'clearInterval'],
      'no-restricted-imports': [
        'error',
        {
          paths: ['node:timers', 'node:timers/promises'].map((name) => ({
            name,
            message: 'Tests fake it: real-timers.ts',
          })),
        },
      ],
    },
  },

  {
    files: ['test/**/*.ts', 'sample-app/*.test.ts'],
    extends: [jest.configs['flat/recommended']],
    rules: {
      'jest/expect-expect': [
        'error',
        {
          assertFunctionNames: ['expect', 'expect*', 'testing.expect*', 'fc.assert', 'until'],
          additionalTestBlockFunctions: ['quick'],
        },
      ],
      'jest/no-standalone-expect': ['error', { additionalTestBlockFunctions: ['quick'] }],
      'jest/no-disabled-tests': 'error',
      'jest/unbound-method': 'error',
      '@typescript-eslint/unbound-method': 'off',
    },
  },

  {
    // What must be seen is waited for, and fails when it does not come.
    files: ['test/ui/**/*.ts'],
    rules: {
      'jest/expect-expect': [
        'error',
        {
          assertFunctionNames: ['expect*', 'until', 'ui.sees', 'ui.shows', 'ui.**.waitFor'],
          additionalTestBlockFunctions: ['quick'],
        },
      ],
    },
  },

  {
    files: ['**/*.{js,cjs,mjs}'],
    // The compiler knows Node's globals, and reads these files too.
    rules: { 'no-undef': 'off' },
  },
);
