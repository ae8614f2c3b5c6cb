import { en } from '../messages/en.js';
import type { Messages } from '../messages/messages.js';
import { useMessages } from '../messages/messages.js';
import { browserStorage } from './storage.js';

interface Choice {
  readonly tag: string;
  /** Its name in itself. */
  readonly name: string;
  readonly load: () => Messages | Promise<Messages>;
}

export const LANGUAGES: readonly Choice[] = [
  { tag: 'en', name: 'English', load: () => en },
  { tag: 'zh-CN', name: '简体中文', load: async () => (await import('../messages/zh-cn.js')).zhCn },
];

/** The language of the page: the one that was chosen, or the first of the browser's languages that has texts. */
class Language {
  tag = $state('en');

  async start(): Promise<void> {
    await this.use(findChoice(browserStorage.get('language')) ?? navigator.languages.map(findChoice).find(Boolean));
  }

  async choose(tag: string): Promise<void> {
    browserStorage.set('language', tag);
    await this.use(findChoice(tag));
  }

  private async use(choice = LANGUAGES[0]!): Promise<void> {
    const messages = await choice.load();
    useMessages(messages, findFormatTag(choice), () => void this.tag);
    this.tag = choice.tag;
    document.documentElement.lang = choice.tag;
  }
}

/** `zh` and `zh-Hans-SG` read the texts of `zh-CN`. */
function findChoice(tag: string | null): Choice | undefined {
  const language = tag?.split('-')[0];
  return LANGUAGES.find((choice) => choice.tag.split('-')[0] === language);
}

/** Numbers and times follow the region of the browser, if it has the language and the script of the texts. */
function findFormatTag({ tag }: Choice): string {
  const { language, script } = new Intl.Locale(tag).maximize();
  return (
    navigator.languages.find((each) => {
      const other = new Intl.Locale(each).maximize();
      return other.language === language && other.script === script;
    }) ?? tag
  );
}

export const language = new Language();
