import type { Check, Option } from './option-checks.js';
import { applyCheck, listOf, option, optional, readOptions, text } from './option-checks.js';
import { pathCheck } from './http-options.js';

/** Options of the admin UI: its path, files and sign-in page, and which system it shows. */
export interface UiOptions {
  /** Path of the admin UI, below the application's global prefix. Default `'admin/jobs'`. */
  path?: string | undefined;
  /** A copy of the package's `dist/ui`, for bundled applications. Default: the package's own files. */
  folder?: string | undefined;
  /**
   * The application's own sign-in page: a path such as `'/login'`, or an http or https URL. The UI links to it, with the
   * query parameter `return`. Default: no link.
   */
  signIn?: string | undefined;
  /** The name of the application, 1 to 60 characters. The UI shows it at the top and in the title of the tab. Default: none. */
  title?: string | undefined;
  /** The environment, such as production. The UI shows it at the top, in its colour, and in the title of the tab. Default: none. */
  environment?: UiEnvironment | undefined;
  /** Links on the page of each job, 1 to 10. Default: none. */
  links?: readonly UiLink[] | undefined;
}

/** The environment that the admin UI shows. */
export interface UiEnvironment {
  /** 1 to 30 characters. */
  name: string;
  /** One of {@link UI_COLORS}, or hexadecimal, such as `'#c2185b'`. Default `'gray'`. */
  color?: UiColor | (string & {}) | undefined;
}

/** A link of the page of a job. */
export interface UiLink {
  /** 1 to 60 characters. */
  label: string;
  /** An http or https URL. `{id}` and `{topic}` become the id and the topic of the job. */
  url: string;
}

/** {@link UiOptions}, checked. */
export interface UiSettings {
  readonly path: string;
  readonly folder: string | undefined;
  readonly signIn: string | undefined;
  readonly title: string | undefined;
  /** Its colour is `#rrggbb`. */
  readonly environment: Readonly<Record<'name' | 'color', string>> | undefined;
  readonly links: readonly Readonly<UiLink>[] | undefined;
}

/** Colours that have a name. */
export const UI_COLORS = {
  red: '#c62828',
  orange: '#e65100',
  yellow: '#fbc02d',
  green: '#2e7d32',
  blue: '#1565c0',
  purple: '#6a1b9a',
  gray: '#616161',
} as const;
export type UiColor = keyof typeof UI_COLORS;

const LINKS_MAX = 10;

const folderCheck: Check<string> = {
  expects: 'the path of a folder',
  parse: (value) => (typeof value === 'string' && value !== '' ? value : undefined),
};

/** The characters of URLs. A browser reads them as they are. */
const URL_CHARACTERS = /^[\w\-.~:/?#[\]@!$&'()*+,;=%]+$/;

const signInCheck: Check<string> = {
  expects: "a path such as '/login', or an http or https URL",
  parse: (value) => (typeof value === 'string' && isSignInAddress(value) ? value : undefined),
};

/** Rejects `//host`, other schemes and user names. */
function isSignInAddress(address: string): boolean {
  return /^(\/(?!\/)|https?:\/\/)/i.test(address) && isPlainUrl(address);
}

/** Whether all characters are those of URLs, and no user name or password is in it. */
function isPlainUrl(address: string): boolean {
  if (!URL_CHARACTERS.test(address) || !URL.canParse(address, 'http://host')) {
    return false;
  }
  const { username, password } = new URL(address, 'http://host');
  return username === '' && password === '';
}

const colorCheck: Check<string> = {
  expects: `${Object.keys(UI_COLORS)
    .map((name) => `'${name}'`)
    .join(', ')}, or a colour such as '#c2185b'`,
  parse: (value) => {
    if (typeof value !== 'string') {
      return undefined;
    }
    if (Object.hasOwn(UI_COLORS, value)) {
      return UI_COLORS[value as UiColor];
    }
    const [, short, long] = /^#(?:([\da-f]{3})|([\da-f]{6}))$/i.exec(value) ?? [];
    return short === undefined ? long && `#${long.toLowerCase()}` : `#${short.toLowerCase().replace(/./g, '$&$&')}`;
  },
};

/** The host is fixed: a topic never decides where a link leads. */
const linkUrlCheck: Check<string> = {
  expects: "an http or https URL such as 'https://logs.example.org/?q={id}', with {id} and {topic} after its host",
  parse: (value) => {
    const isText = typeof value === 'string' && /^https?:\/\/[^/?#{}]+([/?#]|$)/i.test(value);
    return isText && isPlainUrl(value.replace(/\{(id|topic)\}/g, 'x')) ? value : undefined;
  },
};

const ENVIRONMENT_OPTIONS = {
  name: optional(text(30)),
  color: option(UI_COLORS.gray as string, colorCheck),
};

const LINK_OPTIONS = { label: optional(text(60)), url: optional(linkUrlCheck) };

/** @throws InvalidOptionsError when the value is absent. */
function required<T>({ check }: Option<T | undefined>, value: T | undefined, path: string): T {
  return value ?? applyCheck(check, value, path)!;
}

const environmentCheck: Check<NonNullable<UiSettings['environment']>> = {
  expects: 'an object with name and color',
  parse: (value, path) => {
    const { name, color } = readOptions(ENVIRONMENT_OPTIONS, value, path);
    return Object.freeze({ name: required(ENVIRONMENT_OPTIONS.name, name, `${path}.name`), color });
  },
};

const linkCheck: Check<Readonly<UiLink>> = {
  expects: 'objects with label and url',
  parse: (value, path) => {
    const { label, url } = readOptions(LINK_OPTIONS, value, path);
    return Object.freeze({
      label: required(LINK_OPTIONS.label, label, `${path}.label`),
      url: required(LINK_OPTIONS.url, url, `${path}.url`),
    });
  },
};

const linkList = listOf(linkCheck);
const linksCheck: Check<readonly Readonly<UiLink>[]> = {
  expects: `a list of 1 to ${LINKS_MAX} objects with label and url`,
  parse: (value, path) => (Array.isArray(value) && value.length > LINKS_MAX ? undefined : linkList.parse(value, path)),
};

/** Default and check of each option of the admin UI. {@link UiOptions} documents them. */
export const UI_OPTIONS = {
  path: option('admin/jobs', pathCheck),
  folder: optional(folderCheck),
  signIn: optional(signInCheck),
  title: optional(text(60)),
  environment: optional(environmentCheck),
  links: optional(linksCheck),
};

/** The option `ui`, unless it is `false`. */
export const uiCheck: Check<UiSettings> = {
  expects: 'an object',
  parse: (value, path) =>
    typeof value === 'object' && value !== null ? Object.freeze(readOptions(UI_OPTIONS, value, path)) : undefined,
};
